"""The faults of a line under way: which have struck how often, and which are over. Pure: time comes in as a number.

A plan makes a `Lane` for each direction of each connection. What chance decides follows from the seed, the fault's
place in the plan, the connection's number and the direction, so the same bytes meet the same faults again.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.faults.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulators.faults.fault import Fault
    from simulators.faults.kinds import Direction


@dataclass(slots=True, eq=False)
class Charge:
    """One fault of a plan, and what has become of it; shared by all lanes it may strike on."""

    fault: Fault
    number: int
    first_connection: int
    """The connection it may strike on first, and"""
    last_connection: float
    """the one it may strike on last, for a fault that lasts so many connections."""
    until: float
    """When it is over, in the plan's time."""
    strikes: int = 0
    released: bool = False
    """Whether what it stalls goes on."""
    called_off: bool = False

    def is_over(self, now: float) -> bool:
        """Whether its time is over, or it was called off."""
        return self.called_off or now >= self.until

    def is_live(self, now: float) -> bool:
        """Whether it may still strike."""
        spent = self.fault.times is not None and self.strikes >= self.fault.times
        return not (spent or self.is_over(now))

    def concerns(self, connection: int, direction: Direction) -> bool:
        """Whether it may strike on this lane at all."""
        fault = self.fault
        is_meant = self.first_connection <= connection <= self.last_connection
        return direction is fault.direction and fault.connection in (None, connection) and is_meant


class Plan:
    """Faults, a seed, and the time at which they begin to count."""

    __slots__ = ("_charges", "_made", "_seed")

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0, now: float = 0.0) -> None:
        """Take the faults in the order in which they are to strike where several meet."""
        self._seed = seed
        self._made = 0
        self._charges: list[Charge] = []
        for fault in faults:
            self.add(fault, now)

    def add(self, fault: Fault, now: float, *, seen: int = 0, newest: int | None = None) -> Charge:
        """Add a fault; lanes that exist already are told by `Lane.arm`.

        There have been `seen` connections. Where it lasts so many, the `newest` that is open counts as the first, and
        those to come as the others.
        """
        until = math.inf if fault.seconds is None else now + fault.seconds
        first, last = 1, math.inf
        if fault.connections is not None:
            first = seen + 1 if newest is None else newest
            last = seen + fault.connections - (newest is not None)
        charge = Charge(fault, self._made, first, last, until)
        self._made += 1
        self._charges.append(charge)
        return charge

    def lane(self, connection: int, direction: Direction) -> Lane:
        """Return the lane of one direction of a connection, which counts from 1."""
        lane = Lane(connection, direction)
        for charge in self._charges:
            self.arm(lane, charge)
        return lane

    def arm(self, lane: Lane, charge: Charge) -> None:
        """Let a fault strike on a lane, if it is meant for it: bytes count from now."""
        if charge.concerns(lane.connection, lane.direction):
            lane.arm(charge, self._chance(lane, charge))

    def release(self) -> None:
        """Let go on what has stalled, now or later, by the faults that are in the plan now."""
        for charge in self._charges:
            charge.released = True

    def smooth(self) -> None:
        """End all faults; what has stalled goes on."""
        self.release()
        for charge in self._charges:
            charge.called_off = True
        self._charges.clear()

    def _chance(self, lane: Lane, charge: Charge) -> random.Random:
        name = f"{self._seed} {charge.number} {lane.connection} {lane.direction.value}"
        return random.Random(name)  # noqa: S311 - the same seed has to give the same faults
