"""One writer: an operating system lock beside the journal that dies with its holder and names it meanwhile."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from pos_engine.errors import JournalFault

if TYPE_CHECKING:
    from pathlib import Path


class WriterLock:
    """The right to write one journal, held by this process."""

    def __init__(self, descriptor: int) -> None:
        """Take over a locked descriptor."""
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, journal: Path) -> Self:
        """Take the lock or raise `JournalFault` naming the process that holds it."""
        path = journal.with_name(journal.name + ".lock")
        reason, descriptor = "", -1
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            reason = f"{journal}: held by pid {holder}"
        except OSError as error:
            reason = f"{path}: {error.strerror}"
        if not reason:
            return cls(descriptor)
        if descriptor >= 0:
            os.close(descriptor)
        raise JournalFault(reason)

    def release(self) -> None:
        """Let another process write; more than once does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
