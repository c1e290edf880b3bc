"""Everything that can happen to the books, each a frozen value: the books are what a list of these makes of them.

A change says what is so from now on. Nothing is removed or rewritten: a reversal is another entry and another change.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from simulators.ledger.accounts import Entry, Key

if TYPE_CHECKING:
    from datetime import datetime

GIVES_BACK: Final = frozenset({Kind.VOID, Kind.REFUND})
"""Kinds that give money back to the card; every other one takes it."""


class What(enum.Enum):
    """What happened to a request."""

    SIGNED_ON = "signed-on"
    SIGNED_OFF = "signed-off"
    ECHOED = "echoed"
    NOTED = "noted"
    """A report of the terminal was taken."""
    DOWNLOADED = "downloaded"
    """A terminal was given a page of what it is to keep, or has all of it."""
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


class Standing(enum.Enum):
    """Where a transaction stands in the books."""

    APPROVED = "approved"
    DECLINED = "declined"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Booked:
    """A transaction that the host has decided. `date` is MMDD of the host, `card` the card's name, empty if unknown."""

    key: Key
    kind: Kind
    merchant: str
    card: str
    amount_minor: int
    """What was approved, or was asked for and declined."""
    rrn: str
    date: str
    code: str
    standing: Standing
    auth_code: str = ""
    original: Key | None = None
    """For a refund: the sale it gives back. For a void: the sale it undoes."""
    requested_minor: int | None = None
    """What was asked for, where less was approved."""

    @property
    def asked_minor(self) -> int:
        """Field 4 of the request, which its reversal repeats."""
        return self.amount_minor if self.requested_minor is None else self.requested_minor

    @property
    def is_debit(self) -> bool:
        """Whether it takes money from the card; the other kinds give some back."""
        return self.kind not in GIVES_BACK

    @property
    def voids(self) -> bool:
        """Whether it undoes its original, rather than giving back a part of it."""
        return self.kind is Kind.VOID


@dataclass(frozen=True, slots=True)
class Reversed:
    """A transaction that stood approved is reversed."""

    key: Key


class HoldState(enum.Enum):
    """What became of a hold."""

    OPEN = "open"
    RELEASED = "released"
    CAPTURED = "captured"


@dataclass(frozen=True, slots=True)
class Hold:
    """An amount reserved on a card for a merchant: nobody's money moves, but the card cannot spend it twice."""

    key: Key
    card: str
    merchant: str
    amount_minor: int
    state: HoldState = HoldState.OPEN


@dataclass(frozen=True, slots=True)
class Batch:
    """A terminal's batch is open from now on, and the one before it closed."""

    terminal: str
    number: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """A reversal came for something that never did; should that come yet, it is declined."""

    key: Key


@dataclass(frozen=True, slots=True)
class PinTries:
    """How often in a row a card was tried with a wrong PIN."""

    card: str
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """One message of a terminal and what became of it."""

    key: Key
    at: datetime
    mti: str
    kind: Kind | None
    what: What
    code: str
    """Field 39 of the answer, also of one that was not sent."""
    effect_minor: int = 0
    """Fen that moved to the merchant because of this message."""
    answered: bool = True
    """Whether an answer was given to the link."""
    note: str = ""


Change = Entry | Booked | Reversed | Hold | Batch | Unseen | PinTries | Handled
