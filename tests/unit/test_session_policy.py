"""When a sign-on ends, when it is renewed, and who is left alone meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import NotSignedOn
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered
from pos_engine.flow.outcomes import Approved
from pos_engine.flow.plan import Duty, DutyKind, plan
from pos_engine.journal.record import State
from pos_engine.session.policy import DAY_S, BusyHours, Policy
from pos_engine.session.states import RULES, Session, SessionState, session_of
from pos_engine.values import Amount
from simulators.bench import Bench
from simulators.scenario import parse
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Happening
    from pos_engine.wire.message import Message

NOON = 12 * 3600
DEMANDING = """
[[rule]]
name = "again and again"
match = { kind = "sale" }
action = "demand_sign_on"
"""


def state_of(script: Script, policy: Policy | None = None) -> Session:
    return session_of(script.journal, script.clock.now(), policy or script.profile.session)


def under(policy: Policy, *replies: Reply) -> Script:
    return Script(*replies, profile=replace(PROFILE, session=policy))


def mtis(script: Script) -> list[str]:
    return [message.mti for message in script.sent]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("08:00-10:30", BusyHours(28_800, 37_800)),
        ("8:00-10:30", BusyHours(28_800, 37_800)),
        (" 22:00-02:00 ", BusyHours(79_200, 7_200)),
        ("00:00-24:00", None),
        ("08:00", None),
        ("08:00-08:00", None),
        ("8-9", None),
        ("08:60-09:00", None),
        ("25:00-26:00", None),
        ("008:00-09:00", None),
        ("²:00-09:00", None),
    ],
)
def test_busy_hours_are_read_as_clocks_show_them(text: str, hours: BusyHours | None) -> None:
    assert BusyHours.parse(text) == hours


@given(st.integers(0, DAY_S - 1), st.integers(0, DAY_S - 1), st.integers(0, DAY_S - 1))
def test_busy_hours_end_when_they_end_and_begin_when_they_begin(begins: int, ends: int, second: int) -> None:
    hours = BusyHours(begins, ends)
    left, until = hours.left_s(second), hours.until_s(second)
    assert (left == 0) or (until == 0)
    if left:
        assert (second + left) % DAY_S == ends
        assert hours.left_s((second + left) % DAY_S) == 0
    elif until:
        assert (second + until) % DAY_S == begins
    assert hours.length_s == (ends - begins) % DAY_S


def test_a_renewal_is_as_late_as_the_lead_allows_and_before_busy_hours_in_which_it_would_end() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    quiet = Policy(lead_s=600)
    assert quiet.convenient_s(noon, 3_600) == 3_000
    assert quiet.convenient_s(noon, 300) == 0
    busy = replace(quiet, busy=(BusyHours(13 * 3600, 15 * 3600),))
    # It would hold until 14:00, in the middle of them: it is renewed before they begin.
    assert busy.convenient_s(noon, 7_200) == 3_000
    assert busy.convenient_s(noon, 12_600) == 12_000
    assert busy.convenient_s(noon + timedelta(minutes=55), 3_900) == 0
    assert busy.is_busy(noon + timedelta(hours=1))
    assert not busy.is_busy(noon + timedelta(hours=3))


def test_a_sign_on_is_stale_before_it_ends_and_a_quiet_moment_renews_it() -> None:
    script = under(Policy(age_max_s=3600, lead_s=600), signed_on(), approve())
    script.run(sale("1.00"))
    session = state_of(script)
    assert (session.state, session.left_s, session.renew_in_s) == (SessionState.READY, 3600, 3000)
    script.clock.advance(2999)
    assert plan(script.journal, script.profile, script.clock.now()) is None
    script.clock.advance(1)
    assert state_of(script).state is SessionState.STALE
    assert plan(script.journal, script.profile, script.clock.now()) == Duty(DutyKind.SIGN_ON, None)
    # Whoever stands at the till does not wait for it.
    script.replies = [approve()]
    script.run(sale("1.00"))
    assert mtis(script) == ["0800", "0200", "0200"]
    script.replies = [signed_on()]
    script.run(None)
    assert mtis(script)[-1] == "0800"
    assert state_of(script).state is SessionState.READY


def test_in_busy_hours_nothing_is_renewed_that_still_holds() -> None:
    policy = Policy(age_max_s=3600, lead_s=600, busy=(BusyHours(NOON + 2900, NOON + 3300),))
    script = under(policy, signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    script.clock.advance(3100)
    assert state_of(script).state is SessionState.STALE
    assert plan(script.journal, script.profile, script.clock.now()) is None
    script.clock.advance(200)
    assert plan(script.journal, script.profile, script.clock.now()) == Duty(DutyKind.SIGN_ON, None)
    script.clock.advance(300)
    assert state_of(script).state is SessionState.EXPIRED


def test_what_is_owed_goes_before_a_renewal() -> None:
    script = under(Policy(age_max_s=3600, lead_s=600), signed_on(), silence)
    script.run(sale())
    script.clock.advance(3100)
    script.replies = [approve(), signed_on()]
    script.run(None)
    assert mtis(script) == ["0800", "0200", "0400", "0800"]


def test_a_renewal_that_was_not_sent_waits_and_the_old_keys_hold() -> None:
    script = under(Policy(age_max_s=3600, lead_s=600), signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    script.clock.advance(3100)
    script.replies = [unsent]
    script.run(None)
    assert state_of(script).state is SessionState.STALE
    duty = plan(script.journal, script.profile, script.clock.now())
    assert duty is not None
    assert duty.wait_s == limits.BACKOFF_FIRST_S
    script.replies = [approve()]
    script.run(sale("1.00"))
    assert mtis(script)[-1] == "0200"


@pytest.mark.parametrize("leap", [timedelta(days=-365), timedelta(days=3653), timedelta(hours=-1)])
def test_no_leap_of_the_wall_clock_changes_how_long_a_sign_on_holds(leap: timedelta) -> None:
    policy = Policy(age_max_s=3600, lead_s=600, follows_host_day=True)
    script = under(policy, signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    script.clock.set_wall(script.clock.now().wall + leap)
    assert state_of(script).state is SessionState.READY
    script.clock.advance(3600)
    assert state_of(script).state is SessionState.EXPIRED


def test_a_sign_on_ends_with_the_hosts_day() -> None:
    policy = Policy(follows_host_day=True)
    script = under(policy, signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    # The answer said that it was noon at the host.
    script.clock.advance(12 * 3600 - 1)
    assert state_of(script).ready
    script.clock.advance(1)
    session = state_of(script)
    assert (session.state, session.why.en) == (SessionState.EXPIRED, "the host's day has ended")
    assert state_of(script, Policy()).ready


@pytest.mark.parametrize("time", [None, "1200", "12OO00", "²²0000"])
def test_a_host_that_names_no_time_has_no_day_to_follow(time: str | None) -> None:
    def timeless(request: Message, now: Instant) -> Happening:
        happened = signed_on()(request, now)
        assert isinstance(happened, Answered)
        message = happened.message.without(12)
        return replace(happened, message=message if time is None else message.replace({12: time}))

    script = under(Policy(follows_host_day=True), timeless)
    script.run(Order(kind=Kind.SIGN_ON))
    script.clock.advance(24 * 3600 - 1)
    assert state_of(script).ready
    script.clock.advance(1)
    assert state_of(script).why.en == "the sign-on is older than the profile allows"


def test_a_host_that_begins_to_demand_is_asked_twice_in_one_call() -> None:
    script = Script(signed_on(), approve(), silence)
    script.run(sale("1.00"))
    script.run(sale("2.00"))
    script.replies = [answer("77"), signed_on(), answer("77"), signed_on(), answer("77")]
    finished = script.run(sale("3.00"))
    assert finished.blocked_by is not None
    assert finished.blocked_by.kind is Kind.REVERSAL
    assert script.next_duty() == Duty(DutyKind.SIGN_ON, None)
    assert mtis(script).count("0800") == 1 + limits.SIGN_ONS_PER_CALL_MAX


def test_a_sign_on_ends_after_so_many_exchanges_and_is_renewed_before() -> None:
    script = under(Policy(exchanges_max=20), signed_on(), *[approve()] * 18)
    for _ in range(17):
        script.run(sale("1.00"))
    assert state_of(script).state is SessionState.READY
    script.run(sale("1.00"))
    assert state_of(script).state is SessionState.STALE
    script.replies = [approve()] * 2
    for _ in range(2):
        script.run(sale("1.00"))
    assert state_of(script).state is SessionState.EXPIRED


def test_a_sign_on_that_was_cut_short_is_taken_up_again() -> None:
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    signed = script.journal.last_approved(Kind.SIGN_ON)
    assert signed is not None
    cut = replace(signed, number=2, stan="000002", state=State.PENDING, answer=None, keys=(), new_batch=None)
    script.journal.save(cut)
    assert state_of(script).state is SessionState.SIGNING_ON
    assert not state_of(script).ready
    script.replies = [signed_on(), approve()]
    script.run(sale("1.00"))
    assert state_of(script).state is SessionState.READY


def futile(script: Script, times: int) -> None:
    script.replies = [reply for _ in range(times) for reply in (signed_on(), answer("77"))]
    for _ in range(times):
        script.run(sale("1.00"))


def test_a_host_that_keeps_demanding_is_left_alone_longer_each_time() -> None:
    script = Script()
    futile(script, limits.FUTILE_SIGN_ONS_MAX)
    session = state_of(script)
    assert (session.state, session.wait_s) == (SessionState.LOCKED, limits.BACKOFF_FIRST_S)
    sent = len(script.sent)
    finished = script.run(sale("1.00"))
    assert finished.record is None
    duty = script.next_duty()
    assert duty is not None
    assert duty.is_locked
    script.run(None)
    script.run(Order(kind=Kind.BALANCE))
    assert len(script.sent) == sent
    script.clock.advance(limits.BACKOFF_FIRST_S)
    futile(script, 1)
    assert state_of(script).wait_s == 2 * limits.BACKOFF_FIRST_S
    script.clock.advance(2 * limits.BACKOFF_FIRST_S)
    script.replies = [signed_on(), approve()]
    script.run(sale("1.00"))
    assert state_of(script).state is SessionState.READY


def test_a_person_may_sign_on_although_the_host_keeps_demanding() -> None:
    script = Script()
    futile(script, limits.FUTILE_SIGN_ONS_MAX)
    script.replies = [signed_on()]
    finished = script.run(Order(kind=Kind.SIGN_ON))
    assert finished.record is not None
    assert state_of(script).state is SessionState.READY


def test_answers_between_demands_are_no_storm() -> None:
    script = Script()
    for _ in range(limits.FUTILE_SIGN_ONS_MAX + 1):
        script.replies = [signed_on(), approve(), answer("77")]
        script.run(sale("1.00"))
        script.run(sale("2.00"))
    assert state_of(script).state is SessionState.EXPIRED


def test_a_terminal_says_that_it_is_locked_and_when_to_come_back() -> None:
    bench = Bench()
    bench.acquirer.stage(parse(DEMANDING, "demanding.toml"))
    with bench.open() as terminal:
        for _ in range(limits.FUTILE_SIGN_ONS_MAX):
            terminal.sale(Amount.cny("1.00"))
        with pytest.raises(NotSignedOn, match="nothing was sent, the next attempt waits 5 s"):
            terminal.sale(Amount.cny("1.00"))
        assert terminal.status().session is SessionState.LOCKED
        tick = terminal.tick()
        assert (tick.again_in_s, tick.idle) == (5.0, False)


def test_a_terminal_says_when_to_renew() -> None:
    bench = Bench()
    with bench.open({"session.sign_on_age_max_s": 3600, "session.renew_before_s": 600}) as terminal:
        assert terminal.tick().again_in_s == 3000
        bench.clock.advance(3000)
        assert terminal.status().session is SessionState.STALE
        tick = terminal.tick()
        assert [each.kind for each in tick.done] == [Kind.SIGN_ON]
        assert tick.again_in_s == 3000
        assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)


def test_ninety_days_of_trade_never_sell_under_an_older_sign_on_than_the_policy_allows() -> None:
    bench = Bench()
    with bench.open({"session.busy_hours": "11:00-13:30, 17:00-19:30", "session.host_day": True}) as terminal:
        renewals = sold = 0
        for _ in range(90 * 24):
            before = terminal.status(recent=0).signed_on_at
            terminal.tick()
            sold += isinstance(terminal.sale(Amount.cny("1.00")), Approved)
            after = terminal.status(recent=0).signed_on_at
            renewals += after != before
            assert after is not None
            assert bench.clock.now().wall - after <= timedelta(hours=24)
            bench.clock.advance(3600)
        assert sold == 90 * 24
        # At most one a period: the host's day has ended once a day, and no age came before it.
        assert renewals <= 2 * 90 + 1
        assert bench.books.differences(terminal) == []


def test_every_state_of_the_session_has_a_rule_or_a_reason() -> None:
    by_rule = {state for state, _, _ in RULES}
    assert by_rule == set(SessionState) - {SessionState.SIGNED_OUT}


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("08:59-10:00", BusyHours(32_340, 36_000)),
        ("08:60-10:00", None),
        ("22:00-24:00", BusyHours(79_200, 0)),
        ("22:00-24:01", None),
    ],
)
def test_an_hour_has_sixty_minutes_and_a_day_ends_at_24_00(text: str, hours: BusyHours | None) -> None:
    assert BusyHours.parse(text) == hours


@pytest.mark.parametrize(
    ("time", "quiet_in_s"),
    [((12, 59, 59), 0.0), ((13, 0, 0), 7200.0), ((14, 59, 30), 30.0), ((14, 59, 59), 1.0), ((15, 0, 0), 0.0)],
)
def test_busy_hours_are_over_to_the_second(time: tuple[int, int, int], quiet_in_s: float) -> None:
    wall = datetime(2026, 1, 1, *time, tzinfo=UTC)
    busy = Policy(busy=(BusyHours(13 * 3600, 15 * 3600), BusyHours(13 * 3600, 14 * 3600)))
    assert busy.quiet_in_s(wall) == quiet_in_s
    assert busy.is_busy(wall) is (quiet_in_s > 0)
    assert Policy().quiet_in_s(wall) == 0.0


@pytest.mark.parametrize(
    ("left_s", "renew_in_s"),
    [
        (3_599.0, 2_999.0),  # It ends before them.
        (3_600.0, 3_000.0),
        (11_399.0, 3_000.0),  # It ends after them, and its lead begins in them: it is renewed before.
        (11_400.0, 10_800.0),  # Its lead begins when they are over.
    ],
)
def test_a_sign_on_whose_lead_begins_in_busy_hours_is_renewed_before_them(left_s: float, renew_in_s: float) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    policy = Policy(lead_s=600, busy=(BusyHours(13 * 3600, 15 * 3600),))
    assert policy.convenient_s(noon, left_s) == renew_in_s
