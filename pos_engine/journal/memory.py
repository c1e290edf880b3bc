"""A journal in memory, for simulations and tests. It keeps what a file would keep: no secret survives a save."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import NO_REQUESTS, Kind
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.journal.view import FAILURES_MAX, admit, following_stan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pos_engine.wire.spec import MessageSpec

_UNSETTLED: Final = frozenset({State.PENDING, State.DOUBTFUL})


@dataclass(slots=True)
class _Index:
    """Where to look, so that no question reads every record: numbers, in the order of the intents."""

    kinds: dict[Kind, list[int]] = field(default_factory=dict)
    days: dict[tuple[Kind, str], list[int]] = field(default_factory=dict)
    acting: dict[int | None, list[int]] = field(default_factory=dict)
    keys: dict[str | None, int] = field(default_factory=dict)
    stans: dict[tuple[str, str], int] = field(default_factory=dict)
    approved: dict[Kind, int] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    ended: dict[int, set[int]] = field(default_factory=dict)
    demands: dict[int | None, set[int]] = field(default_factory=dict)
    wanted: dict[str | None, list[int]] = field(default_factory=dict)
    newest_request: int | None = None

    def add(self, record: Record) -> None:
        """Enter a record that is new; what is entered here never changes."""
        number = record.number
        self.kinds.setdefault(record.kind, []).append(number)
        self.days.setdefault((record.kind, record.day), []).append(number)
        self.acting.setdefault(record.original, []).append(number)
        self.keys[record.key] = number
        if record.kind is not Kind.REVERSAL:
            self.stans[record.batch, record.stan] = self.newest_request = number

    def move(self, old: Record | None, new: Record) -> None:
        """Enter what a record's present form says, in place of what its last one said."""
        if old is not None and old.demands_sign_on:
            self.demands[old.signed_on_by].discard(old.number)
        if old is not None and old.ends is not None:
            self.ended[old.ends].discard(old.number)
        if new.demands_sign_on:
            self.demands.setdefault(new.signed_on_by, set()).add(new.number)
        if new.ends is not None:
            self.ended.setdefault(new.ends, set()).add(new.number)
        before = old.wanted if old is not None else None
        if new.wanted != before:
            insort(self.wanted.setdefault(new.wanted, []), new.number)
            if before is not None:
                self.wanted[before].remove(new.number)
        (self.unsettled.add if new.state in _UNSETTLED else self.unsettled.discard)(new.number)
        if new.state is State.APPROVED:
            self.approved[new.kind] = max(new.number, self.approved.get(new.kind, 0))


class MemoryJournal:
    """The journal's whole interface over a few dictionaries."""

    def __init__(self, spec: MessageSpec) -> None:
        """Start empty; `spec` tells which elements may be kept."""
        self._spec = spec
        self._bodies: dict[int, str] = {}
        self._card_data: dict[int, bytes] = {}
        self._read: dict[int, Record] = {}
        self._index = _Index()
        self.history: list[str] = []
        """Every form that was ever saved, as text, oldest first."""

    def save(self, record: Record) -> None:
        """Keep a record's present form."""
        admit(record, self)
        rest = freeze(record, self._spec)
        known = self.find(record.number)
        if known is None:
            self._index.add(record)
            if rest.card_data:
                self._card_data[record.number] = rest.card_data
        self._index.move(known, record)
        # What comes back is what was kept, not the object that was given.
        self._bodies[record.number] = rest.body
        self._read.pop(record.number, None)
        self.history.append(rest.body)

    def shred(self, numbers: Sequence[int]) -> None:
        """Forget the card data of some records."""
        for number in numbers:
            if self._card_data.pop(number, b""):
                self._read.pop(number, None)

    def close(self) -> None:
        """Do nothing: memory needs no releasing."""

    def next_number(self) -> int:
        """Return the number of the next record."""
        return len(self._bodies) + 1

    def next_stan(self) -> str:
        """Return the next STAN that the batch in force has not used."""
        newest = self._index.newest_request
        last = self.find(newest) if newest is not None else None
        if last is None:
            return following_stan(None, lambda _stan: False)
        sign_on = self.last_approved(Kind.SIGN_ON)
        batches = {last.batch, (sign_on.new_batch if sign_on is not None else None) or last.batch}
        return following_stan(last.stan, lambda stan: any((batch, stan) in self._index.stans for batch in batches))

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        known = self._read.get(number)
        if known is not None or number not in self._bodies:
            return known
        self._read[number] = thaw(self._bodies[number], self._card_data.get(number, b""))
        return self._read[number]

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request that used a STAN in a batch."""
        return self._find(self._index.stans.get((batch, stan)))

    def find_key(self, key: str) -> Record | None:
        """Return the newest record under an idempotency key."""
        return self._find(self._index.keys.get(key))

    def of_day(self, kind: Kind, day: str) -> Sequence[Record]:
        """Return the records of a kind that were begun on a day."""
        return self._records(self._index.days.get((kind, day), ()))

    def kind_records(self, kind: Kind, since_day: str) -> Sequence[Record]:
        """Return the records of a kind that were begun on a day or later."""
        return [each for each in self._records(self._index.kinds.get(kind, ())) if each.day >= since_day]

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return the pending and doubtful records of some kinds, without those that were reversed."""
        numbers = (each for each in sorted(self._index.unsettled) if not self._index.ended.get(each))
        return [each for each in self._records(numbers) if each.kind in kinds]

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return the records that act on a record."""
        return self._records(self._index.acting.get(number, ()))

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        return self._find(self._index.approved.get(kind))

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return the newest record, sent under this sign-on, whose answer demanded another."""
        return self._find(max(self._index.demands.get(sign_on, ()), default=None))

    def wanted_after(self, request: str, number: int) -> Record | None:
        """Return the oldest record with a higher number whose answer carried a processing request."""
        numbers = self._index.wanted.get(request, ())
        later = numbers[bisect_right(numbers, number) :][:1]
        return self._find(later[0] if later else None)

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return the records of a kind after its last approved one."""
        since = self._index.approved.get(kind, 0)
        numbers = self._index.kinds.get(kind)
        if numbers is None or numbers[-1] <= since:
            return []
        return self._records(number for number in numbers[-FAILURES_MAX:] if number > since)

    def sealed_records(self) -> Sequence[Record]:
        """Return the records whose card data is still kept."""
        return self._records(sorted(self._card_data))

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        return self._records(islice(reversed(self._bodies), count))

    def recent_requests(self, count: int) -> Sequence[Record]:
        """Return the newest records of requests, newest first."""
        newest = (record for record in map(self._find, reversed(self._bodies)) if record is not None)
        return list(islice((record for record in newest if record.kind not in NO_REQUESTS), count))

    def forms(self, number: int) -> Sequence[Record]:
        """Return every form that a record had."""
        return [form for form in map(thaw, self.history) if form.number == number]

    def texts(self) -> tuple[str, ...]:
        """Return the newest form of each record as it is kept, by number."""
        return tuple(self._bodies.values())

    def _find(self, number: int | None) -> Record | None:
        return None if number is None else self.find(number)

    def _records(self, numbers: Iterable[int]) -> list[Record]:
        return [record for number in numbers if (record := self.find(number)) is not None]
