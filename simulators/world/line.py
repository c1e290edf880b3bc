"""The line of a world: real bytes between a terminal's link and the host, and all that may go wrong with them.

Nothing takes time but what somebody waits for: a wait jumps to the next thing that happens, or to its own end. What is
on its way is kept by the true time, so that it outlives a power cut at the terminal as it would outlive one in life.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import FrameError, NoAnswer, NotSent, Trouble
from pos_engine.framing.length import FRAMINGS, LengthFramer
from pos_engine.transport.base import Silence
from simulators.acquirer import Fate
from simulators.world.mishaps import SMOOTH, WHOLE, Break, Deed, Follows, Mishap

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.acquirer import Reply
    from simulators.world.chronicle import Chronicle
    from simulators.world.clock import WorldClock
    from simulators.world.host import WorldHost
    from simulators.world.mishaps import Passage

FRAMING: Final = FRAMINGS["be2"]
LENGTH_BYTES: Final = FRAMING.size
TRANSIT_S: Final = 0.02
"""What an answer takes when nothing delays it."""
TOO_LATE_S: Final = 61.0
"""After this long nobody waits any more."""
PEER: Final = "the host of the world"


class Line:
    """All connections between one terminal and its host, one after another."""

    def __init__(self, clock: WorldClock, host: WorldHost, chronicle: Chronicle, waits: Callable[[], None]) -> None:
        """Lay it; `waits` is called for each thing that somebody waits for."""
        self.mishaps: deque[Mishap] = deque()
        """What happens to the next requests, the next one first."""
        self.draw: Callable[[bytes], Mishap] = _nothing
        """Says what happens to a request for which nothing is queued, given its payload."""
        self.refuses = False
        """Whether nobody listens where the terminal connects first."""
        self.second_refuses = False
        """Whether nobody listens at the end of the second road."""
        self.is_mute = False
        """Whether connecting takes for ever."""
        self.requests = 0
        """Requests that were handed over, or tried."""
        self.clock = clock
        self._host = host
        self._chronicle = chronicle
        self._waits = waits
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._newest: Connection | None = None
        self._stranded: list[_Stray] = []

    def stream(self) -> Connection:
        """Make a connection that is still to be opened; a `Stream` at the terminal's end."""
        return Connection(self)

    def second_stream(self) -> Connection:
        """Make one over the other road to the same host."""
        return Connection(self, is_second=True)

    def lets_in(self, *, second: bool) -> bool:
        """Tell whether somebody listens at the end of a road."""
        return not (self.second_refuses if second else self.refuses)

    def heal(self) -> None:
        """Let nothing new go wrong; what is on its way stays so."""
        self.mishaps.clear()
        self.draw = _nothing
        self.refuses = self.second_refuses = self.is_mute = False

    def hang_up(self) -> None:
        """Close the connection from the host's side, as a host that restarts does."""
        if self._newest is not None:
            self._newest.far_closed = True

    # Connections call these.

    def opened(self, connection: Connection) -> None:
        """Take a new connection, and bring what waited for one."""
        self._newest = connection
        self._let_in(connection, Follows.FIRST, "an old answer waits in the new connection")

    def next_mishap(self, data: bytes) -> Mishap:
        """Say what happens to the request that is leaving."""
        self.requests += 1
        mishap = self.mishaps.popleft() if self.mishaps else self.draw(data[LENGTH_BYTES:])
        if mishap.title:
            self._chronicle.note(f"** {mishap.title}")
            self._chronicle.counts[mishap.title] += 1
        return mishap

    def carry(self, connection: Connection, data: bytes, mishap: Mishap) -> None:
        """Bring bytes to the host, at once or later."""
        self._let_in(connection, Follows.BEHIND, "an old answer comes before the new one")
        passage = mishap.request
        if passage.lost or mishap.half_open or connection.is_dead:
            connection.is_dead = connection.is_dead or mishap.half_open
            return
        self._reach_host(connection, data[: passage.at], mishap)
        if passage.at is None:
            return
        rest = data[passage.at :]
        if passage.breaks is Break.RESUME:
            self._later(TOO_LATE_S, lambda: self._reach_host(connection, rest, mishap))
        elif passage.breaks is Break.DUPLICATE:
            self._reach_host(connection, rest + rest, mishap)

    def wait(self, connection: Connection, seconds: float) -> None:
        """Let time pass until a connection has news, at most so long."""
        end = self.clock.true_s + seconds
        while not connection.has_news:
            self._waits()
            due = self._coming[0][0] if self._coming else None
            if due is None or due > end:
                self.clock.advance(max(0.0, end - self.clock.true_s))
                return
            self.clock.advance(max(0.0, due - self.clock.true_s))
            self.deliver()

    def deliver(self) -> None:
        """Let happen what is due."""
        while self._coming and self._coming[0][0] <= self.clock.true_s:
            heapq.heappop(self._coming)[2]()

    def _later(self, seconds: float, deed: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (self.clock.true_s + seconds, self._count, deed))

    def _reach_host(self, connection: Connection, data: bytes, mishap: Mishap) -> None:
        """Let the host read what came, and send what it answers."""
        try:
            frames = connection.framer.receive(data, 0.0).frames
        except FrameError:
            self._chronicle.note("   host: bytes that are no frame; it hangs up")
            connection.far_closed = True
            return
        for frame in frames:
            reply = self._host.handle(mishap.request.spoil(frame), mishap.actions, mishap.rewrite)
            self._send(connection, reply, mishap)

    def _send(self, connection: Connection, reply: Reply, mishap: Mishap) -> None:
        """Send an answer, unless the host is kept from it."""
        if mishap.deed is Deed.TAKE_BACK:
            self._host.take_back(reply)
            return
        if mishap.deed is not Deed.ANSWER:
            connection.far_closed = True
            if mishap.deed is Deed.DIE_AND_FORGET:
                self._host.forget_sessions()
            return
        if reply.fate is Fate.CLOSE:
            connection.far_closed = True
        if reply.data is None or mishap.answer.lost:
            return
        passage = mishap.answer
        follows = Follows.BEHIND if reply.follows else passage.follows
        frame = connection.framer.send(passage.spoil(reply.data))
        if passage.again is not Follows.NOWHERE:
            self._stranded.append(_Stray(frame, passage.again, connection))
        after_s = TRANSIT_S + reply.after_s + passage.delay_s
        for _ in range(reply.copies + passage.copies - 1):
            self._later(after_s, lambda: self._bring(connection, frame, passage, follows))

    def _bring(self, connection: Connection, frame: bytes, passage: Passage, follows: Follows) -> None:
        """Bring an answer to its connection, or to a later one."""
        if connection.is_over or passage.strays:
            if follows is not Follows.NOWHERE:
                self._stranded.append(_Stray(frame, follows, connection))
            return
        if passage.at is None:
            connection.put(frame)
            return
        head, rest = frame[: passage.at], frame[passage.at :]
        connection.put(head)
        match passage.breaks:
            case Break.FIN:
                connection.far_closed = True
            case Break.RST:
                connection.is_reset = True
            case Break.STALL:
                connection.is_dead = True
            case Break.RESUME:
                self._later(TOO_LATE_S, lambda: self._bring(connection, rest, WHOLE, follows))
            case Break.DUPLICATE:
                connection.put(rest + rest)

    def _let_in(self, connection: Connection, follows: Follows, note: str) -> None:
        """Bring to a connection what has lost its own."""
        found = [each for each in self._stranded if each.follows is follows and each.origin is not connection]
        if not found:
            return
        self._stranded = [each for each in self._stranded if each not in found]
        for each in found:
            self._chronicle.note(f"** {note}")
            self._chronicle.counts[note] += 1
            connection.put(each.frame)


@dataclass(frozen=True, slots=True, eq=False)
class _Stray:
    """An answer on its way to a later connection than its own."""

    frame: bytes
    follows: Follows
    origin: Connection


def _nothing(_payload: bytes) -> Mishap:
    return SMOOTH


class Connection:
    """One connection; a `Stream`."""

    __slots__ = ("_inbox", "_is_second", "_line", "_open", "far_closed", "framer", "is_dead", "is_over", "is_reset")

    def __init__(self, line: Line, *, is_second: bool = False) -> None:
        """Prepare it; `connect` opens it. `is_second`: it goes over the other road, which nothing keeps silent."""
        self._is_second = is_second
        self._line = line
        self._inbox = bytearray()
        self._open = False
        self.framer = LengthFramer(FRAMING)
        """The host's end takes frames apart by this."""
        self.far_closed = False
        self.is_reset = False
        self.is_dead = False
        """Whether nothing passes any more, and nobody is told."""
        self.is_over = False

    @property
    def peer(self) -> str:
        """The name of the other end."""
        return PEER

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:
        """Open it."""
        if self._line.is_mute and not self._is_second:
            self._line.requests += 1
            self._line.clock.advance(timeout_s)
            reason = f"{PEER}: no answer to a connection in time"
            raise NotSent(reason, trouble=Trouble.NO_CONNECTION)
        if not self._line.lets_in(second=self._is_second):
            reason = f"{PEER}: connection refused"
            raise NotSent(reason, trouble=Trouble.REFUSED)
        self._open = True
        self._line.opened(self)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Hand a request over, and let happen to it what is to happen."""
        del timeout_s
        if not self._open or self.far_closed or self.is_reset:
            reason = f"{PEER}: not connected"
            raise NotSent(reason, trouble=Trouble.CLOSED)
        mishap = self._line.next_mishap(data)
        passage = mishap.request
        ends = passage.at is not None and passage.breaks in {Break.FIN, Break.RST}
        if ends and passage.at == 0:
            self.far_closed = True
            reason = f"{PEER}: the connection ended before a byte left"
            raise NotSent(reason, trouble=Trouble.CLOSED)
        self._line.carry(self, data, mishap)
        if ends:
            self.is_reset = True
            reason = f"{PEER}: the connection was {passage.breaks.value} while sending"
            raise NoAnswer(reason, trouble=Trouble.RESET)

    def receive(self, timeout_s: float) -> bytes:
        """Return what has come."""
        if not self.has_news and timeout_s > 0:
            self._line.wait(self, timeout_s)
        if self._inbox:
            taken = bytes(self._inbox)
            self._inbox.clear()
            return taken
        if self.is_reset or not self._open:
            reason = f"{PEER}: reset"
            raise NoAnswer(reason, trouble=Trouble.RESET)
        if self.far_closed:
            return b""
        reason = f"{PEER}: nothing came"
        raise Silence(reason, trouble=Trouble.TIMEOUT)

    def stale(self) -> bool:
        """Tell whether it is unfit for a new request."""
        self._line.deliver()
        return self.has_news

    def close(self) -> None:
        """Close it."""
        self.is_over = True
        self._open = False

    @property
    def has_news(self) -> bool:
        """Whether the terminal would not have to wait."""
        return bool(self._inbox) or self.far_closed or self.is_reset or not self._open

    def put(self, data: bytes) -> None:
        """Bring bytes to the terminal."""
        if not self.is_dead and not self.is_over:
            self._inbox += data
