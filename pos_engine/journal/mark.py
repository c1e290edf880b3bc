"""The high-water mark: a small file outside the journal that says how far the journal goes.

SQLite drops the end of a damaged write-ahead log without a word, and a file that was restored from an older copy is in
perfect order. Only something that lies elsewhere can tell. The mark is written after each commit, so the journal may be
ahead of it by what was not acknowledged yet, and never behind it.

It lies beside the journal unless it is put elsewhere; on other media it also tells when a whole folder was restored.
Two slots are written in turn, each within a block of its own: a power cut can spoil one of them, the other stays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from pos_engine.errors import JournalFault
from pos_engine.journal.files import beside, fault, open_private, put_in_place
from pos_engine.journal.sealing import MARK_BYTES, Head, Sealing

if TYPE_CHECKING:
    from pathlib import Path

SLOT_OFFSETS: Final = (0, 4096)
FILE_BYTES: Final = 8192


def create(path: Path, sealing: Sealing, head: Head) -> None:
    """Write a new mark."""
    built = beside(path, ".new")
    try:
        built.unlink(missing_ok=True)
        descriptor = open_private(built, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            # Every block is written now, so that no disk is too full to move the mark later.
            os.pwrite(descriptor, sealing.mark(head).ljust(FILE_BYTES, b"\0"), 0)
        finally:
            os.close(descriptor)
        put_in_place(built, path)
    except OSError as error:
        failure = fault(path, error)
    else:
        return
    raise failure


def read(path: Path) -> bytes | None:
    """Return what the file holds, or `None` when there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        failure = fault(path, error)
    raise failure


def highest(data: bytes, sealing: Sealing) -> Head:
    """Return the highest mark a file holds; `JournalFault` when it is damaged, or another journal's."""
    slots = (sealing.read_mark(data[offset : offset + MARK_BYTES]) for offset in SLOT_OFFSETS)
    heads = [head for head in slots if head is not None]
    if len(data) != FILE_BYTES or not heads:
        reason = "its high-water mark is damaged; keep it and the journal as evidence"
        raise JournalFault(reason)
    return max(heads)


class HighWaterMark:
    """The mark of one journal, held open by its writer."""

    __slots__ = ("_descriptor", "_path", "_sealing")

    def __init__(self, path: Path, descriptor: int, sealing: Sealing) -> None:
        """Take over an open descriptor; `open` is the way in."""
        self._path = path
        self._descriptor: int | None = descriptor
        self._sealing = sealing

    @classmethod
    def open(cls, path: Path, sealing: Sealing) -> Self:
        """Open an existing mark for writing."""
        try:
            descriptor = open_private(path, os.O_WRONLY)
        except OSError as error:
            failure = fault(path, error)
        else:
            return cls(path, descriptor, sealing)
        raise failure

    def move(self, head: Head) -> None:
        """Move the mark; it is on disk when this returns."""
        try:
            if self._descriptor is None:
                failure = JournalFault(f"{self._path}: the high-water mark is closed")
            else:
                os.pwrite(self._descriptor, self._sealing.mark(head), SLOT_OFFSETS[head.entries % len(SLOT_OFFSETS)])
                os.fdatasync(self._descriptor)
                return
        except OSError as error:
            failure = fault(self._path, error)
        raise failure

    def close(self) -> None:
        """Let go of the file; more than once does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
