"""One line under way: two ends, a lane for each direction, and the acts that the lanes call for, on real descriptors.

It belongs to one thread, which calls `readable`, `writable` and `step`, and asks `interest` and `wake_at`.
"""

from __future__ import annotations

import contextlib
import selectors
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators.faults.kinds import Direction
from simulators.faults.lane import Act

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from simulators.faults.ends import End
    from simulators.faults.lane import Lane, Step, Strike


@dataclass(frozen=True, slots=True)
class Report:
    """Whom a line tells what it does; the calls come in the line's thread, before anybody else can see it."""

    passed: Callable[[Direction, int], None]
    struck: Callable[[Strike], None]
    unplugged: Callable[[float | None], None]


@dataclass(slots=True, eq=False)
class _Way:
    """One direction: what is still to be written, and whether the sender has ended."""

    lane: Lane
    source: End
    target: End
    outgoing: bytes = b""
    ended: bool = False


class Line:
    """Two ends joined by two lanes."""

    def __init__(self, terminal: End, host: End, lanes: Mapping[Direction, Lane], report: Report) -> None:
        """Join `terminal` and `host`."""
        self._report = report
        self._ways = (
            _Way(lanes[Direction.TO_HOST], terminal, host),
            _Way(lanes[Direction.TO_TERMINAL], host, terminal),
        )
        self.ends: Final = (terminal, host)
        self.lanes: Final = tuple(way.lane for way in self._ways)
        self.over = False
        self._mute = False
        """Whether neither end shall learn any more what becomes of the other."""

    def interest(self, end: End) -> int:
        """Return the selector's events that matter at an end."""
        if self.over:
            return 0
        if end.connecting:
            return selectors.EVENT_WRITE
        events = 0
        for way in self._ways:
            if way.source is end and not way.ended and not way.lane.full:
                events |= selectors.EVENT_READ
            if way.target is end and way.outgoing:
                events |= selectors.EVENT_WRITE
        return events

    @property
    def wake_at(self) -> float | None:
        """When a lane will have something to do without anything coming."""
        times = [way.lane.wake_at for way in self._ways if not way.outgoing and not way.target.connecting]
        return min((each for each in times if each is not None), default=None)

    def readable(self, end: End, now: float) -> None:
        """Take what came at an end."""
        way = next(each for each in self._ways if each.source is end)
        data = None
        with self._breaking(way):
            data = end.read()
        if data:
            way.lane.push(data, now)
        elif data is not None:
            way.ended = True
            way.lane.end(now)
            self._close_when_both_ended()

    def writable(self, end: End) -> None:
        """Look how connecting ended; what is to be written is written by `step`."""
        if end.connecting:
            with self._breaking(self._ways[0]):
                end.connected()

    def step(self, now: float) -> None:
        """Do what is due."""
        for way in self._ways:
            self._flush(way)
            while not (self.over or way.outgoing or way.target.connecting):
                step = way.lane.next(now)
                if step is None:
                    break
                self._do(way, step)

    @property
    def is_forsaken(self) -> bool:
        """Whether its terminal has ended, and nothing but a fault without an end keeps it open."""
        stuck = any(not way.lane.is_empty and way.lane.wake_at is None for way in self._ways)
        return self._ways[0].ended and (self._mute or stuck)

    def close(self, *, reset: bool = False) -> None:
        """Close both ends."""
        self.over = True
        for way in self._ways:
            way.lane.discard()
            # What cannot be closed in order is closed all the same.
            with contextlib.suppress(OSError):
                way.source.close(reset=reset)

    def _do(self, way: _Way, step: Step) -> None:
        for strike in step.strikes:
            self._report.struck(strike)
        if step.act is Act.WRITE:
            way.outgoing = step.data
            # Counted first: whoever has received the bytes may read the count at once.
            self._report.passed(way.lane.direction, len(step.data))
            self._flush(way)
        elif step.act is Act.RST:
            self.close(reset=True)
        elif step.act is Act.UNPLUG:
            self._report.unplugged(step.pause_s)
        elif step.act is Act.END:
            self._finish(way)
        else:
            self._fall_silent(told=step.act is Act.FIN)

    def _finish(self, way: _Way) -> None:
        """Pass the sender's end on, once all before it has been written."""
        with self._breaking(way):
            way.target.finish()
        self._close_when_both_ended()

    def _fall_silent(self, *, told: bool) -> None:
        self._mute = not told
        for way in self._ways:
            way.lane.discard()
            way.outgoing = b""
        if told:
            for way in self._ways:
                with self._breaking(way):
                    way.target.finish()

    def _flush(self, way: _Way) -> None:
        if way.outgoing and not (self.over or way.target.connecting):
            with self._breaking(way):
                way.outgoing = way.outgoing[way.target.write(way.outgoing) :]

    def _close_when_both_ended(self) -> None:
        if not self.over and all(way.ended and not way.outgoing and way.lane.is_empty for way in self._ways):
            self.close()

    @contextlib.contextmanager
    def _breaking(self, way: _Way) -> Iterator[None]:
        """Whatever goes wrong with an end breaks the line, unless nobody shall be told.

        Only an end's own calls stand in it: what goes wrong with whom the line reports to is not the line's.
        """
        try:
            yield
        except OSError:
            if self._mute:
                way.ended = True
            else:
                self.close(reset=True)
