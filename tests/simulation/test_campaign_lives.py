"""The campaign of random lives: a slice of it, and how a case is named."""

from __future__ import annotations

import pytest

from pos_engine.errors import UsageError
from simulators.prove.campaign import Scale, Shard
from simulators.prove.lives import LIVES


def test_a_slice_of_the_campaign_finds_nothing() -> None:
    tally = LIVES.run(Shard(Scale.QUICK, index=0, count=20))
    assert tally.findings == ()
    assert tally.counts["exchanges"] > tally.cases


def test_shards_do_not_share_cases() -> None:
    parts = [LIVES.run(Shard(Scale.QUICK, index=index, count=500)) for index in (0, 1)]
    both = parts[0] + parts[1]
    assert both.cases == parts[0].cases + parts[1].cases
    assert parts[0].counts != parts[1].counts


def test_a_life_can_be_told_again() -> None:
    assert LIVES.repeat("seed 4711", 0) == LIVES.repeat("seed 4711", 1)
    assert "== the faults end" in LIVES.repeat("seed 4711", 0)


@pytest.mark.parametrize("text", ["", "4711", "seed", "seed -1", "seed x"])
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        LIVES.repeat(text, 0)
