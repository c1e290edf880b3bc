"""The balance an inquiry brings: one of the amounts of field 54."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay.private import read_amounts
from pos_engine.errors import DecodeError
from pos_engine.values import CURRENCIES, Balance

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

AVAILABLE: Final = "02"
"""The amount type of what can be spent."""
OWED: Final = "D"


def read_balance(answer: Message) -> Balance | None:
    """Return the available balance, or the first one that is told; D is a debt. `None` when nothing can be read."""
    try:
        told = [each for each in read_amounts(answer.get(54, "")) if each.currency in CURRENCIES]
    except DecodeError:
        return None
    if not told:
        return None
    chosen = next((each for each in told if each.amount_type == AVAILABLE), told[0])
    return Balance(-chosen.minor if chosen.sign == OWED else chosen.minor, CURRENCIES[chosen.currency])
