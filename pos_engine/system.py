"""The machine under the engine: its clock, its randomness, and what keeps its memory to itself.

Only this module asks the operating system for time. Elapsed seconds come from CLOCK_BOOTTIME, which counts on through
suspend and which nobody can set; the boot's identity from the kernel, so that instants of two boots are never compared.
"""

from __future__ import annotations

import ctypes
import os
import re
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pos_engine.clock import Instant

BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux names the running boot: a random UUID, new at every start."""

_PR_SET_DUMPABLE: Final = 4
_BOOT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SystemClock:
    """The real `Clock`.

    Where the kernel has no CLOCK_BOOTTIME, elapsed seconds stand still during suspend, so deadlines come late, never
    early. Where it has no boot id, every `SystemClock` is a boot of its own: a restart of the process then makes a
    sign-on due, which is the safe mistake.
    """

    __slots__ = ("_boot", "_clock")

    def __init__(self, boot_id_path: Path = BOOT_ID_PATH) -> None:
        """Find out which boot this is; another path is for tests and odd containers."""
        self._boot = _read_boot_id(boot_id_path) or f"process-{uuid.uuid4()}"
        self._clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> Instant:
        """Return the present moment, the wall clock in the machine's own time zone."""
        return Instant(time.clock_gettime(self._clock), self._boot, datetime.now(UTC).astimezone())


def entropy(n: int) -> bytes:
    """Return `n` unpredictable bytes from the kernel."""
    return os.urandom(n)


def harden_process() -> None:
    """Keep keys out of core dumps, and other processes of the same user out of this one's memory.

    For the command line alone: an application that embeds the engine decides for itself. What the system does not offer
    is left out without a word, so this never raises.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on every system, and needed once

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _read_boot_id(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _BOOT_ID.fullmatch(text) else None
