"""One fault of a line, as a value: what, in which direction, when, on which connection, and until when.

A fault that cannot be, such as a flipped bit 9, is refused when it is made. `str` writes it as a person would, and
`simulators.faults.words` reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pos_engine.errors import UsageError
from simulators.faults.kinds import TABLE, Direction, Kind, Shape, Unit

BIT_MAX: Final = 7
BYTE_MAX: Final = 0xFF
PERCENT_MAX: Final = 100.0
PERCENT_MIN: Final = 0.0001
SECONDS_MIN: Final = 0.001
SECONDS_MAX: Final = 86_400.0
COUNT_MAX: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and its bounds; `UsageError` for one that cannot be.

    `at` is the number of bytes of that direction that pass unharmed before it; `percent` is a chance for every byte
    instead. `bit` is for flips. `amount` is the number beside the kind: seconds, bytes, bytes a second, or a byte's
    value. `connection` counts from 1; `None` means all. The line is smooth again after `times` strikes, after
    `connections` connections, or after `seconds`.
    """

    kind: Kind
    direction: Direction
    at: int | None = None
    bit: int = 0
    percent: float | None = None
    amount: float | None = None
    connection: int | None = None
    times: int | None = None
    connections: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        self._check_kind()
        self._check_when()
        self._check_bounds()

    @property
    def is_manner(self) -> bool:
        """Whether it begins at a byte and lasts."""
        return TABLE[self.kind].shape is Shape.MANNER

    def __str__(self) -> str:
        """Write it as `parse_fault` reads it."""
        words = [self.kind.value, self.direction.value]
        if self.amount is not None:
            words.append(_amount(self.amount, TABLE[self.kind].unit))
        if self.at is not None:
            words.append(f"at {self.at}.{self.bit}" if self.bit else f"at {self.at}")
        if self.percent is not None:
            words.append(f"{_number(self.percent)}%")
        for name in ("connection", "times", "connections"):
            count = getattr(self, name)
            if count is not None:
                words.append(f"{name} {count}")
        if self.seconds is not None:
            words.append(f"for {_number(self.seconds)}s")
        return " ".join(words)

    def _check_kind(self) -> None:
        row = TABLE[self.kind]
        name = self.kind.value
        if self.amount is None:
            if row.needs and row.unit is not None:
                _refuse(f"{name} needs a number: {name} {self.direction.value} {row.unit.value}")
            return
        if row.unit is None:
            _refuse(f"{name} takes no number beside it")
        lowest, highest = _RANGES[row.unit or Unit.BYTES]
        _check_range(f"the number beside {name}", self.amount, lowest, highest)
        if row.unit is not Unit.SECONDS and self.amount != int(self.amount):
            _refuse(f"the number beside {name} is a whole one")

    def _check_when(self) -> None:
        name = self.kind.value
        if self.at is not None and self.percent is not None:
            _refuse(f"{name} is at a byte or by chance, not both")
        if self.is_manner:
            if self.percent is not None:
                _refuse(f"{name} lasts from a byte on, so it has no chance in percent")
        elif self.at is None and self.percent is None:
            _refuse(f"{name} needs to know when: {name} {self.direction.value} at 20, or 1%")
        if self.bit and (self.kind is not Kind.FLIP or self.at is None):
            _refuse(f"{name} is not about one bit: write the byte alone")
        _check_range("a bit", self.bit, 0, BIT_MAX)

    def _check_bounds(self) -> None:
        _check_range("at", self.at, 0, COUNT_MAX)
        _check_range("a chance", self.percent, PERCENT_MIN, PERCENT_MAX)
        for name in ("connection", "times", "connections"):
            _check_range(name, getattr(self, name), 1, COUNT_MAX)
        _check_range("for", self.seconds, SECONDS_MIN, SECONDS_MAX)


_RANGES: Final = {
    Unit.SECONDS: (SECONDS_MIN, SECONDS_MAX),
    Unit.RATE: (1, COUNT_MAX),
    Unit.BYTES: (1, COUNT_MAX),
    Unit.VALUE: (0, BYTE_MAX),
}


def _refuse(reason: str) -> None:
    raise UsageError(reason)


def _check_range(name: str, value: float | None, lowest: float, highest: float) -> None:
    if value is not None and not lowest <= value <= highest:
        _refuse(f"{name} is from {_number(lowest)} to {_number(highest)}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _amount(value: float, unit: Unit | None) -> str:
    if unit is Unit.SECONDS:
        return f"{_number(value)}s"
    if unit is Unit.RATE:
        return f"{_number(value)}B/s"
    return f"0x{int(value):02X}" if unit is Unit.VALUE else _number(value)
