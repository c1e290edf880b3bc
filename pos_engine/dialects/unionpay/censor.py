"""What of a compound field may be shown to somebody who decodes a capture: the parts that name a card stay hidden.

Each function takes a value and returns it with the digits of hidden parts replaced by stars. What cannot be read is
hidden altogether.
"""

from __future__ import annotations

from typing import Final

from pos_engine.dialects.unionpay.tags import TAGS
from pos_engine.errors import DecodeError
from pos_engine.values import mask_pan
from pos_engine.wire import tlv
from pos_engine.wire.field import Sensitivity

HIDDEN: Final = "***"

COUNT_DIGITS: Final = 2
DETAIL_DIGITS: Final = 40
PAN_DIGITS: Final = slice(8, 28)
"""Where a batch detail has the card number: after card type and STAN, right-justified among zeros."""

VERIFICATION_MARKS: Final = ("3930", "3931")
"""ASCII 90 and 91: a phone number with a code, a card verification value with an identity number."""


def chip_data(value: str) -> str:
    """Field 55: hide the values of tags that name a card or a person, at any depth, and of tags nobody listed."""
    try:
        items = tlv.decode(bytes.fromhex(value))
    except DecodeError:
        return HIDDEN
    return "".join(map(_item, items))


def _item(item: tlv.Item) -> str:
    content, whole = item.content.hex().upper(), tlv.encode((item,)).hex().upper()
    head = whole[: len(whole) - len(content)]
    tag = TAGS.get(item.tag)
    if item.children and (tag is None or tag.sensitivity is Sensitivity.OPEN):
        return head + "".join(map(_item, item.children))
    shows = item.tag == tlv.FILLING or (tag is not None and tag.sensitivity is Sensitivity.OPEN)
    return head + (content if shows else "*" * len(content))


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
