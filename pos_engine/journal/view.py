"""What flows may ask a journal: a reading interface, so that decisions stay pure and any store can answer.

Beside it stand the rules that every store keeps: which records are admitted, and which STAN comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal.record import FINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pos_engine.journal.record import Record

FAILURES_MAX: Final = 16
"""How many failures in a row are told: by then the wait between two attempts has long reached its longest."""


class JournalView(Protocol):
    """Read access to the journal's present contents. Records come back with their card data while it is kept."""

    def next_number(self) -> int:
        """Return the number of the next record."""
        ...

    def next_stan(self) -> str:
        """Return the next system trace audit number (field 11): after the last one used, 999999 wraps to 000001.

        Numbers used before in the batch in force are skipped; `JournalFault` when it has none left.
        """
        ...

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        ...

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request (not its reversal) that used a STAN in a batch."""
        ...

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return, oldest first, the pending and doubtful records of some kinds, without those that were reversed."""
        ...

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return, oldest first, the records that act on a record: its reversal, its refunds."""
        ...

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        ...

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return the newest record, sent under this sign-on, whose answer demanded another; `None` without one."""
        ...

    def wanted_after(self, request: str, number: int) -> Record | None:
        """Return the oldest record with a higher number whose answer carried this processing request."""
        ...

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return, oldest first, the records of a kind after its last approved one (at most the last 16).

        One whose end is not on record counts as failed: the power went before it had an outcome.
        """
        ...

    def find_key(self, key: str) -> Record | None:
        """Return the newest record under a caller's idempotency key."""
        ...

    def of_day(self, kind: Kind, day: str) -> Sequence[Record]:
        """Return, oldest first, the records of a kind that were begun on a day of the wall clock (ISO 8601)."""
        ...

    def kind_records(self, kind: Kind, since_day: str) -> Sequence[Record]:
        """Return, oldest first, the records of a kind that were begun on a day of the wall clock or later."""
        ...

    def sealed_records(self) -> Sequence[Record]:
        """Return, oldest first, the records whose card data is still kept."""
        ...

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        ...

    def recent_requests(self, count: int) -> Sequence[Record]:
        """Return the newest records of requests, newest first: without those of which nothing was ever sent."""
        ...

    def forms(self, number: int) -> Sequence[Record]:
        """Return, oldest first, every form that a record had, without card data."""
        ...


class Journal(JournalView, Protocol):
    """A journal that can be written. `save` and `shred` are durable when they return, or raise `JournalFault`."""

    def save(self, record: Record) -> None:
        """Append a record's present form; the same number again supersedes it, and history keeps the older form.

        What `admit` refuses changes nothing. After any other fault nothing more is saved until the journal is reopened.
        """
        ...

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy the keys under which the card data of some records is sealed; records without any are passed over."""
        ...

    def close(self) -> None:
        """Release the journal; more than once does no harm."""
        ...


def admit(record: Record, journal: JournalView) -> None:
    """Refuse with `JournalFault` what no journal may hold.

    A new record takes the next number, and a STAN that its batch has not used yet; only a reversal shares its
    original's. Later forms of a record keep its kind, STAN and batch.
    """
    known = journal.find(record.number)
    if known is not None:
        if (record.kind, record.stan, record.batch) != (known.kind, known.stan, known.batch):
            reason = f"record {record.number}: its kind, STAN and batch cannot change"
            raise JournalFault(reason)
        if known.state in FINAL and record.state is not known.state:
            reason = f"record {record.number}: {known.state.name.lower()} once, it stays so"
            raise JournalFault(reason)
        return
    if record.number != journal.next_number():
        reason = f"record {record.number}: not the next number"
        raise JournalFault(reason)
    if record.kind is not Kind.REVERSAL and journal.find_original(record.batch, record.stan) is not None:
        reason = f"record {record.number}: its STAN was used before in the batch"
        raise JournalFault(reason)


def following_stan(last: str | None, is_used: Callable[[str], bool]) -> str:
    """Return the first STAN after `last` that is not used; `JournalFault` when there is none."""
    stan = int(last or 0)
    for _ in range(limits.STAN_MAX):
        stan = stan % limits.STAN_MAX + 1
        if not is_used(f"{stan:06d}"):
            return f"{stan:06d}"
    reason = "every STAN of the batch is used: settle it first"
    raise JournalFault(reason)
