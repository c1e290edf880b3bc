"""The rules that every journal keeps: which records are admitted, and the order of STANs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import FINAL, State
from pos_engine.journal.view import admit, following_stan
from tests.support.records import SPEC, new_record, reversal


def begun() -> MemoryJournal:
    journal = MemoryJournal(SPEC)
    journal.save(new_record(journal))
    return journal


@pytest.mark.parametrize("changes", [{"kind": Kind.REFUND}, {"stan": "000002"}, {"batch": "000002"}])
def test_a_record_keeps_its_identity(changes: dict[str, Any]) -> None:
    journal = begun()
    (first,) = journal.recent(1)
    with pytest.raises(JournalFault, match="record 1: its kind, STAN and batch cannot change"):
        admit(replace(first, **changes), journal)
    admit(replace(first, state=State.DOUBTFUL, card=None), journal)


@pytest.mark.parametrize("final", [state for state in State if state in FINAL])
def test_an_outcome_stays_as_it_is(final: State) -> None:
    journal = begun()
    done = replace(journal.recent(1)[0], state=final)
    journal.save(done)
    admit(replace(done, notes=("a remark",)), journal)
    for state in set(State) - {final}:
        with pytest.raises(JournalFault, match=f"record 1: {final.name.lower()} once, it stays so"):
            admit(replace(done, state=state), journal)


@pytest.mark.parametrize("number", [0, 3, 9])
def test_a_new_record_takes_the_next_number(number: int) -> None:
    journal = begun()
    with pytest.raises(JournalFault, match=f"record {number}: not the next number"):
        admit(replace(new_record(journal), number=number), journal)


def test_a_stan_serves_once_in_its_batch_and_its_reversal_shares_it() -> None:
    journal = begun()
    (first,) = journal.recent(1)
    again = replace(new_record(journal), stan=first.stan)
    with pytest.raises(JournalFault, match="record 2: its STAN was used before in the batch"):
        admit(again, journal)
    admit(replace(again, batch="000002"), journal)
    admit(reversal(journal, first), journal)


@pytest.mark.parametrize(
    ("last", "used", "following"),
    [
        (None, set(), "000001"),
        ("000001", set(), "000002"),
        ("999998", set(), "999999"),
        ("999999", set(), "000001"),
        ("999999", {"000001", "000002"}, "000003"),
        ("000007", {"000008"}, "000009"),
    ],
)
def test_the_next_stan_is_the_first_free_one(last: str | None, used: set[str], following: str) -> None:
    assert following_stan(last, used.__contains__) == following


def test_the_last_stan_that_is_left_is_found_and_then_none() -> None:
    assert following_stan("000005", lambda stan: stan != "000005") == "000005"
    with pytest.raises(JournalFault, match="every STAN of the batch is used"):
        following_stan("000005", lambda _stan: True)


def test_when_every_stan_is_used_there_is_no_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STAN_MAX", 3)
    assert following_stan("000002", {"000001", "000002"}.__contains__) == "000003"
    assert following_stan("000003", {"000001", "000003"}.__contains__) == "000002"
    assert following_stan("000002", {"000001", "000003"}.__contains__) == "000002"
    with pytest.raises(JournalFault, match="every STAN of the batch is used: settle it first"):
        following_stan("000002", {"000001", "000002", "000003"}.__contains__)
