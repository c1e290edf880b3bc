"""A restore is killed before each of its steps: the journal is refused as it was, or restored, and can be finished."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from tests.support.backups import damaged, put_back, trade
from tests.support.records import open_journal


def killed_at(step: int, copy: Path | None, path: Path, named: str | None = None) -> bool:
    """Restore in a process that dies at one step; returns whether it got to its end before."""
    child = os.fork()
    if child == 0:
        try:
            dying(step)
            put_back(copy, path, after_stan=named)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in {0, 9}
    return status == 0


def dying(step: int) -> None:
    """Count every call that may change a file, and die before one of them."""
    left = step

    def deadly(original: Any) -> Any:  # noqa: ANN401 - whatever the original is
        def call(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as the original
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return original(*arguments, **more)

        return call

    class Connection(sqlite3.Connection):
        execute = deadly(sqlite3.Connection.execute)

    for name in ("open", "fsync", "link", "pwrite", "ftruncate"):
        setattr(os, name, deadly(getattr(os, name)))
    for name in ("replace", "unlink"):
        setattr(Path, name, deadly(getattr(Path, name)))
    connect = sqlite3.connect
    sqlite3.connect = lambda address, **more: connect(address, factory=Connection, **more)  # type: ignore[assignment] # a child of its own


@pytest.mark.parametrize("named", [None, "000003"])
def test_a_restore_killed_at_any_step_is_refused_or_done_and_can_be_finished(tmp_path: Path, named: str | None) -> None:
    start_from = tmp_path / "start"
    start_from.mkdir()
    lost = damaged(start_from / "journal.db", start_from / "backup.db", before=1, after=2)
    if named is not None:
        (start_from / "journal.db.mark").unlink()
    step, ended, refused = 0, False, 0
    while not ended:
        folder = tmp_path / str(step)
        shutil.copytree(start_from, folder)
        path, copy = folder / "journal.db", folder / "backup.db"
        ended = killed_at(step, copy, path, named)
        try:
            open_journal(path).close()
        except JournalFault:
            refused += 1
            put_back(copy, path, after_stan=named)
        with contextlib.closing(open_journal(path)) as journal:
            assert journal.recent(1)[0].kind is Kind.RESTORE
            assert not {*trade(journal, 2)} & {*lost}
        evidence = [each.read_bytes() for each in folder.glob("journal.db.evidence-?")]
        assert (start_from / "journal.db").read_bytes() in evidence
        assert not [each for each in folder.iterdir() if re.search(r"restored|new$", each.name)]
        shutil.rmtree(folder)
        step += 1
    assert refused > 20
    assert step > refused


@pytest.mark.parametrize("mark", ["lost", "ahead"])
def test_a_journal_restored_from_itself_and_killed_at_any_step_loses_nothing(tmp_path: Path, mark: str) -> None:
    start_from = tmp_path / "start"
    start_from.mkdir()
    with contextlib.closing(open_journal(start_from / "journal.db")) as journal:
        stans = trade(journal, 2)
        kept = {ending: (start_from / f"journal.db{ending}").read_bytes() for ending in ("", "-wal")}
        unseen = {*trade(journal, mark == "ahead")}
    for ending, data in kept.items():
        (start_from / f"journal.db{ending}").write_bytes(data)
    if mark == "lost":
        (start_from / "journal.db.mark").unlink()
    step, ended, refused = 0, False, 0
    while not ended:
        folder = tmp_path / str(step)
        shutil.copytree(start_from, folder)
        path = folder / "journal.db"
        source = path if mark == "ahead" else None
        ended = killed_at(step, source, path)
        try:
            open_journal(path).close()
        except JournalFault:
            refused += 1
            finish(source, path)
        with contextlib.closing(open_journal(path)) as journal:
            assert {*stans} <= {each.stan for each in journal.recent(9) if each.kind is Kind.SALE}
            assert journal.recent(1)[0].kind is Kind.RESTORE
            assert not {*trade(journal, 2)} & {*stans, *unseen}
        # What the log held is in the evidence too, and by then in the file beside it.
        assert kept["-wal"] in [each.read_bytes() for each in folder.glob("journal.db.evidence-?-wal")]
        shutil.rmtree(folder)
        step += 1
    assert refused > 20
    assert step > refused


def finish(source: Path | None, path: Path) -> None:
    """Run the same restore again; once its record is in place, the mark of before no longer tells the last number."""
    try:
        put_back(source, path)
    except UsageError:
        put_back(source, path, after_stan="000900")
