"""What the journal can tell of one transaction: every standing, and every step on the way to it."""

from __future__ import annotations

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import MacState
from pos_engine.flow.explain import NOTHING_OWED, Explanation, explain
from pos_engine.flow.outcomes import DUTIES, FOUND, TAKEN_OVER, UNRESOLVED, Approved, Standing
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.values import Amount, Text
from simulators.bench import Bench
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

SALE = 2


def told(script: Script, number: int = SALE) -> Explanation:
    record = script.journal.find(number)
    assert record is not None
    return explain(record, script.journal, PROFILE.dialect)


def steps(explanation: Explanation) -> list[str]:
    return [f"{each.kind.value}: {each.what.en}" for each in explanation.history]


def after(*replies: Reply, runs: int = 0) -> Script:
    """Sell once, then do what is owed so often."""
    script = Script(signed_on(), *replies)
    script.run(sale())
    for _ in range(runs):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    return script


def resolve(script: Script, stan: str, *, moved: bool | None = None, by: str = "") -> None:
    word = Takeover(stan=stan, reason="we asked", by=by, moved=moved)
    script.play(take_over(word, script.journal, PROFILE, script.clock.now()))


def test_an_approved_sale() -> None:
    explanation = told(after(approve()))
    assert explanation.line.standing is Standing.APPROVED
    assert steps(explanation) == ["sale: kept in the journal, then sent", "sale: the host answered 00: approved"]
    assert explanation.next == NOTHING_OWED


def test_a_declined_sale_tells_what_the_code_means_and_what_to_do() -> None:
    explanation = told(after(answer("51")))
    code = PROFILE.dialect.meaning("51")
    assert explanation.line.standing is Standing.DECLINED
    assert (explanation.why, explanation.advice) == (code.meaning, code.action)
    assert explanation.history[-1].what.zh == f"主机应答51: {code.meaning.zh}"


def test_a_sale_that_was_not_sent() -> None:
    explanation = told(after(unsent))
    assert explanation.line.standing is Standing.UNSENT
    assert explanation.history[-1].notes == ("connection refused",)
    assert explanation.history[-1].what.zh == explanation.why.zh == "未发送任何数据"


ECHO = 1
DONE = Text("it is done: nothing to do", "已完成, 无需处理")
AGAIN = Text("nothing was sent: ask again if it is still wanted", "未发送, 如仍需要请重试")


@pytest.mark.parametrize(
    ("reply", "standing", "advice"),
    [
        (approve(mac=MacState.ABSENT), Standing.APPROVED, DONE),
        (unsent, Standing.UNSENT, AGAIN),
        (answer("96", mac=MacState.ABSENT), Standing.DECLINED, PROFILE.dialect.meaning("96").action),
        (
            silence,
            Standing.IN_DOUBT,
            Text("nothing: whatever is still wanted is asked for again", "无需处理, 如仍需要将重新请求"),
        ),
    ],
)
def test_what_moves_no_money_is_not_told_as_a_payment(reply: Reply, standing: Standing, advice: Text) -> None:
    script = Script(reply)
    script.run(Order(kind=Kind.ECHO))
    explanation = told(script, ECHO)
    assert (explanation.line.kind, explanation.line.standing) == (Kind.ECHO, standing)
    assert explanation.advice == advice


@pytest.mark.parametrize("kind", [Kind.SIGN_ON, Kind.BALANCE])
def test_a_sign_on_or_an_inquiry_that_was_answered_needs_no_receipt(kind: Kind) -> None:
    script = Script(signed_on(), approve({54: "1002156C000000001234"}))
    script.run(Order(kind=Kind.BALANCE))
    explanation = told(script, 1 if kind is Kind.SIGN_ON else SALE)
    assert (explanation.line.kind, explanation.line.standing) == (kind, Standing.APPROVED)
    assert explanation.advice == DONE
    assert explanation.why == Text("the host did what was asked", "主机已受理")


@pytest.mark.parametrize(
    ("reply", "why"),
    [(silence, "no answer arrived"), (approve(mac=MacState.ABSENT), "the answer's MAC is missing or wrong")],
)
def test_a_sale_in_doubt_tells_why_and_what_comes(reply: Reply, why: str) -> None:
    explanation = told(after(reply))
    assert explanation.line.standing is Standing.IN_DOUBT
    assert explanation.why.en == why
    assert explanation.history[-1].what.en == f"in doubt: {why}"
    assert explanation.next == DUTIES[PROFILE.dialect.kinds[Kind.SALE].on_silence]


def test_a_reversed_sale_tells_every_attempt() -> None:
    explanation = told(after(silence, answer("96"), approve(), runs=2))
    assert explanation.line.standing is Standing.REVERSED
    assert steps(explanation)[2:] == [
        "reversal: kept in the journal, then sent",
        "reversal: not accepted",
        "reversal: sent again, attempt 2",
        "reversal: the host answered 00: approved",
    ]
    assert explanation.next == NOTHING_OWED
    assert explanation.advice.en.startswith("nothing was charged")


def test_an_unresolved_reversal_sends_the_cashier_to_the_acquirer() -> None:
    script = after(silence, *[answer("96")] * 3, runs=3)
    unresolved = told(script)
    assert unresolved.next == UNRESOLVED
    assert unresolved.advice.en.startswith("call the acquirer")
    resolve(script, unresolved.line.stan, by="Li")
    taken = told(script)
    assert taken.next == TAKEN_OVER
    assert taken.history[-1].what.en == "Li took it over: we asked"
    assert taken.history[-1].what.zh == "Li人工确认: we asked"


def test_a_refund_in_doubt_and_settled() -> None:
    script = after(approve())
    line = told(script).line
    original = OriginalRef(line.batch, line.stan, "0101", "000000000001", None)
    script.replies = [silence]
    script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=original))
    assert told(script, SALE + 1).advice.en.startswith("call the acquirer")
    resolve(script, told(script, SALE + 1).line.stan, moved=True)
    settled = told(script, SALE + 1)
    assert settled.line.standing is Standing.SETTLED
    assert settled.why == FOUND[True]
    assert settled.history[-1].what.en == "a supervisor took it over: we asked"


def test_a_late_approval_is_part_of_the_story() -> None:
    script = after(silence, answer("25"), runs=1)

    sold = script.journal.find(SALE)
    assert sold is not None
    script.replies = [lambda _request, now: approve()(sold.request, now), approve()]
    script.run(sale("1.00"))
    assert "reversal: the host's approval arrived when nobody waited for it any more" in steps(told(script))
    assert told(script).line.standing is Standing.IN_DOUBT


def test_a_voided_sale_as_a_terminal_tells_it() -> None:
    bench = Bench()
    with bench.open() as terminal:
        sold = terminal.sale(Amount.cny("1.00"))
        assert isinstance(sold, Approved)
        terminal.void(sold.reference)
        explanation = terminal.explain("000002")
    assert explanation.line.standing is Standing.VOIDED
    assert steps(explanation)[2:] == ["void: kept in the journal, then sent", "void: the host answered 00: approved"]
    assert {explanation.why.en, explanation.advice.en} == {
        "it was approved, and a void has undone it since",
        "the money went back: nothing to do",
    }
