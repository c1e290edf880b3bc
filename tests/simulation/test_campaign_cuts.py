"""The campaign of cuts: what it enumerates, how a case is named, and a slice of it."""

from __future__ import annotations

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import UsageError
from simulators.prove.campaign import Scale, Shard
from simulators.prove.cuts import CUTS, Cut
from simulators.world.mishaps import Break


def test_a_slice_of_the_campaign_finds_nothing() -> None:
    tally = CUTS.run(Shard(Scale.QUICK, index=5, count=30))
    assert tally.findings == ()
    assert tally.cases > 30


@pytest.mark.parametrize("manner", list(Break))
def test_a_case_is_named_and_found_again(manner: Break) -> None:
    case = Cut(Kind.SALE, "answer", manner, 17)
    assert str(case) == f"sale/answer/{manner.name.lower()}/17"
    assert Cut.parse(str(case)) == case
    assert "behind 17 bytes" in CUTS.repeat(str(case), 0)


@pytest.mark.parametrize(
    "text", ["", "sale/answer/fin", "sale/answer/fin/x", "parcel/answer/fin/1", "sale/both/fin/1", "sale/answer/off/1"]
)
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        CUTS.repeat(text, 0)
