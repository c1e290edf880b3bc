"""The one thread of a proxy: it watches all descriptors, lets lines do what is due, and sleeps otherwise.

What another thread asks for (a new fault, a release, a plug) is done in this thread too: `call` hands it over and waits
until it has been done.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simulators.faults.kinds import Direction
from simulators.faults.line import Line, Report
from simulators.faults.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.faults.ends import End
    from simulators.faults.fault import Fault
    from simulators.faults.lane import Strike

END_S: Final = 10.0
"""Longest that the end of the thread, or what it was asked for, may take: more is a defect, and said to be one."""

STRIKES_MAX: Final = 10_000
"""Strikes that are kept: a line may run for days."""


@dataclass(slots=True)
class Passed:
    """What a proxy has passed on: bytes by direction, connections taken, and what struck, in order."""

    to_host: int = 0
    to_terminal: int = 0
    connections: int = 0
    struck: int = 0
    """How many faults have struck."""
    strikes: list[Strike] = field(default_factory=list)
    """The first of them, at most `STRIKES_MAX`."""

    @property
    def faults(self) -> list[Fault]:
        """The faults of `strikes`, in order."""
        return [each.fault for each in self.strikes]


@dataclass(frozen=True, slots=True, eq=False)
class _Alarm:
    """Something to be done at a moment."""

    moment: float
    act: Callable[[], None]


class Loop:
    """A thread with a selector, the lines it drives, and the plan of their faults."""

    def __init__(self, faults: tuple[Fault, ...], seed: int, on_strike: Callable[[Strike], None] | None) -> None:
        """Prepare; nothing runs yet."""
        self.plan = Plan(faults, seed=seed, now=time.monotonic())
        self.passed = Passed()
        self._on_strike = on_strike
        self._struck = threading.Condition()
        self._lines: list[Line] = []
        self._watched: dict[int, End] = {}
        self._acceptors: dict[int, Callable[[], None]] = {}
        self._alarms: list[_Alarm] = []
        self._asked: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._is_done: Callable[[], bool] = lambda: False
        self.ended = threading.Event()
        """Set when the thread has ended."""
        self._failure: Exception | None = None
        """What went wrong in the thread: an observer's error is raised again where the proxy is left."""
        self._thread = threading.Thread(target=self._run, name="line-faults", daemon=True)

    def start(self) -> None:
        """Take what the thread needs, and begin."""
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._wake.settimeout(0)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Close all lines and end the thread; what went wrong in it is raised here."""
        self._stopping = True
        self._waker.send(b"x")
        self._thread.join(END_S)
        if self._thread.is_alive():
            reason = "the thread of the line faults did not end"
            raise RuntimeError(reason)
        for line in self._lines:
            line.close()
        self._selector.close()
        self._wake.close()
        self._waker.close()
        if self._failure is not None:
            raise self._failure

    def call(self, act: Callable[[], None]) -> None:
        """Have something done in the loop's thread, and wait for it."""
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            act()
            return
        done = threading.Event()
        failed: list[Exception] = []

        def acted() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - it is raised again in the thread that asked
                failed.append(error)
            done.set()

        with self._lock:
            self._asked.append(acted)
        self._waker.send(b"x")
        if not done.wait(END_S):
            reason = "the thread of the line faults does not answer"
            raise RuntimeError(reason)
        if failed:
            raise failed[0]

    def accept(self, listener: socket.socket, act: Callable[[], None]) -> None:
        """Call `act` in this thread whenever `listener` has somebody waiting."""
        self._acceptors[listener.fileno()] = act
        self._selector.register(listener, selectors.EVENT_READ)

    def drive_only(self, terminal: End, host: End) -> None:
        """Drive one line, and end when it is over."""
        line = self.join(terminal, host)
        self._is_done = lambda: line.over

    def later(self, seconds: float, act: Callable[[], None]) -> Callable[[], None]:
        """Call `act` in this thread after so long; returns what calls that off, in this thread too."""
        alarm = _Alarm(time.monotonic() + seconds, act)
        self._alarms.append(alarm)

        def call_off() -> None:
            # One that has gone off already is not there any more.
            self._alarms = [each for each in self._alarms if each is not alarm]

        return call_off

    def join(self, terminal: End, host: End, on_unplug: Callable[[float | None], None] = lambda _pause_s: None) -> Line:
        """Drive a new line between two ends."""
        self.passed.connections += 1
        lanes = {each: self.plan.lane(self.passed.connections, each) for each in Direction}
        line = Line(terminal, host, lanes, Report(self._count, self._note, on_unplug))
        self._lines.append(line)
        return line

    @property
    def busy(self) -> int:
        """How many lines are open."""
        return sum(not line.over for line in self._lines)

    def drop_forsaken(self) -> bool:
        """Reset the oldest line that only a fault keeps open, its terminal having ended; whether there was one."""
        line = next((each for each in self._lines if each.is_forsaken and not each.over), None)
        if line is not None:
            line.close(reset=True)
        return line is not None

    def fail(self, fault: Fault) -> None:
        """Add a fault: on live lines it counts bytes from now."""

        def add() -> None:
            live = [lane for line in self._lines if not line.over for lane in line.lanes]
            newest = max((lane.connection for lane in live), default=None)
            charge = self.plan.add(fault, time.monotonic(), seen=self.passed.connections, newest=newest)
            for lane in live:
                self.plan.arm(lane, charge)

        self.call(add)

    def wait_for_strikes(self, count: int, timeout_s: float) -> bool:
        """Wait until so many faults have struck in all; tells whether they have."""
        with self._struck:
            return self._struck.wait_for(lambda: self.passed.struck >= count, timeout_s)

    def _count(self, direction: Direction, count: int) -> None:
        if direction is Direction.TO_HOST:
            self.passed.to_host += count
        else:
            self.passed.to_terminal += count

    def _note(self, strike: Strike) -> None:
        with self._struck:
            self.passed.struck += 1
            if self.passed.struck <= STRIKES_MAX:
                self.passed.strikes.append(strike)
            self._struck.notify_all()
        if self._on_strike is not None:
            self._on_strike(strike)

    def _run(self) -> None:
        try:
            while not (self._stopping or self._is_done()):
                self._turn()
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread of whoever made the proxy
            self._failure = error
            for line in self._lines:
                line.close(reset=True)
        finally:
            self.ended.set()

    def _turn(self) -> None:
        self._watch()
        for key, events in self._selector.select(self._rest_s()):
            self._serve(key.fd, events)
        self._do_what_was_asked()
        now = time.monotonic()
        due = [each for each in self._alarms if each.moment <= now]
        self._alarms = [each for each in self._alarms if each.moment > now]
        for each in due:
            each.act()
        for line in tuple(self._lines):
            line.step(now)

    def _serve(self, fd: int, events: int) -> None:
        if fd == self._wake.fileno():
            self._wake.recv(4096)
        elif fd in self._acceptors:
            self._acceptors[fd]()
        else:
            # An earlier event of the same round may have closed this one's line.
            end = self._watched[fd]
            line = next((each for each in self._lines if end in each.ends and not each.over), None)
            if line is not None and events & selectors.EVENT_WRITE:
                line.writable(end)
            if line is not None and events & selectors.EVENT_READ and not line.over:
                line.readable(end, time.monotonic())

    def _do_what_was_asked(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for act in asked:
            act()

    def _rest_s(self) -> float | None:
        """How long nothing is due."""
        times = [each for line in self._lines if (each := line.wake_at) is not None]
        times.extend(each.moment for each in self._alarms)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _watch(self) -> None:
        """Watch each end for what its line wants to know."""
        self._lines = [line for line in self._lines if not line.over]
        wanted = {
            end.fileno(): (end, events) for line in self._lines for end in line.ends if (events := line.interest(end))
        }
        for fd in [each for each in self._watched if each not in wanted or wanted[each][0] is not self._watched[each]]:
            del self._watched[fd]
            self._selector.unregister(fd)
        for fd, (end, events) in wanted.items():
            if fd not in self._watched:
                self._selector.register(fd, events)
                self._watched[fd] = end
            elif self._selector.get_key(fd).events != events:
                self._selector.modify(fd, events)
