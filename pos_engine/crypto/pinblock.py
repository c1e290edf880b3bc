"""Clear PIN blocks of ISO 9564 format 0, for software key stores, tests and the simulated host.

    PIN field    0 L P P P P p p p p p p F F        L: number of digits, 4 to C; P: digits; F: filling
    card field   0 0 0 0 d d d d d d d d d d d d    d: the card number's last twelve digits, check digit left out
    block        PIN field XOR card field

Where field 53 begins with 1 (no card number is at hand) the card field is all zeros; the result is not ISO format 1.
A real PIN pad builds its blocks itself and never lets a clear one out. A block that does not read back says only that:
which digit was odd would tell something about the PIN or the key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pos_engine.errors import KeyFault, UsageError

if TYPE_CHECKING:
    from pos_engine.values import Pan

BLOCK_SIZE: Final = 8
"""Bytes of a block."""

_NIBBLES: Final = 2 * BLOCK_SIZE
_CARD_DIGITS: Final = 12
_NO_CARD: Final = "0" * _NIBBLES

# Control nibble 0, then the length; digits and filling that add up to 14 are checked against that length afterwards.
_PIN_FIELD: Final = re.compile(r"0([4-9A-C])([0-9]{4,12})F*")


def format0(pin: str, pan: Pan) -> bytes:
    """Return the clear block of a PIN of 4 to 12 digits, bound to the card number."""
    return _xor(_pin_field(pin), _card_field(pan))


def format0_zero_pan(pin: str) -> bytes:
    """Return the clear block of a PIN where no card number is at hand (first digit of field 53 is 1)."""
    return _xor(_pin_field(pin), _NO_CARD)


def read_format0(block: bytes, pan: Pan) -> str:
    """Return the PIN of a clear block; a `KeyFault` when it is not one, as after decrypting with a wrong key."""
    return _read(block, _card_field(pan))


def read_format0_zero_pan(block: bytes) -> str:
    """Return the PIN of a clear block that was built without a card number; errors as in `read_format0`."""
    return _read(block, _NO_CARD)


def _pin_field(pin: str) -> str:
    if re.fullmatch(r"[0-9]{4,12}", pin) is None:
        reason = "a PIN has 4 to 12 digits"
        raise UsageError(reason)
    return f"0{len(pin):X}{pin}".ljust(_NIBBLES, "F")


def _card_field(pan: Pan) -> str:
    # A card number of twelve digits leaves eleven, so the field is filled up with a zero on the left.
    return pan.reveal()[:-1][-_CARD_DIGITS:].rjust(_NIBBLES, "0")


def _read(block: bytes, card_field: str) -> str:
    if len(block) != BLOCK_SIZE:
        reason = "a PIN block has 8 bytes"
        raise UsageError(reason)
    match = _PIN_FIELD.fullmatch(_xor(block.hex(), card_field).hex().upper())
    if match is None or len(match[2]) != int(match[1], 16):
        reason = "not a PIN block of format 0: wrong PIN key, or wrong card number"
        raise KeyFault(reason)
    return match[2]


def _xor(one: str, other: str) -> bytes:
    return (int(one, 16) ^ int(other, 16)).to_bytes(BLOCK_SIZE)
