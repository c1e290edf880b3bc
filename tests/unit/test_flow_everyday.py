from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, Standing, line_of, outcome_of
from pos_engine.flow.plan import plan
from pos_engine.flow.profile import SaleLimits
from pos_engine.journal.record import State
from pos_engine.session.states import SessionState, session_of
from pos_engine.values import Amount, Card
from tests.support.exchange import PROFILE, Script, answer, approve, sale, signed_on, silence, unsent


def outcome(script: Script, order: Order) -> Approved | Declined | InDoubt | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect)


def sold(script: Script, text: str = "10.00") -> Approved:
    result = outcome(script, sale(text))
    assert isinstance(result, Approved)
    return result


def void(of: Approved) -> Order:
    return Order(kind=Kind.VOID, original=of.reference)


def refund(of: Approved, text: str) -> Order:
    return Order(kind=Kind.REFUND, original=of.reference, amount=Amount.cny(text))


def test_a_void_names_the_sale_and_takes_the_whole_amount() -> None:
    script = Script(signed_on(), approve({38: "123456"}), approve())
    assert isinstance(outcome(script, void(sold(script))), Approved)
    request = script.sent[-1]
    assert (request.mti, request[3], request[4], request[61]) == ("0200", "200000", "000000001000", "000001000002")
    assert (request[37], request[38], request[60][:2]) == ("000000000001", "123456", "23")
    record = script.journal.find(2)
    assert record is not None
    assert line_of(record, script.journal.acting_on(2)).standing is Standing.VOIDED


def test_a_sale_is_voided_once_and_not_refunded_afterwards() -> None:
    script = Script(signed_on(), approve(), approve())
    first = sold(script)
    assert isinstance(outcome(script, void(first)), Approved)
    for order in (void(first), refund(first, "1.00")):
        with pytest.raises(UsageError, match="was voided"):
            script.run(order)


def test_a_void_in_doubt_is_reversed_and_then_the_sale_stands_again() -> None:
    script = Script(signed_on(), approve(), silence, approve(), approve())
    first = sold(script)
    assert isinstance(outcome(script, void(first)), InDoubt)
    assert isinstance(outcome(script, void(first)), Approved)
    reversal = script.sent[3]
    # Its field 61 names the void that is reversed, not the sale.
    assert (reversal.mti, reversal[11], reversal[61]) == ("0400", "000003", "000001000003")


def test_only_a_whole_sale_of_this_terminal_and_batch_is_voided() -> None:
    script = Script(signed_on(), approve(), approve(), signed_on("000002"))
    first = sold(script)
    assert isinstance(outcome(script, refund(first, "1.00")), Approved)
    with pytest.raises(UsageError, match="refunded in part"):
        script.run(void(first))
    with pytest.raises(UsageError, match="of this terminal"):
        script.run(Order(kind=Kind.VOID, original=OriginalRef("000001", "000777", "0101")))
    script.run(Order(kind=Kind.SIGN_ON))
    with pytest.raises(UsageError, match="batch 000001, which is closed"):
        script.run(void(first))


def test_a_void_of_another_amount_is_refused() -> None:
    script = Script(signed_on(), approve())
    with pytest.raises(UsageError, match=r"whole amount, 10\.00 CNY"):
        script.run(replace(void(sold(script)), amount=Amount.cny("9.99")))


def test_a_refused_supervisor_ends_a_void_or_refund_before_a_card_is_taken() -> None:
    script = Script(signed_on(), approve())
    first = sold(script)
    script.supervisor_allows = False
    for order in (void(first), refund(first, "1.00")):
        with pytest.raises(UsageError, match="supervisor"):
            script.run(order)
    assert len(script.sent) == 2


def test_a_balance_inquiry_tells_the_balance_and_journals_no_duty() -> None:
    script = Script(signed_on(), approve({54: "1001156C0000000005001002156D000000012345"}), silence)
    result = outcome(script, Order(kind=Kind.BALANCE))
    assert isinstance(result, Approved)
    assert str(result.balance) == "-123.45 CNY"
    assert 4 not in script.sent[-1]
    assert script.sent[-1][60] == "0100000100050"
    assert script.run(Order(kind=Kind.BALANCE)).record is not None
    assert plan(script.journal, PROFILE, script.clock.now()) is None


def test_an_inquiry_signs_on_when_that_is_due_and_leaves_duties_alone() -> None:
    script = Script(signed_on(), silence, approve({54: "1002156C000000012345"}))
    script.run(sale())
    assert isinstance(outcome(script, Order(kind=Kind.BALANCE)), Approved)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0200"]


@pytest.mark.parametrize("order", [Order(kind=Kind.ECHO), Order(kind=Kind.STATUS, report="011021")])
def test_echo_and_status_carry_no_stan_and_need_no_sign_on(order: Order) -> None:
    script = Script(approve(mac=MacState.ABSENT))
    assert isinstance(outcome(script, order), Approved)
    assert 11 not in script.sent[0]
    assert script.sent[0].mti == "0820"
    assert script.sent[0].get(62) == (order.report.encode().hex().upper() or None)


def test_signing_off_lasts_until_the_terminal_is_used() -> None:
    script = Script(signed_on(), approve(mac=MacState.ABSENT), signed_on(), approve())
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_OFF))
    now = script.clock.now()
    assert session_of(script.journal, now, PROFILE.session).state is SessionState.SIGNED_OFF
    assert plan(script.journal, PROFILE, now) is None
    script.run(None)
    assert len(script.sent) == 2
    assert isinstance(outcome(script, sale()), Approved)


def test_signing_off_waits_until_what_is_owed_is_done() -> None:
    script = Script(signed_on(), silence, silence, approve(), approve(mac=MacState.ABSENT))
    script.run(sale())
    assert script.run(Order(kind=Kind.SIGN_OFF)).blocked_by is not None
    assert isinstance(outcome(script, Order(kind=Kind.SIGN_OFF)), Approved)


def with_key(text: str, key: str = "order 17") -> Order:
    return replace(sale(text), key=key)


def test_the_same_key_again_returns_the_first_outcome_and_sends_nothing() -> None:
    script = Script(signed_on(), approve(), answer("51"))
    for text, key in (("10.00", "a"), ("20.00", "b")):
        first, sent = script.run(with_key(text, key)).record, len(script.sent)
        assert first is not None
        assert script.run(with_key(text, key)).record == script.journal.find(first.number)
        assert len(script.sent) == sent


@pytest.mark.parametrize(
    "order",
    [with_key("10.01"), replace(with_key("10.00"), kind=Kind.REFUND, original=OriginalRef("000009", "000001", "0101"))],
)
def test_a_key_used_for_something_else_is_refused(order: Order) -> None:
    script = Script(signed_on(), approve())
    script.run(with_key("10.00"))
    with pytest.raises(UsageError, match="key was used before"):
        script.run(order)


def test_a_key_names_one_original() -> None:
    script = Script(signed_on(), approve(), approve(), approve(), approve())
    first, second = sold(script), sold(script)
    assert isinstance(outcome(script, replace(void(first), key="undo")), Approved)
    assert isinstance(outcome(script, replace(refund(second, "5.00"), key="back")), Approved)
    sent = len(script.sent)
    for again in (replace(void(first), key="undo"), replace(refund(second, "5.00"), key="back")):
        assert isinstance(outcome(script, again), Approved)
    for other in (replace(void(second), key="undo"), replace(refund(first, "5.00"), key="back")):
        with pytest.raises(UsageError, match="key was used before"):
            script.run(other)
    assert len(script.sent) == sent


def test_a_key_of_which_nothing_was_sent_starts_again() -> None:
    script = Script(signed_on(), unsent, approve())
    assert outcome(script, with_key("10.00")) is None
    assert isinstance(outcome(script, with_key("10.00")), Approved)


def test_a_sale_in_doubt_is_reversed_and_its_key_does_not_sell_again() -> None:
    script = Script(signed_on(), silence, approve())
    assert isinstance(outcome(script, with_key("10.00")), InDoubt)
    assert isinstance(outcome(script, with_key("10.00")), InDoubt)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0400"]


@pytest.mark.parametrize("key", ["", "x" * 65, "a\nb"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="idempotency key"):
        Script().run(with_key("10.00", key))


def test_an_amount_that_is_not_what_the_till_says_is_refused() -> None:
    with pytest.raises(UsageError, match=r"10\.00 CNY is not the 100\.00 CNY"):
        Script().run(replace(sale("10.00"), expected=Amount.cny("100.00")))


def test_a_partial_approval_is_of_what_the_host_names_where_it_was_asked_for() -> None:
    script = Script(signed_on(), answer("10", {4: "000000000700"}), approve({4: "000000000700"}))
    result = outcome(script, replace(sale("10.00"), allows_partial=True))
    assert isinstance(result, Approved)
    assert (str(result.amount), str(result.requested), result.code.code) == ("7.00 CNY", "10.00 CNY", "10")
    assert script.sent[1][60] == "22000001000501"
    assert isinstance(outcome(script, void(result)), Approved)
    assert script.sent[2][4] == "000000000700"


@pytest.mark.parametrize("digits", ["000000001000", "000000001001", "000000000000"])
def test_a_partial_approval_of_no_smaller_amount_never_moves_more_than_was_asked_for(digits: str) -> None:
    script = Script(signed_on(), answer("10", {4: digits}), silence)
    record = script.run(replace(sale("10.00"), allows_partial=True)).record
    assert record is not None
    assert record.state is not State.APPROVED or (record.amount is not None and record.amount.minor <= 1000)


LIMITED = replace(PROFILE, limits=SaleLimits(transaction=5000, day=9000, card_day=7000))


def test_limits_count_what_was_sold_or_may_have_been_and_not_what_was_taken_back() -> None:
    script = Script(signed_on(), approve(), silence, approve(), approve(), approve(), approve(), profile=LIMITED)
    with pytest.raises(UsageError, match="for one transaction"):
        script.run(sale("50.01"))
    first = sold(script, "40.00")
    with pytest.raises(UsageError, match="for one card and day"):
        script.run(sale("30.01"))
    script.run(sale("30.00"))  # In doubt, and reversed by the next call.
    script.card = Card.keyed("6229990000000046", "4912")
    sold(script, "50.00")
    with pytest.raises(UsageError, match="left of the limit for one day"):
        script.run(sale("0.01"))
    script.card = Card.stripe("6229990000000004D30122010000012300000")
    assert isinstance(outcome(script, void(first)), Approved)
    sold(script, "40.00")


def test_limits_begin_again_with_the_day() -> None:
    script = Script(signed_on(), approve(), approve(), profile=LIMITED)
    sold(script, "50.00")
    script.clock.advance(12 * 3600)
    sold(script, "50.00")
