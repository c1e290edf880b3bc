"""A restore replaces nothing that is whole and has more, keeps evidence, and no number is used twice because of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import mark, schema
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import State
from pos_engine.journal.restore import MARGIN
from pos_engine.journal.sealing import Sealing
from pos_engine.values import Identity, KeyBytes
from pos_engine.wire.message import Message
from tests.support.backups import damaged, failing, put_back, trade
from tests.support.records import IDENTITY, PAN, STORAGE_KEY, answered, counting_entropy, new_record, open_journal

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER: Final = f"{IDENTITY.terminal}/{IDENTITY.merchant}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where backups go: other media."""
    (tmp_path / "media").mkdir()
    return tmp_path / "media" / "backup.db"


@pytest.fixture
def few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STAN_MAX", 9)


def test_a_restored_journal_goes_on_after_the_last_number_that_was_used(path: Path, copy: Path) -> None:
    lost = damaged(path, copy)
    old = path.read_bytes()
    # What SQLite leaves behind wherever it has read is no log with anything in it.
    copy.with_name("backup.db-wal").touch()
    done = put_back(copy, path)
    assert (done.lost, done.stan) == (8, "000008")
    assert done.evidence == (path.with_name("journal.db.evidence-1"), path.with_name("journal.db.evidence-1.mark"))
    assert done.evidence[0].read_bytes() == old
    assert {each.stat().st_mode & 0o777 for each in path.parent.glob("journal*")} == {0o600}
    marked = mark.read(path.with_name("journal.db.mark"))
    assert marked is not None
    assert mark.highest(marked, Sealing(STORAGE_KEY, OWNER, counting_entropy())) == done.audited.head
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.audited == done.audited
        (told,) = journal.recent(1)
        assert (told.kind, told.state, told.stan, told.batch) == (Kind.RESTORE, State.APPROVED, "000008", "000001")
        assert told.request == Message("", {})
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
    with pytest.raises(UsageError, match=r"the last STAN that is known .* has to be named: --after-stan$"):
        put_back(copy, path)
    with pytest.raises(UsageError, match=r"cannot come before the last one of what is restored, 000003$"):
        put_back(copy, path, after_stan="000002")
    after = {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")}
    assert {name: after[name] for name in before} == before
    done = put_back(copy, path, after_stan="000007")
    assert (done.lost, done.stan) == (None, "001008")
    assert len(done.evidence) == (1 if mark is None else 2)
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.recent(1)[0].notes[1] == "it is not known how many entries came after it"


@pytest.mark.parametrize("text", ["", "7", "0000007", "00000x", "000000", "１２３４５６", "-00007"])
def test_a_number_that_is_none_is_refused(path: Path, copy: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"has six digits, 000001 to 999999$"):
        put_back(copy, path, after_stan=text)


def test_of_two_that_say_it_the_further_one_counts(path: Path, copy: Path) -> None:
    for number, (named, stan) in enumerate((("000005", "000008"), ("000007", "000008"), ("000008", "001009"))):
        folder = path.parent / str(number)
        folder.mkdir()
        damaged(folder / "journal.db", folder / "backup.db")
        done = put_back(folder / "backup.db", folder / "journal.db", after_stan=named)
        assert (done.lost, done.stan) == (8, stan)
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
    assert put_back(copy, path, after_stan="999999").stan == "001001"
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.next_stan() == "001002"


@pytest.mark.usefixtures("few_numbers")
def test_what_is_more_than_half_a_round_ahead_lies_behind(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 3)
        journal.backup(copy)
    path.unlink()
    path.with_name("journal.db.mark").unlink()
    with pytest.raises(UsageError, match="cannot come before"):
        put_back(copy, path, after_stan="000008")
    assert put_back(copy, path, after_stan="000007").stan == "000009"


def test_a_number_at_the_end_of_the_round_comes_after_no_number(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.backup(copy)
        trade(journal, 2)
    path.unlink()
    assert put_back(copy, path, after_stan="999999").stan == "001001"


def test_an_empty_journal_can_be_restored(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.backup(copy)
    path.unlink()
    assert put_back(copy, path).stan == "000001"
    path.unlink()
    path.with_name("journal.db.mark").unlink()
    assert put_back(copy, path, after_stan="999999").stan == "001001"
    with contextlib.closing(open_journal(path)) as journal:
        assert (journal.recent(1)[0].batch, journal.next_stan()) == ("000000", "001002")


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
    assert put_back(copy, path, after_stan="000004").stan == "001005"


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


def test_numbers_that_no_receipt_shows_are_skipped_too(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 3)
        journal.backup(copy)
        (receipt,) = trade(journal, 1)
        unshown = []
        for state in (State.DECLINED, State.DOUBTFUL) * 3:
            record = new_record(journal)
            journal.save(record)
            journal.save(replace(record, state=state))
            unshown.append(record.stan)
    for ending in ("", ".mark"):
        Path(f"{path}{ending}").unlink()
    assert int(put_back(copy, path, after_stan=receipt).stan) == int(receipt) + MARGIN + 1
    with contextlib.closing(open_journal(path)) as journal:
        assert not {*unshown} & {*trade(journal, 10)}


Numbers = list[tuple[str, str]]
OVER: Final[Numbers] = [("000001", "000001"), ("000001", "000002"), ("000001", "000003"), ("000001", "000004")]
NEXT: Final[Numbers] = [("000002", "000006"), ("000002", "000007"), ("000002", "000008"), ("000002", "000009")]


@pytest.mark.parametrize(
    ("before", "after", "stan"),
    [(OVER, NEXT, "000001"), (NEXT[::2] + OVER, [], "000007")],
    ids=["a batch that is over", "a batch that comes back"],
)
@pytest.mark.usefixtures("few_numbers")
def test_only_numbers_of_the_batches_in_force_count_as_used(
    path: Path, copy: Path, before: Numbers, after: Numbers, stan: str
) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        for batch, number in before:
            journal.save(replace(new_record(journal, batch=batch, state=State.DECLINED), stan=number))
        sign_on = replace(new_record(journal, Kind.SIGN_ON), stan="000005")
        journal.save(sign_on)
        journal.save(replace(answered(sign_on, State.APPROVED), new_batch="000002"))
        for batch, number in after:
            journal.save(replace(new_record(journal, batch=batch, state=State.DECLINED), stan=number))
        journal.backup(copy)
    path.unlink()
    assert put_back(copy, path).stan == stan


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
        done = put_back(path, path)
        assert (done.lost, done.stan) == (1, "000004")
        assert [each.name for each in done.evidence] == [f"journal.db.evidence-{number}{end}" for end in kept]
        file, log, mark = (len(each.read_bytes()) for each in done.evidence)
        # What the log held is copied into the file, which may grow by it.
        assert file >= len(kept[""])
        assert (log, mark) == (len(kept["-wal"]) - 100, len(kept[".mark"]))
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
