"""The search for secrets: what it sees of a life, and that an engine which keeps too much is caught."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import UsageError
from pos_engine.journal import store
from pos_engine.journal.record import AtRest, Record, freeze
from pos_engine.journal.store import SqliteJournal
from simulators.prove.canaries import ENCODINGS, Canary, search, sightings
from simulators.prove.floor import JOURNAL, KEYED, read
from simulators.prove.secrets import LIVES, SECRETS, Life, Trial, control, lived, remains

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.wire.spec import MessageSpec
    from simulators.prove.floor import Floor

LOST = Life("sale-keyed", "answer lost")


def trial(life: Life, folder: Path) -> Trial:
    return Trial(life, lived(life, folder / "life", 0), folder / "again")


def moments(floor: Floor, word: str) -> list[int]:
    return [number for number, point in enumerate(floor.points) if word in point.what]


def test_a_life_has_a_moment_at_every_effect_and_every_statement_and_they_are_the_same_each_time(
    tmp_path: Path,
) -> None:
    floor = lived(LOST, tmp_path / "one", 0)
    for word in ("before Save", "after Send", "INSERT INTO SEALS", "COMMIT", "DELETE FROM SEALS", "WAL_CHECKPOINT"):
        assert moments(floor, word), word
    again = lived(LOST, tmp_path / "two", 0)
    assert [point.what for point in again.points] == [point.what for point in floor.points]


def test_card_data_is_there_while_it_is_owed_and_gone_when_it_is_not(tmp_path: Path) -> None:
    floor = lived(LOST, tmp_path, 0)
    seals = [seal for pairs in floor.wrapped.values() for seal in pairs]
    # The sale's and its reversal's.
    assert len(seals) == 2
    erased = moments(floor, "DELETE FROM SEALS")[0]
    assert all(any(wrapped in data for data in floor.points[erased].image.values()) for wrapped, _ in seals)
    assert not any(wrapped in data for data in read(tmp_path).values() for wrapped, _ in seals)


@pytest.mark.parametrize("word", ["before Send", "INSERT INTO SEALS", "DELETE FROM SEALS", "WAL_CHECKPOINT", "the end"])
def test_a_terminal_starts_again_on_any_moment_and_nothing_is_found(word: str, tmp_path: Path) -> None:
    found = trial(LOST, tmp_path)
    for number in moments(found.floor, word):
        tally = found.at(found.floor.points[number], number)
        assert tally.findings == ()
        assert tally.counts["restarts"] == 1


@pytest.mark.parametrize("kind", sorted({life.kind for life in LIVES}))
def test_what_is_said_in_a_life_holds_no_secret(kind: str, tmp_path: Path) -> None:
    tally = trial(Life(kind, "answer lost"), tmp_path).texts()
    assert tally.findings == ()
    assert tally.counts["bytes of text"] > 1000


def test_what_commands_print_and_leave_holds_no_secret(tmp_path: Path) -> None:
    tally = trial(LOST, tmp_path).commands()
    assert tally.findings == ()
    assert tally.counts["bytes of output"] > 1000


def test_every_planted_secret_is_found_in_nine_encodings(tmp_path: Path) -> None:
    tally = control(tmp_path, 0)
    assert tally.findings == ()
    assert tally.counts["control: found"] == tally.counts["control: planted"] > 10 * ENCODINGS


def test_a_canary_is_named_in_every_form_it_was_written_in_and_is_not_shown() -> None:
    canary = Canary("number", KEYED.pan.reveal())
    assert len(canary.encodings()) == ENCODINGS
    for encoding, written in canary.encodings().items():
        assert f"number as {encoding}" in list(sightings(b"..." + written.upper() + b"...", [canary]))
    assert list(sightings(bytes(100), [canary])) == []
    assert KEYED.pan.reveal() not in repr(canary)


def test_files_and_folders_are_searched(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("secret word")
    assert "file: word as ASCII" in search([tmp_path], [Canary("word", "secret")])


def test_a_journal_that_keeps_pin_blocks_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keeping(record: Record, spec: MessageSpec) -> AtRest:
        return freeze(replace(record, notes=(*record.notes, record.request.get(52, ""))), spec)

    monkeypatch.setattr(store, "freeze", keeping)
    found = trial(Life("sale", "approved"), tmp_path)
    number = moments(found.floor, "before Send")[0]
    whats = [each.what for each in found.at(found.floor.points[number], number).findings]
    assert any("PIN block as" in each and each.endswith("at the cut") for each in whats)
    assert not any(block in each for block in found.floor.pin_blocks for each in whats)


def test_a_journal_that_does_not_seal_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_handed(record: Record, spec: MessageSpec) -> AtRest:
        return freeze(replace(record, notes=(*record.notes, record.request.get(2, ""))), spec)

    monkeypatch.setattr(store, "freeze", open_handed)
    found = trial(LOST, tmp_path)
    whats = [each.what for each in found.texts().findings]
    assert "journal.db: number of the keyed card as ASCII, at the end" in whats


def test_a_journal_that_destroys_nothing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteJournal, "shred", lambda *_: None)
    floor = lived(LOST, tmp_path, 0)
    wrong = remains(tmp_path, floor, Counter[str]())
    assert [each.partition(": ")[2] for each in wrong] == [
        "the sealed card data of record 2 is still there",
        "the sealed card data of record 3 is still there",
    ]


def test_a_part_of_a_wrapped_key_in_any_file_of_the_journal_is_found(tmp_path: Path) -> None:
    floor = lived(LOST, tmp_path, 0)
    wrapped, _ = next(iter(floor.wrapped[2]))
    (tmp_path / f"{JOURNAL}.left").write_bytes(b"x" * 7 + wrapped[20:36])
    assert len(remains(tmp_path, floor, Counter[str]())) == 1


def test_a_secret_in_a_text_is_caught(tmp_path: Path) -> None:
    found = trial(Life("echo", "approved"), tmp_path)
    found.floor.texts.append(f"ValueError: {KEYED.track2.reveal()}")
    assert any("track of the keyed card as ASCII, in what was said" in each.what for each in found.texts().findings)


def test_a_case_is_told_again(tmp_path: Path) -> None:
    floor = lived(LOST, tmp_path, 0)
    told = SECRETS.repeat(f"{LOST.name}/{moments(floor, 'after Send')[0]}", 0)
    assert "1 moments" in told
    assert "after Send" in told
    assert KEYED.pan.reveal() not in told
    assert "control: found" in SECRETS.repeat("control", 0)
    assert "bytes of text" in SECRETS.repeat("echo/approved/texts", 0)


@pytest.mark.parametrize("case", ["", "sale", "sale/approved", "sale/approved/x", "sale/approved/9999", "x/approved/1"])
def test_a_case_that_is_none_is_refused(case: str) -> None:
    with pytest.raises(UsageError, match="no case of secrets"):
        SECRETS.repeat(case, 0)
