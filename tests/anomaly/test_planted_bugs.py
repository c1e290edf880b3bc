"""Every planted bug is found by the proof; a harness that finds none of them would prove nothing."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from simulators.prove.campaign import Scale, Shard
from simulators.prove.crashes import TRUTHS, Crash
from simulators.prove.runner import campaign
from simulators.prove.verdict import faults
from simulators.world.life import RandomLife
from tests.anomaly.planted import CRASHES, LIVES, Bug
from tests.anomaly.planted_roads import BUGS

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVES_MAX = 1_500
BUGS_MIN = 30
"""The list may only grow."""
SHARDS = 40
"""Into how many parts the other campaigns are cut: a part at a time is run until one finds something."""


def seeds() -> Iterator[tuple[str, ...]]:
    for seed in range(LIVES_MAX):
        life = RandomLife(seed)
        yield faults(life.world, rests=life.live())


def power_cuts() -> Iterator[tuple[str, ...]]:
    for kind, truth in product((Kind.SALE, Kind.VOID), TRUTHS):
        clean, rests = Crash(kind, truth).live()
        yield faults(clean.world, rests=rests)
        for cut in range(2 * clean.effects_to_target):
            program, rests = Crash(kind, truth, (cut,)).live()
            yield faults(program.world, rests=rests)


def shards(name: str) -> Iterator[tuple[str, ...]]:
    for index in range(SHARDS):
        tally = campaign(name).run(Shard(Scale.QUICK, 0, index, SHARDS))
        yield tuple(finding.what for finding in tally.findings)


def runs(name: str) -> Iterator[tuple[str, ...]]:
    return {LIVES: seeds, CRASHES: power_cuts}[name]() if name in {LIVES, CRASHES} else shards(name)


def found(bug: Bug) -> str:
    """Run the campaign that finds a bug, until it does; what a bug makes the engine raise tells of it too."""
    try:
        if not isinstance(bug.found_by, str):
            bug.found_by()
            return ""
        return next((each[0] for each in runs(bug.found_by) if each), "")
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever a bug breaks, it has shown itself
        return f"raised {type(error).__name__}"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    assert found(bug)


def test_the_documents_list_every_planted_bug_and_what_finds_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([^|]+) \| `(\w+)` \|$", text.partition("## Planted bugs")[2], re.MULTILINE)
    assert listed == [(bug.name, bug.finder) for bug in BUGS]
    assert len(BUGS) >= BUGS_MIN
