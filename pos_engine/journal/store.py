"""The durable journal: SQLite in WAL mode with `synchronous=FULL`, read back at open and refused otherwise.

    entries   every form every record ever had, appended and chained by a keyed digest; nothing is edited
    current   the newest form of each record, as columns to search by; it can be rebuilt from `entries`
    seals     card data that is still needed, each under a key of its own, which `shred` destroys
    receipts  what `shred` leaves in place of a seal

One process writes at a time, guarded by an OS lock that names its holder; readers open read-only. A high-water mark
outside the file tells when its end is missing. After a failed write the journal refuses everything further until it is
opened again, because what a failed flush left behind cannot be known. A full disk alone is no such failure: room for
what is owed is kept in reserve, and new intents are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from pos_engine.dialects.base import NO_REQUESTS, Kind
from pos_engine.errors import JournalFault
from pos_engine.journal import backup, mark, schema
from pos_engine.journal.audit import Audited, about, audit, last_stan
from pos_engine.journal.files import beside
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.journal.reserve import Reserve
from pos_engine.journal.sealing import GENESIS, Head, Sealing
from pos_engine.journal.view import FAILURES_MAX, admit, following_stan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from pos_engine.values import Identity, KeyBytes
    from pos_engine.wire.spec import MessageSpec

Statement = tuple[str, tuple[object, ...]]

OWED: Final = frozenset({Kind.REVERSAL, Kind.SIGN_ON, Kind.RESTORE})
"""Intents that need no reserve and may draw on it: a reversal is owed, and may have to be signed on for first."""

RECORDS: Final = """
    SELECT c.number, e.sealed, e.body, e.digest, p.digest, s.wrapped, s.box
    FROM current c JOIN entries e ON e.seq = c.seq AND e.number = c.number
    LEFT JOIN entries p ON p.seq = e.seq - 1 LEFT JOIN seals s ON s.number = c.number """
LAST_REQUEST: Final = "SELECT stan, batch FROM current WHERE kind <> 'reversal' ORDER BY number DESC LIMIT 1"
STAN_USED: Final = "SELECT 1 FROM current WHERE batch = ? AND stan = ? AND kind <> 'reversal'"
BY_STAN: Final = "WHERE c.batch = ? AND c.stan = ? AND c.kind <> 'reversal'"
OPEN: Final = """
    WHERE c.kind IN ({kinds}) AND c.state IN (?, ?) AND NOT EXISTS (SELECT 1 FROM current r WHERE r.ends = c.number)
    ORDER BY c.number"""
ACTING_ON: Final = "WHERE c.original = ? ORDER BY c.number"
LAST_APPROVED: Final = "WHERE c.kind = ? AND c.state = ? ORDER BY c.number DESC LIMIT 1"
DEMANDED_AFTER: Final = "WHERE c.demanded_after = ? ORDER BY c.number DESC LIMIT 1"
WANTED_AFTER: Final = "WHERE c.wanted = ? AND c.number > ? ORDER BY c.number LIMIT 1"
FAILURES: Final = """
    WHERE c.kind = ? AND c.number >
        (SELECT COALESCE(MAX(a.number), 0) FROM current a WHERE a.kind = ? AND a.state = ?)
    ORDER BY c.number DESC LIMIT ?"""
BY_KEY: Final = "WHERE c.key = ? ORDER BY c.number DESC LIMIT 1"
OF_DAY: Final = "WHERE c.kind = ? AND c.day = ? ORDER BY c.number"
SINCE_DAY: Final = "WHERE c.kind = ? AND c.day >= ? ORDER BY c.number"
SEALED: Final = "WHERE c.number IN (SELECT number FROM seals) ORDER BY c.number"
RECENT: Final = "ORDER BY c.number DESC LIMIT ?"
RECENT_REQUESTS: Final = f"WHERE c.kind NOT IN ({', '.join('?' * len(NO_REQUESTS))}) {RECENT}"
ENTRIES: Final = """
    SELECT e.seq, e.number, e.sealed, e.body, e.digest, p.digest
    FROM entries e JOIN current c ON c.number = e.number LEFT JOIN entries p ON p.seq = e.seq - 1
    WHERE c.day >= ? {newest} ORDER BY e.seq"""

FORMS: Final = """
    SELECT e.number, e.sealed, e.body, e.digest, p.digest
    FROM entries e LEFT JOIN entries p ON p.seq = e.seq - 1 WHERE e.number = ? ORDER BY e.seq"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One form that a record had: its place in the chain, and the record without its card data."""

    place: int
    record: Record


def was_begun(path: Path, mark_path: Path | None = None) -> bool:
    """Tell whether there is a journal, or something beside its place that says there was one; so may its mark."""
    return any(each.exists() for each in (path, beside(path, "-wal"), mark_path or beside(path, ".mark")))


class SqliteJournal:
    """A journal in one file. Use `open`; the constructor is for it alone."""

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        audited: Audited,
        *,
        marked: Path,
        spec: MessageSpec,
        sealing: Sealing,
        writer: tuple[WriterLock, mark.HighWaterMark] | None,
    ) -> None:
        """Take over an opened and verified database; without a writer's lock and mark it is only read."""
        self._path = path
        self._marked = marked
        self._database = database
        self._head = audited.head
        self.audited: Final = audited
        """What was found when the journal was opened."""
        self._spec = spec
        self._sealing = sealing
        self._writer = writer
        self._reserve = Reserve(path)
        self._failed = False
        self._erasing = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        spec: MessageSpec,
        identity: Identity,
        storage_key: KeyBytes,
        entropy: Callable[[int], bytes],
        read_only: bool = False,
        mark_path: Path | None = None,
    ) -> Self:
        """Open or create the journal of one terminal and verify all of it.

        The high-water mark is kept beside the journal unless `mark_path` names another place, best on other media.
        Raises `JournalFault` when another process holds the journal, when it belongs to another terminal, and when
        anything in it is damaged or missing; then the files stay as they are.
        """
        sealing = Sealing(storage_key, f"{identity.terminal}/{identity.merchant}", entropy)
        marked = mark_path or beside(path, ".mark")
        if read_only:
            database, audited = open_verified(path, marked, sealing)
            return cls(path, database, audited, marked=marked, spec=spec, sealing=sealing, writer=None)
        lock = WriterLock.acquire(path)
        try:
            if not path.exists():
                _create(path, marked, sealing)
            try:
                return cls._open_for_writing(path, marked, spec=spec, sealing=sealing, lock=lock)
            except JournalFault:
                # Opening takes a little room too, and what is owed must be worked off on a full disk.
                if not Reserve(path).give_back_if_short():
                    raise
            return cls._open_for_writing(path, marked, spec=spec, sealing=sealing, lock=lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_for_writing(
        cls, path: Path, marked: Path, *, spec: MessageSpec, sealing: Sealing, lock: WriterLock
    ) -> Self:
        database, audited = open_verified(path, marked, sealing)
        database.close()
        high_water = mark.HighWaterMark.open(marked, sealing)
        try:
            # An entry whose commit was the last thing that happened is not marked yet.
            high_water.move(audited.head)
            database = schema.open_for_writing(path)
            journal = cls(path, database, audited, marked=marked, spec=spec, sealing=sealing, writer=(lock, high_water))
        except BaseException:
            high_water.close()
            raise
        try:
            journal._finish_erasing()
        except BaseException:
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Close the file and let go of the lock; more than once does no harm."""
        try:
            self._database.close()
        except schema.UNREADABLE as error:
            failure = JournalFault(f"{self._path}: {schema.explain(error)}")
        else:
            if self._writer is not None:
                lock, high_water = self._writer
                high_water.close()
                lock.release()
            return
        raise failure

    def save(self, record: Record) -> None:
        """Append a record's present form; it is on disk when this returns.

        Where the disk has no room for the outcome, a new record is refused, and the journal stays in use.
        """
        high_water = self._writable()
        admit(record, self)
        rest = freeze(record, self._spec)
        is_new = record.number == self.next_number()
        sealed = bool(rest.card_data) and is_new
        digest = self._sealing.link(self._head.digest, record.number, rest.body, sealed=sealed)
        stan = last_stan(record, self._head.stan) if is_new else self._head.stan
        head = Head(self._head.entries + 1, digest, stan)
        entry = (head.entries, record.number, int(sealed), rest.body, head.digest)
        statements: list[Statement] = [
            (schema.INSERT_ENTRY, entry),
            (schema.UPSERT_CURRENT, (*schema.columns(record), head.entries)),
        ]
        if sealed:
            box = self._sealing.box(record.number, rest.card_data)
            statements.append((schema.INSERT_SEAL, (record.number, *box)))
        is_owed = not is_new or record.kind in OWED
        if not is_owed:
            self._reserve.take()
        self._write(statements, head, high_water, is_owed=is_owed)

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy the keys of some records' card data, in the file and in its write-ahead log.

        While a reader is in the middle of reading, or the disk is full, the log keeps its copy; the next call or the
        next start removes it.
        """
        high_water = self._writable()
        kept = {number for (number,) in self._rows("SELECT number FROM seals")}
        statements: list[Statement] = []
        for number in sorted(kept.intersection(numbers)):
            statements.append((schema.DELETE_SEAL, (number,)))
            statements.append((schema.INSERT_RECEIPT, (number, self._sealing.receipt(number))))
        if statements:
            self._write(statements, self._head, high_water, is_owed=True)
            self._erasing = True
        if self._erasing:
            self._finish_erasing()

    def backup(self, destination: Path) -> Audited:
        """Make a verified copy of the journal in one new file, while it is in use; returns what the copy holds.

        Raises `UsageError` when there is something of that name already.
        """
        marked, sealing = mark.read(self._marked), self._sealing
        return backup.take(self._database, destination, lambda copy, name: audit(copy, name, sealing, marked))

    def next_number(self) -> int:
        """Return the number of the next record."""
        return int(self._rows("SELECT COALESCE(MAX(number), 0) + 1 FROM current")[0][0])

    def next_stan(self) -> str:
        """Return the next STAN that the batch in force has not used."""
        last = self._rows(LAST_REQUEST)
        if not last:
            return following_stan(None, lambda _stan: False)
        stan, batch = last[0]
        sign_on = self.last_approved(Kind.SIGN_ON)
        # The last request may be the sign-on that changed the batch, or have come before a change back.
        batches = {batch, sign_on.new_batch if sign_on is not None else None}
        return following_stan(stan, lambda each: any(self._rows(STAN_USED, batch, each) for batch in batches))

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        return self._first("WHERE c.number = ?", number)

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request that used a STAN in a batch."""
        return self._first(BY_STAN, batch, stan)

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return the pending and doubtful records of some kinds, without those that were reversed."""
        states = State.PENDING.name, State.DOUBTFUL.name
        return self._records(OPEN.format(kinds=", ".join("?" * len(kinds))), *(kind.value for kind in kinds), *states)

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return the records that act on a record."""
        return self._records(ACTING_ON, number)

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        return self._first(LAST_APPROVED, kind.value, State.APPROVED.name)

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return the newest record, sent under this sign-on, whose answer demanded another."""
        return self._first(DEMANDED_AFTER, sign_on)

    def wanted_after(self, request: str, number: int) -> Record | None:
        """Return the oldest record with a higher number whose answer carried a processing request."""
        return self._first(WANTED_AFTER, request, number)

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return the records of a kind after its last approved one."""
        return self._records(FAILURES, kind.value, kind.value, State.APPROVED.name, FAILURES_MAX)[::-1]

    def find_key(self, key: str) -> Record | None:
        """Return the newest record under an idempotency key."""
        return self._first(BY_KEY, key)

    def of_day(self, kind: Kind, day: str) -> Sequence[Record]:
        """Return the records of a kind that were begun on a day."""
        return self._records(OF_DAY, kind.value, day)

    def kind_records(self, kind: Kind, since_day: str) -> Sequence[Record]:
        """Return the records of a kind that were begun on a day or later."""
        return self._records(SINCE_DAY, kind.value, since_day)

    def sealed_records(self) -> Sequence[Record]:
        """Return the records whose card data is still kept."""
        return self._records(SEALED)

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        return self._records(RECENT, count)

    def recent_requests(self, count: int) -> Sequence[Record]:
        """Return the newest records of requests, newest first."""
        return self._records(RECENT_REQUESTS, *(kind.value for kind in NO_REQUESTS), count)

    def forms(self, number: int) -> Sequence[Record]:
        """Return every form that a record had."""
        return [self._record(*row) for row in self._rows(FORMS, number)]

    def entries(self, *, since: str = "", history: bool = False) -> Iterator[Entry]:
        """Yield each record's present form, in the order they were written; with `history`, every form it ever had.

        `since` is a day of the wall clock (ISO 8601): records begun before it are left out. Card data stays sealed.
        """
        newest = "" if history else "AND c.seq = e.seq"
        for place, *row in self._rows(ENTRIES.format(newest=newest), since):
            yield Entry(place, self._record(*row))

    def _first(self, where: str, *values: object) -> Record | None:
        return next(iter(self._records(where, *values)), None)

    def _records(self, where: str, *values: object) -> list[Record]:
        return [self._record(*row) for row in self._rows(RECORDS + where, *values)]

    def _record(
        self, number: int, sealed: object, body: str, digest: bytes, previous: bytes | None, *seal: object
    ) -> Record:
        """Read one record; what was verified when the file was opened may have been damaged since."""
        card_data: bytes | None = b""
        if seal and seal != (None, None):
            card_data = self._sealing.unbox(number, *seal)
        if card_data is None or not self._sealing.holds(digest, previous or GENESIS, number, body, sealed=sealed):
            reason = f"{self._path}: record {number} is damaged; keep the journal as evidence"
            raise JournalFault(reason)
        return thaw(body, card_data)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except schema.UNREADABLE as error:
            failure = JournalFault(f"{self._path}: {schema.explain(error)}")
        # Raised here, so that SQLite's own error, which may quote what it could not read, does not ride along.
        raise failure

    def _writable(self) -> mark.HighWaterMark:
        """Return the mark that a write moves, or refuse to write."""
        if self._writer is None:
            reason = f"{self._path}: opened for reading only"
            raise JournalFault(reason)
        if self._failed:
            reason = f"{self._path}: a write failed before; open the journal again, so that it recovers"
            raise JournalFault(reason)
        return self._writer[1]

    def _write(
        self, statements: Sequence[Statement], head: Head, high_water: mark.HighWaterMark, *, is_owed: bool
    ) -> None:
        """Write all or nothing, durably, then move the mark; a failure closes the journal to everything further.

        On a full disk nothing was written. What is owed is then written once more, into the room kept for it.
        """
        full = self._commit(statements)
        if full is not None and is_owed:
            if not self._reserve.give_back():
                self._copy_log("RESTART")
            full = self._commit(statements)
        if full is not None:
            raise full
        self._failed = True
        high_water.move(head)
        self._head = head
        self._failed = False
        if not self._reserve.is_there():
            # A log that starts again needs no new blocks: what room there is remains for the file.
            self._copy_log("RESTART")

    def _commit(self, statements: Sequence[Statement]) -> JournalFault | None:
        """Commit some statements; returns the fault where there was no room for them, and raises any other."""
        # Where another program holds the file, nothing was written yet and nothing is in doubt.
        self._rows("BEGIN IMMEDIATE")
        self._failed = True
        try:
            for statement, values in statements:
                self._database.execute(statement, values)
            self._database.execute("COMMIT")
        except schema.UNREADABLE as error:
            failure = JournalFault(f"{self._path}: {schema.explain(error)}")
            is_full = schema.is_full(error)
        else:
            self._failed = False
            return None
        finally:
            # What is read after a failure is what was acknowledged before it.
            if self._database.in_transaction:
                self._rows("ROLLBACK")
        if not is_full:
            raise failure
        self._failed = False
        return failure

    def _finish_erasing(self) -> None:
        """Copy the write-ahead log into the file and empty it, so that no older copy of an erased key is left in it."""
        is_done = self._copy_log("TRUNCATE")
        if not is_done and self._reserve.give_back_if_short():
            is_done = self._copy_log("TRUNCATE")
        self._erasing = not is_done

    def _copy_log(self, manner: str) -> bool:
        """Copy the log into the file, so that it starts again; not where a reader needs it, or the disk is full."""
        self._failed = True
        try:
            busy = self._database.execute(f"PRAGMA wal_checkpoint({manner})").fetchone()[0]
        except schema.UNREADABLE as error:
            busy = True
            failure = None if schema.is_full(error) else JournalFault(f"{self._path}: {schema.explain(error)}")
        else:
            failure = None
        if failure is not None:
            raise failure
        self._failed = False
        return not busy


def _create(path: Path, marked: Path, sealing: Sealing) -> None:
    """Make a new journal, unless something says that there was one before."""
    if not _refuse_lost(path, marked, sealing):
        mark.create(marked, sealing, Head(0, GENESIS))
    schema.create(path, about(sealing))


def _refuse_lost(path: Path, marked: Path, sealing: Sealing) -> bool:
    """Raise `JournalFault` when a missing journal held something; returns whether it has a mark."""
    log = beside(path, "-wal")
    if log.exists() and log.stat().st_size > 0:
        reason = f"{path}: the journal is missing, its write-ahead log is not; keep it as evidence"
        raise JournalFault(reason)
    before = mark.read(marked)
    entries = mark.highest(before, sealing).entries if before is not None else 0
    if entries > 0:
        reason = f"{path}: the journal is missing; its high-water mark says that it had {entries} entries"
        raise JournalFault(reason)
    return before is not None


def open_verified(path: Path, marked: Path, sealing: Sealing) -> tuple[sqlite3.Connection, Audited]:
    """Open a journal for reading and verify it against its mark."""
    if not path.exists():
        _refuse_lost(path, marked, sealing)
    database = schema.open_for_reading(path)
    try:
        # The mark is read before the first entry is: a journal in use may run ahead of it, and never falls behind.
        return database, audit(database, path, sealing, mark.read(marked))
    except BaseException:
        database.close()
        raise
