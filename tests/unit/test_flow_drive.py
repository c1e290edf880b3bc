from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Emit, Happening, Listen, MacState, Save, Send, Silent, Unreadable, Way
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, outcome_of
from pos_engine.flow.plan import DutyKind, expendable, owed, plan
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount, Card
from tests.support.exchange import (
    PROFILE,
    TRACK,
    Found,
    Reply,
    Script,
    answer,
    approve,
    sale,
    signed_on,
    silence,
    unsent,
)

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.wire.message import Message


def outcome(script: Script, order: Order) -> Approved | Declined | InDoubt | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect)


def test_a_first_sale_signs_on_first_and_uses_its_batch() -> None:
    script = Script(signed_on("000007"), approve())
    result = outcome(script, sale())
    assert isinstance(result, Approved)
    assert [message.mti for message in script.sent] == ["0800", "0200"]
    assert script.sent[1][60] == "22000007000500"
    assert (result.batch, result.stan, result.rrn) == ("000007", "000002", "000000000001")


def test_every_request_is_saved_before_it_is_sent_and_every_outcome_before_it_is_shown() -> None:
    script = Script(signed_on(), silence, approve(), approve())
    script.run(sale())
    script.run(sale())
    for position, effect in enumerate(script.effects):
        if isinstance(effect, Send):
            before = script.effects[position - 1]
            assert isinstance(before, Save)
            assert before.record.request == effect.message
            assert before.record.state is State.PENDING
        if isinstance(effect, Emit):
            assert script.effects[position - 1] == Save(effect.record)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (silence, "98"),
        (approve(mac=MacState.WRONG), "A0"),
        (approve(mac=MacState.ABSENT), "A0"),
        (answer("10"), "06"),
        (answer(""), "06"),
        (lambda _request, now: Unreadable(now, "field 4: not digits"), "06"),
    ],
)
def test_a_sale_in_doubt_is_reversed_before_the_next_one(reply: Reply, reason: str) -> None:
    script = Script(signed_on(), reply, approve(), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    assert isinstance(outcome(script, sale("5.00")), Approved)
    original, reversal, _next_sale = script.sent[1:]
    assert reversal.mti == "0400"
    assert reversal[39] == reason
    assert {n: reversal[n] for n in (3, 4, 11, 25, 41, 42, 49, 60)} == {
        n: original[n] for n in (3, 4, 11, 25, 41, 42, 49, 60)
    }
    assert not set(reversal) & {26, 35, 36, 37, 52, 53, 62}


def test_a_reversal_that_is_not_accepted_blocks_the_next_sale_and_is_repeated_with_the_same_stan() -> None:
    script = Script(signed_on(), silence, answer("96"), silence, unsent, approve(), approve())
    script.run(sale())
    for _ in range(3):
        finished = script.run(sale())
        assert finished.record is None
        assert finished.blocked_by is not None
        assert finished.blocked_by.kind is Kind.REVERSAL
    assert isinstance(outcome(script, sale()), Approved)
    reversals = [message for message in script.sent if message.mti == "0400"]
    assert len(reversals) == 4
    assert len(set(reversals)) == 1


@pytest.mark.parametrize("code", ["00", "12", "25"])
def test_a_reversal_ends_with_these_codes(code: str) -> None:
    script = Script(signed_on(), silence, answer(code))
    script.run(sale())
    script.run(None)
    assert not list(owed(script.journal, PROFILE, script.clock.now()))


@pytest.mark.parametrize("code", ["", "96", "98", "68", "05", "94", "0", "000", "0O", "A2", "10"])
def test_a_reversal_does_not_end_with_any_other_code(code: str) -> None:
    script = Script(signed_on(), silence, answer(code))
    script.run(sale())
    script.run(None)
    assert [duty.kind for duty in owed(script.journal, PROFILE, script.clock.now())] == [DutyKind.REPEAT]


def test_a_reversal_refused_for_its_mac_is_sent_again_after_a_sign_on() -> None:
    script = Script(signed_on(), silence, answer("A0"), signed_on(), approve(), approve())
    script.run(sale())
    assert isinstance(outcome(script, sale()), Approved)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0400", "0800", "0400", "0200"]


def test_a_host_that_always_demands_a_sign_on_is_not_asked_forever() -> None:
    script = Script(signed_on(), silence, *(r for _ in range(9) for r in (answer("77"), signed_on())))
    script.run(sale())
    finished = script.run(sale())
    assert finished.blocked_by is not None
    assert sum(message.mti == "0800" for message in script.sent) == 1 + limits.SIGN_ONS_PER_CALL_MAX


@pytest.mark.parametrize("code", ["05", "51", "68", "96", "98", "ZZ"])
@pytest.mark.parametrize("mac", [MacState.VALID, MacState.ABSENT])
def test_a_counted_decline_of_the_original_needs_no_reversal(code: str, mac: MacState) -> None:
    script = Script(signed_on(), answer(code, mac=mac))
    result = outcome(script, sale())
    assert isinstance(result, Declined)
    assert result.code.code == code
    assert plan(script.journal, PROFILE, script.clock.now()) is None


def test_a_decline_with_a_wrong_mac_does_not_count() -> None:
    script = Script(signed_on(), answer("51", mac=MacState.WRONG), approve())
    assert isinstance(outcome(script, sale()), Approved)


@pytest.mark.parametrize("code", ["77", "99", "A0"])
@pytest.mark.parametrize("mac", [MacState.VALID, MacState.ABSENT])
def test_a_demand_to_sign_on_is_a_decline_and_the_next_call_signs_on(code: str, mac: MacState) -> None:
    script = Script(signed_on(), answer(code, mac=mac), signed_on("000002"), approve())
    assert isinstance(outcome(script, sale()), Declined)
    result = outcome(script, sale())
    assert isinstance(result, Approved)
    assert result.batch == "000002"


@pytest.mark.parametrize("code", ["77", "99", "A0"])
def test_a_demand_whose_mac_is_wrong_is_a_hint_and_leaves_the_sale_in_doubt(code: str) -> None:
    script = Script(signed_on(), answer(code, mac=MacState.WRONG), signed_on(), answer("25"), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    assert isinstance(outcome(script, sale()), Approved)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0400", "0200"]
    assert script.sent[3][39] == "98"


def test_a_processing_request_in_the_header_makes_a_sign_on_due() -> None:
    script = Script(signed_on(), answer("00", header="3"), signed_on(), approve())
    script.run(sale())
    script.run(sale())
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0200"]


@pytest.mark.parametrize(
    "strange",
    [{11: "000099"}, {41: "T0000002"}, {42: "M00000000000002"}, {4: "000000001235"}, {3: "200000"}, {49: "840"}],
)
def test_an_answer_to_another_request_is_passed_over(strange: dict[int, str]) -> None:
    script = Script(signed_on(), approve(strange), approve())
    result = script.run(sale())
    assert result.record is not None
    assert result.record.state is State.APPROVED
    assert result.record.notes


def test_an_answer_under_another_batch_is_passed_over() -> None:
    script = Script(signed_on(), approve({60: "22000009000500"}), silence)
    assert isinstance(outcome(script, sale()), InDoubt)


@pytest.mark.parametrize("lacking", [4, 3, 42, 49, 60, 37])
def test_an_approval_may_not_omit_what_it_echoes(lacking: int) -> None:
    def reply(request: Message, now: Instant) -> Happening:
        happened = approve()(request, now)
        assert isinstance(happened, Answered)
        return Answered(now, happened.message.without(lacking), MacState.VALID)

    script = Script(signed_on(), reply)
    assert isinstance(outcome(script, sale()), InDoubt)


def test_nothing_sent_is_safe_to_start_again_and_owes_nothing() -> None:
    script = Script(signed_on(), unsent)
    finished = script.run(sale())
    assert finished.record is not None
    assert finished.record.state is State.UNSENT
    assert plan(script.journal, PROFILE, script.clock.now()) is None


def test_keys_that_fail_their_check_value_activate_nothing() -> None:
    script = Script(signed_on(), keys_good=False)
    finished = script.run(sale())
    assert finished.blocked_by is not None
    assert finished.blocked_by.state is State.DECLINED
    assert finished.blocked_by.keys == ()
    assert len(script.sent) == 1


def test_an_interrupted_sale_is_taken_up_as_doubtful_after_a_restart() -> None:
    first = Script(signed_on())
    first.run(Order(kind=Kind.SIGN_ON))
    interrupted = Script(journal=first.journal)
    with pytest.raises(IndexError):
        interrupted.run(sale())  # The script has no reply: the terminal dies while it waits.
    after = Script(approve(), journal=first.journal)
    finished = after.run(None)
    assert [message.mti for message in after.sent] == ["0400"]
    assert after.sent[0][39] == "98"
    assert [record.kind for record in finished.worked_off] == [Kind.REVERSAL]
    sale_record = first.journal.find(2)
    assert sale_record is not None
    assert sale_record.state is State.DOUBTFUL


def test_a_duty_backs_off_by_elapsed_time_and_never_by_the_wall_clock() -> None:
    script = Script(signed_on(), silence, *([silence] * 20))
    script.run(sale())
    waits = []
    for _ in range(12):
        script.run(None)
        duty = plan(script.journal, PROFILE, script.clock.now())
        assert duty is not None
        waits.append(duty.wait_s)
        sent = len(script.sent)
        script.clock.set_wall(script.clock.now().wall.replace(year=2036))
        script.run(None)
        assert len(script.sent) == sent
        script.clock.advance(duty.wait_s)
        if script.clock.now().elapsed_s >= PROFILE.session.age_max_s:
            break
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(waits) <= limits.BACKOFF_MAX_S


def test_whoever_waits_as_long_as_told_finds_the_duty_due() -> None:
    script = Script(signed_on(), silence, silence)
    script.run(sale())
    script.run(None)
    for earlier_s in (0.0, 1e-3, 0.1, 1e6 + 0.1, 3e9 + 0.7):
        script.clock.advance(earlier_s)
        duty = plan(script.journal, PROFILE, script.clock.now())
        assert duty is not None
        script.clock.advance(duty.wait_s)
        due = plan(script.journal, PROFILE, script.clock.now())
        assert due is not None
        assert due.wait_s == 0.0
        script.replies = [silence]
        script.run(None)


def test_a_new_boot_makes_a_sign_on_due() -> None:
    script = Script(signed_on(), signed_on(), approve())
    script.run(Order(kind=Kind.SIGN_ON))
    script.clock.reboot("boot-2")
    script.run(sale())
    assert [message.mti for message in script.sent] == ["0800", "0800", "0200"]


def test_a_sign_on_expires_by_elapsed_age() -> None:
    script = Script(signed_on(), approve(), signed_on(), approve())
    script.run(sale())
    script.clock.advance(PROFILE.session.age_max_s)
    script.run(sale())
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0200"]


def refund_of(approved: Approved, text: str) -> Order:
    return Order(kind=Kind.REFUND, amount=Amount.cny(text), original=approved.reference)


def test_refunds_stay_within_the_sale() -> None:
    script = Script(signed_on(), approve(), approve(), approve())
    sold = outcome(script, sale("10.00"))
    assert isinstance(sold, Approved)
    assert isinstance(outcome(script, refund_of(sold, "4.00")), Approved)
    with pytest.raises(UsageError, match="exceed"):
        script.run(refund_of(sold, "6.01"))
    assert isinstance(outcome(script, refund_of(sold, "6.00")), Approved)
    assert script.sent[2][61] == "0000010000020101"
    assert script.sent[2][37] == "000000000001"


def test_a_refund_in_doubt_is_never_repeated_and_blocks_only_refunds_of_its_sale() -> None:
    script = Script(signed_on(), approve(), approve(), silence, approve(), approve())
    first, second = outcome(script, sale()), outcome(script, sale())
    assert isinstance(first, Approved)
    assert isinstance(second, Approved)
    assert isinstance(outcome(script, refund_of(first, "1.00")), InDoubt)
    with pytest.raises(UsageError, match="in doubt"):
        script.run(refund_of(first, "1.00"))
    assert isinstance(outcome(script, refund_of(second, "1.00")), Approved)
    assert isinstance(outcome(script, sale()), Approved)
    assert [message.mti for message in script.sent].count("0400") == 0


def test_a_refund_of_something_else_than_an_approved_sale_is_refused() -> None:
    script = Script(signed_on(), answer("51"))
    declined = script.run(sale()).record
    assert declined is not None
    with pytest.raises(UsageError, match="not an approved sale"):
        script.run(
            Order(kind=Kind.REFUND, amount=Amount.cny("1"), original=OriginalRef(declined.batch, declined.stan, "0101"))
        )


@pytest.mark.parametrize("order", [Order(kind=Kind.SALE), Order(kind=Kind.SALE, amount=Amount(0))])
def test_a_sale_needs_an_amount_above_zero(order: Order) -> None:
    with pytest.raises(UsageError, match="above zero"):
        Script().run(order)


def test_a_keyed_sale_keeps_its_card_for_the_reversal_and_loses_it_afterwards() -> None:
    script = Script(signed_on(), silence, silence, approve())
    script.card = Card.keyed("6229990000000004", "3012")
    script.run(sale())
    script.run(None)
    assert not expendable(script.journal, PROFILE)
    script.clock.advance(60)
    script.run(None)
    assert script.sent[-1][2] == "6229990000000004"
    assert set(expendable(script.journal, PROFILE)) == {2, 3}
    script.journal.shred(expendable(script.journal, PROFILE))
    record = script.journal.find(2)
    assert record is not None
    assert 2 not in record.request
    assert record.card == "622999******0004"


def test_secrets_do_not_survive_a_save() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    kept = script.journal.find(2)
    assert kept is not None
    assert not set(kept.request) & {2, 14, 35, 52}
    assert not any(TRACK in form or "6229990000000004" in form for form in script.journal.history)


def test_strangers_do_not_grow_a_record_without_end() -> None:
    strangers = [approve({11: f"{number:06d}"}) for number in range(100, 200)]
    script = Script(signed_on(), *strangers, answer("51", {4: "000000000001"}), approve())
    record = script.run(sale()).record
    assert record is not None
    assert len(record.notes) <= limits.NOTES_MAX
    assert replace(record, notes=()).state is State.APPROVED


@pytest.mark.parametrize("reply", [approve(), silence])
def test_roads_that_could_not_be_had_are_told_with_the_exchange(reply: Reply) -> None:
    roads = ("the first road: connection refused", "the second road: no route to the host")

    def by_the_third_road(request: Message, now: Instant) -> Happening:
        happened = reply(request, now)
        assert isinstance(happened, Answered | Silent)
        return replace(happened, way=Way("the third road", roads))

    script = Script(signed_on(), by_the_third_road)
    record = script.run(sale()).record
    assert record is not None
    assert record.notes[:2] == tuple(f"went another way: {road}" for road in roads)
    assert record.road == "the third road"


def sent_by(way: Way, order: Order) -> tuple[Script, Record]:
    """Run an order whose request takes a road that is told before the answer."""
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    script.effects.clear()
    script.replies = [Found(lambda _request, _now: (), approve(), way)]
    record = script.run(order).record
    assert record is not None
    assert record.road == way.road
    return script, record


def test_the_road_of_what_may_be_reversed_is_on_record_before_the_answer_is_waited_for() -> None:
    script, _ = sent_by(Way("the second road", is_first=False), sale())
    exchange = [effect for effect in script.effects if isinstance(effect, Save | Send | Listen)]
    begun, sent, known, waits, ended = exchange
    assert isinstance(sent, Send)
    assert isinstance(waits, Listen)
    saved = [effect.record for effect in (begun, known, ended) if isinstance(effect, Save)]
    assert [each.state for each in saved] == [State.PENDING, State.PENDING, State.APPROVED]
    assert [each.road for each in saved] == [None, "the second road", "the second road"]


@pytest.mark.parametrize(
    ("way", "order"),
    [
        # A terminal that starts anew tries that road first anyhow.
        (Way("the first road"), sale()),
        # Nothing will be owed for it.
        (Way("the second road", is_first=False), Order(kind=Kind.ECHO)),
    ],
)
def test_a_road_that_matters_to_nobody_costs_no_saving_before_the_wait(way: Way, order: Order) -> None:
    script, _ = sent_by(way, order)
    exchange = [type(effect) for effect in script.effects if isinstance(effect, Save | Send | Listen)]
    assert exchange == [Save, Send, Listen, Save]


def test_what_undoes_a_known_outcome_takes_any_road() -> None:
    script, sold = sent_by(Way("the second road", is_first=False), sale())
    approved = outcome_of(sold, PROFILE.dialect)
    assert isinstance(approved, Approved)
    script.replies = [approve()]
    script.run(Order(kind=Kind.VOID, amount=approved.amount, original=approved.reference))
    roads = [(effect.message.mti, effect.road) for effect in script.effects if isinstance(effect, Send)]
    assert roads == [("0200", None), ("0200", None)]


def test_only_the_first_reversal_that_may_leave_takes_the_road_of_its_sale() -> None:
    def by_the_second_road(reply: Reply) -> Reply:
        def replied(request: Message, now: Instant) -> Happening:
            happened = reply(request, now)
            assert isinstance(happened, Answered | Silent)
            return replace(happened, way=Way("the second road"))

        return replied

    script = Script(signed_on(), by_the_second_road(silence), unsent, silence, approve(), approve())
    script.run(sale())
    for _ in range(3):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    roads = [(effect.message.mti, effect.road) for effect in script.effects if isinstance(effect, Send)]
    assert [road for mti, road in roads if mti == "0400"] == ["the second road", "the second road", None]
    assert {road for mti, road in roads if mti != "0400"} == {None}
