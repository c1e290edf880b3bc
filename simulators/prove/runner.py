"""Running campaigns: every shard in a process of its own, one campaign after the other, so that seconds mean something.

A campaign is known by its name alone, in this process and in the others, so nothing but names and numbers crosses over.
"""

from __future__ import annotations

import importlib
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from simulators.prove.campaign import Scale, Shard, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pos_engine.values import Text
    from simulators.prove.campaign import Campaign

CAMPAIGNS: Final[Mapping[str, str]] = {
    "crashes": "simulators.prove.crashes:CRASHES",
    "cuts": "simulators.prove.cuts:CUTS",
    "answers": "simulators.prove.answers:ANSWERS",
    "forgeries": "simulators.prove.forgeries:FORGERIES",
    "power": "simulators.prove.power:POWER",
    "rot": "simulators.prove.rot:ROT",
    "secrets": "simulators.prove.secrets:SECRETS",
    "clocks": "simulators.prove.clocks:CLOCKS",
    "keys": "simulators.prove.keyfaults:KEYFAULTS",
    "lives": "simulators.prove.lives:LIVES",
}
"""Every campaign by its name, in the order of the report, and where it is; imported when it is run."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one campaign."""

    name: str
    title: Text
    tally: Tally
    seconds: float
    """By the wall clock, with all its processes at once."""
    lacks: str = ""
    """What was missing to run it here; then there are no cases."""


def campaign(name: str) -> Campaign:
    """Look a campaign up; `UsageError` for a name that nobody has."""
    if name not in CAMPAIGNS:
        reason = f"there is no campaign {name!r}: one of {', '.join(CAMPAIGNS)}"
        raise UsageError(reason)
    module, _, constant = CAMPAIGNS[name].partition(":")
    found: Campaign = getattr(importlib.import_module(module), constant)
    return found


def prove(names: Sequence[str], scale: Scale, *, seed: int, jobs: int) -> Iterator[Report]:
    """Run campaigns, each on `jobs` processes, and yield a report as each ends."""
    chosen = [campaign(name) for name in names]
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for each in chosen:
            lacks = each.lacks()
            begun = time.monotonic()
            shards = [Shard(scale, seed, index, jobs) for index in range(0 if lacks else jobs)]
            tally = reduce(add, pool.map(_run_shard, [each.name] * len(shards), shards), Tally())
            yield Report(each.name, each.title, tally, time.monotonic() - begun, lacks)


def repeat(name: str, case: str, *, seed: int) -> str:
    """Tell one case's history."""
    return campaign(name).repeat(case, seed)


def _run_shard(name: str, shard: Shard) -> Tally:
    return campaign(name).run(shard)
