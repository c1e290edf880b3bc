"""Serial lines between a terminal and a host besides the one that breaks: socat's, one that echoes, a far one."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
import tty
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from simulators.faults import PtyProxy
from tests.support.rfc2217_server import DeviceServer

WAIT_S = 10.0


class LinePair(Protocol):
    """A line, by how the terminal reaches it and the device the host listens on; a context manager."""

    @property
    def address(self) -> str: ...

    @property
    def host_device(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class SocatLine:
    """A pair of ptys that another program has made and relays between."""

    def __init__(self, folder: Path) -> None:
        self._terminal_device, self.host_device = str(folder / "terminal"), str(folder / "host")
        self.address = f"serial://{self._terminal_device}"

    def __enter__(self) -> Self:
        ends = (f"pty,raw,echo=0,link={device}" for device in (self._terminal_device, self.host_device))
        self._socat = subprocess.Popen(["socat", *ends])
        deadline = time.monotonic() + WAIT_S
        while not (Path(self._terminal_device).exists() and Path(self.host_device).exists()):
            assert time.monotonic() < deadline, "socat makes no devices"
        return self

    def __exit__(self, *_: object) -> None:
        self._socat.kill()
        self._socat.wait(WAIT_S)


class FarLine:
    """A line whose terminal is at the other end of a network, before a device server."""

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            line = opened.enter_context(PtyProxy())
            self.server = opened.enter_context(DeviceServer(line.terminal_device))
            self.host_device = line.host_device
            self.address = f"rfc2217://127.0.0.1:{self.server.address[1]}"
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class EchoingLine:
    """A line of two wires: whatever either end writes comes back to it, and goes to the other."""

    def __enter__(self) -> Self:
        self._ends: list[int] = []
        self._devices: list[int] = []
        for _ in range(2):
            end, device = os.openpty()
            tty.setraw(device)
            self._ends.append(end)
            self._devices.append(device)
        terminal_device, self.host_device = (os.ttyname(device) for device in self._devices)
        self.address = f"serial://{terminal_device}"
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._relay, name="echoing-line")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._waker, b"x")
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for end in (*self._ends, *self._devices, self._wake, self._waker):
            os.close(end)

    def _relay(self) -> None:
        while True:
            ready, _, _ = select.select([*self._ends, self._wake], [], [])
            if self._wake in ready:
                return
            for end in ready:
                data = os.read(end, 4096)
                for target in self._ends:
                    os.write(target, data)
