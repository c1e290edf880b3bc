"""The writer's lock: one holder, named while it lives, gone when it dies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal.lock import WriterLock

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import pathlib, sys
from pos_engine.journal.lock import WriterLock
lock = WriterLock.acquire(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_process_holds_it_and_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(JournalFault, match=f"^{re.escape(str(journal))}: held by pid {holder.pid}$") as caught:
            WriterLock.acquire(journal)
        assert caught.value.__context__ is None
        # The kernel lets go for a process that cannot do it any more.
        holder.kill()
    WriterLock.acquire(journal).release()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    lock = WriterLock.acquire(tmp_path / "journal.db")
    with pytest.raises(JournalFault, match=rf"held by pid {os.getpid()}$"):
        WriterLock.acquire(tmp_path / "journal.db")
    lock.release()


def test_releasing_twice_does_no_harm_to_the_next_holder(tmp_path: Path) -> None:
    first = WriterLock.acquire(tmp_path / "journal.db")
    first.release()
    second = WriterLock.acquire(tmp_path / "journal.db")
    first.release()
    with pytest.raises(JournalFault):
        WriterLock.acquire(tmp_path / "journal.db")
    second.release()


@pytest.mark.parametrize("content", [b"", b"none of your business", b"\xff\xfe"])
def test_a_holder_that_did_not_say_its_number_is_unknown(tmp_path: Path, content: bytes) -> None:
    lock = WriterLock.acquire(tmp_path / "journal.db")
    (tmp_path / "journal.db.lock").write_bytes(content)
    with pytest.raises(JournalFault, match=r"held by pid unknown$"):
        WriterLock.acquire(tmp_path / "journal.db")
    lock.release()


def test_a_longer_number_of_an_earlier_holder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "journal.db.lock").write_text("9" * 20)
    lock = WriterLock.acquire(tmp_path / "journal.db")
    assert (tmp_path / "journal.db.lock").read_text() == str(os.getpid())
    lock.release()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_the_file_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        lock = WriterLock.acquire(tmp_path / "journal.db")
    finally:
        os.umask(before)
    assert (tmp_path / "journal.db.lock").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_a_missing_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(JournalFault, match=r"journal\.db\.lock: no such file or directory$") as caught:
        WriterLock.acquire(tmp_path / "missing" / "journal.db")
    assert caught.value.__context__ is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "journal.db.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(JournalFault):
        WriterLock.acquire(tmp_path / "journal.db")
    assert (tmp_path / "precious").read_text() == "precious"
