"""A record's form as the journal keeps it: JSON with the names that are read here, and what they mean to an invariant.

A form stays the dictionary it is read as. Elements of messages have their numbers as text: "4" is the amount.
"""

from __future__ import annotations

import json
from typing import Any, Final

Form = dict[str, Any]

SIGNS: Final = {"sale": 1, "void": -1, "refund": -1}
"""Kinds that move money, and which way, seen from the merchant."""
REVERSIBLE: Final = frozenset({"sale", "void"})
"""What silence must be followed by a reversal of."""
REVERSAL: Final = "reversal"
SIGN_ON: Final = "sign-on"
NO_REQUESTS: Final = frozenset({"restore", "note"})
"""Records of which nothing was ever sent: what a person or the till did."""
REPEAT: Final = "repeat of "
"""How the key of a repeat begins: behind it stand batch and STAN of what the host refused until a sign-on."""

PENDING: Final = "PENDING"
APPROVED: Final = "APPROVED"
DECLINED: Final = "DECLINED"
DOUBTFUL: Final = "DOUBTFUL"
UNSENT: Final = "UNSENT"
FINAL: Final = frozenset({APPROVED, DECLINED, UNSENT})
UNKNOWN: Final = frozenset({PENDING, DOUBTFUL})
"""States in which nobody at the terminal's end knows whether money moved."""

ACCEPTED: Final = "00"
REVERSAL_ENDS: Final = frozenset({ACCEPTED, "12", "25"})
UNRESOLVED_ATTEMPTS: Final = 3
"""A reversal that failed so often is for a person to take over."""

_NEEDED: Final = {
    *("number", "kind", "state", "stan", "batch", "request", "opened", "amount", "answer"),
    *("keys", "new_batch", "original", "attempts", "signed_on_by", "key"),
}

# As `json.loads`, without its search for blanks around the text.
_decode: Final = json.JSONDecoder().raw_decode


def read_form(text: str) -> Form | None:
    """Read a record's body; `None` for what is none."""
    try:
        form, end = _decode(text)
    except ValueError:
        return None
    return form if end == len(text) and isinstance(form, dict) and form.keys() >= _NEEDED else None


def label(form: Form) -> str:
    """Name a record: number, kind, STAN, batch."""
    return f"record {form['number']} ({form['kind']}, STAN {form['stan']} of batch {form['batch']})"


def place_of(form: Form) -> tuple[str, str]:
    """Return batch and STAN, which name a request within its terminal."""
    return form["batch"], form["stan"]


def elements(message: list[Any] | None) -> dict[str, str]:
    """Return the elements of a message in a form; none of a message that is not there."""
    return message[1] if message is not None else {}


def ends(reversal: Form) -> bool:
    """Tell whether a reversal has ended the doubt about its original.

    One that the host ended by not knowing the original has ended nothing once that turns out to be approved.
    """
    if reversal["state"] != APPROVED:
        return False
    return reversal.get("late") is None or elements(reversal["answer"]).get("39") == ACCEPTED


def taken_over(form: Form) -> bool:
    """Tell whether a person has taken the duty over."""
    return form.get("resolution") is not None


def auth_codes(form: Form) -> set[str]:
    """Return the authorisation codes that a record's answers, late ones too, have brought."""
    found = (elements(form.get(name)).get("38") for name in ("answer", "late"))
    return {code for code in found if code is not None}
