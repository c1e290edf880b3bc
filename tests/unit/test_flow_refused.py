"""What the host refused until a sign-on, and its repeat: a new request, made at most once for each refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order, check_key
from pos_engine.flow.effects import Answered, Ask, MacState, Presented, TakeCard
from pos_engine.flow.explain import explain
from pos_engine.flow.outcomes import Approved, Standing, line_of, outcome_of
from pos_engine.flow.refused import repeat_order
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount, Card, PinBlock
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
    from pos_engine.flow.drive import Finished
    from pos_engine.wire.message import Message

AUTOMATIC = replace(PROFILE, repeats_refused=True)
KEYED = replace(sale(), key="order-17")


def record_of(finished: Finished) -> Record:
    assert finished.record is not None
    return finished.record


def refused(script: Script, order: Order = KEYED) -> Record:
    record = record_of(script.run(order))
    assert (record.state, record.demands_sign_on) == (State.DECLINED, True)
    return record


def repeat(script: Script, record: Record) -> Record:
    return record_of(script.run(repeat_order(record, script.journal, PROFILE.dialect)))


def test_a_refused_sale_is_repeated_with_a_stan_and_a_card_of_its_own() -> None:
    script = Script(signed_on(), answer("77"), signed_on("000002"), approve())
    first = refused(script)
    second = repeat(script, first)
    assert (second.state, second.amount, second.batch) == (State.APPROVED, first.amount, "000002")
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0200"]
    assert second.stan != first.stan
    assert sum(effect.question.__class__ is TakeCard for effect in script.effects if isinstance(effect, Ask)) == 2
    assert second.notes[0] == f"repeats STAN {first.stan} of batch 000001, refused with code 77"


def test_a_repeat_is_made_once_however_often_it_is_asked_for() -> None:
    script = Script(signed_on(), answer("A0", mac=MacState.ABSENT), signed_on(), approve())
    first = refused(script)
    again = [repeat(script, first) for _ in range(3)]
    assert {record.number for record in again} == {again[0].number}
    assert len(script.sent) == 4


def test_the_key_of_the_first_tells_the_outcome_of_the_repeat() -> None:
    script = Script(signed_on(), answer("99"), signed_on(), approve())
    second = repeat(script, refused(script))
    assert record_of(script.run(KEYED)).number == second.number
    with pytest.raises(UsageError, match="used before"):
        script.run(replace(KEYED, amount=Amount.cny("1.00")))


def test_a_repeat_that_is_refused_too_may_be_repeated_in_its_turn() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), answer("77"), signed_on(), approve())
    first = refused(script)
    second = repeat(script, first)
    third = repeat(script, first)
    assert [each.state for each in (second, third)] == [State.DECLINED, State.APPROVED]
    assert record_of(script.run(KEYED)).number == third.number


def test_a_repeat_of_which_nothing_left_counts_as_never_made() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), unsent, approve())
    first = refused(script)
    assert repeat(script, first).state is State.UNSENT
    assert repeat(script, first).state is State.APPROVED


def test_a_repeat_in_doubt_is_reversed_and_not_made_again() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), silence, approve())
    first = refused(script)
    second = repeat(script, first)
    assert second.state is State.DOUBTFUL
    assert repeat(script, first).number == second.number
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0200", "0400"]


@pytest.mark.parametrize("reply", [approve(), answer("51"), silence])
def test_only_what_was_refused_until_a_sign_on_is_repeated(reply: Reply) -> None:
    script = Script(signed_on(), reply)
    record = record_of(script.run(KEYED))
    with pytest.raises(UsageError, match="was not refused until a sign-on"):
        repeat_order(record, script.journal, PROFILE.dialect)


def test_a_refusal_that_could_not_be_verified_is_repeated_once_its_reversal_was_accepted() -> None:
    script = Script(signed_on(), answer("A0", mac=MacState.WRONG), signed_on(), silence, approve(), approve())
    first = record_of(script.run(KEYED))
    assert first.state is State.DOUBTFUL
    script.run(None)
    with pytest.raises(UsageError, match="was not refused until a sign-on"):
        repeat_order(first, script.journal, PROFILE.dialect)
    script.clock.advance(3_700)
    script.run(None)
    assert repeat(script, first).state is State.APPROVED


def test_a_sign_on_is_not_repeated_this_way() -> None:
    script = Script(answer("77", mac=MacState.ABSENT))
    record = record_of(script.run(Order(kind=Kind.SIGN_ON)))
    with pytest.raises(UsageError, match="was not refused until a sign-on"):
        repeat_order(record, script.journal, PROFILE.dialect)


def test_a_partial_approval_is_asked_for_again_where_it_was() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), approve())
    repeat(script, refused(script, replace(KEYED, allows_partial=True)))
    assert [request[60][-1] for request in script.sent if request.mti == "0200"] == ["1", "1"]


@pytest.mark.parametrize("kind", [Kind.VOID, Kind.REFUND])
def test_a_refused_void_or_refund_names_its_sale_again(kind: Kind) -> None:
    script = Script(signed_on(), approve({38: "123456"}), answer("77"), signed_on(), approve())
    sold = outcome_of(record_of(script.run(sale())), PROFILE.dialect)
    assert isinstance(sold, Approved)
    amount = None if kind is Kind.VOID else Amount.cny("1.00")
    first = refused(script, Order(kind=kind, original=sold.reference, amount=amount))
    assert repeat(script, first).state is State.APPROVED
    named = [(request[4], request[37], request[38], request[61]) for request in script.sent if 61 in request]
    assert named[0] == named[1]


def test_a_refund_of_another_terminals_sale_is_ordered_anew() -> None:
    script = Script(signed_on(), answer("77"))
    original = OriginalRef("000009", "000123", "0101", "000000000042")
    first = refused(script, Order(kind=Kind.REFUND, original=original, amount=Amount.cny("1.00")))
    with pytest.raises(UsageError, match="order it anew"):
        repeat_order(first, script.journal, PROFILE.dialect)


def test_nobody_chooses_a_key_that_is_kept_for_repeats() -> None:
    with pytest.raises(UsageError, match="begins another way"):
        check_key("repeat of 000001 000002")


def test_a_sale_without_pin_repeats_itself_where_that_is_wanted() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), approve(), profile=AUTOMATIC)
    record = record_of(script.run(KEYED))
    assert record.state is State.APPROVED
    # The card that was read is used again: nobody has to be asked.
    assert sum(isinstance(effect.question, TakeCard) for effect in script.effects if isinstance(effect, Ask)) == 1
    assert record_of(script.run(KEYED)).number == record.number
    assert len(script.sent) == 4


def test_a_sale_repeats_itself_once() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), answer("77"), profile=AUTOMATIC)
    assert record_of(script.run(KEYED)).code == "77"
    assert len(script.sent) == 4


def test_nothing_repeats_itself_while_the_sign_on_fails() -> None:
    script = Script(signed_on(), answer("77"), silence, profile=AUTOMATIC)
    record = record_of(script.run(KEYED))
    assert (record.state, record.code) == (State.DECLINED, "77")


class WithPin(Script):
    """A script whose customer enters a PIN."""

    def card_of(self) -> Presented:
        return Presented(self.clock.now(), Card.stripe(TRACK), PinBlock(bytes(8)))


def test_a_sale_with_a_pin_never_repeats_itself() -> None:
    script = WithPin(signed_on(), answer("77"), profile=AUTOMATIC)
    assert record_of(script.run(KEYED)).code == "77"
    assert len(script.sent) == 2


def with_late(script: Script, reply: Reply, number: int = 2) -> Reply:
    """Reply, having found the proven approval of an earlier request in the connection."""

    def late(_request: Message, now: Instant) -> tuple[Answered, ...]:
        found = script.journal.find(number)
        assert found is not None
        stray = approve({38: "A00001"})(found.request, now)
        assert isinstance(stray, Answered)
        return (stray,)

    return Found(late, reply)


def test_what_was_refused_and_is_proven_to_be_booked_is_reversed_before_it_is_repeated() -> None:
    script = Script(signed_on(), answer("77", mac=MacState.ABSENT), profile=AUTOMATIC)
    script.replies += [with_late(script, signed_on()), approve(), approve()]
    record = record_of(script.run(KEYED))
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0400", "0200"]
    reversal = script.sent[3]
    assert (reversal[11], reversal[39], reversal[38]) == ("000002", "06", "A00001")
    assert record.state is State.APPROVED


def test_what_was_refused_is_not_repeated_while_its_proven_booking_is_not_taken_back() -> None:
    script = Script(signed_on(), answer("77", mac=MacState.ABSENT), profile=AUTOMATIC)
    script.replies += [with_late(script, signed_on()), answer("25")]
    first = record_of(script.run(KEYED))
    assert (first.state, first.code) == (State.DECLINED, "77")
    with pytest.raises(UsageError, match="was not refused until a sign-on"):
        repeat_order(first, script.journal, PROFILE.dialect)


def test_a_proven_approval_after_a_plain_decline_is_taken_back_and_the_decline_stays_as_it_was_shown() -> None:
    script = Script(signed_on(), answer("51", mac=MacState.ABSENT))
    first = record_of(script.run(KEYED))
    script.replies += [with_late(script, approve()), approve()]
    script.run(Order(kind=Kind.ECHO))
    script.run(None)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0820", "0400"]
    kept = script.journal.find(first.number)
    assert kept is not None
    assert line_of(kept, script.journal.acting_on(kept.number)).standing is Standing.REVERSED
    assert record_of(script.run(KEYED)).state is State.DECLINED


def test_a_decline_that_was_booked_is_taken_back_once_however_often_its_approval_comes() -> None:
    script = Script(signed_on(), answer("51", mac=MacState.ABSENT))
    first = record_of(script.run(KEYED))
    script.replies += [with_late(script, approve()), with_late(script, approve()), approve()]
    for _ in range(2):
        script.run(Order(kind=Kind.ECHO))
    script.run(None)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0820", "0820", "0400"]
    assert [each.kind for each in script.journal.acting_on(first.number)] == [Kind.REVERSAL]


def test_a_declined_refund_that_was_booked_all_the_same_is_for_people() -> None:
    script = Script(signed_on(), answer("51", mac=MacState.ABSENT))
    original = OriginalRef("000009", "000123", "0101", "000000000042")
    script.run(Order(kind=Kind.REFUND, original=original, amount=Amount.cny("1.00")))
    script.replies += [with_late(script, approve())]
    script.run(Order(kind=Kind.ECHO))
    assert [record.kind for record in script.journal.recent(9)] == [Kind.ECHO, Kind.REFUND, Kind.SIGN_ON]


def test_a_repeat_by_itself_waits_for_an_older_doubt_that_the_sign_on_has_opened_again() -> None:
    script = Script(signed_on(), silence, answer("25"), profile=AUTOMATIC)
    script.run(sale("1.00"))
    script.run(None)
    script.replies += [answer("77"), with_late(script, signed_on()), approve(), approve()]
    assert record_of(script.run(KEYED)).state is State.APPROVED
    assert [message.mti for message in script.sent] == ["0800", "0200", "0400", "0200", "0800", "0400", "0200"]


@pytest.mark.parametrize("batch", ["000001", "000002"])
def test_a_void_that_repeats_itself_is_checked_like_any_other(batch: str) -> None:
    script = Script(signed_on(), approve({38: "123456"}), answer("77"), signed_on(batch), approve(), profile=AUTOMATIC)
    sold = outcome_of(record_of(script.run(sale())), PROFILE.dialect)
    assert isinstance(sold, Approved)
    record = record_of(script.run(Order(kind=Kind.VOID, original=sold.reference)))
    # In another batch the sale is closed: it is refunded, and the refusal stands.
    assert record.state is (State.APPROVED if batch == "000001" else State.DECLINED)
    assert len([message for message in script.sent if 61 in message]) == (2 if batch == "000001" else 1)


def test_a_refund_that_cannot_repeat_itself_stays_refused() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), profile=AUTOMATIC)
    original = OriginalRef("000009", "000123", "0101", "000000000042")
    refused(script, Order(kind=Kind.REFUND, original=original, amount=Amount.cny("1.00")))


def test_a_repeat_that_never_left_leaves_the_refusal() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), unsent, profile=AUTOMATIC)
    assert record_of(script.run(KEYED)).code == "77"


def test_a_repeat_asked_for_again_checks_what_is_due() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), approve())
    first = refused(script)
    repeat(script, first)
    order = repeat_order(first, script.journal, PROFILE.dialect)
    with pytest.raises(UsageError, match="used before"):
        script.run(replace(order, expected=Amount.cny("1.00")))


def test_a_repeat_is_told_also_when_its_refusal_has_become_doubtful_since() -> None:
    script = Script(signed_on(), answer("77", mac=MacState.WRONG), signed_on(), answer("25"), approve())
    first = record_of(script.run(KEYED))
    script.run(None)
    second = repeat(script, first)
    script.replies += [with_late(script, approve())]
    script.run(Order(kind=Kind.ECHO))
    assert repeat(script, first).number == second.number


def test_a_refusal_that_a_backup_holds_is_not_repeated() -> None:
    script = Script(signed_on(), answer("77"))
    first = refused(script)
    now, number, stan = script.clock.now(), script.journal.next_number(), script.journal.next_stan()
    restored = replace(first, number=number, kind=Kind.RESTORE, state=State.APPROVED, stan=stan, opened=now, key=None)
    script.journal.save(restored)
    with pytest.raises(UsageError, match="not for certain"):
        repeat_order(first, script.journal, PROFILE.dialect)


def test_an_inquiry_is_simply_made_again() -> None:
    script = Script(signed_on(), answer("77"))
    record = record_of(script.run(Order(kind=Kind.BALANCE)))
    with pytest.raises(UsageError, match="nothing to repeat"):
        repeat_order(record, script.journal, PROFILE.dialect)


def test_a_long_row_of_refusals_has_an_end() -> None:
    script = Script(signed_on(), answer("77"))
    last = refused(script)
    for _ in range(1_100):
        script.replies += [signed_on(), answer("77")]
        script.run(Order(kind=Kind.SIGN_ON))
        last = record_of(script.run(repeat_order(last, script.journal, PROFILE.dialect)))
    assert record_of(script.run(KEYED)).number == last.number


def test_whoever_asks_about_a_refusal_hears_of_its_repeat() -> None:
    script = Script(signed_on(), answer("77"), signed_on(), approve())
    first = refused(script)
    assert explain(first, script.journal, PROFILE.dialect).next.en == "nothing: it is settled"
    second = repeat(script, first)
    told = explain(first, script.journal, PROFILE.dialect)
    assert told.next.en == f"it was repeated as STAN {second.stan} (000001): approved"
    assert told.next.zh == f"已重做, 新流水号{second.stan} (000001): 批准"
    assert told.advice == explain(second, script.journal, PROFILE.dialect).advice


def test_whoever_asks_about_a_decline_that_was_booked_hears_that_it_is_taken_back() -> None:
    script = Script(signed_on(), answer("51", mac=MacState.ABSENT))
    first = record_of(script.run(KEYED))
    script.replies += [with_late(script, approve())]
    script.run(Order(kind=Kind.ECHO))
    assert explain(first, script.journal, PROFILE.dialect).next.en.startswith("it will be reversed")
