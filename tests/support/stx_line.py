"""Two ends of a serial line in memory under a virtual clock, and what may go wrong with each byte between them.

The line carries whole writes, one after the other, each `TRANSIT_S` later at the other end. A `Fault` strikes the nth
byte written by one end, once; `lost` says which further words or frames never arrive.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from pos_engine.errors import FrameError
from pos_engine.framing.line import ACK, EOT, NAK, STX, LineTimers
from pos_engine.framing.stx import StxFramer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.framing.base import Received

TRANSIT_S: Final = 0.001
TIMERS: Final = LineTimers(ack_s=1.0, inter_byte_s=0.1)
EVENTS_MAX: Final = 2_000
"""Far more than any exchange may take: a line that goes on past it never ends."""


class Mishap(enum.Enum):
    """What happens to one byte."""

    DROP = "it is lost"
    DOUBLE = "it comes twice"
    INSERT = "another one comes before it"
    FLIP = "one of its bits is inverted"


@dataclass(frozen=True, slots=True)
class Fault:
    """A mishap of the byte `at` of all that `end` writes; `value` is the bit, or the byte that is inserted."""

    end: str
    at: int
    mishap: Mishap
    value: int = 0

    def strike(self, data: bytes, before: int) -> bytes:
        """Change a piece of which `before` bytes were written earlier."""
        place = self.at - before
        if not 0 <= place < len(data):
            return data
        byte = data[place]
        changed = {
            Mishap.DROP: b"",
            Mishap.DOUBLE: bytes([byte, byte]),
            Mishap.INSERT: bytes([self.value, byte]),
            Mishap.FLIP: bytes([byte ^ (1 << self.value % 8)]),
        }[self.mishap]
        return data[:place] + changed + data[place + 1 :]


def untouched(_end: str, data: bytes) -> bytes:
    return data


@dataclass(slots=True)
class End:
    """One framer, what its application was handed, and what it wrote."""

    name: str
    framer: StxFramer
    answers: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    """What the application says when it gets a payload."""
    delivered: list[bytes] = field(default_factory=list)
    failed: str | None = None
    wrote: int = 0
    words: Counter[int] = field(default_factory=Counter)
    frames: Counter[bytes] = field(default_factory=Counter)
    wake_at: float | None = None


class Line:
    """The two ends, "terminal" and "host", and the time."""

    def __init__(
        self,
        *faults: Fault,
        passes: Callable[[str, bytes], bytes] = untouched,
        echoes: bool = False,
        delay_s: float = 0.0,
        timers: LineTimers = TIMERS,
        opens: bool = False,
    ) -> None:
        self.now = 0.0
        self.ends = {name: End(name, StxFramer(timers=timers, opens=opens)) for name in ("terminal", "host")}
        self.terminal, self.host = self.ends["terminal"], self.ends["host"]
        self._faults = faults
        self._passes = passes
        self._echoes = echoes
        self._delay_s = delay_s
        self._queue: list[tuple[float, int, str, bytes, bool]] = []
        self._order = count()
        self.events = 0

    def strike(self, fault: Fault) -> None:
        """Let another fault happen."""
        self._faults = (*self._faults, fault)

    def answer(self, request: bytes, *answers: bytes) -> None:
        self.host.answers[request] = answers

    def send(self, name: str, payload: bytes) -> None:
        """Send as a link does: the bytes, and then the time."""
        end = self.ends[name]
        self._put(end, end.framer.send(payload))
        self._call(end, b"")

    def put(self, name: str, data: bytes, *, at: float | None = None) -> None:
        """Let bytes of nobody come in at an end."""
        heapq.heappush(self._queue, (self.now if at is None else at, next(self._order), name, data, False))

    def run(self, until: float = 600.0) -> None:
        """Let everything happen that happens until then."""
        while True:
            due = [(end.wake_at, end) for end in self.ends.values() if end.wake_at is not None and end.failed is None]
            wake_at, sleeper = min(due, key=lambda each: each[0], default=(None, None))
            next_at = self._queue[0][0] if self._queue else None
            moment = min((at for at in (wake_at, next_at) if at is not None), default=None)
            if moment is None or moment > until:
                self.now = until
                return
            self.events += 1
            assert self.events < EVENTS_MAX, "the line never ends"
            self.now = max(self.now, moment)
            if next_at is not None and next_at <= moment:
                self._arrive()
            elif sleeper is not None:
                sleeper.wake_at = None
                self._call(sleeper, b"")

    def _arrive(self) -> None:
        _, _, name, data, is_answer = heapq.heappop(self._queue)
        end = self.ends[name]
        if is_answer:
            if end.failed is None:
                self.send(name, data)
        else:
            self._call(end, data)

    def _call(self, end: End, data: bytes) -> None:
        if end.failed is not None:
            return
        try:
            received = end.framer.receive(data, self.now)
        except FrameError as error:
            end.failed = str(error)
            return
        assert received.wake_at is None or received.wake_at > self.now
        end.wake_at = received.wake_at
        self._put(end, received.writes)
        self._take(end, received)

    def _take(self, end: End, received: Received) -> None:
        for payload in received.frames:
            end.delivered.append(payload)
            for answer in end.answers.get(payload, ()):
                heapq.heappush(self._queue, (self.now + self._delay_s, next(self._order), end.name, answer, True))

    def _put(self, end: End, data: bytes) -> None:
        if not data:
            return
        if STX in data[:2]:
            # Behind an EOT, where it is the first of a line that was opened.
            end.frames[data.removeprefix(bytes([EOT]))] += 1
        else:
            end.words.update(byte for byte in data[:1] if byte in {ACK, NAK, EOT})
        changed = data
        for fault in self._faults:
            if fault.end == end.name:
                changed = fault.strike(changed, end.wrote)
        end.wrote += len(data)
        other = self.terminal if end is self.host else self.host
        at = self.now + TRANSIT_S
        if self._echoes:
            heapq.heappush(self._queue, (at, next(self._order), end.name, data, False))
        passed = self._passes(end.name, changed)
        if passed:
            heapq.heappush(self._queue, (at, next(self._order), other.name, passed, False))
