"""What the host tells about each request it handled: one event, safe to print, and the reply it gave.

An event holds no card number but the masked one, and no key, PIN or track.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

SCHEMA: Final = 1
"""Version of the JSON form of an event."""


class What(enum.Enum):
    """What happened to a request."""

    SIGNED_ON = "signed-on"
    APPROVED = "approved"
    DECLINED = "declined"
    REVERSED = "reversed"
    REVERSED_BEFORE = "reversed-before"
    """A reversal that came again; the money moved the first time."""
    REVERSED_UNSEEN = "reversed-unseen"
    """A reversal of something that never arrived."""
    REFUSED = "refused"
    """Not a decision about money: no session, a wrong MAC, a message the host does not serve."""
    LOST = "lost"
    """Nothing was done, on purpose: the scenario says the request never came."""
    UNREADABLE = "unreadable"
    """Bytes that are no request."""


class Fate(enum.Enum):
    """What the link does after a request."""

    SEND = "send"
    SILENT = "silent"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request and what became of it. Texts are empty, and numbers `None`, where the request had none."""

    at: datetime
    what: What
    fate: Fate
    mti: str = ""
    kind: str = ""
    terminal: str = ""
    batch: str = ""
    stan: str = ""
    amount_minor: int | None = None
    code: str = ""
    """Field 39 of the answer, also of one that was not sent."""
    effect_minor: int = 0
    """Fen that moved to the merchant because of this request; negative when they came back."""
    card: str = ""
    """First six and last four digits."""
    rrn: str = ""
    trigger: int | None = None
    """The last three digits of the amount, where they set something off."""
    note: str = ""
    """Why, in English, for whoever reads the log."""

    def as_dict(self) -> dict[str, object]:
        """Return the event as JSON carries it: one line of NDJSON, absent values left out."""
        return {
            "schema": SCHEMA,
            "at": self.at.isoformat(timespec="milliseconds"),
            "what": self.what.value,
            "fate": self.fate.value,
            **{name: value for name in _OPTIONAL if (value := getattr(self, name)) not in {"", None}},
            "effect_minor": self.effect_minor,
        }


_OPTIONAL: Final = (
    *("mti", "kind", "terminal", "batch", "stan", "amount_minor"),
    *("code", "card", "rrn", "trigger", "note"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the link has to do: send `data` (a frame's payload), keep silent, or close. Only `SEND` has data."""

    data: bytes | None = field(repr=False)
    fate: Fate
    event: Event
