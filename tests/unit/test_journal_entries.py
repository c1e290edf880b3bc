"""The journal for other programs: every form that was chained, in order, without card data; and what was audited."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal.record import State
from pos_engine.journal.store import was_begun
from tests.support.records import KEYED, NOW, PAN, answered, new_record, open_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.journal.store import SqliteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    with closing(open_journal(path)) as opened:
        first = new_record(opened, card=KEYED)
        opened.save(first)
        later = replace(NOW, wall=NOW.wall + timedelta(days=1))
        second = replace(new_record(opened, card=KEYED), opened=later, changed=later)
        opened.save(second)
        opened.save(answered(first, State.APPROVED))
        yield opened


def forms(journal: SqliteJournal, since: str = "", *, history: bool = False) -> list[tuple[int, int, str]]:
    entries = journal.entries(since=since, history=history)
    return [(each.place, each.record.number, each.record.state.name) for each in entries]


def test_present_forms_come_in_the_order_they_were_written(journal: SqliteJournal) -> None:
    assert forms(journal) == [(2, 2, "PENDING"), (3, 1, "APPROVED")]
    # Whoever asks for nothing else gets these.
    assert [each.place for each in journal.entries()] == [2, 3]


def test_history_has_every_form(journal: SqliteJournal) -> None:
    assert forms(journal, history=True) == [(1, 1, "PENDING"), (2, 2, "PENDING"), (3, 1, "APPROVED")]


@pytest.mark.parametrize("history", [False, True])
def test_a_day_leaves_out_what_was_begun_before_it(journal: SqliteJournal, history: bool) -> None:  # noqa: FBT001 - a case
    assert forms(journal, "2026-01-02", history=history) == forms(journal, history=history)
    assert forms(journal, "2026-01-03", history=history) == [(2, 2, "PENDING")]
    assert forms(journal, "2026-01-04", history=history) == []


def test_card_data_stays_sealed(journal: SqliteJournal) -> None:
    assert [record.request.get(2) for record in journal.sealed_records()] == [PAN, PAN]
    assert [entry.record.request.get(2) for entry in journal.entries(history=True)] == [None] * 3


def test_what_was_audited_is_told(journal: SqliteJournal, path: Path) -> None:
    assert journal.audited.records == 0
    journal.shred([2])
    with closing(open_journal(path, read_only=True)) as again:
        audited = again.audited
    assert (audited.head.entries, audited.records, audited.sealed, audited.erased) == (3, 2, 1, 1)


def test_what_was_once_begun_leaves_a_trace(journal: SqliteJournal, path: Path) -> None:
    journal.close()
    path.unlink()
    assert was_begun(path)
    with pytest.raises(JournalFault, match="the journal is missing; its high-water mark says that it had 3 entries"):
        open_journal(path, read_only=True)
    assert not was_begun(path.with_name("other.db"))


@pytest.mark.parametrize("ending", ["", "-wal", ".mark"])
def test_every_file_of_a_journal_alone_says_that_there_was_one(path: Path, ending: str) -> None:
    assert not was_begun(path)
    path.with_name(f"journal.db{ending}").touch()
    assert was_begun(path)


def test_a_mark_elsewhere_says_it_too(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    assert not was_begun(path, elsewhere)
    elsewhere.touch()
    assert was_begun(path, elsewhere)
