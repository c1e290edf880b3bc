"""The terminal's end of every road to the simulated host, reduced to what tests of the host need."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
import tty
from typing import TYPE_CHECKING

from pos_engine.framing.registry import new_framer

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.framing.base import Framer
    from tests.support.authority import Authority

WAIT_S = 10.0
TYPE = "x-ISO-TPDU/x-auth"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])


def connected(address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(address)), WAIT_S)


class Road:
    """One end of a stream, with a framer of its own; `exchange` is what a client needs."""

    def __init__(self, fd: int, send: Callable[[bytes], object], receive: Callable[[], bytes], framer: Framer) -> None:
        self._fd, self._send, self._receive, self.framer = fd, send, receive, framer
        self._arrived: list[bytes] = []

    @classmethod
    def over(cls, line: socket.socket, framing: str = "be2") -> Road:
        return cls(line.fileno(), line.sendall, lambda: line.recv(4096), new_framer(framing))

    @classmethod
    def by_line(cls, fd: int, framing: str = "stx") -> Road:
        return cls(fd, lambda data: os.write(fd, data), lambda: os.read(fd, 4096), new_framer(framing))

    def exchange(self, payload: bytes) -> bytes | None:
        self.send(payload)
        return self.receive(WAIT_S)

    def send(self, payload: bytes) -> None:
        self._send(self.framer.send(payload))
        self._feed(b"")

    def receive(self, seconds: float) -> bytes | None:
        """Wait for a frame; `None` when none came, or the other side has closed."""
        end = time.monotonic() + seconds
        while not self._arrived and time.monotonic() < end:
            wake_at = self._feed(b"")
            until = end if wake_at is None else min(end, wake_at)
            if select.select([self._fd], [], [], max(0.0, until - time.monotonic()))[0]:
                data = self._receive()
                if not data:
                    return None
                self._feed(data)
        return self._arrived.pop(0) if self._arrived else None

    def _feed(self, data: bytes) -> float | None:
        received = self.framer.receive(data, time.monotonic())
        self._arrived += received.frames
        if received.writes:
            self._send(received.writes)
        return received.wake_at


def trusting(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def posting(connection: http.client.HTTPSConnection) -> Callable[[bytes], bytes | None]:
    def exchange(payload: bytes) -> bytes | None:
        connection.request("POST", "/pay", new_framer("be2").send(payload), {"Content-Type": TYPE})
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, TYPE)
        return new_framer("be2").receive(response.read(), 0.0).frames[0]

    return exchange


class Cable:
    """A line whose host's end is a path: it can be unplugged, and another plugged in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: tuple[int, int] | None = None

    def plug(self) -> int:
        """Return our end."""
        near, far = os.openpty()
        tty.setraw(near)
        self._ends = near, far
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(far))
        return near

    def unplug(self) -> None:
        """Lose the line."""
        self.path.unlink(missing_ok=True)
        for end in self._ends or ():
            os.close(end)
        self._ends = None
