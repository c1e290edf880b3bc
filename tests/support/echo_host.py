"""A real TCP server on the loopback that plays one script per connection, by default echoing framed payloads.

A script is a function of the accepted socket; when it returns, the connection is closed. Assertions that fail inside a
script are raised where the host was entered, so they cannot be lost in the thread.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S: Final = 10.0
"""No test waits this long unless it is broken; then it fails instead of hanging."""


def frame(payload: bytes) -> bytes:
    """Put a two-byte length before `payload`, independently of the framer under test."""
    return struct.pack(">H", len(payload)) + payload


def read_exactly(connection: socket.socket, count: int) -> bytes | None:
    """Read `count` bytes; `None` when the peer closes first."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def read_frame(connection: socket.socket) -> bytes | None:
    """Read one frame's payload; `None` at the end of the connection."""
    head = read_exactly(connection, 2)
    return None if head is None else read_exactly(connection, struct.unpack(">H", head)[0])


def echo(connection: socket.socket) -> None:
    """Send every payload back until the peer closes."""
    while (payload := read_frame(connection)) is not None:
        connection.sendall(frame(payload))


def echo_once(connection: socket.socket) -> None:
    """Send one payload back, then close."""
    payload = read_frame(connection)
    if payload is not None:
        connection.sendall(frame(payload))


def reset(connection: socket.socket) -> None:
    """Make the coming close a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def swallowing_port() -> Iterator[tuple[str, int]]:
    """Give an address that lets every attempt to connect wait: nobody accepts, and the queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address: tuple[str, int] = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - its only form
            with contextlib.suppress(BlockingIOError):
                waiting.connect(address)
        yield address


class EchoHost:
    """Serves connections one after another: the nth by the nth script, further ones by the last."""

    def __init__(self, *scripts: Callable[[socket.socket], None]) -> None:
        """Listen on a free port; serving begins on entry."""
        self._scripts = scripts or (echo,)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._current: socket.socket | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._failures: list[AssertionError] = []
        self._thread = threading.Thread(target=self._serve, name="echo-host")
        self.address: tuple[str, int] = self._listener.getsockname()
        self.accepted = 0
        self.ended = threading.Semaphore(0)
        """Released each time a script has ended and its connection is closed."""

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, whatever the current script is doing, and raise what failed in one."""
        with self._lock:
            self._stopped = True
            if self._current is not None:
                with contextlib.suppress(OSError):
                    self._current.shutdown(socket.SHUT_RDWR)
        # A thread in accept() is not woken by closing the socket, but by a connection.
        with contextlib.suppress(OSError):
            socket.create_connection(self.address, WAIT_S).close()
        self._thread.join(WAIT_S)
        self._listener.close()
        if self._failures:
            raise self._failures[0]

    def wait_for_end(self) -> None:
        """Wait until one more script has ended."""
        assert self.ended.acquire(timeout=WAIT_S), "the script did not end"

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.settimeout(WAIT_S)
            with connection:
                with self._lock:
                    if self._stopped:
                        return
                    self._current = connection
                script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
                self.accepted += 1
                self._play(script, connection)
                with self._lock:
                    self._current = None
            self.ended.release()

    def _play(self, script: Callable[[socket.socket], None], connection: socket.socket) -> None:
        # A peer that resets is what many tests are about; a script's own assertion is not.
        try:
            with contextlib.suppress(OSError):
                script(connection)
        except AssertionError as error:
            self._failures.append(error)
