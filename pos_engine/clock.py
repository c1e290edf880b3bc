"""Time as the engine sees it: elapsed seconds decide, the wall clock only stamps.

`elapsed_s` counts on through suspend and never jumps, but only within one boot; across boots no interval is knowable,
so every comparison of two instants goes through `Instant.since`, which answers `None` then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment: elapsed seconds of one boot, and what the wall clock showed (aware, never used to decide)."""

    elapsed_s: float
    boot: str
    wall: datetime

    def since(self, earlier: Instant) -> float | None:
        """Seconds from `earlier` to here; `None` when a reboot lies between, or a restored machine has gone back."""
        passed_s = self.elapsed_s - earlier.elapsed_s
        return passed_s if self.boot == earlier.boot and passed_s >= 0 else None


class Clock(Protocol):
    """Where instants come from and how waiting is done."""

    def now(self) -> Instant:
        """Return the present moment."""
        ...


class ManualClock:
    """A clock that moves only when told to, for tests and simulations."""

    def __init__(self, wall: datetime | None = None, *, boot: str = "boot-1") -> None:
        """Start at zero elapsed seconds, at `wall` (default: noon UTC on 2026-01-01)."""
        self._now = Instant(0.0, boot, wall or datetime(2026, 1, 1, 12, tzinfo=UTC))

    def now(self) -> Instant:
        """Return the present moment; it does not pass by itself."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, on both scales."""
        wall = self._now.wall + timedelta(seconds=seconds)
        self._now = replace(self._now, elapsed_s=self._now.elapsed_s + seconds, wall=wall)

    def set_wall(self, wall: datetime) -> None:
        """Move the wall clock alone, as a wrong battery or a time server would."""
        self._now = replace(self._now, wall=wall)

    def reboot(self, boot: str) -> None:
        """Begin another boot: elapsed seconds restart and old ones become incomparable."""
        self._now = replace(self._now, elapsed_s=0.0, boot=boot)
