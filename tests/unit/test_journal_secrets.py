"""What must never rest on disk does not, in no form a program could write; what was sealed can be destroyed."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.journal import schema
from pos_engine.journal.record import State
from pos_engine.wire.message import Message
from tests.support.records import (
    EXPIRY,
    KEYED,
    PAN,
    PIN_BLOCK,
    TRACK,
    answered,
    counting_entropy,
    new_record,
    open_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRETS: Final = {
    "card number": PAN,
    "track 2": TRACK,
    "discretionary data": TRACK[-12:],
    "PIN block": PIN_BLOCK.hex().upper(),
    "expiry": EXPIRY,
}
SHORTEST: Final = 4
"""Bytes; what is shorter stands by chance in any file of random bytes. A packed expiry is looked for in its track."""


def forms(digits: str) -> dict[str, bytes]:
    """Every form in which digits, or hexadecimal, might be written."""
    raw = {
        "ascii": digits.encode(),
        "lower case": digits.lower().encode(),
        "separated": digits.replace("D", "=").encode(),
        "wide": digits.encode("utf-16-le"),
        "reversed": digits[::-1].encode(),
        "grouped": " ".join(digits[start : start + 4] for start in range(0, len(digits), 4)).encode(),
        "packed": bytes.fromhex(digits[: len(digits) // 2 * 2]),
        # Shifted by half a byte: the first digit is the second half of some other byte.
        "packed, shifted": bytes.fromhex(digits[1 : 1 + (len(digits) - 1) // 2 * 2]),
    }
    encoded = {}
    for name, data in raw.items():
        encoded[f"{name}, in hex"] = data.hex().encode()
        encoded[f"{name}, in upper hex"] = data.hex().upper().encode()
        for shift in range(3):
            # What stands before shifts the alphabet; the ends, which neighbours take part in, are left out.
            text = base64.b64encode(b"\0" * shift + data).rstrip(b"=")
            encoded[f"{name}, in base64 after {shift}"] = text[0 if shift == 0 else shift + 1 : -1]
    return {name: form for name, form in (raw | encoded).items() if len(form) >= SHORTEST}


def found(folder: Path) -> list[str]:
    """Name every secret that any file of a folder holds, and in which form."""
    data = {each.name: each.read_bytes() for each in folder.iterdir()}
    return [
        f"{name}: {secret}, {form}"
        for name, content in data.items()
        for secret, digits in SECRETS.items()
        for form, pattern in forms(digits).items()
        if pattern in content
    ]


def use_everything(path: Path, *, shred: bool) -> Callable[[], None]:
    """Let a journal see every secret there is, and return how it is closed."""
    journal = open_journal(path)
    sign_on = new_record(journal, Kind.SIGN_ON, batch="000000")
    journal.save(answered(sign_on, State.APPROVED))
    for card in (KEYED, None, KEYED):
        record = new_record(journal, card=card) if card else new_record(journal)
        telephone = Message(record.request.mti, {**record.request, 62: PAN.encode().hex(), 59: TRACK, 36: TRACK})
        record = replace(record, request=telephone)
        journal.save(record)
        journal.save(replace(answered(record, State.DOUBTFUL), reason="98"))
        journal.save(new_record(journal, Kind.REVERSAL, original=record))
    if shred:
        journal.shred([record.number for record in journal.sealed_records()])
    return journal.close


@pytest.mark.parametrize("shred", [False, True])
def test_no_file_holds_a_secret_in_any_form(tmp_path: Path, *, shred: bool) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    close = use_everything(folder / "journal.db", shred=shred)
    # While it is open everything stands in the write-ahead log too.
    shutil.copytree(folder, tmp_path / "open")
    assert (tmp_path / "open" / "journal.db-wal").exists()
    close()
    assert found(tmp_path / "open") == []
    assert found(folder) == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_found_in_every_form(tmp_path: Path, name: str) -> None:
    use_everything(tmp_path / "journal.db", shred=False)()
    whole = (tmp_path / "journal.db").read_bytes()
    for form, pattern in forms(SECRETS[name]).items():
        (tmp_path / "journal.db").write_bytes(whole[:5000] + pattern + whole[5000 + len(pattern) :])
        assert any(f"{name}, {form}" in each for each in found(tmp_path)), form


def seals(path: Path) -> dict[int, tuple[bytes, bytes]]:
    raw = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    rows = raw.execute("SELECT number, wrapped, box FROM seals").fetchall()
    raw.close()
    return {number: (wrapped, box) for number, wrapped, box in rows}


def traces(path: Path, destroyed: dict[int, tuple[bytes, bytes]]) -> list[tuple[str, int]]:
    """Say in which files a part of a destroyed seal is left, and of which record."""
    files = [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm", ".mark", ".lock")]
    data = {each.name: each.read_bytes() for each in files if each.exists()}
    return [
        (name, number)
        for name, content in data.items()
        for number, parts in destroyed.items()
        if any(part[start : start + 12] in content for part in parts for start in range(0, len(part) - 12, 4))
    ]


def test_what_is_shredded_is_gone_from_every_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    for _ in range(60):
        journal.save(new_record(journal, card=KEYED))
    kept = seals(path)
    assert len(kept) == 60
    assert len({number for _, number in traces(path, kept)}) == 60
    gone: dict[int, tuple[bytes, bytes]] = {}
    # In an order that leaves holes everywhere, some alone and some together.
    for numbers in ([7], [8, 9, 10], [60], [1], [33, 3, 12], list(range(2, 60, 5)), list(range(1, 55))):
        gone |= {number: kept[number] for number in numbers}
        journal.shred(numbers)
        assert traces(path, gone) == []
        assert {record.number for record in journal.sealed_records()} == kept.keys() - gone.keys()
        # Work goes on in between, and must not bring anything back.
        journal.save(new_record(journal))
    journal.close()
    assert traces(path, gone) == []
    again = open_journal(path)
    assert [record.request[2] for record in again.sealed_records()] == [PAN] * 4
    assert traces(path, gone) == []
    again.close()


def test_a_reader_in_the_middle_delays_the_erasure_and_does_not_prevent_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.0)
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    journal.save(new_record(journal, card=KEYED))
    destroyed = seals(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM entries").fetchone()
    journal.shred([1])
    # For everybody but that reader it is gone; its copy is still in the log.
    assert list(journal.sealed_records()) == []
    assert traces(path, destroyed) != []
    journal.shred(())
    reader.execute("COMMIT")
    reader.close()
    journal.shred(())
    assert traces(path, destroyed) == []
    journal.close()


def test_the_next_start_finishes_an_erasure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.0)
    path = tmp_path / "journal.db"
    journal = open_journal(path)
    journal.save(new_record(journal, card=KEYED))
    destroyed = seals(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM entries").fetchone()
    journal.shred([1])
    # The power goes: the files are what they are now.
    (tmp_path / "after").mkdir()
    for ending in ("", "-wal", ".mark"):
        shutil.copy(tmp_path / f"journal.db{ending}", tmp_path / "after")
    reader.close()
    journal.close()
    after = tmp_path / "after" / "journal.db"
    assert traces(after, destroyed) != []
    again = open_journal(after)
    assert traces(after, destroyed) == []
    again.close()


def test_no_two_records_share_a_key_or_a_nonce(tmp_path: Path) -> None:
    drawn = []
    entropy = counting_entropy()

    def watched(size: int) -> bytes:
        drawn.append((size, entropy(size)))
        return drawn[-1][1]

    path = tmp_path / "journal.db"
    journal = open_journal(path, entropy=watched)
    for _ in range(3):
        journal.save(new_record(journal, card=KEYED))
    journal.close()
    assert [size for size, _ in drawn] == [32, 12, 12] * 3
    # The key itself never reaches the disk, only its wrapping.
    assert not [key for size, key in drawn if size == 32 and key in path.read_bytes()]
