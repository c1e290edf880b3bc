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
if it began while ours waits or within the time in which one is repeated: the window begins anew with whatever passes on
the line. Past that, the same bytes are a request made again on purpose, and are delivered.

*EOT ends all repetitions.* Whoever gives up says it, and whoever opens a line in front of his first frame, not of its
repetitions: what follows is new, whatever it looks like. It takes nothing from the frame behind it. Alone, while ours
waits, it may be an ACK with one bit changed: the first is a refusal, the second ends ours.

*An answer is an acknowledgement.* A new frame that comes in place of the ACK says that ours arrived. So while ours is
on its way, nothing else has to be said to what is repeated, and nothing is. It proves nothing where two frames crossed:
what was acknowledged so is kept for the time of an ACK, in which a NAK has it repeated.

No word has a number. An ACK that comes later than the ACK timer may be taken for that of the next frame, so the timer
has to be longer than the line's delay, the frames' own time not counted. What came before a frame of ours says nothing
about it. A question is answered with ACK only while there is a frame that the peer may be asking for.

*A line may echo.* A frame equal to the one we wait for is our own. From then on the words we write are expected back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, Trouble
from pos_engine.framing.base import Received
from pos_engine.framing.length import FRAMINGS
from pos_engine.framing.line import (
    ACK,
    ENQ,
    EOT,
    ETX,
    HEAD_BYTES,
    KINDS,
    NAK,
    TAIL_BYTES,
    WORDS_MAX,
    Coming,
    Envelope,
    Kind,
    LineTimers,
    lrc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.framing.length import LengthFraming


class StxFramer:
    """One end of a serial line, either one; `encoding` says how the length is written."""

    def __init__(
        self,
        encoding: LengthFraming = FRAMINGS["bcd2"],
        *,
        timers: LineTimers | None = None,
        limit: int = limits.FRAME_BYTES_MAX,
        opens: bool = False,
    ) -> None:
        """Start with a quiet line. `encoding` is one of two bytes that counts the data alone.

        `opens`: whether the other side may know this line from before, and has to be told that it begins anew.
        """
        self._envelope = Envelope(encoding, limit)
        self._timers = timers or LineTimers()
        self._now = 0.0
        # What comes in.
        self._line = Coming.QUIET
        self._buffer = bytearray()
        self._words = bytearray()
        self._began = 0.0
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
        self._is_doubted = False
        self._opens = opens
        self._waiting: deque[bytes] = deque()
        self._last_word = NAK
        # What only an answer has acknowledged, and until when it may be refused all the same.
        self._kept: bytes | None = None
        self._kept_until = 0.0
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
        heir = StxFramer(self._envelope.encoding, timers=self._timers, limit=self._envelope.limit, opens=True)
        heir._last, heir._repeats, heir._repeat_until = self._last, self._repeats, self._repeat_until
        heir._sent = self._sent
        heir._echoes = None if self._echoes is None else bytearray()
        return heir

    def send(self, payload: bytes) -> bytes:
        """Return the frame, or nothing while another waits for its ACK: then it comes out of `receive` in its turn.

        `LocalProtocolError` for an empty or over-long payload, too many that wait, and a line that has failed.
        """
        reason = self._envelope.refusal(len(payload))
        if self._fault is not None:
            reason = f"the line has failed: {self._fault.reason}"
        elif len(self._waiting) >= limits.LINE_WAITING_MAX:
            reason = "too many frames wait for the line"
        if reason is not None:
            raise LocalProtocolError(reason)
        self._waiting.append(self._envelope.wrap(payload))
        self._take_turn()
        return self._written()

    def withdraw(self) -> None:
        """Write nothing of ours any more, however it is refused; what comes is heard and acknowledged as before."""
        self._ours = self._kept = None
        self._waiting.clear()

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
            self._ack_at = now + self._timers.answer_s(len(self._ours))
            self._slide()
        if self._echoes and now >= self._echo_until:
            # Words that did not come back: it is no line that echoes, or not any more.
            self._echoes = None
        if self._line is not Coming.QUIET and now >= self._quiet_at:
            self._SILENCE[self._line](self)

    def _look_at_the_timer(self) -> None:
        """Behind the bytes, which may have come before it ran out."""
        if self._timer_runs() and self._ack_at is not None and self._now >= self._ack_at:
            self._again("acknowledged")

    def _timer_runs(self) -> bool:
        """While a frame comes in, or words that may be the ACK, the peer has not been silent."""
        return self._ours is not None and self._line not in {Coming.FRAME, Coming.WORDS}

    def _wake_at(self) -> float | None:
        soon = self._now + limits.WAIT_MIN_S
        if self._fault is not None or (self._ours is not None and self._ack_at is None):
            return soon
        moments = [self._quiet_at] if self._line is not Coming.QUIET else []
        if self._timer_runs() and self._ack_at is not None:
            moments.append(self._ack_at)
        return max(soon, min(moments)) if moments else None

    # What comes in, byte by byte.

    def _take(self, byte: int) -> None:
        if self._line is Coming.FRAME:
            self._collect(byte)
            return
        kind = KINDS.get(byte, Kind.OTHER)
        if kind is Kind.WORD and self._is_echo_of_a_word(byte):
            return
        self._BETWEEN[self._line, kind](self, byte)

    def _is_echo_of_a_word(self, byte: int) -> bool:
        if self._echoes and self._echoes[0] == byte and self._line in {Coming.QUIET, Coming.WORDS}:
            del self._echoes[0]
            return True
        return False

    def _enter(self, line: Coming) -> None:
        if self._line is Coming.QUIET:
            self._began = self._now
        self._line = line
        self._quiet_at = self._now + self._timers.silence_s

    def _begin(self, byte: int) -> None:
        self._buffer.append(byte)
        self._began = self._now
        self._enter(Coming.FRAME)

    def _keep(self, byte: int) -> None:
        self._words.append(byte)
        self._enter(Coming.WORDS)
        if len(self._words) > WORDS_MAX:
            self._drop(byte)

    def _drop(self, byte: int) -> None:  # noqa: ARG002 - every action of the table is given the byte
        self._words.clear()
        self._enter(Coming.NOISE)

    def _pass_over(self, byte: int) -> None: ...

    def _prolong(self, byte: int) -> None:  # noqa: ARG002 - the same
        self._enter(self._line)

    def _collect(self, byte: int) -> None:
        """Add a byte to the frame; its length, its ETX and its LRC are each looked at as soon as they are there."""
        buffer = self._buffer
        buffer.append(byte)
        self._enter(Coming.FRAME)
        if len(buffer) < HEAD_BYTES:
            return
        whole = self._envelope.size(buffer)
        if whole is None or (len(buffer) == whole - 1 and byte != ETX):
            self._spoil()
        elif len(buffer) == whole:
            frame = bytes(buffer)
            self._forget_frame()
            if lrc(frame[1:]):
                self._refuse()
            else:
                self._take_frame(frame, frame[HEAD_BYTES:-TAIL_BYTES])

    def _spoil(self) -> None:
        self._forget_frame()
        self._end_words()
        self._enter(Coming.SPOILT)

    def _forget_frame(self) -> None:
        self._buffer.clear()
        self._line = Coming.QUIET

    def _refuse(self) -> None:
        """Ask for a frame again; words in front of one that was spoilt may be noise as well."""
        self._forget_frame()
        self._end_words()
        self._pass_by()
        if self._ack_at is not None:
            # It may have been the answer: the peer gets its time again.
            self._ack_at = max(self._ack_at, self._now + self._timers.ack_s)
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
        self._end_words()
        self._naks = 0
        if self._is_repeated(frame):
            self._repeats += 1
            if self._ours is None:
                self._say(ACK)
        else:
            self._frames.append(payload)
            self._say(ACK)
            self._put_by()
            self._last, self._repeats = frame, 0
        self._slide()
        # Only behind the ACK, which the peer could otherwise take for one of what it says to this next frame.
        self._take_turn()

    def _is_repeated(self, frame: bytes) -> bool:
        return self._may_be_repeated() and frame == self._last and self._repeats < limits.LINE_RETRIES_MAX

    def _may_be_repeated(self) -> bool:
        """Whether what has come in began in time for a repetition."""
        return self._ours is not None or self._began < self._repeat_until

    def _slide(self) -> None:
        self._repeat_until = self._now + self._timers.repeat_s(len(self._last or b""))

    def _pass_by(self) -> None:
        """Something has passed that may have been a frame: the window slides, unless it was over by then."""
        if not self._may_be_repeated():
            self._last, self._naks = None, 0
        self._slide()

    def _heed(self) -> None:
        """After the silence that confirms them, do what the words ask for: the one that says most counts."""
        words, self._line = bytes(self._words), Coming.QUIET
        self._end_words()
        for word, action in self._ANSWERS if self._ours is not None else self._IDLE:
            if word in words:
                action(self)
                return

    def _end_words(self) -> None:
        """Be done with them. Behind an EOT nothing is repeated; it holds also where the frame behind it is spoilt."""
        if EOT in self._words:
            self._last = None
        self._words.clear()

    def _rest(self) -> None:
        """Noise has ended. It may have been a frame: whoever asks for our word must not hear that it was good."""
        self._line = Coming.QUIET
        self._pass_by()
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

    def _put_by(self) -> None:
        """Take a frame of the peer for the ACK of ours, until a NAK shows that the two have crossed."""
        if self._ours is not None:
            self._kept, self._ours = self._ours, None
            self._kept_until = self._now + self._timers.answer_s(len(self._kept))

    def _confirmed(self) -> None:
        self._kept = None

    def _refused_after_all(self) -> None:
        if self._kept is not None and self._now < self._kept_until:
            self._ours = self._kept
            self._again("accepted")

    def _take_turn(self) -> None:
        if self._ours is None and self._waiting:
            self._ours = self._waiting.popleft()
            self._attempts = 0
            self._is_doubted = False
            # What was said before says nothing about this one.
            self._end_words()
            self._line = Coming.QUIET if self._line is Coming.WORDS else self._line
            self._write_ours()

    def _write_ours(self) -> None:
        self._attempts += 1
        self._ack_at = self._kept = None
        self._sent = self._ours or b""
        if self._opens:
            self._writes.append(EOT)
            self._opens = False
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
        """Say our last word, but never that a frame was good which nobody knows of any more."""
        is_good = self._last is not None and self._last_word == ACK and self._now < self._repeat_until
        self._say(ACK if is_good else NAK)

    def _say(self, word: int) -> None:
        self._last_word = word
        self._writes.append(word)
        if self._echoes is not None:
            self._echoes.append(word)
            self._echo_until = self._now + self._timers.ack_s

    def _given_up(self) -> None:
        if self._is_doubted:
            self._fail("the other side gave up", Trouble.NOT_ACKNOWLEDGED)
        else:
            self._is_doubted = True
            self._refused()

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

    _BETWEEN: ClassVar[Mapping[tuple[Coming, Kind], Callable[[StxFramer, int], None]]] = {
        (Coming.QUIET, Kind.STX): _begin,
        (Coming.QUIET, Kind.WORD): _keep,
        (Coming.QUIET, Kind.FILL): _pass_over,
        (Coming.QUIET, Kind.OTHER): _drop,
        (Coming.WORDS, Kind.STX): _begin,
        (Coming.WORDS, Kind.WORD): _keep,
        (Coming.WORDS, Kind.FILL): _pass_over,
        (Coming.WORDS, Kind.OTHER): _drop,
        (Coming.NOISE, Kind.STX): _begin,
        (Coming.NOISE, Kind.WORD): _drop,
        (Coming.NOISE, Kind.FILL): _drop,
        (Coming.NOISE, Kind.OTHER): _drop,
        **dict.fromkeys(((Coming.SPOILT, kind) for kind in Kind), _prolong),
    }
    """What a byte does that is not inside a frame."""

    _SILENCE: ClassVar[Mapping[Coming, Callable[[StxFramer], None]]] = {
        Coming.WORDS: _heed,
        Coming.NOISE: _rest,
        Coming.FRAME: _refuse,
        Coming.SPOILT: _refuse,
    }
    """What the end of each thing does that was coming in."""

    _ANSWERS: ClassVar[tuple[tuple[int, Callable[[StxFramer], None]], ...]] = (
        (ACK, _acknowledged),
        (EOT, _given_up),
        (NAK, _refused),
        (ENQ, _asked),
    )
    """What a word does while a frame of ours waits for one. An ACK says most: one of its attempts has arrived."""

    _IDLE: ClassVar[tuple[tuple[int, Callable[[StxFramer], None]], ...]] = (
        (ENQ, _say_again),
        (ACK, _confirmed),
        (NAK, _refused_after_all),
    )
    """What a word does when none does; an EOT has done what it does by then."""
