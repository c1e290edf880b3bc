"""The machine's own clock, and leaps: what rests for minutes need not be waited for, while sockets stay real."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine.system import SystemClock

if TYPE_CHECKING:
    from pos_engine.clock import Instant


class LeapingClock:
    """A `Clock`; calling it returns the elapsed seconds."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._leapt_s = 0.0

    def __call__(self) -> float:
        return self.now().elapsed_s

    def now(self) -> Instant:
        now = self._clock.now()
        return replace(now, elapsed_s=now.elapsed_s + self._leapt_s)

    def leap(self, seconds: float) -> None:
        """Let time pass at once."""
        self._leapt_s += seconds
