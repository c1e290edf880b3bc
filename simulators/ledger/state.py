"""What a list of changes amounts to: every balance, standing, hold and count, kept up as changes come.

Values inside are immutable, so that a copy of the containers is a copy of the books.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Self

from simulators.ledger.accounts import Account, Entry, Key, card_account
from simulators.ledger.changes import (
    Batch,
    Booked,
    Change,
    Handled,
    Hold,
    HoldState,
    Reversed,
    Standing,
    Unseen,
    What,
)
from simulators.ledger.totals import Sum

if TYPE_CHECKING:
    from pos_engine.dialects.base import Kind

LINES_PER_STAN_MAX: Final = 32
"""Messages kept of one trace number: a repetition that comes for the 33rd time tells nothing new."""

UNPROVEN_LINES_MAX: Final = 10_000
"""Messages kept in all of senders that did not prove who they are: names and numbers of theirs must not fill memory."""

UNPROVEN: Final = frozenset({What.REFUSED, What.SIGNED_ON, What.SIGNED_OFF, What.NOTED, What.ECHOED, What.DOWNLOADED})
"""What needs no MAC to come about."""

RRN_DATE_DIGITS: Final = 4


def _counter() -> defaultdict[Account, int]:
    return defaultdict(int)


@dataclass(slots=True)
class State:
    """The books as they stand. Only `apply` writes in them."""

    changes: list[Change] = field(default_factory=list)
    balances: defaultdict[Account, int] = field(default_factory=_counter)
    held: defaultdict[Account, int] = field(default_factory=_counter)
    effects: dict[Key, int] = field(default_factory=dict)
    transactions: dict[Key, Booked] = field(default_factory=dict)
    by_rrn: dict[str, Key] = field(default_factory=dict)
    refunded: dict[Key, int] = field(default_factory=dict)
    voided: dict[Key, Key] = field(default_factory=dict)
    """The void that stands, by the sale it undid."""
    holds: dict[Key, Hold] = field(default_factory=dict)
    batches: dict[str, str] = field(default_factory=dict)
    sums: dict[tuple[str, str, Kind], Sum] = field(default_factory=dict)
    """What stands approved, by terminal, batch and kind."""
    unseen: set[Key] = field(default_factory=set)
    pin_tries: dict[str, int] = field(default_factory=dict)
    lines: dict[Key, tuple[Handled, ...]] = field(default_factory=dict)
    unproven: int = 0
    serial: int = 0
    """The last number a reference was made of."""

    def copy(self) -> Self:
        """Return a state of its own with the same content."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in values.items():
            values[name] = value if isinstance(value, int) else value.copy()
        return type(self)(**values)

    def apply(self, change: Change) -> None:
        """Let a change be so; whether it may be was asked before."""
        self.changes.append(change)
        match change:
            case Entry():
                self._post(change)
            case Booked():
                self._file(change)
            case Reversed():
                self._reverse(self.transactions[change.key])
            case Hold():
                self._hold(change)
            case Handled():
                self._note(change)
            case Batch():
                self.batches[change.terminal] = change.number
            case Unseen():
                self.unseen.add(change.key)
            case _:
                self.pin_tries[change.card] = change.wrong

    def keeps(self, line: Handled) -> bool:
        """Whether there is still room for a message."""
        if line.what in UNPROVEN and self.unproven >= UNPROVEN_LINES_MAX:
            return False
        return len(self.lines.get(line.key, ())) < LINES_PER_STAN_MAX

    def _post(self, entry: Entry) -> None:
        for posting in entry.postings:
            self.balances[posting.account] += posting.amount_minor
        if entry.key is not None:
            self.effects[entry.key] = self.effects.get(entry.key, 0) + entry.moved()

    def _file(self, booked: Booked) -> None:
        self.transactions[booked.key] = booked
        self.by_rrn[booked.rrn] = booked.key
        counted = booked.rrn[RRN_DATE_DIGITS:]
        self.serial = max(self.serial, int(counted) if counted.isdecimal() else 0)
        if booked.standing is Standing.APPROVED:
            place = self._place(booked)
            self.sums[place] = self.sums.get(place, Sum()).plus(booked.amount_minor)
            self._bind(booked)

    def _bind(self, booked: Booked) -> None:
        """Note at the original what an approval does to it."""
        original = booked.original
        if original is not None and booked.voids:
            self.voided[original] = booked.key
        elif original is not None:
            self.refunded[original] = self.refunded.get(original, 0) + booked.amount_minor

    def _reverse(self, booked: Booked) -> None:
        self.transactions[booked.key] = replace(booked, standing=Standing.REVERSED)
        place = self._place(booked)
        self.sums[place] = self.sums[place].minus(booked.amount_minor)
        if booked.original is not None and booked.voids:
            # The sale stands again.
            self.voided.pop(booked.original, None)
        elif booked.original is not None:
            self.refunded[booked.original] -= booked.amount_minor

    def _hold(self, hold: Hold) -> None:
        before = self.holds.get(hold.key)
        for each, sign in ((before, -1), (hold, 1)):
            if each is not None and each.state is HoldState.OPEN:
                self.held[card_account(each.card)] += sign * each.amount_minor
        self.holds[hold.key] = hold

    def _note(self, line: Handled) -> None:
        self.lines[line.key] = (*self.lines.get(line.key, ()), line)
        self.unproven += line.what in UNPROVEN

    @staticmethod
    def _place(booked: Booked) -> tuple[str, str, Kind]:
        return booked.key.terminal, booked.key.batch, booked.kind
