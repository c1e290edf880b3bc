"""The history of signing on: what is counted, what a time without a session is, and how long it was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import MacState
from pos_engine.journal.record import State
from pos_engine.session.diagnosis import Cause
from pos_engine.session.history import BEGAN, TRENDS, Began, History, Span, Trend, history_of
from pos_engine.session.policy import Policy
from tests.support.exchange import Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from tests.support.exchange import Reply

SIGN_ON = Order(kind=Kind.SIGN_ON)
SIGN_OFF = Order(kind=Kind.SIGN_OFF)
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
BUSY = answer("91", mac=MacState.ABSENT)


class Days:
    """A terminal on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.script = Script()

    def sign_on(self, *replies: Reply, after_s: float = 0.0) -> None:
        self.run(SIGN_ON, *replies, after_s=after_s)

    def run(self, order: Order, *replies: Reply, after_s: float = 0.0) -> None:
        self.script.clock.advance(after_s)
        self.script.replies[:] = replies
        self.script.run(order)
        assert self.script.replies == []

    def wait(self, seconds: float) -> None:
        self.script.clock.advance(seconds)

    def reboot(self, name: str, *, after_s: float = 0.0) -> None:
        self.wait(after_s)
        self.script.clock.reboot(name)

    def told(self, days: int = 30, policy: Policy | None = None) -> History:
        journal, now = self.script.journal, self.script.clock.now()
        return history_of(journal, UNIONPAY, now, days=days, policy=policy or Policy())


def gaps(told: History) -> list[tuple[float, bool, Began, Cause | None, bool]]:
    return [(gap.seconds, gap.about, gap.by, gap.cause, gap.ended is None) for gap in told.gaps]


def test_a_terminal_that_never_signed_on_has_an_empty_history() -> None:
    told = Days().told(days=3)
    assert (told.span, told.causes, told.gaps, told.trend) == (Span(0, 0, 0.0), (), (), Trend.UNKNOWN)
    assert told.hours == (0,) * 24
    assert (told.since, told.until) == (date(2025, 12, 30), date(2026, 1, 1))
    assert [day for day, _, _ in told.days] == [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1)]


def test_successes_and_failures_are_counted_by_cause_hour_and_day() -> None:
    days = Days()
    days.sign_on(silence)
    days.sign_on(BUSY, after_s=10)
    days.sign_on(BUSY, after_s=HOUR_S)
    days.sign_on(signed_on(), after_s=13 * HOUR_S)
    told = days.told(days=2)
    assert (told.span.successes, told.span.failures) == (1, 3)
    assert told.causes == ((Cause.BUSY, 2), (Cause.TIMEOUT, 1))
    assert {hour: count for hour, count in enumerate(told.hours) if count} == {12: 2, 13: 1}
    assert told.days == ((date(2026, 1, 1), 0, 3), (date(2026, 1, 2), 1, 0))


def test_a_gap_lasts_from_the_first_failure_to_the_next_success() -> None:
    days = Days()
    days.sign_on(unsent)
    days.sign_on(BUSY, after_s=100)
    days.sign_on(signed_on(), after_s=200)
    days.wait(HOUR_S)
    told = days.told()
    assert gaps(told) == [(300.0, False, Began.FAILURE, Cause.NO_CONNECTION, False)]
    assert told.gaps[0].ended == datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
    assert told.span.down_s == 300.0


def test_a_gap_that_lasts_is_counted_until_now() -> None:
    days = Days()
    days.sign_on(unsent)
    days.wait(60)
    assert gaps(days.told()) == [(60.0, False, Began.FAILURE, Cause.NO_CONNECTION, True)]


def test_a_gap_begins_when_the_sign_on_was_too_old() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(silence, after_s=DAY_S + 50)
    days.sign_on(signed_on(), after_s=10)
    assert gaps(days.told()) == [(60.0, False, Began.AGE, Cause.TIMEOUT, False)]


def test_the_hosts_day_ends_a_sign_on_where_the_policy_says_so() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(signed_on(), after_s=12 * HOUR_S + 30)
    assert gaps(days.told(policy=Policy(follows_host_day=True))) == [(30.0, False, Began.AGE, None, False)]
    assert gaps(days.told()) == []


def test_a_sign_on_that_has_ended_by_now_leaves_a_gap() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.wait(DAY_S + 5)
    assert gaps(days.told()) == [(5.0, False, Began.AGE, None, True)]


def test_a_renewal_in_time_is_no_gap() -> None:
    days = Days()
    for _ in range(3):
        days.sign_on(signed_on(), after_s=20 * HOUR_S)
    told = days.told()
    assert (told.span, told.gaps) == (Span(3, 0, 0.0), ())


@pytest.mark.parametrize("reply", [unsent, BUSY])
def test_a_renewal_that_failed_harmlessly_is_a_failure_and_no_gap(reply: Reply) -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(reply, after_s=HOUR_S)
    days.sign_on(signed_on(), after_s=HOUR_S)
    told = days.told()
    assert (told.span, told.gaps) == (Span(2, 1, 0.0), ())


def test_a_renewal_whose_answer_was_lost_is_a_gap_because_the_host_may_have_new_keys() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(silence, after_s=HOUR_S)
    days.sign_on(signed_on(), after_s=30)
    assert gaps(days.told()) == [(30.0, False, Began.FAILURE, Cause.TIMEOUT, False)]


def test_a_demand_of_the_host_begins_a_gap() -> None:
    days = Days()
    days.run(sale(), signed_on(), answer("77"))
    days.sign_on(signed_on(), after_s=40)
    assert gaps(days.told()) == [(40.0, False, Began.DEMAND, None, False)]


def test_a_terminal_that_was_signed_off_missed_nothing() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.run(SIGN_OFF, approve({60: "00000001002"}, MacState.ABSENT), after_s=HOUR_S)
    days.wait(3 * DAY_S)
    assert gaps(days.told()) == []
    days.sign_on(signed_on())
    assert gaps(days.told()) == []


def test_a_terminal_that_was_signed_off_and_cannot_sign_on_again_has_a_gap() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.run(SIGN_OFF, approve({60: "00000001002"}, MacState.ABSENT), after_s=HOUR_S)
    days.sign_on(unsent, after_s=HOUR_S)
    days.sign_on(signed_on(), after_s=20)
    assert gaps(days.told()) == [(20.0, False, Began.FAILURE, Cause.NO_CONNECTION, False)]


def test_across_a_restart_only_the_wall_clock_tells_how_long_it_was() -> None:
    days = Days()
    days.sign_on(unsent)
    days.reboot("boot-2", after_s=500)
    days.sign_on(signed_on(), after_s=100)
    assert gaps(days.told()) == [(600.0, True, Began.FAILURE, Cause.NO_CONNECTION, False)]


def test_a_sign_on_that_grew_old_across_a_restart_ended_about_then() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.reboot("boot-2", after_s=DAY_S)
    days.sign_on(signed_on(), after_s=70)
    assert gaps(days.told()) == [(70.0, True, Began.AGE, None, False)]


def test_a_failure_after_a_restart_is_a_gap_although_the_last_sign_on_was_young() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.reboot("boot-2", after_s=60)
    days.sign_on(unsent)
    days.sign_on(signed_on(), after_s=20)
    assert gaps(days.told()) == [(20.0, False, Began.FAILURE, Cause.NO_CONNECTION, False)]


def test_a_wall_clock_that_was_set_changes_no_length_within_a_boot() -> None:
    days = Days()
    days.sign_on(unsent)
    days.wait(50)
    days.script.clock.set_wall(datetime(2026, 1, 1, 9, tzinfo=UTC))
    days.sign_on(signed_on())
    assert gaps(days.told()) == [(50.0, False, Began.FAILURE, Cause.NO_CONNECTION, False)]


def test_one_that_may_be_signing_on_just_now_has_not_failed_and_one_that_was_cut_short_has() -> None:
    days = Days()
    days.sign_on(unsent)
    (record,) = days.script.journal.recent(1)
    pending = days.script.journal.forms(record.number)[0]
    assert pending.state is State.PENDING
    days = Days()
    days.script.journal.save(pending)
    assert days.told().span.failures == 0
    days.sign_on(signed_on(), after_s=30)
    told = days.told()
    assert told.causes == ((Cause.INTERRUPTED, 1),)
    assert gaps(told) == [(30.0, False, Began.FAILURE, Cause.INTERRUPTED, False)]


def test_days_before_the_period_are_left_out() -> None:
    days = Days()
    days.sign_on(BUSY)
    days.sign_on(signed_on(), after_s=60)
    days.sign_on(signed_on(), after_s=5 * DAY_S)
    told = days.told(days=2)
    assert (told.span.successes, told.span.failures, told.causes) == (1, 0, ())
    # The sign-on of five days ago ended four days ago: what reaches into the period is told, and counts for its part.
    assert [(gap.by, gap.seconds) for gap in told.gaps] == [(Began.AGE, 4 * DAY_S)]
    assert told.span.down_s == pytest.approx(DAY_S + 12 * HOUR_S + 60)


def test_hours_and_days_are_those_of_the_present_time_zone() -> None:
    days = Days()
    days.sign_on(BUSY)
    zone = timezone(timedelta(hours=13))
    days.script.clock.set_wall(days.script.clock.now().wall.astimezone(zone))
    told = days.told(days=2)
    assert {hour: count for hour, count in enumerate(told.hours) if count} == {1: 1}
    assert told.days == ((date(2026, 1, 1), 0, 0), (date(2026, 1, 2), 0, 1))


@pytest.mark.parametrize(
    ("before", "week", "trend"),
    [
        ([signed_on(), signed_on()], [signed_on(), BUSY], Trend.WORSE),
        ([signed_on(), BUSY], [signed_on(), signed_on()], Trend.BETTER),
        ([signed_on(), BUSY], [BUSY, signed_on()], Trend.SAME),
        ([], [BUSY], Trend.UNKNOWN),
        ([BUSY], [], Trend.UNKNOWN),
    ],
)
def test_the_trend_compares_seven_days_with_the_seven_before(
    before: list[Reply], week: list[Reply], trend: Trend
) -> None:
    days = Days()
    for reply in before:
        days.sign_on(reply, after_s=60)
    days.wait(7 * DAY_S)
    for reply in week:
        days.sign_on(reply, after_s=60)
    told = days.told(days=1)
    assert told.trend is trend
    assert told.week_before.successes + told.week_before.failures == len(before)
    assert told.week.successes + told.week.failures == len(week)


def test_everything_has_words_in_both_languages() -> None:
    assert set(BEGAN) == set(Began)
    assert set(TRENDS) == set(Trend)
    assert all(text.en and text.zh for text in (*BEGAN.values(), *TRENDS.values()))


SIGNED_OFF = approve({60: "00000001002"}, MacState.ABSENT)


@pytest.mark.parametrize(("days_ago", "week", "week_before"), [(0, 1, 0), (6, 1, 0), (7, 0, 1), (13, 0, 1), (14, 0, 0)])
def test_a_week_has_seven_days_with_today(days_ago: int, week: int, week_before: int) -> None:
    days = Days()
    days.sign_on(signed_on())
    days.wait(days_ago * DAY_S)
    told = days.told(days=1)
    assert (told.week.successes, told.week_before.successes) == (week, week_before)


def test_the_first_day_of_the_period_is_told_with_the_gap_that_ended_on_it() -> None:
    days = Days()
    days.sign_on(unsent)
    days.sign_on(signed_on(), after_s=60)
    days.wait(29 * DAY_S)
    told = days.told(days=30)
    assert told.days[0] == (date(2026, 1, 1), 1, 1)
    assert [gap.ended for gap in told.gaps if gap.ended] == [datetime(2026, 1, 1, 12, 1, tzinfo=UTC)]
    assert [gap.ended for gap in days.told(days=29).gaps if gap.ended] == []


def test_what_was_down_is_counted_from_midnight_to_the_microsecond() -> None:
    days = Days()
    days.sign_on(unsent)
    days.wait(3 * DAY_S + 30.25)
    assert days.told(days=2).span.down_s == DAY_S + 12 * HOUR_S + 30.25


@pytest.mark.parametrize("age_s", [DAY_S - 0.5, DAY_S])
def test_a_renewal_at_the_last_moment_is_no_gap(age_s: float) -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(signed_on(), after_s=age_s)
    assert gaps(days.told()) == []


def test_a_renewal_at_the_last_moment_across_a_restart_is_no_gap() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.reboot("boot-2", after_s=DAY_S)
    days.sign_on(signed_on())
    assert gaps(days.told()) == []


def test_a_sign_off_is_forgotten_after_the_next_sign_on() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.run(SIGN_OFF, SIGNED_OFF, after_s=HOUR_S)
    days.sign_on(signed_on())
    days.sign_on(signed_on(), after_s=DAY_S + 50)
    days.wait(DAY_S + 5)
    assert gaps(days.told()) == [
        (50.0, False, Began.AGE, None, False),
        (5.0, False, Began.AGE, None, True),
    ]


def test_a_demand_that_nobody_has_followed_yet_is_a_gap_until_now() -> None:
    days = Days()
    days.run(sale(), signed_on(), answer("77"))
    days.wait(40)
    assert gaps(days.told()) == [(40.0, False, Began.DEMAND, None, True)]


def test_a_renewal_that_is_refused_with_a_demand_begins_a_gap_and_has_not_failed_in_it() -> None:
    days = Days()
    days.sign_on(signed_on())
    days.sign_on(answer("77", mac=MacState.ABSENT), after_s=HOUR_S)
    days.sign_on(signed_on(), after_s=40)
    assert gaps(days.told()) == [(40.0, False, Began.DEMAND, None, False)]


@pytest.mark.parametrize("back_s", [0, 300])
def test_a_wall_clock_that_stood_or_went_back_across_a_restart_leaves_a_gap_of_no_length(back_s: int) -> None:
    days = Days()
    days.sign_on(unsent)
    days.reboot("boot-2")
    days.script.clock.set_wall(days.script.clock.now().wall - timedelta(seconds=back_s))
    days.sign_on(signed_on())
    assert gaps(days.told()) == [(0.0, True, Began.FAILURE, Cause.NO_CONNECTION, False)]


def test_a_sign_on_that_grew_old_on_a_machine_that_was_set_back_ended_about_then() -> None:
    days = Days()
    days.sign_on(signed_on(), after_s=10)
    # A restored machine: the same boot, its elapsed seconds gone back, its wall clock right again.
    days.reboot("boot-1", after_s=DAY_S + 100)
    days.sign_on(unsent)
    days.sign_on(signed_on(), after_s=DAY_S + 50)
    (gap,) = days.told().gaps
    assert (gap.by, gap.about) == (Began.AGE, True)


def test_a_gap_is_told_in_the_present_time_zone() -> None:
    days = Days()
    days.sign_on(unsent)
    days.sign_on(signed_on(), after_s=60)
    zone = timezone(timedelta(hours=5, minutes=45))
    days.script.clock.set_wall(days.script.clock.now().wall.astimezone(zone))
    (gap,) = days.told().gaps
    assert gap.ended is not None
    assert [at.isoformat() for at in (gap.began, gap.ended)] == [
        "2026-01-01T17:45:00+05:45",
        "2026-01-01T17:46:00+05:45",
    ]


@pytest.mark.parametrize(
    ("before", "week", "trend"),
    [
        ((1, 1), (2, 2), Trend.SAME),
        ((4, 1), (3, 1), Trend.SAME),
        ((9, 1), (4, 1), Trend.WORSE),
        ((4, 1), (9, 1), Trend.BETTER),
    ],
)
def test_the_trend_goes_by_the_share_of_failures_in_tenths(
    before: tuple[int, int], week: tuple[int, int], trend: Trend
) -> None:
    days = Days()
    for successes, failures in (before, week):
        days.wait(7 * DAY_S)
        for reply in [signed_on()] * successes + [BUSY] * failures:
            days.sign_on(reply, after_s=60)
    assert days.told(days=1).trend is trend
