"""A message format as data: MTI, bitmaps and the table of data elements. It checks itself when it is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Final

from pos_engine.errors import LocalProtocolError
from pos_engine.limits import SHAPES_MAX
from pos_engine.wire.field import Content, Encoding, FieldSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pos_engine.wire.message import Message

    Decoder = Callable[[bytes], Message | None]
    Encoder = Callable[[str, tuple[str, ...]], bytes | None]

BITMAPS_MAX: Final = 3
"""ISO 8583 defines elements up to 192."""

_EXTENSIONS: Final = frozenset({1, 65})
"""These bits announce the second and third bitmap, so no element has their number."""


@dataclass(slots=True, eq=False)
class Shapes:
    """What `wire.compiled` made of a catalogue: functions by the first bitmap's bytes, and by the elements' numbers."""

    head: slice = field(default_factory=lambda: slice(0))
    """Where the first bitmap stands in a message."""
    decoders: dict[bytes, Decoder] = field(default_factory=dict)
    encoders: dict[tuple[int, ...], Encoder] = field(default_factory=dict)
    ready: bool = False


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
    catalogue: frozenset[frozenset[int]] = frozenset()
    """The sets of elements that messages of every day have: these are read and written fast, all others correctly."""
    shapes: Shapes = field(default_factory=Shapes, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a table that contradicts itself, at import time instead of at the till."""
        self._check_fields()
        if len(self.catalogue) > SHAPES_MAX:
            reason = f"a catalogue has {len(self.catalogue)} sets of elements, at most {SHAPES_MAX} are allowed"
            raise LocalProtocolError(reason)
        for number in frozenset().union(*self.catalogue) - self.fields.keys():
            reason = "is in the catalogue but not an element of this dialect"
            raise LocalProtocolError(reason, field=number)

    def _check_fields(self) -> None:
        if not 1 <= self.bitmaps <= BITMAPS_MAX:
            reason = f"a message has 1 to {BITMAPS_MAX} bitmaps"
            raise LocalProtocolError(reason, field=1)
        for number, listed in self.fields.items():
            if listed.number != number or number in _EXTENSIONS or not 1 <= number <= 64 * self.bitmaps:
                reason = "is listed under another number, or outside the bitmaps, or announces a bitmap"
                raise LocalProtocolError(reason, field=number)
            if (listed.content is Content.B) != (listed.encoding is Encoding.BINARY):
                reason = "binary content and binary encoding go together"
                raise LocalProtocolError(reason, field=number)
            if listed.encoding is Encoding.BCD and listed.content not in {Content.N, Content.Z, Content.H}:
                reason = "only digits and tracks are packed"
                raise LocalProtocolError(reason, field=number)
            if not listed.length.fixed and listed.length.size >= 10**listed.length.prefix:
                reason = "its longest value does not fit its length prefix"
                raise LocalProtocolError(reason, field=number)


def table(*fields: FieldSpec) -> dict[int, FieldSpec]:
    """Index field specs by number; a number given twice is refused."""
    numbered = {listed.number: listed for listed in fields}
    if len(numbered) != len(fields):
        reason = "a field is listed twice"
        raise LocalProtocolError(reason)
    return numbered


def combine(*choices: Collection[frozenset[int]]) -> frozenset[frozenset[int]]:
    """Return every union of one set from each choice: a catalogue in few words."""
    return frozenset(frozenset().union(*chosen) for chosen in product(*choices))
