"""A serial line between a terminal and its host, made of two ptys, that does what its faults say.

    with PtyProxy("flip to-host at 17.3") as proxy:
        ...                         # the terminal opens proxy.terminal_device, the host proxy.host_device
        proxy.unplug()              # whoever has the terminal's device open sees it hang up
        proxy.replug()              # a new device under the same path

`DeviceProxy` does the same between two devices that exist. A line is one connection until it is plugged in again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import termios
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pos_engine.config.address import BAUD_DEFAULT
from pos_engine.errors import UsageError
from simulators.faults.connection import read_fault
from simulators.faults.ends import DeviceEnd
from simulators.faults.kinds import Kind, Medium
from simulators.faults.loop import Loop, Passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.faults.fault import Fault
    from simulators.faults.lane import Strike
    from simulators.faults.line import Line


class PtyProxy:
    """Two devices and the line between them; a context manager.

    `terminal_device` and `host_device` are links in `folder`, by default a new one that is removed at the end; no file
    there may have their names, "terminal" and "host". Both are raw, and may be opened and closed as often as one likes:
    a serial line has no beginning and no end.
    """

    def __init__(
        self,
        *faults: Fault | str,
        seed: int = 0,
        folder: Path | None = None,
        on_strike: Callable[[Strike], None] | None = None,
    ) -> None:
        """Read the faults; the devices are there when the `with` begins."""
        read = tuple(read_fault(each, Medium.SERIAL) for each in faults)
        self._loop = Loop(read, seed, on_strike)
        self._line: Line | None = None
        self._leave_out: Callable[[], None] | None = None
        """Calls off that a line which was pulled out for a time is put back."""
        self._ends: dict[Path, DeviceEnd] = {}
        self._folder = folder
        self._own_folder: tempfile.TemporaryDirectory[str] | None = None
        self._terminal = self._host = Path()

    @property
    def terminal_device(self) -> str:
        """The path of the terminal's device."""
        return str(self._terminal)

    @property
    def host_device(self) -> str:
        """The path of the host's device."""
        return str(self._host)

    @property
    def passed(self) -> Passed:
        """What has been passed on, and what struck."""
        return self._loop.passed

    def __enter__(self) -> Self:
        """Make the devices and begin to relay; `UsageError` where a file has the name of one."""
        if self._folder is None:
            self._own_folder = tempfile.TemporaryDirectory(prefix="pos-engine-line-")
        base = Path(self._own_folder.name) if self._own_folder else self._folder or Path()
        self._terminal, self._host = base / "terminal", base / "host"
        with contextlib.ExitStack() as begun:
            begun.callback(self._take_away)
            self._loop.start()
            begun.callback(self._loop.stop)
            self._loop.call(self._plug)
            begun.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread and take the devices away."""
        try:
            self._loop.stop()
        finally:
            self._take_away()

    def fail(self, fault: Fault | str) -> None:
        """Add a fault; it counts bytes from now."""
        self._loop.fail(read_fault(fault, Medium.SERIAL))

    def release(self) -> None:
        """Let what has stalled, now or later by the faults there are, go on."""
        self._loop.call(self._loop.plan.release)

    def smooth(self) -> None:
        """End all faults; what has stalled goes on. A line that is out or half-open stays so: see `replug`."""
        self._loop.call(self._loop.plan.smooth)

    def wait_for_strikes(self, count: int = 1, timeout_s: float = 10.0) -> bool:
        """Wait until so many faults have struck in all; tells whether they have."""
        return self._loop.wait_for_strikes(count, timeout_s)

    def unplug(self) -> None:
        """Pull the terminal's end out: whoever has its device open sees an error or an end, and the path is gone."""
        self._loop.call(lambda: self._pull(None))

    def replug(self) -> None:
        """Put a new line in, under the same paths: the host's device stays what it was, the terminal's is a new one."""
        self._loop.call(self._plug)

    def wait(self) -> None:
        """Wait until it ends by itself: when it is left, or an observer has failed."""
        self._loop.ended.wait()

    def _pull(self, pause_s: float | None) -> None:
        """In the loop's thread: hang the terminal's device up, and throw away what is on its way."""
        self._end_line()
        self._hang_up(self._terminal)
        if pause_s is not None:
            self._leave_out = self._loop.later(pause_s, self._plug)

    def _plug(self) -> None:
        self._end_line()
        for path in (self._terminal, self._host):
            if path not in self._ends:
                self._ends[path] = _pty(path)
        while self._ends[self._host].read():
            # What the host said while nobody was there is lost.
            continue
        self._line = self._loop.join(self._ends[self._terminal], self._ends[self._host], self._pull)

    def _take_away(self) -> None:
        for path in tuple(self._ends):
            self._hang_up(path)
        if self._own_folder is not None:
            self._own_folder.cleanup()

    def _end_line(self) -> None:
        """Let the line do nothing more. What somebody does by hand counts, whatever was to come by itself."""
        if self._leave_out is not None:
            self._leave_out()
            self._leave_out = None
        if self._line is not None:
            self._line.over = True
            self._line = None

    def _hang_up(self, path: Path) -> None:
        end = self._ends.pop(path, None)
        if end is not None:
            path.unlink(missing_ok=True)
            end.close()


class DeviceProxy:
    """The line between two serial devices that exist, eight bits, no parity, at `baud`; a context manager."""

    def __init__(
        self,
        terminal_device: str,
        host_device: str,
        *faults: Fault | str,
        baud: int = BAUD_DEFAULT,
        seed: int = 0,
        on_strike: Callable[[Strike], None] | None = None,
    ) -> None:
        """Open both devices; `UsageError` for one that cannot be opened or is no serial device."""
        read = tuple(read_fault(each, Medium.SERIAL) for each in faults)
        if any(each.kind is Kind.UNPLUG for each in read):
            reason = "unplug is not for devices that exist: pull their plugs"
            raise UsageError(reason)
        self._loop = Loop(read, seed, on_strike)
        with contextlib.ExitStack() as opened:
            terminal = _opened(terminal_device, baud)
            opened.callback(terminal.close)
            self._ends = (terminal, _opened(host_device, baud))
            opened.pop_all()

    @property
    def passed(self) -> Passed:
        """What has been passed on, and what struck."""
        return self._loop.passed

    def __enter__(self) -> Self:
        """Begin to relay."""
        self._loop.start()
        self._loop.call(self._join)
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread and close the devices."""
        self._loop.stop()

    def wait(self) -> None:
        """Wait until it ends by itself: when a device is gone, or an observer has failed."""
        self._loop.ended.wait()

    def _join(self) -> None:
        self._loop.drive_only(*self._ends)


def _pty(path: Path) -> DeviceEnd:
    """Make a raw pty whose device is linked from `path`. Its own side stays open, so that users may come and go."""
    master, device = os.openpty()
    with contextlib.ExitStack() as opened:
        end = DeviceEnd(master, device)
        opened.callback(end.close)
        tty.setraw(device)
        is_taken = False
        try:
            path.symlink_to(os.ttyname(device))
        except FileExistsError:
            is_taken = True
        if is_taken:
            reason = f"{path.name}: there is such a file already"
            raise UsageError(reason)
        opened.pop_all()
    return end


def _opened(device: str, baud: int) -> DeviceEnd:
    # There is a constant for 0 too: it means to hang up.
    speed = getattr(termios, f"B{baud}", None) if baud else None
    if speed is None:
        reason = f"{baud} is no speed of a serial line"
        raise UsageError(reason)
    reason = ""
    try:
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        fd, reason = -1, os.strerror(error.errno or 0).lower()
    if reason:
        text = f"{device}: {reason}"
        raise UsageError(text)
    try:
        tty.setraw(fd)
        settings = termios.tcgetattr(fd)
        settings[4] = settings[5] = speed
        settings[2] |= termios.CLOCAL | termios.CREAD
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    except termios.error:
        reason = f"{device}: this is no serial device"
    if reason:
        os.close(fd)
        raise UsageError(reason)
    return DeviceEnd(fd)
