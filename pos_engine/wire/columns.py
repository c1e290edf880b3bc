"""Fixed-digit layouts as columns: the header, the TPDU, fields 60, 61 and 48 are read by one slicer.

A layout is a tuple of named columns. Trailing ones may be absent, because terminals send field 60 in many lengths; one
that is cut in the middle is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        start = 0
        for column in self.columns:
            if column.key == key:
                return value[start : start + column.width] if start + column.width <= len(value) else None
            start += column.width
        raise KeyError(key)

    def join(self, parts: Iterable[str]) -> str:
        """Put leading columns together, each checked for its width."""
        joined = list(parts)
        for column, part in zip(self.columns, joined, strict=False):
            if len(part) != column.width:
                reason = f"{column.key} takes {column.width} digits"
                raise LocalProtocolError(reason)
        return "".join(joined)
