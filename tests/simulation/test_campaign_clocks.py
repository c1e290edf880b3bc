"""The campaign of clocks: what it enumerates, how a case is named, a slice of it, and that leaps are leaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from simulators.prove.campaign import Scale, Shard
from simulators.prove.clocks import CLOCKS, LEAPS, SOUND_SLEEP, TRUTHS, Case, Life
from simulators.world.clock import WorldClock


def test_a_slice_of_the_campaign_finds_nothing() -> None:
    tally = CLOCKS.run(Shard(Scale.QUICK, index=3, count=30))
    assert tally.findings == ()
    assert tally.cases > 10
    assert tally.counts["moments that never came"] == 0


def test_there_are_the_fourteen_leaps() -> None:
    assert len(LEAPS) == 14


@pytest.mark.parametrize("leap", list(LEAPS))
def test_every_leap_moves_the_wall_clock_against_elapsed_time(leap: str) -> None:
    clock = WorldClock()
    LEAPS[leap].leap(clock)
    passed = clock.now().elapsed_s
    assert passed == (43_200 if LEAPS[leap].sleeps else 0)
    assert clock.true_s == passed
    right = datetime(2026, 1, 1, 4, tzinfo=UTC) + timedelta(seconds=passed)
    assert clock.now().wall != right


@pytest.mark.parametrize(("season", "hours"), [("into summer time", 1), ("out of summer time", -1)])
def test_a_change_of_the_season_moves_what_the_clock_shows_by_an_hour(season: str, hours: int) -> None:
    clock = WorldClock()
    LEAPS[season].leap(clock)
    before = clock.now().wall
    LEAPS[season].later(clock)
    assert clock.now().wall.tzinfo is before.tzinfo
    clock.advance(1.0)
    LEAPS[season].later(clock)
    shown = clock.now().wall.replace(tzinfo=None) - before.replace(tzinfo=None)
    assert shown == timedelta(hours=hours, seconds=1)


def test_a_sleep_that_the_wall_clock_sees_is_no_leap() -> None:
    clock = WorldClock()
    SOUND_SLEEP.leap(clock)
    assert clock.now().wall == datetime(2026, 1, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize("kind", list(UNIONPAY.kinds))
def test_moments_lie_before_the_order_between_its_effects_while_it_waits_and_in_recovery(kind: Kind) -> None:
    moments = Life.of(kind, "answer lost").watch.moments
    assert moments[0] == "call 1"
    assert {"effect 1", "effect 6", "call 4"} <= set(moments)
    assert any(each.startswith("wait") for each in moments)
    assert len(set(moments)) == len(moments)


@pytest.mark.parametrize("truth", list(TRUTHS))
def test_a_leap_that_is_no_leap_changes_nothing(truth: str) -> None:
    calm, same = Life.of(Kind.SALE, truth), Life.of(Kind.SALE, truth)
    assert calm.watch.did == same.watch.did
    assert list(same.objections(calm)) == []


def test_a_difference_is_told_without_what_is_in_it() -> None:
    calm, other = Life.of(Kind.SALE, "approved"), Life.of(Kind.SALE, "declined")
    told = list(other.objections(calm))
    assert told[0] == "the host's books are other than without the leap"
    assert "without the leap, step" in told[1]
    assert "622999" not in told[1]


@pytest.mark.parametrize("at", ["call 1", "effect 2", "wait 4", "effect 7"])
def test_a_case_is_named_and_found_again(at: str) -> None:
    case = Case(Kind.SALE, "approved", "forward 1 d", at)
    assert str(case) == f"sale/approved/forward 1 d/{at}"
    assert Case.parse(str(case)) == case
    history = CLOCKS.repeat(str(case), 0)
    assert "the wall clock leaps" in history
    assert "!!" not in history


@pytest.mark.parametrize(("leap", "voids"), [("back 1 h", 1), ("forward 1 d", 0)])
def test_a_void_is_refused_where_the_terminals_date_is_another(leap: str, voids: int) -> None:
    life = Case(Kind.VOID, "approved", leap, "call 1").live()
    assert life.is_refused is (voids == 0)
    assert len(life.program.world.disk.contents.kind_records(Kind.VOID, since_day="")) == voids


@pytest.mark.parametrize("moment", ["effect 3", "effect 4", "call 2"])
def test_working_keys_are_as_old_as_the_answer_that_brought_them(moment: str) -> None:
    life = Case(Kind.SIGN_ON, "approved", "12 h suspended", moment).live()
    assert life.watch.has_leapt
    assert list(life.watch.objections()) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "sale", "sale/approved/back 1 s", "sale/approved/back 2 s/call 1", "parcel/approved/back 1 s/call 1"),
        *("sale/approved/back 1 s/call x", "sale/approved/back 1 s/step 1", "sale/approved/back 1 s/effect 999"),
    ],
)
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        CLOCKS.repeat(text, 0)
