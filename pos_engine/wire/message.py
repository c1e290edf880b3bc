"""A message: an MTI and its data elements as text. Immutable; its `repr` names fields and never shows a value."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping
from functools import lru_cache

from pos_engine.limits import SHAPES_MAX


@lru_cache(maxsize=SHAPES_MAX)
def _places(numbers: tuple[int, ...]) -> dict[int, int]:
    """Where each number stands: most messages have the same elements as one before them."""
    return {number: place for place, number in enumerate(numbers)}


class Message(Mapping[int, str]):
    """An MTI and the values of the data elements that are present, in ascending order of their numbers."""

    # Values in a tuple, and where each number stands in it: messages with the same elements share the second, so that
    # one is made without filling a dict. Nothing ever changes them; `wire.compiled` sets them, `wire.codec` reads them.
    __slots__ = ("_numbers", "_places", "_values", "mti")

    def __init__(self, mti: str, fields: Mapping[int, str]) -> None:
        """Take the MTI (four digits) and the values by field number; bitmaps are not fields."""
        self.mti = mti
        given = tuple(fields)
        self._numbers = tuple(sorted(given))
        ordered = self._numbers == given
        self._values = tuple(fields.values()) if ordered else tuple([fields[number] for number in self._numbers])
        self._places = _places(self._numbers)

    def __getitem__(self, number: int) -> str:
        """Return the value of a data element; absent ones raise `KeyError`."""
        return self._values[self._places[number]]

    def __contains__(self, number: object) -> bool:
        """Whether a data element is present."""
        return number in self._places

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers of the elements present, ascending."""
        return iter(self._numbers)

    def __len__(self) -> int:
        """Return how many elements are present."""
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        """Compare MTI and values."""
        if not isinstance(other, Message):
            return False
        return (self.mti, self._numbers, self._values) == (other.mti, other._numbers, other._values)

    def __hash__(self) -> int:
        """Hash MTI and values."""
        return hash((self.mti, self._numbers, self._values))

    def __repr__(self) -> str:
        """Name what is there; values may be secret, so they are left to `wire.describe`."""
        return f"<Message {self.mti} with fields {' '.join(map(str, self._numbers))}>"

    def items(self) -> ItemsView[int, str]:
        """Return numbers and values, ascending."""
        return self._dict().items()

    def replace(self, changes: Mapping[int, str], *, mti: str | None = None) -> Message:
        """Return a copy with some values added or changed, and perhaps another MTI."""
        return Message(mti or self.mti, {**self._dict(), **changes})

    def only(self, numbers: Collection[int]) -> Message:
        """Return a copy that has no other elements than these."""
        return Message(self.mti, {number: value for number, value in self._pairs() if number in numbers})

    def without(self, *numbers: int) -> Message:
        """Return a copy that lacks some elements."""
        return Message(self.mti, {number: value for number, value in self._pairs() if number not in numbers})

    def _dict(self) -> dict[int, str]:
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[int, str]]:
        return zip(self._numbers, self._values, strict=True)
