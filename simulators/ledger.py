"""The host's books: double entry in fen, and the transactions that the entries belong to.

Every entry moves money from some accounts to others and sums to zero, the opening balances too, which come from the
issuer's funds; so all accounts together always hold nothing. Nothing is ever changed or removed: a reversal is another
entry. Which transaction may do what is the acquirer's decision; the ledger only refuses what cannot be.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pos_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Kind


class AccountType(enum.Enum):
    """Whose money an account holds."""

    CARD = "card"
    MERCHANT = "merchant"
    FUNDS = "funds"


class Account(NamedTuple):
    """An account: a card's by the card's name, a merchant's by field 42."""

    type: AccountType
    name: str

    def __str__(self) -> str:
        """Return for example "card/everyday"."""
        return f"{self.type.value}/{self.name}"


FUNDS: Final = Account(AccountType.FUNDS, "issuer")
"""Where opening balances come from."""


def card_account(name: str) -> Account:
    """Return the account of a card."""
    return Account(AccountType.CARD, name)


def merchant_account(merchant: str) -> Account:
    """Return the account of a merchant."""
    return Account(AccountType.MERCHANT, merchant)


class Key(NamedTuple):
    """What names a transaction: field 41, field 60.2, field 11. A reversal has its original's."""

    terminal: str
    batch: str
    stan: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One account's part in an entry, in fen: positive is money that comes in."""

    account: Account
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of money. `key` and `kind` say which message made it; an opening balance has neither."""

    postings: tuple[Posting, ...]
    key: Key | None = None
    kind: Kind | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that makes or destroys money."""
        if sum(posting.amount_minor for posting in self.postings) != 0:
            reason = "an entry's postings sum to zero"
            raise UsageError(reason)

    def moved(self) -> int:
        """Fen that it moved to merchants; negative when it gave money back to a card."""
        return sum(each.amount_minor for each in self.postings if each.account.type is AccountType.MERCHANT)


def transfer(source: Account, target: Account, amount_minor: int, *, key: Key, kind: Kind) -> Entry:
    """Make the entry that moves an amount from one account to another."""
    return Entry((Posting(source, -amount_minor), Posting(target, amount_minor)), key, kind)


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
    rrn: str
    date: str
    code: str
    standing: Standing
    auth_code: str = ""
    original: Key | None = None
    """For a refund: the sale it gives back."""


class Ledger:
    """The books. Not for two threads at once; `copy` gives another thread its own."""

    __slots__ = ("_balances", "_by_rrn", "_effects", "_entries", "_refunded", "_transactions")

    def __init__(self) -> None:
        """Open empty books."""
        self._entries: list[Entry] = []
        self._balances: defaultdict[Account, int] = defaultdict(int)
        self._effects: defaultdict[Key, int] = defaultdict(int)
        self._transactions: dict[Key, Booked] = {}
        self._by_rrn: dict[str, Key] = {}
        self._refunded: defaultdict[Key, int] = defaultdict(int)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first."""
        return tuple(self._entries)

    @property
    def transactions(self) -> tuple[Booked, ...]:
        """Every transaction as it stands now, oldest first."""
        return tuple(self._transactions.values())

    def open_account(self, account: Account, balance_minor: int) -> None:
        """Open an account with a balance that the issuer's funds pay; `UsageError` when it is open already."""
        if account in self._balances:
            reason = f"the account {account} is open already"
            raise UsageError(reason)
        self.post(Entry((Posting(FUNDS, -balance_minor), Posting(account, balance_minor))))

    def post(self, entry: Entry) -> None:
        """Write one entry."""
        self._entries.append(entry)
        for posting in entry.postings:
            self._balances[posting.account] += posting.amount_minor
        if entry.key is not None:
            self._effects[entry.key] += entry.moved()

    def record(self, booked: Booked) -> None:
        """File a decided transaction; `UsageError` when its key or reference is taken: nothing is filed twice."""
        if booked.key in self._transactions or booked.rrn in self._by_rrn:
            reason = f"STAN {booked.key.stan} of batch {booked.key.batch} is filed already"
            raise UsageError(reason)
        self._transactions[booked.key] = booked
        self._by_rrn[booked.rrn] = booked.key
        if booked.original is not None and booked.standing is Standing.APPROVED:
            self._refunded[booked.original] += booked.amount_minor

    def mark_reversed(self, key: Key) -> None:
        """Note that a transaction was reversed; `UsageError` unless it stands approved."""
        booked = self._transactions.get(key)
        if booked is None or booked.standing is not Standing.APPROVED:
            reason = f"STAN {key.stan} of batch {key.batch} does not stand approved"
            raise UsageError(reason)
        self._transactions[key] = replace(booked, standing=Standing.REVERSED)

    def find(self, key: Key) -> Booked | None:
        """Look a transaction up by terminal, batch and STAN."""
        return self._transactions.get(key)

    def find_rrn(self, rrn: str) -> Booked | None:
        """Look a transaction up by the host's reference number, field 37."""
        key = self._by_rrn.get(rrn)
        return None if key is None else self._transactions[key]

    def refunded(self, key: Key) -> int:
        """Fen that approved refunds have given back of a sale."""
        return self._refunded.get(key, 0)

    def balance(self, account: Account) -> int:
        """Return an account's balance in fen; an account nobody has used holds nothing."""
        return self._balances.get(account, 0)

    def balances(self) -> Mapping[Account, int]:
        """Every account's balance in fen. They sum to zero."""
        return dict(self._balances)

    def effects_of(self, terminal: str, batch: str, stan: str) -> int:
        """Fen that one transaction, its reversal included, has moved to a merchant; negative for a refund, else 0."""
        return self._effects.get(Key(terminal, batch, stan), 0)

    def copy(self) -> Self:
        """Return books of their own with the same content."""
        twin = type(self)()
        twin._entries = self._entries.copy()  # noqa: SLF001 - a twin of the same class
        twin._balances = self._balances.copy()  # noqa: SLF001 - as above
        twin._effects = self._effects.copy()  # noqa: SLF001 - as above
        twin._transactions = self._transactions.copy()  # noqa: SLF001 - as above
        twin._by_rrn = self._by_rrn.copy()  # noqa: SLF001 - as above
        twin._refunded = self._refunded.copy()  # noqa: SLF001 - as above
        return twin
