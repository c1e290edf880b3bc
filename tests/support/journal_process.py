"""A process of its own that uses a journal: `python -m tests.support.journal_process TASK PATH [BYTES]`.

What it has done it prints at once, a line each, so that its parent knows what was acknowledged before it kills it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from pos_engine.errors import JournalFault
from tests.support.records import KEYED, new_record, open_journal

ROOT = Path(__file__).resolve().parents[2]


def start(task: str, path: Path, *more: str, inside: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start the process; `inside` is a command to run it under."""
    command = [*inside, sys.executable, "-m", "tests.support.journal_process", task, str(path), *more]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(text: object) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def save_for_ever(path: Path) -> None:
    """Save records until killed, and erase the card data of every third."""
    journal = open_journal(path)
    while True:
        record = new_record(journal, card=KEYED)
        journal.save(record)
        say(record.number)
        if record.number % 3 == 0:
            journal.shred([record.number])


def read(path: Path) -> None:
    """Open for reading, tell the newest number, and again after each line of input."""
    journal = open_journal(path, read_only=True)
    say(journal.next_number() - 1)
    for _ in sys.stdin:
        say(journal.next_number() - 1)
    journal.close()


def fill(path: Path, room_bytes: int) -> None:
    """Save until the disk, or a limit on the size of files, gives no more room; then try again, make room, reopen."""
    journal = open_journal(path)
    spare = path.with_name("spare")
    if room_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
    else:
        spare.write_bytes(bytes(100_000))
    acknowledged = 0
    failure = None
    while failure is None:
        try:
            journal.save(new_record(journal, card=KEYED))
            acknowledged += 1
        except JournalFault as fault:
            failure = fault
    say(failure)
    say([failure.__context__, failure.__cause__])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    spare.unlink(missing_ok=True)
    say(attempt(journal.save, new_record(journal)))
    say(attempt(journal.shred, [1]))
    say(journal.next_number() - 1 == acknowledged)
    journal.close()
    journal = open_journal(path)
    say(journal.next_number() - 1 == acknowledged)
    journal.save(new_record(journal))
    journal.close()
    open_journal(path).close()
    say("recovered")


def attempt(act: object, what: object) -> str:
    """Do something that must be refused, and return how it was."""
    assert callable(act)
    try:
        act(what)
    except JournalFault as fault:
        return str(fault)
    return "not refused"


if __name__ == "__main__":
    task, path = sys.argv[1], Path(sys.argv[2])
    if task == "save":
        save_for_ever(path)
    elif task == "read":
        read(path)
    else:
        fill(path, int(sys.argv[3]))
