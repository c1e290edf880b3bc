"""The two things a line can end in, for one thread that never waits: a socket, and a serial device.

Both raise `OSError` for what has broken; nothing here decides what comes of that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import Final, Protocol

CHUNK_BYTES: Final = 65_536
CLOSED: Final = -1


class End(Protocol):
    """One end: bytes in, bytes out."""

    @property
    def connecting(self) -> bool:
        """Whether it cannot be used yet: writable means that it may have become so."""
        ...

    def fileno(self) -> int:
        """Return its descriptor."""
        ...

    def connected(self) -> None:
        """Look how connecting ended; `OSError` where it failed."""
        ...

    def read(self) -> bytes | None:
        """Return what is there, b"" at the end, `None` when there is nothing yet."""
        ...

    def write(self, data: bytes) -> int:
        """Return how many bytes were taken."""
        ...

    def finish(self) -> None:
        """Say that nothing more will be written, where that can be said."""
        ...

    def close(self, *, reset: bool = False) -> None:
        """Close; with `reset`, so that the other side sees a break."""
        ...


class SocketEnd:
    """A connected, or connecting, TCP socket."""

    __slots__ = ("_socket", "connecting")

    def __init__(self, connection: socket.socket, *, connecting: bool = False) -> None:
        """Take a socket over."""
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self.connecting = connecting

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._socket.fileno()

    def connected(self) -> None:
        """Look how connecting ended."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        self.connecting = False

    def read(self) -> bytes | None:
        """Return what is there, b"" at the end."""
        try:
            return self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> int:
        """Return how many bytes were taken."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        """Send an orderly end."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close in order, or with a reset."""
        if reset:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


class DeviceEnd:
    """An open serial device, or the master of a pty; `kept` are descriptors that are closed with it."""

    __slots__ = ("_fd", "_kept", "connecting")

    def __init__(self, fd: int, *kept: int) -> None:
        """Take descriptors over."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._kept = kept
        self.connecting = False

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._fd

    def connected(self) -> None:
        """A device needs no connecting."""

    def read(self) -> bytes | None:
        """Return what is there; a device that is gone is an `OSError`."""
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    def write(self, data: bytes) -> int:
        """Return how many bytes were taken."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        """A serial line has no end to tell."""

    def close(self, *, reset: bool = False) -> None:
        """Close; a pty's other side is hung up either way."""
        del reset
        fds, self._fd, self._kept = (self._fd, *self._kept), CLOSED, ()
        for fd in fds:
            if fd != CLOSED:
                os.close(fd)
