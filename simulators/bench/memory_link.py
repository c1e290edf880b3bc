"""The line between terminals and the host in one process, and what may go wrong on it.

Bytes travel through `memory_pair`; the host does its work while a terminal waits. An answer takes no time unless it is
delayed, and a wait for nothing moves the clock to its end at once, so a minute of silence costs no real time. What goes
wrong is queued: each call is about one request, the next one first, whatever that request is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pos_engine.errors import FrameError, LinkError, NoAnswer, NotSent, Trouble
from pos_engine.framing.length import BE2, LengthFramer
from pos_engine.transport.memory import memory_pair
from simulators.acquirer import Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.clock import Instant, ManualClock
    from pos_engine.framing.length import LengthFraming
    from pos_engine.transport.base import Stream
    from simulators.acquirer import Event, Reply

EVENTS_MAX: Final = 10_000
"""What a link remembers of the host's work, the newest."""
INSTANT_S: Final = 1e-6
"""Less than this is now: sums of seconds are not exact."""


class Host(Protocol):
    """Who answers: `simulators.acquirer.Acquirer`, or anything like it."""

    def handle(self, payload: bytes, now: Instant) -> Reply:
        """Take one frame's payload and say what goes back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What the line does to one request and its answer."""

    title: str = ""
    request_lost: bool = False
    answer_lost: bool = False
    request_bytes: int | None = None
    """So many bytes of the request pass, then the connection breaks."""
    answer_bytes: int | None = None
    delay_s: float = 0.0
    copies: int = 1


SMOOTH: Final = Mishap()
"""Nothing goes wrong."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """Bytes on their way to a terminal: when they were sent, and how long they take."""

    line: _Line
    data: bytes = field(repr=False)
    sent: Instant
    after_s: float
    breaks: bool
    """Whether the connection ends behind them."""
    terminal: str
    follows: bool
    """Whether they may arrive on a later connection of the terminal."""

    def left_s(self, now: Instant) -> float:
        passed_s = now.since(self.sent)
        # The terminal was off meanwhile, and nobody knows how long.
        return 0.0 if passed_s is None else self.after_s - passed_s


class MemoryLink:
    """One network with one host on it. `stream` makes a connection, as `pos_engine.assembly.assemble` wants it."""

    def __init__(
        self,
        clock: ManualClock,
        host: Host,
        *,
        framing: LengthFraming = BE2,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Join a host; `note` is told, in a few words, whatever goes wrong."""
        self.events: deque[Event] = deque(maxlen=EVENTS_MAX)
        """What the host did, oldest first."""
        self._clock = clock
        self._host = host
        self._framing = framing
        self._note = note
        self._mishaps: deque[Mishap] = deque()
        self._deliveries: list[_Delivery] = []
        self._lines: list[_Line] = []
        self._newest: dict[str, _Line] = {}
        self._unplugged = False

    def stream(self) -> Stream:
        """Make a connection that is still to be opened."""
        line = _Line(self, LengthFramer(self._framing))
        self._lines = [*(each for each in self._lines if not each.is_over), line]
        return line

    # What can go wrong.

    def lose_request(self, times: int = 1) -> None:
        """Let the next request leave and reach nobody; the connection stays, and silent."""
        self._expect(Mishap(title="this request is lost", request_lost=True), times)

    def lose_answer(self, times: int = 1) -> None:
        """Let the next request be served and its answer reach nobody; the connection stays, and silent."""
        self._expect(Mishap(title="the answer to this request is lost", answer_lost=True), times)

    def cut_after(self, count: int, *, of: Literal["answer", "request"] = "answer") -> None:
        """Break the connection after so many bytes of the next answer, or request, its length included.

        A request of which no byte passes was not sent at all.
        """
        title = f"the connection breaks after {count} bytes of the {of}"
        cut = Mishap(title=title, answer_bytes=count) if of == "answer" else Mishap(title=title, request_bytes=count)
        self._expect(cut)

    def delay(self, seconds: float) -> None:
        """Let the next answer take so long; when its connection is gone by then, nobody gets it."""
        self._expect(Mishap(title=f"the answer takes {seconds:g} s", delay_s=seconds))

    def duplicate(self, copies: int = 2) -> None:
        """Let the next answer arrive so often."""
        self._expect(Mishap(title=f"the answer arrives {copies} times", copies=copies))

    def pass_smoothly(self, requests: int = 1) -> None:
        """Let so many requests pass unharmed before what is queued after this."""
        self._expect(SMOOTH, requests)

    def drop_connections(self) -> None:
        """Close every connection from the host's side, as one that restarts does."""
        for line in self._lines:
            line.break_off()
        self._lines.clear()
        self._deliveries = [each for each in self._deliveries if each.follows]

    def unplug(self) -> None:
        """Break every connection and let no new one be made until `plug_in`."""
        self._unplugged = True
        self.drop_connections()

    def plug_in(self) -> None:
        """Let connections be made again."""
        self._unplugged = False

    def heal(self) -> None:
        """Forget what was to go wrong, plug in; what is on its way stays on its way."""
        self._mishaps.clear()
        self._unplugged = False

    @property
    def is_unplugged(self) -> bool:
        """Whether no connection can be made."""
        return self._unplugged

    def next_mishap(self) -> Mishap:
        """Take what is to happen to the request that is leaving; connections ask this."""
        mishap = self._mishaps.popleft() if self._mishaps else SMOOTH
        if mishap.title:
            self._note(mishap.title)
        return mishap

    def serve(self, line: _Line) -> None:
        """Let the host read a connection and answer what it finds; connections ask this."""
        for frame in line.requests():
            reply = self._host.handle(frame, self._clock.now())
            self.events.append(reply.event)
            self._send(line, reply)

    def wait(self, line: _Line, seconds: float) -> None:
        """Let time pass until a connection has news, at most so long; connections ask this."""
        self.serve(line)
        while True:
            self.deliver()
            now = self._clock.now()
            times = [left for each in self._deliveries if (left := each.left_s(now)) > INSTANT_S]
            step = min([*times, seconds])
            if line.has_news or seconds <= 0:
                return
            self._clock.advance(step)
            seconds -= step

    def deliver(self) -> None:
        """Bring what is due; connections ask this."""
        now = self._clock.now()
        in_order = sorted(self._deliveries, key=lambda each: each.left_s(now))
        self._deliveries = [each for each in in_order if each.left_s(now) > INSTANT_S or not self._bring(each)]

    def _bring(self, delivery: _Delivery) -> bool:
        """Put a delivery into its connection; whether it is done with."""
        line = delivery.line
        if line.is_over and delivery.follows:
            line = self._newest.get(delivery.terminal, line)
            if line.is_over:
                return False
        line.put(delivery.data)
        if delivery.breaks:
            line.break_off()
        return True

    def _expect(self, mishap: Mishap, times: int = 1) -> None:
        self._mishaps.extend([mishap] * times)

    def _send(self, line: _Line, reply: Reply) -> None:
        mishap, event = line.mishap, reply.event
        self._newest[event.terminal] = line
        if reply.fate is Fate.CLOSE:
            line.break_off()
        if reply.data is None or mishap.answer_lost:
            return
        data = line.framed(reply.data) * (reply.copies + mishap.copies - 1)
        delivery = _Delivery(
            line=line,
            data=data[: mishap.answer_bytes],
            sent=self._clock.now(),
            after_s=reply.after_s + mishap.delay_s,
            breaks=mishap.answer_bytes is not None,
            terminal=event.terminal,
            follows=reply.follows,
        )
        self._deliveries.append(delivery)


class _Line:
    """One connection; a `Stream` at the terminal's end."""

    def __init__(self, link: MemoryLink, framer: LengthFramer) -> None:
        self._link = link
        self._framer = framer
        self._near, self._far = memory_pair(idle=lambda seconds: link.wait(self, seconds))
        self._closed = False
        self.mishap = SMOOTH

    # The terminal's end.

    @property
    def peer(self) -> str:
        return self._near.peer

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:
        if self._link.is_unplugged:
            reason = f"{self.peer}: the line is unplugged"
            raise NotSent(reason, trouble=Trouble.NO_ROUTE)
        self._near.connect(timeout_s)

    def send(self, data: bytes, timeout_s: float) -> None:
        self.mishap = self._link.next_mishap()
        if self.mishap.request_lost:
            return
        passed = self.mishap.request_bytes
        if passed != 0:
            self._near.send(data[:passed], timeout_s)
        if passed is None:
            return
        self._link.serve(self)
        self.break_off()
        reason = f"{self.peer}: the connection broke while sending"
        raise (NoAnswer if passed else NotSent)(reason, trouble=Trouble.RESET)

    def receive(self, timeout_s: float) -> bytes:
        return self._near.receive(timeout_s)

    def stale(self) -> bool:
        self._link.deliver()
        return self._near.stale()

    def close(self) -> None:
        self._closed = True
        self._near.close()

    # The host's end.

    @property
    def has_news(self) -> bool:
        """Whether the terminal would not have to wait."""
        return self._near.stale()

    @property
    def is_over(self) -> bool:
        """Whether one of the two ends has closed."""
        return self._closed

    def requests(self) -> list[bytes]:
        """Read what the terminal has sent; whoever sends what is no frame is cut off."""
        try:
            return list(self._framer.receive(self._far.receive(0), 0.0).frames)
        except FrameError:
            self.break_off()
        except LinkError:
            pass
        return []

    def framed(self, payload: bytes) -> bytes:
        return self._framer.send(payload)

    def put(self, data: bytes) -> None:
        """Send to the terminal; what finds nobody any more is gone."""
        try:
            self._far.send(data, 0.0)
        except LinkError:
            self.break_off()

    def break_off(self) -> None:
        self._closed = True
        self._far.close()
