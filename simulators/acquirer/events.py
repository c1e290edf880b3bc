"""What the host tells about each request it handled: one event, safe to print, and the reply it gave.

An event holds no card number but the masked one, and no key, PIN or track.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simulators.ledger import What

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Event", "Fate", "Reply", "What"]

SCHEMA: Final = 1
"""Version of the JSON form of an event."""


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
    rule: str = ""
    """The scenario's rule that the request met."""
    failed: tuple[str, ...] = ()
    """The parts of the request that the rule expected to be otherwise."""
    note: str = ""
    """Why, in English, for whoever reads the log."""

    def as_dict(self) -> dict[str, object]:
        """Return the event as JSON carries it: one line of NDJSON, absent values left out."""
        return {
            "schema": SCHEMA,
            "at": self.at.isoformat(timespec="milliseconds"),
            "what": self.what.value,
            "fate": self.fate.value,
            **{name: value for name in _OPTIONAL if (value := getattr(self, name)) not in {"", None, ()}},
            "effect_minor": self.effect_minor,
        }


_OPTIONAL: Final = (
    *("mti", "kind", "terminal", "batch", "stan", "amount_minor"),
    *("code", "card", "rrn", "rule", "failed", "note"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the link has to do: send `data` (a frame's payload), keep silent, or close. Only `SEND` has data."""

    data: bytes | None = field(repr=False)
    fate: Fate
    event: Event
    after_s: float = 0.0
    """Seconds until the answer is to leave."""
    copies: int = 1
    """How often it is to be sent."""
    follows: bool = False
    """Whether it goes to the terminal's newest connection when this one has ended meanwhile."""
