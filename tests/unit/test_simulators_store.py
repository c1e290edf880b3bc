from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import JournalFault
from simulators.ledger import Key, Ledger, What, card_account
from simulators.store import LedgerFile
from tests.support.host_client import TID, Bench, HostClient

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.wire.message import Message


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def played(ledger: Ledger) -> tuple[Bench, HostClient, Message]:
    bench = Bench(ledger=ledger)
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(sale) == "00"
    client.ask(client.sale(1_000, pin="111111"))
    client.ask(client.reversal(client.sale(5)))
    return bench, client, sale


def test_a_host_that_restarts_knows_what_it_knew(path: Path) -> None:
    with LedgerFile(path) as file:
        _, _, sale = played(file.ledger)
        before = file.ledger.snapshot()
    with LedgerFile(path) as file:
        assert file.ledger.snapshot() == before
        bench = Bench(ledger=file.ledger)
        client = bench.signed_on()
        assert client.ask(client.sale(1_000, stan=sale[11])) == "94"
        assert client.ask(client.reversal(sale)) == "00"
        assert bench.charged() == 0
        story = file.ledger.story(TID, "000001", sale[11])
        assert [line.what for line in story.messages] == [What.APPROVED, What.DECLINED, What.REVERSED]


def test_what_is_answered_is_in_the_file_also_of_a_host_that_is_killed(path: Path) -> None:
    file = LedgerFile(path)
    bench, client, sale = played(file.ledger)
    # The copy is what a killed host leaves: nothing was closed, nothing checkpointed.
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", path.with_name(f"copy.db{ending}"))
    with LedgerFile(path.with_name("copy.db")) as copy:
        assert copy.ledger.changes == file.ledger.changes
    assert client.ask(client.reversal(sale)) == "00"
    assert bench.charged() == 0
    file.close()


def test_going_back_to_a_moment_takes_the_file_along(path: Path) -> None:
    with LedgerFile(path) as file:
        _, client, sale = played(file.ledger)
        moment = file.ledger.snapshot()
        assert client.ask(client.reversal(sale)) == "00"
        file.ledger.restore(moment)
        assert client.ask(client.sale(2_000)) == "00"
        after = file.ledger.changes
    with LedgerFile(path) as file:
        assert file.ledger.changes == after
        assert file.ledger.effects_of(*Key(TID, "000001", sale[11])) == 1_000


def test_a_host_that_forgets_begins_with_empty_books_at_each_start(path: Path) -> None:
    for _ in range(2):
        with LedgerFile(path, forgets=True) as file:
            assert file.ledger.changes == ()
            played(file.ledger)
    with LedgerFile(path) as file:
        assert file.ledger.balance(card_account("everyday")) == 10_000_000 - 1_000


def test_the_file_is_its_owners_alone_and_one_process_uses_it(path: Path) -> None:
    with LedgerFile(path) as file:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(JournalFault, match=r"books\.db: the file is used by another program") as caught:
            LedgerFile(path)
        assert caught.value.__context__ is None
        played(file.ledger)


def test_what_is_no_ledger_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    foreign, text, pipe = tmp_path / "foreign.db", tmp_path / "text.db", tmp_path / "pipe"
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE changes (seq INTEGER PRIMARY KEY, line TEXT NOT NULL)")
    database.commit()
    database.close()
    text.write_bytes(b"a page of text\n" * 500)
    os.mkfifo(pipe)
    before = foreign.read_bytes()
    for path, why in (
        (foreign, "is not a ledger"),
        (text, "is not a ledger"),
        (pipe, "invalid argument"),
        (tmp_path, "is a directory"),
        (tmp_path / "no" / "books.db", "no such file or directory"),
    ):
        with pytest.raises(JournalFault, match=why):
            LedgerFile(path)
    assert (foreign.read_bytes(), text.read_bytes()) == (before, b"a page of text\n" * 500)


def spoil(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE changes SET line = 'nothing' WHERE seq = 3", "is not a change of a ledger"),
        ("UPDATE changes SET line = CAST(x'FF' AS TEXT) WHERE seq = 3", "the file is corrupt"),
        ("UPDATE changes SET line = x'FFFE' WHERE seq = 3", "is not a change of a ledger"),
        ("INSERT INTO changes (line) SELECT line FROM changes", "is filed already"),
        ("DROP TABLE changes", ""),
    ],
)
def test_a_damaged_file_opens_no_books(path: Path, statement: str, why: str) -> None:
    with LedgerFile(path) as file:
        played(file.ledger)
    spoil(path, statement)
    if not why:
        LedgerFile(path).close()
        return
    with pytest.raises(JournalFault, match=why):
        LedgerFile(path)
    # It was let go of, so that somebody can look into it.
    sqlite3.connect(path).close()


def test_books_that_cannot_be_kept_are_told(path: Path) -> None:
    file = LedgerFile(path)
    bench = Bench(ledger=file.ledger)
    client = bench.signed_on()
    file.close()
    with pytest.raises(JournalFault, match="the file is closed"):
        client.ask(client.sale(1_000))


def test_a_full_disk_is_told_and_what_came_before_is_kept(path: Path) -> None:
    file = LedgerFile(path)
    client = Bench(ledger=file.ledger).signed_on()
    # SQLite's own limit stands for the disk's.
    file._database.execute("PRAGMA max_page_count = 3")  # noqa: SLF001 - there is no other way to it
    full, answered = None, 0
    for _ in range(1_000):
        try:
            client.ask(client.sale(1))
        except JournalFault as error:
            full = error
            break
        answered += 1
    assert full is not None
    assert "the disk is full" in str(full)
    with pytest.raises(JournalFault, match="the disk is full"):
        file.close()
    with LedgerFile(path) as again:
        assert len(again.ledger.transactions) == answered > 0


def test_what_could_not_be_kept_is_kept_once_there_is_room(path: Path) -> None:
    with LedgerFile(path) as file:
        client = Bench(ledger=file.ledger).signed_on()
        file._database.execute("PRAGMA max_page_count = 2")  # noqa: SLF001 - as above
        with pytest.raises(JournalFault, match="the disk is full"):  # noqa: PT012 - one of them fills it
            for _ in range(1_000):
                client.ask(client.sale(1))
        file._database.execute("PRAGMA max_page_count = 1000000")  # noqa: SLF001 - as above
        client.ask(client.sale(1))
        kept = file.ledger.changes
    with LedgerFile(path) as again:
        assert again.ledger.changes == kept
