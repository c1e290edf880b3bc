"""A backup is whole and private, a restore is crash-safe, and no number is ever used twice because of either."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import schema
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import State
from pos_engine.values import Identity, KeyBytes
from tests.support.backups import damaged, put_back, trade
from tests.support.journal_process import start
from tests.support.records import PAN, answered, new_record, open_journal

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where backups go: other media."""
    (tmp_path / "media").mkdir()
    return tmp_path / "media" / "backup.db"


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_anything: object, **_more: object) -> NoReturn:
        raise OSError(number, "a text that must not be passed on")

    return fail


@pytest.mark.parametrize("read_only", [False, True])
def test_a_backup_is_one_private_file_that_is_a_whole_journal(path: Path, copy: Path, read_only: bool) -> None:  # noqa: FBT001 - a case
    with contextlib.closing(open_journal(path)) as writer:
        trade(writer, 3)
        writer.shred([1])
        with contextlib.closing(open_journal(path, read_only=read_only) if read_only else writer) as journal:
            audited = journal.backup(copy)
            assert audited == replace(writer.audited, head=audited.head, records=3, sealed=2, erased=1)
            assert names(copy.parent) == {"backup.db"}
            assert copy.stat().st_mode & 0o777 == 0o600
            history = [(each.place, each.record) for each in journal.entries(history=True)]
    elsewhere = copy.parent / "journal.db"
    shutil.copy(copy, elsewhere)
    shutil.copy(path.with_name("journal.db.mark"), copy.parent / "journal.db.mark")
    with contextlib.closing(open_journal(elsewhere)) as again:
        assert [(each.place, each.record) for each in again.entries(history=True)] == history


def test_another_process_trades_while_a_backup_is_made(path: Path, copy: Path) -> None:
    with start("save", path) as process:
        assert process.stdout is not None
        for number in range(5):
            for _ in range(5):
                process.stdout.readline()
            with contextlib.closing(open_journal(path, read_only=True)) as reader:
                audited = reader.backup(copy.with_name(f"{number}.db"))
                assert audited.records >= 5 * (number + 1)
        process.kill()


def test_what_was_erased_is_in_no_byte_of_a_backup(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 30)
        raw = sqlite3.connect(path)
        wrapped = [bytes(each) for (each,) in raw.execute("SELECT wrapped FROM seals ORDER BY number")]
        raw.close()
        journal.shred(range(1, 30))
        journal.backup(copy)
    data = copy.read_bytes()
    assert [each in data for each in wrapped] == [False] * 29 + [True]
    assert PAN.encode() not in data


@pytest.mark.parametrize("there", ["a file", "a folder", "a link to nowhere"])
def test_a_backup_overwrites_nothing(path: Path, copy: Path, there: str) -> None:
    if there == "a file":
        copy.write_bytes(b"precious")
    elif there == "a folder":
        copy.mkdir()
    else:
        copy.symlink_to("nowhere")
    with (
        contextlib.closing(open_journal(path)) as journal,
        pytest.raises(UsageError, match=r"is there already, and is not overwritten$"),
    ):
        journal.backup(copy)
    assert names(copy.parent) == {"backup.db"}


def test_a_backup_that_cannot_be_made_leaves_nothing(path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 1)
        with pytest.raises(JournalFault, match=r"missing/backup\.db: no such file or directory$") as caught:
            journal.backup(copy.parent / "missing" / "backup.db")
        assert caught.value.__context__ is None
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(errno.EIO))
            with pytest.raises(JournalFault, match=r"backup\.db: input/output error$"):
                journal.backup(copy)
        assert names(copy.parent) == set()
        copy.with_name("backup.db.new").write_bytes(b"left by a power cut")
        journal.backup(copy)
        assert names(copy.parent) == {"backup.db"}
    with pytest.raises(JournalFault, match="the journal is closed") as caught:
        journal.backup(copy.with_name("other.db"))
    assert caught.value.__context__ is None
    assert names(copy.parent) == {"backup.db"}


def test_damage_is_not_copied(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 3)
        raw = sqlite3.connect(path)
        raw.execute("UPDATE entries SET body = body || ' ' WHERE seq = 2")
        raw.commit()
        raw.close()
        with pytest.raises(JournalFault, match=r"backup\.db: entry 2 is damaged"):
            journal.backup(copy)
    assert names(copy.parent) == set()


def test_a_restored_journal_goes_on_after_the_last_number_that_was_used(path: Path, copy: Path) -> None:
    lost = damaged(path, copy)
    old = path.read_bytes()
    done = put_back(copy, path)
    assert (done.lost, done.stan) == (8, "000008")
    assert done.evidence == (path.with_name("journal.db.evidence-1"), path.with_name("journal.db.evidence-1.mark"))
    assert done.evidence[0].read_bytes() == old
    assert {each.stat().st_mode & 0o777 for each in path.parent.glob("journal*")} == {0o600}
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.audited == done.audited
        (told,) = journal.recent(1)
        assert (told.kind, told.state, told.stan, told.batch) == (Kind.RESTORE, State.APPROVED, "000008", "000001")
        assert told.notes == (
            "restored from a backup of 6 entries",
            "8 entries or more came after it",
            "what was there before: journal.db.evidence-1",
        )
        assert not {journal.next_stan(), *trade(journal, 3)} & {*lost, "000008"}
        assert journal.sealed_records()[0].request[2] == PAN


def test_what_is_lost_on_other_media_is_known_by_the_mark(tmp_path: Path, copy: Path) -> None:
    path, marked = tmp_path / "disk" / "journal.db", tmp_path / "media" / "mark"
    path.parent.mkdir()
    with contextlib.closing(open_journal(path, mark_path=marked)) as journal:
        trade(journal, 2)
        journal.backup(copy)
        trade(journal, 5)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    done = put_back(copy, path, mark_path=marked)
    assert (done.lost, done.stan) == (10, "000008")
    assert done.evidence == (path.with_name("journal.db.evidence-1.mark"),)
    with contextlib.closing(open_journal(path, mark_path=marked)) as journal:
        assert journal.next_stan() == "000009"


@pytest.mark.parametrize("mark", [None, b"x", bytes(8192)])
def test_without_a_mark_the_last_number_has_to_be_named(path: Path, copy: Path, mark: bytes | None) -> None:
    damaged(path, copy)
    file = path.with_name("journal.db.mark")
    file.unlink() if mark is None else file.write_bytes(mark)
    before = {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")}
    with pytest.raises(UsageError, match=r"the last STAN that was used has to be named"):
        put_back(copy, path)
    with pytest.raises(UsageError, match=r"cannot come before the backup's last one$"):
        put_back(copy, path, after_stan="000002")
    after = {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")}
    assert {name: after[name] for name in before} == before
    done = put_back(copy, path, after_stan="000007")
    assert (done.lost, done.stan) == (None, "000008")
    assert len(done.evidence) == (1 if mark is None else 2)
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.recent(1)[0].notes[1] == "it is not known how many entries came after it"


@pytest.mark.parametrize("text", ["", "7", "0000007", "00000x", "000000", "１２３４５６", "-00007"])
def test_a_number_that_is_none_is_refused(path: Path, copy: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"has six digits, 000001 to 999999$"):
        put_back(copy, path, after_stan=text)


def test_of_two_that_say_it_the_further_one_counts(path: Path, copy: Path) -> None:
    for number, (named, stan) in enumerate((("000005", "000008"), ("000020", "000021"))):
        folder = path.parent / str(number)
        folder.mkdir()
        damaged(folder / "journal.db", folder / "backup.db")
        assert put_back(folder / "backup.db", folder / "journal.db", after_stan=named).stan == stan
    assert not copy.exists()


def test_numbers_go_round(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
        journal.save(replace(new_record(journal), stan="999997"))
        journal.backup(copy)
        assert trade(journal, 4) == ["999998", "999999", "000003", "000004"]
    path.unlink()
    done = put_back(copy, path)
    assert done.stan == "000005"
    # Whoever names a number has to name one that comes after, the same way round.
    path.unlink()
    path.with_name("journal.db.mark").unlink()
    with pytest.raises(UsageError, match="cannot come before"):
        put_back(copy, path, after_stan="999996")
    assert put_back(copy, path, after_stan="999999").stan == "000003"
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.next_stan() == "000004"


def test_an_empty_journal_can_be_restored(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.backup(copy)
    path.unlink()
    assert put_back(copy, path).stan == "000001"
    path.unlink()
    path.with_name("journal.db.mark").unlink()
    assert put_back(copy, path, after_stan="999999").stan == "000001"
    with contextlib.closing(open_journal(path)) as journal:
        assert (journal.recent(1)[0].batch, journal.next_stan()) == ("000000", "000002")


def test_a_backup_from_before_a_restore_does_not_bring_numbers_back(path: Path, copy: Path) -> None:
    older = copy.with_name("older.db")
    used = set()
    with contextlib.closing(open_journal(path)) as journal:
        used |= {*trade(journal, 2)}
        journal.backup(older)
        used |= {*trade(journal, 3)}
        journal.backup(copy)
    path.unlink()
    put_back(older, path)
    with contextlib.closing(open_journal(path)) as journal:
        fresh = trade(journal, 9)
        assert not used & {*fresh}
        used |= {*fresh}
    path.unlink()
    # The mark knows the last number whichever way the journal came to it.
    put_back(copy, path)
    with contextlib.closing(open_journal(path)) as journal:
        assert not used & {*trade(journal, 9)}


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_mark_older_than_the_backup_does_not_count(path: Path, copy: Path, is_answered: bool) -> None:  # noqa: FBT001 - a case
    with contextlib.closing(open_journal(path)) as journal:
        record = new_record(journal)
        journal.save(record)
        if is_answered:
            journal.save(answered(record, State.APPROVED))
    old = path.parent / "old"
    old.mkdir()
    for ending in ("", ".mark"):
        shutil.copy(f"{path}{ending}", old)
    with contextlib.closing(open_journal(path)) as journal:
        # The last number of both may be the same, and still be older than what was used.
        journal.save(replace(answered(record, State.APPROVED), notes=("again",)))
        journal.backup(copy)
        trade(journal, 3)
    for ending in ("", ".mark"):
        shutil.copy(old / f"journal.db{ending}", path.parent)
    # The whole folder was put back: nothing here tells, and the journal is whole but older than the backup.
    open_journal(path).close()
    with pytest.raises(UsageError, match="missing, damaged or older than the backup"):
        put_back(copy, path)
    assert put_back(copy, path, after_stan="000004").stan == "000005"


def test_a_whole_journal_is_not_replaced(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 1)
        journal.backup(copy)
    for _ in range(2):
        with pytest.raises(UsageError, match="the journal is whole and not older than the backup"):
            put_back(copy, path)
        with contextlib.closing(open_journal(path)) as journal:
            trade(journal, 1)
    assert not list(path.parent.glob("*evidence*"))


def test_a_journal_in_use_is_not_replaced(path: Path, copy: Path) -> None:
    damaged(path, copy)
    lock = WriterLock.acquire(path)
    with pytest.raises(JournalFault, match=f"held by pid {os.getpid()}$"):
        put_back(copy, path)
    lock.release()
    put_back(copy, path)


BAD: Final[dict[str, Callable[[Path], object]]] = {
    "there is no journal here": lambda copy: copy.unlink(),
    "the file is empty or cut short": lambda copy: copy.write_bytes(b""),
    "the file is corrupt": lambda copy: copy.write_bytes(copy.read_bytes()[:8192]),
    "is damaged or missing": lambda copy: copy.write_bytes(copy.read_bytes().replace(b"00001234", b"00009999")),
    "has a write-ahead log beside it": lambda copy: copy.with_name("backup.db-wal").write_bytes(b"x"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_backup_changes_nothing(path: Path, copy: Path, reason: str) -> None:
    damaged(path, copy)
    BAD[reason](copy)
    before = {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")}
    with pytest.raises(JournalFault, match=rf"backup\.db: .*{reason}"):
        put_back(copy, path)
    assert {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")} == before


def test_a_backup_behind_a_file_is_none(path: Path, copy: Path) -> None:
    copy.write_bytes(b"")
    with pytest.raises(JournalFault, match=r": not a directory$"):
        put_back(copy / "backup.db", path)


def test_a_strangers_backup_changes_nothing(path: Path, copy: Path) -> None:
    damaged(path, copy)
    with pytest.raises(JournalFault, match="belongs to another terminal or merchant"):
        put_back(copy, path, identity=Identity("T0000002", "M00000000000001"))
    with pytest.raises(JournalFault, match="was written under another storage key"):
        put_back(copy, path, storage_key=KeyBytes(bytes(32)))


def test_evidence_is_kept_with_its_log_and_never_overwritten(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 1)
        journal.backup(copy)
        trade(journal, 2)
        kept = {ending: Path(f"{path}{ending}").read_bytes() for ending in ("", "-wal", ".mark")}
    for number in (1, 2):
        for ending, data in kept.items():
            Path(f"{path}{ending}").write_bytes(data[:-100] if ending == "-wal" else data)
        done = put_back(copy, path)
        assert [each.name for each in done.evidence] == [f"journal.db.evidence-{number}{end}" for end in kept]
        assert [len(each.read_bytes()) for each in done.evidence] == [
            len(data) - 100 * (end == "-wal") for end, data in kept.items()
        ]
    open_journal(path).close()


def test_a_file_system_without_second_names_keeps_evidence_too(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(path, copy)
    old = path.read_bytes()
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    assert [len(each.read_bytes()) for each in put_back(copy, path).evidence] == [len(old), 8192]


@pytest.mark.parametrize(("call", "number"), [("fsync", errno.EIO), ("open", errno.ENOSPC)])
def test_what_the_system_refuses_is_told_plainly(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    damaged(path, copy)
    lock = WriterLock.acquire(path)
    with monkeypatch.context() as patch:
        patch.setattr(WriterLock, "acquire", lambda _path: lock)
        patch.setattr(os, call, failing(number))
        with pytest.raises(JournalFault, match=rf"journal\.db: {os.strerror(number).lower()}$") as caught:
            put_back(copy, path)
    assert caught.value.__context__ is None
    put_back(copy, path)


def test_what_sqlite_refuses_is_told_plainly(path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged(path, copy)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "INSERT_ENTRY", "SELECT what no table has")
        with pytest.raises(JournalFault, match=r"journal\.db: SQLite error 1$") as caught:
            put_back(copy, path)
    assert caught.value.__context__ is None
    assert put_back(copy, path).lost == 8
