"""A backup is whole and private, is made while the journal is in use, and overwrites nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import JournalFault, UsageError
from tests.support.backups import failing, trade
from tests.support.journal_process import start
from tests.support.records import PAN, open_journal

if TYPE_CHECKING:
    from pathlib import Path


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
