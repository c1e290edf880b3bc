"""What a campaign has done so far, while it is at it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulators.prove.campaign import Finding, Tally
from simulators.prove.verdict import faults

if TYPE_CHECKING:
    from simulators.world import World

FINDINGS_MAX = 200
"""Findings that one shard names; the rest is counted."""


@dataclass(slots=True)
class Count:
    """Cases, findings and figures of worlds that were judged."""

    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def judge(self, case: str, world: World, *, rests: bool) -> None:
        """Judge a world at its end; `rests`: its terminal could do all it owed."""
        self.cases += 1
        self.counts["exchanges"] += world.line.requests
        self.counts.update(world.chronicle.counts)
        found = faults(world, rests=rests)
        self.counts["findings"] += len(found)
        self.findings.extend(Finding(what, case) for what in found[: max(0, FINDINGS_MAX - len(self.findings))])

    def tally(self) -> Tally:
        """Return what was done."""
        return Tally(self.cases, tuple(self.findings), self.counts)
