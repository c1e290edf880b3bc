"""Laws of a line's faults, for any plan: texts and faults are one, chunks and repetition change no byte."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulators.faults import TABLE, Act, Direction, Fault, Kind, Plan, Shape, Unit, parse_fault

COUNTS = st.none() | st.integers(1, 50)
AMOUNTS = {
    Unit.SECONDS: st.integers(1, 5000).map(lambda milliseconds: milliseconds / 1000),
    Unit.RATE: st.integers(1, 100_000).map(float),
    Unit.BYTES: st.integers(1, 50).map(float),
    Unit.VALUE: st.integers(0, 255).map(float),
}


@st.composite
def faults(draw: st.DrawFn, *, lasting: bool = True) -> Fault:
    kind = draw(st.sampled_from(Kind))
    row = TABLE[kind]
    amount = None if row.unit is None else draw(AMOUNTS[row.unit] if row.needs else st.none() | AMOUNTS[row.unit])
    at: int | None = draw(st.integers(0, 300))
    percent = None
    if row.shape is not Shape.MANNER and draw(st.booleans()):
        at, percent = None, draw(st.integers(1, 1_000_000).map(lambda share: share / 10_000))
    bit = draw(st.integers(0, 7)) if kind is Kind.FLIP and at is not None else 0
    seconds = draw(st.none() | AMOUNTS[Unit.SECONDS]) if lasting else None
    direction = draw(st.sampled_from(Direction))
    return Fault(
        kind,
        direction,
        at=at,
        bit=bit,
        percent=percent,
        amount=amount,
        connection=draw(COUNTS),
        times=draw(COUNTS),
        connections=draw(COUNTS),
        seconds=seconds,
    )


def played(plan: list[Fault], chunks: list[bytes], *, seed: int) -> list[tuple[Act, bytes]]:
    """What one lane does with chunks a tenth of a second apart, at the end of time and released."""
    under_way = Plan(plan, seed=seed)
    lane = under_way.lane(1, Direction.TO_HOST)
    for number, chunk in enumerate(chunks):
        lane.push(chunk, number / 10)
    lane.end(len(chunks) / 10)
    under_way.release()
    done = []
    while (step := lane.next(math.inf)) is not None:
        done.append((step.act, step.data))
    assert lane.is_empty
    return done


def written(done: list[tuple[Act, bytes]]) -> tuple[bytes, Act]:
    return b"".join(data for _, data in done), done[-1][0]


@given(faults())
def test_a_fault_is_its_text(fault: Fault) -> None:
    assert parse_fault(str(fault)) == fault


@given(st.lists(faults(), max_size=5), st.lists(st.binary(min_size=1, max_size=80), max_size=8), st.integers(0, 9))
def test_the_same_plan_makes_the_same_of_the_same_bytes(plan: list[Fault], chunks: list[bytes], seed: int) -> None:
    assert played(plan, chunks, seed=seed) == played(plan, chunks, seed=seed)


@given(
    st.lists(faults(lasting=False).filter(lambda each: each.kind is not Kind.REPEAT), max_size=5),
    st.binary(max_size=400),
    st.sets(st.integers(0, 400)),
    st.integers(0, 9),
)
def test_how_bytes_are_cut_into_chunks_changes_none_of_them(
    plan: list[Fault], data: bytes, cuts: set[int], seed: int
) -> None:
    whole = written(played(plan, [data] if data else [], seed=seed))
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges) if start < end]
    assert written(played(plan, chunks, seed=seed)) == whole


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=8), st.lists(faults(), max_size=4))
def test_without_damage_every_byte_arrives_in_order_and_the_end_comes_last(
    chunks: list[bytes], plan: list[Fault]
) -> None:
    harmless = [each for each in plan if each.is_manner or each.kind is Kind.STALL]
    assert written(played(harmless, chunks, seed=0)) == (b"".join(chunks), Act.END)


@given(st.lists(faults(), max_size=4), st.lists(st.binary(min_size=1, max_size=80), max_size=8))
def test_a_lane_says_when_it_will_have_something_to_do(plan: list[Fault], chunks: list[bytes]) -> None:
    under_way = Plan([each for each in plan if each.kind is not Kind.STALL])
    lane = under_way.lane(1, Direction.TO_HOST)
    for number, chunk in enumerate(chunks):
        lane.push(chunk, number / 10)
    lane.end(1.0)
    while (moment := lane.wake_at) is not None:
        assert lane.next(moment) is not None
    assert lane.is_empty
