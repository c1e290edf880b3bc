"""What a campaign is: cases that are counted and judged, cut into shards that any number of processes may share.

A campaign enumerates or draws its cases from a seed alone, so whoever repeats it gets the same ones. What it finds
names the case that shows it, and `repeat` tells that one case's history.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pos_engine.values import Text


class Scale(enum.Enum):
    """How much of a campaign is run."""

    QUICK = "a sample that is the same each time, for every change"
    RELEASE = "all of it, before a release"


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a campaign: number `index` (from 0) of `count`."""

    scale: Scale
    seed: int = 0
    index: int = 0
    count: int = 1

    def takes(self, number: int) -> bool:
        """Tell whether the case with this number, counted from 0, belongs to the shard."""
        return number % self.count == self.index


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: what, and the case that shows it again. Safe to print."""

    what: str
    case: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What one shard did."""

    cases: int = 0
    findings: tuple[Finding, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    """Further figures worth publishing, by name: what was reached, what the control found."""

    def __add__(self, other: Tally) -> Tally:
        """Put two shards together."""
        return Tally(self.cases + other.cases, self.findings + other.findings, self.counts + other.counts)


class Campaign(Protocol):
    """One campaign of `pos-engine prove`."""

    @property
    def name(self) -> str:
        """The name on the command line and in the documents."""
        ...

    @property
    def title(self) -> Text:
        """What is tried, in a few words."""
        ...

    def lacks(self) -> str:
        """Say which program or package is missing to run it here; empty when none is."""
        ...

    def run(self, shard: Shard) -> Tally:
        """Run a shard's cases. Raises nothing for what it finds; that is a `Finding`."""
        ...

    def repeat(self, case: str, seed: int) -> str:
        """Run one case again and tell its history as text that is safe to print; `UsageError` for no such case."""
        ...
