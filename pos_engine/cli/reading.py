"""Reading the journal beside whatever uses it: opened read-only, verified whole, and let go of again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.config import Config
    from pos_engine.journal.store import SqliteJournal


@contextlib.contextmanager
def reading(config: Config) -> Iterator[SqliteJournal | None]:
    """Open the terminal's journal for reading; `None` where none was ever begun."""
    from pos_engine.assembly import read_journal
    from pos_engine.journal.store import was_begun
    from pos_engine.system import harden_process

    harden_process()
    if not was_begun(config.journal, config.mark):
        yield None
        return
    with contextlib.closing(read_journal(config)) as journal:
        yield journal
