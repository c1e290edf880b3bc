"""A message format as data: MTI, bitmaps and the table of data elements. It checks itself when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import LocalProtocolError
from pos_engine.wire.field import Content, Encoding, FieldSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

BITMAPS_MAX: Final = 3
"""ISO 8583 defines elements up to 192."""

_EXTENSIONS: Final = frozenset({1, 65})
"""These bits announce the second and third bitmap, so no element has their number."""


@dataclass(frozen=True, slots=True, eq=False)
class MessageSpec:
    """A whole dialect's messages: name, encodings of MTI and bitmap, how many bitmaps, the elements by number.

    Compared by identity, so that what is built of a spec once can be kept under it.
    """

    name: str
    mti: Encoding
    bitmap: Encoding
    bitmaps: int
    """1: fields 2 to 64; 2: to 128 (field 1); 3: to 192 (field 65)."""
    fields: Mapping[int, FieldSpec]

    def __post_init__(self) -> None:
        """Refuse a table that contradicts itself, at import time instead of at the till."""
        if not 1 <= self.bitmaps <= BITMAPS_MAX:
            reason = f"a message has 1 to {BITMAPS_MAX} bitmaps"
            raise LocalProtocolError(reason, field=1)
        for number, field in self.fields.items():
            if field.number != number or number in _EXTENSIONS or not 1 <= number <= 64 * self.bitmaps:
                reason = "is listed under another number, or outside the bitmaps, or announces a bitmap"
                raise LocalProtocolError(reason, field=number)
            if (field.content is Content.B) != (field.encoding is Encoding.BINARY):
                reason = "binary content and binary encoding go together"
                raise LocalProtocolError(reason, field=number)
            if field.encoding is Encoding.BCD and field.content not in {Content.N, Content.Z}:
                reason = "only digits and tracks are packed"
                raise LocalProtocolError(reason, field=number)
            if not field.length.fixed and field.length.size >= 10**field.length.prefix:
                reason = "its longest value does not fit its length prefix"
                raise LocalProtocolError(reason, field=number)


def table(*fields: FieldSpec) -> dict[int, FieldSpec]:
    """Index field specs by number; a number given twice is refused."""
    numbered = {field.number: field for field in fields}
    if len(numbered) != len(fields):
        reason = "a field is listed twice"
        raise LocalProtocolError(reason)
    return numbered
