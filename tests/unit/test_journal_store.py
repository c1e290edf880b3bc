"""The journal's file: private, durable, readable beside its writer, quick to search."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal import mark, schema, store
from pos_engine.journal.record import State
from pos_engine.journal.sealing import Head, Sealing
from pos_engine.values import Identity, KeyBytes
from tests.support.journal_process import start
from tests.support.records import (
    IDENTITY,
    KEYED,
    SPEC,
    STORAGE_KEY,
    answered,
    counting_entropy,
    new_record,
    open_journal,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.journal.store import SqliteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    opened = open_journal(path)
    yield opened
    opened.close()


def fill(journal: SqliteJournal, count: int = 3) -> None:
    for _ in range(count):
        record = new_record(journal, card=KEYED)
        journal.save(record)
        journal.save(answered(record, State.APPROVED))


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.rstrip("\n") for line in process.stdout)


def private(folder: Path) -> dict[str, bool]:
    return {each.name: each.stat().st_mode & 0o777 == 0o600 for each in folder.iterdir()}


def test_what_was_saved_is_there_after_closing(journal: SqliteJournal, path: Path) -> None:
    fill(journal)
    before = journal.recent(9)
    journal.close()
    again = open_journal(path)
    assert again.recent(9) == before
    assert again.next_stan() == "000004"
    again.close()


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a journal?mode=memory#1%20.db"
    opened = open_journal(path)
    fill(opened)
    opened.close()
    assert path.stat().st_size > 0


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_every_file_is_private_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        opened = open_journal(path)
        fill(opened)
        endings = ("", "-shm", "-wal", ".lock", ".mark", ".reserve")
        assert private(path.parent) == {f"journal.db{ending}": True for ending in endings}
        reader = open_journal(path, read_only=True)
        reader.close()
        assert set(private(path.parent).values()) == {True}
        opened.close()
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_becomes_private(path: Path) -> None:
    opened = open_journal(path)
    opened.close()
    path.chmod(0o644)
    open_journal(path).close()
    assert set(private(path.parent).values()) == {True}


def test_what_a_power_cut_left_readable_becomes_private(path: Path) -> None:
    opened = open_journal(path)
    fill(opened)
    left = path.parent / "left"
    left.mkdir()
    for ending in ("", "-wal", "-shm", ".mark"):
        shutil.copyfile(f"{path}{ending}", left / f"journal.db{ending}")
        (left / f"journal.db{ending}").chmod(0o644)
    opened.close()
    again = open_journal(left / "journal.db")
    assert set(private(left).values()) == {True}
    again.close()


def test_the_mark_tells_the_last_stan_that_was_used(journal: SqliteJournal, path: Path) -> None:
    sealing = Sealing(STORAGE_KEY, f"{IDENTITY.terminal}/{IDENTITY.merchant}", counting_entropy())

    def marked() -> Head:
        data = mark.read(path.with_name("journal.db.mark"))
        assert data is not None
        return mark.highest(data, sealing)

    first = new_record(journal)
    journal.save(first)
    assert marked()[::2] == (1, 1)
    journal.save(replace(new_record(journal), stan="000041"))
    assert marked()[::2] == (2, 41)
    # Neither a later form of an older request nor its reversal turns it back.
    journal.save(replace(first, state=State.DOUBTFUL))
    journal.save(new_record(journal, Kind.REVERSAL, original=first))
    assert marked()[::2] == (4, 41)
    journal.close()
    with closing(open_journal(path)) as again:
        assert again.audited.head == marked()
        again.save(replace(new_record(again), stan="000042"))
        assert marked()[::2] == (5, 42)


def test_the_second_writer_is_told_who_holds_it(journal: SqliteJournal, path: Path) -> None:
    fill(journal, 1)
    with pytest.raises(JournalFault, match=rf"^{re.escape(str(path))}: held by pid {os.getpid()}$"):
        open_journal(path)
    journal.close()
    open_journal(path).close()


def test_a_failed_opening_leaves_nothing_held(path: Path) -> None:
    open_journal(path).close()
    stranger = Identity("T0000002", "M00000000000001")
    for _ in range(2):
        with pytest.raises(JournalFault, match=r"belongs to another terminal or merchant$"):
            open_journal(path, identity=stranger)
    open_journal(path).close()


def test_another_process_reads_while_this_one_writes(journal: SqliteJournal, path: Path) -> None:
    fill(journal, 2)
    with start("read", path) as reader:
        answers = lines(reader)
        assert next(answers) == "2"
        fill(journal, 1)
        assert reader.stdin is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert next(answers) == "3"
        reader.stdin.close()
        assert reader.wait() == 0


def test_a_reader_cannot_write(journal: SqliteJournal, path: Path) -> None:
    fill(journal)
    reader = open_journal(path, read_only=True)
    assert reader.recent(9) == journal.recent(9)
    with pytest.raises(JournalFault, match=rf"^{re.escape(str(path))}: opened for reading only$"):
        reader.save(new_record(reader))
    with pytest.raises(JournalFault, match=r"opened for reading only$"):
        reader.shred([1])
    reader.close()


def test_reading_a_journal_that_is_not_there(path: Path) -> None:
    with pytest.raises(JournalFault, match=rf"^{re.escape(str(path))}: there is no journal here$") as caught:
        open_journal(path, read_only=True)
    assert caught.value.__context__ is None
    assert list(path.parent.iterdir()) == []


def test_a_closed_journal_says_so(journal: SqliteJournal) -> None:
    journal.close()
    journal.close()
    for use in (journal.next_number, lambda: journal.recent(1), lambda: journal.shred([1])):
        with pytest.raises(JournalFault, match=r"the journal is closed, or belongs to another thread$") as caught:
            use()
        assert caught.value.__context__ is None


def test_the_guard_in_the_file_refuses_a_stan_twice_even_if_nobody_asked(journal: SqliteJournal, path: Path) -> None:
    record = new_record(journal)
    journal.save(record)
    raw = sqlite3.connect(path, isolation_level=None)
    twice = (*schema.columns(replace(record, number=2)), 99)
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(schema.UPSERT_CURRENT, twice)
    raw.execute("BEGIN")
    raw.execute(schema.UPSERT_CURRENT, (*schema.columns(replace(record, number=2, kind=Kind.REVERSAL)), 99))
    raw.execute("ROLLBACK")
    raw.close()


def test_entropy_that_fails_leaves_the_journal_in_use(path: Path) -> None:
    class DryError(Exception):
        pass

    def dry(_size: int) -> bytes:
        raise DryError

    opened = open_journal(path, entropy=dry)
    with pytest.raises(DryError):
        opened.save(new_record(opened, card=KEYED))
    opened.save(new_record(opened))
    assert opened.next_number() == 2
    opened.close()


def test_a_program_that_holds_the_file_is_waited_for_and_then_named(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.close()
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.0)
    opened = open_journal(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalFault, match=r"the file is locked by another program$") as caught:
        opened.save(new_record(opened))
    assert caught.value.__context__ is None
    other.execute("ROLLBACK")
    other.close()
    # Nothing had been written, so nothing is in doubt.
    opened.save(new_record(opened))
    opened.close()


def test_a_second_writer_that_evaded_the_lock_stops_the_first(journal: SqliteJournal, path: Path) -> None:
    fill(journal, 1)
    path.with_name("journal.db.lock").unlink()
    intruder = open_journal(path)
    fill(intruder, 1)
    with pytest.raises(JournalFault, match=r"a number was about to be used twice$") as caught:
        journal.save(new_record(journal))
    assert caught.value.__context__ is None
    with pytest.raises(JournalFault, match="a write failed before"):
        journal.save(new_record(journal))
    journal.close()
    intruder.close()
    again = open_journal(path)
    assert again.next_number() == 3
    again.close()


@pytest.mark.parametrize("room_bytes", [60_000, 61_000, 70_000, 100_001])
def test_after_a_write_that_failed_nothing_more_is_saved_until_reopened(path: Path, room_bytes: int) -> None:
    with start("fill", path, str(room_bytes)) as process:
        told = list(lines(process))
    failure, rides_along, save, shred, is_readable, is_complete, end = told
    assert re.search(r"journal\.db: the disk reports an error$", failure)
    assert rides_along == "[None, None]"
    assert save.endswith("a write failed before; open the journal again, so that it recovers")
    assert shred == save
    assert (is_readable, is_complete, end) == ("True", "True", "recovered")


def test_a_mark_that_cannot_be_moved_stops_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_journal(path)
    fill(opened, 1)

    def broken(_descriptor: int) -> None:
        raise OSError(5, "a text that must not be passed on")

    record = new_record(opened)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(JournalFault, match=r"journal\.db\.mark: input/output error$") as caught:
            opened.save(record)
    assert caught.value.__context__ is None
    with pytest.raises(JournalFault, match="a write failed before"):
        opened.save(record)
    opened.close()
    again = open_journal(path)
    # It was not acknowledged, but it is there, like anything whose acknowledgement got lost.
    assert again.next_number() == 3
    again.close()


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    acknowledged = 0
    for rounds in range(8):
        with start("save", path) as process:
            answers = lines(process)
            for _ in range(1 + 5 * rounds):
                acknowledged = int(next(answers))
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, answers)])
        reader = open_journal(path, read_only=True)
        assert acknowledged <= reader.next_number() - 1 <= acknowledged + 1
        reader.close()
    opened = open_journal(path)
    assert {record.state for record in opened.recent(10_000)} == {State.PENDING}
    # Whoever was killed between a save and its erasure left that one undone, and only that one.
    assert len([record for record in opened.sealed_records() if record.number % 3 == 0]) <= 8
    opened.close()


PLANS = {
    "find": ("WHERE c.number = ?", 1),
    "find_original": (store.BY_STAN, 2),
    "open_records": (store.OPEN.format(kinds="?, ?"), 4),
    "acting_on": (store.ACTING_ON, 1),
    "last_approved": (store.LAST_APPROVED, 2),
    "demanded_after": (store.DEMANDED_AFTER, 1),
    "wanted_after": (store.WANTED_AFTER, 2),
    "failures": (store.FAILURES, 4),
}


def plan(path: Path, statement: str, parameters: int) -> list[str]:
    raw = sqlite3.connect(path)
    rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", (None,) * parameters).fetchall()
    raw.close()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.usefixtures("journal")
def test_no_question_reads_the_whole_journal(path: Path, name: str) -> None:
    where, parameters = PLANS[name]
    steps = plan(path, store.RECORDS + where, parameters)
    assert [step for step in steps if step.startswith("SCAN")] == []
    # What is still open is sorted; it is little. Everything else comes out of an index in order.
    assert [step for step in steps if "TEMP B-TREE" in step and name != "open_records"] == []


@pytest.mark.usefixtures("journal")
def test_the_next_stan_is_looked_up(path: Path) -> None:
    assert ["INDEX one_request_a_stan (batch=? AND stan=?)" in step for step in plan(path, store.STAN_USED, 2)] == [
        True
    ]
    for statement in (store.LAST_REQUEST, store.RECORDS + store.RECENT):
        # A scan, but from the end, and no further than what is wanted.
        steps = plan(path, statement, statement.count("?"))
        assert [step for step in steps if "TEMP B-TREE" in step] == []
        assert "LIMIT" in statement


@pytest.mark.usefixtures("journal")
def test_the_sealed_records_are_found_by_their_seals(path: Path) -> None:
    steps = plan(path, store.RECORDS + store.SEALED, 0)
    assert "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)" in steps
    assert [step for step in steps if step.startswith("SCAN") and "seals" not in step] == []


def test_a_reader_sees_what_was_damaged_after_it_opened(journal: SqliteJournal, path: Path) -> None:
    fill(journal, 2)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("UPDATE entries SET body = replace(body, '12.34', '') || ' ' WHERE number = 2")
    raw.close()
    with pytest.raises(JournalFault, match="record 2 is damaged") as caught:
        journal.recent(1)
    assert caught.value.__context__ is None


def test_another_storage_key_is_told_from_damage(path: Path) -> None:
    opened = store.SqliteJournal.open(
        path,
        spec=SPEC,
        identity=Identity("T0000001", "M00000000000001"),
        storage_key=KeyBytes(bytes(32)),
        entropy=counting_entropy(),
    )
    opened.close()
    with pytest.raises(JournalFault, match=r"was written under another storage key$"):
        open_journal(path)
