"""What a second reviewer found: duties taken over, restored journals, keys that changed, and who goes first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OnSilence, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.explain import explain
from pos_engine.flow.outcomes import DUTIES, Approved, InDoubt, Standing, line_of
from pos_engine.flow.plan import DutyKind, owed, plan
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount
from pos_engine.wire.message import Message
from simulators.bench import Bench
from simulators.scenario import Scenario, parse
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from pos_engine.flow.drive import Finished
    from pos_engine.flow.plan import Duty

SALE = 2


def kept(script: Script, number: int) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def owing(script: Script) -> list[Duty]:
    return list(owed(script.journal, PROFILE, script.clock.now()))


def resolve(script: Script, stan: str, *, moved: bool | None = None) -> Finished:
    word = Takeover(stan=stan, reason="we asked", moved=moved)
    return script.play(take_over(word, script.journal, PROFILE, script.clock.now()))


def mtis(script: Script) -> list[str]:
    return [message.mti for message in script.sent]


def original(script: Script, number: int = SALE) -> OriginalRef:
    sold = kept(script, number)
    return OriginalRef(sold.batch, sold.stan, "0101", "000000000001", None)


def taken_over(*amounts: str) -> Script:
    """Leave sales in doubt whose reversals nobody accepts, and let a supervisor take each over."""
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    for amount in amounts:
        due = [duty for duty in owing(script) if duty.is_taken_over and duty.wait_s <= 0]
        script.replies = [answer("96")] * bool(due) + [silence]
        finished = script.run(sale(amount))
        assert finished.record is not None
        while not any(duty.is_unresolved for duty in owing(script)):
            duty = plan(script.journal, PROFILE, script.clock.now())
            assert duty is not None
            script.clock.advance(duty.wait_s)
            script.replies = [answer("96")]
            script.run(None)
        script.replies = []
        resolve(script, finished.record.stan)
    script.effects.clear()
    return script


def restored(state: State) -> Script:
    """Leave a sale in a state, and put a backup in the journal's place."""
    script = Script(signed_on(), silence)
    script.run(sale())
    records = [kept(script, number) for number in (1, SALE)]
    after = Script(signed_on())
    after.journal.save(records[0])
    after.journal.save(replace(records[1], state=State.PENDING))
    if state is not State.PENDING:
        after.journal.save(replace(records[1], state=state))
    now = after.clock.now()
    after.journal.save(
        Record(
            number=3,
            kind=Kind.RESTORE,
            state=State.APPROVED,
            stan="000099",
            batch=records[1].batch,
            request=Message("", {}),
            opened=now,
            changed=now,
        )
    )
    return after


def test_what_was_open_when_a_backup_was_made_is_never_reversed_by_itself() -> None:
    script = restored(State.PENDING)
    (duty,) = owing(script)
    assert duty.kind is DutyKind.ASK
    told = explain(kept(script, SALE), script.journal, PROFILE.dialect)
    assert told.next == DUTIES[OnSilence.ASK]
    assert told.advice.en.startswith("call the acquirer")
    script.replies = [signed_on(), approve()]
    script.run(sale("1.00"))
    assert mtis(script) == ["0800", "0200"]
    resolve(script, kept(script, SALE).stan, moved=True)
    assert owing(script) == []
    line = line_of(kept(script, SALE), ())
    assert (line.standing, line.moved_minor) == (Standing.SETTLED, 1234)
    script.run(None)
    assert mtis(script) == ["0800", "0200"]


def test_what_was_in_doubt_when_a_backup_was_made_is_reversed() -> None:
    script = restored(State.DOUBTFUL)
    script.replies = [signed_on(), approve()]
    script.run(None)
    assert mtis(script) == ["0800", "0400"]


@pytest.mark.parametrize("kind", [Kind.REFUND, Kind.VOID])
def test_while_a_void_is_in_doubt_its_sale_is_not_given_back_again(kind: Kind) -> None:
    script = Script(signed_on(), approve(), silence, *[answer("96")] * 3)
    script.run(sale())
    script.run(Order(kind=Kind.VOID, original=original(script)))
    for _ in range(3):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    resolve(script, kept(script, SALE + 1).stan)
    script.replies = [approve()]
    amount = Amount.cny("12.34") if kind is Kind.REFUND else None
    with pytest.raises(UsageError, match="in doubt"):
        script.run(Order(kind=kind, amount=amount, original=original(script)))


def late_refund(script: Script, number: int) -> Reply:
    return lambda _request, now: approve()(kept(script, number).request, now)


def refund(script: Script, amount: str) -> Order:
    return Order(kind=Kind.REFUND, amount=Amount.cny(amount), original=original(script))


def test_nobody_can_say_that_a_refund_did_not_move_which_the_host_has_proven() -> None:
    script = Script(signed_on(), approve(), silence)
    script.run(sale())
    script.run(refund(script, "10.00"))
    script.replies = [late_refund(script, SALE + 1), approve()]
    script.run(sale("1.00"))
    with pytest.raises(UsageError, match="the host approved it"):
        resolve(script, kept(script, SALE + 1).stan, moved=False)
    resolve(script, kept(script, SALE + 1).stan, moved=True)
    with pytest.raises(UsageError, match="exceed"):
        script.run(refund(script, "2.35"))


def test_a_proof_outweighs_what_a_person_said_before() -> None:
    script = Script(signed_on(), approve(), silence)
    script.run(sale())
    script.run(refund(script, "10.00"))
    resolve(script, kept(script, SALE + 1).stan, moved=False)
    script.replies = [late_refund(script, SALE + 1), approve()]
    script.run(sale("1.00"))
    with pytest.raises(UsageError, match="exceed"):
        script.run(refund(script, "2.35"))
    assert line_of(kept(script, SALE + 1), ()).moved_minor == -1000


@pytest.mark.parametrize(("reply", "demanded"), [(silence, []), (answer("96"), []), (answer("A0"), [signed_on()])])
def test_an_order_tries_at_most_one_duty_that_was_taken_over_and_is_not_stopped_by_it(
    reply: Reply, demanded: list[Reply]
) -> None:
    script = taken_over("1.00", "2.00", "3.00", "4.00", "5.00")
    for _ in range(2):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.replies = [reply, *demanded, approve()]
        script.effects.clear()
        finished = script.run(sale("9.00"))
        assert finished.record is not None
        assert finished.record.state is State.APPROVED
        assert mtis(script).count("0400") == 1


def test_a_tick_tells_what_failed_and_counts_nothing_as_done_that_was_not() -> None:
    script = taken_over("1.00")
    script.clock.advance(limits.BACKOFF_MAX_S)
    script.replies = [answer("96")]
    finished = script.run(None)
    assert finished.worked_off == ()
    assert finished.blocked_by is not None


def test_a_reversal_that_has_to_wait_does_not_hold_up_one_that_is_due() -> None:
    script = Script(signed_on(), silence, answer("25"))
    script.run(sale("1.00"))
    script.run(None)
    script.replies = [silence, answer("25")]
    script.run(sale("2.00"))
    script.run(None)
    first, second = kept(script, 2), kept(script, 4)
    strays = [lambda _r, now, each=each: approve()(each.request, now) for each in (first, second)]
    script.replies = [*strays, approve()]
    script.run(sale("3.00"))
    assert [duty.kind for duty in owing(script)] == [DutyKind.REVERSE, DutyKind.REVERSE]
    script.effects.clear()
    script.replies = [answer("25"), approve()]
    script.run(None)
    script.run(None)
    assert [message[11] for message in script.sent] == [first.stan, second.stan]
    assert [duty.record.stan for duty in owing(script) if duty.record is not None] == [first.stan]


def test_a_terminal_that_was_signed_off_is_not_woken_by_a_duty_that_may_wait() -> None:
    script = taken_over("1.00")
    script.replies = [answer("00")]
    script.run(Order(kind=Kind.SIGN_OFF))
    script.effects.clear()
    script.run(None)
    assert mtis(script) == []
    duty = script.next_duty()
    assert duty is not None
    assert duty.wait_s > 0


def test_attempts_that_never_left_leave_a_reversal_to_the_terminal() -> None:
    script = Script(signed_on(), silence, *[unsent] * 5)
    script.run(sale())
    for _ in range(5):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    (duty,) = owing(script)
    assert not duty.is_unresolved
    with pytest.raises(UsageError, match="0 of 3 attempts"):
        resolve(script, kept(script, SALE).stan)
    # The wait grows all the same: a line that is down is not tried every five seconds.
    assert duty.wait_s > limits.BACKOFF_FIRST_S


@pytest.mark.parametrize("between", [".", "_", "/", "  ", " - "])
def test_a_card_number_is_known_in_any_dress(between: str) -> None:
    script = Script()
    text = between.join(("6229", "9900", "0000", "0000"))
    with pytest.raises(UsageError, match="card number"):
        script.play(take_over(Takeover(stan="000002", reason=text), script.journal, PROFILE, script.clock.now()))


LATE_AND_UNKNOWN = """
[[rule]]
name = "late"
match = { kind = "sale", amount_suffix = "060" }
action = { do = "late", seconds = 90 }
[[rule]]
name = "unknown"
match = { kind = "reversal" }
action = { do = "decline", code = "25" }
"""


@pytest.mark.parametrize("signs_on", [False, True])
def test_a_late_approval_under_the_key_of_its_time_reopens_a_closed_reversal(*, signs_on: bool) -> None:
    bench = Bench()
    with bench.open() as terminal:
        terminal.sign_on()
        bench.acquirer.stage(parse(LATE_AND_UNKNOWN, "late.toml"))
        assert isinstance(terminal.sale(Amount.cny("10.60")), InDoubt)
        if signs_on:
            terminal.sign_on()
        terminal.tick()
        assert bench.books.differences(terminal) != []
        bench.acquirer.stage(Scenario())
        bench.clock.advance(100)
        assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        terminal.tick()
        assert bench.books.differences(terminal) == []
