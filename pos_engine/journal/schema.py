"""The journal's tables, how its file is made and opened, and SQLite's errors in plain words.

A new journal is built under another name and renamed into place, so a file that is empty or lacks a table was never a
journal. Nothing here writes to a file that was not verified before: a damaged one is evidence.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Final

from pos_engine.errors import JournalFault
from pos_engine.journal.files import beside, fault, make_private, open_private, put_in_place, sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pos_engine.journal.record import Record

VERSION: Final = 4
"""`PRAGMA user_version` of this layout."""
BUSY_TIMEOUT_S: Final = 2.0
"""Seconds to wait for a reader that is in the way."""
FULL: Final = 2
"""What `PRAGMA synchronous` reads back when every commit is flushed."""

PAGE_BYTES_MIN: Final = 512
"""SQLite's smallest page. It takes a file of one byte for an empty one, and deletes the write-ahead log beside it."""

# Partial indexes, and the literals in the queries below, are what SQLite's planner needs to see that they fit together.
TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE entries (seq INTEGER PRIMARY KEY, number INTEGER NOT NULL, sealed INTEGER NOT NULL,
        body TEXT NOT NULL, digest BLOB NOT NULL)""",
    """CREATE TABLE current (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, stan TEXT NOT NULL,
        batch TEXT NOT NULL, original INTEGER, demanded_after INTEGER, ends INTEGER,
        key TEXT, day TEXT NOT NULL, wanted TEXT, seq INTEGER NOT NULL)""",
    "CREATE UNIQUE INDEX one_request_a_stan ON current (batch, stan) WHERE kind <> 'reversal'",
    "CREATE INDEX by_original ON current (original) WHERE original IS NOT NULL",
    "CREATE INDEX by_end ON current (ends) WHERE ends IS NOT NULL",
    "CREATE INDEX by_demand ON current (demanded_after) WHERE demanded_after IS NOT NULL",
    "CREATE INDEX by_key ON current (key) WHERE key IS NOT NULL",
    "CREATE INDEX by_wanted ON current (wanted) WHERE wanted IS NOT NULL",
    "CREATE INDEX by_day ON current (kind, day)",
    "CREATE INDEX by_kind ON current (kind)",
    "CREATE INDEX by_state ON current (kind, state)",
    "CREATE TABLE seals (number INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, box BLOB NOT NULL)",
    "CREATE TABLE receipts (number INTEGER PRIMARY KEY, receipt BLOB NOT NULL)",
)
INSERT_ENTRY: Final = "INSERT INTO entries (seq, number, sealed, body, digest) VALUES (?, ?, ?, ?, ?)"
UPSERT_CURRENT: Final = """
    INSERT INTO current (number, kind, state, stan, batch, original, demanded_after, ends, key, day, wanted, seq)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET state = excluded.state, original = excluded.original,
        demanded_after = excluded.demanded_after, ends = excluded.ends, wanted = excluded.wanted, seq = excluded.seq"""
INSERT_SEAL: Final = "INSERT INTO seals (number, wrapped, box) VALUES (?, ?, ?)"
DELETE_SEAL: Final = "DELETE FROM seals WHERE number = ?"
INSERT_RECEIPT: Final = "INSERT INTO receipts (number, receipt) VALUES (?, ?)"

PLAIN: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CORRUPT: "the file is corrupt",
    sqlite3.SQLITE_NOTADB: "the file is not a journal",
    sqlite3.SQLITE_BUSY: "the file is locked by another program",
    sqlite3.SQLITE_READONLY: "the file or its folder cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CONSTRAINT: "a number was about to be used twice",
}
PRIMARY_CODE: Final = 0xFF
"""SQLite's extended codes carry the primary one in the lowest byte."""


UNREADABLE: Final = (sqlite3.Error, UnicodeError)
"""What reading a file raises: where SQLite's message quotes damaged bytes, Python fails to decode the message."""


def is_full(error: Exception) -> bool:
    """Tell whether SQLite found no room.

    It says so when a write came back short, or a page could not be added: never after a flush, and never with the frame
    that commits written whole. It has undone the transaction then, so trying once more is sound, and nothing is in
    doubt. A failed flush is another error: the system may have dropped what it could not write, and forgotten that.
    """
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_FULL


def explain(error: Exception) -> str:
    """Say in plain words what SQLite reported; its own text may quote what it could not read, so it stays here."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return PLAIN.get(code & PRIMARY_CODE, f"SQLite error {code}")
    if isinstance(error, sqlite3.ProgrammingError):
        return "the journal is closed, or belongs to another thread"
    # What is left is text that is no UTF-8, in a column or in SQLite's own message.
    return "the file is corrupt"


def columns(record: Record) -> tuple[object, ...]:
    """Return what `current` keeps of a record, in its order and without the entry's number."""
    kind, state = record.kind.value, record.state.name
    demanded_after = record.signed_on_by if record.demands_sign_on else None
    numbers = record.number, kind, state, record.stan, record.batch, record.original, demanded_after
    return *numbers, record.ends, record.key, record.day, record.wanted


def create(path: Path, about: Mapping[str, str]) -> None:
    """Build an empty journal; `about` says whose it is. A journal that is half built is never seen."""
    built = beside(path, ".new")
    try:
        for ending in ("", "-wal", "-shm"):
            beside(built, ending).unlink(missing_ok=True)
        os.close(open_private(built, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        _build(built, about)
        put_in_place(built, path)
    except OSError as error:
        failure = fault(path, error)
    except UNREADABLE as error:
        failure = JournalFault(f"{path}: {explain(error)}")
    else:
        return
    raise failure


def _build(path: Path, about: Mapping[str, str]) -> None:
    database = _connect(path, "rw")
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            database.execute(statement)
        database.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    finally:
        database.close()


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing journal; neither it nor its write-ahead log is changed by whatever is then read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            failure = JournalFault(f"{path}: is not a file")
        elif found.st_size < PAGE_BYTES_MIN:
            failure = JournalFault(f"{path}: the file is empty or cut short; keep it as evidence")
        else:
            database = _connect(path, "ro")
            database.execute("PRAGMA cell_size_check = ON")
            return database
    except FileNotFoundError:
        failure = JournalFault(f"{path}: there is no journal here")
    except OSError as error:
        failure = fault(path, error)
    except UNREADABLE as error:
        failure = JournalFault(f"{path}: {explain(error)}")
    raise failure


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a verified journal with the pragmas that durability rests on, read back; its files become private."""
    database = None
    try:
        for ending in ("", "-wal", "-shm"):
            make_private(beside(path, ending))
        database = _connect(path, "rw")
        reason = _make_durable(database)
        if reason is None:
            # The log has just been made, and SQLite passes over a failed flush of the folder that holds its name.
            sync_folder(path.parent)
            return database
        failure = JournalFault(f"{path}: {reason}")
    except OSError as error:
        failure = fault(path, error)
    except UNREADABLE as error:
        failure = JournalFault(f"{path}: {explain(error)}")
    if database is not None:
        database.close()
    raise failure


def malformation(database: sqlite3.Connection, path: Path) -> str | None:
    """Say what about a file is not as this program makes it, or `None`; raises one of `UNREADABLE` where it cannot."""
    version = _pragma(database, "user_version")
    if version != VERSION:
        return f"has layout {version}, this program reads layout {VERSION}"
    if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return "is not in the mode it was made in; keep it as evidence"
    pages, page_bytes = (_pragma(database, name) for name in ("page_count", "page_size"))
    # While pages wait in the log, the file itself may be shorter, or end within a page.
    if _size(beside(path, "-wal")) == 0 and _size(path) < pages * page_bytes:
        return "the file is cut short; keep it as evidence"
    # Indexes of SQLite's own have no text; all else must be exactly what `create` made, partial indexes above all.
    tables = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    if sorted(str(sql) for (sql,) in tables) != sorted(TABLES):
        return "has other tables than a journal; keep it as evidence"
    # The full check and not the quick one: what is looked up in an index that lacks a row is not found.
    if database.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
        return "the file is corrupt; keep it as evidence"
    return None


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)


def _make_durable(database: sqlite3.Connection) -> str | None:
    """Set the pragmas and read them back; returns what did not take, if anything."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    # What is deleted is overwritten, in the file and not in temporary ones.
    database.execute("PRAGMA secure_delete = ON")
    database.execute("PRAGMA temp_store = MEMORY")
    mode, flushes, erases = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "secure_delete")
    )
    if (mode, flushes, erases) != ("wal", FULL, 1):
        return f"no durable journal is possible here (mode {mode}, synchronous {flushes}, secure_delete {erases})"
    return None
