"""Two clocks: the terminal's, which may be set, jump and start anew, and the true one, which only goes on.

The line and the host live by the true one, so that nothing a terminal believes about the time changes what happens.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from pos_engine.clock import Instant

BEGIN: Final = datetime(2026, 1, 1, 4, tzinfo=UTC)
"""Noon on the first day of a host in China."""


class WorldClock:
    """A `Clock` of the terminal; time passes only where somebody waits."""

    __slots__ = ("_boots", "_now", "slept_s", "true_s")

    def __init__(self) -> None:
        """Begin, with the terminal's clock right."""
        self.true_s = 0.0
        """Seconds since the world began."""
        self.slept_s = 0.0
        """Seconds of these in which the terminal's machine was suspended."""
        self._boots = 1
        self._now = Instant(0.0, "boot-1", BEGIN)

    def now(self) -> Instant:
        """Return what the terminal takes for the present moment."""
        return self._now

    def host_now(self) -> Instant:
        """Return the host's present moment."""
        return Instant(self.true_s, "host", BEGIN + timedelta(seconds=self.true_s))

    def advance(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        now = self._now
        self.true_s += seconds
        self._now = Instant(now.elapsed_s + seconds, now.boot, now.wall + timedelta(seconds=seconds))

    def sleep(self, seconds: float, *, wall_goes_on: bool = True) -> None:
        """Let the terminal's machine be suspended: elapsed seconds go on, its wall clock perhaps not."""
        wall = self._now.wall
        self.slept_s += seconds
        self.advance(seconds)
        if not wall_goes_on:
            self.set_wall(wall)

    def set_wall(self, wall: datetime) -> None:
        """Set the terminal's wall clock, and nothing else."""
        self._now = Instant(self._now.elapsed_s, self._now.boot, wall)

    def reboot(self) -> None:
        """Begin another boot of the terminal: its elapsed seconds start anew."""
        self._boots += 1
        self._now = Instant(0.0, f"boot-{self._boots}", self._now.wall)
