"""What came for a request besides its answer, told afterwards: how late, during what, and what that means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.flow.arrivals import Arrival, arrivals, candidates
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Happening, MacState, Send
from pos_engine.journal.record import StraySort
from pos_engine.values import Amount
from pos_engine.wire.message import Message
from tests.support.exchange import Reply, Script, answer, approve, sale, signed_on, silence
from tests.support.strays import (
    DIALECT,
    SALE,
    after,
    came,
    kept,
    met_by_next_sale,
    of_record,
)

if TYPE_CHECKING:
    from pos_engine.clock import Instant


# What is told of it afterwards.


def told(script: Script, number: int = SALE) -> tuple[Arrival, ...]:
    return arrivals(kept(script, number), script.journal, DIALECT)


def test_an_answer_after_the_deadline_is_told_with_how_late_it_was_and_what_was_under_way() -> None:
    script = after(silence, approve())
    script.clock.advance(4)
    met_by_next_sale(script, of_record(script, SALE))
    (arrival,) = told(script)
    late_s = arrival.candidate.after_s
    assert arrival.candidate.matches
    assert late_s is not None
    assert arrival.what.en == (
        f"its answer, a 0210 with code 00, was read {late_s:.0f} s after the wait had ended, during sale 000003"
    )
    assert "消费 000003" in arrival.what.zh
    assert "the reversal takes the money back" in arrival.means.en
    assert "acquirer.answer_timeout_s" in arrival.means.zh


@pytest.mark.parametrize(
    ("reply", "mac", "means"),
    [
        (approve(), MacState.ABSENT, "nothing proves it"),
        (answer("51"), MacState.VALID, "the host had declined it"),
    ],
)
def test_what_a_late_answer_means_depends_on_what_it_says(reply: Reply, mac: MacState, means: str) -> None:
    script = after(silence, approve())
    met_by_next_sale(script, of_record(script, SALE, reply=reply, mac=mac))
    assert means in told(script)[0].means.en


def test_a_late_approval_of_a_refund_is_for_the_acquirer_to_hear() -> None:
    script = after(approve())
    sold = kept(script, SALE)
    original = OriginalRef(sold.batch, sold.stan, "0101", "000000000001", None)
    script.replies = [silence]
    script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=original))
    met_by_next_sale(script, of_record(script, 3))
    assert "tell the acquirer" in told(script, 3)[0].means.en


def test_a_late_answer_to_what_moves_no_money_changes_nothing() -> None:
    script = after(approve())
    script.replies = [silence]
    script.run(Order(kind=Kind.ECHO))
    echo = script.journal.recent(1)[0].number
    met_by_next_sale(script, of_record(script, echo))
    assert "it changes nothing" in told(script, echo)[0].means.en


def test_a_second_answer_and_a_contrary_one_are_told() -> None:
    script = after(approve())
    met_by_next_sale(script, of_record(script, SALE), of_record(script, SALE, {39: "51"}))
    twice, contrary = told(script)
    assert twice.what.en.startswith("the same answer, a 0210 with code 00, came once more 0 s after the wait had ended")
    assert "the host contradicts what was shown" in contrary.means.en
    assert "different: field 39 Response code" in contrary.what.en
    assert not contrary.candidate.matches


@pytest.mark.parametrize(
    ("changes", "mti", "means"),
    [
        ({11: "000099"}, "0210", "mixes answers up"),
        ({41: "T0000002"}, "0210", "another terminal"),
        ({42: "M00000000000002"}, "0210", "another merchant"),
        ({4: "000000000001"}, "0210", "another amount"),
        ({60: "22000009000500"}, "0210", "sign on again"),
        ({49: "840"}, "0210", "no proof"),
        ({}, "0810", "something else"),
    ],
)
def test_where_no_answer_came_the_nearest_message_is_told_and_what_that_points_to(
    changes: dict[int, str], mti: str, means: str
) -> None:
    def other(request: Message, now: Instant) -> Happening:
        happened = approve(changes)(request, now)
        assert isinstance(happened, Answered)
        return replace(happened, message=Message(mti, dict(happened.message.items())))

    script = Script(signed_on(), other, silence)
    script.run(sale())
    (arrival,) = told(script)
    assert means in arrival.means.en
    assert "the message nearest to its answer was" in arrival.what.en
    assert "during this exchange itself" in arrival.what.en


def test_what_is_missing_is_said_to_be_missing_and_nothing_visible_is_said_too() -> None:
    def bare(request: Message, now: Instant) -> Happening:
        happened = approve()(request, now)
        assert isinstance(happened, Answered)
        return replace(happened, message=happened.message.only(happened.message.keys() - {11}))

    script = Script(signed_on(), bare, silence)
    script.run(sale())
    assert told(script)[0].what.en.endswith("different: field 11 Systems trace audit number (missing)")
    wrong = Script(signed_on(), answer("51", mac=MacState.WRONG), silence)
    wrong.run(sale())
    assert "nothing that shows" in told(wrong)[0].what.en
    assert "no proof" in told(wrong)[0].means.en


def test_what_came_before_the_request_is_told_with_how_long_before() -> None:
    script = after(approve())
    met_by_next_sale(script, of_record(script, SALE, {41: "T0000002"}))
    script.clock.advance(9)
    script.replies = [silence]
    record = script.run(sale("5.00")).record
    assert record is not None
    assert "read 9 s before the wait ended, during sale 000003" in told(script, record.number)[0].what.en


def test_a_late_answer_after_a_restart_is_told_without_seconds() -> None:
    script = after(silence, approve())
    late = of_record(script, SALE)
    script.clock.reboot("boot-2")
    script.replies = [came(late), signed_on(), approve()]
    script.run(sale("1.00"))
    assert "was read after a restart, during sign-on" in told(script)[0].what.en


def test_the_nearest_candidates_come_first_and_what_is_far_in_time_does_not_come() -> None:
    script = after(silence, approve())
    late, foreign = of_record(script, SALE), of_record(script, SALE, {41: "T0000002"})
    met_by_next_sale(script, foreign, late)
    found = candidates(kept(script, SALE), script.journal, DIALECT)
    assert [each.matches for each in found] == [True, False]
    assert found == tuple(sorted(found, key=lambda each: each.distance))
    # For the sale that met them both, the one of the same terminal is nearer, although it answers another request.
    others = candidates(kept(script, 4), script.journal, DIALECT)
    assert [each.stray.sort for each in others] == [StraySort.LATE, StraySort.FOREIGN]
    script.clock.advance(limits.NEAREST_S + 1)
    script.replies = [approve()]
    last = script.run(sale("1.00")).record
    assert last is not None
    assert candidates(last, script.journal, DIALECT) == ()


def test_nothing_is_told_where_nothing_came() -> None:
    script = after(silence, approve())
    assert told(script) == ()


def test_nothing_but_the_sale_is_sent_for_what_came() -> None:
    script = after(silence, approve())
    count = sum(isinstance(effect, Send) for effect in script.effects)
    met_by_next_sale(script, *(of_record(script, SALE, {11: f"{number:06d}"}) for number in range(50, 60)))
    assert sum(isinstance(effect, Send) for effect in script.effects) == count + 1
