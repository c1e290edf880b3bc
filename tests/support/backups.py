"""Journals that are traded with, backed up, damaged and put back, as tests of backups need them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal.record import State
from pos_engine.journal.restore import Restored, restore
from tests.support.records import (
    IDENTITY,
    KEYED,
    NOW,
    SPEC,
    STORAGE_KEY,
    answered,
    counting_entropy,
    new_record,
    open_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.journal.store import SqliteJournal
    from pos_engine.values import Identity, KeyBytes


def trade(journal: SqliteJournal, count: int) -> list[str]:
    """Make some sales; returns the numbers they used."""
    stans = []
    for _ in range(count):
        record = new_record(journal, card=KEYED)
        journal.save(record)
        journal.save(answered(record, State.APPROVED))
        stans.append(record.stan)
    return stans


def put_back(
    copy: Path | None,
    path: Path,
    *,
    after_stan: str | None = None,
    mark_path: Path | None = None,
    identity: Identity = IDENTITY,
    storage_key: KeyBytes = STORAGE_KEY,
) -> Restored:
    """Restore a backup, or the journal from itself, as a terminal would, with test keys."""
    return restore(
        copy,
        path,
        spec=SPEC,
        identity=identity,
        storage_key=storage_key,
        entropy=counting_entropy(),
        now=NOW,
        after_stan=after_stan,
        mark_path=mark_path,
    )


def damaged(path: Path, copy: Path, *, before: int = 3, after: int = 4) -> list[str]:
    """Trade, back up, trade on, and damage the journal; returns the numbers that were used after the backup."""
    with contextlib.closing(open_journal(path)) as journal:
        trade(journal, before)
        journal.backup(copy)
        stans = trade(journal, after)
    path.write_bytes(path.read_bytes().replace(b'"minor', b'"m1nor').replace(b"12.34", b"99.99") + b"x")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(JournalFault):
        open_journal(path)
    return stans


def failing(number: int) -> Callable[..., NoReturn]:
    """Make a system call that fails, with a text that must not be passed on."""

    def fail(*_anything: object, **_more: object) -> NoReturn:
        raise OSError(number, "a text that must not be passed on")

    return fail
