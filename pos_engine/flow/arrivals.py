"""What came for a request, and was not its answer in time: found again in the journal, compared, and told in words.

A terminal that timed out asks the same question each time: did the answer come after all, and what came instead? The
messages that were met are kept with the records of the exchanges that met them (`flow.strays`); here those around a
request are gathered, before it and after it, and put in order by how near they are to being its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import OnSilence, Verdict
from pos_engine.flow.late import IN_DOUBT
from pos_engine.flow.responses import (
    BATCH,
    MTI,
    NETWORK_CODE,
    Compared,
    Nearest,
    apart_s,
    differences,
    name_of,
    verdict_of,
)
from pos_engine.flow.strays import CLAIMED
from pos_engine.journal.record import FINAL, State, StraySort
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pos_engine.dialects.base import Dialect
    from pos_engine.journal.record import Record, Stray
    from pos_engine.journal.view import JournalView

ENDED: Final = FINAL | {State.DOUBTFUL}
"""States in which nobody waits for an answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One message that was met around a request, and how near it is to being its answer."""

    stray: Stray
    met: Record
    """The record with which it is kept: the exchange that was under way when it was read."""
    differs: tuple[Compared, ...]
    after_s: float | None
    """Seconds after the wait for the request's answer had ended, negative before that; `None` across boots."""
    matches: bool
    """Whether it answers this request."""

    @property
    def distance(self) -> tuple[bool, int, float]:
        """How far it is from being the answer, the nearer the smaller."""
        apart = abs(self.after_s) if self.after_s is not None else limits.NEAREST_S
        return not self.matches, Nearest(self.stray, self.differs, apart).distance[0], apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One of them told: what came when, and what that means."""

    candidate: Candidate
    what: Text
    means: Text


def candidates(record: Record, journal: JournalView, dialect: Dialect) -> tuple[Candidate, ...]:
    """Return what was met around a request, the nearest to being its answer first.

    What was taken for its own when it came is there however late that was; what was not, if it came within
    `limits.NEAREST_S` of the moment in which the wait had ended.
    """
    row, ended = dialect.kinds[record.kind], _end_of_wait(record, journal)
    found = []
    for met, stray in _met(record.number, journal):
        belongs = stray.request == record.number
        after_s = apart_s(ended.changed, stray.at)
        if belongs or (after_s is not None and abs(after_s) <= limits.NEAREST_S):
            differs = differences(record.request, stray.message, row, dialect)
            matches = belongs and stray.sort in CLAIMED
            found.append(Candidate(stray=stray, met=met, differs=differs, after_s=after_s, matches=matches))
    return tuple(sorted(found, key=lambda each: each.distance))


def _end_of_wait(record: Record, journal: JournalView) -> Record:
    """Return the first form of a record in which nobody waits for its answer any more."""
    return next((form for form in journal.forms(record.number) if form.state in ENDED), record)


def _met(number: int, journal: JournalView) -> Iterator[tuple[Record, Stray]]:
    """Yield what was met in the exchanges around a record, with the record of each; of every attempt once."""
    first = max(1, number - limits.NEAREST_RECORDS_MAX)
    for near in range(first, number + limits.NEAREST_RECORDS_MAX + 1):
        # An attempt is saved more than once, and what came is added to it: its last form has all.
        last_forms = {form.attempts: form for form in journal.forms(near)}
        yield from ((form, stray) for form in last_forms.values() for stray in form.strays)


_FOUND: Final = Text(
    "its answer, a {mti} with code {code}, was read {when}, {during}", "其应答({mti}, {code}){when}读到, {during}"
)
_AGAIN: Final = Text(
    "the same answer, a {mti} with code {code}, came once more {when}, {during}",
    "同一应答({mti}, {code}){when}再次收到, {during}",
)
_CONTRARY: Final = Text(
    "another answer, a {mti} with code {code}, came {when}, {during}; different: {differs}",
    "另一应答({mti}, {code}){when}收到, {during}; 不同: {differs}",
)
_NEAREST: Final = Text(
    "the message nearest to its answer was a {mti}, read {when}, {during}; different: {differs}",
    "最接近的报文是 {mti}, {when}读到, {during}; 不同: {differs}",
)
_AFTER: Final = Text("{:.0f} s after the wait had ended", "在等待结束{:.0f}秒后")
_BEFORE: Final = Text("{:.0f} s before the wait ended", "在等待结束前{:.0f}秒")
_RESTARTED: Final = Text("after a restart", "在重启后")
_DURING: Final = Text("during {} {}", "当时正在进行: {} {}")
_ITSELF: Final = Text("during this exchange itself", "就在本次交易中")
_NOTHING_DIFFERS: Final = Text(
    "nothing that shows: it came too early, or its MAC is wrong", "无可见差异: 到达过早或MAC错误"
)
_MISSING: Final = Text("{} (missing)", "{} (缺失)")

_PROVEN: Final = Text(
    "the host did approve it, and the answer came too late to count: what was shown stays, and the reversal takes the "
    "money back. Where this happens often, the line or the host is slower than acquirer.answer_timeout_s",
    "主机已批准, 但应答到得太晚, 不再作数: 已显示的结果不变, 由冲正退回款项; "
    "经常如此说明线路或主机慢于 acquirer.answer_timeout_s",
)
_PROVEN_ASKED: Final = Text(
    "the host did approve it, and the answer came too late to count: tell the acquirer, and put on record what it says",
    "主机已批准, 但应答到得太晚, 不再作数: 请联系收单机构并登记其答复",
)
_UNPROVEN: Final = Text(
    "it looks like an approval, and nothing proves it: what is owed is done either way",
    "看似批准, 但无法证实: 所欠处理照常进行",
)
_DECLINED: Final = Text(
    "the host had declined it, and the answer came too late to count: what is owed is still done",
    "主机已拒绝, 但应答到得太晚, 不再作数: 所欠处理照常进行",
)
_NOBODY_WAITED: Final = Text("nobody waited for it any more: it changes nothing", "已无人等待此应答: 不影响任何结果")
_TWICE: Final = Text("the host or the line said it twice: nothing follows from that", "主机或线路重复发送: 不影响结果")
_CONTRADICTS: Final = Text(
    "the host contradicts what was shown: have the acquirer look it up",
    "主机前后说法不一: 请联系收单机构核查",
)
_NEAR: Final[Mapping[str, Text]] = {
    MTI: Text(
        "something came, and no answer to this kind of request: the host spoke of something else",
        "收到的报文不是此类请求的应答: 主机在处理其他事务",
    ),
    "41": Text(
        "an answer for another terminal came to this one: have the acquirer check its routing and terminal.id",
        "收到其他终端的应答: 请收单机构核查路由及 terminal.id",
    ),
    "42": Text(
        "an answer for another merchant came: compare terminal.merchant with what the acquirer gave out",
        "收到其他商户的应答: 请核对商户号",
    ),
    "11": Text(
        "an answer to another request came instead: the host or a device on the way mixes answers up, or is behind",
        "收到其他请求的应答: 主机或中间设备应答错位或滞后",
    ),
    "4": Text(
        "an answer for another amount came: it must not count; have the acquirer look into it",
        "收到金额不符的应答: 不得作数, 请联系收单机构核查",
    ),
    BATCH: Text("an answer for another batch came: sign on again", "收到其他批次的应答: 请重新签到"),
    NETWORK_CODE: Text(
        "an answer to another management message came: the host is behind", "收到其他管理报文的应答: 主机应答滞后"
    ),
}
_OTHERWISE: Final = Text("it is no proof of what became of this request", "不能证明本请求的结果")


def arrivals(record: Record, journal: JournalView, dialect: Dialect) -> tuple[Arrival, ...]:
    """Tell what came for a request besides its answer: late, again, contrary; what came nearest, where none did."""
    found = candidates(record, journal, dialect)
    told = [each for each in found if each.matches or _is_contrary(each, record)]
    if not told and record.state in IN_DOUBT:
        told = [each for each in found if each.after_s is not None][:1]
    return tuple(_told(each, record, dialect) for each in told)


def _is_contrary(each: Candidate, record: Record) -> bool:
    """Tell whether a message is this request's own by all that is echoed, and says something else of its outcome."""
    return each.stray.request == record.number and not each.differs and bool(each.stray.differs)


def _told(each: Candidate, record: Record, dialect: Dialect) -> Arrival:
    stray = each.stray
    if each.matches:
        pattern = _AGAIN if stray.sort is StraySort.DUPLICATE else _FOUND
        means = _meaning(stray, record, dialect)
    elif _is_contrary(each, record):
        pattern, means = _CONTRARY, _CONTRADICTS
    else:
        first = each.differs[0].where if each.differs else ""
        pattern, means = _NEAREST, _NEAR.get(first, _OTHERWISE)
    words = {
        "when": _when(each.after_s),
        "during": _ITSELF if each.met.number == record.number else _during(each.met, dialect),
        "differs": differing(each, dialect),
    }
    known = {"mti": stray.message.mti, "code": stray.message.get(39, "-")}
    what = Text(
        pattern.en.format(**known, **{name: text.en for name, text in words.items()}),
        pattern.zh.format(**known, **{name: text.zh for name, text in words.items()}),
    )
    return Arrival(candidate=each, what=what, means=means)


def _meaning(stray: Stray, record: Record, dialect: Dialect) -> Text:
    if stray.sort is StraySort.DUPLICATE:
        return _TWICE
    silence = dialect.kinds[record.kind].on_silence
    if silence is OnSilence.FORGET:
        return _NOBODY_WAITED
    if verdict_of(stray.message, dialect) is not Verdict.APPROVAL:
        return _DECLINED
    if not stray.proven:
        return _UNPROVEN
    return _PROVEN if silence is OnSilence.REVERSE else _PROVEN_ASKED


def _when(after_s: float | None) -> Text:
    if after_s is None:
        return _RESTARTED
    pattern = _AFTER if after_s >= 0 else _BEFORE
    return Text(pattern.en.format(abs(after_s)), pattern.zh.format(abs(after_s)))


def _during(met: Record, dialect: Dialect) -> Text:
    title = dialect.kinds[met.kind].title
    return Text(_DURING.en.format(met.kind.value, met.stan), _DURING.zh.format(title.zh, met.stan))


def differing(each: Candidate, dialect: Dialect) -> Text:
    """List the elements in which a candidate differs, by number and name; what contradicts an outcome among them."""
    wheres = each.differs or tuple(Compared(where, agrees=False) for where in each.stray.differs)
    named = [_named(where, dialect) for where in wheres] or [_NOTHING_DIFFERS]
    return Text(", ".join(text.en for text in named), "、".join(text.zh for text in named))


def _named(each: Compared, dialect: Dialect) -> Text:
    name = name_of(each.where, dialect)
    named = name if each.where == MTI else Text(f"field {each.where} {name.en}", f"域{each.where} {name.zh}")
    if not each.is_missing:
        return named
    return Text(_MISSING.en.format(named.en), _MISSING.zh.format(named.zh))
