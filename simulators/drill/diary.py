"""The timeline of a drill: what the terminal did, by its journal; what was shown; what people did; what was chosen.

What the terminal did is never told from memory. Before each entry the journals are read, and every record that is new,
or stands otherwise than before, becomes a line of its own.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, Verdict
from pos_engine.errors import KeyFault, NotSignedOn, UsageError
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.journal.record import State
from pos_engine.session.contingency import Act, Deed
from pos_engine.session.diagnosis import TROUBLES
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pos_engine.dialects.base import Dialect
    from pos_engine.errors import PosError
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.journal.record import Record
    from pos_engine.session.diagnosis import Diagnosis
    from simulators.drill.scoring import Mark


class Who(enum.Enum):
    """Whose doing an entry is; the value is the word for programs."""

    SHOP = "shop"
    DISPLAY = "display"
    CASHIER = "cashier"
    TERMINAL = "terminal"
    NEXT_TILL = "next-till"
    LINE = "line"


UNSEEN: Final = frozenset({Who.TERMINAL, Who.LINE})
"""What the cashier learns of at the end only."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline; everything in it is safe to show."""

    at_s: float
    """Seconds since the sale was rung up."""
    who: Who
    text: Text
    mark: Mark | None = None
    """Of an act: how it was scored."""
    why: Text | None = None


DEEDS: Final[Mapping[Deed, Text]] = {
    Deed.BEGAN: Text("the till follows its plan: the terminal cannot sign on", "无法签到, 收银台按应急预案处理"),
    Deed.TRIED: Text("tried in vain", "未成功"),
    Deed.SIGNED_ON: Text("signed on", "签到成功"),
    Deed.RESUMED: Text("goods and amount were confirmed again: the sale goes on", "商品和金额已再次确认, 继续交易"),
    Deed.NOT_CONFIRMED: Text("not confirmed: the sale was given up", "未获确认, 放弃交易"),
    Deed.CUSTOMER_LEFT: Text("the customer did not wait: the sale was given up", "顾客未等候, 放弃交易"),
    Deed.REFUSED: Text("the plan is at its end: the sale was refused", "预案已用完, 拒绝交易"),
}
_STEPS: Final[Mapping[Act, str]] = {
    Act.RETRY: "反复签到",
    Act.ROUTE: "备用线路",
    Act.HOLD: "请顾客等候",
    Act.REFUSE: "拒绝",
}
_STATES: Final[Mapping[State, Text]] = {
    State.PENDING: Text("on record, and sent", "已登记并发送"),
    State.CHECKING: Text("answered; its keys are being checked", "已应答, 正在校验密钥"),
    State.APPROVED: Text("approved", "成功"),
    State.DECLINED: Text("declined", "被拒"),
    State.DOUBTFUL: Text("in doubt", "结果未知"),
    State.UNSENT: Text("not sent", "未发送"),
}


def joined(*parts: Text | None, by: str = ": ") -> Text:
    """Put texts together in both languages."""
    there = [part for part in parts if part is not None]
    return Text(by.join(part.en for part in there), by.join(part.zh for part in there))


def plain(text: object) -> Text:
    """Make a text of what is the same in every language."""
    return Text(str(text), str(text))


def told_of_record(record: Record, dialect: Dialect) -> Text:
    """Say what a record of the journal tells."""
    if record.kind is Kind.NOTE:
        return joined(*(_deed(note) for note in record.notes), by="; ")
    # Of what moves no money, the number would say nothing to a cashier.
    number = plain(f"STAN {record.stan} {record.amount}") if record.amount is not None else None
    return joined(
        joined(dialect.kinds[record.kind].title, number, by=" "), joined(*_standing(record, dialect), by=", ")
    )


def _standing(record: Record, dialect: Dialect) -> Iterator[Text]:
    yield _STATES[record.state]
    code = dialect.meaning(record.code) if record.code is not None else None
    # An approval needs no code, and what the terminal itself has refused after one is told by its trouble.
    if code is not None and code.verdict is not Verdict.APPROVAL:
        yield joined(plain(code.code), code.meaning, by=" ")
    if record.trouble is not None and record.state is not State.PENDING:
        yield TROUBLES[record.trouble][1]


def _deed(note: str) -> Text:
    """Translate what the till has put on record: a deed, and perhaps the step of the plan that it belongs to."""
    deed = next((each for each in Deed if note == each.value), None)
    if deed is not None:
        return DEEDS[deed]
    words, _, step = note.partition(": ")
    act, _, how = step.partition(" ")
    known = next((each for each in Act if each.value == act), None)
    if words != Deed.TRIED.value or known is None:
        return plain(note)
    return joined(Text(step, f"{_STEPS[known]}{how.replace(' s', '秒')}"), DEEDS[Deed.TRIED])


_APPROVED: Final[Mapping[Kind, Text]] = {
    Kind.SIGN_ON: Text("SIGNED ON", "签到成功"),
    Kind.SALE: Text("APPROVED", "交易成功"),
    Kind.VOID: Text("VOIDED", "撤销成功"),
    Kind.REVERSAL: Text("REVERSED", "冲正成功"),
}


def told_of_outcome(outcome: Outcome) -> Text:
    """Say what the display shows of an outcome."""
    amount = plain(outcome.amount) if outcome.amount is not None else None
    if isinstance(outcome, Approved):
        return joined(_APPROVED[outcome.kind], amount, by=" ")
    if isinstance(outcome, InDoubt):
        return joined(
            joined(Text("OUTCOME UNKNOWN", "结果未知"), amount, by=" "), joined(outcome.why, outcome.duty, by="; ")
        )
    code = outcome.code
    return joined(
        joined(Text("DECLINED", "交易被拒"), amount, plain(code.code), by=" "),
        joined(code.meaning, code.action, by="; "),
    )


_NOT_SENT: Final = Text("nothing was sent, and nothing was charged", "交易未发出, 未扣款")
_UNREACHED: Final = Text("NO SIGN-ON: the host cannot be reached", "签到失败: 连不上主机")
_ERRORS: Final = (
    (UsageError, Text("NOT NOW: the terminal is in the middle of something", "终端忙, 不受理新的操作")),
    (KeyFault, Text("NO SIGN-ON: the new keys fail their check value", "签到失败: 新密钥校验值不符, 未启用")),
    (NotSignedOn, Text("NO SIGN-ON: the host refuses it", "签到失败: 主机拒绝")),
)


def told_of_error(error: PosError, kind: Kind = Kind.SALE) -> Text:
    """Say what the display shows where nothing was sent for a call."""
    usual = _UNREACHED if kind is Kind.SIGN_ON else _NOT_SENT
    return next((text for each, text in _ERRORS if isinstance(error, each)), usual)


def told_of_diagnosis(diagnosis: Diagnosis) -> Iterator[Text]:
    """Say what the terminal says about why, and about what to do."""
    advice = diagnosis.advice
    yield joined(Text("why", "原因"), advice.meaning)
    yield joined(Text("to do", "处理"), advice.merchant)
    yield joined(Text("to call", "联系"), advice.call)
