"""The durable journal: SQLite in WAL mode with `synchronous=FULL`, read back at open and refused otherwise.

    entries   every form every record ever had, appended and chained by a keyed digest; nothing is edited
    current   the newest form of each record, as columns to search by; it can be rebuilt from `entries`
    seals     card data that is still needed, each under a key of its own, which `shred` destroys

One process writes at a time, guarded by an OS lock that names its holder; readers open read-only. After a failed write the
journal refuses everything until it is opened again, because what a failed flush left behind cannot be known.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final, Self

from pos_engine import limits
from pos_engine.crypto.seal import keyed_digest, seal, unseal
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, KeyFault
from pos_engine.journal import schema
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from pos_engine.values import Identity
    from pos_engine.wire.spec import MessageSpec

GENESIS: Final = bytes(32)
"""What the first entry is chained to."""
FAILURES_MAX: Final = 16
NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32


class SqliteJournal:
    """A journal in one file. Use `open`; the constructor is for it alone."""

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        lock: WriterLock | None,
        spec: MessageSpec,
        storage_key: KeyBytes,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take over an opened database."""
        self._path = path
        self._database = database
        self._lock = lock
        self._spec = spec
        self._entropy = entropy
        self._chain_key = KeyBytes(keyed_digest(storage_key, b"journal chain"))
        self._card_key = KeyBytes(keyed_digest(storage_key, b"card data"))
        self._digest = GENESIS
        self._failed = False

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
    ) -> Self:
        """Open or create the journal of one terminal and verify all of it.

        Raises `JournalFault` when another process holds it, when it belongs to another terminal, or when a single entry is damaged.
        """
        lock = None if read_only else WriterLock.acquire(path)
        try:
            database = schema.connect(path, read_only=read_only)
            journal = cls(path, database, lock, spec, storage_key, entropy)
            try:
                journal._verify(f"{identity.terminal}/{identity.merchant}")
            except JournalFault:
                database.close()
                raise
        except JournalFault:
            if lock is not None:
                lock.release()
            raise
        return journal

    def close(self) -> None:
        """Close the file and let go of the lock; more than once does no harm."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def save(self, record: Record) -> None:
        """Append a record's present form; it is on disk when this returns."""
        rest = freeze(record, self._spec)
        digest = keyed_digest(self._chain_key, self._digest, rest.body.encode())
        with self._transaction() as database:
            entry = (record.number, rest.body, digest)
            seq = database.execute("INSERT INTO entries(number, body, digest) VALUES (?, ?, ?)", entry).lastrowid
            new = database.execute(schema.UPSERT_CURRENT, (*schema.columns(record), seq)).fetchone()[0] == 1
            if rest.card_data and new:
                database.execute("INSERT INTO seals VALUES (?, ?, ?)", (record.number, *self._box(record, rest.card_data)))
        self._digest = digest

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy the keys of some records' card data, and push the freed pages through the write-ahead log."""
        if not numbers:
            return
        with self._transaction() as database:
            database.executemany("DELETE FROM seals WHERE number = ?", [(number,) for number in numbers])
        with self._faults():
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def next_number(self) -> int:
        """Return the number of the next record."""
        return int(self._one("SELECT COALESCE(MAX(number), 0) + 1 FROM current"))

    def next_stan(self) -> str:
        """Return the next STAN that the newest record's batch has not used."""
        rows = self._rows("SELECT stan, batch FROM current ORDER BY number DESC LIMIT 1")
        stan, batch = (int(rows[0][0]), rows[0][1]) if rows else (0, "")
        for _ in range(limits.STAN_MAX):
            stan = stan % limits.STAN_MAX + 1
            if not self._rows("SELECT 1 FROM current WHERE batch = ? AND stan = ?", batch, f"{stan:06d}"):
                break
        return f"{stan:06d}"

    def find(self, number: int) -> Record | None:
        """Return a record by its number."""
        return next(iter(self._records("WHERE c.number = ?", number)), None)

    def find_original(self, batch: str, stan: str) -> Record | None:
        """Return the request that used a STAN in a batch."""
        where = "WHERE c.batch = ? AND c.stan = ? AND c.kind <> ?"
        return next(iter(self._records(where, batch, stan, Kind.REVERSAL.value)), None)

    def open_records(self, kinds: Collection[Kind]) -> Sequence[Record]:
        """Return the pending and doubtful records of some kinds, those with an accepted reversal left out."""
        where = f"""WHERE c.state IN (?, ?) AND c.kind IN ({", ".join("?" * len(kinds))}) AND NOT EXISTS
            (SELECT 1 FROM current r WHERE r.original = c.number AND r.kind = ? AND r.state = ?) ORDER BY c.number"""
        names = [kind.value for kind in kinds]
        states = State.PENDING.name, State.DOUBTFUL.name
        return self._records(where, *states, *names, Kind.REVERSAL.value, State.APPROVED.name)

    def acting_on(self, number: int) -> Sequence[Record]:
        """Return the records that act on a record."""
        return self._records("WHERE c.original = ? ORDER BY c.number", number)

    def last_approved(self, kind: Kind) -> Record | None:
        """Return the newest approved record of a kind."""
        where = "WHERE c.kind = ? AND c.state = ? ORDER BY c.number DESC LIMIT 1"
        return next(iter(self._records(where, kind.value, State.APPROVED.name)), None)

    def demanded_after(self, sign_on: int) -> Record | None:
        """Return a record, sent under this sign-on, whose answer demanded another; `None` when there is none."""
        return next(iter(self._records("WHERE c.demanded_after = ? LIMIT 1", sign_on)), None)

    def failures(self, kind: Kind) -> Sequence[Record]:
        """Return the records of a kind that failed since its last approved one."""
        where = """WHERE c.kind = ? AND c.number > (SELECT COALESCE(MAX(number), 0) FROM current a WHERE a.kind = ? AND a.state = ?)
            ORDER BY c.number DESC LIMIT ?"""
        return self._records(where, kind.value, kind.value, State.APPROVED.name, FAILURES_MAX)[::-1]

    def sealed_records(self) -> Sequence[Record]:
        """Return the records whose card data is still kept."""
        return self._records("WHERE s.box IS NOT NULL ORDER BY c.number")

    def recent(self, count: int) -> Sequence[Record]:
        """Return the newest records, newest first."""
        return self._records("ORDER BY c.number DESC LIMIT ?", count)

    def _records(self, where: str, *values: object) -> list[Record]:
        rows = self._rows(f"{schema.SELECT_RECORDS} {where}", *values)
        return [thaw(body, self._unbox(number, *sealed)) for number, body, *sealed in rows]

    def _rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._faults():
            return self._database.execute(statement, values).fetchall()

    def _one(self, statement: str, *values: object) -> object:
        return self._rows(statement, *values)[0][0]

    def _box(self, record: Record, card_data: bytes) -> tuple[bytes, bytes]:
        """Seal card data under a fresh key, and that key under the storage key. Returns the wrapped key and the box."""
        own_key = KeyBytes(self._entropy(KEY_BYTES))
        nonces = self._entropy(NONCE_BYTES), self._entropy(NONCE_BYTES)
        about = b"record %d" % record.number
        wrapped = nonces[0] + seal(self._card_key, nonces[0], own_key.reveal(), about)
        return wrapped, nonces[1] + seal(own_key, nonces[1], card_data, about)

    def _unbox(self, number: int, wrapped: bytes | None, box: bytes | None) -> bytes:
        if wrapped is None or box is None:
            return b""
        about = b"record %d" % number
        try:
            own_key = KeyBytes(unseal(self._card_key, wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], about))
            return unseal(own_key, box[:NONCE_BYTES], box[NONCE_BYTES:], about)
        except KeyFault:
            reason = f"{self._path}: the sealed card data of record {number} does not open"
        raise JournalFault(reason)

    def _verify(self, owner: str) -> None:
        """Walk the whole chain, compare what is searched with what was chained, and check whose journal this is."""
        held = self._rows("SELECT value FROM about WHERE name = 'owner'")
        if not held:
            with self._transaction() as database:
                database.execute("INSERT INTO about VALUES ('owner', ?)", (owner,))
        elif held[0][0] != owner:
            reason = f"{self._path}: belongs to terminal {held[0][0]}, not {owner}"
            raise JournalFault(reason)
        newest: dict[int, tuple[object, ...]] = {}
        for seq, body, digest in self._rows("SELECT seq, body, digest FROM entries ORDER BY seq"):
            self._digest = keyed_digest(self._chain_key, self._digest, str(body).encode())
            if self._digest != digest:
                reason = f"{self._path}: entry {seq} is damaged; the journal is refused as it is, keep the file as evidence"
                raise JournalFault(reason)
            record = thaw(str(body))
            newest[record.number] = (*schema.columns(record), seq)
        if sorted(newest.values()) != sorted(self._rows(schema.SELECT_CURRENT)):
            reason = f"{self._path}: its index disagrees with its entries; the journal is refused as it is, keep the file as evidence"
            raise JournalFault(reason)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing, durably; a failure closes the journal to everything further."""
        if self._failed:
            reason = f"{self._path}: a write failed before; restart the terminal so that it recovers"
            raise JournalFault(reason)
        self._failed = True
        with self._faults():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        self._failed = False

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Rename what SQLite raises; its text may quote statements, never values, but only its kind is passed on."""
        try:
            yield
        except sqlite3.Error as error:
            reason = f"{self._path}: {schema.explain(error)}"
        else:
            return
        raise JournalFault(reason)
