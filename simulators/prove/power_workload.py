"""The process whose disk loses power: `python -m simulators.prove.power_workload FOLDER STORY SESSION [FAULT]`.

It uses the journal as shipped and says on its standard output, at once, what it is about to do and what is durable; a
trace of its system calls thus holds both, in order. FAULT makes it forgetful on purpose, for the controls.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any, Final

from simulators.prove.disk_history import STORIES, counting_entropy, live, open_journal

NORMAL: Final = "normal"
"""The control that asks SQLite for `synchronous=NORMAL`, which does not flush at commit."""
ENTROPY_APART: Final = 1_000_000


def say(text: str) -> None:
    """Tell the trace."""
    os.write(sys.stdout.fileno(), f"{text}\n".encode())


class _Forgetful:
    """A connection that flushes less than it is asked to, and says that it does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Stand in front of a connection."""
        self._connection = connection

    def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:  # noqa: ANN401 - what SQLite takes
        """Weaken the one setting that durability rests on."""
        weakened = {"PRAGMA synchronous = FULL": "PRAGMA synchronous = NORMAL", "PRAGMA synchronous": "SELECT 2"}
        return self._connection.execute(weakened.get(sql, sql), *more)

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the connection."""
        return getattr(self._connection, name)


def _forget() -> None:
    connect = sqlite3.connect

    def forgetful(*arguments: Any, **named: Any) -> _Forgetful:  # noqa: ANN401 - what SQLite takes
        return _Forgetful(connect(*arguments, **named))

    setattr(sqlite3, connect.__name__, forgetful)


def main(folder: str, story: str, number: str, fault: str = "") -> None:
    """Live one session of a story; a session that does not close the journal ends as a killed process does."""
    if fault == NORMAL:
        _forget()
    sessions = STORIES[story]()
    session = sessions[int(number)]
    done = sum(len(each.changes) for each in sessions[: int(number)])
    say(f"at {done}")
    if session.filling:
        say("unwatched")
    drawn: list[bytes] = []
    entropy = counting_entropy(int(number) * ENTROPY_APART)

    def noted(size: int) -> bytes:
        drawn.append(entropy(size))
        return drawn[-1]

    journal = open_journal(Path(folder, "journal.db"), entropy=noted)
    for count, _ in enumerate(live(journal, session)):
        for value in drawn:
            say(f"drew {done + count} {value.hex()}")
        drawn.clear()
        say(f"done {done + count}")
        if count == session.filling > 0:
            say("watched")
        if count < len(session.changes):
            say(f"try {done + count + 1}")
    if session.closes:
        journal.close()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
