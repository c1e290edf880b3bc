"""Routes: the roads to one host in order of preference, each a link of its own, and what is remembered of their health.

The rule that money hangs on: a request goes to another road only while no byte of it can have left on the one before.
So a road is left for the next one on `NotSent` alone; `NoAnswer` is the caller's, whose duty it becomes.

A road that could not be had rests for a while, twice as long each time; one on which answers stay away rests too, but
not before the second silence in a row. Once it has rested it is preferred again as its place says. Resting roads are
the last resort, and used when nothing else is left. Only an answer shows that a road is well.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pos_engine.link import Link

SILENCES_MAX: Final = 2
"""Answers that stay away in a row, until a road counts as failing. One may be the host's own fault."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is remembered of a road."""

    silences: int = 0
    """Requests in a row that were sent and not answered."""
    failures: int = 0
    """How often in a row it was given a rest."""
    rests_until_s: float = 0.0
    """Until when it is left alone, on the clock of elapsed seconds."""
    trouble: Trouble | None = None
    """What was wrong the last time; `None` once it has worked again."""

    def rests(self, now_s: float) -> bool:
        """Tell whether it is left alone."""
        return now_s < self.rests_until_s

    def failed(self, now_s: float, trouble: Trouble | None) -> Health:
        """Note that it could not be had, or keeps silent."""
        rest_s = min(limits.ROUTE_REST_FIRST_S * 2**self.failures, limits.ROUTE_REST_MAX_S)
        # More failures than it takes to reach the longest rest make no difference.
        return Health(0, min(self.failures + 1, limits.ROUTE_FAILURES_MAX), now_s + rest_s, trouble)

    def silent(self, now_s: float, trouble: Trouble | None) -> Health:
        """Note that an answer stayed away."""
        if self.silences + 1 >= SILENCES_MAX:
            return self.failed(now_s, trouble)
        return Health(self.silences + 1, self.failures, self.rests_until_s, trouble)


@dataclass(slots=True)
class Route:
    """One road: its name, its link, and what is particular to it."""

    name: str
    link: Link
    answer_s: float | None = None
    """Seconds until silence is silence here, where that is sooner than the caller's deadline."""
    keep: bool = True
    """Whether its connection is kept for the next request."""
    echo_s: float | None = None
    """Seconds of quiet after which a kept connection is to be tried out."""
    health: Health = field(default_factory=Health)


@dataclass(frozen=True, slots=True)
class RouteState:
    """How one road is, for showing."""

    name: str
    connected: bool
    trouble: Trouble | None
    rests_s: float
    """Seconds for which it is still left alone."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate that has ended, or soon will: a file's or a host's."""

    name: str
    until: datetime
    days_left: int
    """Whole days; below zero it has ended."""


def _nothing_ends(_wall: datetime) -> tuple[Ending, ...]:
    return ()


class Routes:
    """The roads to one host. It has the face of a `Link`; not for two threads at once."""

    __slots__ = (
        "_current",
        "_detours",
        "_endings",
        "_health",
        "_made",
        "_make",
        "_monotonic",
        "_moved_at",
        "_only",
        "_orphans",
        "_routes",
        "_sent_at",
    )

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        monotonic: Callable[[], float],
        make: Callable[[str], Route] | None = None,
        endings: Callable[[datetime], tuple[Ending, ...]] = _nothing_ends,
    ) -> None:
        """Take the roads in order, at least one; `make` builds one to another address, for `use`.

        `endings` tells by the wall clock which certificates end soon.
        """
        self._routes = list(routes)
        self._monotonic = monotonic
        self._make = make
        self._endings = endings
        self._made: dict[str, Route] = {}
        # Frames of roads that there are no more.
        self._orphans: deque[bytes] = deque(maxlen=limits.LEFTOVER_FRAMES_MAX)
        self._detours: tuple[str, ...] = ()
        self._only: Route | None = None
        self._current = self._routes[0]
        self._health = Health()
        self._sent_at = self._moved_at = monotonic()

    def use(self, address: str | None) -> None:
        """Take the road to this address alone from now on, or with `None` all the usual ones again.

        Raises `UsageError` for what is no address, and where there are no other roads. What is connected is closed.
        """
        road = self._other(address) if address is not None else None
        self._leave_all()
        self._only = road
        self._current = self._routes[0] if road is None else road

    def send(self, payload: bytes, deadline: float, *, road: str | None = None) -> None:
        """Send one frame over the first road that can be had; raises as `Link.send` does.

        `road` names one that is tried before all others, however it is. Connecting may take half of the time until the
        deadline, shared by the roads that are left: a request that goes out at the last moment is a doubt for sure.
        `NotSent`: none could be had, and nothing has left. `NoAnswer`: it may have left, on the one road tried last.
        """
        self._detours = ()
        if deadline <= self._monotonic():
            # That there is no time says nothing about any road.
            reason = "no time left to send"
            raise NotSent(reason, trouble=Trouble.TIMEOUT)
        failed: list[tuple[Route, NotSent]] = []
        order = self._in_order(road)
        connect_by_s = (self._monotonic() + deadline) / 2
        for number, route in enumerate(order):
            share_s = (connect_by_s - self._monotonic()) / (len(order) - number)
            if failed and share_s <= 0:
                # What was not tried is not known to be bad.
                break
            self._take(route)
            failure = self._try(route, payload, deadline, share_s)
            if failure is None:
                return
            failed.append((route, failure))
            self._detours = (*self._detours, f"{route.name}: {failure}")
        raise _nothing_sent(failed)

    def receive(self, deadline: float) -> bytes:
        """Return the next frame of the road that the request went over; raises as `Link.receive` does."""
        route = self._current
        until = deadline if route.answer_s is None else min(deadline, self._sent_at + route.answer_s)
        try:
            frame = route.link.receive(until)
        except NoAnswer as error:
            # That something else came meanwhile does not make an answer of silence.
            route.health = self._health.silent(self._monotonic(), error.trouble)
            raise
        self._moved_at = self._monotonic()
        route.health = Health()
        return frame

    def leftovers(self) -> tuple[bytes, ...]:
        """Hand out, once, the frames that no request was waiting for, whichever road they came over."""
        orphans = tuple(self._orphans)
        self._orphans.clear()
        return (*orphans, *(frame for route in self._all() for frame in route.link.leftovers()))

    def way(self) -> tuple[str, tuple[str, ...], bool]:
        """Name the road that the last request took, and those it did not take because they could not be had.

        Then whether it is the first of the usual ones: a terminal that starts anew tries that one first.
        """
        return self._current.name, self._detours, self._current is self._routes[0]

    def done(self) -> None:
        """Hear that an exchange is over: a connection that is made for each request ends with it."""
        if not self._current.keep:
            self._current.link.leave()

    def part(self) -> None:
        """Give up the connection after a doubt: what still comes on it must not be taken for another answer."""
        self._current.link.leave()

    def close(self) -> None:
        """Close every connection; the next `send` connects again."""
        for route in self._all():
            route.link.close()

    def echo_in_s(self) -> float | None:
        """Seconds until the kept connection is to be tried out; `None` where that is not wanted, or nothing is kept."""
        route = self._current
        if route.echo_s is None or not route.link.connected:
            return None
        return max(0.0, self._moved_at + route.echo_s - self._monotonic())

    def return_in_s(self) -> float | None:
        """Seconds until a road better than the present one has rested; `None` where the present one is the best."""
        now_s = self._monotonic()
        better = [route for route in self._better() if route.health.trouble is not None]
        return min((max(0.0, route.health.rests_until_s - now_s) for route in better), default=None)

    def look(self) -> bool:
        """Try, without sending anything, whether a better road can be had again; so that no customer waits for it.

        One road at a time, for as long as it may take to connect; whether one was tried. That it can be had does not
        show that it answers, so what is remembered of its failures stays until it does.
        """
        now_s = self._monotonic()
        failing = (each for each in self._better() if each.health.trouble is not None)
        route = next((each for each in failing if not each.health.rests(now_s)), None)
        if route is None:
            return False
        try:
            route.link.open()
        except NotSent as error:
            route.health = route.health.failed(self._monotonic(), error.trouble)
        else:
            route.health = Health(failures=route.health.failures)
            self._take(route)
            self.done()
        return True

    def endings(self, wall: datetime) -> tuple[Ending, ...]:
        """Tell which certificates have ended or end within thirty days, the next one first."""
        return self._endings(wall)

    def states(self) -> tuple[RouteState, ...]:
        """Tell how each road is, in order."""
        now_s = self._monotonic()
        return tuple(
            RouteState(
                route.name,
                route.link.connected,
                route.health.trouble,
                max(0.0, route.health.rests_until_s - now_s),
            )
            for route in self._all()
        )

    def _try(self, route: Route, payload: bytes, deadline: float, share_s: float) -> NotSent | None:
        """Send over one road, and give it so long to connect; why not, where nothing has left."""
        try:
            route.link.send(payload, deadline, connect_within_s=max(0.0, share_s))
        except NotSent as error:
            route.health = route.health.failed(self._monotonic(), error.trouble)
            return error
        except NoAnswer as error:
            route.health = route.health.silent(self._monotonic(), error.trouble)
            raise
        self._health = route.health
        self._sent_at = self._moved_at = self._monotonic()
        return None

    def _take(self, route: Route) -> None:
        """Make a road the present one, and leave the one before: a request finds one connection."""
        if route is not self._current:
            self._current.link.leave()
            self._current = route

    def _leave_all(self) -> None:
        for route in self._all():
            route.link.leave()

    def _other(self, address: str) -> Route:
        """Return the road to an address beside the usual ones; it is remembered, for what may still come over it."""
        if self._make is None:
            reason = "this terminal has no other road to its host"
            raise UsageError(reason)
        made = self._make(address)
        if made.name not in self._made and len(self._made) >= limits.ROUTES_MADE_MAX:
            reason = f"a terminal has at most {limits.ROUTES_MADE_MAX} other roads to its host"
            raise UsageError(reason)
        known = self._made.get(made.name)
        if known is not None:
            # What is particular to the road may be said differently this time; what came over it is kept.
            known.link.leave()
            self._orphans.extend(known.link.leftovers())
        self._made[made.name] = made
        return made

    def _all(self) -> tuple[Route, ...]:
        return (*self._routes, *self._made.values())

    def _in_order(self, first: str | None) -> list[Route]:
        """Order the roads for a request: the one that is named, then the rested ones by preference, then the others.

        Of those that rest the one comes first whose rest ends first.
        """
        now_s = self._monotonic()
        usual = [self._only] if self._only is not None else self._routes
        ordered = sorted(usual, key=lambda route: route.health.rests_until_s if route.health.rests(now_s) else 0.0)
        named = [route for route in self._all() if route.name == first]
        return [*named, *(route for route in ordered if route not in named)]

    def _better(self) -> list[Route]:
        """List the roads that would be preferred to the present one, were they well."""
        if self._only is not None:
            return []
        # The road of a plan that is over is worse than every usual one.
        return [*takewhile(lambda route: route is not self._current, self._routes)]


def _nothing_sent(failed: Sequence[tuple[Route, NotSent]]) -> NotSent:
    """Say why no road could be had; where there is one road, in its own words."""
    _, first = failed[0]
    if len(failed) == 1:
        return first
    told = "; ".join(f"{route.name}: {error}" for route, error in failed)
    return NotSent(f"no route to the host: {told}", trouble=first.trouble)
