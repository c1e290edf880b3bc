"""A journal in memory, for simulations and tests. It keeps what a file would keep: no secret survives a save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine.dialects.base import Kind
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.journal.view import FAILURES_MAX, admit, following_stan

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pos_engine.wire.spec import MessageSpec


class MemoryJournal:
    """The journal's whole interface over a dictionary."""

    def __init__(self, spec: MessageSpec) -> None:
        """Start empty; `spec` tells which elements may be kept."""
        self._spec = spec
        self._records: dict[int, Record] = {}
        self._card_data: dict[int, bytes] = {}
        self.history: list[str] = []
        """Every form that was ever saved, as text, oldest first."""

    def save(self, record: Record) -> None:
        """Keep a record's present form."""
        admit(record, self)
        rest = freeze(record, self._spec)
        if record.number not in self._records and rest.card_data:
            self._card_data[record.number] = rest.card_data
        # What comes back is what was kept, not the object that was given.
        self._records[record.number] = thaw(rest.body, self._card_data.get(record.number, b""))
        self.history.append(rest.body)

    def shred(self, numbers: Sequence[int]) -> None:
        """Forget the card data of some records."""
        for number in numbers:
            if self._card_data.pop(number, b""):
                self._records[number] = thaw(freeze(self._records[number], self._spec).body)

    def close(self) -> None:
        """Do nothing: memory needs no releasing."""

    def next_number(self) -> int:
        """Return the number of the next record."""
        return len(self._records) + 1

    def next_stan(self) -> str:
        """Return the next STAN that the batch in force has not used."""
        requests = [record for record in self._records.values() if record.kind is not Kind.REVERSAL]
        if not requests:
            return following_stan(None, lambda _stan: False)
        sign_on = self.last_approved(Kind.SIGN_ON)
        batches = {requests[-1].batch, sign_on.new_batch if sign_on is not None else None}
        used = {record.stan for record in requests if record.batch in batches}
        return following_stan(requests[-1].stan, used.__contains__)

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        return self._records.get(number)

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request that used a STAN in a batch."""
        wanted = (batch, stan)
        found = (r for r in self._records.values() if r.kind is not Kind.REVERSAL and (r.batch, r.stan) == wanted)
        return next(found, None)

    def find_key(self, key: str) -> Record | None:
        """Return the newest record under an idempotency key."""
        return next((each for each in reversed(self._records.values()) if each.key == key), None)

    def of_day(self, kind: Kind, day: str) -> Sequence[Record]:
        """Return the records of a kind that were begun on a day."""
        return [each for each in self._records.values() if each.kind is kind and each.day == day]

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return the pending and doubtful records of some kinds, without those that were reversed."""
        everything = self._records.values()
        reversed_ = {r.original for r in everything if r.kind is Kind.REVERSAL and r.state is State.APPROVED}
        states = {State.PENDING, State.DOUBTFUL}
        return [r for r in everything if r.kind in kinds and r.state in states and r.number not in reversed_]

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return the records that act on a record."""
        return [record for record in self._records.values() if record.original == number]

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        return next((r for r in self._newest_first() if r.kind is kind and r.state is State.APPROVED), None)

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return the newest record, sent under this sign-on, whose answer demanded another."""
        return next((r for r in self._newest_first() if r.demands_sign_on and r.signed_on_by == sign_on), None)

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return the records of a kind after its last approved one."""
        approved = self.last_approved(kind)
        since = approved.number if approved is not None else 0
        return [r for r in self._records.values() if r.kind is kind and r.number > since][-FAILURES_MAX:]

    def sealed_records(self) -> Sequence[Record]:
        """Return the records whose card data is still kept."""
        return [self._records[number] for number in sorted(self._card_data)]

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        return self._newest_first()[:count]

    def _newest_first(self) -> list[Record]:
        # Numbers are handed out in order, so the dictionary's order is theirs.
        return list(self._records.values())[::-1]
