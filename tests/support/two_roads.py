"""A shop whose terminal has two roads to one host, each of which may open, close and swallow what it is given."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from simulators.server import BackgroundServer
from tests.support.echo_host import WAIT_S, frame, read_frame
from tests.support.leaping_clock import LeapingClock
from tests.support.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.terminal import Terminal

PATIENCE_S: Final = 0.5
"""Seconds until silence is silence on either road."""


class Relay:
    """A road to a host, which can be shut, opened and made to swallow; it knows which messages have passed."""

    def __init__(self, host: BackgroundServer) -> None:
        self.passed: list[bytes] = []
        self.swallows = False
        self._host = host
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def open(self) -> None:
        self._listener.listen()
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(WAIT_S)
        self._listener.close()

    def types(self) -> list[str]:
        """List the message types that have passed: behind five bytes of TPDU and six of header."""
        return [payload[11:13].hex() for payload in self.passed]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(WAIT_S)
                with connection, suppress(OSError):
                    self._relay(connection)

    def _relay(self, connection: socket.socket) -> None:
        while (payload := read_frame(connection)) is not None:
            self.passed.append(payload)
            if self.swallows:
                continue
            with socket.create_connection((self._host.host, self._host.port), WAIT_S) as onward:
                onward.sendall(frame(payload))
                answer = read_frame(onward)
            if answer is not None:
                connection.sendall(frame(answer))


@contextmanager
def a_shop_with_two_roads(
    folder: Path, *, first_is_open: bool
) -> Iterator[tuple[Relay, Relay, LeapingClock, Terminal]]:
    """Open a signed-on terminal with two roads to one host, each with little patience."""
    clock = LeapingClock()
    with ExitStack() as stack:
        host = stack.enter_context(BackgroundServer())
        first, second = Relay(host), Relay(host)
        stack.callback(first.close)
        stack.callback(second.close)
        second.open()
        if first_is_open:
            first.open()
        address = f"{first.address}?answer_s={PATIENCE_S}, {second.address}?answer_s={PATIENCE_S}"
        terminal = stack.enter_context(Shop(folder, host.port).open(address=address, clock=clock))
        terminal.sign_on()
        yield first, second, clock, terminal
