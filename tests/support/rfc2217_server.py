"""A device server that speaks RFC 2217: pyserial's own server side over a pty, and beside it one that says anything.

`DeviceServer` is the judge of the engine's client: another program's reading of the same protocol.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import tty
from contextlib import suppress
from typing import Any, Self, cast

import serial
from serial.rfc2217 import PortManager

WAIT_S = 10.0


class _Port(serial.Serial):
    """A pty knows no modem signals, which the port manager asks for."""

    cts = dsr = ri = cd = property(lambda _self: False)


class DeviceServer:
    """One line behind a TCP port, a device or a pty of its own with `line_fd` as its far end; one client at a time."""

    def __init__(self, device: str | None = None) -> None:
        self.line_fd, own = os.openpty()
        tty.setraw(own)
        self.port = _Port(device or os.ttyname(own), timeout=0)
        os.close(own)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.heard = bytearray()
        """All that clients have said, telnet's own words too."""
        self._ended = threading.Semaphore(0)
        self._client: socket.socket | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._serve, name="device-server", daemon=True),
            threading.Thread(target=self._pass_on, name="device-server-line", daemon=True),
        ]

    def __enter__(self) -> Self:
        self._wake, self._waker = os.pipe()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        os.write(self._waker, b"x")
        self.drop_client()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        self.port.close()
        for end in (self.line_fd, self._wake, self._waker):
            os.close(end)

    def drop_client(self) -> None:
        """End the present client's connection."""
        with self._lock:
            if self._client is not None:
                with suppress(OSError):
                    self._client.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self) -> None:
        """Wait until one more client has gone, and all that it has said was heard."""
        assert self._ended.acquire(timeout=WAIT_S), "the client did not go"

    def write(self, data: bytes) -> None:
        """Send to the client; the port manager calls it too."""
        with self._lock:
            if self._client is not None:
                with suppress(OSError):
                    self._client.sendall(data)

    def _serve(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._client = client
            with client:
                self._talk(client)
            with self._lock:
                self._client = None
            self._ended.release()

    def _talk(self, client: socket.socket) -> None:
        # Its types name the client's class for both; any port, and anything with a `write`, will do.
        manager = PortManager(cast("Any", self.port), cast("Any", self))
        while True:
            try:
                data = client.recv(1024)
            except OSError:
                return
            if not data:
                return
            self.heard += data
            line = b"".join(manager.filter(data))
            if line:
                os.write(self.port.fileno(), line)

    def _pass_on(self) -> None:
        while not self._stopping:
            ready, _, _ = select.select([self.port.fileno(), self._wake], [], [])
            if self.port.fileno() in ready and not self._stopping:
                self.write(os.read(self.port.fileno(), 1024).replace(b"\xff", b"\xff\xff"))
