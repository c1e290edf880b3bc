"""What every `Journal` must do: one list of checks, run against each implementation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, State
from pos_engine.journal.view import FAILURES_MAX, Journal
from tests.support.records import (
    BATCH,
    EXPIRY,
    KEYED,
    KEYS,
    NOW,
    PAN,
    SPEC,
    answered,
    new_record,
    open_journal,
)

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[[], Journal]
EVERY_KIND: Final = tuple(Kind)


def saved(journal: Journal, record: Record) -> Record:
    """Save a record and return what the journal kept of it."""
    journal.save(record)
    kept = journal.find(record.number)
    assert kept is not None
    return kept


def numbers(records: object) -> list[int]:
    assert isinstance(records, list | tuple)
    return [record.number for record in records]


def check_an_empty_journal_knows_nothing(journal: Journal) -> None:
    assert journal.next_number() == 1
    assert journal.next_stan() == "000001"
    assert journal.find(1) is None
    assert journal.find_original(BATCH, "000001") is None
    assert journal.last_approved(Kind.SIGN_ON) is None
    assert journal.demanded_after(1) is None
    assert journal.wanted_after("4", 0) is None
    for found in (
        journal.open_records(EVERY_KIND),
        journal.open_records(()),
        journal.acting_on(1),
        journal.failures(Kind.SIGN_ON),
        journal.sealed_records(),
        journal.recent(10),
    ):
        assert list(found) == []
    journal.shred(())
    journal.shred([1])


def check_what_is_kept_of_a_record(journal: Journal) -> None:
    record = new_record(journal, card=KEYED)
    kept = saved(journal, record)
    assert {2: PAN, 14: EXPIRY}.items() <= kept.request.items()
    assert kept == replace(record, request=record.request.without(52))
    done = answered(record, State.APPROVED)
    kept = saved(journal, done)
    assert done.answer is not None
    assert kept == replace(done, request=record.request.without(52), answer=done.answer.without(2, 14))


def check_working_keys_come_back_as_they_were_received(journal: Journal) -> None:
    sign_on = saved(journal, answered(new_record(journal, Kind.SIGN_ON, batch="000000"), State.APPROVED))
    assert (sign_on.keys, sign_on.new_batch) == (KEYS, BATCH)
    assert sign_on.answer is not None
    assert 62 not in sign_on.answer


def check_a_later_form_supersedes_the_earlier_one(journal: Journal) -> None:
    record = new_record(journal)
    saved(journal, record)
    kept = saved(journal, replace(record, state=State.DOUBTFUL, reason="98", attempts=2, notes=("silence",)))
    assert (kept.state, kept.reason, kept.attempts, kept.notes) == (State.DOUBTFUL, "98", 2, ("silence",))
    assert numbers(journal.recent(10)) == [1]
    assert journal.next_number() == 2


def check_card_data_is_sealed_once_and_gone_for_good(journal: Journal) -> None:
    first, second = (saved(journal, new_record(journal, card=KEYED)) for _ in range(2))
    assert numbers(journal.sealed_records()) == [1, 2]
    journal.shred([first.number, 99])
    journal.shred([first.number])
    assert numbers(journal.sealed_records()) == [2]
    assert journal.find(1) == replace(first, request=first.request.without(2, 14))
    # Saving the record as its holder still has it, card data and all, does not bring the data back.
    assert 2 not in saved(journal, answered(first, State.APPROVED)).request
    assert saved(journal, answered(second, State.APPROVED)).request[2] == PAN


def check_a_swiped_sale_leaves_nothing_to_shred(journal: Journal) -> None:
    kept = saved(journal, new_record(journal))
    assert {2, 14, 35, 52} & set(kept.request) == set()
    assert list(journal.sealed_records()) == []


def check_a_stan_is_used_once_in_a_batch(journal: Journal) -> None:
    sale = saved(journal, new_record(journal, state=State.DOUBTFUL))
    again = replace(new_record(journal), stan=sale.stan)
    with pytest.raises(JournalFault, match=r"^record 2: its STAN was used before in the batch$"):
        journal.save(again)
    assert journal.find(2) is None
    # The refusal is no failed write: the same journal takes the next record.
    saved(journal, replace(again, batch="000002"))
    saved(journal, new_record(journal))


def check_a_reversal_shares_the_stan_of_its_original(journal: Journal) -> None:
    sale = saved(journal, new_record(journal, state=State.DOUBTFUL))
    reversal = saved(journal, new_record(journal, Kind.REVERSAL, original=sale))
    assert reversal.stan == sale.stan
    assert journal.find_original(sale.batch, sale.stan) == sale
    assert journal.next_stan() == "000002"


def check_a_record_keeps_its_identity(journal: Journal) -> None:
    record = new_record(journal)
    with pytest.raises(JournalFault, match=r"^record 3: not the next number$"):
        journal.save(replace(record, number=3))
    saved(journal, record)
    for other in (
        replace(record, kind=Kind.REFUND),
        replace(record, stan="000099"),
        replace(record, batch="000099"),
    ):
        with pytest.raises(JournalFault, match=r"^record 1: its kind, STAN and batch cannot change$"):
            journal.save(other)
    assert numbers(journal.recent(9)) == [1]


def check_stans_wrap_and_skip_what_the_batch_has_used(journal: Journal) -> None:
    for stan in ("000001", "000002", "999998", "999999"):
        saved(journal, replace(new_record(journal), stan=stan))
    assert journal.next_stan() == "000003"
    saved(journal, new_record(journal, batch="000002"))
    assert journal.recent(1)[0].stan == "000003"


def check_stans_of_another_batch_are_free_after_the_wrap(journal: Journal) -> None:
    saved(journal, replace(new_record(journal), stan="000001"))
    saved(journal, replace(new_record(journal, batch="000002"), stan="999999"))
    assert journal.next_stan() == "000001"


def check_stans_skip_what_the_batch_of_the_last_sign_on_has_used(journal: Journal) -> None:
    saved(journal, replace(new_record(journal), stan="000001"))
    sign_on = replace(new_record(journal, Kind.SIGN_ON, batch="000002"), stan="999999")
    saved(journal, answered(sign_on, State.APPROVED))
    assert journal.next_stan() == "000002"


def check_a_late_reversal_does_not_turn_stans_back(journal: Journal) -> None:
    sale = saved(journal, new_record(journal, state=State.DOUBTFUL))
    saved(journal, new_record(journal, Kind.SIGN_ON, batch="000000"))
    saved(journal, new_record(journal, Kind.REVERSAL, original=sale))
    assert journal.next_stan() == "000003"


def check_open_records_are_those_in_doubt_and_not_reversed(journal: Journal) -> None:
    states = (State.PENDING, State.DOUBTFUL, State.APPROVED, State.DECLINED, State.UNSENT, State.DOUBTFUL)
    sales = [saved(journal, new_record(journal, state=state)) for state in states]
    saved(journal, new_record(journal, Kind.SIGN_ON))
    refused = saved(journal, new_record(journal, Kind.REVERSAL, original=sales[1], state=State.DOUBTFUL))
    saved(journal, new_record(journal, Kind.REVERSAL, original=sales[5], state=State.APPROVED))
    assert numbers(journal.open_records((Kind.SALE,))) == [1, 2]
    assert numbers(journal.open_records((Kind.SALE, Kind.REVERSAL))) == [1, 2, refused.number]
    assert numbers(journal.open_records(EVERY_KIND)) == [1, 2, 7, refused.number]
    assert list(journal.open_records(())) == []


def check_records_that_act_on_another_are_found(journal: Journal) -> None:
    sale = saved(journal, answered(new_record(journal), State.APPROVED))
    saved(journal, new_record(journal))
    for _ in range(2):
        saved(journal, new_record(journal, Kind.REFUND, original=sale))
    assert numbers(journal.acting_on(sale.number)) == [3, 4]
    assert list(journal.acting_on(2)) == []


def check_the_newest_approved_record_counts(journal: Journal) -> None:
    for state in (State.APPROVED, State.APPROVED, State.DECLINED, State.PENDING):
        saved(journal, new_record(journal, Kind.SIGN_ON, state=state))
    saved(journal, new_record(journal, state=State.APPROVED))
    newest = journal.last_approved(Kind.SIGN_ON)
    assert newest is not None
    assert newest.number == 2
    assert journal.last_approved(Kind.REFUND) is None


def check_a_demand_belongs_to_the_sign_on_it_ended(journal: Journal) -> None:
    saved(journal, new_record(journal, Kind.SIGN_ON, state=State.APPROVED))
    for _ in range(2):
        saved(journal, replace(new_record(journal), signed_on_by=1, demands_sign_on=True))
    saved(journal, replace(new_record(journal), signed_on_by=1))
    saved(journal, new_record(journal, Kind.SIGN_ON, state=State.APPROVED))
    demand = journal.demanded_after(1)
    assert demand is not None
    assert demand.number == 3
    assert journal.demanded_after(5) is None
    # Sent again under the next sign-on, the request demands nothing any more.
    saved(journal, replace(demand, signed_on_by=5, demands_sign_on=False))
    demand = journal.demanded_after(1)
    assert demand is not None
    assert demand.number == 2


def check_what_the_host_wants_is_found_by_the_first_that_told_of_it(journal: Journal) -> None:
    for wanted in ("4", None, "1", "4", "4"):
        saved(journal, replace(new_record(journal), wanted=wanted))
    found = [journal.wanted_after(*asked) for asked in (("4", 0), ("4", 1), ("4", 4), ("4", 5), ("1", 0), ("7", 0))]
    assert [each and each.number for each in found] == [1, 4, 5, None, 3, None]
    # Sent again, the request was answered with another one.
    fourth = journal.find(4)
    assert fourth is not None
    saved(journal, replace(fourth, wanted="1"))
    found = [journal.wanted_after(*asked) for asked in (("4", 1), ("1", 3))]
    assert [each and each.number for each in found] == [5, 4]


def check_failures_are_counted_from_the_last_success(journal: Journal) -> None:
    saved(journal, new_record(journal, Kind.SIGN_ON, state=State.DECLINED))
    saved(journal, new_record(journal, Kind.SIGN_ON, state=State.APPROVED))
    assert list(journal.failures(Kind.SIGN_ON)) == []
    saved(journal, new_record(journal))
    for _ in range(FAILURES_MAX):
        saved(journal, new_record(journal, Kind.SIGN_ON, state=State.UNSENT))
    assert numbers(journal.failures(Kind.SIGN_ON)) == list(range(4, 4 + FAILURES_MAX))
    saved(journal, new_record(journal, Kind.SIGN_ON))
    assert numbers(journal.failures(Kind.SIGN_ON)) == list(range(5, 5 + FAILURES_MAX))


def check_recent_records_come_newest_first(journal: Journal) -> None:
    for _ in range(3):
        saved(journal, new_record(journal))
    assert numbers(journal.recent(2)) == [3, 2]
    assert numbers(journal.recent(99)) == [3, 2, 1]
    assert list(journal.recent(0)) == []
    for kind in (Kind.NOTE, Kind.RESTORE):
        saved(journal, replace(new_record(journal), kind=kind))
    assert numbers(journal.recent_requests(2)) == [3, 2]
    assert numbers(journal.recent_requests(99)) == [3, 2, 1]


def check_the_newest_record_under_a_key_is_found(journal: Journal) -> None:
    assert journal.find_key("a") is None
    for key in ("a", "b", "a", None):
        saved(journal, replace(new_record(journal), key=key))
    found = [journal.find_key(key) for key in ("a", "b", "c")]
    assert [record.number if record is not None else None for record in found] == [3, 2, None]


def check_a_day_has_its_records_of_one_kind(journal: Journal) -> None:
    later = replace(NOW, wall=NOW.wall + timedelta(days=1))
    saved(journal, new_record(journal, Kind.SIGN_ON))
    for opened in (NOW, NOW, later):
        saved(journal, replace(new_record(journal), opened=opened))
    # The day is that on which a record was begun, whenever it changed since.
    saved(journal, replace(journal.recent(99)[-2], state=State.DOUBTFUL, changed=later))
    assert numbers(journal.of_day(Kind.SALE, "2026-01-02")) == [2, 3]
    assert numbers(journal.of_day(Kind.SALE, "2026-01-03")) == [4]
    assert numbers(journal.of_day(Kind.SIGN_ON, "2026-01-02")) == [1]
    assert list(journal.of_day(Kind.SALE, "2026-01-04")) == []
    assert numbers(journal.kind_records(Kind.SALE, "2026-01-02")) == [2, 3, 4]
    assert numbers(journal.kind_records(Kind.SALE, "2026-01-03")) == [4]
    assert numbers(journal.kind_records(Kind.SIGN_ON, "2025-12-31")) == [1]
    assert list(journal.kind_records(Kind.SIGN_ON, "2026-01-03")) == []
    assert list(journal.kind_records(Kind.ECHO, "")) == []


def check_every_form_of_a_record_is_told_without_its_card_data(journal: Journal) -> None:
    first = saved(journal, new_record(journal, card=KEYED))
    second = saved(journal, new_record(journal, card=KEYED))
    saved(journal, replace(first, state=State.DOUBTFUL))
    saved(journal, replace(first, state=State.DOUBTFUL, notes=("a remark",)))
    forms = journal.forms(first.number)
    assert [(form.number, form.state, form.notes) for form in forms] == [
        (1, State.PENDING, ()),
        (1, State.DOUBTFUL, ()),
        (1, State.DOUBTFUL, ("a remark",)),
    ]
    assert not any({2, 14} & set(form.request) for form in forms)
    assert numbers(journal.forms(second.number)) == [2]
    assert list(journal.forms(9)) == []


def check_closing_twice_does_no_harm(journal: Journal) -> None:
    journal.close()
    journal.close()


CHECKS: Final[tuple[Callable[[Journal], None], ...]] = (
    check_an_empty_journal_knows_nothing,
    check_what_is_kept_of_a_record,
    check_working_keys_come_back_as_they_were_received,
    check_a_later_form_supersedes_the_earlier_one,
    check_card_data_is_sealed_once_and_gone_for_good,
    check_a_swiped_sale_leaves_nothing_to_shred,
    check_a_stan_is_used_once_in_a_batch,
    check_a_reversal_shares_the_stan_of_its_original,
    check_a_record_keeps_its_identity,
    check_stans_wrap_and_skip_what_the_batch_has_used,
    check_stans_of_another_batch_are_free_after_the_wrap,
    check_stans_skip_what_the_batch_of_the_last_sign_on_has_used,
    check_a_late_reversal_does_not_turn_stans_back,
    check_open_records_are_those_in_doubt_and_not_reversed,
    check_records_that_act_on_another_are_found,
    check_the_newest_approved_record_counts,
    check_a_demand_belongs_to_the_sign_on_it_ended,
    check_what_the_host_wants_is_found_by_the_first_that_told_of_it,
    check_failures_are_counted_from_the_last_success,
    check_recent_records_come_newest_first,
    check_the_newest_record_under_a_key_is_found,
    check_a_day_has_its_records_of_one_kind,
    check_every_form_of_a_record_is_told_without_its_card_data,
    check_closing_twice_does_no_harm,
)


def check_journal(make: Make, *checks: Callable[[Journal], None]) -> None:
    """Run the checks, all of them by default, each on an empty journal of its own."""
    for check in checks or CHECKS:
        with contextlib.closing(make()) as journal:
            check(journal)


def maker(name: str, folder: Path) -> Make:
    def in_a_file() -> Journal:
        return open_journal(folder / "journal.db")

    def in_memory() -> Journal:
        return MemoryJournal(SPEC)

    return {"sqlite": in_a_file, "memory": in_memory}[name]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", ["sqlite", "memory"])
def test_journal(name: str, check: Callable[[Journal], None], tmp_path: Path) -> None:
    check_journal(maker(name, tmp_path), check)
