"""Approvals that come when nobody waits for them: on a later connection, before a request, after the reversal's end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Happening, MacState, Save, Silent
from pos_engine.flow.outcomes import Approved, InDoubt, outcome_of
from pos_engine.flow.plan import DutyKind, owed
from pos_engine.journal.record import State
from pos_engine.values import Amount
from tests.support.exchange import PROFILE, Found, Reply, Script, answer, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.journal.record import Record
    from pos_engine.wire.message import Message

SALE = 2
REVERSAL = 3
CLOSED_BY = pytest.mark.parametrize("code", ["12", "25"])


def kept(script: Script, number: int) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def duties(script: Script) -> list[DutyKind]:
    return [duty.kind for duty in owed(script.journal, PROFILE, script.clock.now())]


def sent(script: Script) -> list[tuple[str, str]]:
    return [(message.mti, message.get(11, "")) for message in script.sent]


def of_record(script: Script, number: int, changes: dict[int, str] | None = None) -> Answered:
    """Make the host's late approval of a record's request."""
    request = kept(script, number).request
    happened = approve({38: "A00001"})(request, script.clock.now())
    assert isinstance(happened, Answered)
    return replace(happened, message=happened.message.replace(changes or {}))


def stray(script: Script, number: int = SALE, changes: dict[int, str] | None = None) -> Reply:
    """Answer another request than the one that is out."""
    return lambda _request, _now: of_record(script, number, changes)


def set_aside(script: Script, reply: Reply, number: int = SALE) -> Reply:
    """Reply, having found a late approval in the connection."""
    return Found(lambda _request, _now: (of_record(script, number),), reply)


def closed(code: str) -> Script:
    """Leave a sale in doubt whose reversal the host has ended by not knowing it."""
    script = Script(signed_on(), silence, answer(code))
    script.run(sale())
    script.run(None)
    assert kept(script, REVERSAL).ends == SALE
    assert duties(script) == []
    return script


@CLOSED_BY
@pytest.mark.parametrize("how", ["waiting", "in the connection"])
def test_a_late_approval_after_the_reversal_was_closed_reopens_it_under_the_same_stan(code: str, how: str) -> None:
    script = closed(code)
    replies = [stray(script), approve()] if how == "waiting" else [set_aside(script, approve())]
    script.replies = replies
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED
    assert duties(script) == [DutyKind.REVERSE]
    script.replies = [approve()]
    script.run(None)
    assert duties(script) == []
    reversals = [each for each in script.journal.acting_on(SALE) if each.kind is Kind.REVERSAL]
    assert [each.ends for each in reversals] == [None, SALE]
    assert sent(script)[-1] == ("0400", kept(script, SALE).stan)
    assert script.sent[-1][38] == "A00001"


@CLOSED_BY
def test_the_reopened_reversal_is_ended_by_acceptance_alone(code: str) -> None:
    script = closed(code)
    script.replies = [stray(script), approve(), answer("25"), answer("12"), approve()]
    script.run(sale("1.00"))
    for _ in range(2):
        script.clock.advance(4000)
        script.run(None)
        assert duties(script) == [DutyKind.REPEAT]
    script.clock.advance(4000)
    script.run(None)
    assert duties(script) == []


def test_a_late_approval_is_on_record_before_the_terminal_waits_on() -> None:
    script = closed("25")
    script.replies = [stray(script), approve()]
    script.run(sale("1.00"))
    saved = [effect.record for effect in script.effects if isinstance(effect, Save)]
    crossed = next(place for place, record in enumerate(saved) if record.number == REVERSAL and record.late is not None)
    assert saved[crossed].late is not None
    assert saved[crossed].code == "25"
    assert [record.state for record in saved[crossed + 1 :]] == [State.APPROVED]


def test_what_was_shown_of_the_sale_does_not_change() -> None:
    script = closed("25")
    before = outcome_of(kept(script, SALE), PROFILE.dialect)
    script.replies = [stray(script), approve()]
    script.run(sale("1.00"))
    assert isinstance(before, InDoubt)
    assert outcome_of(kept(script, SALE), PROFILE.dialect) == before


def test_an_accepted_reversal_that_was_crossed_stays_the_end_of_it() -> None:
    script = Script(signed_on(), silence, approve())
    script.run(sale())
    script.run(None)
    script.replies = [stray(script), approve()]
    script.run(sale("1.00"))
    assert kept(script, REVERSAL).late is not None
    assert duties(script) == []


def test_an_approval_that_comes_before_the_reversal_is_sent_makes_acceptance_its_only_end() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    script.replies = [set_aside(script, answer("25"))]
    script.run(None)
    assert kept(script, REVERSAL).approval_proven
    assert duties(script) == [DutyKind.REPEAT]


def test_the_reversal_names_the_code_that_came_late_where_the_answer_had_none() -> None:
    bare = approve(mac=MacState.ABSENT)
    script = Script(signed_on(), bare)
    script.run(sale())
    assert 38 not in (kept(script, SALE).answer or {})
    script.clock.reboot("boot-2")
    script.replies = [stray(script), signed_on(), approve()]
    script.run(None)
    assert script.sent[-1][38] == "A00001"
    assert script.sent[-1][39] == "A0"


def test_an_approval_that_comes_during_a_sign_on_is_kept_for_the_reversal() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    script.clock.reboot("boot-2")
    script.replies = [stray(script), signed_on(), answer("25")]
    script.run(None)
    assert kept(script, SALE).late is not None
    reversal = next(each for each in script.journal.acting_on(SALE) if each.kind is Kind.REVERSAL)
    assert reversal.request[38] == "A00001"
    assert duties(script) == [DutyKind.REPEAT]


@pytest.mark.parametrize(
    "changes",
    [{4: "000000000001"}, {41: "T0000002"}, {11: "000099"}, {39: "51"}, {60: "22000009000500"}],
)
def test_what_does_not_prove_that_this_sale_was_approved_reopens_nothing(changes: dict[int, str]) -> None:
    script = closed("25")
    script.replies = [stray(script, changes=changes), approve()]
    script.run(sale("1.00"))
    assert kept(script, REVERSAL).late is None
    assert duties(script) == []


@pytest.mark.parametrize("mac", [MacState.ABSENT, MacState.WRONG])
def test_a_late_approval_without_a_good_mac_reopens_nothing(mac: MacState) -> None:
    script = closed("25")
    script.replies = [lambda _request, _now: replace(of_record(script, SALE), mac=mac), approve()]
    script.run(sale("1.00"))
    assert duties(script) == []


def test_the_same_late_approval_twice_is_kept_once() -> None:
    script = closed("25")
    script.replies = [stray(script), stray(script), approve()]
    script.run(sale("1.00"))
    saved = [effect.record for effect in script.effects if isinstance(effect, Save)]
    assert [record.number for record in saved if record.late is not None] == [REVERSAL]


def test_a_second_approval_of_a_sale_that_stands_changes_nothing() -> None:
    script = Script(signed_on(), approve())
    script.run(sale())
    script.replies = [stray(script), approve()]
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert isinstance(outcome_of(finished.record, PROFILE.dialect), Approved)
    assert kept(script, SALE).late is None


def test_what_came_before_a_request_is_no_late_approval_of_that_request() -> None:
    script = Script(signed_on(), approve())
    script.run(sale())

    def early(request: Message, now: Instant) -> Happening:
        early = approve()(request, now)
        assert isinstance(early, Answered)
        return Silent(now, "silence", set_aside=(early,))

    script.replies = [early]
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert finished.record.state is State.DOUBTFUL
    assert finished.record.late is None


def test_a_late_approval_of_a_refund_in_doubt_is_kept_for_the_person_who_asks() -> None:
    script = Script(signed_on(), approve(), silence)
    script.run(sale())
    sold = kept(script, SALE)
    original = OriginalRef(sold.batch, sold.stan, "0101", "000000000001", None)
    script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=original))
    refund = REVERSAL
    shown = outcome_of(kept(script, refund), PROFILE.dialect)
    script.replies = [stray(script, refund), approve()]
    script.run(sale("1.00"))
    assert kept(script, refund).late is not None
    assert kept(script, refund).state is State.DOUBTFUL
    assert outcome_of(kept(script, refund), PROFILE.dialect) == shown
    assert duties(script) == [DutyKind.ASK]


def test_a_late_approval_outlives_a_restart() -> None:
    script = closed("25")
    script.replies = [stray(script), silence]
    script.run(sale("1.00"))
    after = Script(approve(), approve(), journal=script.journal)
    after.run(None)
    assert [message.mti for message in after.sent] == ["0400", "0400"]
    assert duties(after) == []
