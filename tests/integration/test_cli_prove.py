"""`prove` on the command line: the table, the object, a repeated case, and what is no campaign."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from simulators.prove.runner import CAMPAIGNS, campaign

if TYPE_CHECKING:
    from tests.support.commands import Shop


def test_a_campaign_is_run_and_counted(empty: Shop) -> None:
    done = empty.run("prove", "--quick", "--campaign", "forgeries", "--jobs", "2")
    assert done.code == 0
    assert re.match(
        r"campaign +cases +violations +seconds +repeat\nforgeries +\d{4,} +0 +[0-9.]+ +--campaign ", done.out
    )
    assert "forgeries: forged answers that need no key" in done.out


def test_the_same_in_json(empty: Shop) -> None:
    one, other = (empty.run("prove", "--campaign", "forgeries", "--jobs", jobs, "--json").json() for jobs in ("1", "2"))
    assert (one["scale"], one["seed"]) == ("quick", 0)
    (report,) = one["campaigns"]
    assert report["campaign"] == "forgeries"
    assert report["violations"] == []
    # Processes share the cases; they do not change them.
    assert report["cases"] == other["campaigns"][0]["cases"]
    assert report["counts"] == other["campaigns"][0]["counts"]


def test_a_case_is_told_again(empty: Shop) -> None:
    told = empty.run("prove", "--campaign", "crashes", "--case", "sale/approved, answer lost/12 after")
    assert (told.code, told.err) == (0, "")
    assert "0400" in told.out
    content = empty.run("prove", "--campaign", "lives", "--case", "seed 7", "--json").json()
    assert (content["campaign"], content["case"]) == ("lives", "seed 7")
    assert len(content["history"]) > 20


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--campaign", "luck"], "there is no campaign 'luck'"),
        (["--quick", "--release"], "either --quick or --release"),
        (["--case", "seed 1"], "--case is of one campaign"),
        (["--campaign", "lives", "--case", "x"], "a case is the seed of a life"),
        (["--campaign", "crashes", "--case", "sale"], "a case is KIND/TRUTH"),
    ],
)
def test_what_cannot_be_proved_says_why(empty: Shop, arguments: list[str], complaint: str) -> None:
    done = empty.run("prove", *arguments)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.error()


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_every_campaign_is_there_under_its_name(name: str) -> None:
    found = campaign(name)
    assert found.name == name
    assert found.title.en
    assert found.title.zh
