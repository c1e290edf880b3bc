"""A TCP proxy between a terminal and its host that does to their connections what its faults say.

with TcpProxy(("127.0.0.1", 9583), "rst to-terminal at 20 times 1") as proxy:
    ...                         # the terminal connects to proxy.address
    proxy.fail("drop to-host 1%")
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final, Self

from pos_engine.config.address import PORT_MAX
from pos_engine.errors import ConfigError, UsageError
from simulators.faults.ends import SocketEnd
from simulators.faults.kinds import TABLE, Medium
from simulators.faults.loop import Loop, Passed
from simulators.faults.words import parse_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.faults.fault import Fault
    from simulators.faults.lane import Strike

LOOPBACK: Final = "127.0.0.1"
CONNECTIONS_MAX: Final = 256
"""Open at once. One more takes the place of the oldest that its terminal has left and only a fault keeps open, such as
one half-open; where there is none it is reset."""


def read_fault(fault: Fault | str, medium: Medium) -> Fault:
    """Take a fault, or its text, for a line of that kind; else `UsageError`."""
    found = parse_fault(fault) if isinstance(fault, str) else fault
    if medium not in TABLE[found.kind].media:
        reason = f"{found.kind.value} is not for {medium.value}"
        raise UsageError(reason)
    return found


class TcpProxy:
    """Listens, relays each connection to `target`, and breaks what its faults say; a context manager.

    `faults` are `Fault`s or their texts. `port` 0 takes a free one. `on_strike` is called in the proxy's thread.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *faults: Fault | str,
        seed: int = 0,
        host: str = LOOPBACK,
        port: int = 0,
        on_strike: Callable[[Strike], None] | None = None,
    ) -> None:
        """Bind the port; nobody is accepted before the `with` begins."""
        read = tuple(read_fault(each, Medium.CONNECTION) for each in faults)
        self._target, self._family = _resolved(target)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = _listening((host, port), family)
        self._listener.settimeout(0)
        self._loop = Loop(read, seed, on_strike)
        name = self._listener.getsockname()
        self.address: tuple[str, int] = (name[0], name[1])

    def __enter__(self) -> Self:
        """Begin to relay."""
        self._loop.start()
        self._loop.call(lambda: self._loop.accept(self._listener, self._accept))
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection and end the thread."""
        try:
            self._loop.stop()
        finally:
            self._listener.close()

    @property
    def url(self) -> str:
        """Where it listens, as a terminal's configuration writes it: "tcp://127.0.0.1:43211"."""
        host, port = self.address
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    @property
    def passed(self) -> Passed:
        """What has been passed on, and what struck."""
        return self._loop.passed

    def fail(self, fault: Fault | str) -> None:
        """Add a fault; on connections that are open it counts bytes from now."""
        self._loop.fail(read_fault(fault, Medium.CONNECTION))

    def release(self) -> None:
        """Let what has stalled, now or later by the faults there are, go on: the late answer."""
        self._loop.call(self._loop.plan.release)

    def smooth(self) -> None:
        """End all faults; what has stalled goes on."""
        self._loop.call(self._loop.plan.smooth)

    def wait_for_strikes(self, count: int = 1, timeout_s: float = 10.0) -> bool:
        """Wait until so many faults have struck in all; tells whether they have."""
        return self._loop.wait_for_strikes(count, timeout_s)

    def wait(self) -> None:
        """Wait until it ends by itself: when it is left, or an observer has failed."""
        self._loop.ended.wait()

    def _accept(self) -> None:
        try:
            taken, _ = self._listener.accept()
        except OSError:
            # Whoever knocked has gone again.
            return
        terminal = SocketEnd(taken)
        if self._loop.busy >= CONNECTIONS_MAX and not self._loop.drop_forsaken():
            terminal.close(reset=True)
            return
        host = socket.socket(self._family, socket.SOCK_STREAM)
        host.settimeout(0)
        number = host.connect_ex(self._target)
        if number not in (0, errno.EINPROGRESS):
            terminal.close(reset=True)
            host.close()
            return
        self._loop.join(terminal, SocketEnd(host, connecting=number != 0))


def _listening(address: tuple[str, int], family: socket.AddressFamily) -> socket.socket:
    # The system's functions refuse such a port too, and forget to close what they had opened.
    reason = "there is no such port" if address[1] > PORT_MAX else ""
    try:
        if not reason:
            # Looked up beforehand: binding does not tell an unknown name from other trouble.
            socket.getaddrinfo(address[0], None, family)
            return socket.create_server(address, family=family)
    except socket.gaierror:
        reason = "there is no such host"
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
    text = f"{address[0]}:{address[1]}: {reason}"
    raise ConfigError(text)


def _resolved(target: tuple[str, int]) -> tuple[tuple[str, int], socket.AddressFamily]:
    """Look a host's name up once, when the proxy is made."""
    reason = ""
    try:
        rows = socket.getaddrinfo(*target, type=socket.SOCK_STREAM)
    except OSError as error:
        rows, reason = [], os.strerror(error.errno) if error.errno and error.errno > 0 else "its name is not known"
    if not rows:
        text = f"{target[0]}: {reason}"
        raise UsageError(text)
    family, _, _, _, address = rows[0]
    return (str(address[0]), int(address[1])), family
