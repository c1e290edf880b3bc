"""A short walker for captured messages: it reads what terminals really send, and says what is odd about it.

It tolerates only what has been seen in captures: a pad nibble that is not 0, a field 60 of a length the dialect does
not use, text with unprintable characters, an announced bitmap that is empty, and MAC input (the bitmap announces the
MAC, the bytes end before it). Each becomes a note. Everything else ends the reading with an error, and what was read
before it is kept. A reading without notes and error is what the strict codec accepts, no more and no less. Nothing here
decides about money: answers are read by `wire.codec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pos_engine.errors import DecodeError
from pos_engine.wire import rules
from pos_engine.wire.field import Content, Encoding, FieldSpec
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.wire.spec import MessageSpec


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a message; `error` says why it stopped early, `None` that it did not.

    `bitmap` is all bitmaps as upper-case hex, `spans` the first byte of each element (its length prefix included) and
    the byte after its last, `end` where reading ended; all count from the MTI. Notes name elements, never values.
    """

    message: Message
    bitmap: str
    notes: tuple[str, ...]
    spans: Mapping[int, tuple[int, int]]
    end: int
    error: DecodeError | None


@dataclass(slots=True)
class _Walk:
    """The reading in progress."""

    data: bytes = field(repr=False)
    spec: MessageSpec
    head: rules.Head
    end: int
    values: dict[int, str] = field(default_factory=dict, repr=False)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fail(self, reason: str, number: int | None, offset: int) -> DecodeError:
        return DecodeError(reason, field=number, offset=offset, mti=self.head.mti, decoded=self.values)


def read(data: bytes, spec: MessageSpec) -> Reading:
    """Read as much of one message as there is sense in. Never raises for any bytes."""
    data = bytes(data)
    try:
        head = rules.read_head(data, spec)
    except DecodeError as fault:
        return Reading(Message(fault.mti or "", {}), "", (), MappingProxyType({}), fault.offset or 0, fault)
    walk = _Walk(data, spec, head, head.end)
    if rules.empty_extension(head):
        walk.notes.append("bitmap: announces another bitmap that is empty")
    error = _fields(walk)
    spans = MappingProxyType(walk.spans)
    return Reading(Message(head.mti, walk.values), head.bitmap, tuple(walk.notes), spans, walk.end, error)


def _fields(walk: _Walk) -> DecodeError | None:
    for number in walk.head.numbers:
        listed = walk.spec.fields.get(number)
        if listed is None:
            return walk.fail("is in the bitmap but not an element of this dialect", number, walk.end)
        if walk.end == len(walk.data) and _is_mac(listed, walk.head):
            walk.notes.append(f"bit {number} is set but the MAC is absent: this looks like MAC input")
            return None
        fault = _take(walk, listed)
        if fault is not None:
            return walk.fail(fault.reason, number, fault.offset)
    left = len(walk.data) - walk.end
    return walk.fail(f"bytes follow the last field: {left}", None, walk.end) if left else None


def _is_mac(listed: FieldSpec, head: rules.Head) -> bool:
    """Whether this is the last element, at the last bit of its bitmap, and fixed bytes: where ISO 8583 puts the MAC."""
    last = listed.number == head.numbers[-1] and listed.number % rules.BITMAP_BITS == 0
    return last and listed.encoding is Encoding.BINARY and listed.length.fixed


def _take(walk: _Walk, listed: FieldSpec) -> rules.Fault | None:
    place = rules.extent(walk.data, walk.end, listed)
    if isinstance(place, rules.Fault):
        return place
    value, pad = rules.text(walk.data[place.start : place.end], listed.encoding), ""
    if listed.encoding is Encoding.BCD:
        value, pad = rules.unpad(value, place.units, listed.justify)
    odd = rules.content_fault(listed, value)
    # A track may be enciphered: then its hex digits are its own, and its length was right.
    if odd is not None and listed.content is Content.N:
        return rules.Fault(odd, place.start)
    remarks = (
        "its pad nibble is not 0" if pad not in {"", "0"} else None,
        odd,
        rules.length_fault(listed, place.units),
    )
    walk.notes.extend(f"field {listed.number}: {remark}" for remark in remarks if remark is not None)
    walk.values[listed.number] = value
    walk.spans[listed.number] = (walk.end, place.end)
    walk.end = place.end
    return None
