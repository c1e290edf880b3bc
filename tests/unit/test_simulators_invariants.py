"""The judge finds each planted fault, by its invariant and by no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from simulators.invariants import INVARIANTS, judge
from simulators.invariants.observations import Arrived, Attempted, Ended, Left, Restarted, Shown, Synced
from tests.support.lives import (
    BATCH,
    KEYS,
    PLACES,
    Form,
    Story,
    answer,
    as_kept,
    bare_frame,
    form,
    frame,
    of_money,
    reversal,
    signed_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PAN: Final = "6229991357924683"
SECRET: Final = {35: f"{PAN}D31122019876543210", 36: "99" + PAN, 52: "C1C2C3C4C5C6C7C8"}


@pytest.fixture
def story() -> Story:
    return signed_on()


def edited(body: Form, **more: Any) -> Form:  # noqa: ANN401 - JSON
    return body | more


# Lives with one fault.


def sent_before_it_is_saved(story: Story) -> None:
    body = of_money("sale", 2)
    story.leave(body)
    story.begin(body)
    story.book(body, 1234)
    story.end(body, "APPROVED")


def sent_with_another_amount(story: Story) -> None:
    body = story.begin(of_money("sale", 2), {4: f"{9999:012d}"})
    story.conclude(body, "UNSENT")


def repeated_without_being_saved(story: Story) -> None:
    sale = story.doubt("sale", 2)
    body = story.begin(reversal(sale, 3))
    story.leave(story.conclude(body, "DOUBTFUL", attempts=3))


def sent_as_no_message(story: Story) -> None:
    story.seen.append(Left(b"\x60\x00"))


def shown_before_it_is_saved(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.seen.append(Shown(2, "approved", 1234))
    story.end(body, "APPROVED")


def shown_in_doubt_before_it_is_saved(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.seen.append(Shown(2, "in doubt", 1234))
    story.reverse(story.conclude(body, "DOUBTFUL", reason="98"), 3)


def shown_with_another_amount(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "APPROVED")
    story.seen[-1] = Shown(2, "approved", 1235)


def shown_although_saving_failed(story: Story) -> None:
    """Only a restart can tell that an unacknowledged outcome is in the journal."""
    body = story.begin(of_money("sale", 2))
    story.seen += [Attempted(json.dumps(edited(body, state="UNSENT"))), Shown(2, "not sent")]
    story.seen += [Restarted()]
    story.reverse(story.conclude(body, "DOUBTFUL", reason="98"), 3)
    story.seen = [each for each in story.seen if each != Shown(2, "in doubt", 1234)]


def approved_and_not_booked(story: Story) -> None:
    story.end(story.begin(of_money("sale", 2)), "APPROVED")


def declined_and_booked(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "DECLINED", "51")


def reversed_and_still_booked(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.book(sale, 1234)
    story.reverse(sale, 3)


def booked_another_amount(story: Story) -> None:
    body = story.begin(of_money("refund", 2, 100))
    story.book(body, -101)
    story.end(body, "APPROVED")


def refund_in_doubt_and_too_much_booked(story: Story) -> None:
    story.book(story.doubt("refund", 2), -1235)


def booked_and_unknown(story: Story) -> None:
    story.book(of_money("sale", 9), 1234)


def charged_twice_under_one_key(story: Story) -> None:
    story.sell(2, key="one")
    story.sell(3, key="one")


def charged_by_a_repeat_too(story: Story) -> None:
    story.sell(2)
    story.sell(3, key=f"repeat of {BATCH} 000002")


def charged_by_two_repeats(story: Story) -> None:
    body = story.begin(of_money("sale", 2, key="one"))
    story.end(body, "DECLINED", "77")
    story.sell(3, key=f"repeat of {BATCH} 000002")
    story.sell(4, key=f"repeat of {BATCH} 000003")


def never_reversed(story: Story) -> None:
    story.doubt("sale", 2)


def never_taken_up(story: Story) -> None:
    story.begin(of_money("sale", 2))
    story.seen += [Ended("power cut"), Restarted()]


def reversal_given_up_early(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.conclude(story.begin(reversal(sale, 3)), "DOUBTFUL")


def reversed_twice_with_effect(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.book(sale, 1234, 0, 2)
    story.reverse(sale, 3)


def reversal_ended_by_a_refusal(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.end(story.begin(reversal(sale, 3)), "APPROVED", "96")


def late_approval_left_alone(story: Story) -> None:
    sale = story.doubt("sale", 2)
    closed = story.end(story.begin(reversal(sale, 3)), "APPROVED", "25")
    late = answer(sale, "00")
    story.seen.append(Arrived(frame(*late)))
    story.save(closed | {"late": [late[0], as_kept(late[1])]})


def outcome_changed_on_record(story: Story) -> None:
    body = story.end(story.begin(of_money("sale", 2)), "DECLINED", "51")
    story.save(edited(body, state="UNSENT"))


def shown_otherwise_later(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.reverse(sale, 3)
    body = edited(sale, state="UNSENT")
    story.save(body)


def approved_and_reversed(story: Story) -> None:
    sale = story.sell(2)
    story.books = []
    story.book(sale, 1234)
    body = story.begin(reversal(sale, 3))
    story.conclude(body, "DOUBTFUL")


def reversal_with_another(number: int, value: str) -> Callable[[Story], None]:
    def plant(story: Story) -> None:
        story.reverse(story.doubt("sale", 2), 3, changed={number: value})

    return plant


def reversal_without_the_known_code(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    doubtful = story.end(body, "DOUBTFUL", saved={"reason": "A0"}, answered={38: "654321"})
    story.reverse(doubtful, 3)


def reversal_names_the_voided_sale(story: Story) -> None:
    story.sell(2)
    void = story.doubt("void", 3)
    story.reverse(void, 4, changed={61: BATCH + "000002"})


def new_sale_while_in_doubt(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.sell(3)
    story.reverse(sale, 4)


def new_refund_before_duties_after_a_restart(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.seen += [Ended("power cut"), Restarted()]
    refund = story.begin(of_money("refund", 3))
    story.book(refund, -1234)
    story.end(refund, "APPROVED")
    story.reverse(story.conclude(body, "DOUBTFUL", reason="98"), 4)


def new_sale_while_a_reversal_is_reopened(story: Story) -> None:
    sale = story.doubt("sale", 2)
    closed = story.end(story.begin(reversal(sale, 3)), "APPROVED", "25")
    late = answer(sale, "00")
    story.seen.append(Arrived(frame(*late)))
    story.save(closed | {"late": [late[0], as_kept(late[1])]})
    story.sell(4)
    story.reverse(sale, 5)


def same_stan_twice(story: Story) -> None:
    story.end(story.begin(of_money("sale", 2)), "DECLINED", "51")
    again = of_money("sale", 3) | {"stan": "000002"}
    again["request"] = of_money("sale", 2)["request"]
    story.end(story.begin(again), "DECLINED", "51")


def same_number_twice(story: Story) -> None:
    body = of_money("sale", 2)
    story.begin(body)
    story.end(story.begin(edited(body, opened=[9.0, "boot-2", "2026"])), "DECLINED", "51")


def approved_by_nothing(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.conclude(body, "APPROVED")


def approved_by_an_answer_that_came_before(story: Story) -> None:
    body = of_money("sale", 2)
    story.book(body, 1234)
    mti, fields = answer(body, "00")
    story.seen.append(Arrived(frame(mti, fields)))
    story.begin(body)
    story.conclude(body, "APPROVED", answer=[mti, as_kept(fields)])


def approved_by_an_answer_with_another(number: int, value: str) -> Callable[[Story], None]:
    def plant(story: Story) -> None:
        body = story.begin(of_money("sale", 2))
        story.book(body, 1234)
        story.end(body, "APPROVED", answered={number: value})

    return plant


def approved_by_a_decline(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "APPROVED", "51")


def keeps_another_answer_than_arrived(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "APPROVED", kept={37: "999999999999"})


def one_answer_decides_two(story: Story) -> None:
    first = form(2, "echo", "0820", {**PLACES, 60: f"00{BATCH}301"})
    second = edited(first, number=3, stan="000003")
    story.begin(first)
    story.begin(second)
    ended = story.end(first, "APPROVED")
    story.conclude(second, "APPROVED", answer=ended["answer"])


def approved_with_another_amount(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1000)
    story.end(body, "APPROVED", saved={"amount": [1000, "156", "CNY", 2]})


def approved_by_a_spoiled_answer(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "APPROVED", authentic=False)


def approved_without_a_mac(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    story.end(body, "APPROVED")
    mti, fields = answer(body, "00")
    bare = Arrived(bare_frame(mti, fields))
    story.seen = [bare if each == Arrived(frame(mti, fields)) else each for each in story.seen]


def half_a_key_set(story: Story) -> None:
    story.sign_on(2, keys=KEYS[:1])


def sent_under_old_keys(story: Story) -> None:
    story.sign_on(2)
    story.sell(3)


def journal_lost_a_record(story: Story) -> None:
    story.sell(2)
    del story.final[2]


def journal_lost_a_form(story: Story) -> None:
    body = story.end(story.begin(of_money("sale", 2)), "DECLINED", "51")
    story.final[2] = json.dumps(edited(body, notes=["other"]))


def journal_has_what_is_no_record(story: Story) -> None:
    story.final[2] = "{}"


def journal_acknowledged_what_is_no_record(story: Story) -> None:
    story.seen.append(Synced("[]"))


def journal_reads_a_record_twice(story: Story) -> None:
    story.final[0] = story.final[1]


def call_took_too_long(story: Story) -> None:
    story.seen.append(Ended("value", 61.1, 60.0))


BAD: Final[tuple[tuple[str, Callable[[Story], None]], ...]] = (
    ("I1", sent_before_it_is_saved),
    ("I1", sent_with_another_amount),
    ("I1", repeated_without_being_saved),
    ("I1", sent_as_no_message),
    ("I2", shown_before_it_is_saved),
    ("I2", shown_in_doubt_before_it_is_saved),
    ("I2", shown_with_another_amount),
    ("I2", shown_although_saving_failed),
    ("I3", approved_and_not_booked),
    ("I3", declined_and_booked),
    ("I3", reversed_and_still_booked),
    ("I3", booked_another_amount),
    ("I3", refund_in_doubt_and_too_much_booked),
    ("I3", booked_and_unknown),
    ("I4", charged_twice_under_one_key),
    ("I4", charged_by_a_repeat_too),
    ("I4", charged_by_two_repeats),
    ("I5", never_reversed),
    ("I5", never_taken_up),
    ("I5", reversal_given_up_early),
    ("I5", reversed_twice_with_effect),
    ("I5", reversal_ended_by_a_refusal),
    ("I5", late_approval_left_alone),
    ("I6", outcome_changed_on_record),
    ("I6", shown_otherwise_later),
    ("I6", approved_and_reversed),
    ("I7", reversal_with_another(3, "200000")),
    ("I7", reversal_with_another(4, f"{1:012d}")),
    ("I7", reversal_with_another(42, "M00000000000002")),
    ("I7", reversal_with_another(49, "840")),
    ("I7", reversal_with_another(60, f"23{BATCH}000501")),
    ("I7", reversal_with_another(61, BATCH + "000002")),
    ("I7", reversal_with_another(39, "00")),
    *(("I7", reversal_with_another(number, value)) for number, value in SECRET.items()),
    ("I7", reversal_without_the_known_code),
    ("I7", reversal_names_the_voided_sale),
    ("I8", new_sale_while_in_doubt),
    ("I8", new_refund_before_duties_after_a_restart),
    ("I8", new_sale_while_a_reversal_is_reopened),
    ("I9", same_stan_twice),
    ("I9", same_number_twice),
    ("I10", approved_by_nothing),
    ("I10", approved_by_an_answer_that_came_before),
    ("I10", approved_by_an_answer_with_another(3, "200000")),
    ("I10", approved_by_an_answer_with_another(11, "000009")),
    ("I10", approved_by_an_answer_with_another(41, "T0000009")),
    ("I10", approved_by_an_answer_with_another(42, "M00000000000009")),
    ("I10", approved_by_an_answer_with_another(49, "840")),
    ("I10", approved_by_an_answer_with_another(60, "22000009000501")),
    ("I10", approved_by_a_decline),
    ("I10", keeps_another_answer_than_arrived),
    ("I10", one_answer_decides_two),
    ("I10", approved_with_another_amount),
    ("I11", approved_by_a_spoiled_answer),
    ("I11", approved_without_a_mac),
    ("I12", half_a_key_set),
    ("I12", sent_under_old_keys),
    ("I15", journal_lost_a_record),
    ("I15", journal_lost_a_form),
    ("I15", journal_has_what_is_no_record),
    ("I15", journal_acknowledged_what_is_no_record),
    ("I15", journal_reads_a_record_twice),
    ("I17", call_took_too_long),
)


@pytest.mark.parametrize(("invariant", "plant"), BAD, ids=lambda each: getattr(each, "__qualname__", each))
def test_a_planted_fault_is_found_by_its_invariant_alone(
    story: Story, invariant: str, plant: Callable[[Story], None]
) -> None:
    plant(story)
    assert set(story.found()) == {invariant}


def test_every_invariant_has_a_planted_fault() -> None:
    assert {invariant for invariant, _ in BAD} == set(INVARIANTS)


def test_an_invariant_is_one_sentence() -> None:
    assert all(text.endswith(".") and text.count(".") == 1 for text in INVARIANTS.values())


@pytest.mark.parametrize(("invariant", "plant"), BAD, ids=lambda each: getattr(each, "__qualname__", each))
def test_what_is_found_shows_no_card(story: Story, invariant: str, plant: Callable[[Story], None]) -> None:
    plant(story)
    found = judge(story.life())
    assert all(violation.invariant == invariant for violation in found)
    assert not any(PAN in violation.what or PAN[6:12] in violation.what for violation in found)


def test_nothing_is_kept_between_lives(story: Story) -> None:
    never_reversed(story)
    assert judge(story.life()) == judge(story.life())
    fresh = Story()
    fresh.sign_on()
    assert fresh.found() == []
