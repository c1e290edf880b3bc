"""What is owed, to the second and to the word: duties, waits, late approvals under an older batch, a person's word."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import REVERSAL_REASONS, Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order, check_repeat
from pos_engine.flow.effects import Answered, Ask, CheckKeys, Happening, Save, Silent
from pos_engine.flow.explain import Explanation, explain
from pos_engine.flow.outcomes import DUTIES, FOUND, TAKEN_OVER, Standing
from pos_engine.flow.plan import Duty, DutyKind, owed, plan
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.journal.record import Record, Resolution, State
from pos_engine.values import Amount
from tests.support.exchange import PROFILE, Script, answer, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.wire.message import Message

SALE, REVERSAL = 2, 3


def kept(script: Script, number: int = SALE) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def told(script: Script, number: int) -> Explanation:
    return explain(kept(script, number), script.journal, PROFILE.dialect)


def failing(attempts: int) -> Script:
    """Leave a sale in doubt whose reversal was refused so often."""
    script = Script(signed_on(), silence, *[answer("96")] * attempts)
    script.run(sale())
    for _ in range(attempts):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    return script


def taken_over() -> Script:
    script = failing(limits.UNRESOLVED_ATTEMPTS)
    word = Takeover(stan="000002", reason="we asked")
    script.play(take_over(word, script.journal, PROFILE, script.clock.now()))
    return script


def test_only_a_repeated_request_that_failed_too_often_is_unresolved() -> None:
    record = replace(kept(failing(1), REVERSAL), attempts=limits.UNRESOLVED_ATTEMPTS)
    assert Duty(DutyKind.REPEAT, record).is_unresolved
    assert not Duty(DutyKind.REPEAT, replace(record, attempts=limits.UNRESOLVED_ATTEMPTS - 1)).is_unresolved
    assert not Duty(DutyKind.REVERSE, record).is_unresolved
    assert not Duty(DutyKind.ASK, record).is_unresolved
    assert not Duty(DutyKind.REPEAT, None).is_unresolved
    assert not Duty(DutyKind.SIGN_ON, None).is_unresolved


def test_what_a_person_took_over_lets_others_go_ahead_while_it_waits() -> None:
    record = kept(failing(1), REVERSAL)
    resolved = replace(record, resolution=Resolution("we asked", "", record.changed))
    assert Duty(DutyKind.REPEAT, resolved, 0.5).may_wait
    assert not Duty(DutyKind.REPEAT, resolved, 0.0).may_wait
    assert not Duty(DutyKind.REPEAT, record, 0.5).may_wait
    assert not Duty(DutyKind.SIGN_ON, None, 0.5).may_wait
    assert not Duty(DutyKind.REPEAT, replace(resolved, attempts=9)).is_unresolved


def test_a_reversal_that_was_cut_short_is_repeated_at_once() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    with pytest.raises(IndexError):
        script.run(None)  # The script has no reply: the terminal dies while it waits.
    pending = kept(script, REVERSAL)
    assert pending.state is State.PENDING
    assert list(owed(script.journal, PROFILE, script.clock.now())) == [Duty(DutyKind.REPEAT, pending, 0.0)]


def test_across_a_boot_nothing_waits() -> None:
    script = failing(2)
    duty = plan(script.journal, PROFILE, script.clock.now())
    assert duty == Duty(DutyKind.REPEAT, kept(script, REVERSAL), 2 * limits.BACKOFF_FIRST_S)
    script.clock.reboot("boot-2")
    assert list(owed(script.journal, PROFILE, script.clock.now())) == [
        Duty(DutyKind.REPEAT, kept(script, REVERSAL), 0.0)
    ]


def test_a_refused_sign_on_waits_as_often_as_it_was_refused() -> None:
    script = Script(answer("05"), answer("05"), answer("05"))
    waits = []
    for _ in range(3):
        script.run(None)
        duty = plan(script.journal, PROFILE, script.clock.now())
        assert duty is not None
        assert (duty.kind, duty.record) == (DutyKind.SIGN_ON, None)
        waits.append(duty.wait_s)
        script.clock.advance(duty.wait_s)
    assert waits == [limits.BACKOFF_FIRST_S, 2 * limits.BACKOFF_FIRST_S, 4 * limits.BACKOFF_FIRST_S]


def test_the_keys_in_force_are_those_that_are_checked() -> None:
    script = Script(signed_on(), approve())
    script.run(sale())
    keys = kept(script, 1).keys
    asked = [each.question for each in script.effects if isinstance(each, Ask) and isinstance(each.question, CheckKeys)]
    assert len(keys) == 2
    assert asked == [CheckKeys(keys), CheckKeys(keys)]


def test_a_reversal_keeps_the_reason_it_had_when_a_later_answer_brings_none() -> None:
    script = Script(signed_on(), silence, silence, answer("96"))
    script.run(sale())
    script.run(None)
    assert kept(script, REVERSAL).reason == "98"
    script.clock.advance(limits.BACKOFF_MAX_S)
    script.run(None)
    assert (kept(script, REVERSAL).reason, kept(script, REVERSAL).attempts) == ("98", 2)


def test_a_late_approval_under_an_older_batch_is_found_there() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[-1]
    script.clock.reboot("boot-2")

    def with_stray(_request: Message, now: Instant) -> Happening:
        late = approve({38: "A00001"})(request, now)
        assert isinstance(late, Answered)
        return Silent(now, "silence", set_aside=(late,))

    script.replies = [signed_on("000002"), with_stray]
    script.run(None)
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0400"]
    late = kept(script, 4).late
    assert late is not None
    assert (late[38], late[60]) == ("A00001", request[60])
    assert kept(script, 4).approval_proven


def test_the_story_tells_a_late_approval_and_a_takeover_once() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[-1]

    def with_stray(_request: Message, now: Instant) -> Happening:
        late = approve()(request, now)
        assert isinstance(late, Answered)
        return Silent(now, "silence", set_aside=(late,))

    script.replies = [with_stray, *[answer("96")] * 3]
    for _ in range(limits.UNRESOLVED_ATTEMPTS):
        script.run(None)
        script.clock.advance(limits.BACKOFF_MAX_S)
    word = Takeover(stan="000002", reason="we asked")
    script.play(take_over(word, script.journal, PROFILE, script.clock.now()))
    script.run(None)
    steps = [each.what.en for each in told(script, SALE).history]
    assert steps.count("the host's approval arrived when nobody waited for it any more") == 1
    assert steps.count("a supervisor took it over: we asked") == 1
    assert steps[-2:] == ["sent again, attempt 4", "not accepted"]


def test_a_reversal_that_was_taken_over_is_in_doubt_as_before() -> None:
    script = taken_over()
    explained = told(script, REVERSAL)
    assert explained.line.standing is Standing.IN_DOUBT
    assert explained.why == REVERSAL_REASONS["98"]
    assert explained.next == TAKEN_OVER
    assert explained.why not in FOUND.values()


def test_what_is_owed_for_a_sale_is_said_while_it_waits() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    assert told(script, SALE).next == DUTIES[PROFILE.dialect.kinds[Kind.SALE].on_silence]


def test_an_approved_refund_needs_no_call_to_the_acquirer() -> None:
    script = Script(signed_on(), approve(), approve())
    script.run(sale())
    sold = OriginalRef("000001", "000002", "0101", "000000000001", None)
    script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=sold))
    explained = told(script, 3)
    assert explained.line.standing is Standing.APPROVED
    assert explained.advice.en == "it is done; a receipt may be printed again"


def test_a_key_that_named_no_sale_is_not_the_key_of_one_that_does() -> None:
    script = Script(signed_on(), approve())
    script.run(replace(sale(), key="k"))
    named = OriginalRef("000001", "000002", "0101")
    with pytest.raises(UsageError, match="the key was used before, for another sale or amount"):
        check_repeat(replace(sale(), key="k", original=named), script.journal)


def test_a_refund_whose_record_lacks_the_reference_number_is_known_by_batch_and_stan() -> None:
    script = Script(signed_on(), approve(), approve())
    script.run(sale())
    order = Order(
        kind=Kind.REFUND,
        amount=Amount.cny("1.00"),
        original=OriginalRef("000001", "000002", "0101", "000000000001", None),
        key="k",
    )
    script.run(order)
    bare = type(script.journal)(PROFILE.dialect.spec)
    for effect in script.effects:
        if isinstance(effect, Save):
            bare.save(replace(effect.record, request=effect.record.request.without(37)))
    found = check_repeat(order, bare)
    assert found is not None
    assert found.number == 3
