"""How many connections a process may hold: what the system grants, less what the host needs for itself.

A host that used up its files could not even accept a connection in order to refuse it.
"""

from __future__ import annotations

import resource
from typing import Final

FILES_RESERVED: Final = 64
"""Open files that are no connections: the books, the doors, standard streams, and the loop's own."""

CONNECTIONS_MAX: Final = 50_000
"""More is nobody's shop; a connection that has said something takes about 10 KiB."""


def connections_max() -> int:
    """Return how many connections may be open at once, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else soft - FILES_RESERVED
    return max(1, min(granted, CONNECTIONS_MAX))


def ask_for_files() -> None:
    """Raise this process's limit of open files as far as its user may; for a program, not for a library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + FILES_RESERVED
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
