"""How a call ends, in full: what was worked off, what stands in the way, what is owed next, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef, Packet
from pos_engine.errors import UsageError
from pos_engine.flow import requests
from pos_engine.flow.checks import Order, check_form
from pos_engine.flow.drive import Finished
from pos_engine.flow.effects import (
    Answered,
    Ask,
    Done,
    Effect,
    Happening,
    MacState,
    Presented,
    TakeCard,
    Unreadable,
    Verified,
    VerifyMac,
)
from pos_engine.flow.plan import Duty, DutyKind, owed, plan
from pos_engine.flow.profile import SaleLimits
from pos_engine.flow.states import Cue
from pos_engine.flow.step import Evidence, step
from pos_engine.journal.record import Record, Resolution, State
from pos_engine.session.states import session_of
from pos_engine.values import CURRENCIES, Amount
from tests.support.exchange import KEYS, PROFILE, Script, answer, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.wire.message import Message

SALE, REVERSAL = 2, 3


def kept(script: Script, number: int = SALE) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def cut_short(script: Script) -> Record:
    """Put a sale on record as a terminal does that loses its power and is found in doubt."""
    now = script.clock.now()
    session = session_of(script.journal, now, PROFILE.session)
    presented = Presented(now, script.card)
    drafted = requests.draft(sale(), script.journal, PROFILE, now, session=session, presented=presented)
    doubtful = replace(drafted, state=State.DOUBTFUL, attempts=1)
    script.journal.save(doubtful)
    return doubtful


def test_a_duty_that_waits_ends_the_call() -> None:
    script = Script(signed_on(), silence, answer("96"))
    script.run(sale())
    script.run(None)
    script.clock.advance(limits.BACKOFF_FIRST_S - 0.5)
    now = script.clock.now()
    assert script.run(None) == Finished(now)
    assert script.next_duty() == Duty(DutyKind.REPEAT, kept(script, REVERSAL), 0.5)
    script.clock.advance(0.5)
    script.replies = [approve()]
    now = script.clock.now()
    assert script.run(None) == Finished(now, worked_off=(kept(script, REVERSAL),))


def test_a_duty_that_fails_ends_the_call_and_stands_in_the_way() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    script.clock.reboot("boot-2")
    script.replies = [signed_on(), answer("96")]
    now = script.clock.now()
    reversal = 4
    assert script.run(sale()) == Finished(
        now,
        blocked_by=kept(script, reversal),
        worked_off=(kept(script, REVERSAL),),
    )
    assert script.next_duty() == Duty(DutyKind.REPEAT, kept(script, reversal), limits.BACKOFF_FIRST_S)


def test_a_host_that_keeps_demanding_ends_the_call_with_the_last_demand() -> None:
    script = Script(signed_on(), silence, *(reply for _ in range(9) for reply in (answer("77"), signed_on())))
    script.run(sale())
    finished = script.run(sale())
    done = finished.worked_off
    assert [record.kind for record in done] == [Kind.SIGN_ON] * 2
    assert finished == Finished(
        script.clock.now(),
        blocked_by=kept(script, REVERSAL),
        worked_off=done,
    )
    assert script.next_duty() == Duty(DutyKind.SIGN_ON, None, limits.BACKOFF_FIRST_S, is_locked=True)


def test_a_call_that_did_all_it_may_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DUTIES_PER_CALL_MAX", 3)
    script = Script(signed_on(), *[approve()] * 3)
    script.run(Order(kind=Kind.SIGN_ON))
    doubtful = [cut_short(script) for _ in range(4)]
    finished = script.run(sale())
    done = finished.worked_off
    assert [record.original for record in done] == [record.number for record in doubtful[:3]]
    assert finished == Finished(
        script.clock.now(),
        blocked_by=done[-1],
        worked_off=done,
    )
    assert script.next_duty() == Duty(DutyKind.REVERSE, kept(script, doubtful[3].number))


def test_a_duty_that_is_due_goes_before_an_older_one_that_waits() -> None:
    script = Script(signed_on(), silence, answer("96"))
    script.run(sale())
    script.run(None)
    doubtful = cut_short(script)
    for urgent in (False, True):
        duty = plan(script.journal, PROFILE, script.clock.now(), urgent=urgent)
        assert duty == Duty(DutyKind.REVERSE, kept(script, doubtful.number))


def test_of_duties_that_were_all_taken_over_the_soonest_is_next() -> None:
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    word = Resolution("we asked", "", script.clock.now())
    waits = []
    for attempts in (7, 5, 6):
        doubtful = cut_short(script)
        draft = requests.draft_reversal(doubtful, script.journal, PROFILE, script.clock.now())
        script.journal.save(replace(draft, state=State.DOUBTFUL, attempts=attempts, resolution=word))
        waits.append(limits.BACKOFF_FIRST_S * 2 ** (attempts - 1))
    duty = plan(script.journal, PROFILE, script.clock.now())
    assert duty is not None
    assert duty.record is not None
    assert (duty.record.attempts, duty.wait_s) == (5, min(waits))


def test_the_cardholder_is_asked_for_the_amount_of_the_order() -> None:
    script = Script(signed_on(), approve())
    script.run(sale("5.00"))
    asked = [each.question for each in script.effects if isinstance(each, Ask) and isinstance(each.question, TakeCard)]
    assert asked == [TakeCard(Amount.cny("5.00"), kept(script, 1).keys[0])]


@pytest.mark.parametrize("good", [True, False])
def test_a_sign_on_keeps_its_answer_and_only_good_keys_and_batches(good: bool) -> None:  # noqa: FBT001 - a case
    script = Script(signed_on("000007"), keys_good=good)
    script.run(Order(kind=Kind.SIGN_ON))
    record = kept(script, 1)
    assert record.code == "00"
    assert (len(record.keys), record.new_batch) == ((2, "000007") if good else (0, None))
    assert record.state is (State.APPROVED if good else State.DECLINED)


def test_a_sign_on_that_cannot_be_read_says_why() -> None:
    script = Script(approve({60: "00000007003", 62: KEYS[:-2]}))
    script.run(Order(kind=Kind.SIGN_ON))
    (note,) = kept(script, 1).notes
    assert note.startswith("field 62: ")
    assert KEYS[:-2] not in note


def test_a_call_that_is_answered_by_its_key_leaves_what_is_owed() -> None:
    script = Script(signed_on(), approve())
    script.run(replace(sale(), key="k"))
    cut_short(script)
    script.clock.advance(5)
    now = script.clock.now()
    assert script.run(replace(sale(), key="k")) == Finished(now, kept(script))
    assert script.next_duty() == Duty(DutyKind.REVERSE, kept(script, 3))


def test_a_sale_in_doubt_ends_its_call_and_is_owed_a_reversal() -> None:
    script = Script(signed_on(), silence)
    finished = script.run(sale())
    assert finished.record is not None
    assert finished.record.notes == ("silence",)
    doubtful = kept(script)
    assert finished == Finished(script.clock.now(), finished.record, None, (kept(script, 1),))
    assert script.next_duty() == Duty(DutyKind.REVERSE, doubtful)


def test_an_answer_that_cannot_be_read_is_noted_with_its_fault() -> None:
    script = Script(signed_on(), lambda _request, now: Unreadable(now, "field 4: not digits"))
    record = script.run(sale()).record
    assert record is not None
    assert (record.notes, record.reason) == (("field 4: not digits",), "06")


def test_a_repeated_key_is_not_blocked_by_a_reversal_that_fails() -> None:
    script = Script(signed_on(), silence, answer("96"))
    order = replace(sale(), key="k")
    script.run(order)
    finished = script.run(order)
    assert finished.record == kept(script)
    assert finished.blocked_by is None
    assert script.next_duty() == Duty(DutyKind.REPEAT, kept(script, REVERSAL), limits.BACKOFF_FIRST_S)


def test_a_late_approval_among_strangers_is_kept_and_waiting_goes_on() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[-1]

    def late(_request: Message, now: Instant) -> Happening:
        happened = approve({38: "A00001"})(request, now)
        assert isinstance(happened, Answered)
        return replace(happened, message=happened.message.without(60))

    script.replies = [approve({11: "000099"}), late, approve()]
    script.clock.advance(5)
    script.run(None)
    reversal = kept(script, REVERSAL)
    assert reversal.late is not None
    assert (reversal.late[38], reversal.state, reversal.changed) == ("A00001", State.APPROVED, script.clock.now())
    assert reversal.notes[0] == "passed over 0410: field 11 differs"


def test_the_operator_of_the_profile_signs_on() -> None:
    script = Script(signed_on(), profile=replace(PROFILE, operator="07"))
    script.run(Order(kind=Kind.SIGN_ON))
    default = Script(signed_on())
    default.run(Order(kind=Kind.SIGN_ON))
    assert script.sent[0] != default.sent[0]
    assert [number for number in script.sent[0] if script.sent[0][number] != default.sent[0][number]] == [63]


FOREIGN = [approve({11: "000099"}), approve({41: "T0000002"})]
PASSED_OVER = ["passed over 0210: field 11 differs", "passed over 0210: field 41 differs"]


@pytest.mark.parametrize("strangers", [3, limits.NOTES_MAX - 1, limits.NOTES_MAX, 40])
def test_remarks_are_kept_while_there_is_room_and_what_decides_always(strangers: int) -> None:
    script = Script(signed_on(), *[FOREIGN[place % 2] for place in range(strangers)], silence)
    record = script.run(sale()).record
    assert record is not None
    kept_of_them = min(strangers, limits.NOTES_MAX - 1)
    nearest = "the nearest message was a 0210 0 s before: field 11 Systems trace audit number differs (000099)"
    passed_over = (PASSED_OVER[place % 2] for place in range(kept_of_them))
    assert record.notes == (*passed_over, f"silence; {nearest}")
    # The reversal writes its own remarks; with a full record, what decides takes the last place.
    full = replace(record, state=State.PENDING, notes=tuple(f"remark {place}" for place in range(limits.NOTES_MAX)))
    moved, _effects = step(full, Cue.SILENCE, script.clock.now(), Evidence(note="silence again"))
    assert moved.notes == (*full.notes[: limits.NOTES_MAX - 1], "silence again")


def test_the_same_remark_twice_in_a_row_is_kept_once() -> None:
    script = Script(signed_on(), FOREIGN[0], FOREIGN[0], FOREIGN[1], FOREIGN[0], answer("51"))
    record = script.run(sale()).record
    assert record is not None
    assert record.notes == (PASSED_OVER[0], PASSED_OVER[1], PASSED_OVER[0])


def test_a_new_attempt_has_demanded_nothing_yet() -> None:
    script = Script(signed_on(), silence, answer("77"))
    script.run(sale())
    with pytest.raises(IndexError):
        script.run(None)  # The demand is followed by a sign-on, for which the script has no reply.
    demanding = kept(script, REVERSAL)
    assert demanding.demands_sign_on is True
    again, _effects = step(demanding, Cue.REPEAT, script.clock.now(), Evidence(signed_on_by=9))
    assert (again.demands_sign_on, again.attempts, again.signed_on_by) == (False, 2, 9)
    assert again.demands_sign_on is False


def test_limits_of_sales_say_nothing_of_a_refund_in_another_currency() -> None:
    limited = replace(PROFILE, limits=SaleLimits(transaction=100))
    dollars = Amount.parse("5.00", CURRENCIES["840"])
    original = OriginalRef("000001", "000002", "0101")
    check_form(Order(kind=Kind.REFUND, amount=dollars, original=original), limited)
    with pytest.raises(UsageError, match="limits' currency"):
        check_form(Order(kind=Kind.SALE, amount=dollars), limited)


@pytest.mark.parametrize(("left_s", "wait_s"), [(0.75, 0.75), (0.5, 0.5), (0.25, 0.0), (0.0, 0.0), (-1.0, 0.0)])
def test_a_wait_too_short_to_measure_is_none(left_s: float, wait_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Halves are exact in binary, which a thousandth is not.
    monkeypatch.setattr(limits, "WAIT_MIN_S", 0.5)
    script = Script(signed_on(), silence, answer("96"))
    script.run(sale())
    script.run(None)
    failed = kept(script, REVERSAL)
    start = replace(failed.changed, elapsed_s=0.0)
    script.journal.save(replace(failed, changed=start))
    (duty,) = owed(script.journal, PROFILE, replace(start, elapsed_s=limits.BACKOFF_FIRST_S - left_s))
    assert duty.wait_s == wait_s


class Verifying(Script):
    """A script whose keystore has a word on MACs of former keys; without one it answers something else."""

    verdict: bool | None = None
    asked: tuple[VerifyMac, ...] = ()

    def perform(self, effect: Effect) -> Happening:
        if isinstance(effect, Ask) and isinstance(effect.question, VerifyMac):
            self.asked = (*self.asked, effect.question)
            now = self.clock.now()
            return Done(now) if self.verdict is None else Verified(now, self.verdict)
        return super().perform(effect)


@pytest.mark.parametrize("verdict", [True, False, None])
def test_a_stray_approval_is_verified_again_under_the_key_of_its_request(*, verdict: bool | None) -> None:
    first = Script(signed_on(), silence)
    first.run(sale())
    script = Verifying(journal=first.journal)
    script.verdict = verdict
    packet = Packet(None, None, first.sent[-1], b"as it came")

    def late(_request: Message, now: Instant) -> Happening:
        happened = approve(mac=MacState.WRONG)(first.sent[-1], now)
        assert isinstance(happened, Answered)
        return replace(happened, packet=packet)

    script.replies = [late, approve()]
    if verdict is None:
        with pytest.raises(AssertionError, match="Done does not answer the effect"):
            script.run(None)
        return
    script.run(None)
    assert script.asked == (VerifyMac(packet, kept(script, 1).keys[1]),)
    assert (kept(script, REVERSAL).late is not None) is verdict
