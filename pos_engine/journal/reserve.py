"""Room for the outcome, taken before the intent: a file of ballast beside the journal, given back when room is short.

An intent is written only while the ballast lies there. When the disk is full and an outcome, a reversal or an erasure
has to be written, the ballast is given back, and the journal writes into the room that becomes free.

The size is measured: a sale in doubt whose reversal takes five attempts, each with as many notes and strays as fit,
and the erasure of its card add 280 KiB to the write-ahead log; copying a whole log adds 180 KiB to the file.

Not promised: that nobody else takes the room in the moment between, and anything where blocks are not the file's own,
as with copy-on-write, snapshots or compression: there a block that is overwritten may need a new one. Quotas count as
disk errors.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from pos_engine.errors import JournalFault
from pos_engine.journal.files import beside, fault, open_private, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES: Final = 512 * 1024
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Reserve:
    """The ballast of one journal, kept by its writer."""

    __slots__ = ("_journal", "_path", "_taken")

    def __init__(self, journal: Path) -> None:
        """Take nothing yet: room may lie there from before."""
        self._journal = journal
        self._path = beside(journal, ".reserve")
        self._taken = False

    def take(self) -> None:
        """See that the ballast lies there, on disk; raises `JournalFault` when there is no room for it."""
        if self._taken and self.is_there():
            return
        try:
            self._allocate()
        except OSError as error:
            failure = fault(self._path, error)
            if error.errno in NO_ROOM:
                failure = JournalFault(f"{self._journal}: the disk is full: no room for the outcome")
        else:
            self._taken = True
            return
        # Half of the room helps nobody, and is all that others may need.
        self.give_back()
        raise failure

    def is_there(self) -> bool:
        """Tell whether the ballast lies there, perhaps from before."""
        return self._size() == RESERVE_BYTES

    def give_back(self) -> bool:
        """Give the room back to the disk; returns whether there was any. What cannot be given back counts as none."""
        self._taken = False
        try:
            given = self._size() > 0
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(descriptor, 0)
                # Some file systems hand freed blocks out again only once it is durable that they are free.
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._path.unlink()
        except OSError:
            return False
        return given

    def give_back_if_short(self) -> bool:
        """Give the room back where the disk has less than that left, so that even opening a journal may fail."""
        try:
            room = os.statvfs(self._journal.parent)
        except OSError:
            return False
        return room.f_bavail * room.f_frsize < RESERVE_BYTES and self.give_back()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _allocate(self) -> None:
        # Also to be read: a library that allocates in place of the system looks at what is there.
        descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            os.ftruncate(descriptor, RESERVE_BYTES)
            _fill(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self._path.parent)


def _fill(descriptor: int) -> None:
    """Give every byte of the ballast its block; one that lies there from before keeps its own."""
    try:
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
    else:
        return
    written = 0
    while written < RESERVE_BYTES:
        written += os.pwrite(descriptor, bytes(RESERVE_BYTES - written), written)
