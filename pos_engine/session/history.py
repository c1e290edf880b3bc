"""How signing on has gone: successes, failures by cause and hour, times without a session, and the trend.

Everything is read off the journal's sign-ons. How long a gap lasted is counted in elapsed seconds within one boot;
across boots only the wall clock is left, and what rests on it is marked as `about`. A sign-on that failed while the one
before still held is a failure, and no gap.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.journal.record import ACCEPTED, State
from pos_engine.session.diagnosis import Cause, diagnose
from pos_engine.session.states import Facts
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.session.policy import Policy

WEEK_DAYS: Final = 7
HOURS: Final = 24


class Began(enum.Enum):
    """What ended the session."""

    FAILURE = "a sign-on failed"
    AGE = "the sign-on had ended"
    DEMAND = "the host demanded another sign-on"


class Trend(enum.Enum):
    """The last seven days, against the seven before."""

    BETTER = "better"
    SAME = "about the same"
    WORSE = "worse"
    UNKNOWN = "nothing to compare with"


BEGAN: Final[Mapping[Began, Text]] = {
    Began.FAILURE: Text(Began.FAILURE.value, "签到失败"),
    Began.AGE: Text(Began.AGE.value, "签到过期"),
    Began.DEMAND: Text(Began.DEMAND.value, "主机要求重新签到"),
}
TRENDS: Final[Mapping[Trend, Text]] = {
    Trend.BETTER: Text(Trend.BETTER.value, "好转"),
    Trend.SAME: Text(Trend.SAME.value, "基本持平"),
    Trend.WORSE: Text(Trend.WORSE.value, "变差"),
    Trend.UNKNOWN: Text(Trend.UNKNOWN.value, "无可比数据"),
}
"""Both in words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-on that has ended: when it was begun, by the wall clock, and why it failed, if it did."""

    at: datetime
    cause: Cause | None
    record: Record

    @property
    def succeeded(self) -> bool:
        """Whether it brought a session."""
        return self.cause is None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a session, from what ended it to the next sign-on that succeeded."""

    began: datetime
    ended: datetime | None
    """`None` while it lasts."""
    seconds: float
    about: bool
    """Whether a restart lies within, so that only the wall clock tells how long it was."""
    by: Began
    cause: Cause | None
    """Of the first sign-on that failed in it."""


@dataclass(frozen=True, slots=True)
class Span:
    """What happened in some days."""

    successes: int
    failures: int
    down_s: float


@dataclass(frozen=True, slots=True)
class History:
    """What can be said about the sign-ons of some days; days and hours are those of the terminal's wall clock."""

    since: date
    until: date
    span: Span
    causes: tuple[tuple[Cause, int], ...]
    """How often each cause, the most frequent first."""
    hours: tuple[int, ...]
    """Failures by the hour of the day, 24 of them."""
    days: tuple[tuple[date, int, int], ...]
    """Successes and failures of every day."""
    gaps: tuple[Gap, ...]
    week: Span
    week_before: Span
    trend: Trend


def history_of(journal: JournalView, dialect: Dialect, now: Instant, *, days: int, policy: Policy) -> History:
    """Read the history of the last `days` days, today included; `policy` says how long a sign-on held."""
    until = now.wall.date()
    since = until - timedelta(days=days - 1)
    # A day earlier, because a time zone may have moved a record over midnight; what is not asked for is left out below.
    read_from = min(since, until - timedelta(days=2 * WEEK_DAYS)) - timedelta(days=1)
    attempts = tuple(_attempts(journal, dialect, now, read_from))
    gaps = tuple(_gaps(journal, attempts, now, policy))
    shown = [each for each in attempts if since <= each.at.date() <= until]
    failed = [each for each in shown if each.cause is not None]
    hours = Counter(each.at.hour for each in failed)
    week, before = (_span_of(attempts, gaps, now, first, WEEK_DAYS) for first in (WEEK_DAYS - 1, 2 * WEEK_DAYS - 1))
    return History(
        since=since,
        until=until,
        span=_span_of(attempts, gaps, now, days - 1, days),
        causes=tuple(Counter(each.cause for each in failed if each.cause is not None).most_common()),
        hours=tuple(hours[hour] for hour in range(HOURS)),
        days=tuple(_by_day(shown, since, days)),
        gaps=tuple(each for each in gaps if each.ended is None or each.ended.date() >= since),
        week=week,
        week_before=before,
        trend=_trend(week, before),
    )


def _attempts(journal: JournalView, dialect: Dialect, now: Instant, since: date) -> Iterator[Attempt]:
    newest = journal.next_number() - 1
    for record in journal.kind_records(Kind.SIGN_ON, since.isoformat()):
        if record.state is State.PENDING and record.number == newest:
            # Somebody may be signing on right now: that it was cut short is known once something came after it.
            continue
        found = diagnose(record, dialect)
        at = record.opened.wall.astimezone(now.wall.tzinfo)
        yield Attempt(at, found.cause if found is not None else None, record)


def _gaps(journal: JournalView, attempts: Sequence[Attempt], now: Instant, policy: Policy) -> Iterator[Gap]:
    """Find the times without a session: each begins with what ended the last one, and ends with a success."""
    first_day = attempts[0].record.day if attempts else now.wall.date().isoformat()
    signed_off = [each.number for each in journal.kind_records(Kind.SIGN_OFF, first_day)]
    success: Record | None = None
    start: _Start | None = None
    for attempt in attempts:
        record = attempt.record
        given_up = _was_given_up(signed_off, success, record.number)
        if start is None and not given_up:
            start = _end_of(success, journal, record.opened, record.number, policy)
        if start is None and not attempt.succeeded and (given_up or not _outlived(success, record)):
            start = _Start(record.changed, Began.FAILURE)
        if attempt.succeeded:
            if start is not None:
                yield start.until(record.changed, now, is_over=True)
            success, start = record, None
        elif start is not None and start.cause is None:
            start = replace(start, cause=attempt.cause)
    last = journal.next_number()
    if start is None and not _was_given_up(signed_off, success, last):
        start = _end_of(success, journal, now, last, policy)
    if start is not None:
        yield start.until(now, now, is_over=False)


@dataclass(frozen=True, slots=True)
class _Start:
    """What a gap begins with."""

    at: Instant
    by: Began
    cause: Cause | None = None
    is_about: bool = False

    def until(self, end: Instant, now: Instant, *, is_over: bool) -> Gap:
        passed_s = end.since(self.at)
        by_wall_s = max(0.0, (end.wall - self.at.wall).total_seconds())
        zone = now.wall.tzinfo
        return Gap(
            began=self.at.wall.astimezone(zone),
            ended=end.wall.astimezone(zone) if is_over else None,
            seconds=by_wall_s if passed_s is None else passed_s,
            about=passed_s is None or self.is_about,
            by=self.by,
            cause=self.cause,
        )


def _was_given_up(signed_off: Sequence[int], success: Record | None, before: int) -> bool:
    """Tell whether the terminal was signed off after a success: then nobody wanted a session."""
    after = success.number if success is not None else 0
    return any(after < number < before for number in signed_off)


def _outlived(success: Record | None, failed: Record) -> bool:
    """Tell whether the sign-on before still held after one that failed: the host has handed out no other keys."""
    is_harmless = failed.state in {State.UNSENT, State.DECLINED} and failed.code != ACCEPTED
    return success is not None and success.opened.boot == failed.opened.boot and is_harmless


def _end_of(success: Record | None, journal: JournalView, then: Instant, before: int, policy: Policy) -> _Start | None:
    """Say when a sign-on had ended, by `then` and before the record of a number; `None` while it held."""
    if success is None:
        return None
    demand = journal.demanded_after(success.number)
    if demand is not None and demand.number < before:
        return _Start(demand.changed, Began.DEMAND)
    left_s, age_s = Facts(journal, then, policy, success).left_s, then.since(success.changed)
    if left_s is None or age_s is None:
        by_wall_s = (then.wall - success.changed.wall).total_seconds()
        # A restart ended it too, and when the terminal went down is on no record.
        is_old = by_wall_s > policy.age_max_s
        return _Start(_later(success.changed, policy.age_max_s), Began.AGE, is_about=True) if is_old else None
    return _Start(_later(success.changed, age_s + left_s), Began.AGE) if left_s < 0 else None


def _later(moment: Instant, seconds: float) -> Instant:
    wall = moment.wall + timedelta(seconds=seconds)
    return replace(moment, elapsed_s=moment.elapsed_s + seconds, wall=wall)


def _span_of(attempts: Sequence[Attempt], gaps: Sequence[Gap], now: Instant, first_ago: int, days: int) -> Span:
    """Count what happened in `days` days, the first of them `first_ago` days ago."""
    first = now.wall.date() - timedelta(days=first_ago)
    last = first + timedelta(days=days - 1)
    inside = [each for each in attempts if first <= each.at.date() <= last]
    successes = sum(each.succeeded for each in inside)
    begin = now.wall.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=first_ago)
    down_s = sum(_overlap_s(gap, begin, begin + timedelta(days=days)) for gap in gaps)
    return Span(successes, len(inside) - successes, down_s)


def _overlap_s(gap: Gap, begin: datetime, end: datetime) -> float:
    """Seconds of a gap within some days: a gap that reaches over their edge counts for its part."""
    gap_end = gap.began + timedelta(seconds=gap.seconds)
    return max(0.0, (min(gap_end, end) - max(gap.began, begin)).total_seconds())


def _by_day(shown: Sequence[Attempt], since: date, days: int) -> Iterator[tuple[date, int, int]]:
    counts = Counter((each.at.date(), each.succeeded) for each in shown)
    for day in (since + timedelta(days=number) for number in range(days)):
        yield day, counts[day, True], counts[day, False]


def _trend(week: Span, before: Span) -> Trend:
    """Compare by the share of failures, in tenths: one failure more or less is no trend."""
    if not (before.successes or before.failures) or not (week.successes or week.failures):
        return Trend.UNKNOWN
    shares = [round(10 * each.failures / (each.successes + each.failures)) for each in (week, before)]
    if shares[0] == shares[1]:
        return Trend.SAME
    return Trend.WORSE if shares[0] > shares[1] else Trend.BETTER
