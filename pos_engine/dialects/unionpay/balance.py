"""Field 54: amounts of twenty characters, account type 2, amount type 2, currency 3, sign, amount 12."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pos_engine.values import CURRENCIES, Balance

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

_AMOUNT: Final = re.compile(r"[0-9]{2}(?P<type>[0-9]{2})(?P<currency>[0-9]{3})(?P<sign>[CD])(?P<digits>[0-9]{12})")
AVAILABLE: Final = "02"
"""The amount type of what can be spent."""


def read_balance(answer: Message) -> Balance | None:
    """Return the available balance, or the first one that is told; D is a debt. `None` when nothing can be read."""
    found = [match for match in _AMOUNT.finditer(answer.get(54, "")) if match["currency"] in CURRENCIES]
    if not found:
        return None
    match = next((each for each in found if each["type"] == AVAILABLE), found[0])
    sign = -1 if match["sign"] == "D" else 1
    return Balance(sign * int(match["digits"]), CURRENCIES[match["currency"]])
