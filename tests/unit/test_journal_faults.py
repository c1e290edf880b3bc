"""Every statement a journal gives to SQLite, and every call to the system, fails once: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal import files, schema
from pos_engine.journal.lock import WriterLock
from tests.support.records import KEYED, new_record, open_journal

QUOTED = "what SQLite says may quote 6229991357924683"


class Fuse:
    """Fails one statement: the one after so many others, or the one with a certain text."""

    def __init__(self) -> None:
        self.left = -1
        self.victim = ""
        self.failed: list[str] = []

    def check(self, statement: str) -> None:
        place, self.left = self.left, self.left - 1
        if place == 0 or statement == self.victim:
            self.failed.append(statement)
            raise sqlite3.OperationalError(QUOTED)


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    fuse = Fuse()

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, values: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - as its base says
            fuse.check(statement)
            return super().execute(statement, values)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Connection))
    return fuse


def use(path: Path, acknowledged: list[int]) -> None:
    """Use a journal in every way; what was acknowledged is told even if a later step fails."""
    with contextlib.closing(open_journal(path)) as journal:
        for _ in range(2):
            record = new_record(journal, card=KEYED)
            journal.save(record)
            acknowledged.append(record.number)
        journal.shred(acknowledged)


def test_whatever_statement_fails_nothing_acknowledged_is_lost(tmp_path: Path, fuse: Fuse) -> None:
    place = 0
    while True:
        path = tmp_path / str(place) / "journal.db"
        path.parent.mkdir()
        fuse.left, acknowledged = place, list[int]()
        failure: JournalFault | None = None
        try:
            use(path, acknowledged)
        except JournalFault as fault:
            failure = fault
        fuse.left = -1
        if failure is None:
            break
        assert QUOTED not in str(failure)
        assert (failure.__context__, failure.__cause__) == (None, None)
        with contextlib.closing(open_journal(path)) as again:
            numbers = [record.number for record in again.recent(9)][::-1]
            assert numbers[: len(acknowledged)] == acknowledged
            again.save(new_record(again))
        place += 1
    # Each statement failed once, those that commit among them.
    assert len(fuse.failed) == place
    assert fuse.failed.count("COMMIT") >= 4
    assert {"BEGIN IMMEDIATE", "PRAGMA wal_checkpoint(TRUNCATE)", schema.INSERT_SEAL} <= set(fuse.failed)


@pytest.mark.parametrize("statement", ["COMMIT", schema.INSERT_ENTRY, schema.UPSERT_CURRENT, schema.INSERT_SEAL])
def test_after_a_failed_statement_the_journal_reads_and_does_not_write(
    tmp_path: Path, fuse: Fuse, statement: str
) -> None:
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    journal.save(new_record(journal))
    record = new_record(journal, card=KEYED)
    fuse.victim = statement
    with pytest.raises(JournalFault) as caught:
        journal.save(record)
    fuse.victim = ""
    assert QUOTED not in str(caught.value)
    for _ in range(2):
        with pytest.raises(JournalFault, match="a write failed before"):
            journal.save(record)
        with pytest.raises(JournalFault, match="a write failed before"):
            journal.shred([1])
    assert [each.number for each in journal.recent(9)] == [1]
    journal.close()
    with contextlib.closing(open_journal(path)) as again:
        again.save(record)
        assert again.next_number() == 3


def test_a_full_file_ends_in_a_rollback_of_sqlites_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def watched(address: str, /, **more: Any) -> sqlite3.Connection:  # noqa: ANN401 - whatever the original takes
        opened.append(connect(address, **more))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", watched)
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    (pages,) = opened[-1].execute("PRAGMA page_count").fetchone()
    opened[-1].execute(f"PRAGMA max_page_count = {pages + 1}")
    failure: JournalFault | None = None
    acknowledged = 0
    while failure is None:
        try:
            journal.save(new_record(journal, card=KEYED))
            acknowledged += 1
        except JournalFault as fault:
            failure = fault
    assert str(failure).endswith("the disk is full")
    assert (failure.__context__, acknowledged > 0) == (None, True)
    # Nothing was written, so nothing is in doubt, and nothing but room is missing.
    with pytest.raises(JournalFault, match="the disk is full"):
        journal.save(new_record(journal))
    assert journal.next_number() == acknowledged + 1
    journal.close()
    with contextlib.closing(open_journal(path)) as again:
        assert again.next_number() == acknowledged + 1
        again.save(new_record(again))


def broken(*_anything: object, **_more: object) -> NoReturn:
    raise OSError(errno.EIO, "a text that must not be passed on")


@pytest.mark.parametrize("call", ["open", "fchmod", "fsync", "fdatasync", "pwrite", "ftruncate"])
def test_whatever_system_call_fails_is_told_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "journal.db"
    before = os.umask(0o277)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, broken)
            with pytest.raises(JournalFault, match=r": input/output error$") as caught:
                open_journal(path)
    finally:
        os.umask(before)
    assert caught.value.__context__ is None
    with contextlib.closing(open_journal(path)) as journal:
        journal.save(new_record(journal))


def test_a_file_whose_mode_cannot_be_changed_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    open_journal(path).close()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", broken)
        # One that is private needs no change.
        open_journal(path).close()
    path.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", broken)
        with pytest.raises(JournalFault, match=r"journal\.db: input/output error$"):
            open_journal(path)
    open_journal(path).close()


def test_a_file_that_is_not_there_is_private_enough(tmp_path: Path) -> None:
    files.make_private(tmp_path / "missing")


def test_a_new_file_is_private_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", broken)
    before = os.umask(0)
    try:
        os.close(files.open_private(tmp_path / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == files.PRIVATE_MODE


def test_only_a_folder_is_synced_as_one(tmp_path: Path) -> None:
    files.sync_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.sync_folder(tmp_path / "file")


def test_a_system_without_durable_commits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "FULL", 99)
        with pytest.raises(JournalFault, match=r"no durable journal is possible here \(mode wal, synchronous 2"):
            open_journal(tmp_path / "journal.db")
    open_journal(tmp_path / "journal.db").close()


def test_a_database_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    open_journal(path).close()
    connect = sqlite3.connect

    def refuse(mode: str, address: str, /, **more: object) -> sqlite3.Connection:
        # Some builds of SQLite take an address without being told; transactions are begun by the journal alone.
        assert more == {"uri": True, "isolation_level": None, "timeout": schema.BUSY_TIMEOUT_S}
        if address.endswith(mode):
            raise sqlite3.OperationalError(QUOTED)
        return connect(address, uri=True, isolation_level=None)

    for mode in ("ro", "rw"):
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", functools.partial(refuse, mode))
            with pytest.raises(JournalFault) as caught:
                open_journal(path)
        assert QUOTED not in str(caught.value)
        assert caught.value.__context__ is None
    open_journal(path).close()


def test_a_path_that_leads_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for read_only in (False, True):
        with pytest.raises(JournalFault, match=r": not a directory$"):
            open_journal(tmp_path / "file" / "journal.db", read_only=read_only)
    with pytest.raises(JournalFault, match=r"journal\.db: not a directory$") as caught:
        schema.open_for_reading(tmp_path / "file" / "journal.db")
    assert caught.value.__context__ is None


def test_a_build_that_cannot_be_begun(tmp_path: Path) -> None:
    (tmp_path / "journal.db.new").mkdir()
    with pytest.raises(JournalFault, match=r"journal\.db: is a directory$") as caught:
        open_journal(tmp_path / "journal.db")
    assert caught.value.__context__ is None


def test_another_thread_cannot_close_it(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.db")
    with ThreadPoolExecutor(1) as pool:
        fault = pool.submit(journal.close).exception()
    assert isinstance(fault, JournalFault)
    assert str(fault).endswith("the journal is closed, or belongs to another thread")
    assert fault.__context__ is None
    # It is still open and still held.
    journal.save(new_record(journal))
    journal.close()


def test_a_lock_that_cannot_be_written_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(JournalFault, match=r"journal\.db\.lock: input/output error$"):
            WriterLock.acquire(tmp_path / "journal.db")
    WriterLock.acquire(tmp_path / "journal.db").release()
