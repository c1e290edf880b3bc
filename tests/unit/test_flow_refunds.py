"""Refunds: whose sale it is, which card it goes back to, and none while another of its sale is in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import UNKNOWN_RRN, Order
from pos_engine.flow.effects import Ask, CheckKeys, Effect, Emit
from pos_engine.flow.outcomes import Approved, InDoubt, Outcome, outcome_of
from pos_engine.flow.plan import DutyKind, owed, plan
from pos_engine.journal.record import State
from pos_engine.values import Amount, Card
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

FOREIGN = OriginalRef("000044", "000123", "0101", rrn="123456789012")
"""A sale of another terminal."""
OTHER_CARD = "6229991111111117"


def refund(text: str, original: OriginalRef) -> Order:
    return Order(kind=Kind.REFUND, amount=Amount.cny(text), original=original)


def outcome(script: Script, order: Order) -> Outcome | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect)


def sold(script: Script, text: str = "10.00") -> Approved:
    result = outcome(script, sale(text))
    assert isinstance(result, Approved)
    return result


def duties(script: Script) -> list[tuple[DutyKind, int]]:
    found = owed(script.journal, PROFILE, script.clock.now())
    return [(duty.kind, duty.record.number) for duty in found if duty.record is not None]


def test_a_sale_of_another_terminal_may_be_refunded_and_more_than_once() -> None:
    script = Script(signed_on(), approve(), approve())
    assert isinstance(outcome(script, refund("5.00", FOREIGN)), Approved)
    assert isinstance(outcome(script, refund("5.00", FOREIGN)), Approved)
    assert script.sent[1][61] == script.sent[2][61] == "0000440001230101"
    assert script.sent[1][37] == FOREIGN.rrn


def test_a_refund_in_doubt_blocks_another_of_the_same_foreign_sale_before_a_card_is_taken() -> None:
    script = Script(signed_on(), silence)
    assert isinstance(outcome(script, refund("5.00", FOREIGN)), InDoubt)
    before = len(script.effects)
    with pytest.raises(UsageError, match="STAN 000123 is in doubt"):
        script.run(refund("5.00", FOREIGN))
    assert touched_nothing(script.effects[before:])


@pytest.mark.parametrize(
    "other",
    [
        replace(FOREIGN, stan="000124"),
        replace(FOREIGN, batch="000045"),
        replace(FOREIGN, rrn="123456789013"),
    ],
)
def test_a_refund_in_doubt_does_not_block_refunds_of_another_foreign_sale(other: OriginalRef) -> None:
    script = Script(signed_on(), silence, approve())
    script.run(refund("5.00", FOREIGN))
    assert isinstance(outcome(script, refund("5.00", other)), Approved)


@pytest.mark.parametrize("first", [answer("51"), unsent])
def test_a_refund_that_gave_nothing_back_neither_blocks_nor_counts(first: Reply) -> None:
    script = Script(signed_on(), approve(), first, approve())
    original = sold(script).reference
    script.run(refund("10.00", original))
    assert isinstance(outcome(script, refund("10.00", original)), Approved)


def test_a_foreign_sale_with_our_batch_and_stan_takes_nothing_from_our_own() -> None:
    script = Script(signed_on(), approve(), approve(), approve())
    ours = sold(script, "10.00").reference
    theirs = replace(ours, rrn="999999999999")
    assert isinstance(outcome(script, refund("400.00", theirs)), Approved)
    assert isinstance(outcome(script, refund("10.00", ours)), Approved)
    foreign, own = script.journal.find(3), script.journal.find(4)
    assert foreign is not None
    assert own is not None
    assert (foreign.original, own.original) == (None, 2)


def test_a_sale_named_without_its_rrn_is_our_own_when_batch_and_stan_are() -> None:
    script = Script(signed_on(), approve(), approve())
    original = replace(sold(script, "10.00").reference, rrn=UNKNOWN_RRN)
    with pytest.raises(UsageError, match="exceed"):
        script.run(refund("10.01", original))
    assert isinstance(outcome(script, refund("10.00", original)), Approved)


def test_a_refund_to_another_card_is_refused_and_leaves_no_trace() -> None:
    script = Script(signed_on(), approve(), approve())
    original = sold(script).reference
    first_card, script.card = script.card, Card.keyed(OTHER_CARD)
    with pytest.raises(UsageError, match="STAN 000002 was paid with another card"):
        script.run(refund("4.00", original))
    assert script.journal.next_number() == 3
    assert [message.mti for message in script.sent] == ["0800", "0200"]
    script.card = first_card
    assert isinstance(outcome(script, refund("4.00", original)), Approved)


def test_the_same_card_may_be_keyed_for_the_refund() -> None:
    script = Script(signed_on(), approve(), approve())
    original = sold(script).reference
    script.card = Card.keyed(script.card.pan.reveal(), "3012")
    assert isinstance(outcome(script, refund("4.00", original)), Approved)


def test_which_card_paid_for_a_foreign_sale_is_for_the_host_to_say() -> None:
    script = Script(signed_on(), approve())
    script.card = Card.keyed(OTHER_CARD)
    assert isinstance(outcome(script, refund("4.00", FOREIGN)), Approved)


def test_a_refund_in_doubt_is_listed_as_owed_and_never_done_by_itself() -> None:
    script = Script(signed_on(), approve(), silence)
    script.run(refund("4.00", sold(script).reference))
    assert duties(script) == [(DutyKind.ASK, 3)]
    assert plan(script.journal, PROFILE, script.clock.now()) is None
    before = len(script.effects)
    finished = script.run(None)
    assert (finished.worked_off, finished.blocked_by, script.next_duty()) == ((), None, None)
    assert len(script.effects) == before


def test_a_refund_in_doubt_blocks_a_void_of_its_sale() -> None:
    script = Script(signed_on(), approve(), silence)
    original = sold(script).reference
    script.run(refund("4.00", original))
    before = len(script.effects)
    with pytest.raises(UsageError, match="STAN 000002 is in doubt"):
        script.run(Order(kind=Kind.VOID, original=original))
    assert touched_nothing(script.effects[before:])


def test_a_refund_in_doubt_does_not_hold_up_a_reversal_that_is_owed_after_it() -> None:
    script = Script(signed_on(), approve(), silence, silence, approve())
    script.run(refund("4.00", sold(script).reference))
    script.run(sale())
    assert duties(script) == [(DutyKind.ASK, 3), (DutyKind.REVERSE, 4)]
    script.run(None)
    assert duties(script) == [(DutyKind.ASK, 3)]


def touched_nothing(effects: list[Effect]) -> bool:
    """Whether no card was asked for and nothing was kept or sent: checking the keys harms nobody."""
    return all(isinstance(effect, Ask) and isinstance(effect.question, CheckKeys) for effect in effects)


def interrupted_refund() -> tuple[Script, OriginalRef]:
    """Sell, and die while a refund of it waits for its answer."""
    script = Script(signed_on(), approve())
    original = sold(script).reference
    with pytest.raises(IndexError):
        script.run(refund("4.00", original))  # The script has no reply: the terminal dies while it waits.
    return script, original


def test_an_interrupted_refund_is_put_on_record_as_in_doubt_and_shown_after_a_restart() -> None:
    before, _ = interrupted_refund()
    after = Script(journal=before.journal)
    after.run(None)
    record = after.journal.find(3)
    assert record is not None
    assert record.state is State.DOUBTFUL
    assert [effect.record for effect in after.effects if isinstance(effect, Emit)] == [record]
    assert after.sent == []
    assert duties(after) == [(DutyKind.ASK, 3)]


def test_an_interrupted_refund_blocks_another_from_the_first_call_on() -> None:
    before, original = interrupted_refund()
    after = Script(journal=before.journal)
    with pytest.raises(UsageError, match="in doubt"):
        after.run(refund("4.00", original))
    assert after.sent == []
    assert after.journal.next_number() == 4


def test_a_sale_after_a_restart_puts_the_interrupted_refund_on_record_first() -> None:
    before, _ = interrupted_refund()
    after = Script(approve(), journal=before.journal)
    assert isinstance(outcome(after, sale()), Approved)
    shown = [effect.record.kind for effect in after.effects if isinstance(effect, Emit)]
    assert shown == [Kind.REFUND, Kind.SALE]


def test_a_refund_that_never_left_is_not_in_doubt() -> None:
    script = Script(signed_on(), approve(), unsent)
    finished = script.run(refund("4.00", sold(script).reference))
    assert finished.record is not None
    assert finished.record.state is State.UNSENT
    assert duties(script) == []
