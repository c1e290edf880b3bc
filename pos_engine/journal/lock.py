"""One writer: an operating system lock beside the journal that dies with its holder and names it meanwhile.

The lock is the kernel's, not the file's: a file left behind by a process that was killed locks nobody out.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final, Self

from pos_engine.errors import JournalFault
from pos_engine.journal.files import beside, fault, open_private

if TYPE_CHECKING:
    from pathlib import Path

PID_BYTES: Final = 32
"""More than the digits of any process id."""


class WriterLock:
    """The right to write one journal, held by this process."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        """Take over a locked descriptor; `acquire` is the way in."""
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, journal: Path) -> Self:
        """Take the lock or raise `JournalFault`; the process that holds it is named."""
        path = beside(journal, ".lock")
        try:
            descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            failure = fault(path, error)
        else:
            return cls(_locked(descriptor, journal))
        raise failure

    def release(self) -> None:
        """Let another process write; more than once does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int, journal: Path) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sign(descriptor)
    except BlockingIOError:
        failure = JournalFault(f"{journal}: held by pid {_holder(descriptor)}")
    except OSError as error:
        failure = fault(beside(journal, ".lock"), error)
    else:
        return descriptor
    os.close(descriptor)
    raise failure


def _sign(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        # The name is a courtesy, and what is owed must be worked off on a full disk too.
        if error.errno != errno.ENOSPC:
            raise


def _holder(descriptor: int) -> str:
    digits = os.pread(descriptor, PID_BYTES, 0)
    # The holder may be about to write its number, and a damaged file may say anything.
    return digits.decode() if digits.isdigit() else "unknown"
