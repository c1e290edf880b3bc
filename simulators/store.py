"""The ledger in a file: a host that is started again knows what it knew.

One SQLite table holds the changes of the books, one line of JSON each, in order. All changes of a request are written
together before its answer leaves, so a host that is killed has either decided a request or never seen it; a machine
that loses power may lose the last requests, because a simulator does not wait for the disk. One process at a time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pos_engine.errors import JournalFault, UsageError
from simulators.ledger import Ledger
from simulators.ledger.text import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from simulators.ledger import Change

Result = TypeVar("Result")

LAYOUT: Final = 0x504F5331
"""SQLite's application id of a ledger file: "POS1"."""
PRIVATE_MODE: Final = 0o600
TABLE: Final = "CREATE TABLE IF NOT EXISTS changes (seq INTEGER PRIMARY KEY, line TEXT NOT NULL)"
_PLAIN: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CORRUPT: "the file is corrupt",
    sqlite3.SQLITE_NOTADB: "the file is not a ledger",
    sqlite3.SQLITE_BUSY: "the file is used by another program",
    sqlite3.SQLITE_READONLY: "the file or its folder cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
}
_PRIMARY_CODE: Final = 0xFF


class LedgerFile:
    """A ledger and the file that follows it. Used as a context manager, it is closed at the end."""

    def __init__(self, path: Path, *, forgets: bool = False) -> None:
        """Open a file, or make it; `forgets=True` empties it first: a host that loses its memory at each start.

        Raises `JournalFault` for a file that is not a ledger, is in use, or cannot be read or written.
        """
        self.path = path
        self._database = self._attempt(lambda: _open(path))
        try:
            if forgets:
                self._attempt(lambda: self._write("DELETE FROM changes"))
            self.ledger = self._load()
        except JournalFault:
            self._database.close()
            raise
        self.ledger.follow(self, known=len(self.ledger.changes))

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Keep what has changed and let go of the file; closing again does nothing."""
        try:
            self.ledger.commit()
        finally:
            self._database.close()

    def rewind(self, count: int) -> None:
        """Forget every change but the first `count`."""
        self._attempt(lambda: self._write("DELETE FROM changes WHERE seq > ?", [(count,)]))

    def append(self, changes: Sequence[Change]) -> None:
        """Keep these changes too, all or none."""
        lines = [(dump(change),) for change in changes]
        self._attempt(lambda: self._write("INSERT INTO changes (line) VALUES (?)", lines))

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]] = ((),)) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            # SQLite may have rolled back by itself.
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def _load(self) -> Ledger:
        rows = self._attempt(lambda: self._database.execute("SELECT line FROM changes ORDER BY seq").fetchall())
        try:
            return Ledger(load(line) for (line,) in rows)
        except UsageError as error:
            reason = f"{self.path}: {error}"
        raise JournalFault(reason)

    def _attempt(self, action: Callable[[], Result]) -> Result:
        """Do something with the file; what goes wrong is told in plain words, without what SQLite quotes."""
        try:
            return action()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            why = _PLAIN.get(code & _PRIMARY_CODE, f"SQLite error {code}")
            if code == 0:
                # Without a code it is Python's: a closed connection, or text that is no UTF-8.
                why = "the file is closed" if isinstance(error, sqlite3.ProgrammingError) else "the file is corrupt"
        except UnicodeError:
            why = "the file is corrupt"
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
        reason = f"{self.path}: {why}"
        raise JournalFault(reason)


def _open(path: Path) -> sqlite3.Connection:
    # Opened first without SQLite, so that a new file is its owner's alone, and a pipe or a folder is refused.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, PRIVATE_MODE))
    if not path.is_file():
        raise OSError(errno.EINVAL, "")
    database = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        _prepare(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    """Take the file for this process, and see that it is a ledger, or empty and therefore one now."""
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    (layout,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if layout != LAYOUT and tables:
        database.execute("ROLLBACK")
        # Somebody else's database is no place for books.
        raise _not_a_ledger()
    database.execute(f"PRAGMA application_id = {LAYOUT}")
    database.execute(TABLE)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")


def _not_a_ledger() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError()
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error
