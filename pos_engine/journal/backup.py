"""A backup: one file that holds a journal as it was at one moment, made while the journal is in use.

It is verified before it gets its name, against the journal's mark too, and never overwrites anything. Only what the
journal still holds is copied, not the free space of its file, so erased card data is not in it. What is sealed at that
moment is, and erasing it in the journal later does not reach the backup.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import schema
from pos_engine.journal.files import beside, fault, open_private, put_in_place

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.journal.audit import Audited

    Verify = Callable[[sqlite3.Connection, Path], Audited]

SIDES: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database that is open; a backup has neither."""


def take(database: sqlite3.Connection, destination: Path, verify: Verify) -> Audited:
    """Copy an open journal; returns what the copy holds. `verify` audits the copy, or raises `JournalFault`.

    Raises `UsageError` when something has the name already.
    """
    if os.path.lexists(destination):
        reason = f"{destination}: is there already, and is not overwritten"
        raise UsageError(reason)
    built = beside(destination, ".new")
    try:
        discard(built)
        os.close(open_private(built, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        database.execute("VACUUM INTO ?", (str(built.absolute()),))
        # The copy comes without the mode in which a journal is kept.
        schema.open_for_writing(built).close()
        audited = verified(built, destination, verify)
        put_in_place(built, destination)
    except JournalFault as error:
        failure = _told_of(destination, built, error)
    except OSError as error:
        failure = fault(destination, error)
    except schema.UNREADABLE as error:
        failure = JournalFault(f"{destination}: {schema.explain(error)}")
    else:
        return audited
    finally:
        with contextlib.suppress(OSError):
            discard(built)
    raise failure


def verified(built: Path, name: Path, verify: Verify) -> Audited:
    """Audit a copy that nobody else knows of yet; nothing stays open, and nothing is left beside it.

    What is wrong with it is told of `name`, because its own name is gone by then.
    """
    database = schema.open_for_reading(built)
    try:
        return verify(database, built)
    except JournalFault as error:
        failure = _told_of(name, built, error)
    finally:
        database.close()
        for ending in SIDES:
            beside(built, ending).unlink(missing_ok=True)
    raise failure


def _told_of(name: Path, built: Path, error: JournalFault) -> JournalFault:
    return JournalFault(str(error).replace(str(built), str(name), 1))


def discard(built: Path) -> None:
    """Delete what a copy that was cut short has left. Raises `OSError`."""
    for ending in ("", *SIDES):
        beside(built, ending).unlink(missing_ok=True)
