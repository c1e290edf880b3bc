"""What flows may ask a journal: a reading interface, so that decisions stay pure and any store can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pos_engine.dialects.base import Kind
    from pos_engine.journal.record import Record


class JournalView(Protocol):
    """Read access to the journal's present contents. Records come back with their card data while it is kept."""

    def next_number(self) -> int:
        """Return the number of the next record."""
        ...

    def next_stan(self) -> str:
        """Return the next system trace audit number (field 11): after the last one used, 999999 wraps to 000001."""
        ...

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        ...

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request (not its reversal) that used a STAN in a batch."""
        ...

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return, oldest first, the pending and doubtful records of some kinds, those with an accepted reversal left out."""
        ...

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return, oldest first, the records that act on a record: its reversal, its refunds."""
        ...

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        ...

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return a record, sent under this sign-on, whose answer demanded another; `None` when there is none."""
        ...

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return, oldest first, the records of a kind that failed since its last approved one (at most the last 16)."""
        ...

    def sealed_records(self) -> Sequence[Record]:
        """Return, oldest first, the records whose card data is still kept."""
        ...

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        ...


class Journal(JournalView, Protocol):
    """A journal that can be written. `save` and `shred` are durable when they return, or raise `JournalFault`."""

    def save(self, record: Record) -> None:
        """Append a record's present form; the same number again supersedes it, and history keeps the older form."""
        ...

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy the keys under which the card data of some records is sealed."""
        ...

    def close(self) -> None:
        """Release the journal; more than once does no harm."""
        ...
