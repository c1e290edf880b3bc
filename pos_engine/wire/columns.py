"""Fixed-digit layouts as columns: the header, the TPDU, fields 60, 61 and 48 are read by one slicer.

A layout is a tuple of named columns. Trailing ones may be absent, because terminals send field 60 in many lengths; one
that is cut in the middle is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from pos_engine.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pos_engine.values import Text


@dataclass(frozen=True, slots=True)
class Column:
    """One part of a fixed-digit layout: its number within the field (60.1), name and width in digits."""

    key: str
    name: Text
    width: int


@dataclass(frozen=True, slots=True)
class Columns:
    """A fixed-digit layout."""

    columns: tuple[Column, ...]
    digits: int = field(init=False, compare=False)
    """Digits of a full value."""
    places: Mapping[str, slice] = field(init=False, compare=False, repr=False)
    """Where each column stands in a value, by key."""

    def __post_init__(self) -> None:
        """Find the places once: a column is read from every message."""
        ends = list(accumulate(column.width for column in self.columns))
        starts = [0, *ends][: len(ends)]
        places = {column.key: slice(*place) for column, *place in zip(self.columns, starts, ends, strict=True)}
        object.__setattr__(self, "digits", ends[-1] if ends else 0)
        object.__setattr__(self, "places", places)

    def read(self, value: str, *, field: int | None = None) -> dict[str, str]:
        """Cut a value into its columns by key; absent trailing columns are left out."""
        parts: dict[str, str] = {}
        start = 0
        for column in self.columns:
            if start == len(value):
                return parts
            part = value[start : start + column.width]
            if len(part) != column.width:
                reason = f"ends inside {column.key}"
                raise DecodeError(reason, field=field)
            parts[column.key] = part
            start += column.width
        if start != len(value):
            reason = f"has {len(value)} digits, its layout {start}"
            raise DecodeError(reason, field=field)
        return parts

    def get(self, value: str, key: str) -> str | None:
        """Return one column of a value, or `None` when the value ends before it."""
        place = self.places[key]
        return value[place] if place.stop <= len(value) else None

    def join(self, parts: Iterable[str]) -> str:
        """Put leading columns together, each checked for its width."""
        joined = list(parts)
        for column, part in zip(self.columns, joined, strict=False):
            if len(part) != column.width:
                reason = f"{column.key} takes {column.width} digits"
                raise LocalProtocolError(reason)
        return "".join(joined)
