"""Everything that a caller is told about an outcome, word by word and part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import REVERSAL_REASONS, Kind, OnSilence, OriginalRef
from pos_engine.flow.checks import Order
from pos_engine.flow.drive import drive
from pos_engine.flow.effects import MacState, Save
from pos_engine.flow.explain import Happened, explain
from pos_engine.flow.outcomes import (
    DUTIES,
    TAKEN_OVER,
    UNRESOLVED,
    Approved,
    Declined,
    InDoubt,
    Line,
    Standing,
    duty_of,
    line_of,
    outcome_of,
)
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount, Text
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Happening
    from pos_engine.wire.message import Message

DIALECT = PROFILE.dialect
SALE, REVERSAL = 2, 3
CARD = "622999******0004"


def kept(script: Script, number: int = SALE) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def sold(reply: Reply) -> tuple[Script, Instant, Instant]:
    """Sell once, five seconds before the answer; returns when it was begun and when it was concluded."""
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    begun = script.clock.now()

    def slowly(request: Message, _now: Instant) -> Happening:
        script.clock.advance(5)
        return reply(request, script.clock.now())

    script.replies = [slowly]
    script.run(sale())
    return script, begun, script.clock.now()


def test_every_part_of_an_approval_is_told() -> None:
    script, _begun, concluded = sold(approve({38: "A00001"}))
    told = outcome_of(kept(script), DIALECT)
    assert told == Approved(
        kind=Kind.SALE,
        stan="000002",
        batch="000001",
        code=DIALECT.codes["00"],
        amount=Amount.cny("12.34"),
        rrn="000000000001",
        auth_code="A00001",
        card=CARD,
        host_date="0101",
        at=concluded.wall,
        requested=Amount.cny("12.34"),
        balance=None,
    )
    assert isinstance(told, Approved)
    assert told.reference == OriginalRef("000001", "000002", "0101", "000000000001", "A00001")


def test_what_an_approval_does_not_bring_has_a_stand_in() -> None:
    script = Script(answer("00", mac=MacState.ABSENT))
    script.run(Order(kind=Kind.ECHO))
    echo = kept(script, 1)
    assert echo.answer is not None
    bare = replace(echo, answer=echo.answer.without(13).without(37))
    told = outcome_of(bare, DIALECT)
    assert isinstance(told, Approved)
    assert (told.host_date, told.rrn, told.amount, told.requested, told.balance) == ("0000", None, None, None, None)
    assert told.reference.rrn == "000000000000"


def test_a_record_without_an_answer_is_told_without_one() -> None:
    script, *_ = sold(approve())
    bare = replace(kept(script), answer=None)
    approved, declined = (outcome_of(replace(bare, state=each), DIALECT) for each in (State.APPROVED, State.DECLINED))
    assert isinstance(approved, Approved)
    assert isinstance(declined, Declined)
    assert (approved.code.code, declined.code.code, approved.host_date, approved.balance) == ("", "", "0000", None)
    explained = explain(replace(bare, state=State.DECLINED), script.journal, DIALECT)
    assert (explained.why, explained.advice) == (DIALECT.meaning("").meaning, DIALECT.meaning("").action)


def test_every_part_of_a_decline_is_told() -> None:
    script, *_ = sold(answer("51"))
    assert outcome_of(kept(script), DIALECT) == Declined(
        kind=Kind.SALE,
        stan="000002",
        batch="000001",
        code=DIALECT.codes["51"],
        amount=Amount.cny("12.34"),
        card=CARD,
    )


def test_every_part_of_a_doubt_is_told() -> None:
    script, *_ = sold(approve(mac=MacState.WRONG))
    assert outcome_of(kept(script), DIALECT) == InDoubt(
        kind=Kind.SALE,
        stan="000002",
        batch="000001",
        why=REVERSAL_REASONS["A0"],
        duty=DUTIES[OnSilence.REVERSE],
        amount=Amount.cny("12.34"),
        card=CARD,
        notes=("an approval whose MAC is wrong",),
    )


@pytest.mark.parametrize(("reason", "why"), [(None, "98"), ("98", "98"), ("A0", "A0"), ("06", "06"), ("ZZ", "06")])
def test_a_doubt_has_a_reason_in_words(reason: str | None, why: str) -> None:
    script, *_ = sold(silence)
    record = replace(kept(script), reason=reason)
    told = outcome_of(record, DIALECT)
    assert isinstance(told, InDoubt)
    assert told.why == REVERSAL_REASONS[why]
    assert explain(record, script.journal, DIALECT).why == REVERSAL_REASONS[why]


@pytest.mark.parametrize(
    ("reply", "standing", "code"),
    [
        (approve(), Standing.APPROVED, "00"),
        (answer("51"), Standing.DECLINED, "51"),
        (approve(mac=MacState.ABSENT), Standing.IN_DOUBT, None),
        (unsent, Standing.UNSENT, None),
    ],
)
def test_every_part_of_a_line_is_told(reply: Reply, standing: Standing, code: str | None) -> None:
    script, begun, _concluded = sold(reply)
    line = line_of(kept(script), script.journal.acting_on(SALE))
    assert line == Line(Kind.SALE, "000002", "000001", standing, code, Amount.cny("12.34"), CARD, begun.wall)
    assert line.about_money
    assert line.moved_minor == (1234 if standing is Standing.APPROVED else 0)


def test_a_reversal_moves_no_money_of_its_own() -> None:
    script, *_ = sold(silence)
    script.replies = [approve()]
    script.run(None)
    reversed_sale = line_of(kept(script), script.journal.acting_on(SALE))
    reversal = line_of(kept(script, REVERSAL), ())
    assert (reversed_sale.standing, reversed_sale.moved_minor) == (Standing.REVERSED, 0)
    assert (reversal.standing, reversal.about_money, reversal.moved_minor) == (Standing.APPROVED, False, 0)


def test_a_void_moves_back_what_its_sale_moved() -> None:
    script, *_ = sold(approve())
    first = outcome_of(kept(script), DIALECT)
    assert isinstance(first, Approved)
    script.replies = [approve()]
    script.run(Order(kind=Kind.VOID, original=first.reference))
    lines = [line_of(kept(script, number), script.journal.acting_on(number)) for number in (SALE, REVERSAL)]
    assert [(line.standing, line.code, line.moved_minor) for line in lines] == [
        (Standing.VOIDED, "00", 1234),
        (Standing.APPROVED, "00", -1234),
    ]


def test_only_an_unanswered_reversal_is_for_a_person() -> None:
    script, *_ = sold(silence)
    script.replies = [answer("96")]
    script.run(None)
    reversal = replace(kept(script, REVERSAL), attempts=limits.UNRESOLVED_ATTEMPTS)

    def duty(state: State) -> Text:
        return duty_of(kept(script), DIALECT, (replace(reversal, state=state),))

    assert duty(State.DOUBTFUL) == UNRESOLVED
    assert duty(State.PENDING) == DUTIES[OnSilence.REVERSE]
    once = replace(reversal, attempts=limits.UNRESOLVED_ATTEMPTS - 1)
    assert duty_of(kept(script), DIALECT, (once,)) == DUTIES[OnSilence.REVERSE]
    assert duty_of(reversal, DIALECT, ()) == UNRESOLVED
    assert duty_of(once, DIALECT, ()) == DUTIES[OnSilence.REPEAT]


def history(script: Script, number: int = SALE) -> tuple[Happened, ...]:
    return explain(kept(script, number), script.journal, DIALECT).history


def test_a_history_tells_when_to_what_and_with_which_remarks() -> None:
    script, begun, concluded = sold(approve(mac=MacState.WRONG))
    script.clock.advance(60)
    reversing = script.clock.now()
    script.replies = [answer("96")]
    script.run(None)
    script.clock.advance(60)
    again = script.clock.now()
    script.replies = [approve()]
    script.run(None)
    told = [(each.at, each.kind, each.what.en, each.notes) for each in history(script)]
    assert told == [
        (begun.wall, Kind.SALE, "kept in the journal, then sent", ()),
        (
            concluded.wall,
            Kind.SALE,
            "in doubt: the answer's MAC is missing or wrong",
            ("an approval whose MAC is wrong",),
        ),
        (reversing.wall, Kind.REVERSAL, "kept in the journal, then sent", ()),
        (reversing.wall, Kind.REVERSAL, "not accepted", ("not accepted",)),
        (again.wall, Kind.REVERSAL, "sent again, attempt 2", ()),
        (again.wall, Kind.REVERSAL, "the host answered 00: approved", ()),
    ]


def test_what_never_left_is_told_in_both_languages() -> None:
    script, _begun, concluded = sold(unsent)
    last = history(script)[-1]
    assert (last.at, last.what, last.notes) == (
        concluded.wall,
        Text(State.UNSENT.value, "未发送任何数据"),
        ("connection refused",),
    )


def test_a_form_without_a_word_of_its_own_is_told_by_its_state() -> None:
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    journal = script.journal
    checking = replace(kept(script, 1), number=2, stan="000002", state=State.CHECKING, notes=("a remark",))
    journal.save(checking)
    (only,) = explain(checking, journal, DIALECT).history
    assert only == Happened(
        checking.opened.wall, Kind.SIGN_ON, Text(State.CHECKING.value, State.CHECKING.value), ("a remark",)
    )


def test_a_word_of_a_person_is_told_with_its_time() -> None:
    script, *_ = sold(silence)
    for _ in range(limits.UNRESOLVED_ATTEMPTS):
        script.replies = [answer("96")]
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    script.clock.advance(60)
    said = script.clock.now()
    word = Takeover(stan="000002", reason="we asked", by="Li")
    finished = script.play(take_over(word, script.journal, PROFILE, said))
    last = history(script)[-1]
    assert (last.at, last.kind) == (said.wall, Kind.REVERSAL)
    assert last.what == Text("Li took it over: we asked", "Li人工确认: we asked")
    assert outcome_of(kept(script, REVERSAL), DIALECT, ()) == outcome_of(
        kept(script, REVERSAL), DIALECT, script.journal.acting_on(REVERSAL)
    )
    assert duty_of(kept(script, REVERSAL), DIALECT, ()) == TAKEN_OVER
    assert finished.now == said
    duty = script.next_duty()
    assert duty is not None
    assert duty.is_taken_over


def test_a_late_approval_is_told_with_its_time() -> None:
    script, *_ = sold(silence)
    request = script.sent[-1]
    script.replies = [answer("25")]
    script.run(None)
    script.clock.advance(60)
    came = script.clock.now()

    def stray(_request: Message, now: Instant) -> Happening:
        return approve({38: "A00001"})(request, now)

    script.replies = [stray, approve()]
    script.run(sale("1.00"))
    late = [each for each in history(script) if each.what.en.startswith("the host's approval arrived")]
    assert [(each.at, each.kind) for each in late] == [(kept(script, REVERSAL).changed.wall, Kind.REVERSAL)]
    assert late[0].at <= came.wall
    assert kept(script, REVERSAL).late is not None


def test_what_was_cut_short_is_put_on_record_as_in_doubt_before_it_is_told() -> None:
    """The outcome could not be saved, and when the till asks again the sign-on that is due cannot be had either."""
    script = Script(signed_on(), silence)
    order = replace(sale(), key="order 17")
    driver = drive(order, script.journal, script.profile, script.clock.now())
    effect = next(driver)
    while not (isinstance(effect, Save) and effect.record.state is State.DOUBTFUL):
        effect = driver.send(script.perform(effect))
    # The disk fails here, and the drive is over.
    driver.close()
    script.clock.reboot("boot-2")
    script.replies = [unsent]
    script.effects.clear()
    finished = script.run(order)
    assert finished.record is not None
    assert finished.record.state is State.DOUBTFUL
    assert script.journal.find(finished.record.number) == finished.record
    saved = [effect.record.state for effect in script.effects if isinstance(effect, Save)]
    assert saved[-1] is State.DOUBTFUL
