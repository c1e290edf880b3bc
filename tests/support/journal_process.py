"""A process of its own that uses a journal: `python -m tests.support.journal_process TASK PATH [BYTES]`.

What it has done it prints at once, a line each, so that its parent knows what was acknowledged before it kills it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal.record import State
from tests.support.records import KEYED, answered, new_record, open_journal

if TYPE_CHECKING:
    from pos_engine.journal.record import Record
    from pos_engine.journal.store import SqliteJournal

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
    """Save until a limit on the size of files gives no more room; then try again, make room, reopen."""
    journal = open_journal(path)
    journal.save(new_record(journal, card=KEYED))
    acknowledged = 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
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


def crowd(path: Path) -> None:
    """Fill the disk while a sale is pending, and go on with what is owed; then be killed, reopen, and make room."""
    if os.fork() == 0:
        trade_on_a_full_disk(path)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    journal = open_journal(path)
    (sale,) = journal.open_records((Kind.SALE, Kind.REVERSAL))
    say("reopened")
    journal.save(replace(sale, state=State.DOUBTFUL))
    journal.save(new_record(journal, Kind.SIGN_ON))
    work_off(journal, sale)
    path.with_name("spare").unlink()
    journal.save(new_record(journal))
    say(path.with_name("journal.db.reserve").stat().st_size)
    journal.close()
    say(open_journal(path).audited.records)


def trade_on_a_full_disk(path: Path) -> None:
    """Take up a sale, lose the room, end the sale, and be refused the next one."""
    journal = open_journal(path)
    for _ in range(20):
        journal.save(new_record(journal, Kind.SIGN_ON))
    sale = new_record(journal, card=KEYED)
    journal.save(sale)
    fill_disk(path.with_name("spare"))
    journal.save(replace(sale, state=State.DOUBTFUL, reason="98"))
    say(f"reserve: {path.with_name('journal.db.reserve').exists()}")
    work_off(journal, sale)
    say(attempt(journal.save, new_record(journal)))
    journal.shred([sale.number, sale.number + 1])
    say(f"sealed: {len(journal.sealed_records())}")
    path.with_name("spare").unlink()
    journal.save(new_record(journal, card=KEYED))
    for _ in range(30):
        # Nothing of this is in the file yet, so that opening the journal needs room too.
        journal.save(new_record(journal, Kind.SIGN_ON))
    fill_disk(path.with_name("spare"))


def work_off(journal: SqliteJournal, sale: Record) -> None:
    """Reverse a sale in more attempts than the room in reserve has room for."""
    taken_back = new_record(journal, Kind.REVERSAL, original=sale)
    journal.save(taken_back)
    for attempts in range(2, 60):
        journal.save(replace(taken_back, state=State.DOUBTFUL, notes=("silence",) * 16))
        journal.save(replace(taken_back, state=State.PENDING, attempts=attempts))
    journal.save(answered(taken_back, State.APPROVED))


def fill_disk(spare: Path) -> None:
    """Take every block that is left."""
    with spare.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))


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
    elif task == "crowd":
        crowd(path)
    else:
        fill(path, int(sys.argv[3]))
