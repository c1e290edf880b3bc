"""A till that sells although the sign-on fails it: it carries a sale through what the session does to it.

A sale goes wrong because of the session in two ways. The terminal cannot sign on, and nothing was sent: the till does
what the contingency plan says, and once the terminal is signed on, has goods and amount confirmed again and sells. Or
the host refuses the sale until a sign-on: nothing was charged, the till signs on and offers the repeat. Whatever it
does by itself is in the journal. What it needs of a shop is a `TillFace`: a display, a cashier, a customer who waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pos_engine.dialects.base import Verdict
from pos_engine.errors import KeyFault, NoAnswer, NotSent, NotSignedOn, UsageError
from pos_engine.flow.outcomes import Approved, Declined
from pos_engine.session.contingency import Act, Deed
from pos_engine.session.states import READY, SessionState
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.errors import PosError
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.session.contingency import Contingency, Step
    from pos_engine.terminal import Terminal
    from pos_engine.values import Amount, Card

NOTHING_SENT: Final = (NotSent, NotSignedOn, KeyFault)
"""Errors that say that nothing left the terminal for this call."""
REPEATS_MAX: Final = 2
"""How often one sale is offered again: a host that refuses it a third time will refuse it a fourth."""
PAUSE_FIRST_S: Final = 2.0
PAUSE_MAX_S: Final = 15.0
"""Between two sign-ons of a retry, longer each time: a host that comes back is not to be overrun."""

RETRYING: Final = Text("the terminal signs on again; please wait", "终端正在重新签到, 请稍候")
ANOTHER_ROUTE: Final = Text("the terminal tries another line to the host; please wait", "正在切换备用线路, 请稍候")
HOLDING: Final = Text(
    "the host cannot be reached just now. Nothing was charged. Please keep the card and wait a moment",
    "暂时无法连接主机, 尚未扣款, 请持卡人稍候",
)
GIVEN_UP: Final = Text(
    "the sale was not begun and nothing was charged. Take cash, or try again later",
    "交易未开始, 未扣款; 请改用现金或稍后再试",
)
AFTER_A_WAIT: Final = Text(
    "the terminal is signed on again. The sale was not begun: are goods and amount still right?",
    "终端已重新签到, 交易尚未开始; 请再次确认商品和金额",
)
AFTER_A_REFUSAL: Final = Text(
    "the host refused the sale until a sign-on, and charged nothing. The terminal is signed on again: repeat the sale?",
    "主机要求重新签到, 交易被拒, 未扣款; 现已重新签到, 是否重做该笔交易?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """What the cashier confirms again: why, which goods, which amount."""

    why: Text
    goods: str
    amount: Amount


class TillFace(Protocol):
    """What a till needs of the people in front of it. Nothing of it is asked while a sale is under way."""

    def show(self, text: Text) -> None:
        """Show a message to cashier and customer."""
        ...

    def confirm(self, question: Question) -> bool:
        """Have the cashier confirm; `False` ends the sale, and nothing is charged."""
        ...

    def wait(self, seconds: float) -> bool:
        """Let time pass; `False` as soon as the customer will not wait."""
        ...


class Till:
    """One till with one terminal, and the plan for the hours in which that cannot sign on."""

    def __init__(self, terminal: Terminal, face: TillFace, plan: Contingency | None = None) -> None:
        """Take a terminal, which whoever made it closes; without a plan, its configuration's is followed."""
        self._terminal = terminal
        self._face = face
        self._plan = plan if plan is not None else terminal.contingency
        self._is_away = False

    def sale(
        self,
        amount: Amount,
        *,
        goods: str = "",
        card: Card | None = None,
        key: str | None = None,
        expected: Amount | None = None,
        allow_partial: bool = False,
    ) -> Outcome:
        """Sell as `Terminal.sale` does, through whatever the session brings; `goods` is what the cashier confirms.

        Raises as `Terminal.sale`; `NotSent` too when the cashier did not confirm or the customer did not wait. An error
        means that nothing was charged.
        """

        def sell() -> Outcome:
            return self._terminal.sale(amount, card=card, key=key, expected=expected, allow_partial=allow_partial)

        try:
            try:
                outcome = sell()
            except NOTHING_SENT as error:
                if not self._is_reachability(error):
                    raise
                self._carry_through(error, Question(AFTER_A_WAIT, goods, amount))
                outcome = sell()
            return self._repeated(outcome, goods, card)
        finally:
            self._return()

    def _is_reachability(self, error: PosError) -> bool:
        """Tell whether it is the session or the line that stands in the way, and not what is owed or was asked."""
        has_trouble = isinstance(error, NotSent) and error.trouble is not None
        return has_trouble or self._terminal.diagnosis() is not None

    def _carry_through(self, cause: PosError, question: Question) -> None:
        """Do what the plan says until the host is there and the sale is confirmed again; else raise."""
        if not self._plan.steps or self._terminal.status(recent=0).session is SessionState.LOCKED:
            # There is nothing that could be done, or the host wants to be left alone.
            raise cause
        self._terminal.put_on_record(Deed.BEGAN)
        for step in self._plan.steps:
            if _ACTS[step.act](self, step):
                self._have_confirmed(question)
                return
            self._terminal.put_on_record(Deed.TRIED, step)
        self._terminal.put_on_record(Deed.REFUSED)
        self._face.show(GIVEN_UP)
        raise cause

    def _retry(self, step: Step) -> bool:
        """Try for so long; a host that answers and refuses is not asked again, unless it is merely busy."""
        self._face.show(RETRYING)
        until_s, pause_s = self._now_s() + step.seconds, PAUSE_FIRST_S
        while not self._reaches_host():
            left_s = until_s - self._now_s()
            if left_s <= 0 or self._is_refused():
                return False
            self._wait(min(pause_s, left_s))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
        return True

    def _is_refused(self) -> bool:
        diagnosis = self._terminal.diagnosis()
        return diagnosis is not None and not diagnosis.may_pass

    def _take_route(self, step: Step) -> bool:
        self._face.show(ANOTHER_ROUTE)
        try:
            self._terminal.use_route(step.address)
        except UsageError:
            # There is no such road: the plan goes on.
            return False
        self._is_away = True
        return self._reaches_host()

    def _return(self) -> None:
        """Go back to the usual route once a sale is over."""
        if self._is_away:
            self._terminal.use_route(None)
            self._is_away = False

    def _hold(self, step: Step) -> bool:
        self._face.show(HOLDING)
        self._wait(step.seconds)
        return self._reaches_host()

    def _reaches_host(self) -> bool:
        """Sign on, or where that is not due, ask for a sign of life. A host that wants to be left alone is."""
        session = self._terminal.status(recent=0).session
        if session is SessionState.LOCKED:
            return False
        try:
            if session in READY:
                # Whatever it answers, it is there.
                self._terminal.echo()
                return True
            return isinstance(self._terminal.sign_on(), Approved)
        except (*NOTHING_SENT, NoAnswer):
            return False

    def _wait(self, seconds: float) -> None:
        if not self._face.wait(seconds):
            self._terminal.put_on_record(Deed.CUSTOMER_LEFT)
            reason = "the customer did not wait; nothing was sent"
            raise NotSent(reason)

    def _have_confirmed(self, question: Question) -> None:
        """Go on only with goods and amount confirmed again: minutes may have passed."""
        if not self._face.confirm(question):
            self._terminal.put_on_record(Deed.NOT_CONFIRMED)
            reason = "goods and amount were not confirmed again; nothing was sent"
            raise NotSent(reason)
        self._terminal.put_on_record(Deed.RESUMED)

    def _repeated(self, outcome: Outcome, goods: str, card: Card | None) -> Outcome:
        """Sign on and offer what the host refused until then; whoever says no keeps the refusal."""
        for _ in range(REPEATS_MAX):
            if not is_refused(outcome) or outcome.amount is None or not self._reaches_host():
                break
            if not self._face.confirm(Question(AFTER_A_REFUSAL, goods, outcome.amount)):
                break
            outcome = self._terminal.repeat(outcome.stan, batch=outcome.batch, card=card)
        return outcome

    def _now_s(self) -> float:
        return self._terminal.clock.now().elapsed_s


_ACTS: Final = {Act.RETRY: Till._retry, Act.ROUTE: Till._take_route, Act.HOLD: Till._hold}  # noqa: SLF001 - its own


def is_refused(outcome: Outcome) -> bool:
    """Tell whether the host refused a request until a sign-on: `Terminal.repeat` takes it then."""
    return isinstance(outcome, Declined) and outcome.code.verdict is Verdict.SIGN_ON
