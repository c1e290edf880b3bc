"""The journal's tables, how its file is opened, and SQLite's errors in plain words."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final

from pos_engine.errors import JournalFault

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.journal.record import Record

VERSION: Final = 1
"""`PRAGMA user_version` of this layout."""
BUSY_TIMEOUT_S: Final = 2.0
FULL: Final = 2
"""What `PRAGMA synchronous` reads back when every commit is flushed."""

TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL,
        body TEXT NOT NULL, digest BLOB NOT NULL)""",
    """CREATE TABLE current (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, stan TEXT NOT NULL,
        batch TEXT NOT NULL, original INTEGER, demanded_after INTEGER, seq INTEGER NOT NULL, forms INTEGER NOT NULL)""",
    "CREATE UNIQUE INDEX one_request_a_stan ON current (batch, stan) WHERE kind <> 'reversal'",
    "CREATE INDEX by_original ON current (original)",
    "CREATE INDEX by_kind ON current (kind, state)",
    "CREATE TABLE seals (number INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, box BLOB NOT NULL)",
)
UPSERT_CURRENT: Final = """
    INSERT INTO current (number, kind, state, stan, batch, original, demanded_after, seq, forms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
    ON CONFLICT (number) DO UPDATE SET state = excluded.state, original = excluded.original,
        demanded_after = excluded.demanded_after, seq = excluded.seq, forms = forms + 1
    RETURNING forms"""
SELECT_CURRENT: Final = "SELECT number, kind, state, stan, batch, original, demanded_after, seq FROM current"
SELECT_RECORDS: Final = """
    SELECT c.number, e.body, s.wrapped, s.box
    FROM current c JOIN entries e ON e.seq = c.seq LEFT JOIN seals s ON s.number = c.number"""

PLAIN: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CORRUPT: "the file is corrupt",
    sqlite3.SQLITE_NOTADB: "the file is not a journal",
    sqlite3.SQLITE_BUSY: "the file is locked by another program",
    sqlite3.SQLITE_READONLY: "the file or its folder cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CONSTRAINT: "a STAN was about to be used twice",
}
PRIMARY_CODE: Final = 0xFF
"""SQLite's extended codes carry the primary one in the lowest byte."""


def explain(error: sqlite3.Error) -> str:
    """Say in plain words what SQLite reported."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "the journal is closed" if isinstance(error, sqlite3.ProgrammingError) else "the journal cannot be used"
    return PLAIN.get(code & PRIMARY_CODE, f"SQLite error {code}")


def columns(record: Record) -> tuple[object, ...]:
    """Return what `current` keeps of a record, in its order and without the entry's number."""
    kind, state = record.kind.value, record.state.name
    demanded_after = record.signed_on_by if record.demands_sign_on else None
    return record.number, kind, state, record.stan, record.batch, record.original, demanded_after


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the file with the pragmas that durability rests on; create it, private to its owner, where that is allowed."""
    try:
        if not read_only and not path.exists():
            path.touch(mode=0o600)
        mode = "ro" if read_only else "rw"
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    except sqlite3.Error as error:
        reason = f"{path}: {explain(error)}"
    except OSError as error:
        reason = f"{path}: {os.strerror(error.errno or 0)}"
    else:
        return _prepared(path, database, read_only=read_only)
    raise JournalFault(reason)


def _prepared(path: Path, database: sqlite3.Connection, *, read_only: bool) -> sqlite3.Connection:
    try:
        reason = _prepare(database, read_only=read_only)
    except sqlite3.Error as error:
        reason = explain(error)
    if reason is None:
        return database
    database.close()
    raise JournalFault(f"{path}: {reason}")  # noqa: EM102 - composed here once for every cause


def _prepare(database: sqlite3.Connection, *, read_only: bool) -> str | None:
    """Set and read back the pragmas, make or check the tables; returns what is wrong, if anything."""
    if not read_only:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    database.execute("PRAGMA temp_store = MEMORY")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not read_only:
        database.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
        version = VERSION
    if version != VERSION:
        return f"has layout {version}, this program reads layout {VERSION}"
    if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        return "the file is corrupt"
    mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    flushes = database.execute("PRAGMA synchronous").fetchone()[0]
    if not read_only and (mode, flushes) != ("wal", FULL):
        return f"the file system does not allow a durable journal (mode {mode}, synchronous {flushes})"
    return None
