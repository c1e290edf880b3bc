"""TCP, IPv4 and IPv6, with deadlines that hold: for the name look-up, for a full send buffer, for a dribbling host.

Error texts name host, port and the plain reason. Nagle's delay is off, because a request is one small write. Keep-alive
probes let a kept connection whose peer vanished without a word show itself as stale.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence

if TYPE_CHECKING:
    from collections.abc import Callable

_Target = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class Fault(NamedTuple):
    """Why something about a connection failed: in words, and by type."""

    words: str
    trouble: Trouble


REASONS: Final = {
    errno.ECONNREFUSED: Fault("connection refused", Trouble.REFUSED),
    errno.ECONNRESET: Fault("connection reset by the other side", Trouble.RESET),
    errno.EPIPE: Fault("connection closed by the other side", Trouble.CLOSED),
    errno.ENOTCONN: Fault("connection closed by the other side", Trouble.CLOSED),
    errno.EHOSTUNREACH: Fault("no route to the host", Trouble.NO_ROUTE),
    errno.ENETUNREACH: Fault("no route to the network", Trouble.NO_ROUTE),
    errno.ENETDOWN: Fault("the network is down", Trouble.NO_ROUTE),
    errno.ETIMEDOUT: Fault("timed out", Trouble.TIMEOUT),
    errno.EACCES: Fault("not permitted", Trouble.LOCAL),
    errno.EPERM: Fault("not permitted", Trouble.LOCAL),
}
"""What an installer meets, in plain words; anything else is said in the system's words."""

_MILLISECONDS: Final = 1000

NOT_CONNECTED: Final = Fault("not connected", Trouble.CLOSED)

KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""First probe after a quiet minute, three in all: below the minutes after which routers forget a connection."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a host listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return "host:port", an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TcpStream:
    """A `Stream` over one TCP connection to `host` and `port`.

    `monotonic` gives the seconds all waits are measured on; the terminal passes a clock that counts through suspend.
    """

    __slots__ = ("_is_line", "_monotonic", "_place", "_socket")

    def __init__(
        self, host: str, port: int, *, monotonic: Callable[[], float] = time.monotonic, is_line: bool = False
    ) -> None:
        """Remember where to connect; nothing happens yet. `is_line`: behind the port is a converter's serial line."""
        self._is_line = is_line
        self._place = _Place(host, port)
        self._monotonic = monotonic
        self._socket: socket.socket | None = None

    @property
    def peer(self) -> str:
        """Host and port as they were given."""
        return str(self._place)

    @property
    def is_line(self) -> bool:
        """Whether what is behind the port lasts longer than the connection."""
        return self._is_line

    def connect(self, timeout_s: float) -> None:
        """Try the host's addresses in turn, each with its share of the time left; `NotSent` when none answers."""
        deadline = self._monotonic() + timeout_s
        targets = _resolve(self._place, deadline, self._monotonic)
        fault = NOT_CONNECTED
        for tried, target in enumerate(targets):
            now = self._monotonic()
            opened = _open(target, now + (deadline - now) / (len(targets) - tried), self._monotonic)
            if isinstance(opened, socket.socket):
                self._socket = opened
                return
            fault = opened
        reason = f"{self.peer}: {fault.words}"
        # Before there is a connection, a time-out says less: the host may never have heard of it.
        raise NotSent(reason, trouble=Trouble.NO_CONNECTION if fault.trouble is Trouble.TIMEOUT else fault.trouble)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Write all of `data`. An error of the very first write means that the kernel took nothing: `NotSent`."""
        deadline = self._monotonic() + timeout_s
        sent, fault = 0, None
        while sent < len(data) and fault is None:
            count, fault = self._write(data[sent:], deadline)
            sent += count
        if fault is not None:
            reason = f"{self.peer}: {fault.words} while sending"
            raise (NoAnswer if sent else NotSent)(reason, trouble=fault.trouble)

    def receive(self, timeout_s: float) -> bytes:
        """Return what came, b"" at the end; `Silence` when nothing did, `NoAnswer` when the connection broke."""
        deadline = self._monotonic() + timeout_s
        while True:
            data, fault = self._read(deadline)
            if data is not None:
                return data
            if fault is not None:
                reason = f"{self.peer}: {fault.words}"
                raise NoAnswer(reason, trouble=fault.trouble)
            if self._monotonic() >= deadline:
                reason = f"{self.peer}: nothing came"
                raise Silence(reason, trouble=Trouble.TIMEOUT)

    def stale(self) -> bool:
        """Look at the next byte without taking it: whatever is there, a byte, an end or an error, makes it stale."""
        if self._socket is None:
            return True
        try:
            self._socket.settimeout(0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close. If the peer has not acknowledged all that was sent, reset instead, so that the kernel forgets it too.

        Otherwise the kernel would go on delivering a request for minutes, and its reversal might get there first.
        """
        if self._socket is None:
            return
        stopped, self._socket = self._socket, None
        # Whatever a broken connection says to this, the descriptor is given back.
        with stopped, suppress(OSError):
            if _unacknowledged(stopped):
                stopped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _write(self, data: bytes, deadline: float) -> tuple[int, Fault | None]:
        """Write what the kernel takes; the second value is why nothing more can be written."""
        if self._socket is None:
            return 0, NOT_CONNECTED
        try:
            self._socket.settimeout(_slice_s(deadline, self._monotonic))
            return self._socket.send(data), None
        except OSError as error:
            if not _is_wait_over(error):
                return 0, _fault(error)
        return 0, REASONS[errno.ETIMEDOUT] if self._monotonic() >= deadline else None

    def _read(self, deadline: float) -> tuple[bytes | None, Fault | None]:
        """Read what is there; the second value is how the connection broke, and neither means that nothing came yet."""
        if self._socket is None:
            return None, NOT_CONNECTED
        try:
            self._socket.settimeout(_slice_s(deadline, self._monotonic))
            return self._socket.recv(limits.RECEIVE_BYTES_MAX), None
        except OSError as error:
            return None, None if _is_wait_over(error) else _fault(error)


def _is_wait_over(error: OSError) -> bool:
    """Tell the end of our own wait from a time-out that the kernel reports of the connection, which has a number."""
    return isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and error.errno is None)


def _open(target: _Target, deadline: float, monotonic: Callable[[], float]) -> socket.socket | Fault:
    """Return a connected socket, or the reason why there is none."""
    family, address = target
    if monotonic() >= deadline:
        return REASONS[errno.ETIMEDOUT]
    opened = None
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
        _connect(opened, address, deadline, monotonic)
        for level, option, value in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *KEEP_ALIVE):
            opened.setsockopt(level, option, value)
    except BaseException as error:
        # An interrupt by the user, too, must not leave an attempt behind that goes on.
        if opened is not None:
            opened.close()
        if isinstance(error, OSError):
            return _fault(error)
        raise
    return opened


def _connect(opened: socket.socket, address: tuple[Any, ...], deadline: float, monotonic: Callable[[], float]) -> None:
    """Connect, looking at the clock every now and then: the kernel's own stands still while the machine sleeps."""
    opened.setblocking(False)  # noqa: FBT003 - its only form
    number = opened.connect_ex(address)
    if number == errno.EINPROGRESS:
        _await_connection(opened, deadline, monotonic)
        number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if not number and opened.getsockname() == opened.getpeername():
        # A local port nobody listens on may be the one just chosen for this end: TCP then connects it to itself.
        number = errno.ECONNREFUSED
    if number:
        raise OSError(number, os.strerror(number))


def _await_connection(opened: socket.socket, deadline: float, monotonic: Callable[[], float]) -> None:
    """Wait until it is known what becomes of an attempt; `TimeoutError` when time is up."""
    poll = select.poll()
    poll.register(opened, select.POLLOUT)
    while not poll.poll(_slice_s(deadline, monotonic) * _MILLISECONDS):
        if monotonic() >= deadline:
            raise TimeoutError


def _slice_s(deadline: float, monotonic: Callable[[], float]) -> float:
    """Return how long to wait before the clock is looked at again."""
    return min(limits.WAIT_SLICE_S, max(0.0, deadline - monotonic()))


def _resolve(place: _Place, deadline: float, monotonic: Callable[[], float]) -> list[_Target]:
    """Find the addresses of a host; `NotSent` when its name is not known or the look-up takes too long.

    The system's look-up of a name cannot be given a time limit. It runs in a thread of its own that is left alone when
    time is up: it holds nothing, and ends when the resolver gives up. A numeric address needs none.
    """
    answer = _look_up(place, socket.AI_NUMERICHOST)
    if isinstance(answer, Fault):
        answer = _look_up_until(place, deadline, monotonic)
    if isinstance(answer, Fault):
        reason = f"{place}: {answer.words}"
        raise NotSent(reason, trouble=answer.trouble)
    return answer


def _look_up_until(place: _Place, deadline: float, monotonic: Callable[[], float]) -> list[_Target] | Fault:
    answers: list[list[_Target] | Fault] = []
    thread = threading.Thread(target=lambda: answers.append(_look_up(place)), name="name-look-up", daemon=True)
    thread.start()
    while thread.is_alive() and monotonic() < deadline:
        thread.join(_slice_s(deadline, monotonic))
    return answers[0] if answers else Fault("the name look-up timed out", Trouble.NAME)


def _look_up(place: _Place, flags: int = 0) -> list[_Target] | Fault:
    """Return the addresses of a host, or the reason why there are none."""
    try:
        rows = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as error:
        is_for_now = error.errno == socket.EAI_AGAIN
        return Fault("the name look-up failed for now" if is_for_now else "the host name is not known", Trouble.NAME)
    except (OSError, UnicodeError, OverflowError):
        return Fault("this is not a host name and port", Trouble.NAME)
    return [(row[0], row[4]) for row in rows]


def _fault(error: OSError) -> Fault:
    if isinstance(error, TimeoutError):
        return REASONS[errno.ETIMEDOUT]
    number = error.errno or errno.EIO
    return REASONS.get(number) or Fault(os.strerror(number).lower(), Trouble.LOCAL)


def _unacknowledged(connection: socket.socket) -> bool:
    """Ask the kernel whether it still holds sent bytes that the peer has not confirmed."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return bool(struct.unpack("i", answer)[0])
