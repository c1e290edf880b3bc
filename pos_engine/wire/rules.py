"""The strict rules of a message, stated once: its head, how far each element reaches, which characters it may hold.

pyiso8583 reads lengths with `int()` (which takes signs, spaces, underscores and foreign digits), does not look at
characters, and knows nothing of a dialect's own bounds. What it leaves open is decided here, for the strict codec
(`wire.reference`) and for the walker of captures (`wire.lenient`) alike.

    MTI | bitmap (8 bytes, or 16 hex characters) | second | third | length prefix, data | length prefix, data | ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pos_engine.errors import DecodeError
from pos_engine.wire.field import Content, Encoding, FieldSpec, Justify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pos_engine.wire.spec import MessageSpec

MTI_DIGITS: Final = 4
BITMAP_BITS: Final = 64
EXTENSION_BITS: Final = frozenset({1, BITMAP_BITS + 1})
"""Bits that announce another bitmap instead of a data element."""

CODECS: Final = {Encoding.ASCII: "latin-1", Encoding.EBCDIC: "cp500"}
PACKED: Final = frozenset({Encoding.BCD, Encoding.BINARY})
PATTERNS: Final = {
    Content.N: re.compile(r"[0-9]*"),
    Content.Z: re.compile(r"[0-9D]*"),
    Content.H: re.compile(r"[0-9A-F]*"),
    Content.AN: re.compile(r"[A-Za-z0-9 ]*"),
    Content.ANS: re.compile(r"[\x20-\x7e\x80-\xff]*"),
    Content.B: re.compile(r"(?:[0-9A-F]{2})*"),
}
_DIGITS: Final = re.compile(r"[0-9]+")
_BITMAP: Final = re.compile(r"[0-9A-F]{16}")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an element, and at which byte. The reason never quotes the value."""

    reason: str
    offset: int


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the data elements: MTI, all bitmaps as hex, the elements they announce, where these begin."""

    mti: str
    bitmap: str
    numbers: tuple[int, ...]
    end: int


class Extent(NamedTuple):
    """Where an element's data stand, and how many digits, characters or bytes it is long.

    A tuple, because one is made for every element of every message.
    """

    start: int
    end: int
    units: int


def text(raw: bytes, encoding: Encoding) -> str:
    """Turn bytes into the text that stands for them: hex for packed data, else one character a byte."""
    return raw.hex().upper() if encoding in PACKED else raw.decode(CODECS[encoding])


def prefix_size(field: FieldSpec) -> int:
    """Bytes of the length prefix: two digits a byte when packed (three digits take two bytes), else one."""
    digits = field.length.prefix
    return (digits + 1) // 2 if field.prefix_encoding in PACKED else digits


def unit_name(field: FieldSpec) -> str:
    """What the element's length counts."""
    return {Encoding.BCD: "digits", Encoding.BINARY: "bytes"}.get(field.encoding, "characters")


def mti_size(spec: MessageSpec) -> int:
    """Bytes of the MTI."""
    return MTI_DIGITS // 2 if spec.mti in PACKED else MTI_DIGITS


def bitmap_size(spec: MessageSpec) -> int:
    """Bytes of one bitmap."""
    return BITMAP_BITS // (8 if spec.bitmap in PACKED else 4)


def bitmaps_for(numbers: Iterable[int]) -> int:
    """How many bitmaps it takes to announce these elements."""
    return (max(numbers, default=1) - 1) // BITMAP_BITS + 1


def bitmap_text(numbers: Iterable[int]) -> str:
    """Return all bitmaps that announce these elements, as upper-case hex; the bits of further bitmaps are included."""
    bits = set(numbers)
    bitmaps = bitmaps_for(bits)
    bits |= {number for number in EXTENSION_BITS if number < BITMAP_BITS * (bitmaps - 1) + 1}
    return f"{sum(1 << BITMAP_BITS * bitmaps - number for number in bits):0{BITMAP_BITS // 4 * bitmaps}X}"


def bit_offset(number: int, spec: MessageSpec) -> int:
    """Which byte of a message holds an element's bit."""
    return mti_size(spec) + (number - 1) // (8 if spec.bitmap in PACKED else 4)


def read_head(data: bytes, spec: MessageSpec) -> Head:
    """Read MTI and bitmaps; raises `DecodeError` for field 0 or 1. Whether the elements are listed is not asked."""
    size = mti_size(spec)
    if len(data) < size:
        reason = f"needs {size} bytes, {len(data)} are there"
        raise DecodeError(reason, field=0, offset=0)
    mti = text(data[:size], spec.mti)
    if _DIGITS.fullmatch(mti) is None:
        reason = "is not four digits"
        raise DecodeError(reason, field=0, offset=0)
    bitmap, end = _bitmaps(data, size, spec, mti)
    bits = f"{int(bitmap, 16):0{len(bitmap) * 4}b}"
    extensions = {number for number in EXTENSION_BITS if number < BITMAP_BITS * spec.bitmaps}
    numbers = (number for number, bit in enumerate(bits, 1) if bit == "1" and number not in extensions)
    return Head(mti, bitmap, tuple(numbers), end)


def _bitmaps(data: bytes, start: int, spec: MessageSpec, mti: str) -> tuple[str, int]:
    size = bitmap_size(spec)
    bitmaps, count, more = "", 0, True
    while more:
        raw = data[start : start + size]
        if len(raw) < size:
            reason = f"needs {size} bytes, {len(raw)} are left"
            raise DecodeError(reason, field=1, offset=start, mti=mti)
        bitmap = text(raw, spec.bitmap)
        if _BITMAP.fullmatch(bitmap) is None:
            reason = "is not sixteen upper-case hex digits"
            raise DecodeError(reason, field=1, offset=start, mti=mti)
        # Bits 1 and 65 announce the next bitmap; bit 129 is an element like any other.
        more = bitmap >= "8" and count * BITMAP_BITS + 1 in EXTENSION_BITS
        count += 1
        if more and count == spec.bitmaps:
            reason = f"announces another bitmap, this dialect has {spec.bitmaps}"
            raise DecodeError(reason, field=1, offset=start, mti=mti)
        bitmaps += bitmap
        start += size
    return bitmaps, start


def empty_extension(head: Head) -> bool:
    """Whether the last bitmap announces nothing: it should not have been sent, and would not be sent back."""
    last = len(head.bitmap) // (BITMAP_BITS // 4)
    return last > 1 and not any(number > BITMAP_BITS * (last - 1) for number in head.numbers)


def extent(data: bytes, offset: int, field: FieldSpec) -> Extent | Fault:
    """Find how far the element at `offset` reaches; a length that cannot be is a `Fault`."""
    start = offset + prefix_size(field)
    units = field.length.size
    if not field.length.fixed:
        prefix = data[offset:start]
        if len(prefix) < start - offset:
            return Fault("ends inside its length prefix", offset)
        declared = _number(prefix, field.prefix_encoding)
        if declared is None:
            return Fault("its length prefix is not decimal digits", offset)
        if declared > units:
            return Fault(f"declares {declared} {unit_name(field)}, at most {units} are allowed", offset)
        units = declared
    size = (units + 1) // 2 if field.encoding is Encoding.BCD else units
    if len(data) - start < size:
        return Fault(f"needs {size} bytes, {len(data) - start} are left", start)
    return Extent(start, start + size, units)


def _number(prefix: bytes, encoding: Encoding) -> int | None:
    if encoding is Encoding.BINARY:
        return int.from_bytes(prefix)
    digits = text(prefix, encoding)
    return int(digits) if _DIGITS.fullmatch(digits) else None


def length_fault(field: FieldSpec, units: int) -> str | None:
    """Why an element may not be so long, or `None`."""
    if field.length.fixed and units != field.length.size:
        return f"has {units} {unit_name(field)}, {field.length.size} are needed"
    if units > field.length.size:
        return f"has {units} {unit_name(field)}, at most {field.length.size} are allowed"
    if field.sizes is not None and units not in field.sizes:
        return f"has {units} {unit_name(field)}, a length this dialect does not use"
    return None


def content_fault(field: FieldSpec, value: str) -> str | None:
    """Why an element may not hold these characters, or `None`."""
    if PATTERNS[field.content].fullmatch(value) is None:
        return f"holds something other than {field.content.value}"
    return None


def unpad(digits: str, units: int, justify: Justify) -> tuple[str, str]:
    """Part packed digits into the value and its pad nibble (empty when the number of digits is even)."""
    if len(digits) == units:
        return digits, ""
    return (digits[:-1], digits[-1]) if justify is Justify.LEFT else (digits[1:], digits[0])
