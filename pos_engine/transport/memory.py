"""A connection inside one process, for tests and simulated worlds: deterministic, without threads or waiting.

Time does not pass here. Where a socket would wait, the `idle` callback is called once with the seconds the caller was
ready to wait; it may let the other end run or move a clock. If there is still nothing to do, the wait has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence

Idle = Callable[[float], None]

CAPACITY_BYTES: Final = 65_536
"""What a pipe holds before its writer has to wait, about as much as a socket."""


@dataclass(slots=True)
class _Pipe:
    """One direction: bytes on their way, and whether the end that writes or the end that reads has closed."""

    capacity: int
    data: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def accept(self, data: bytes) -> int:
        """Take as many bytes as there is room for, and tell how many."""
        taken = data[: max(0, self.capacity - len(self.data))]
        self.data += taken
        return len(taken)

    def take(self) -> bytes:
        """Hand out the next bytes."""
        taken = bytes(self.data[: limits.RECEIVE_BYTES_MAX])
        del self.data[: limits.RECEIVE_BYTES_MAX]
        return taken


class MemoryStream:
    """One end of `memory_pair`; a `Stream`."""

    __slots__ = ("_idle", "_inbox", "_open", "_outbox", "_peer")

    def __init__(self, peer: str, inbox: _Pipe, outbox: _Pipe, *, is_open: bool, idle: Idle | None) -> None:
        """Join the two pipes; `memory_pair` does that."""
        self._peer = peer
        self._inbox = inbox
        self._outbox = outbox
        self._open = is_open
        self._idle = idle

    @property
    def peer(self) -> str:
        """The name of the other end."""
        return self._peer

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing to wait for
        """Open this end; `NotSent` when the other one has closed already."""
        if self._inbox.closed:
            reason = f"{self._peer}: connection refused"
            raise NotSent(reason, trouble=Trouble.REFUSED)
        self._open = True

    def send(self, data: bytes, timeout_s: float) -> None:
        """Put `data` into the pipe; a full pipe gives the other end one chance to empty it."""
        if not self._open or self._outbox.closed:
            reason = f"{self._peer}: not connected"
            raise NotSent(reason, trouble=Trouble.CLOSED)
        accepted = self._outbox.accept(data)
        if accepted < len(data):
            self._wait(timeout_s)
            accepted += self._outbox.accept(data[accepted:])
        if accepted < len(data):
            reason = f"{self._peer}: timed out while sending"
            raise (NoAnswer if accepted else NotSent)(reason, trouble=Trouble.TIMEOUT)

    def receive(self, timeout_s: float) -> bytes:
        """Return what has come; b"" after the other end closed, `Silence` when it says nothing."""
        if not self._open:
            reason = f"{self._peer}: not connected"
            raise NoAnswer(reason, trouble=Trouble.CLOSED)
        if not self._inbox.data and not self._inbox.closed:
            self._wait(timeout_s)
        if self._inbox.data or self._inbox.closed:
            return self._inbox.take()
        reason = f"{self._peer}: nothing came"
        raise Silence(reason, trouble=Trouble.TIMEOUT)

    def stale(self) -> bool:
        """Tell whether the other end has closed or left unasked bytes."""
        return not self._open or self._inbox.closed or bool(self._inbox.data)

    def close(self) -> None:
        """Close both directions; the other end still reads what is in the pipe."""
        self._open = False
        self._inbox.closed = self._outbox.closed = True

    def _wait(self, timeout_s: float) -> None:
        if self._idle is not None and timeout_s > 0:
            self._idle(timeout_s)


def memory_pair(*, idle: Idle | None = None, capacity: int = CAPACITY_BYTES) -> tuple[MemoryStream, MemoryStream]:
    """Return the terminal's end, to be connected first, and the host's end, which is open already.

    Only the terminal's end calls `idle`: it is what the host does meanwhile.
    """
    up, down = _Pipe(capacity), _Pipe(capacity)
    terminal = MemoryStream("the host in memory", down, up, is_open=False, idle=idle)
    host = MemoryStream("the terminal in memory", up, down, is_open=True, idle=None)
    return terminal, host
