"""Room for the outcome is there before the intent: a full disk refuses new business, and never what is owed."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal import reserve, schema
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import State
from pos_engine.journal.reserve import RESERVE_BYTES, Reserve
from tests.support.journal_process import start
from tests.support.records import KEYED, new_record, open_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pos_engine.journal.store import SqliteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def ballast(path: Path) -> Path:
    return path.with_name("journal.db.reserve")


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    opened = open_journal(path)
    yield opened
    opened.close()


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_anything: object) -> NoReturn:
        raise OSError(number, "a text that must not be passed on")

    return fail


def test_the_room_is_there_before_an_intent_and_only_then(journal: SqliteJournal, path: Path, ballast: Path) -> None:
    assert not ballast.exists()
    journal.save(new_record(journal))
    found = ballast.stat()
    assert (found.st_size, found.st_mode & 0o777) == (RESERVE_BYTES, 0o600)
    assert found.st_blocks * 512 >= RESERVE_BYTES
    ballast.unlink()
    open_journal(path, read_only=True).close()
    assert not ballast.exists()


def test_room_that_was_taken_away_or_cut_is_taken_again(journal: SqliteJournal, ballast: Path) -> None:
    journal.save(new_record(journal))
    for spoil in (
        ballast.unlink,
        lambda: ballast.write_bytes(b""),
        lambda: ballast.write_bytes(bytes(RESERVE_BYTES + 1)),
    ):
        spoil()
        journal.save(new_record(journal))
        assert ballast.stat().st_size == RESERVE_BYTES


def test_a_sparse_file_from_before_gets_its_blocks(path: Path, ballast: Path) -> None:
    with ballast.open("wb") as file:
        file.truncate(RESERVE_BYTES)
    with contextlib.closing(open_journal(path)) as journal:
        journal.save(new_record(journal))
    assert ballast.stat().st_blocks * 512 >= RESERVE_BYTES


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_without_room_an_intent_is_refused_and_the_journal_stays_in_use(
    journal: SqliteJournal, path: Path, ballast: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sale = new_record(journal, card=KEYED)
    journal.save(sale)
    ballast.unlink()
    before = path.with_name("journal.db-wal").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(number))
        for kind in (Kind.SALE, Kind.REFUND, Kind.BALANCE):
            with pytest.raises(
                JournalFault, match=r"journal\.db: the disk is full: no room for the outcome$"
            ) as caught:
                journal.save(new_record(journal, kind, original=sale if kind is Kind.REFUND else None))
            assert caught.value.__context__ is None
        assert not ballast.exists()
        assert path.with_name("journal.db-wal").read_bytes() == before
        # What is owed is another matter, and so is the sign-on that it may need.
        journal.save(replace(sale, state=State.DOUBTFUL))
        journal.save(new_record(journal, Kind.REVERSAL, original=sale))
        journal.save(new_record(journal, Kind.SIGN_ON))
        journal.shred([sale.number])
    journal.save(new_record(journal))
    assert (journal.next_number(), ballast.exists()) == (5, True)


def test_another_fault_of_the_disk_is_told_as_it_is(
    journal: SqliteJournal, ballast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(errno.EIO))
        with pytest.raises(JournalFault, match=r"journal\.db\.reserve: input/output error$") as caught:
            journal.save(new_record(journal))
    assert caught.value.__context__ is None
    assert not ballast.exists()
    journal.save(new_record(journal))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_where_blocks_cannot_be_allocated_they_are_written(
    journal: SqliteJournal, ballast: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "posix_fallocate", failing(number))
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: write(file, data[:300_000], place))
    journal.save(new_record(journal))
    assert ballast.read_bytes() == bytes(RESERVE_BYTES)
    assert ballast.stat().st_blocks * 512 >= RESERVE_BYTES


class Full:
    """A database that has no room for so many commits, as SQLite tells it."""

    def __init__(self) -> None:
        self.left = 0
        self.statement = "COMMIT"
        self.told: list[str] = []
        """Every statement that it was given."""

    def check(self, statement: str) -> None:
        self.told.append(statement)
        if statement == self.statement and self.left:
            self.left -= 1
            error = sqlite3.OperationalError("a text that must not be passed on")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    full = Full()
    connect = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, values: tuple[object, ...] = (), /) -> sqlite3.Cursor:  # type: ignore[override] # narrower on purpose
            full.check(statement)
            return super().execute(statement, values)

    monkeypatch.setattr(sqlite3, "connect", lambda address, **more: connect(address, factory=Connection, **more))
    return full


def test_what_is_owed_is_written_into_the_room_that_was_kept(path: Path, ballast: Path, full: Full) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        sale = new_record(journal, card=KEYED)
        journal.save(sale)
        log = path.with_name("journal.db-wal").stat().st_size
        full.left = 1
        journal.save(replace(sale, state=State.DOUBTFUL))
        assert not ballast.exists()
        # The log starts again, in the blocks that it has.
        full.left = 1
        journal.save(new_record(journal, Kind.REVERSAL, original=sale))
        assert path.with_name("journal.db-wal").stat().st_size <= 2 * log
        full.left = 1
        journal.shred([sale.number, 2])
        assert (full.left, len(journal.sealed_records())) == (0, 0)
        journal.save(new_record(journal))
        assert ballast.exists()
        forms = [(each.record.kind, each.record.state) for each in journal.entries(history=True)]
        assert forms[:3] == [
            (Kind.SALE, State.PENDING),
            (Kind.SALE, State.DOUBTFUL),
            (Kind.REVERSAL, State.PENDING),
        ]


def test_without_the_room_that_is_kept_the_log_starts_again(path: Path, ballast: Path, full: Full) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        sale = new_record(journal)
        journal.save(sale)
        restart = "PRAGMA wal_checkpoint(RESTART)"
        full.statement, full.left = restart, 1
        journal.save(replace(sale, state=State.DOUBTFUL))
        assert full.left == 1
        ballast.unlink()
        # A log that cannot even be copied stops nobody.
        journal.save(replace(sale, state=State.PENDING))
        assert full.left == 0
        full.told.clear()
        full.statement, full.left = "COMMIT", 1
        journal.save(replace(sale, state=State.DOUBTFUL))
        assert [each for each in full.told if each in {restart, "COMMIT"}] == ["COMMIT", restart, "COMMIT", restart]
        # Where there is room to give back, the log need not start again before.
        journal.save(new_record(journal))
        full.told.clear()
        full.left = 1
        journal.save(replace(sale, state=State.PENDING))
        assert [each for each in full.told if each in {restart, "COMMIT"}] == ["COMMIT", "COMMIT", restart]


def test_what_finds_no_room_twice_is_refused_and_may_be_tried_again(path: Path, ballast: Path, full: Full) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        sale = new_record(journal)
        journal.save(sale)
        full.left = 2
        with pytest.raises(JournalFault, match=r"the disk is full$") as caught:
            journal.save(replace(sale, state=State.DOUBTFUL))
        assert (caught.value.__context__, ballast.exists()) == (None, False)
        assert [each.state for each in journal.recent(9)] == [State.PENDING]
        journal.save(replace(sale, state=State.DOUBTFUL))
        # An intent gets one attempt: the room that is kept is not for it.
        journal.save(new_record(journal))
        full.left = 1
        with pytest.raises(JournalFault, match=r"the disk is full$"):
            journal.save(new_record(journal))
        assert ballast.exists()
        assert journal.next_number() == 3
    open_journal(path).close()


def test_a_failed_flush_draws_nothing_and_stays_fatal(
    path: Path, ballast: Path, full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        sale = new_record(journal)
        journal.save(sale)
        monkeypatch.setattr(schema, "is_full", lambda _error: False)
        full.left = 1
        for expected in ("the disk is full$", "a write failed before"):
            with pytest.raises(JournalFault, match=expected):
                journal.save(replace(sale, state=State.DOUBTFUL))
        assert ballast.exists()


def test_an_erasure_without_room_is_finished_later(path: Path, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.save(new_record(journal, card=KEYED))
        full.statement = "PRAGMA wal_checkpoint(TRUNCATE)"
        full.left = 1
        journal.shred([1])
        assert path.with_name("journal.db-wal").stat().st_size > 0
        journal.shred([])
        assert path.with_name("journal.db-wal").stat().st_size == 0
        journal.save(new_record(journal, card=KEYED))
        # With little room left on the disk, the ballast helps at once.
        monkeypatch.setattr(reserve, "RESERVE_BYTES", 1 << 62)
        full.left = 1
        journal.shred([2])
        assert path.with_name("journal.db-wal").stat().st_size == 0


def test_a_log_that_cannot_be_copied_for_another_reason_stops_the_journal(
    path: Path, full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.save(new_record(journal, card=KEYED))
        monkeypatch.setattr(schema, "is_full", lambda _error: False)
        full.statement, full.left = "PRAGMA wal_checkpoint(TRUNCATE)", 1
        with pytest.raises(JournalFault, match=r"the disk is full$") as caught:
            journal.shred([1])
        assert caught.value.__context__ is None
        with pytest.raises(JournalFault, match="a write failed before"):
            journal.shred([1])


def test_opening_with_little_room_gives_the_ballast_back_and_tries_again(
    path: Path, ballast: Path, full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.save(new_record(journal))
    full.statement, full.left = "PRAGMA synchronous = FULL", 1
    with pytest.raises(JournalFault, match=r"the disk is full$"):
        open_journal(path)
    assert ballast.exists()
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 1 << 62)
    full.left = 1
    with contextlib.closing(open_journal(path)) as journal:
        assert (full.left, ballast.exists()) == (0, False)
        journal.save(new_record(journal, Kind.SIGN_ON))
    # Where there is nothing to give back, there is nothing more to try.
    full.left = 1
    with pytest.raises(JournalFault, match=r"the disk is full$"):
        open_journal(path)
    assert full.left == 0


def test_room_that_cannot_be_given_back_counts_as_none(
    path: Path, ballast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Reserve(path)
    kept.take()
    for call in ("open", "ftruncate", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(errno.EIO))
            assert not kept.give_back()
    kept.take()
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", failing(errno.EIO))
        assert not kept.give_back_if_short()
    assert kept.give_back()
    assert not kept.give_back()
    assert not ballast.exists()


def test_only_room_that_was_there_is_given_back(path: Path, ballast: Path) -> None:
    kept = Reserve(path)
    ballast.write_bytes(b"")
    assert not kept.give_back()
    ballast.write_bytes(b"?")
    with ballast.open("rb") as held:
        assert kept.give_back()
        # Whoever reads it meanwhile keeps none of it.
        assert os.fstat(held.fileno()).st_size == 0
    precious = path.with_name("precious")
    precious.write_bytes(bytes(RESERVE_BYTES))
    ballast.symlink_to(precious)
    assert not kept.give_back()
    assert precious.stat().st_size == RESERVE_BYTES


@pytest.mark.parametrize(("blocks", "is_short"), [(127, True), (128, False)])
def test_room_is_short_where_there_is_less_than_what_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, *, is_short: bool
) -> None:
    kept = Reserve(path)
    kept.take()
    monkeypatch.setattr(os, "statvfs", lambda _folder: SimpleNamespace(f_bavail=blocks, f_frsize=4096))
    assert kept.give_back_if_short() == is_short


def test_a_lock_without_room_for_its_holders_name_is_a_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        lock = WriterLock.acquire(path)
    with pytest.raises(JournalFault, match=r"held by pid unknown$"):
        WriterLock.acquire(path)
    lock.release()


@pytest.mark.needs("unshare", "mount")
def test_on_a_full_disk_what_is_owed_is_worked_off_and_nothing_new_is_begun(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", disk], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    small = f'mount -t tmpfs -o size=2M none {disk} && exec "$@"'
    with start("crowd", disk / "journal.db", inside=("unshare", "-rm", "sh", "-c", small, "sh")) as process:
        assert process.stdout is not None
        told = process.stdout.read().splitlines()
    refused = f"{disk}/journal.db: the disk is full: no room for the outcome"
    assert told == ["reserve: False", refused, "sealed: 0", "reopened", str(RESERVE_BYTES), "56"]
