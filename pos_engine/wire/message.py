"""A message: an MTI and its data elements as text. Immutable; its `repr` names fields and never shows a value."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


class Message(Mapping[int, str]):
    """An MTI and the values of the data elements that are present, in ascending order of their numbers."""

    __slots__ = ("_fields", "mti")

    def __init__(self, mti: str, fields: Mapping[int, str]) -> None:
        """Take the MTI (four digits) and the values by field number; bitmaps are not fields."""
        self.mti = mti
        numbers = list(fields)
        ordered = numbers == sorted(numbers)
        # Nobody else ever gets hold of this dict: decoders of `wire.compiled` fill it, everything here only reads it.
        self._fields: dict[int, str] = dict(fields) if ordered else dict(sorted(fields.items()))

    def __getitem__(self, number: int) -> str:
        """Return the value of a data element; absent ones raise `KeyError`."""
        return self._fields[number]

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers of the elements present, ascending."""
        return iter(self._fields)

    def __len__(self) -> int:
        """Return how many elements are present."""
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        """Compare MTI and values."""
        return isinstance(other, Message) and self.mti == other.mti and dict(self) == dict(other)

    def __hash__(self) -> int:
        """Hash MTI and values."""
        return hash((self.mti, tuple(self._fields.items())))

    def __repr__(self) -> str:
        """Name what is there; values may be secret, so they are left to `wire.describe`."""
        return f"<Message {self.mti} with fields {' '.join(map(str, self._fields))}>"

    def replace(self, changes: Mapping[int, str], *, mti: str | None = None) -> Message:
        """Return a copy with some values added or changed, and perhaps another MTI."""
        return Message(mti or self.mti, {**self._fields, **changes})

    def only(self, numbers: Collection[int]) -> Message:
        """Return a copy that has no other elements than these."""
        return Message(self.mti, {number: value for number, value in self._fields.items() if number in numbers})

    def without(self, *numbers: int) -> Message:
        """Return a copy that lacks some elements."""
        return Message(self.mti, {number: value for number, value in self._fields.items() if number not in numbers})
