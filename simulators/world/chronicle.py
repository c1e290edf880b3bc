"""What happened in a world: observations for the judge, and lines for a person. Safe to print: masked like any log.

Lines are written only where somebody wants to read them, because most lives nobody reads; what happens is the same.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import unpack
from pos_engine.errors import RemoteProtocolError
from pos_engine.wire.describe import summary
from simulators.invariants.observations import Arrived, Attempted, Ended, Left, Ordered, Restarted, Shown, Synced

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect
    from simulators.world.clock import WorldClock

Observation = Attempted | Synced | Left | Arrived | Shown | Ordered | Ended | Restarted
MINOR_DIGITS: Final = 2


class Chronicle:
    """The observations of one life, its figures, and, if it `tells`, its history as text."""

    __slots__ = ("_clock", "_dialect", "_lines", "counts", "seen", "tells")

    def __init__(self, clock: WorldClock, dialect: Dialect, *, tells: bool) -> None:
        """Begin an empty one; `clock` stamps its lines."""
        self._clock = clock
        self._dialect = dialect
        self._lines: list[str] = []
        self.tells = tells
        self.seen: list[Observation] = []
        self.counts: Counter[str] = Counter()
        """How often something worth counting happened, by name."""

    def saw(self, observation: Observation) -> None:
        """Keep an observation."""
        self.seen.append(observation)
        if self.tells:
            self.note(self._told(observation))

    def note(self, text: str) -> None:
        """Write a line; `text` is shown as it is, so it holds nothing secret."""
        if self.tells:
            now = self._clock.now()
            self._lines.append(f"{self._clock.true_s:14.6f}  {now.boot:7}  {now.wall:%Y-%m-%d %H:%M:%S}  {text}\n")

    def text(self) -> str:
        """Return all lines."""
        return "".join(self._lines)

    def _told(self, seen: Observation) -> str:
        match seen:
            case Synced(body=body):
                told = json.loads(body)
                notes = f" ({told['notes'][-1]})" if told["notes"] else ""
                text = f"   journal: {told['number']} {told['kind']} {told['stan']} {told['state']}{notes}"
            case Attempted():
                text = "   journal: a save begins that will fail"
            case Left(data=data):
                text = f"-> {self._message(data)}"
            case Arrived(data=data, authentic=authentic):
                text = f"<- {self._message(data)}{'' if authentic else ' (spoiled)'}"
            case Shown(number=number, outcome=outcome, amount_minor=amount):
                text = f"   shown: {number} {outcome}{_yuan(amount)}"
            case Ordered(kind=kind, amount_minor=amount, key=key):
                text = f"== {kind}{_yuan(amount)}{f' under key {key}' if key else ''}"
            case Ended(how=how, seconds=seconds):
                text = f"   ended after {seconds:.3f} s: {how}"
            case _:
                text = "== the terminal starts"
        return text

    def _message(self, data: bytes) -> str:
        fault = ""
        try:
            return summary(unpack(self._dialect, data).message, self._dialect.spec)
        except RemoteProtocolError as error:
            fault = str(error)
        return f"{len(data)} bytes that are no message: {fault}"


def _yuan(minor: int | None) -> str:
    if minor is None:
        return ""
    sign, digits = "-" if minor < 0 else "", f"{abs(minor):03d}"
    return f" {sign}{digits[:-MINOR_DIGITS]}.{digits[-MINOR_DIGITS:]}"
