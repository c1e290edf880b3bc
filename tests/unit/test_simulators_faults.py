"""Faults as values and texts, and what a lane makes of bytes and time."""

from __future__ import annotations

import math

import pytest

from pos_engine.errors import UsageError
from simulators.faults import (
    TABLE,
    Act,
    Direction,
    Fault,
    Kind,
    Lane,
    Plan,
    Strike,
    parse_fault,
    parse_seconds,
)
from simulators.faults.lane import QUEUE_BYTES_MAX, SPLIT_PAUSE_S

REQUEST = b"abcdefghij"


def lane(*faults: str, seed: int = 0, connection: int = 1, now: float = 0.0) -> Lane:
    plan = Plan([parse_fault(each) for each in faults], seed=seed, now=now)
    return plan.lane(connection, Direction.TO_HOST)


def steps(one: Lane, now: float) -> list[tuple[Act, bytes]]:
    found = []
    while (step := one.next(now)) is not None:
        # A step without bytes only says that something has struck.
        found.extend([(step.act, step.data)] if step.data or step.act is not Act.WRITE else [])
    return found


def through(one: Lane, data: bytes, now: float = 0.0) -> bytes:
    """Push bytes and return what is written by the end of time."""
    one.push(data, now)
    return b"".join(data for _, data in steps(one, math.inf))


# Faults and their texts.


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rst to-terminal at 20", Fault(Kind.RST, Direction.TO_TERMINAL, at=20)),
        ("flip to-host at 17.3", Fault(Kind.FLIP, Direction.TO_HOST, at=17, bit=3)),
        ("drop to-host 1%", Fault(Kind.DROP, Direction.TO_HOST, percent=1.0)),
        ("stall to-terminal 2s at 7 times 3", Fault(Kind.STALL, Direction.TO_TERMINAL, at=7, amount=2.0, times=3)),
        ("delay to-host 200ms for 10s", Fault(Kind.DELAY, Direction.TO_HOST, amount=0.2, seconds=10.0)),
        ("throttle to-host 960B/s connections 2", Fault(Kind.THROTTLE, Direction.TO_HOST, amount=960, connections=2)),
        ("insert to-host 0x15 0.5%", Fault(Kind.INSERT, Direction.TO_HOST, amount=0x15, percent=0.5)),
        ("half-open to-host at 0 connection 2", Fault(Kind.HALF_OPEN, Direction.TO_HOST, at=0, connection=2)),
        ("split to-terminal 1", Fault(Kind.SPLIT, Direction.TO_TERMINAL, amount=1)),
    ],
)
def test_a_text_is_a_fault_and_a_fault_is_a_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a fault begins with its kind: split merge"),
        ("explode to-host at 1", "a fault begins with its kind, not 'explode'"),
        ("rst", "rst needs a direction: to-host to-terminal"),
        ("rst upwards at 1", "rst needs a direction, not 'upwards'"),
        ("rst to-host", "rst needs to know when: rst to-host at 20, or 1%"),
        ("rst to-host at", "at is followed by a byte"),
        ("rst to-host at x", "at is followed by a byte.*; not 'x'"),
        ("flip to-host at 3.8", "not '3.8'"),
        ("rst to-host at 3.1", "rst is not about one bit"),
        ("rst to-host at 1 at 2", "'at' says something that was said before"),
        ("rst to-host at 1 1%", "at a byte or by chance, not both"),
        ("rst to-host 5 at 1", "'5' is not understood here: at, a chance"),
        ("delay to-host 5B/s", "'5B/s' is not understood here: 200ms, at, a chance"),
        ("throttle to-host 5ms", "'5ms' is not understood here: 960B/s, at"),
        ("insert to-host 5 at 1", "'5' is not understood here: 0x15, at"),
        ("split to-host 1.5", "'1.5' is not understood here: 1, at"),
        ("split to-host 0", "the number beside split is from 1 to 1000000000"),
        ("delay to-host", "delay needs a number: delay to-host 200ms"),
        ("delay to-host 1s 1%", "delay lasts from a byte on, so it has no chance"),
        ("delay to-host 0ms", "the number beside delay is from 0.001 to 86400"),
        ("drop to-host 101%", "a chance is from 0.0001 to 100"),
        ("drop to-host 0%", "a chance is from 0.0001 to 100"),
        ("drop to-host at 1 times 0", "times is from 1 to"),
        ("drop to-host at 1 times", "times is followed by a count"),
        ("drop to-host at 1 connection two", "connection is followed by a count.*; not 'two'"),
        ("drop to-host at 1 for 3", "for is followed by a time"),
        ("drop to-host at 1 \x1b[2J", r"'\\x1b\[2J' is not understood here"),
    ],
)
def test_what_is_no_fault_is_refused_by_the_word(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_fault(text)
    assert caught.value.__context__ is None


def test_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="fin takes no number"):
        Fault(Kind.FIN, Direction.TO_HOST, at=1, amount=1)
    with pytest.raises(UsageError, match="a whole one"):
        Fault(Kind.SPLIT, Direction.TO_HOST, amount=1.5)
    with pytest.raises(UsageError, match="a bit is from 0 to 7"):
        Fault(Kind.FLIP, Direction.TO_HOST, at=1, bit=8)
    with pytest.raises(UsageError, match="at is from 0"):
        Fault(Kind.FLIP, Direction.TO_HOST, at=-1)


def test_times_are_read_alone_too() -> None:
    assert (parse_seconds("250ms"), parse_seconds("2s"), parse_seconds("1.5s")) == (0.25, 2.0, 1.5)
    with pytest.raises(UsageError, match="'2' is not a time: write 200ms or 2s"):
        parse_seconds("2")


def test_every_kind_has_a_row_in_both_languages_and_the_words_name_them_all() -> None:
    assert set(TABLE) == set(Kind)
    assert all(row.title.en and row.title.zh for row in TABLE.values())
    import simulators.faults.words as words  # noqa: PLC0415, PLR0402 - its docstring is what is looked at

    assert all(f" {kind.value}" in (words.__doc__ or "") for kind in Kind)


# A lane: damage.


@pytest.mark.parametrize(
    ("fault", "comes"),
    [
        ("flip to-host at 1.0", b"accdefghij"),
        ("drop to-host at 0", b"bcdefghij"),
        ("insert to-host 0x15 at 0", b"\x15abcdefghij"),
        ("insert to-host 0x15 at 10", b"abcdefghij\x15"),
        ("double to-host at 9", b"abcdefghijj"),
        ("repeat to-host at 4", b"abcdefghijabcdefghij"),
        ("fin to-host at 3", b"abc"),
        ("rst to-host at 10", b"abcdefghij"),
        ("half-open to-host at 0", b""),
        ("flip to-host at 10", b"abcdefghij"),
        ("flip to-terminal at 0", b"abcdefghij"),
        ("drop to-host at 0 connection 2", b"abcdefghij"),
        ("double to-host 100%", b"aabbccddeeffgghhiijj"),
    ],
)
def test_damage_is_done_to_the_byte_that_was_named(fault: str, comes: bytes) -> None:
    assert through(lane(fault), REQUEST) == comes
    bytewise = lane(fault)
    if not fault.startswith("repeat"):
        assert b"".join(through(bytewise, bytes([each])) for each in REQUEST) == comes


def test_faults_that_meet_at_one_byte_strike_in_the_order_of_the_plan() -> None:
    assert through(lane("insert to-host 0x31 at 2", "insert to-host 0x32 at 2"), b"abc") == b"ab12c"
    assert through(lane("insert to-host 0x31 at 2", "insert to-host 0x32 at 2"), b"ab") == b"ab12"
    assert through(lane("drop to-host at 1", "double to-host at 1", "flip to-host at 1"), b"abc") == b"ac"
    assert through(lane("double to-host at 1", "flip to-host at 1.0"), b"abc") == b"acbc"
    # What comes between two bytes comes before what is done to the second, and what lasts begins with it.
    assert through(lane("drop to-host at 1", "insert to-host 0x31 at 1", "delay to-host 1s at 1"), b"abc") == b"a1c"


def test_chance_strikes_about_as_often_as_it_says_and_follows_the_seed() -> None:
    sent = bytes(100_000)
    came = through(lane("drop to-host 1%", seed=7), sent)
    assert 800 < len(sent) - len(came) < 1200
    assert through(lane("flip to-host 1%", seed=7), sent) == through(lane("flip to-host 1%", seed=7), sent)
    assert through(lane("flip to-host 1%", seed=7), sent) != through(lane("flip to-host 1%", seed=8), sent)
    assert through(lane("flip to-host 1%", connection=2), sent) != through(lane("flip to-host 1%"), sent)


def test_a_fault_is_over_after_so_many_strikes_or_connections_or_so_long() -> None:
    assert through(lane("drop to-host 100% times 3"), REQUEST) == b"defghij"
    assert through(lane("drop to-host at 0 connections 2", connection=2), REQUEST) == b"bcdefghij"
    assert through(lane("drop to-host at 0 connections 2", connection=3), REQUEST) == REQUEST
    timed = lane("drop to-host 100% for 5s", now=100.0)
    assert through(timed, b"abc", now=104.9) == b""
    assert through(timed, b"abc", now=105.0) == b"abc"


def test_strikes_are_counted_over_all_connections() -> None:
    plan = Plan([parse_fault("fin to-host at 1 times 2")])
    ends = []
    for connection in (1, 2, 3):
        one = plan.lane(connection, Direction.TO_HOST)
        one.push(b"abc", 0.0)
        ends.append(steps(one, 0.0)[-1][0])
    assert ends == [Act.FIN, Act.FIN, Act.WRITE]


def test_a_strike_says_where_it_was_and_comes_with_what_it_did() -> None:
    one = lane("flip to-host at 2", connection=4)
    one.push(b"abcd", 0.0)
    step = one.next(0.0)
    assert step is not None
    assert step.strikes == (Strike(parse_fault("flip to-host at 2"), 4, 2),)


def test_the_sender_s_end_comes_behind_its_bytes_and_behind_no_other_end() -> None:
    one = lane()
    one.push(b"abc", 0.0)
    one.end(0.0)
    assert steps(one, 0.0) == [(Act.WRITE, b"abc"), (Act.END, b"")]
    cut = lane("rst to-host at 1")
    cut.push(b"abc", 0.0)
    cut.end(0.0)
    cut.push(b"more", 0.0)
    assert steps(cut, 0.0) == [(Act.WRITE, b"a"), (Act.RST, b"")]


# A lane: time.


def test_a_delay_holds_every_byte_back_by_so_much() -> None:
    one = lane("delay to-host 200ms at 3")
    one.push(b"abcdef", 10.0)
    assert steps(one, 10.0) == [(Act.WRITE, b"abc")]
    assert one.wake_at == 10.2
    assert steps(one, 10.19) == []
    assert steps(one, 10.2) == [(Act.WRITE, b"def")]
    assert one.wake_at is None


def test_a_split_gives_pieces_a_moment_apart() -> None:
    one = lane("split to-host 2")
    one.push(b"abcde", 0.0)
    pieces = []
    while (moment := one.wake_at) is not None:
        pieces.append((moment, steps(one, moment)))
    assert pieces == [
        (0.0, [(Act.WRITE, b"ab")]),
        (SPLIT_PAUSE_S, [(Act.WRITE, b"cd")]),
        (2 * SPLIT_PAUSE_S, [(Act.WRITE, b"e")]),
    ]


def test_a_merge_gives_in_one_piece_what_came_within_its_time() -> None:
    one = lane("merge to-host 1s")
    for moment, data in ((0.0, b"a"), (0.5, b"b"), (0.999, b"c")):
        one.push(data, moment)
    assert steps(one, 0.999) == []
    assert steps(one, 1.0) == [(Act.WRITE, b"abc")]
    one.push(b"d", 1.5)
    assert one.wake_at == 2.5


def test_a_throttle_passes_so_many_bytes_a_second_whatever_is_pushed() -> None:
    one = lane("throttle to-host 1000B/s")
    one.push(bytes(500), 0.0)
    one.push(bytes(500), 0.1)
    came = {moment: sum(len(data) for _, data in steps(one, moment)) for moment in (0.0, 0.095, 0.495, 0.995)}
    assert came == {0.0: 10, 0.095: 90, 0.495: 400, 0.995: 500}


def test_a_stall_holds_until_its_time_is_over() -> None:
    one = lane("stall to-host 2s at 3")
    one.push(REQUEST, 0.0)
    one.end(1.0)
    assert steps(one, 0.0) == [(Act.WRITE, b"abc")]
    assert (one.wake_at, steps(one, 1.9)) == (2.0, [])
    assert steps(one, 2.0) == [(Act.WRITE, b"defghij"), (Act.END, b"")]


def test_a_stall_without_a_time_holds_until_it_is_released_or_its_fault_is_over() -> None:
    plan = Plan([parse_fault("stall to-host at 3")])
    one = plan.lane(1, Direction.TO_HOST)
    one.push(REQUEST, 0.0)
    assert steps(one, 1e9) == [(Act.WRITE, b"abc")]
    assert one.wake_at is None
    plan.release()
    assert steps(one, 0.0) == [(Act.WRITE, b"defghij")]
    later = plan.lane(2, Direction.TO_HOST)
    assert through(later, REQUEST) == REQUEST
    timed = lane("stall to-host at 3 for 5s")
    timed.push(REQUEST, 1.0)
    assert timed.wake_at == 1.0
    assert len(steps(timed, 4.9)) == 1
    assert timed.wake_at == 5.0


def test_a_plan_that_is_smoothed_strikes_no_more_and_a_manner_ends() -> None:
    plan = Plan([parse_fault("delay to-host 5s"), parse_fault("stall to-host at 3"), parse_fault("drop to-host 100%")])
    one = plan.lane(1, Direction.TO_HOST)
    one.push(REQUEST, 0.0)
    plan.smooth()
    assert through(one, b"xyz", 20.0) == b"xyz"
    assert through(plan.lane(2, Direction.TO_HOST), b"xyz") == b"xyz"


def test_a_fault_that_is_added_counts_bytes_from_then() -> None:
    plan = Plan()
    one = plan.lane(1, Direction.TO_HOST)
    assert through(one, REQUEST) == REQUEST
    plan.arm(one, plan.add(parse_fault("drop to-host at 2"), 0.0))
    assert through(one, REQUEST) == b"abdefghij"


def test_a_lane_that_holds_much_is_full() -> None:
    one = lane("stall to-host at 0")
    one.push(bytes(QUEUE_BYTES_MAX - 1), 0.0)
    fullness = [one.full]
    one.push(b"x", 0.0)
    fullness.append(one.full)
    one.discard()
    assert [*fullness, one.full, one.is_empty] == [False, True, False, True]
