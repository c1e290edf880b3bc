"""One connection over TCP or TLS: bounded both ways, and it ends. A peer can hurt only its own.

Bytes are read a few at a time into one buffer that all connections of a house share, because each is done with it
before the next one reads. Whoever does not take his answers is not read, and after a while not kept.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, cast

from simulators.server.house import Guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.server.house import House
    from simulators.server.protection import Protection

STOP_TIMEOUT_S: Final = 2.0
"""Seconds for answers on their way to leave when a connection ends; then it is cut."""

LINGER_S: Final = 1.0
"""Seconds in which a peer may read what was wrong: cut at once, with bytes of his unread, he would lose our answers."""

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""Seconds for a TLS handshake, after which the connection is cut."""

UNREAD_TIMEOUT_S: Final = 30.0
"""Seconds in which a peer that does not read its answers may begin to."""

SEND_BUFFER_BYTES: Final = 65_536
"""Answers the kernel keeps for a connection: left alone, it lets megabytes pile up for a peer that does not read."""

UNSENT_BYTES_MAX: Final = 8192
"""Answers kept here, beyond the kernel's, before a connection is not read any more."""

_UNREAD: Final = "its answers are not read"


class Talker(Guest, Protocol):
    """A guest that takes bytes."""

    def take(self, data: bytes) -> None:
        """Take bytes, and do all that comes of them."""
        ...

    def stop(self) -> None:
        """Forget the timers: the connection has ended."""
        ...


class Connection(asyncio.BufferedProtocol):
    """The carrier between a stream and whoever talks on it."""

    def __init__(
        self, house: House, talker: Callable[[Connection], Talker], protection: Protection | None = None
    ) -> None:
        """Take who is to be told of bytes, and TLS where there is some; nothing happens before `connection_made`."""
        self._house = house
        self._protection = protection
        self._talker = talker(self)
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._held_back: set[str] = set()
        self._is_parting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what may pile up, and enter the house."""
        # asyncio types the argument more widely than a stream server ever calls this with.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if self._protection is not None:
            self._start_timer(HANDSHAKE_TIMEOUT_S)
        self._house.enter(self._talker)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the same few bytes for all guests of a house
        """Return where bytes are read to."""
        return self._house.read_to

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        data = bytes(self._house.read_to[:nbytes])
        if self._is_parting:
            return
        if self._protection is None:
            self._talker.take(data)
        else:
            self._uncover(self._protection, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        """Leave the house."""
        self._start_timer(None)
        self._talker.stop()
        self._house.leave(self._talker)

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read: it must not make us remember its answers."""
        self.hold_back(_UNREAD)
        self._start_timer(UNREAD_TIMEOUT_S)

    def resume_writing(self) -> None:
        """Read on."""
        if self.is_open:
            self._start_timer(None)
        self.read_on(_UNREAD)

    def hold_back(self, why: str) -> None:
        """Read no more until every reason for that is gone."""
        self._held_back.add(why)
        self._transport.pause_reading()

    def read_on(self, why: str) -> None:
        """Take back one reason not to read."""
        self._held_back.discard(why)
        if not self._held_back:
            self._transport.resume_reading()

    @property
    def is_open(self) -> bool:
        """Whether bytes may still reach the peer."""
        return not self._is_parting and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes, now or when the peer takes them."""
        if not self.is_open:
            return
        if self._protection is not None:
            self._protection.put(data)
            data = self._protection.outgoing()
        self._transport.write(data)

    def hang_up(self) -> None:
        """End the connection."""
        self.close()

    def give_up(self) -> None:
        """End the connection for what its peer did: nothing of his is heard any more, but he may still read."""
        if not self.is_open:
            return
        if self._transport.get_write_buffer_size():
            self.close()
            return
        self._say_goodbye()
        self._is_parting = True
        # asyncio's own way to do this raises out of the loop where the peer has reset meanwhile.
        with suppress(OSError):
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        self._transport.resume_reading()
        self._start_timer(LINGER_S)

    def close(self) -> None:
        """Let the answers that are on their way leave, but not for long."""
        if self.is_open:
            self._say_goodbye()
            self._is_parting = True
        if not self._transport.is_closing():
            self._transport.close()
            self._start_timer(STOP_TIMEOUT_S)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _uncover(self, protection: Protection, data: bytes) -> None:
        """Let TLS have what was read, send what it wants sent, and hand on what was said under it."""
        was_ready = protection.is_ready
        clear = protection.take(data)
        if self.is_open:
            self._transport.write(protection.outgoing())
        if protection.is_ready and not was_ready:
            self._start_timer(None)
        if clear:
            self._talker.take(clear)
        if protection.is_over:
            self.give_up()

    def _say_goodbye(self) -> None:
        if self._protection is not None:
            self._protection.end()
            self._transport.write(self._protection.outgoing())

    def _start_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort) if seconds is not None else None
