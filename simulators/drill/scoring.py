"""What an act is worth: by what it does to the shop first, then by the time it took. Pure.

Four grades. The right act counts in full; who answers before the screen can have been read has guessed, and who thinks
for long lets a customer wait. One dangerous act fails a drill, whatever else was right, and so do books that disagree.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Grade(enum.Enum):
    """What an act does to the shop; the value is the word for programs."""

    RIGHT = "right"
    HARMLESS = "harmless"
    """Nothing is lost by it, and nothing gained."""
    COSTLY = "costly"
    """A sale is lost, or minutes."""
    DANGEROUS = "dangerous"
    """A second charge, noted card data, goods that nobody paid for."""


POINTS: Final[Mapping[Grade, int]] = {Grade.RIGHT: 10, Grade.HARMLESS: 6, Grade.COSTLY: 2, Grade.DANGEROUS: 0}
POINTS_MAX: Final = POINTS[Grade.RIGHT]
GUESS_S: Final = 1.0
"""Nobody reads a screen and its choices in less."""
GUESS_POINTS: Final = 3
"""What a guess counts at most."""
THINKING_S: Final = 30.0
"""So long may be read and thought at no cost."""
SLOW_EACH_S: Final = 10.0
"""Each so long after that, once begun, costs a point."""
SLOW_POINTS_MAX: Final = 5
PASS_PERCENT: Final = 80


@dataclass(frozen=True, slots=True)
class Mark:
    """One act as it was scored."""

    grade: Grade
    seconds: float
    """From shown to chosen."""

    @property
    def points(self) -> int:
        """What it counts, 0 to 10."""
        if self.is_guess:
            return min(POINTS[self.grade], GUESS_POINTS)
        begun = math.ceil(max(0.0, self.seconds - THINKING_S) / SLOW_EACH_S)
        return max(0, POINTS[self.grade] - min(begun, SLOW_POINTS_MAX))

    @property
    def is_guess(self) -> bool:
        """Whether it came too soon to have been thought about."""
        return self.seconds < GUESS_S

    @property
    def is_slow(self) -> bool:
        """Whether the time it took costs points."""
        return self.seconds > THINKING_S


@dataclass(frozen=True, slots=True)
class Score:
    """What a drill, or a part of it, came to."""

    points: int
    most: int
    dangers: int
    """Dangerous acts, and what the books found besides."""

    @property
    def percent(self) -> int:
        """0 to 100, rounded down; 0 where nothing was asked."""
        return 100 * self.points // self.most if self.most else 0

    @property
    def passed(self) -> bool:
        """Whether it is good enough: nothing dangerous, and four fifths of the points."""
        return self.percent >= PASS_PERCENT and self.dangers == 0


def score(marks: Sequence[Mark], findings: int = 0) -> Score:
    """Add up; `findings` is how much the books disagree with what the cashier believes."""
    dangers = sum(1 for mark in marks if mark.grade is Grade.DANGEROUS)
    return Score(sum(mark.points for mark in marks), POINTS_MAX * len(marks), max(dangers, findings))


def total(scores: Iterable[Score]) -> Score:
    """Add up several situations; every act counts the same."""
    each = tuple(scores)
    return Score(sum(one.points for one in each), sum(one.most for one in each), sum(one.dangers for one in each))


def to_practise(scores: Mapping[str, Score]) -> tuple[str, ...]:
    """Name what did not go well, the worst first: what was dangerous, then what brought the fewest points."""
    weak = [name for name, one in scores.items() if not one.passed or one.points < one.most]
    return tuple(sorted(weak, key=lambda name: (-scores[name].dangers, scores[name].percent)))
