"""The ledger: what may be changed in the books, and every question about them.

Nothing is ever removed: a reversal is another entry. Which transaction may do what is the acquirer's decision; the
ledger only refuses what cannot be. What is changed is told to those who follow once the changes of a request are
complete, so that a file never holds half of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, Self

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import UsageError
from simulators.ledger.accounts import FUNDS, Account, Entry, Key, Posting, card_account, merchant_account, transfer
from simulators.ledger.changes import (
    Batch,
    Booked,
    Change,
    Handled,
    Hold,
    HoldState,
    PinTries,
    Reversed,
    Standing,
    Unseen,
)
from simulators.ledger.state import LINES_PER_STAN_MAX, State
from simulators.ledger.story import Story, tell
from simulators.ledger.totals import Totals, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

FIRST_BATCH: Final = "000001"
RRN_SERIALS: Final = 100_000_000


class Follower(Protocol):
    """Who keeps what the ledger tells, such as a file."""

    def rewind(self, count: int) -> None:
        """Forget every change but the first `count`."""

    def append(self, changes: Sequence[Change]) -> None:
        """Keep these changes too, all or none."""


@dataclass(slots=True)
class _Following:
    """Somebody who follows, and how many changes it was told of."""

    follower: Follower
    told: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The books at one moment, to go back to. Two are equal when the same changes led to them."""

    _state: State = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Compare what led here."""
        return isinstance(other, Snapshot) and self.changes == other.changes

    def __hash__(self) -> int:
        """Hash what led here."""
        return hash(self.changes)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Everything that led here, oldest first."""
        return tuple(self._state.changes)


class Ledger:
    """The books. Not for two threads at once; `copy` gives another thread its own."""

    __slots__ = ("_following", "_state")

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        """Open the books: empty, or as a list of changes left them. `UsageError` for a list that cannot be."""
        self._state = State()
        self._following: list[_Following] = []
        for change in changes:
            self._check(change)
            self._state.apply(change)

    # What is there.

    @property
    def changes(self) -> Sequence[Change]:
        """Everything that led here, oldest first."""
        return tuple(self._state.changes)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first."""
        return tuple(change for change in self._state.changes if isinstance(change, Entry))

    @property
    def transactions(self) -> tuple[Booked, ...]:
        """Every transaction as it stands now, oldest first."""
        return tuple(self._state.transactions.values())

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold as it stands now, oldest first."""
        return tuple(self._state.holds.values())

    def find(self, key: Key) -> Booked | None:
        """Look a transaction up by terminal, batch and STAN."""
        return self._state.transactions.get(key)

    def find_rrn(self, rrn: str) -> Booked | None:
        """Look a transaction up by the host's reference number, field 37."""
        key = self._state.by_rrn.get(rrn)
        return None if key is None else self._state.transactions[key]

    def find_hold(self, key: Key) -> Hold | None:
        """Look a hold up by the key of the request that placed it."""
        return self._state.holds.get(key)

    def refunded(self, key: Key) -> int:
        """Fen that approved refunds have given back of a sale."""
        return self._state.refunded.get(key, 0)

    def voided_by(self, key: Key) -> Key | None:
        """Return the void that undid a sale, `None` where none stands."""
        return self._state.voided.get(key)

    def is_open(self, account: Account) -> bool:
        """Whether an account has been opened or used."""
        return account in self._state.balances

    def balance(self, account: Account) -> int:
        """Return an account's balance in fen; an account nobody has used holds nothing."""
        return self._state.balances.get(account, 0)

    def available(self, account: Account) -> int:
        """Return what of a balance is not held."""
        return self.balance(account) - self._state.held.get(account, 0)

    def balances(self) -> Mapping[Account, int]:
        """Every account's balance in fen. They sum to zero."""
        return dict(self._state.balances)

    def effects_of(self, terminal: str, batch: str, stan: str) -> int:
        """Fen that one transaction, its reversal included, has moved to a merchant; negative for a refund, else 0."""
        return self._state.effects.get(Key(terminal, batch, stan), 0)

    def batch(self, terminal: str) -> str:
        """Return the number of a terminal's open batch, field 60.2."""
        return self._state.batches.get(terminal, FIRST_BATCH)

    def totals(self, terminal: str, batch: str) -> Totals:
        """Add a batch up as settlement counts it."""
        sums = self._state.sums
        found = ((kind, sums.get((terminal, batch, kind))) for kind in Kind)
        return total({kind: each for kind, each in found if each is not None and each.count})

    def reversed_unseen(self, key: Key) -> bool:
        """Whether a reversal of this came before the thing itself."""
        return key in self._state.unseen

    def wrong_pins(self, card: str) -> int:
        """How often in a row a card was tried with a wrong PIN."""
        return self._state.pin_tries.get(card, 0)

    def story(self, terminal: str, batch: str, stan: str) -> Story:
        """Tell what happened under a trace number."""
        key = Key(terminal, batch, stan)
        lines = self._state.lines.get(key, ())
        return tell(
            key,
            lines,
            complete=len(lines) < LINES_PER_STAN_MAX,
            booked=self.find(key),
            net_minor=self._state.effects.get(key, 0),
            refunded_minor=self.refunded(key),
            voided_by=self.voided_by(key),
        )

    # What can be done.

    def open_account(self, account: Account, balance_minor: int) -> None:
        """Open an account with a balance that the issuer's funds pay; `UsageError` when it is open already."""
        if self.is_open(account):
            reason = f"the account {account} is open already"
            raise UsageError(reason)
        self.post(Entry((Posting(FUNDS, -balance_minor), Posting(account, balance_minor))))

    def post(self, entry: Entry) -> None:
        """Write one entry."""
        self._do(entry)

    def record(self, booked: Booked) -> None:
        """File a decided transaction; `UsageError` when its key or reference is taken: nothing is filed twice."""
        self._do(booked)

    def mark_reversed(self, key: Key) -> None:
        """Note that a transaction was reversed; `UsageError` unless it stands approved."""
        self._do(Reversed(key))

    def place_hold(self, key: Key, card: str, merchant: str, amount_minor: int) -> Hold:
        """Reserve an amount on a card; `UsageError` when it is not above zero, or the key has a hold."""
        hold = Hold(key, card, merchant, amount_minor)
        if key in self._state.holds:
            reason = f"STAN {key.stan} of batch {key.batch} has a hold already"
            raise UsageError(reason)
        self._do(hold)
        return hold

    def release_hold(self, key: Key) -> Hold:
        """Let an open hold go; `UsageError` when there is none."""
        return self._end_hold(key, HoldState.RELEASED)

    def capture_hold(self, key: Key, amount_minor: int, *, by: Key, kind: Kind) -> Entry:
        """Let an open hold go and move an amount from its card to its merchant instead; the rest of it lapses.

        How far above the hold the amount may be is the acquirer's decision. The entry belongs to the request `by`.
        """
        hold = self._end_hold(key, HoldState.CAPTURED)
        entry = transfer(card_account(hold.card), merchant_account(hold.merchant), amount_minor, key=by, kind=kind)
        self._do(entry)
        return entry

    def reopen_hold(self, key: Key) -> Hold:
        """Hold again what was released or captured, as the void of a completion does; `UsageError` when it is open."""
        hold = self._state.holds.get(key)
        if hold is None or hold.state is HoldState.OPEN:
            reason = f"STAN {key.stan} of batch {key.batch} has no hold that has ended"
            raise UsageError(reason)
        again = replace(hold, state=HoldState.OPEN)
        self._do(again)
        return again

    def close_batch(self, terminal: str) -> str:
        """Open a terminal's next batch and return its number; after 999998 comes 000001."""
        number = int(self.batch(terminal)) % (limits.BATCH_MAX - 1) + 1
        self._do(Batch(terminal, f"{number:06d}"))
        return self.batch(terminal)

    def remember_unseen(self, key: Key) -> None:
        """Remember a reversal of something that has not come."""
        if not self.reversed_unseen(key):
            self._do(Unseen(key))

    def note_pin_tries(self, card: str, wrong: int) -> None:
        """Keep how often in a row a card was tried with a wrong PIN."""
        if wrong != self.wrong_pins(card):
            self._do(PinTries(card, wrong))

    def note(self, line: Handled) -> None:
        """Keep a handled message for the story of its trace number, as long as there is room."""
        if self._state.keeps(line):
            self._do(line)

    def next_rrn(self, at: datetime) -> str:
        """Return the next reference number of the host, field 37: month, day, and a count."""
        self._state.serial = (self._state.serial + 1) % RRN_SERIALS
        return f"{at:%m%d}{self._state.serial:08d}"

    # Copies, moments, followers.

    def copy(self) -> Self:
        """Return books of their own with the same content, followed by nobody."""
        twin = type(self)()
        twin._state = self._state.copy()  # noqa: SLF001 - a twin of the same class
        return twin

    def snapshot(self) -> Snapshot:
        """Return the books as they are now."""
        return Snapshot(self._state.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, of these books or of others, as if what came after had never been."""
        old, self._state = self._state.changes, snapshot._state.copy()  # noqa: SLF001 - made by these books
        pairs = zip(old, self._state.changes, strict=False)
        parted = next((place for place, (one, other) in enumerate(pairs) if one is not other and one != other), None)
        common = min(len(old), len(self._state.changes)) if parted is None else parted
        for following in self._following:
            if following.told > common:
                following.follower.rewind(common)
                following.told = common
        self.commit()

    def follow(self, follower: Follower, *, known: int = 0) -> None:
        """Tell somebody of every change that leads here; the first `known` are known to it."""
        self._following.append(_Following(follower, known))
        self.commit()

    def commit(self) -> None:
        """Tell the followers what has changed since the last time.

        They may raise what keeping it raises; what they could not keep they are told again the next time.
        """
        for following in self._following:
            news = self._state.changes[following.told :]
            if news:
                following.follower.append(news)
                following.told += len(news)

    def _do(self, change: Change) -> None:
        self._check(change)
        self._state.apply(change)

    def _end_hold(self, key: Key, state: HoldState) -> Hold:
        hold = self._state.holds.get(key)
        if hold is None or hold.state is not HoldState.OPEN:
            reason = f"STAN {key.stan} of batch {key.batch} has no open hold"
            raise UsageError(reason)
        ended = replace(hold, state=state)
        self._do(ended)
        return ended

    def _check(self, change: Change) -> None:
        """Refuse what cannot be."""
        reason = ""
        if isinstance(change, Booked):
            taken = change.key in self._state.transactions or change.rrn in self._state.by_rrn
            reason = "is filed already" if taken else ""
        elif isinstance(change, Reversed):
            booked = self.find(change.key)
            stands = booked is not None and booked.standing is Standing.APPROVED
            reason = "" if stands else "does not stand approved"
        elif isinstance(change, Hold) and change.amount_minor <= 0:
            reason = "holds nothing"
        if reason and isinstance(change, Booked | Reversed | Hold):
            reason = f"STAN {change.key.stan} of batch {change.key.batch} {reason}"
            raise UsageError(reason)
