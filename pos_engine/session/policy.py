"""When a sign-on has to be renewed: every rule by itself may be left out, and they hold together.

Ages are elapsed seconds and never the wall clock's. The host's day is the one its sign-on answer named, carried on by
elapsed seconds. Busy hours are the shop's own, by the wall clock: they decide only when a renewal is convenient, never
whether a sign-on still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine import limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

DAY_S: Final = 24 * 3600
HOUR_S: Final = 3600
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class BusyHours:
    """A part of the day in which nobody wants to wait: seconds after midnight, the end not included."""

    begins_s: int
    ends_s: int

    @classmethod
    def parse(cls, text: str) -> BusyHours | None:
        """Read "08:00-10:30"; `None` for what is no such part of a day. It may go past midnight."""
        begins, dash, ends = text.strip().partition("-")
        moments = [_seconds(begins), _seconds(ends)] if dash else [None, None]
        if None in moments or moments[0] == moments[1]:
            return None
        return cls(*(moment for moment in moments if moment is not None))

    def left_s(self, second: int) -> int:
        """Seconds until it ends, 0 outside of it."""
        length_s, into_s = (self.ends_s - self.begins_s) % DAY_S, (second - self.begins_s) % DAY_S
        return length_s - into_s if into_s < length_s else 0

    def until_s(self, second: int) -> int:
        """Seconds until it begins the next time, 0 in it."""
        return 0 if self.left_s(second) else (self.begins_s - second) % DAY_S

    @property
    def length_s(self) -> int:
        """Seconds that it lasts."""
        return (self.ends_s - self.begins_s) % DAY_S


def _seconds(text: str) -> int | None:
    hours, colon, minutes = text.strip().partition(":")
    digits = (hours + minutes).isascii() and hours.isdigit() and minutes.isdigit() and bool(colon)
    if not digits or len(hours) > 2 or len(minutes) != 2:  # noqa: PLR2004 - as clocks show them
        return None
    seconds = int(hours) * HOUR_S + int(minutes) * MINUTE_S
    return seconds % DAY_S if int(minutes) < MINUTE_S and seconds <= DAY_S else None


@dataclass(frozen=True, slots=True)
class Policy:
    """What ends a sign-on, and how long before that it is renewed in a quiet moment."""

    age_max_s: float = limits.SIGN_ON_AGE_MAX_S
    lead_s: float = limits.SIGN_ON_LEAD_S
    """So long before it ends, a sign-on counts as stale and is renewed when nobody waits."""
    follows_host_day: bool = False
    """Whether it ends with the host's day."""
    exchanges_max: int | None = None
    """After so many exchanges it ends."""
    busy: tuple[BusyHours, ...] = ()

    def is_busy(self, wall: datetime) -> bool:
        """Tell whether somebody might be waiting just now."""
        return any(hours.left_s(_second_of(wall)) for hours in self.busy)

    def quiet_in_s(self, wall: datetime) -> float:
        """Seconds until these busy hours are over, 0 outside of them."""
        return float(max((hours.left_s(_second_of(wall)) for hours in self.busy), default=0))

    def convenient_s(self, wall: datetime, left_s: float) -> float:
        """Seconds until a renewal should be made of a sign-on that holds `left_s` more: 0 when that is now.

        It is as late as the lead allows, and before busy hours in which it would end.
        """
        second = _second_of(wall)
        moments = [left_s - self.lead_s, *_before_busy(self.busy, second, left_s, self.lead_s)]
        return max(0.0, min(moments))


def _before_busy(busy: tuple[BusyHours, ...], second: int, left_s: float, lead_s: float) -> Iterator[float]:
    for hours in busy:
        begins_s = hours.until_s(second)
        if begins_s and begins_s <= left_s < begins_s + hours.length_s + lead_s:
            yield begins_s - lead_s


def _second_of(wall: datetime) -> int:
    return wall.hour * HOUR_S + wall.minute * MINUTE_S + wall.second
