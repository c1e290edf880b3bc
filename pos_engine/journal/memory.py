"""A journal in memory, for simulations and tests. It keeps what a file would keep: secrets are gone once a record is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.errors import JournalFault
from pos_engine.journal.record import AtRest, Record, State, freeze, thaw
from pos_engine.dialects.base import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pos_engine.wire.spec import MessageSpec

FAILURES_MAX = 16


class MemoryJournal:
    """The journal's whole interface over a dictionary."""

    def __init__(self, spec: MessageSpec) -> None:
        """Start empty; `spec` tells which elements may be kept."""
        self._spec = spec
        self._rest: dict[int, AtRest] = {}
        self.history: list[str] = []
        """Every form that was ever saved, as text, oldest first."""

    def save(self, record: Record) -> None:
        """Keep a record's present form."""
        clash = self.find_original(record.batch, record.stan)
        if record.kind is not Kind.REVERSAL and clash is not None and clash.number != record.number:
            reason = f"STAN {record.stan} was used before in batch {record.batch}"
            raise JournalFault(reason)
        known = self._rest.get(record.number)
        rest = freeze(record, self._spec)
        self._rest[record.number] = AtRest(rest.body, known.card_data) if known is not None else rest
        self.history.append(rest.body)

    def shred(self, numbers: Sequence[int]) -> None:
        """Forget the card data of some records."""
        for number in numbers:
            self._rest[number] = AtRest(self._rest[number].body, b"")

    def close(self) -> None:
        """Do nothing: memory needs no releasing."""

    def next_number(self) -> int:
        """Return the number of the next record."""
        return max(self._rest, default=0) + 1

    def next_stan(self) -> str:
        """Return the next STAN that the newest record's batch has not used."""
        newest = self.recent(1)
        stan = int(newest[0].stan) if newest else 0
        used = {record.stan for record in self._all() if record.batch == newest[0].batch} if newest else set()
        for _ in range(limits.STAN_MAX):
            stan = stan % limits.STAN_MAX + 1
            if f"{stan:06d}" not in used:
                break
        return f"{stan:06d}"

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        rest = self._rest.get(number)
        return thaw(rest.body, rest.card_data) if rest is not None else None

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request that used a STAN in a batch."""
        found = (r for r in self._all() if r.kind is not Kind.REVERSAL and (r.batch, r.stan) == (batch, stan))
        return next(found, None)

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return the pending and doubtful records of some kinds, those with an accepted reversal left out."""
        everything = self._all()
        reversed_ = {r.original for r in everything if r.kind is Kind.REVERSAL and r.state is State.APPROVED}
        states = {State.PENDING, State.DOUBTFUL}
        return [r for r in everything if r.kind in kinds and r.state in states and r.number not in reversed_]

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return the records that act on a record."""
        return [record for record in self._all() if record.original == number]

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        return next((r for r in reversed(self._all()) if r.kind is kind and r.state is State.APPROVED), None)

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return a record, sent under this sign-on, whose answer demanded another; `None` when there is none."""
        return next((r for r in reversed(self._all()) if r.demands_sign_on and r.signed_on_by == sign_on), None)

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return the records of a kind that failed since its last approved one."""
        approved = self.last_approved(kind)
        since = approved.number if approved is not None else 0
        return [r for r in self._all() if r.kind is kind and r.number > since][-FAILURES_MAX:]

    def sealed_records(self) -> Sequence[Record]:
        """Return the records whose card data is still kept."""
        return [thaw(rest.body, rest.card_data) for _, rest in sorted(self._rest.items()) if rest.card_data]

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        return self._all()[::-1][:count]

    def _all(self) -> list[Record]:
        return [thaw(rest.body, rest.card_data) for _, rest in sorted(self._rest.items())]
