"""One direction of one connection: bytes and time in, bytes and actions out, each with its moment. Pure.

    lane.push(data, now)      what came from the sender
    lane.end(now)             the sender closed
    lane.next(now)            the next thing to do, or None while nothing is due
    lane.wake_at              when something will be due; None: not before something comes, or is released

Everything leaves in the order in which it came; a pause holds up all that is behind it. Where several faults meet at
one byte they strike in the order of the plan.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from simulators.faults.kinds import TABLE, Kind, Shape

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping

    from simulators.faults.fault import Fault
    from simulators.faults.kinds import Direction

QUEUE_BYTES_MAX: Final = 65_536
"""A lane that holds so much is full: no more is read from its sender."""

SPLIT_PAUSE_S: Final = 0.001
"""Between the pieces of a split: long enough for each to be read alone on an idle machine."""

THROTTLE_PIECE_S: Final = 0.01
"""A throttled line passes what belongs to so much time at once."""

_BITS: Final = 8
_BYTE_VALUES: Final = 256
_PERCENT: Final = 100.0


class Act(enum.Enum):
    """What to do with the connection, behind the bytes that came before."""

    WRITE = "write the bytes, if there are any"
    END = "the sender has closed: pass that on"
    FIN = "close both ways in order"
    RST = "reset both ends"
    SILENCE = "from now on nothing passes, either way, and nobody is told"
    UNPLUG = "hang up the terminal's end"


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that struck: on which connection, and how many bytes of its direction had come before."""

    fault: Fault
    connection: int
    offset: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: note the strikes, then act, then write."""

    act: Act
    data: bytes = b""
    strikes: tuple[Strike, ...] = ()
    pause_s: float | None = None
    """For `UNPLUG`: after which time the line is put back; `None` leaves it."""


class Charged(Protocol):
    """What a lane needs to know of a fault under way (`simulators.faults.plan.Charge`)."""

    fault: Fault
    strikes: int
    released: bool
    until: float

    def is_over(self, now: float) -> bool:
        """Whether its time is over, or it was called off."""
        ...

    def is_live(self, now: float) -> bool:
        """Whether it may still strike."""
        ...


@dataclass(slots=True, eq=False)
class _Armed:
    """A fault on this lane: its source of chance, and the offset at which it strikes next."""

    charge: Charged
    chance: random.Random
    since: int
    place: int | None

    @property
    def shape(self) -> Shape:
        """When its kind does what it does."""
        return TABLE[self.charge.fault.kind].shape

    def go_on(self, offset: int) -> None:
        """Draw the next place behind `offset`, or be done."""
        percent = self.charge.fault.percent
        self.place = None if percent is None else offset + gap(percent, self.chance)


@dataclass(slots=True)
class _Item:
    """Something in the queue, and when it is due. A hold is due when its charge is released, or at its end."""

    due: float
    step: Step
    hold: Charged | None = None


def gap(percent: float, chance: random.Random) -> int:
    """Draw how many bytes pass before the next that is struck, each being struck with that chance."""
    if percent >= _PERCENT:
        return 0
    return int(math.log(1.0 - chance.random()) / math.log(1.0 - percent / _PERCENT))


class Lane:
    """A machine for one direction; `Plan.lane` makes it."""

    def __init__(self, connection: int, direction: Direction) -> None:
        """Begin with a smooth lane."""
        self.connection = connection
        self.direction = direction
        self._came = 0
        self._held = 0
        self._over = False
        self._armed: list[_Armed] = []
        self._manners: list[Charged] = []
        self._queue: deque[_Item] = deque()
        self._last_due = -math.inf
        self._window_ends = -math.inf
        self._free_at = -math.inf
        self._again = False

    def arm(self, charge: Charged, chance: random.Random) -> None:
        """Let a fault strike here, counting bytes from now."""
        fault = charge.fault
        armed = _Armed(charge, chance, self._came, None)
        if fault.percent is None:
            armed.place = self._came + (fault.at or 0)
        else:
            armed.go_on(self._came)
        self._armed.append(armed)

    @property
    def full(self) -> bool:
        """Whether the lane holds all it may."""
        return self._held >= QUEUE_BYTES_MAX

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be done."""
        return not self._queue

    @property
    def wake_at(self) -> float | None:
        """When the next thing is due; `None`: when something comes or is released."""
        if not self._queue:
            return None
        due = self._queue[0].due
        return None if due == math.inf else due

    def push(self, data: bytes, now: float) -> None:
        """Take what the sender sent."""
        rest = data
        while not self._over:
            armed = self._next_armed(len(rest), now)
            left = len(rest) if armed is None or armed.place is None else armed.place - self._came
            self._pass(rest[:left], now)
            self._came += left
            if armed is None:
                break
            rest = self._strike(armed, rest[left:], now)
        if self._again and not self._over:
            self._pass(data, now)
        self._again = False

    def end(self, now: float) -> None:
        """Take the sender's end."""
        if not self._over:
            self._over = True
            self._put(Step(Act.END), now)

    def discard(self) -> None:
        """Pass nothing any more."""
        self._over = True
        self._held = 0
        self._queue.clear()

    def next(self, now: float) -> Step | None:
        """Return the next thing to do; bytes that are due at the same moment in one piece."""
        while self._queue and self._is_due(self._queue[0], now):
            item = self._queue.popleft()
            if item.hold is not None:
                continue
            step = self._joined(item) if item.step.act is Act.WRITE else item.step
            self._held -= len(step.data)
            return step
        return None

    def _joined(self, item: _Item) -> Step:
        data, strikes = [item.step.data], list(item.step.strikes)
        while self._queue and self._queue[0].hold is None and self._queue[0].due == item.due:
            step = self._queue[0].step
            if step.act is not Act.WRITE:
                break
            self._queue.popleft()
            data.append(step.data)
            strikes.extend(step.strikes)
        return Step(Act.WRITE, b"".join(data), tuple(strikes))

    @staticmethod
    def _is_due(item: _Item, now: float) -> bool:
        return now >= item.due or (item.hold is not None and item.hold.released)

    def _next_armed(self, length: int, now: float) -> _Armed | None:
        """Find the fault that strikes first in the next `length` bytes or right behind them; forget what is over.

        What strikes before a byte comes before what is done to that byte.
        """
        self._armed = [each for each in self._armed if each.place is not None and each.charge.is_live(now)]
        end = self._came + length
        found, first = None, (end, True)
        for each in self._armed:
            place = (each.place or 0, each.shape is Shape.BYTE)
            if place < first:
                found, first = each, place
        return found

    def _strike(self, armed: _Armed, rest: bytes, now: float) -> bytes:
        """Let a fault strike before `rest`; returns what is still to be looked at."""
        if armed.shape is Shape.BYTE:
            self._damage(rest[:1], now)
            return rest[1:]
        strike = self._struck(armed)
        if armed.shape is Shape.MANNER:
            self._manners.append(armed.charge)
            self._pass(b"", now, strike)
            return rest
        return self._strike_between(armed, strike, rest, now)

    def _struck(self, armed: _Armed) -> Strike:
        armed.charge.strikes += 1
        armed.go_on(self._came + 1)
        return Strike(armed.charge.fault, self.connection, self._came)

    def _damage(self, byte: bytes, now: float) -> None:
        """Let all faults that strike the next byte do so, each what the one before it has left."""
        strikes = []
        for armed in self._armed:
            if armed.shape is Shape.BYTE and armed.place == self._came and armed.charge.is_live(now):
                fault = armed.charge.fault
                self._again = self._again or fault.kind is Kind.REPEAT
                byte = _DAMAGE[fault.kind](byte, fault, armed.chance)
                strikes.append(self._struck(armed))
        self._pass(byte, now, *strikes)
        self._came += 1

    def _strike_between(self, armed: _Armed, strike: Strike, rest: bytes, now: float) -> bytes:
        fault = armed.charge.fault
        if fault.kind is Kind.INSERT:
            value = armed.chance.randrange(_BYTE_VALUES) if fault.amount is None else int(fault.amount)
            self._pass(bytes([value]), now, strike)
            return rest
        if fault.kind is Kind.STALL:
            self._pass(b"", now, strike)
            until = armed.charge.until if fault.amount is None else min(armed.charge.until, now + fault.amount)
            self._queue.append(_Item(until, Step(Act.WRITE), armed.charge))
            return rest
        self._over = True
        self._put(Step(_ENDS[fault.kind], strikes=(strike,), pause_s=fault.amount), now)
        return b""

    def _pass(self, data: bytes, now: float, *strikes: Strike) -> None:
        """Queue bytes, in the manner that is in force."""
        self._manners = [each for each in self._manners if not each.is_over(now)]
        if not data:
            if strikes:
                self._put(Step(Act.WRITE, strikes=strikes), now)
            return
        for piece, due in self._in_manner(data, now):
            self._put(Step(Act.WRITE, piece, strikes), due)
            strikes = ()

    def _put(self, step: Step, due: float) -> None:
        self._last_due = max(self._last_due, due)
        self._held += len(step.data)
        self._queue.append(_Item(self._last_due, step))

    def _in_manner(self, data: bytes, now: float) -> Iterator[tuple[bytes, float]]:
        """Cut bytes into the pieces in which they leave, each with its moment."""
        numbers = [(each.fault.kind, each.fault.amount or 0.0) for each in self._manners]
        windows = [amount for kind, amount in numbers if kind is Kind.MERGE]
        if windows and now >= self._window_ends:
            self._window_ends = now + max(windows)
        due = max(now, self._window_ends) if windows else now
        due += sum(amount for kind, amount in numbers if kind is Kind.DELAY)
        rates = [amount for kind, amount in numbers if kind is Kind.THROTTLE]
        sizes = [int(amount) for kind, amount in numbers if kind is Kind.SPLIT]
        pause_s = SPLIT_PAUSE_S if sizes else 0.0
        sizes.extend(math.ceil(rate * THROTTLE_PIECE_S) for rate in rates)
        size = min(sizes, default=len(data))
        byte_s = 1.0 / min(rates) if rates else 0.0
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            due = max(due, self._free_at)
            yield piece, due
            self._free_at = due + max(pause_s, len(piece) * byte_s)


def _flip(data: bytes, fault: Fault, chance: random.Random) -> bytes:
    bit = fault.bit if fault.percent is None else chance.randrange(_BITS)
    return bytes([data[0] ^ (1 << bit)]) + data[1:] if data else data


_DAMAGE: Final[Mapping[Kind, Callable[[bytes, Fault, random.Random], bytes]]] = {
    Kind.FLIP: _flip,
    Kind.DROP: lambda _data, _fault, _chance: b"",
    Kind.DOUBLE: lambda data, _fault, _chance: data * 2,
    Kind.REPEAT: lambda data, _fault, _chance: data,
}

_ENDS: Final[Mapping[Kind, Act]] = {
    Kind.FIN: Act.FIN,
    Kind.RST: Act.RST,
    Kind.HALF_OPEN: Act.SILENCE,
    Kind.UNPLUG: Act.UNPLUG,
}
