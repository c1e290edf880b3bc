"""What a rule looks at: one condition is one part of a request and what it has to be. Pure, and safe to print.

A part is named as people name it: "mti", "kind", "card", a data element "4", or what it is composed of, "60.1". Digits
compare as numbers in a range and as text everywhere else. A part that is absent meets no condition but "absent".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pos_engine.dialects.base import Kind
    from pos_engine.wire.composite import Cut, Part
    from pos_engine.wire.message import Message

MTI: Final = "mti"
KIND: Final = "kind"
CARD: Final = "card"


@dataclass(frozen=True, slots=True)
class Facts:
    """A request as rules see it.

    `cut` is the dialect's. `card` tells the name of the simulated card that is presented, empty for none that the host
    knows; it is asked only when a rule wants to know.
    """

    message: Message
    kind: Kind | None
    cut: Cut = field(repr=False)
    card: Callable[[], str] = field(default=str, repr=False)

    def part(self, name: str) -> str | None:
        """Return a part of the request by its name, `None` where it has none."""
        if name == MTI:
            return self.message.mti
        if name == KIND:
            return self.kind.value if self.kind is not None else None
        if name == CARD:
            return self.card() or None
        number, _, inner = name.partition(".")
        if not inner:
            return self.message.get(int(number))
        found = _find(self.cut(self.message, int(number)), {name, inner})
        return found.value if found is not None else None


def _find(parts: Iterable[Part], names: set[str]) -> Part | None:
    """Look for a part by its full number (60.1) or its tag (9F26), also inside others."""
    for part in parts:
        inner = part if part.key in names else _find(part.children, names)
        if inner is not None:
            return inner
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What one part has to be. Everything that is set must hold; nothing set means that the part is there."""

    part: str
    one_of: tuple[str, ...] | None = None
    prefix: str | None = None
    suffix: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    present: bool = True

    def holds(self, facts: Facts) -> bool:
        """Tell whether a request meets this condition."""
        value = facts.part(self.part)
        if value is None or not self.present:
            return (value is not None) == self.present
        return (
            (self.one_of is None or value in self.one_of)
            and (self.suffix is None or value.endswith(self.suffix))
            and (self.prefix is None or value.startswith(self.prefix))
            and ((self.at_least is None and self.at_most is None) or self._in_range(value))
        )

    def _in_range(self, value: str) -> bool:
        if not (value.isascii() and value.isdigit()):
            return False
        low = int(value) >= self.at_least if self.at_least is not None else True
        high = int(value) <= self.at_most if self.at_most is not None else True
        return low and high
