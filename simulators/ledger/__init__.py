"""The host's books: double entry in fen, the transactions that the entries belong to, and what else a host remembers.

accounts    accounts, entries that sum to zero, the key of a transaction
changes     everything that can happen to the books, as values
books       the ledger: what a list of changes amounts to, and what may be changed
totals      a batch as settlement counts it
story       what happened to one trace number, in order and in words
text        a change as a line of JSON and back

Pure: a file that keeps the books follows them from outside.
"""

from __future__ import annotations

from simulators.ledger.accounts import (
    FUNDS,
    Account,
    AccountType,
    Entry,
    Key,
    Posting,
    card_account,
    merchant_account,
    transfer,
)
from simulators.ledger.books import Follower, Ledger, Snapshot
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
    What,
)
from simulators.ledger.story import Story
from simulators.ledger.totals import Sum, Totals

__all__ = [
    "FUNDS",
    "Account",
    "AccountType",
    "Batch",
    "Booked",
    "Change",
    "Entry",
    "Follower",
    "Handled",
    "Hold",
    "HoldState",
    "Key",
    "Ledger",
    "PinTries",
    "Posting",
    "Reversed",
    "Snapshot",
    "Standing",
    "Story",
    "Sum",
    "Totals",
    "Unseen",
    "What",
    "card_account",
    "merchant_account",
    "transfer",
]
