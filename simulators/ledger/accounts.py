"""Accounts, and the entries that move money between them: double entry, in fen.

Every entry sums to zero, the opening balances too, which come from the issuer's funds; so all accounts together always
hold nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pos_engine.errors import UsageError

if TYPE_CHECKING:
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
