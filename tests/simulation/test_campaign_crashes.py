"""The crash campaign: what it enumerates, how a case is named, and a slice of it."""

from __future__ import annotations

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from simulators.prove.campaign import Scale, Shard
from simulators.prove.crashes import CRASHES, TRUTHS, Crash
from simulators.prove.programs import Program
from simulators.world.mishaps import SMOOTH


def test_a_slice_of_the_campaign_finds_nothing() -> None:
    tally = CRASHES.run(Shard(Scale.QUICK, index=3, count=60))
    assert tally.findings == ()
    assert tally.cases > 20


@pytest.mark.parametrize("kind", list(UNIONPAY.kinds))
def test_every_kind_has_a_program_that_sends_it_and_rests(kind: Kind) -> None:
    program = Program(kind, SMOOTH)
    assert program.run()
    assert program.effects_to_target > 14
    sent = [record.kind for record in program.world.disk.contents.recent(99)]
    assert kind in sent
    assert min(program.frame_sizes) > 40


@pytest.mark.parametrize("truth", list(TRUTHS))
def test_no_truth_is_an_accident(truth: str) -> None:
    program, rests = Crash(Kind.SALE, truth).live()
    assert rests
    assert program.world.chronicle.counts[TRUTHS[truth].title] == 1


def test_a_case_is_named_and_found_again() -> None:
    case = Crash(Kind.VOID, "approved, answer late", (23, 8))
    assert str(case) == "void/approved, answer late/12 after/5 before"
    assert Crash.parse(str(case)) == case
    history = CRASHES.repeat(str(case), 0)
    assert history.count("the power goes") == 2
    assert history == CRASHES.repeat(str(case), 1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "sale", "sale/never", "parcel/never got it", "sale/never got it/", "sale/never got it/0 after"),
        *("sale/never got it/1 beside", "sale/never got it/1 after/1 after/1 after", "sale/never got it/-1 after"),
    ],
)
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        CRASHES.repeat(text, 0)
