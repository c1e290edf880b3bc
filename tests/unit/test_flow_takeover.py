"""Duties that a person takes over: unresolved reversals and refunds in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Emit, Save
from pos_engine.flow.outcomes import FOUND, TAKEN_OVER, UNRESOLVED, InDoubt, Standing, line_of, outcome_of
from pos_engine.flow.plan import Duty, DutyKind, owed, plan
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount
from tests.support.exchange import PROFILE, Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from pos_engine.flow.drive import Finished

SALE = 2
REVERSAL = 3
REFUND = 3
REASON = "the acquirer looked into it"


def kept(script: Script, number: int) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def owing(script: Script) -> list[Duty]:
    return list(owed(script.journal, PROFILE, script.clock.now()))


def resolve(script: Script, stan: str, *, moved: bool | None = None, reason: str = REASON, by: str = "") -> Finished:
    """Take a duty over."""
    word = Takeover(stan=stan, reason=reason, by=by, moved=moved)
    return script.play(take_over(word, script.journal, PROFILE, script.clock.now()))


def unresolved(*, attempts: int = limits.UNRESOLVED_ATTEMPTS) -> Script:
    """Leave a sale in doubt whose reversal nobody accepts."""
    script = Script(signed_on(), silence, *[answer("96")] * attempts)
    script.run(sale())
    for _ in range(attempts):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    return script


def refund_in_doubt() -> Script:
    script = Script(signed_on(), approve(), silence)
    script.run(sale())
    script.run(refund(script, "10.00"))
    return script


def refund(script: Script, amount: str) -> Order:
    sold = kept(script, SALE)
    original = OriginalRef(sold.batch, sold.stan, "0101", "000000000001", None)
    return Order(kind=Kind.REFUND, amount=Amount.cny(amount), original=original)


def test_a_reversal_that_failed_three_times_is_unresolved_and_still_tried() -> None:
    script = unresolved()
    (duty,) = owing(script)
    assert duty.is_unresolved
    assert duty.kind is DutyKind.REPEAT
    script.replies = [answer("96")]
    finished = script.run(sale("1.00"))
    assert finished.record is None
    assert finished.blocked_by is not None
    shown = outcome_of(kept(script, SALE), PROFILE.dialect, script.journal.acting_on(SALE))
    assert isinstance(shown, InDoubt)
    assert shown.duty == UNRESOLVED


def test_before_that_nobody_can_take_it_over() -> None:
    script = unresolved(attempts=limits.UNRESOLVED_ATTEMPTS - 1)
    with pytest.raises(UsageError, match="2 of 3 attempts"):
        resolve(script, kept(script, SALE).stan)
    fresh = Script(signed_on(), silence)
    fresh.run(sale())
    with pytest.raises(UsageError, match="0 of 3 attempts"):
        resolve(fresh, kept(fresh, SALE).stan)


def test_taken_over_it_blocks_no_more_and_is_tried_until_it_is_accepted() -> None:
    script = unresolved()
    resolve(script, kept(script, SALE).stan, by="Li")
    script.replies = [approve()]
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED
    assert [message.mti for message in script.sent[-1:]] == ["0200"]
    (duty,) = owing(script)
    assert duty.is_taken_over
    assert duty.wait_s > 0
    script.clock.advance(limits.BACKOFF_MAX_S)
    script.replies = [approve()]
    script.run(None)
    assert script.sent[-1].mti == "0400"
    assert owing(script) == []


def test_one_that_is_due_again_is_tried_first_and_its_failure_stops_nothing() -> None:
    script = unresolved()
    resolve(script, kept(script, SALE).stan)
    script.clock.advance(limits.BACKOFF_MAX_S)
    script.replies = [unsent, approve()]
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED
    assert [message.mti for message in script.sent[-2:]] == ["0400", "0200"]


def test_a_new_doubt_goes_before_one_that_was_taken_over() -> None:
    script = unresolved()
    resolve(script, kept(script, SALE).stan)
    script.replies = [silence, answer("96")]
    script.run(sale("1.00"))
    finished = script.run(sale("2.00"))
    assert finished.blocked_by is not None
    assert finished.blocked_by.stan != kept(script, SALE).stan
    duty = plan(script.journal, PROFILE, script.clock.now())
    assert duty is not None
    assert duty.record == finished.blocked_by


def test_who_and_why_is_kept_and_told() -> None:
    script = unresolved()
    finished = resolve(script, kept(script, SALE).stan, by=" Li ")
    assert finished.record is not None
    resolution = kept(script, REVERSAL).resolution
    assert resolution is not None
    assert (resolution.reason, resolution.by, resolution.moved) == (REASON, "Li", None)
    assert resolution.at == script.clock.now()
    assert kept(script, REVERSAL).state is State.DOUBTFUL
    shown = outcome_of(kept(script, SALE), PROFILE.dialect, script.journal.acting_on(SALE))
    assert isinstance(shown, InDoubt)
    assert shown.duty == TAKEN_OVER
    with pytest.raises(UsageError, match="taken over before"):
        resolve(script, kept(script, SALE).stan)


def test_nobody_can_say_of_a_reversal_that_the_money_moved() -> None:
    script = unresolved()
    with pytest.raises(UsageError, match="for the host to say"):
        resolve(script, kept(script, SALE).stan, moved=False)


def test_a_refund_in_doubt_is_settled_by_what_the_acquirer_says() -> None:
    script = refund_in_doubt()
    stan = kept(script, REFUND).stan
    with pytest.raises(UsageError, match="say whether the money moved"):
        resolve(script, stan)
    resolve(script, stan, moved=True)
    assert owing(script) == []
    line = line_of(kept(script, REFUND), ())
    assert (line.standing, line.moved_minor) == (Standing.SETTLED, -1000)
    shown = outcome_of(kept(script, REFUND), PROFILE.dialect)
    assert isinstance(shown, InDoubt)
    assert shown.duty == FOUND[True]
    # What moved counts: 12.34 were sold, 10.00 are given back.
    with pytest.raises(UsageError, match="exceed"):
        script.run(refund(script, "3.00"))
    script.replies = [approve()]
    finished = script.run(refund(script, "2.34"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED


def test_a_refund_that_never_came_about_can_be_made_again() -> None:
    script = refund_in_doubt()
    resolve(script, kept(script, REFUND).stan, moved=False)
    line = line_of(kept(script, REFUND), ())
    assert (line.standing, line.moved_minor) == (Standing.SETTLED, 0)
    script.replies = [approve()]
    finished = script.run(refund(script, "12.34"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED


def test_a_refund_that_was_cut_short_is_shown_to_be_in_doubt_first() -> None:
    script = refund_in_doubt()
    pending = Script(journal=type(script.journal)(PROFILE.dialect.spec))
    for body in (*script.effects,):
        if isinstance(body, Save) and not (body.record.number == REFUND and body.record.state is State.DOUBTFUL):
            pending.journal.save(body.record)
    assert kept(pending, REFUND).state is State.PENDING
    resolve(pending, kept(pending, REFUND).stan, moved=False)
    states = [e.record.state for e in pending.effects if isinstance(e, Save | Emit)]
    assert states == [State.DOUBTFUL, State.DOUBTFUL, State.DOUBTFUL]
    assert owing(pending) == []


@pytest.mark.parametrize(
    ("reason", "complaint"),
    [
        ("", "a reason is needed"),
        ("  ", "a reason is needed"),
        ("x" * 201, "at most 200"),
        ("line\nbreak", "printable"),
        ("card 6229990000000004", "card number"),
        ("card 6229 9900 0000 0004", "card number"),
        ("card 6229-9900-0000-0004", "card number"),
    ],
)
def test_a_reason_is_words_and_no_card_number(reason: str, complaint: str) -> None:
    script = unresolved()
    with pytest.raises(UsageError, match=complaint):
        resolve(script, kept(script, SALE).stan, reason=reason)


def test_a_reference_number_may_be_in_a_reason() -> None:
    script = unresolved()
    resolve(script, kept(script, SALE).stan, reason="reference 112107300001 is not in their list")


def test_only_what_is_owed_can_be_taken_over() -> None:
    script = Script(signed_on(), approve())
    script.run(sale())
    for stan in (kept(script, SALE).stan, "000099"):
        with pytest.raises(UsageError, match="nothing is owed"):
            resolve(script, stan)


def test_the_supervisor_is_asked_and_may_refuse() -> None:
    script = unresolved()
    script.supervisor_allows = False
    with pytest.raises(UsageError, match="supervisor"):
        resolve(script, kept(script, SALE).stan)
    assert kept(script, REVERSAL).resolution is None
