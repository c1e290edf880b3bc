"""How a journal's files come to be: private to their owner whatever the umask says, and whole or not there at all.

A file that must never be seen half written is built under another name, synced, and then renamed into place; the folder
is synced too, because a name that was not synced does not survive a power cut.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pos_engine.errors import JournalFault

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_MODE: Final = 0o600
MODE_BITS: Final = 0o777


def beside(path: Path, ending: str) -> Path:
    """Return the name of a file that belongs to a journal."""
    return path.with_name(path.name + ending)


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner may read, creating it where `flags` say so. Raises `OSError`.

    A link is not followed: its target would be some other file, and a journal's files are written without asking.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        # The umask may have taken bits away, and a file that was copied here may have brought others along.
        if os.fstat(descriptor).st_mode & MODE_BITS != PRIVATE_MODE:
            os.fchmod(descriptor, PRIVATE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_private(path: Path) -> None:
    """Take away what others may do with a file; one that is not there is private enough. Raises `OSError`.

    By name and not by opening it: to close a descriptor of a database file drops SQLite's own locks on that file.
    """
    try:
        if path.stat().st_mode & MODE_BITS != PRIVATE_MODE:
            path.chmod(PRIVATE_MODE)
    except FileNotFoundError:
        pass


def put_in_place(built: Path, path: Path) -> None:
    """Give a finished file its name, durably. Raises `OSError`."""
    _sync(built, os.O_RDONLY)
    built.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which names a folder has. Raises `OSError`."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def fault(path: Path, error: OSError) -> JournalFault:
    """Say in plain words what the system reported; raise it only after the `except` block has ended."""
    return JournalFault(f"{path}: {os.strerror(error.errno or 0).lower()}")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
