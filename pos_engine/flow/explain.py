"""One transaction explained: what happened, why it stands as it does, what comes by itself, what the cashier does now.

Everything is read off the journal, every form of the request and of what acts on it, so the story is the same for
whoever asks, and whenever. Nothing in it is secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import REVERSAL_REASONS, Kind, OnSilence
from pos_engine.flow.arrivals import Arrival, arrivals
from pos_engine.flow.checks import latest
from pos_engine.flow.outcomes import DUTIES, FOUND, STANDINGS, UNRESOLVED, Line, Standing, duty_of, line_of
from pos_engine.journal.record import FINAL, State
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pos_engine.dialects.base import Dialect
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened: when, by the terminal's wall clock; to which exchange; what; and what was noted."""

    at: datetime
    kind: Kind
    what: Text
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What can be said about one transaction."""

    line: Line
    history: tuple[Happened, ...]
    why: Text
    """Why it stands as it does."""
    next: Text
    """What the terminal does by itself."""
    advice: Text
    """What the cashier does now."""
    arrivals: tuple[Arrival, ...] = ()
    """What came for it besides its answer: late, once more, or nearest to it where none came."""


NOTHING_OWED: Final = Text("nothing: it is settled", "无, 交易已有结果")
_CALL: Final = Text(
    "call the acquirer with the terminal, batch and STAN; then have a supervisor resolve it",
    "请凭终端号、批次号和流水号联系收单机构, 再由主管人工确认",
)
_WHY: Final[Mapping[Standing, Text]] = {
    Standing.APPROVED: Text("the host approved it, and its answer was proven", "主机已批准, 应答校验无误"),
    Standing.REVERSED: Text(
        "its outcome was in doubt, and the host has taken it back at the terminal's request", "结果未知, 主机已受理冲正"
    ),
    Standing.VOIDED: Text("it was approved, and a void has undone it since", "已批准, 后被撤销"),
    Standing.UNSENT: Text("not one byte of it left the terminal", "未发送任何数据"),
}
_ADVICE: Final[Mapping[Standing, Text]] = {
    Standing.APPROVED: Text("it is done; a receipt may be printed again", "交易已完成, 可重打凭条"),
    Standing.REVERSED: Text("nothing was charged: start again if it is still wanted", "未扣款, 如需要请重新交易"),
    Standing.VOIDED: Text("the money went back: nothing to do", "款项已退回, 无需处理"),
    Standing.UNSENT: Text("start again: nothing was charged", "请重新交易, 未扣款"),
    Standing.SETTLED: Text("nothing: a person has settled it", "无需处理, 已人工处理"),
    Standing.IN_DOUBT: Text(
        "do not take it for paid; the next transaction, or a minute's wait, settles it first",
        "请勿视为已付款; 下一笔交易前或稍候终端将自动处理",
    ),
}
_WHY_NO_MONEY: Final = {**_WHY, Standing.APPROVED: Text("the host did what was asked", "主机已受理")}
_ADVICE_NO_MONEY: Final = {
    **_ADVICE,
    Standing.APPROVED: Text("it is done: nothing to do", "已完成, 无需处理"),
    Standing.UNSENT: Text("nothing was sent: ask again if it is still wanted", "未发送, 如仍需要请重试"),
    Standing.IN_DOUBT: Text("nothing: whatever is still wanted is asked for again", "无需处理, 如仍需要将重新请求"),
}
"""What is said of an echo, a sign-on, an inquiry, a download: there is nothing to take for paid, and no receipt."""
_KEPT: Final = Text("kept in the journal, then sent", "写入流水后发送")
_AGAIN: Final = Text("sent again, attempt {}", "第{}次重发")
_ANSWERED: Final = Text("the host answered {}: {}", "主机应答{}: {}")
_LATE: Final = Text("the host's approval arrived when nobody waited for it any more", "主机批准应答迟到")
_TAKEN: Final = Text("{} took it over: {}", "{}人工确认: {}")
_SOMEBODY: Final = Text("a supervisor", "主管")
_DOUBT: Final = Text("in doubt: {}", "结果未知: {}")
_REPEATED: Final = Text("it was repeated as STAN {}: {}", "已重做, 新流水号{}: {}")
_NOT_ACCEPTED: Final = Text("not accepted", "未受理")


def explain(record: Record, journal: JournalView, dialect: Dialect) -> Explanation:
    """Explain a request, its reversals and whatever else acts on it."""
    acting = journal.acting_on(record.number)
    line = line_of(record, acting)
    forms = [form for each in (record, *acting) for form in _told(journal.forms(each.number), dialect)]
    duty = duty_of(record, dialect, acting, journal.last_approved(Kind.RESTORE))
    # What was shown as declined is reversed too, where the host proved late that it approved it.
    is_reversing = any(each.kind is Kind.REVERSAL and each.state not in FINAL for each in acting)
    owes = line.standing is Standing.IN_DOUBT or is_reversing
    told = Explanation(
        line=line,
        history=tuple(forms),
        why=_why(record, line.standing, dialect),
        next=duty if owes else NOTHING_OWED,
        advice=_advice(record, line.standing, duty, dialect),
        arrivals=arrivals(record, journal, dialect),
    )
    repeat = latest(record, journal)
    if repeat is record or owes:
        return told
    # What is to be done now is what the repeat says: whoever sold anew would sell twice.
    repeated = explain(repeat, journal, dialect)
    name, standing = _same(f"{repeat.stan} ({repeat.batch})"), STANDINGS[repeated.line.standing]
    return replace(told, next=_filled(_REPEATED, name, standing), advice=repeated.advice)


def _why(record: Record, standing: Standing, dialect: Dialect) -> Text:
    if standing is Standing.DECLINED:
        return dialect.meaning(record.code or "").meaning
    if standing is Standing.SETTLED and record.resolution is not None:
        return FOUND[bool(record.resolution.moved)]
    reasons = _WHY if dialect.kinds[record.kind].financial else _WHY_NO_MONEY
    return reasons.get(standing) or _doubt(record)


def _advice(record: Record, standing: Standing, duty: Text, dialect: Dialect) -> Text:
    if standing is Standing.DECLINED:
        return dialect.meaning(record.code or "").action
    if standing is Standing.IN_DOUBT and duty in {DUTIES[OnSilence.ASK], UNRESOLVED}:
        return _CALL
    return (_ADVICE if dialect.kinds[record.kind].financial else _ADVICE_NO_MONEY)[standing]


def _doubt(record: Record) -> Text:
    return REVERSAL_REASONS.get(record.reason or "98", REVERSAL_REASONS["06"])


def _told(forms: Sequence[Record], dialect: Dialect) -> Iterator[Happened]:
    """Tell what each form of a record adds to the one before."""
    before: Record | None = None
    for form in forms:
        notes = form.notes[len(before.notes) if before is not None else 0 :]
        at = form.changed.wall if before is not None else form.opened.wall
        if form.late is not None and (before is None or before.late is None):
            yield Happened(at, form.kind, _LATE)
        elif form.resolution is not None and (before is None or before.resolution is None):
            by = form.resolution.by
            who = Text(by, by) if by else _SOMEBODY
            yield Happened(form.resolution.at.wall, form.kind, _filled(_TAKEN, who, _same(form.resolution.reason)))
        else:
            yield Happened(at, form.kind, _what(form, dialect), notes)
        before = form


def _what(form: Record, dialect: Dialect) -> Text:
    match form.state:
        case State.PENDING:
            return _KEPT if form.attempts <= 1 else _filled(_AGAIN, _same(str(form.attempts)))
        case State.APPROVED | State.DECLINED if form.code is not None:
            return _filled(_ANSWERED, _same(form.code), dialect.meaning(form.code).meaning)
        case State.DOUBTFUL:
            return _NOT_ACCEPTED if form.kind is Kind.REVERSAL else _filled(_DOUBT, _doubt(form))
        case _:
            return Text(form.state.value, _WHY[Standing.UNSENT].zh if form.state is State.UNSENT else form.state.value)


def _same(text: str) -> Text:
    return Text(text, text)


def _filled(pattern: Text, *values: Text) -> Text:
    return Text(pattern.en.format(*(each.en for each in values)), pattern.zh.format(*(each.zh for each in values)))
