"""A serial line's framing: frames that are acknowledged, refused and repeated.

    STX | LL LL | data ... | ETX | LRC        LL LL: the length of the data, as four packed digits or binary
    ACK  NAK  ENQ  EOT                        words between frames: taken, say it again, what did you say, I give up

LRC is the exclusive or of everything behind STX, ETX included. Both ends keep the same rules; the two tables say what
each byte, each silence and each word leads to.

*A word counts only when it stands alone*: with silence or a good frame behind it, and no noise before it. A frame whose
STX was lost is full of bytes that look like words, and one taken for an ACK would lose or double a payment.

*A frame is delivered once.* Whose ACK was lost repeats his frame, byte for byte. What equals the last frame delivered
is therefore acknowledged again and not delivered, but only while that can be the reason: as long as nothing of ours has
been acknowledged since (whoever heard our answer knows that we heard him), at most as often as a frame is repeated, and
while ours waits or within the time in which it is: the window begins anew with each frame on the line, either way. Past
that, the same bytes are a request made again on purpose, as a reversal is after the answer timeout, and are delivered.

*An answer is an acknowledgement.* A new frame that comes in place of the ACK proves that ours arrived. So while ours is
on its way, nothing else has to be said to what is repeated, and nothing is.

No word has a number. An ACK that comes later than the ACK timer may be taken for that of the next frame, so the timer
has to be longer than the line's delay, the frames' own time not counted.

*A line may echo.* A frame equal to the one we wait for is our own. From then on the words we write are expected back.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, ClassVar, Final

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, Trouble, UsageError
from pos_engine.framing.base import Received
from pos_engine.framing.length import FRAMINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.framing.length import LengthFraming

STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ENQ: Final = 0x05
ACK: Final = 0x06
NAK: Final = 0x15

HEAD_BYTES: Final = 3
"""STX and the length."""
TAIL_BYTES: Final = 2
"""ETX and LRC."""
WORDS_MAX: Final = 4
"""Words in one breath: an end says one or two. More of them are noise."""


@dataclass(frozen=True, slots=True)
class LineTimers:
    """Seconds until a frame is repeated, and seconds of silence that end whatever was coming in."""

    ack_s: float = field(default_factory=lambda: limits.LINE_ACK_S)
    inter_byte_s: float = field(default_factory=lambda: limits.LINE_INTER_BYTE_S)

    def __post_init__(self) -> None:
        """Refuse timers that are none."""
        if self.ack_s <= 0 or self.inter_byte_s <= 0:
            reason = "a line's timers are positive"
            raise UsageError(reason)

    @property
    def repeat_s(self) -> float:
        """How long after the last frame on the line a repetition may still begin.

        All repetitions but the last may have been lost on the way, each an ACK timer after the one before; one timer
        more is for the time the frames themselves took.
        """
        return (limits.LINE_RETRIES_MAX + 1) * self.ack_s


class _Line(enum.Enum):
    """What is coming in."""

    QUIET = "nothing"
    WORDS = "words that count if nothing but silence or a good frame follows"
    NOISE = "bytes that belong to nothing"
    FRAME = "a frame, complete so far"
    SPOILT = "the rest of a frame that cannot be; refused when it has passed"


class _Byte(enum.Enum):
    """A byte between frames."""

    STX = "begins a frame"
    WORD = "ACK, NAK, ENQ or EOT"
    FILL = "00 or FF: what a break or a driver that is switched looks like"
    OTHER = "anything else"


_BYTES: Final[Mapping[int, _Byte]] = {
    STX: _Byte.STX,
    **dict.fromkeys((ACK, NAK, ENQ, EOT), _Byte.WORD),
    **dict.fromkeys((0x00, 0xFF), _Byte.FILL),
}


def lrc(data: bytes | bytearray) -> int:
    """Return the exclusive or of all bytes: of everything behind STX up to the LRC itself it is the LRC."""
    return reduce(xor, data, 0)


class StxFramer:
    """One end of a serial line, either one; `encoding` says how the length is written."""

    __slots__ = (
        "_ack_at",
        "_attempts",
        "_buffer",
        "_echo_until",
        "_echoes",
        "_encoding",
        "_fault",
        "_frames",
        "_last",
        "_last_word",
        "_limit",
        "_line",
        "_naks",
        "_now",
        "_ours",
        "_quiet_at",
        "_repeat_until",
        "_repeats",
        "_sent",
        "_timers",
        "_waiting",
        "_words",
        "_writes",
    )

    def __init__(
        self,
        encoding: LengthFraming = FRAMINGS["bcd2"],
        *,
        timers: LineTimers | None = None,
        limit: int = limits.FRAME_BYTES_MAX,
    ) -> None:
        """Start with a quiet line. `encoding` is one of two bytes that counts the data alone."""
        if encoding.size + 1 != HEAD_BYTES or encoding.surplus or not 0 < limit <= encoding.most:
            reason = "a line's length has two bytes and counts the data alone; the limit is positive and can be said so"
            raise UsageError(reason)
        self._encoding = encoding
        self._timers = timers or LineTimers()
        self._limit = limit
        self._now = 0.0
        # What comes in.
        self._line = _Line.QUIET
        self._buffer = bytearray()
        self._words = bytearray()
        self._quiet_at = 0.0
        self._naks = 0
        # The last frame delivered; where it can no more be repeated, none.
        self._last: bytes | None = None
        self._repeats = 0
        self._repeat_until = 0.0
        # What goes out: the frame that waits for its ACK, the last one written, and those that wait for their turn.
        self._ours: bytes | None = None
        self._sent = b""
        self._attempts = 0
        self._ack_at: float | None = None
        self._waiting: deque[bytes] = deque()
        self._last_word = ACK
        # Words of ours that will come back; `None` on a line that is not known to echo.
        self._echoes: bytearray | None = None
        self._echo_until = 0.0
        # What one call hands out.
        self._writes = bytearray()
        self._frames: list[bytes] = []
        self._fault: FrameError | None = None

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)

    def renewed(self) -> StxFramer:
        """Return one that has nothing to say, and knows what was delivered and whether the line echoes."""
        heir = StxFramer(self._encoding, timers=self._timers, limit=self._limit)
        heir._last, heir._repeats, heir._repeat_until = self._last, self._repeats, self._repeat_until
        heir._sent = self._sent
        heir._echoes = None if self._echoes is None else bytearray()
        return heir

    def send(self, payload: bytes) -> bytes:
        """Return the frame, or nothing while another waits for its ACK: then it comes out of `receive` in its turn.

        `LocalProtocolError` for an empty or over-long payload, too many that wait, and a line that has failed.
        """
        reason = self._refusal(len(payload))
        if self._fault is not None:
            reason = f"the line has failed: {self._fault.reason}"
        elif len(self._waiting) >= limits.LINE_WAITING_MAX:
            reason = "too many frames wait for the line"
        if reason is not None:
            raise LocalProtocolError(reason)
        counted = self._encoding.write(len(payload)) + payload + bytes([ETX])
        self._waiting.append(bytes([STX]) + counted + bytes([lrc(counted)]))
        self._take_turn()
        return self._written()

    def receive(self, data: bytes, now: float) -> Received:
        """Take bytes, or let time pass; `FrameError` once the line has failed."""
        self._now = now
        if self._fault is None:
            self._let_time_pass()
        for byte in data:
            if self._fault is not None:
                break
            self._take(byte)
        self._look_at_the_timer()
        frames, self._frames = tuple(self._frames), []
        if self._fault is not None and not frames and not self._writes:
            # An error of its own each time: one that is raised twice would grow with each traceback.
            raise FrameError(self._fault.reason, trouble=self._fault.trouble)
        return Received(self._written(), frames, self._wake_at())

    # Time.

    def _let_time_pass(self) -> None:
        now = self._now
        if self._ours is not None and self._ack_at is None:
            # The first call after writing: from here the peer has its time.
            self._ack_at = now + self._timers.ack_s
            self._repeat_until = now + self._timers.repeat_s
        if self._echoes and now >= self._echo_until:
            # Words that did not come back: it is no line that echoes, or not any more.
            self._echoes = None
        if self._line is not _Line.QUIET and now >= self._quiet_at:
            self._SILENCE[self._line](self)

    def _look_at_the_timer(self) -> None:
        """Behind the bytes, which may have come before it ran out."""
        if self._timer_runs() and self._ack_at is not None and self._now >= self._ack_at:
            self._again("acknowledged")

    def _timer_runs(self) -> bool:
        """While a frame comes in, or words that may be the ACK, the peer has not been silent."""
        return self._ours is not None and self._line not in {_Line.FRAME, _Line.WORDS}

    def _wake_at(self) -> float | None:
        soon = self._now + limits.WAIT_MIN_S
        if self._fault is not None or (self._ours is not None and self._ack_at is None):
            return soon
        moments = [self._quiet_at] if self._line is not _Line.QUIET else []
        if self._timer_runs() and self._ack_at is not None:
            moments.append(self._ack_at)
        return max(soon, min(moments)) if moments else None

    # What comes in, byte by byte.

    def _take(self, byte: int) -> None:
        if self._line is _Line.FRAME:
            self._collect(byte)
            return
        kind = _BYTES.get(byte, _Byte.OTHER)
        if kind is _Byte.WORD and self._is_echo_of_a_word(byte):
            return
        self._BETWEEN[self._line, kind](self, byte)

    def _is_echo_of_a_word(self, byte: int) -> bool:
        if self._echoes and self._echoes[0] == byte and self._line in {_Line.QUIET, _Line.WORDS}:
            del self._echoes[0]
            return True
        return False

    def _enter(self, line: _Line) -> None:
        self._line = line
        self._quiet_at = self._now + self._timers.inter_byte_s

    def _begin(self, byte: int) -> None:
        self._buffer.append(byte)
        self._enter(_Line.FRAME)

    def _keep(self, byte: int) -> None:
        self._words.append(byte)
        self._enter(_Line.WORDS)
        if len(self._words) > WORDS_MAX:
            self._drop(byte)

    def _drop(self, byte: int) -> None:  # noqa: ARG002 - every action of the table is given the byte
        self._words.clear()
        self._enter(_Line.NOISE)

    def _pass_over(self, byte: int) -> None: ...

    def _prolong(self, byte: int) -> None:  # noqa: ARG002 - the same
        self._enter(self._line)

    def _collect(self, byte: int) -> None:
        """Add a byte to the frame; its length, its ETX and its LRC are each looked at as soon as they are there."""
        buffer = self._buffer
        buffer.append(byte)
        self._enter(_Line.FRAME)
        if len(buffer) < HEAD_BYTES:
            return
        length = self._encoding.read(buffer[1:HEAD_BYTES])
        if length is None or self._refusal(length) is not None:
            self._spoil()
            return
        whole = HEAD_BYTES + length + TAIL_BYTES
        if len(buffer) == whole - 1 and byte != ETX:
            self._spoil()
        elif len(buffer) == whole:
            frame = bytes(buffer)
            self._forget_frame()
            if lrc(frame[1:]):
                self._refuse()
            else:
                self._take_frame(frame, frame[HEAD_BYTES : HEAD_BYTES + length])

    def _refusal(self, length: int) -> str | None:
        if not length:
            return "an empty frame"
        return f"a frame of {length} bytes, {self._limit} are allowed" if length > self._limit else None

    def _spoil(self) -> None:
        self._forget_frame()
        self._words.clear()
        self._enter(_Line.SPOILT)

    def _forget_frame(self) -> None:
        self._buffer.clear()
        self._line = _Line.QUIET

    def _refuse(self) -> None:
        """Ask for a frame again; words in front of one that was spoilt may be noise as well."""
        self._forget_frame()
        self._words.clear()
        self._repeat_until = self._now + self._timers.repeat_s
        if self._ours is not None:
            # It may have been the answer: the peer gets its time again.
            self._ack_at = self._now + self._timers.ack_s
        if self._naks >= limits.LINE_RETRIES_MAX:
            self._give_up(f"{self._naks + 1} bad frames in a row", Trouble.BAD_FRAME)
        else:
            self._naks += 1
            self._say(NAK)

    def _take_frame(self, frame: bytes, payload: bytes) -> None:
        """Deliver a good frame and acknowledge it, unless it is our own or was delivered before.

        While ours waits, a repeated one gets no ACK: ours is on its way and says so too, whereas an ACK behind it could
        be taken for one of what the peer answers to ours.
        """
        if frame == self._ours or (self._echoes is not None and frame == self._sent):
            # What seemed to be an ACK in front of it was the echo of ours.
            self._words.clear()
            self._echoes = self._echoes if self._echoes is not None else bytearray()
            return
        if ACK in self._words:
            self._let_go()
        self._words.clear()
        self._naks = 0
        if self._is_repeated(frame):
            self._repeats += 1
            if self._ours is None:
                self._say(ACK)
        else:
            self._frames.append(payload)
            self._say(ACK)
            self._let_go()
            self._last, self._repeats = frame, 0
        self._repeat_until = self._now + self._timers.repeat_s
        # Only behind the ACK, which the peer could otherwise take for one of what it says to this next frame.
        self._take_turn()

    def _is_repeated(self, frame: bytes) -> bool:
        may_be = self._ours is not None or self._now < self._repeat_until
        return may_be and frame == self._last and self._repeats < limits.LINE_RETRIES_MAX

    def _heed(self) -> None:
        """After the silence that confirms them, do what the words ask for: the one that says most counts."""
        words, self._line = bytes(self._words), _Line.QUIET
        self._words.clear()
        for word, action in self._ANSWERS if self._ours is not None else self._IDLE:
            if word in words:
                action(self)
                return

    def _rest(self) -> None:
        """Noise has ended. It may have been a frame: whoever asks for our word must not hear that it was good."""
        self._line = _Line.QUIET
        self._last_word = NAK

    # What goes out.

    def _acknowledged(self) -> None:
        self._let_go()
        self._take_turn()

    def _refused(self) -> None:
        self._again("accepted")

    def _let_go(self) -> None:
        """Ours arrived, and so did what we said before it: the peer repeats nothing of what we delivered."""
        if self._ours is not None:
            self._ours = self._last = None

    def _take_turn(self) -> None:
        if self._ours is None and self._waiting:
            self._ours = self._waiting.popleft()
            self._attempts = 0
            self._write_ours()

    def _write_ours(self) -> None:
        self._attempts += 1
        self._ack_at = None
        self._sent = self._ours or b""
        self._writes += self._sent

    def _again(self, what: str) -> None:
        if self._attempts > limits.LINE_RETRIES_MAX:
            self._give_up(f"not {what} after {self._attempts} attempts", Trouble.NOT_ACKNOWLEDGED)
        else:
            self._write_ours()

    def _asked(self) -> None:
        """Say our last word: the frame that waits for its ACK. Past the last attempt, leave it to the timer."""
        if self._attempts <= limits.LINE_RETRIES_MAX:
            self._write_ours()

    def _say_again(self) -> None:
        self._say(self._last_word)

    def _say(self, word: int) -> None:
        self._last_word = word
        self._writes.append(word)
        if self._echoes is not None:
            self._echoes.append(word)
            self._echo_until = self._now + self._timers.ack_s

    def _given_up(self) -> None:
        self._fail("the other side gave up", Trouble.NOT_ACKNOWLEDGED)

    def _give_up(self, reason: str, trouble: Trouble) -> None:
        self._writes.append(EOT)
        self._fail(reason, trouble)

    def _fail(self, reason: str, trouble: Trouble) -> None:
        self._fault = FrameError(reason, trouble=trouble)
        self._forget_frame()
        self._ours = None
        self._waiting.clear()

    def _written(self) -> bytes:
        data = bytes(self._writes)
        self._writes.clear()
        return data

    _BETWEEN: ClassVar[Mapping[tuple[_Line, _Byte], Callable[[StxFramer, int], None]]] = {
        (_Line.QUIET, _Byte.STX): _begin,
        (_Line.QUIET, _Byte.WORD): _keep,
        (_Line.QUIET, _Byte.FILL): _pass_over,
        (_Line.QUIET, _Byte.OTHER): _drop,
        (_Line.WORDS, _Byte.STX): _begin,
        (_Line.WORDS, _Byte.WORD): _keep,
        (_Line.WORDS, _Byte.FILL): _pass_over,
        (_Line.WORDS, _Byte.OTHER): _drop,
        (_Line.NOISE, _Byte.STX): _begin,
        (_Line.NOISE, _Byte.WORD): _drop,
        (_Line.NOISE, _Byte.FILL): _drop,
        (_Line.NOISE, _Byte.OTHER): _drop,
        (_Line.SPOILT, _Byte.STX): _prolong,
        (_Line.SPOILT, _Byte.WORD): _prolong,
        (_Line.SPOILT, _Byte.FILL): _prolong,
        (_Line.SPOILT, _Byte.OTHER): _prolong,
    }
    """What a byte does that is not inside a frame."""

    _SILENCE: ClassVar[Mapping[_Line, Callable[[StxFramer], None]]] = {
        _Line.WORDS: _heed,
        _Line.NOISE: _rest,
        _Line.FRAME: _refuse,
        _Line.SPOILT: _refuse,
    }
    """What the end of each thing does that was coming in."""

    _ANSWERS: ClassVar[tuple[tuple[int, Callable[[StxFramer], None]], ...]] = (
        (ACK, _acknowledged),
        (EOT, _given_up),
        (NAK, _refused),
        (ENQ, _asked),
    )
    """What a word does while a frame of ours waits for one. An ACK says most: one of its attempts has arrived."""

    _IDLE: ClassVar[tuple[tuple[int, Callable[[StxFramer], None]], ...]] = ((ENQ, _say_again),)
    """What a word does when none does; the others are late, or not for us."""
