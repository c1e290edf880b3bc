"""A damaged journal is refused in one clear line, and its files stay as they are: they are evidence."""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal import mark, schema
from pos_engine.journal.mark import HighWaterMark
from pos_engine.journal.record import Record, State
from pos_engine.journal.sealing import GENESIS, Head, Sealing
from tests.support.records import (
    KEYED,
    PAN,
    STORAGE_KEY,
    TRACK,
    answered,
    counting_entropy,
    new_record,
    open_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORDS: Final = 12
STRIDE: Final = 97
"""Every so many bytes one is flipped; prime, so that every column of a page is met."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A journal as a power cut left it (`log` with commits in it), or as it was closed (no log)."""

    path: Path
    records: list[Record]

    @property
    def log(self) -> Path:
        return self.path.with_name("journal.db-wal")

    @property
    def mark(self) -> Path:
        return self.path.with_name("journal.db.mark")

    def content(self) -> list[bytes]:
        """Read all that is evidence; that SQLite leaves an empty log behind changes nothing."""
        return [each.read_bytes() if each.exists() else b"" for each in (self.path, self.log, self.mark)]

    def copy(self, folder: Path) -> Evidence:
        shutil.copytree(self.path.parent, folder, dirs_exist_ok=True)
        return Evidence(folder / "journal.db", self.records)


def written(folder: Path, *, close: bool) -> Evidence:
    """Write a journal with everything in it, and take its files as they are."""
    busy = folder / "busy"
    busy.mkdir()
    journal = open_journal(busy / "journal.db")
    for _ in range(RECORDS):
        record = new_record(journal, card=KEYED)
        journal.save(record)
        journal.save(answered(record, State.APPROVED))
        if record.number == RECORDS // 2:
            journal.shred([1, 2])
    records = list(journal.recent(99))
    if close:
        journal.close()
    left = folder / "left"
    left.mkdir()
    for ending in ("", "-wal", ".mark"):
        if (busy / f"journal.db{ending}").exists():
            shutil.copy(busy / f"journal.db{ending}", left)
    journal.close()
    return Evidence(left / "journal.db", records)


@pytest.fixture(scope="module")
def crashed_once(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return written(tmp_path_factory.mktemp("crashed"), close=False)


@pytest.fixture(scope="module")
def closed_once(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return written(tmp_path_factory.mktemp("closed"), close=True)


@pytest.fixture
def crashed(crashed_once: Evidence, tmp_path: Path) -> Evidence:
    return crashed_once.copy(tmp_path / "crashed")


@pytest.fixture
def closed(closed_once: Evidence, tmp_path: Path) -> Evidence:
    return closed_once.copy(tmp_path / "closed")


def refused(evidence: Evidence) -> str:
    """See both a writer and a reader refused, with nothing changed; returns the reason."""
    before = evidence.content()
    reasons = set()
    for read_only in (False, True):
        with pytest.raises(JournalFault) as caught:
            open_journal(evidence.path, read_only=read_only)
        assert (caught.value.__context__, caught.value.__cause__) == (None, None)
        reasons.add(str(caught.value))
    assert evidence.content() == before
    (reason,) = reasons
    assert "\n" not in reason
    assert not [secret for secret in (PAN, TRACK, "12.34", "T0000001") if secret in reason]
    return reason.removeprefix(str(evidence.path))


def edit(evidence: Evidence, *statements: str) -> None:
    """Change a journal with a program that knows nothing of its rules."""
    raw = sqlite3.connect(evidence.path, isolation_level=None)
    raw.execute("PRAGMA writable_schema = ON")
    for statement in statements:
        raw.execute(statement)
    raw.close()


def test_what_is_whole_opens(crashed: Evidence, closed: Evidence) -> None:
    assert crashed.log.stat().st_size > 0
    for evidence in (crashed, closed):
        before = evidence.content()
        reader = open_journal(evidence.path, read_only=True)
        assert list(reader.recent(99)) == evidence.records
        reader.close()
        assert evidence.content() == before
        writer = open_journal(evidence.path)
        assert list(writer.recent(99)) == evidence.records
        writer.save(new_record(writer))
        writer.close()


EDITS: Final = {
    "a changed body": ("UPDATE entries SET body = replace(body, 'APPROVED', 'DECLINED') WHERE seq = 6", "entry 6"),
    "a changed number": ("UPDATE entries SET number = 4 WHERE seq = 6", "entry 6 is damaged or missing"),
    "a changed digest": ("UPDATE entries SET digest = zeroblob(32) WHERE seq = 24", "entry 24 is damaged or missing"),
    "a digest of another type": ("UPDATE entries SET digest = 'text' WHERE seq = 24", "entry 24 is damaged"),
    "a body of another type": ("UPDATE entries SET body = x'00ff' WHERE seq = 24", "entry 24 is damaged"),
    "a body that is no text": ("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE seq = 24", "the file is corrupt"),
    "a claim about a seal": ("UPDATE entries SET sealed = 0 WHERE seq = 23", "entry 23 is damaged"),
    "an odd claim about a seal": ("UPDATE entries SET sealed = 7 WHERE seq = 23", "entry 23 is damaged"),
    "a number below zero": ("UPDATE entries SET number = -1 WHERE seq = 23", "entry 23 is damaged"),
    "a removed entry": ("DELETE FROM entries WHERE seq = 6", "entry 6 is damaged or missing"),
    "the last entry removed": ("DELETE FROM entries WHERE seq = 24", "ends with entry 23, but had 24"),
    "all entries removed": ("DELETE FROM entries", "ends with entry 0, but had 24"),
    "an entry added": (
        "INSERT INTO entries VALUES (25, 13, 0, '{}', zeroblob(32))",
        "entry 25 is damaged or missing",
    ),
    "two entries exchanged": (
        "UPDATE entries SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN 3 ELSE 4 END WHERE seq IN (3, 4)",
        "entry 1 is damaged or missing",
    ),
    "a changed column": ("UPDATE current SET state = 'DECLINED' WHERE number = 4", "its index disagrees"),
    "a record missing in the index": ("DELETE FROM current WHERE number = 4", "its index disagrees"),
    "a record too many in the index": (
        """INSERT INTO current SELECT 99, kind, state, 'x', batch, original, demanded_after, ends, key, day, wanted, seq
        FROM current LIMIT 1""",
        "its index disagrees",
    ),
    "an older form in the index": ("UPDATE current SET seq = seq - 1 WHERE number = 4", "its index disagrees"),
    "a seal lost": ("DELETE FROM seals WHERE number = 5", "sealed card data of record 5 is damaged or missing"),
    "a seal changed": ("UPDATE seals SET box = zeroblob(80) WHERE number = 5", "sealed card data of record 5"),
    "a seal too short": ("UPDATE seals SET wrapped = x'00' WHERE number = 5", "sealed card data of record 5"),
    "a seal of another type": ("UPDATE seals SET box = 'text' WHERE number = 5", "sealed card data of record 5"),
    "seals exchanged": (
        "UPDATE seals SET number = CASE number WHEN 5 THEN -6 WHEN 6 THEN 5 ELSE number END WHERE number IN (5, 6)",
        "sealed card data of record -6",
    ),
    "a receipt lost": ("DELETE FROM receipts WHERE number = 1", "sealed card data of record 1 is damaged or missing"),
    "a receipt forged": ("UPDATE receipts SET receipt = zeroblob(32) WHERE number = 1", "card data of record 1"),
    "another owner": ("UPDATE about SET value = 'x' WHERE name = 'owner'", "belongs to another terminal or merchant"),
    "no owner": ("DELETE FROM about", "belongs to another terminal or merchant"),
    "another key": ("UPDATE about SET value = 'x' WHERE name = 'check'", "was written under another storage key"),
    "a newer layout": ("PRAGMA user_version = 5", "has layout 5, this program reads layout 4"),
    "an older layout": ("PRAGMA user_version = 1", "has layout 1, this program reads layout 4"),
    "no layout": ("PRAGMA user_version = 0", "has layout 0, this program reads layout 4"),
    "another journal mode": ("PRAGMA journal_mode = DELETE", "is not in the mode it was made in"),
    "an index lost": ("DROP INDEX by_kind", "has other tables than a journal"),
    "a guard turned off": (
        "UPDATE sqlite_master SET sql = replace(sql, 'reversal', 'reversam') WHERE name = 'one_request_a_stan'",
        "has other tables than a journal",
    ),
    "a trigger added": (
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM seals; END",
        "has other tables than a journal",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_was_edited_is_refused(closed: Evidence, name: str) -> None:
    statement, reason = EDITS[name]
    edit(closed, statement)
    assert reason in refused(closed)


FILES: Final[dict[str, tuple[Callable[[Evidence], object], str]]] = {
    "empty": (lambda e: e.path.write_bytes(b""), "the file is empty or cut short"),
    "shorter than a page": (lambda e: e.path.write_bytes(bytes(511)), "the file is empty or cut short"),
    "a page of nothing": (lambda e: e.path.write_bytes(bytes(512)), "the file is not a journal"),
    "no database": (lambda e: e.path.write_bytes(b"Dear Sir or Madam,\n" * 999), "the file is not a journal"),
    "cut": (lambda e: e.path.write_bytes(e.path.read_bytes()[:-1]), "the file is cut short"),
    "mark lost": (lambda e: e.mark.unlink(), "its high-water mark is missing"),
    "mark damaged": (lambda e: e.mark.write_bytes(bytes(8192)), "its high-water mark is damaged"),
    "mark cut": (lambda e: e.mark.write_bytes(e.mark.read_bytes()[:-1]), "its high-water mark is damaged"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_something_else_is_refused(closed: Evidence, name: str) -> None:
    damage, reason = FILES[name]
    damage(closed)
    assert reason in refused(closed)


def test_another_database_is_refused(closed: Evidence) -> None:
    closed.path.unlink()
    edit(closed, "CREATE TABLE t (x)")
    assert "has layout 0" in refused(closed)


def test_a_folder_is_refused(closed: Evidence) -> None:
    closed.path.unlink()
    closed.path.mkdir()
    with pytest.raises(JournalFault, match="is not a file"):
        open_journal(closed.path)


def test_a_lost_log_is_missed(crashed: Evidence) -> None:
    crashed.log.unlink()
    assert "ends with entry 12, but had 24: it was cut or is an older copy" in refused(crashed)


def test_a_lost_file_is_missed(crashed: Evidence, closed: Evidence) -> None:
    for evidence, reason in ((crashed, "its write-ahead log is not"), (closed, "had 24 entries")):
        evidence.path.unlink()
        before = evidence.content()
        with pytest.raises(JournalFault, match=f"the journal is missing.*{reason}"):
            open_journal(evidence.path)
        assert evidence.content() == before


def test_whatever_says_that_something_was_lost_is_believed(tmp_path: Path) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    # SQLite leaves an empty log behind wherever it has read: it holds nothing.
    log.touch()
    journal = open_journal(path)
    journal.save(new_record(journal))
    journal.close()
    path.unlink()
    for read_only in (False, True):
        with pytest.raises(
            JournalFault, match="the journal is missing; its high-water mark says that it had 1 entries"
        ):
            open_journal(path, read_only=read_only)
    log.write_bytes(b"?")
    with pytest.raises(JournalFault, match="the journal is missing, its write-ahead log is not"):
        open_journal(path)


def test_the_index_of_a_single_record_counts_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    record = new_record(journal)
    journal.save(record)
    journal.close()
    edit(Evidence(path, [record]), "UPDATE current SET state = 'DECLINED'")
    assert "its index disagrees" in refused(Evidence(path, [record]))


def test_an_older_copy_is_known_by_a_mark_on_other_media(tmp_path: Path) -> None:
    folder, other_media = tmp_path / "disk", tmp_path / "other.mark"
    folder.mkdir()
    path = folder / "journal.db"
    journal = open_journal(path, mark_path=other_media)
    journal.save(new_record(journal))
    journal.close()
    shutil.copytree(folder, tmp_path / "backup")
    journal = open_journal(path, mark_path=other_media)
    journal.save(new_record(journal))
    journal.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    with pytest.raises(JournalFault, match="ends with entry 1, but had 2: it was cut or is an older copy"):
        open_journal(path, mark_path=other_media)


def test_a_creation_that_was_cut_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    open_journal(path).close()
    # The mark was there before the journal; what is left of a build has the other name.
    path.rename(tmp_path / "journal.db.new")
    (tmp_path / "journal.db.new-wal").write_bytes(b"half a page")
    (tmp_path / "journal.db.mark.new").write_bytes(b"half a mark")
    journal = open_journal(path)
    journal.save(new_record(journal))
    journal.close()
    assert not list(tmp_path.glob("*.new-*"))


def test_every_cut_is_refused_or_loses_nothing(closed: Evidence, crashed: Evidence) -> None:
    for evidence, place in ((closed, closed.path), (crashed, crashed.path), (crashed, crashed.log)):
        whole = place.read_bytes()
        for size in (0, 1, 2, 511, 512, *range(1024, len(whole), 2047), len(whole) - 1):
            place.write_bytes(whole[:size])
            # The end of the file may stand in the log as well: then the cut loses nothing.
            assert is_refused(evidence) or place == crashed.path, size
        place.write_bytes(whole)


def test_every_flipped_byte_is_refused_or_changes_nothing(closed: Evidence, crashed: Evidence) -> None:
    caught = {
        name: sum(flip(evidence, place))
        for name, evidence, place in (
            ("file", closed, closed.path),
            ("log", crashed, crashed.log),
            ("mark", closed, closed.mark),
        )
    }
    # The rest of the flips met free space, old copies of pages, or one of the mark's two slots.
    assert caught["file"] > 0
    assert caught["log"] > 0
    assert caught["mark"] == 0


def flip(evidence: Evidence, place: Path) -> list[bool]:
    whole = place.read_bytes()
    outcomes = []
    for offset in range(0, len(whole), STRIDE):
        changed = bytearray(whole)
        changed[offset] ^= 0xFF
        place.write_bytes(changed)
        outcomes.append(is_refused(evidence))
    place.write_bytes(whole)
    return outcomes


def is_refused(evidence: Evidence) -> bool:
    """Whether a journal is refused with nothing changed; one that is not must read back exactly as it was."""
    before = evidence.content()
    refusal: JournalFault | None = None
    try:
        reader = open_journal(evidence.path, read_only=True)
    except JournalFault as fault:
        refusal = fault
    else:
        assert list(reader.recent(99)) == evidence.records
        reader.close()
    assert evidence.content() == before
    assert refusal is None or refusal.__context__ is None
    return refusal is not None


@pytest.mark.parametrize("size", [1, 8, 16, 100])
def test_the_start_of_the_file_is_needed(closed: Evidence, size: int) -> None:
    closed.path.write_bytes(bytes(size) + closed.path.read_bytes()[size:])
    refused(closed)


def test_one_torn_slot_of_the_mark_leaves_the_other(tmp_path: Path) -> None:
    path, sealing = tmp_path / "mark", Sealing(STORAGE_KEY, "owner", counting_entropy())
    mark.create(path, sealing, Head(0, GENESIS))
    opened = HighWaterMark.open(path, sealing)
    for entries in (1, 2):
        opened.move(Head(entries, bytes([entries]) * 32))
    opened.close()
    opened.close()
    data = path.read_bytes()
    assert mark.highest(data, sealing) == Head(2, bytes([2]) * 32)
    torn = b"\0" * mark.SLOT_OFFSETS[1] + data[mark.SLOT_OFFSETS[1] :]
    assert mark.highest(torn, sealing) == Head(1, bytes([1]) * 32)
    with pytest.raises(JournalFault, match="damaged"):
        mark.highest(data, Sealing(STORAGE_KEY, "another owner", counting_entropy()))
    with pytest.raises(JournalFault, match="is closed"):
        opened.move(Head(3, GENESIS))


def test_a_mark_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    path, sealing = tmp_path / "mark", Sealing(STORAGE_KEY, "owner", counting_entropy())
    (tmp_path / "mark.new").write_bytes(b"half a mark")
    mark.create(path, sealing, Head(7, bytes(32), 8))
    data = path.read_bytes()
    assert (len(data), mark.highest(data, sealing)) == (mark.FILE_BYTES, Head(7, bytes(32), 8))
    assert data[mark.SLOT_OFFSETS[1] :] == bytes(mark.FILE_BYTES - mark.SLOT_OFFSETS[1])
    assert [each.name for each in tmp_path.iterdir()] == ["mark"]


def test_marks_say_what_the_system_says(tmp_path: Path) -> None:
    sealing = Sealing(STORAGE_KEY, "owner", counting_entropy())
    nowhere = tmp_path / "missing" / "mark"
    for act in (lambda: mark.create(nowhere, sealing, Head(0, GENESIS)), lambda: HighWaterMark.open(nowhere, sealing)):
        with pytest.raises(JournalFault, match=r"mark: no such file or directory$") as caught:
            act()
        assert caught.value.__context__ is None
    with pytest.raises(JournalFault, match=rf"^{re.escape(str(tmp_path))}: is a directory$"):
        mark.read(tmp_path)
    assert mark.read(nowhere) is None


def test_other_errors_of_the_database_are_told_by_their_number() -> None:
    error = sqlite3.OperationalError("a text that must not be passed on")
    assert schema.explain(error) == "the file is corrupt"
    error.sqlite_errorcode = sqlite3.SQLITE_NOMEM
    assert schema.explain(error) == "SQLite error 7"
