"""A change as one line of JSON and back, for whoever keeps the books in a file.

    ["booked", {"key": ["T0000001", "000001", "000002"], "kind": "sale", ...}]

No card number is in it: cards have names.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pos_engine.dialects.base import Kind
from pos_engine.errors import UsageError
from simulators.ledger.accounts import Account, AccountType, Entry, Key, Posting
from simulators.ledger.changes import (
    Batch,
    Booked,
    Handled,
    Hold,
    HoldState,
    PinTries,
    Reversed,
    Standing,
    Unseen,
    What,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.ledger.changes import Change

TYPES: Final[Mapping[str, Callable[..., Change]]] = {
    "entry": Entry,
    "booked": Booked,
    "reversed": Reversed,
    "hold": Hold,
    "batch": Batch,
    "unseen": Unseen,
    "pin-tries": PinTries,
    "handled": Handled,
}
_NAMES: Final = {made: name for name, made in TYPES.items()}


def dump(change: Change) -> str:
    """Write a change as one line of ASCII."""
    fields = {field.name: _plain(getattr(change, field.name)) for field in dataclasses.fields(change)}
    return json.dumps([_NAMES[type(change)], fields])


def load(line: str) -> Change:
    """Read a change; `UsageError` for what `dump` cannot have written."""
    try:
        name, fields = json.loads(line)
        return TYPES[name](**{key: _value(key, value) for key, value in fields.items()})
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        # The line may hold anything; what is wrong in it stays here.
        reason = "is not a change of a ledger"
    raise UsageError(reason)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of a change
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Posting):
        return [value.account.type.value, value.account.name, value.amount_minor]
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _key(value: list[str]) -> Key:
    terminal, batch, stan = value
    return Key(_string(terminal), _string(batch), _string(stan))


def _postings(value: list[list[Any]]) -> tuple[Posting, ...]:
    return tuple(Posting(Account(AccountType(kind), _string(name)), _number(amount)) for kind, name, amount in value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "key": _key,
    "original": _key,
    "kind": Kind,
    "postings": _postings,
    "standing": Standing,
    "state": HoldState,
    "what": What,
    "at": datetime.fromisoformat,
    "answered": _truth,
    **dict.fromkeys(("amount_minor", "requested_minor", "effect_minor", "wrong"), _number),
}


def _value(name: str, value: object) -> object:
    return None if value is None else _READERS.get(name, _string)(value)
