"""What a transport is: one connection's bytes, and certain knowledge of whether any of them has left.

The rule that money hangs on: `NotSent` is raised only while not one byte of the data has been accepted for sending, so
that the caller may start again. As soon as one byte was accepted, every failure is `NoAnswer`. Waits end at an absolute
moment on a monotonic clock, however slowly the peer dribbles.
"""

from __future__ import annotations

from typing import Protocol

from pos_engine.errors import NoAnswer


class Silence(NoAnswer):
    """Nothing came in the time given. The connection itself is whole, as far as anybody can tell."""


class Stream(Protocol):
    """One connection, from `connect` to `close`; it is not reused after that. Not for two threads at once."""

    @property
    def peer(self) -> str:
        """Who is at the other end, for error texts: "127.0.0.1:9583", "/dev/ttyS0"."""
        ...

    @property
    def is_line(self) -> bool:
        """Whether this is a line that lasts, and not a connection with a beginning: what lies in it may be old."""
        ...

    def connect(self, timeout_s: float) -> None:
        """Open the connection; `NotSent` when that fails or takes longer."""
        ...

    def send(self, data: bytes, timeout_s: float) -> None:
        """Hand all of `data` over.

        `NotSent`: not a single byte was accepted. `NoAnswer`: some were, so they may arrive.
        """
        ...

    def receive(self, timeout_s: float) -> bytes:
        """Wait for bytes and return what is there, at most `limits.RECEIVE_BYTES_MAX`; b"" once the peer has closed.

        `Silence` when nothing came in time, another `NoAnswer` when the connection broke. A timeout of zero only looks.
        """
        ...

    def stale(self) -> bool:
        """Tell, without waiting, whether an idle connection is unfit for a new request.

        It is when the peer has closed or broken it, or when unasked bytes lie in it that might be taken for the answer.
        """
        ...

    def close(self) -> None:
        """Close; more than once does no harm, and it never raises.

        What the peer has not taken yet is thrown away where the transport can do that: a request must not arrive after
        its sender has given it up.
        """
        ...
