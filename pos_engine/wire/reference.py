"""The reference codec: pyiso8583 with our strict rules around it. The only module that knows pyiso8583.

Rule: what is accepted encodes back to the very same bytes, and everything else is one `DecodeError` with field and
offset. The library's exceptions carry the whole message, so they are never raised on, and never chained: each is
turned into plain facts inside its handler, and our error is raised after the handler has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import iso8583

from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.wire import rules
from pos_engine.wire.field import Encoding, FieldSpec, Justify
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.wire.spec import MessageSpec

SPECS_MAX: Final = 16
"""Library tables kept at a time. A process speaks one or two dialects; tests make many and must not fill memory."""

_DATA: Final = {Encoding.BCD: "b", Encoding.BINARY: "b", **rules.CODECS}
_PREFIX: Final = {Encoding.BCD: "bcd", Encoding.BINARY: "b", **rules.CODECS}


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What the library made of a message: values by its keys, and the element and byte it gave up at, if any."""

    values: Mapping[str, str]
    stopped: str | None
    position: int


def encode(message: Message, spec: MessageSpec) -> bytes:
    """Build the bytes of a message; raises `LocalProtocolError` with the field that the spec forbids."""
    if len(message.mti) != rules.MTI_DIGITS or not (message.mti.isascii() and message.mti.isdigit()):
        reason = "is not four digits"
        raise LocalProtocolError(reason, field=0)
    for number, value in message.items():
        _check_value(spec.fields.get(number), number, value)
    keyed = {"t": message.mti, **{str(number): value for number, value in message.items()}}
    encoded = _build(keyed, spec)
    if isinstance(encoded, bytes):
        return encoded
    reason = "does not fit its encoding or its length prefix"
    raise LocalProtocolError(reason, field=int(encoded) if encoded.isdecimal() else None)


def _build(keyed: dict[str, str], spec: MessageSpec) -> bytes | str:
    """Return the bytes, or the key of the element that the library could not encode."""
    try:
        return bytes(iso8583.encode(keyed, _table(spec))[0])
    except iso8583.EncodeError as error:
        return error.field


def _check_value(field: FieldSpec | None, number: int, value: object) -> None:
    if field is None:
        reason = "is not an element of this dialect"
        raise LocalProtocolError(reason, field=number)
    if not isinstance(value, str):
        reason = "is not text"
        raise LocalProtocolError(reason, field=number)
    # The characters come first: half a byte of hex has no length in bytes.
    fault = rules.content_fault(field, value) or rules.length_fault(field, _units(field, value))
    if fault is not None:
        raise LocalProtocolError(fault, field=number)


def _units(field: FieldSpec, value: str) -> int:
    return len(value) // 2 if field.encoding is Encoding.BINARY else len(value)


def decode(data: bytes, spec: MessageSpec) -> Message:
    """Read the bytes of one message; raises `DecodeError` with field, offset, MTI and what was read before it."""
    head = rules.read_head(data, spec)
    _check_bitmap(head, spec)
    parsed = _parse(bytes(data), spec)
    values: dict[int, str] = {}
    offset = head.end
    for number in head.numbers:
        found = _element(data, offset, spec.fields[number], parsed)
        if isinstance(found, rules.Fault):
            raise DecodeError(found.reason, field=number, offset=found.offset, mti=head.mti, decoded=values)
        values[number], offset = found
    if offset != len(data):
        reason = f"bytes follow the last field: {len(data) - offset}"
        raise DecodeError(reason, offset=offset, mti=head.mti, decoded=values)
    return Message(head.mti, values)


def _check_bitmap(head: rules.Head, spec: MessageSpec) -> None:
    # The library raises KeyError for an element that is not in its table, so none may get there.
    for number in head.numbers:
        if number not in spec.fields:
            reason = "is in the bitmap but not an element of this dialect"
            raise DecodeError(reason, field=number, offset=rules.bit_offset(number, spec), mti=head.mti)
    if rules.empty_extension(head):
        reason = "announces another bitmap that is empty"
        raise DecodeError(reason, field=1, offset=rules.bit_offset(1, spec), mti=head.mti)


def _element(data: bytes, offset: int, field: FieldSpec, parsed: _Parsed) -> tuple[str, int] | rules.Fault:
    """Return an element's value and where the next one begins."""
    place = rules.extent(data, offset, field)
    if isinstance(place, rules.Fault):
        return place
    if parsed.stopped == str(field.number) and parsed.position < place.end:
        # Its length is sound, so what the library objects to is the pad nibble. Bytes after the last element are
        # reported as that element's fault too, but at the byte where it ends.
        return rules.Fault("its pad nibble is not 0", place.start)
    value = parsed.values[str(field.number)]
    reason = rules.content_fault(field, value) or rules.length_fault(field, place.units)
    return (value, place.end) if reason is None else rules.Fault(reason, place.start)


def _parse(data: bytes, spec: MessageSpec) -> _Parsed:
    try:
        values, _ = iso8583.decode(data, _table(spec))
    except iso8583.DecodeError as error:
        return _Parsed(error.doc_dec, error.field, error.pos)
    return _Parsed(values, None, len(data))


@lru_cache(maxsize=SPECS_MAX)
def _table(spec: MessageSpec) -> dict[str, dict[str, Any]]:
    """Say a spec in the library's words: `h` no header, `t` MTI, `p` first bitmap, `1` the others."""
    table: dict[str, dict[str, Any]] = {
        "h": _entry("", 0),
        "t": _entry(_DATA[spec.mti], rules.MTI_DIGITS),
        "p": _entry(_DATA[spec.bitmap], rules.BITMAP_BITS),
        "1": _entry(_DATA[spec.bitmap], rules.BITMAP_BITS),
    }
    return table | {str(number): _field_entry(field) for number, field in spec.fields.items()}


def _entry(data: str, size: int) -> dict[str, Any]:
    return {"data_enc": data, "len_enc": "ascii", "len_type": 0, "max_len": size, "desc": ""}


def _field_entry(field: FieldSpec) -> dict[str, Any]:
    return {
        "data_enc": _DATA[field.encoding],
        "len_enc": _PREFIX[field.prefix_encoding],
        "len_type": rules.prefix_size(field),
        "len_count": "nibbles" if field.encoding is Encoding.BCD else "bytes",
        ("right_pad" if field.justify is Justify.LEFT else "left_pad"): "0",
        "max_len": field.length.size,
        "desc": field.name.en,
    }
