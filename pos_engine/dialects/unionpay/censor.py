"""What of a compound field may be shown to somebody who decodes a capture: the parts that name a card stay hidden.

Each function takes a value and returns it with the digits of hidden parts replaced by stars. What cannot be read is
hidden altogether.
"""

from __future__ import annotations

from typing import Final

from pos_engine.errors import DecodeError
from pos_engine.values import mask_pan
from pos_engine.wire.tlv import items

HIDDEN: Final = "***"

CARD_TAGS: Final = frozenset({"56", "57", "5A", "5F20", "99", "9F0B", "9F1F", "9F20", "9F61", "9F6B"})
"""EMV tags with a track, a card number, a name, an identity document or a PIN."""

COUNT_DIGITS: Final = 2
DETAIL_DIGITS: Final = 40
PAN_DIGITS: Final = slice(8, 28)
"""Where a batch detail has the card number: after card type and STAN, right-justified among zeros."""

VERIFICATION_MARKS: Final = ("3930", "3931")
"""ASCII 90 and 91: a phone number with a code, a card verification value with an identity number."""


def chip_data(value: str) -> str:
    """Field 55: hide the values of tags that name a card or a person."""
    shown = []
    try:
        for tag, content in items(bytes.fromhex(value)):
            size = len(content)
            length = f"{size:02X}" if size < 0x80 else f"81{size:02X}"  # noqa: PLR2004 - the BER short form ends there
            shown.append(tag + length + ("*" * 2 * size if tag in CARD_TAGS else content.hex().upper()))
    except DecodeError:
        return HIDDEN
    return "".join(shown)


def details(value: str) -> str:
    """Field 48: mask the card numbers of batch details; totals, counts and tips have none."""
    if len(value) % DETAIL_DIGITS != COUNT_DIGITS:
        return value
    shown = [value[:COUNT_DIGITS]]
    for start in range(COUNT_DIGITS, len(value), DETAIL_DIGITS):
        detail = value[start : start + DETAIL_DIGITS]
        pan = mask_pan(detail[PAN_DIGITS].lstrip("0"))
        shown.append(detail[: PAN_DIGITS.start] + pan.rjust(20, "0") + detail[PAN_DIGITS.stop :])
    return "".join(shown)


def terminal_data(value: str) -> str:
    """Field 62: hide card verification values; keys in it are cryptograms, of use only with the master key."""
    return HIDDEN if value.startswith(VERIFICATION_MARKS) else value
