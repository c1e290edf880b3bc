"""Asking again, and acting on the same sale twice, whatever else is going on: nothing is sold or given back twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Happening, MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, outcome_of
from pos_engine.flow.plan import plan
from pos_engine.flow.profile import SaleLimits
from pos_engine.journal.record import State
from pos_engine.session.states import SessionState, session_of
from pos_engine.values import CURRENCIES, Amount
from tests.support.exchange import PROFILE, Script, answer, approve, sale, signed_on, silence, unsent

KEYED = replace(sale("12.34"), key="order 17")


def outcome(script: Script, order: Order) -> Approved | Declined | InDoubt | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect, script.journal.acting_on(finished.record.number))


def sold(script: Script) -> Approved:
    result = outcome(script, sale("10.00"))
    assert isinstance(result, Approved)
    return result


def state_of(script: Script) -> SessionState:
    return session_of(script.journal, script.clock.now(), PROFILE.session).state


def test_a_repeated_key_tells_its_outcome_although_the_line_is_dead() -> None:
    script = Script(signed_on(), approve())
    first = outcome(script, KEYED)
    script.clock.reboot("boot-2")
    assert outcome(script, KEYED) == first
    assert len(script.sent) == 2


def test_a_repeated_key_in_doubt_tells_so_although_its_reversal_fails() -> None:
    script = Script(signed_on(), silence, unsent, approve())
    assert isinstance(outcome(script, KEYED), InDoubt)
    blocked = outcome(script, KEYED)
    assert isinstance(blocked, InDoubt)
    assert "will be reversed" in blocked.duty.en
    settled = outcome(script, KEYED)
    assert isinstance(settled, InDoubt)
    assert settled.duty.en == "it was reversed since: nothing was charged"


def test_a_repeated_key_is_answered_although_a_limit_was_lowered_meanwhile() -> None:
    script = Script(signed_on(), approve())
    first = outcome(script, KEYED)
    script.profile = replace(PROFILE, limits=SaleLimits(transaction=100))
    assert outcome(script, KEYED) == first


@pytest.mark.parametrize("kind", [Kind.REFUND, Kind.VOID])
def test_a_refund_in_doubt_is_found_under_every_form_of_its_reference(kind: Kind) -> None:
    script = Script(signed_on(), approve(), silence)
    first = sold(script)
    refund = Order(kind=Kind.REFUND, amount=Amount.cny("5.00"), original=first.reference)
    assert isinstance(outcome(script, refund), InDoubt)
    amount = Amount.cny("5.00") if kind is Kind.REFUND else None
    bare = OriginalRef(first.batch, first.stan, first.host_date)
    for original in (bare, first.reference):
        with pytest.raises(UsageError, match="in doubt"):
            script.run(Order(kind=kind, amount=amount, original=original))
    assert len(script.sent) == 3


def test_a_key_used_for_the_same_numbers_of_another_terminal_is_refused() -> None:
    script = Script(signed_on(), approve())
    ours = OriginalRef("000044", "000002", "0101", rrn="111111111111")
    refund = Order(kind=Kind.REFUND, amount=Amount.cny("5.00"), original=ours, key="r1")
    assert isinstance(outcome(script, refund), Approved)
    with pytest.raises(UsageError, match="key was used before"):
        script.run(replace(refund, original=replace(ours, rrn="222222222222")))


def test_a_sign_on_whose_answer_was_lost_makes_another_one_due() -> None:
    script = Script(signed_on(), silence)
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_ON))
    assert state_of(script) is SessionState.EXPIRED


def test_a_sign_off_whose_answer_was_lost_counts_as_one() -> None:
    script = Script(signed_on(), silence, signed_on(), approve())
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_OFF))
    assert state_of(script) is SessionState.SIGNED_OFF
    assert isinstance(outcome(script, sale()), Approved)


def test_a_sign_off_of_which_nothing_was_sent_changes_nothing() -> None:
    script = Script(signed_on(), unsent)
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_OFF))
    assert state_of(script) is SessionState.READY


def test_signing_off_twice_does_not_sign_on_between() -> None:
    script = Script(signed_on(), approve(mac=MacState.ABSENT), approve(mac=MacState.ABSENT))
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_OFF))
    script.run(Order(kind=Kind.SIGN_OFF))
    assert [message.mti for message in script.sent] == ["0800", "0820", "0820"]


def test_a_refund_in_doubt_does_not_sign_a_terminal_on_again() -> None:
    script = Script(signed_on(), approve(), silence, approve(mac=MacState.ABSENT))
    first = sold(script)
    script.run(Order(kind=Kind.REFUND, amount=Amount.cny("5.00"), original=first.reference))
    script.run(Order(kind=Kind.SIGN_OFF))
    assert plan(script.journal, PROFILE, script.clock.now()) is None


@pytest.mark.parametrize("code", ["77", "99", "A0"])
def test_an_unsigned_demand_is_a_hint_and_no_decline_where_declines_are_signed(code: str) -> None:
    script = Script(signed_on(), answer(code, mac=MacState.ABSENT), signed_on(), answer("25"))
    script.profile = replace(PROFILE, accepts_unsigned_declines=False)
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0400"]


def test_a_void_is_of_the_same_day() -> None:
    script = Script(signed_on(), approve())
    first = sold(script)
    script.clock.advance(13 * 3600)
    with pytest.raises(UsageError, match="another day"):
        script.run(Order(kind=Kind.VOID, original=first.reference))


def test_an_answer_to_another_management_message_is_passed_over() -> None:
    def of_echo(happened: Happening) -> Happening:
        assert isinstance(happened, Answered)
        return replace(happened, message=happened.message.replace({60: "00000000301"}))

    right = approve(mac=MacState.ABSENT)
    script = Script(lambda request, now: of_echo(right(request, now)), right)
    record = script.run(Order(kind=Kind.STATUS, report="011")).record
    assert record is not None
    assert record.state is State.APPROVED
    assert record.notes == ("passed over 0830: field 60.3 differs",)


@pytest.mark.parametrize("report", ["", "缺纸"])
def test_a_report_that_cannot_be_sent_is_refused(report: str) -> None:
    with pytest.raises(UsageError, match="report"):
        Script().run(Order(kind=Kind.STATUS, report=report))


def test_limits_are_of_one_currency() -> None:
    script = Script(signed_on(), profile=replace(PROFILE, limits=SaleLimits(day=10_000)))
    with pytest.raises(UsageError, match="currency"):
        script.run(Order(kind=Kind.SALE, amount=Amount(100, CURRENCIES["840"])))


def test_a_balance_does_not_rest_in_the_journal() -> None:
    script = Script(signed_on(), approve({54: "1002156C000000012345"}))
    result = outcome(script, Order(kind=Kind.BALANCE))
    assert isinstance(result, Approved)
    assert str(result.balance) == "123.45 CNY"
    assert not any("000000012345" in form for form in script.journal.history)
