"""Frames, read with the judge's own eyes: TPDU (5 bytes), header (6), MTI, bitmap, elements as UnionPay terminals send.

A small strict walk over the message. What does not fit to its last byte is no frame at all; of the rest only the
elements that an invariant asks about are kept, and none that holds card data is looked at.
"""

from __future__ import annotations

from typing import Final, NamedTuple

KEPT: Final = frozenset({3, 4, 11, 13, 37, 38, 39, 41, 42, 49, 60, 61})

_PACKED = """2:19:LL 3:6 4:12 11:6 12:6 13:4 14:4 15:4 22:3 23:3 25:2 26:2 32:11:LL 35:37:LL 36:104:LLL 48:322:LLL 53:16
60:17:LLL 61:29:LLL"""
"""Number, digits, and for lengths that vary how many digits the length has."""
_PLAIN = """37:12 38:6 39:2 41:8 42:15 44:25:LL 47:999:LLL 49:3 52:8 54:20:LLL 55:255:LLL 58:100:LLL 59:600:LLL
62:512:LLL 63:163:LLL 64:8"""
"""The same, in bytes."""

TPDU_ID: Final = 0x60
MTI: Final = 11
"""Where the message begins: behind TPDU and header."""
BITMAP: Final = MTI + 2
ELEMENTS: Final = BITMAP + 8
ELEMENT_LAST: Final = 64


class Frame(NamedTuple):
    """What a frame says, as far as it matters here."""

    mti: str
    bitmap: int
    fields: dict[int, str]
    """The elements of `KEPT` that are there: digits and characters as they are."""

    def carries(self, number: int) -> bool:
        """Tell whether an element is there, kept or not."""
        return bool(self.bitmap >> (ELEMENT_LAST - number) & 1)

    def __repr__(self) -> str:
        """Name what is there and show no value."""
        return f"Frame(mti={self.mti!r}, fields={sorted(self.fields)})"


Element = tuple[int, int, int, bool, bool]
"""Number, bytes of the length (0: it is fixed), the most it holds, whether that counts packed digits, whether kept."""


def _element(entry: str, *, packed: bool) -> Element:
    number, most, *length = entry.split(":")
    return int(number), (len("".join(length)) + 1) // 2, int(most), packed, int(number) in KEPT


_TABLE = [_element(entry, packed=True) for entry in _PACKED.split()]
_TABLE += [_element(entry, packed=False) for entry in _PLAIN.split()]
_ELEMENTS = {element[0]: element for element in _TABLE}


def _named(place: int, byte: int) -> tuple[Element, ...] | None:
    """Return what one byte of the bitmap names, `None` when one of it does not exist."""
    numbers = [8 * place + bit for bit in range(1, 9) if byte >> (8 - bit) & 1]
    return tuple(_ELEMENTS[number] for number in numbers) if _ELEMENTS.keys() >= set(numbers) else None


Named = tuple[tuple[tuple[Element, ...] | None, ...], ...]
"""The elements that each byte of the bitmap names."""
_NAMED: Final[Named] = tuple(tuple(_named(place, byte) for byte in range(256)) for place in range(8))
PIN: Final = 52
LONG_PIN_BYTES: Final = 16
"""With SM4 a PIN block has 16 bytes; which it is, the message does not say before it comes."""


def _with_long_pin(named: Named) -> Named:
    long: Element = (PIN, 0, LONG_PIN_BYTES, False, False)
    place = (PIN - 1) // 8
    row = tuple(each and tuple(long if one[0] == PIN else one for one in each) for each in named[place])
    return (*named[:place], row, *named[place + 1 :])


_LONG_PIN: Final = _with_long_pin(_NAMED)


def read(payload: bytes) -> Frame | None:
    """Read a frame's payload; `None` for what is no message of the dialect."""
    return _read(payload, _NAMED) or _read(payload, _LONG_PIN)


def _read(payload: bytes, named: Named) -> Frame | None:
    if len(payload) < ELEMENTS or payload[0] != TPDU_ID:
        return None
    text = payload.hex()
    mti = text[2 * MTI : 2 * BITMAP]
    fields: dict[int, str] = {}
    at: int | None = ELEMENTS
    for place, byte in enumerate(payload[BITMAP:ELEMENTS]):
        if not byte:
            continue
        elements = named[place][byte]
        if elements is None or at is None:
            return None
        at = _walk(payload, text, at, elements, fields)
    if at != len(payload) or not mti.isdecimal():
        return None
    return Frame(mti, int.from_bytes(payload[BITMAP:ELEMENTS]), fields)


def _walk(payload: bytes, text: str, at: int, elements: tuple[Element, ...], fields: dict[int, str]) -> int | None:
    """Walk over some elements, keep those that are wanted; return where they end, `None` where they do not fit.

    `text` is the payload in hexadecimal, two characters a byte, so that packed digits are cut out of it as they are.
    """
    for number, prefix, most, packed, kept in elements:
        size = most
        if prefix:
            digits = text[2 * at : 2 * (at + prefix)]
            if not digits.isdecimal() or int(digits) > most:
                return None
            size = int(digits)
            at += prefix
        end = at + ((size + 1) >> 1 if packed else size)
        if end > len(payload):
            return None
        if kept:
            value = text[2 * at : 2 * at + size] if packed else payload[at:end].decode("latin-1")
            # An odd last digit is followed by 0.
            if packed and not (value.isdecimal() and (not size & 1 or text[2 * end - 1] == "0")):
                return None
            fields[number] = value
        at = end
    return at
