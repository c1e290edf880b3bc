"""A journal that is whole may owe something: no backup replaces it that has less, and without its mark it is kept."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import schema
from pos_engine.journal.record import State
from pos_engine.journal.restore import MARGIN
from tests.support.backups import put_back, trade
from tests.support.records import KEYED, PAN, new_record, open_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where backups go: other media."""
    (tmp_path / "media").mkdir()
    return tmp_path / "media" / "backup.db"


def in_doubt(path: Path, mark_path: Path | None = None) -> str:
    """Leave a duty on a journal: a sale in doubt, whose number no receipt shows."""
    with contextlib.closing(open_journal(path, mark_path=mark_path)) as journal:
        record = new_record(journal, card=KEYED)
        journal.save(record)
        journal.save(replace(record, state=State.DOUBTFUL))
    return record.stan


def owed(path: Path) -> list[str]:
    with contextlib.closing(open_journal(path)) as journal:
        return [each.stan for each in journal.open_records([Kind.SALE])]


def files(path: Path) -> dict[str, str]:
    """What must be left alone, in short; SQLite leaves an empty log and its index behind wherever it has read."""
    found = {each.name: each.read_bytes() for each in path.parent.glob("journal.db*")}
    return {name: digest(data) for name, data in found.items() if data and not name.endswith(("-shm", ".lock"))}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_a_whole_journal_of_another_branch_is_not_replaced(path: Path, copy: Path) -> None:
    early = copy.with_name("early.db")
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
        journal.backup(early)
        trade(journal, 6)
        journal.backup(copy)
    path.write_bytes(path.read_bytes()[:4096])
    put_back(early, path)
    # Nothing was traded since: the wrong backup may still give way to the right one.
    with pytest.raises(UsageError, match="older than the backup: the last STAN"):
        put_back(copy, path)
    stan = in_doubt(path)
    before = files(path)
    for named in (None, stan):
        with pytest.raises(UsageError, match=r"has what the backup has not, so nothing is restored: use it as it is$"):
            put_back(copy, path, after_stan=named)
        assert files(path) == before
    assert owed(path) == [stan]


def test_a_restore_of_the_wrong_backup_gives_way_to_the_right_one(path: Path, copy: Path) -> None:
    early = copy.with_name("early.db")
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
        journal.backup(early)
        trade(journal, 6)
        journal.backup(copy)
    path.unlink()
    assert put_back(early, path).stan == "000009"
    done = put_back(copy, path, after_stan="000009")
    assert (done.audited.records, done.stan) == (9, "001010")


@pytest.mark.parametrize("mark", [None, b"x", bytes(8192)])
def test_a_whole_journal_without_a_mark_is_not_replaced_and_can_be_kept(
    path: Path, copy: Path, mark: bytes | None
) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
        journal.backup(copy)
        trade(journal, 2)
    stan = in_doubt(path)
    file = path.with_name("journal.db.mark")
    file.unlink() if mark is None else file.write_bytes(mark)
    before = files(path)
    with pytest.raises(UsageError, match=r"only its high-water mark is missing or damaged, .* by --in-place$"):
        put_back(copy, path, after_stan=stan)
    assert files(path) == before
    done = put_back(None, path)
    assert (done.lost, int(done.stan)) == (None, int(stan) + MARGIN + 1)
    kept = {each.name.replace(".evidence-1", ""): digest(each.read_bytes()) for each in done.evidence}
    assert kept == {name: before[name] for name in ("journal.db", "journal.db.mark") if name in before}
    assert owed(path) == [stan]
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.recent(1)[0].notes == (
            "restored from itself, without its high-water mark, with what it has of 10 entries",
            "it is not known how many entries came after it",
            "what was there before: journal.db.evidence-1",
        )
        assert journal.sealed_records()[-1].request[2] == PAN


def test_what_a_log_holds_is_kept_in_place(path: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
        record = new_record(journal, card=KEYED)
        journal.save(record)
        kept = {ending: Path(f"{path}{ending}").read_bytes() for ending in ("", "-wal")}
    # As a killed process leaves it: what was traded is in the log alone.
    for ending, data in kept.items():
        Path(f"{path}{ending}").write_bytes(data)
    path.with_name("journal.db.mark").unlink()
    done = put_back(None, path, after_stan="000100")
    assert (done.audited.records, done.stan) == (4, "001101")
    assert [each.name for each in done.evidence] == ["journal.db.evidence-1", "journal.db.evidence-1-wal"]
    assert digest(done.evidence[1].read_bytes()) == digest(kept["-wal"])
    assert owed(path) == [record.stan]


def test_a_journal_that_is_being_read_is_not_restored_in_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.01)
    with contextlib.closing(open_journal(path)) as journal, contextlib.closing(sqlite3.connect(path)) as reader:
        trade(journal, 1)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchone()
        stans = trade(journal, 1)
        journal.close()
        path.with_name("journal.db.mark").unlink()
        with pytest.raises(JournalFault, match=r"journal\.db: another program is reading it; try again$"):
            put_back(None, path)
    assert put_back(None, path).stan == "001003"
    assert owed(path) == []
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.recent(2)[1].stan == stans[0]


def test_a_mark_that_can_be_read_is_never_made_anew(path: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 2)
    older = path.read_bytes()
    with pytest.raises(UsageError, match=r"its high-water mark fits it, so nothing is restored$"):
        put_back(None, path)
    in_doubt(path)
    path.write_bytes(older)
    before = files(path)
    with pytest.raises(JournalFault, match=r"ends with entry 4, but its high-water mark had 6: it was cut"):
        put_back(None, path, after_stan="000009")
    assert files(path) == before
    path.write_bytes(older[:-4096])
    with pytest.raises(JournalFault, match=r"journal\.db: the file is c"):
        put_back(None, path)
    path.unlink()
    with pytest.raises(JournalFault, match=r"journal\.db: there is no journal here$"):
        put_back(None, path)


def test_a_journal_whose_end_is_missing_is_restored_from_its_own_file(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, 1)
        journal.backup(copy)
    stan = in_doubt(path)
    older = path.read_bytes()
    with contextlib.closing(open_journal(path)) as journal:
        (last,) = trade(journal, 1)
    path.write_bytes(older)
    with pytest.raises(UsageError, match=r"its end is missing, and it can be restored from its own file$"):
        put_back(copy, path)
    done = put_back(path, path)
    assert (done.lost, int(done.stan)) == (2, int(last) + 1)
    assert owed(path) == [stan]
    with pytest.raises(UsageError, match="the journal is whole and not older than the backup"):
        put_back(path, path)


def test_an_empty_journal_is_restored_in_place(path: Path, copy: Path) -> None:
    with contextlib.closing(open_journal(path)) as journal:
        journal.backup(copy)
    path.with_name("journal.db.mark").unlink()
    assert put_back(None, path).stan == "001001"
    path.with_name("journal.db.mark").unlink()
    # What a restore wrote is nothing that was traded, so the backup has all that this journal has.
    assert put_back(copy, path, after_stan="001001").stan == "002002"
