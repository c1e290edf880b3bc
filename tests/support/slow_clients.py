"""Clients nobody wants, many at once and cheap: each is a socket and what it does when its turn comes.

A crowd is swept: in each turn every client sends its next bytes, and none of them ever reads.
"""

from __future__ import annotations

import contextlib
import enum
import resource
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.support.host_client import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

WAIT_S = 10.0
RESET = struct.pack("ii", 1, 0)


def framed(payload: bytes) -> bytes:
    return struct.pack(">H", len(payload)) + payload


ECHO = framed(Bench().client().payload(Bench().client().echo(), sealed=False))
"""A request that anybody may make."""


class Manner(enum.Enum):
    """How a client behaves."""

    IDLE = "connects and says nothing"
    HALF = "sends half a frame"
    DRIBBLE = "announces the longest frame and sends it byte by byte"
    UNREAD = "asks and never reads an answer"


def words(manner: Manner) -> Iterator[bytes]:
    """What a client sends in each of its turns."""
    match manner:
        case Manner.IDLE:
            return
        case Manner.HALF:
            yield ECHO[: len(ECHO) // 2]
        case Manner.DRIBBLE:
            yield b"\x08\x00"
            while True:
                yield b"\x00"
        case Manner.UNREAD:
            while True:
                yield ECHO


@dataclass
class _Client:
    line: socket.socket
    says: Iterator[bytes]


class Crowd:
    """Clients of these manners in turn."""

    def __init__(self, host: tuple[str, int], count: int, manners: tuple[Manner, ...] = tuple(Manner)) -> None:
        """Connect them all; `refused` counts those that did not get in."""
        self.refused = 0
        self.lost = 0
        self._clients: list[_Client] = []
        self._turn = 0
        for number in range(count):
            try:
                line = socket.create_connection(host, WAIT_S)
            except OSError:
                self.refused += 1
                continue
            line.setblocking(False)  # noqa: FBT003 - that is the function's name for it
            self._clients.append(_Client(line, words(manners[number % len(manners)])))

    def __enter__(self) -> Self:
        """Return the crowd."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        for client in self._clients:
            client.line.close()

    def __len__(self) -> int:
        """Return how many are connected."""
        return len(self._clients)

    def sweep(self, share: float = 1.0) -> None:
        """Give the next share of the crowd its turn."""
        for _ in range(max(1, int(len(self._clients) * share))):
            client = self._clients[self._turn % len(self._clients)]
            self._turn += 1
            try:
                client.line.send(next(client.says, b""))
            except BlockingIOError:
                continue
            except OSError:
                self.lost += 1


def storm(host: tuple[str, int], count: int, says: bytes = b"") -> None:
    """Connect and reset, again and again."""
    for _ in range(count):
        with contextlib.suppress(OSError), socket.create_connection(host, WAIT_S) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            line.sendall(says)


def files_allowed(wanted: int) -> int:
    """Raise the limit of open files towards `wanted`, and return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def memory_of(process: int, what: str = "VmRSS") -> int:
    """Return a process's memory in bytes: what is resident, or with "VmHWM" the most that ever was."""
    with open(f"/proc/{process}/status", encoding="ascii") as file:  # noqa: PTH123 - a plain read
        line = next(line for line in file if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024
