"""Answers that are easily taken for more, or for less, than they prove: late, partial, bare, unsigned, of elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Happening, Listen, MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, Outcome, outcome_of
from pos_engine.flow.plan import DutyKind, owed, plan
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount
from pos_engine.wire.message import Message
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.profile import Profile

ACCEPTING = replace(PROFILE, accepts_unsigned_declines=True)
REVERSING = replace(PROFILE, accepts_unsigned_declines=False)
POLICIES = pytest.mark.parametrize("profile", [ACCEPTING, REVERSING], ids=["accept", "reverse"])

HOSTS_BATCH = {60: "22000009000500"}
"""Field 60 of an answer by a host that counts another batch than the terminal."""
SALE = 2
"""The number of the sale's record: the sign-on comes before it."""


def outcome(script: Script, order: Order) -> Outcome | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect)


def kept(script: Script, number: int) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def duties(script: Script) -> list[DutyKind]:
    return [duty.kind for duty in owed(script.journal, PROFILE, script.clock.now())]


def sent(script: Script) -> list[str]:
    return [message.mti for message in script.sent]


def of_the_sale(request: Message) -> Message:
    """Turn a reversal back into the sale it reverses, so that the host's answer to that can be made."""
    return request.replace({3: "000000"}, mti="0200")


def late(reply: Reply) -> Reply:
    """Answer the sale while its reversal waits for an answer."""
    return lambda request, now: reply(of_the_sale(request), now)


def bare(code: str) -> Reply:
    """Answer a reversal with nothing but what pairs the two messages."""

    def reply(request: Message, now: Instant) -> Happening:
        return Answered(now, Message("0410", {11: request[11], 39: code, 41: request[41]}), MacState.ABSENT)

    return reply


def without(reply: Reply, *numbers: int) -> Reply:
    """Leave elements out of an answer."""

    def shortened(request: Message, now: Instant) -> Happening:
        happened = reply(request, now)
        assert isinstance(happened, Answered)
        return replace(happened, message=happened.message.without(*numbers))

    return shortened


@pytest.mark.parametrize("approval", ["00", "11", "A2"])
@pytest.mark.parametrize("code", ["12", "25"])
def test_a_host_that_approved_late_cannot_end_the_reversal_by_not_knowing_the_sale(approval: str, code: str) -> None:
    script = Script(signed_on(), silence, late(answer(approval)), answer(code))
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert duties(script) == [DutyKind.REPEAT]
    assert kept(script, SALE + 1).approval_proven


def test_a_late_approval_is_passed_over_and_the_accepted_reversal_ends_the_duty() -> None:
    script = Script(signed_on(), silence, late(approve()), approve(), approve())
    script.run(sale())
    assert isinstance(outcome(script, sale("5.00")), Approved)
    assert sent(script) == ["0800", "0200", "0400", "0200"]
    assert [type(effect) for effect in script.effects].count(Listen) == 1
    assert kept(script, SALE).state is State.DOUBTFUL
    assert duties(script) == []


def test_the_proof_of_a_late_approval_outlives_a_restart_and_only_acceptance_ends_the_reversal() -> None:
    before = Script(signed_on(), silence, late(approve()), silence)
    before.run(sale())
    before.run(None)
    for code in ("25", "12"):
        after = Script(answer(code), journal=before.journal)
        finished = after.run(sale())
        assert finished.blocked_by is not None
        assert duties(after) == [DutyKind.REPEAT]
    after = Script(approve(), approve(), journal=before.journal)
    assert isinstance(outcome(after, sale()), Approved)
    assert duties(after) == []


@pytest.mark.parametrize(
    "stray",
    [
        late(approve(mac=MacState.WRONG)),
        late(approve(mac=MacState.ABSENT)),
        late(answer("51")),
        late(answer("a2")),
        late(approve({11: "000099"})),
        late(approve({4: "000000000001"})),
        late(approve({41: "T0000002"})),
        late(approve(HOSTS_BATCH)),
        # An approval of a sign-on or of a refund is none of the sale.
        lambda request, now: approve()(request.replace({}, mti="0800"), now),
        lambda request, now: approve()(request.replace({}, mti="0220"), now),
    ],
)
def test_what_does_not_prove_that_the_sale_was_approved_leaves_the_reversal_its_ends(stray: Reply) -> None:
    script = Script(signed_on(), silence, stray, answer("25"))
    script.run(sale())
    script.run(None)
    assert not kept(script, SALE + 1).approval_proven
    assert duties(script) == []


@pytest.mark.parametrize("first", [without(approve(), 37), answer("10"), answer("10", {4: "000000000001"})])
@pytest.mark.parametrize("code", ["12", "25"])
def test_an_approval_that_cannot_be_used_still_proves_that_there_is_something_to_reverse(
    first: Reply, code: str
) -> None:
    script = Script(signed_on(), first, answer(code), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert duties(script) == [DutyKind.REPEAT]
    script.clock.advance(limits.BACKOFF_FIRST_S)
    script.run(None)
    assert duties(script) == []


@pytest.mark.parametrize("first", [answer(""), approve(mac=MacState.WRONG), approve(mac=MacState.ABSENT), silence])
def test_a_doubt_without_a_proven_approval_ends_when_the_host_knows_no_original(first: Reply) -> None:
    script = Script(signed_on(), first, answer("25"))
    script.run(sale())
    script.run(None)
    assert duties(script) == []


@pytest.mark.parametrize("code", ["77", "99", "A0"])
@pytest.mark.parametrize("mac", list(MacState))
def test_a_demand_under_the_hosts_own_batch_is_heard_and_leaves_the_sale_in_doubt(code: str, mac: MacState) -> None:
    demand = answer(code, HOSTS_BATCH, mac)
    script = Script(signed_on("000001"), demand, signed_on("000009"), answer("25"), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    second = outcome(script, sale())
    assert isinstance(second, Approved)
    assert second.batch == "000009"
    assert sent(script) == ["0800", "0200", "0800", "0400", "0200"]
    assert script.sent[3][39] == "98"
    assert script.sent[3][60].startswith("22000001")


def test_a_reversal_answered_with_a_demand_under_the_hosts_batch_is_repeated_after_a_sign_on() -> None:
    demand = answer("77", HOSTS_BATCH, MacState.ABSENT)
    script = Script(signed_on("000001"), silence, demand, signed_on("000009"), approve(), approve())
    script.run(sale())
    assert isinstance(outcome(script, sale()), Approved)
    assert sent(script) == ["0800", "0200", "0400", "0800", "0400", "0200"]
    assert script.sent[4] == script.sent[2]
    assert duties(script) == []


@pytest.mark.parametrize("code", ["00", "51", "96"])
def test_any_other_answer_under_the_hosts_batch_is_passed_over(code: str) -> None:
    script = Script(signed_on(), answer(code, HOSTS_BATCH), silence)
    script.run(sale())
    assert kept(script, SALE).answer is None
    assert kept(script, SALE).reason == "98"


@pytest.mark.parametrize("strange", [{11: "000099"}, {41: "T0000002"}, {4: "000000000001"}])
def test_a_demand_to_somebody_else_is_passed_over(strange: dict[int, str]) -> None:
    script = Script(signed_on(), answer("77", HOSTS_BATCH | strange), approve())
    assert isinstance(outcome(script, sale()), Approved)
    assert plan(script.journal, PROFILE, script.clock.now()) is None


@pytest.mark.parametrize("amount", ["000000000001", "000000000100", "000000001233", "000000001234"])
def test_a_partial_approval_is_known_at_once_and_reversed_in_full(amount: str) -> None:
    script = Script(signed_on(), answer("10", {4: amount}), approve())
    assert isinstance(outcome(script, sale("12.34")), InDoubt)
    assert not [effect for effect in script.effects if isinstance(effect, Listen)]
    script.run(None)
    assert (script.sent[-1].mti, script.sent[-1][39], script.sent[-1][4]) == ("0400", "06", "000000001234")
    assert duties(script) == []


@pytest.mark.parametrize("amount", ["000000000000", "000000001235"])
def test_an_approval_of_nothing_or_of_more_than_was_asked_is_no_partial_one(amount: str) -> None:
    script = Script(signed_on(), answer("10", {4: amount}), silence)
    script.run(sale("12.34"))
    assert kept(script, SALE).answer is None
    assert kept(script, SALE).reason == "98"


def test_a_bare_acceptance_does_not_end_a_reversal() -> None:
    script = Script(signed_on(), silence, bare("00"), approve())
    script.run(sale())
    script.run(None)
    assert duties(script) == [DutyKind.REPEAT]
    assert kept(script, SALE + 1).notes == ("not accepted: without fields 3, 4, 42",)


@pytest.mark.parametrize("code", ["12", "25"])
def test_a_bare_refusal_ends_a_reversal(code: str) -> None:
    script = Script(signed_on(), silence, bare(code))
    script.run(sale())
    script.run(None)
    assert duties(script) == []


@pytest.mark.parametrize("code", ["a0", "a2", "a4", "a5", "a6", "zz"])
@pytest.mark.parametrize("mac", [MacState.VALID, MacState.ABSENT])
def test_a_code_in_lower_case_is_doubt_and_neither_decline_nor_demand(code: str, mac: MacState) -> None:
    script = Script(signed_on(), answer(code, mac=mac), answer(code), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert sent(script) == ["0800", "0200", "0400"]
    assert script.sent[2][39] == "06"
    assert duties(script) == [DutyKind.REPEAT]


@pytest.mark.parametrize("code", ["05", "51", "96"])
def test_an_unsigned_decline_counts_where_the_profile_accepts_it(code: str) -> None:
    script = Script(signed_on(), answer(code, mac=MacState.ABSENT), profile=ACCEPTING)
    assert isinstance(outcome(script, sale()), Declined)
    assert duties(script) == []


@pytest.mark.parametrize("code", ["05", "51", "96"])
def test_an_unsigned_decline_is_reversed_where_the_profile_does_not_accept_it(code: str) -> None:
    script = Script(signed_on(), answer(code, mac=MacState.ABSENT), answer("25"), profile=REVERSING)
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert [(message.mti, message.get(39)) for message in script.sent[2:]] == [("0400", "98")]
    assert duties(script) == []


@POLICIES
def test_a_signed_decline_counts_under_either_policy(profile: Profile) -> None:
    script = Script(signed_on(), answer("51"), profile=profile)
    assert isinstance(outcome(script, sale()), Declined)


@POLICIES
def test_a_decline_with_a_wrong_mac_is_passed_over_under_either_policy(profile: Profile) -> None:
    script = Script(signed_on(), answer("51", mac=MacState.WRONG), approve(), profile=profile)
    assert isinstance(outcome(script, sale()), Approved)


def test_an_unsigned_demand_is_a_decline_where_unsigned_declines_count() -> None:
    script = Script(signed_on(), answer("77", mac=MacState.ABSENT), signed_on(), approve())
    assert isinstance(outcome(script, sale()), Declined)
    assert isinstance(outcome(script, sale()), Approved)
    assert sent(script) == ["0800", "0200", "0800", "0200"]


@POLICIES
def test_a_sign_on_has_no_mac_and_is_declined_under_either_policy(profile: Profile) -> None:
    script = Script(answer("03", mac=MacState.ABSENT), profile=profile)
    assert isinstance(outcome(script, Order(kind=Kind.SIGN_ON)), Declined)


@POLICIES
def test_a_reversal_ends_without_a_mac_under_either_policy(profile: Profile) -> None:
    script = Script(signed_on(), silence, answer("25", mac=MacState.ABSENT), profile=profile)
    script.run(sale())
    script.run(None)
    assert duties(script) == []


@pytest.mark.parametrize("code", ["00", "12", "25"])
def test_an_unsigned_answer_does_not_end_a_reversal_where_the_profile_demands_a_mac(code: str) -> None:
    strict = replace(PROFILE, accepts_unsigned_reversals=False)
    script = Script(signed_on(), silence, answer(code, mac=MacState.ABSENT), answer(code), profile=strict)
    script.run(sale())
    script.run(None)
    assert duties(script) == [DutyKind.REPEAT]
    script.clock.advance(limits.BACKOFF_MAX_S)
    script.run(None)
    assert duties(script) == []


def test_an_unsigned_decline_of_a_refund_that_does_not_count_is_for_a_person_to_settle() -> None:
    order = Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=OriginalRef("000044", "000123", "0101"))
    script = Script(signed_on(), answer("51", mac=MacState.ABSENT), profile=REVERSING)
    assert isinstance(outcome(script, order), InDoubt)
    assert script.run(None).worked_off == ()
    assert duties(script) == [DutyKind.ASK]
