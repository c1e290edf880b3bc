"""Both ends on one table: real terminals and the simulated host in one process, on one clock that a test moves.

memory_link   the line between them: no sockets, no threads, and what may go wrong on a line
conversation  what was said on it, as text that is safe to print
books         the host's books beside what a terminal believes
table         the bench: clock, line, host and keys, and terminals opened on them

No time passes but the one somebody waits for, and nothing is random but what the seed says.
"""

from __future__ import annotations

from simulators.bench.books import Books
from simulators.bench.conversation import Conversation
from simulators.bench.memory_link import MemoryLink
from simulators.bench.table import IDENTITY, Bench

__all__ = ["IDENTITY", "Bench", "Books", "Conversation", "MemoryLink"]
