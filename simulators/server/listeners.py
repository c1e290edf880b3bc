"""The doors of the simulated host: TCP, TLS, the HTTPS tunnel, a serial line. Each opens by an address.

A door knows its real address and can be shut, which ends nobody's connection: that is the house's. What cannot be
opened is a `ConfigError` that says where and why.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from pos_engine.config.address import PORT_MAX
from pos_engine.errors import ConfigError
from pos_engine.framing.length import FRAMINGS as LENGTH_FRAMINGS
from pos_engine.framing.registry import new_framer
from simulators.server.connection import Connection, Talker
from simulators.server.dialogue import Dialogue
from simulators.server.protection import Protection, protection_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.config.address import Address
    from simulators.config import Listen
    from simulators.server.house import Door, House

BACKLOG: Final = 1024
"""Connections the kernel holds for us: a test may open thousands at once."""

ACCEPTED_MAX: Final = 64
"""Connections taken in before others have their turn."""

REST_S: Final = 0.2
"""Seconds until the next attempt where the system had no file for another connection."""


async def open_door(house: House, listen: Listen) -> Door:
    """Listen there; `ConfigError` when that cannot be."""
    if listen.address.scheme == "serial":
        from simulators.server import tty  # noqa: PLC0415 - pyserial is needed where there is a line

        quiet_s = tty.QUIET_S if listen.framing in LENGTH_FRAMINGS else 0.0
        framer = new_framer(listen.framing, listen.address.byte_s)
        return tty.Tty(house, listen.address, framer, quiet_s=quiet_s)
    context = protection_of(listen) if listen.address.is_protected else None
    door = _NetworkDoor(listen.address)
    talker = _talkers(house, door, listen)
    await door.open(lambda: Connection(house, talker, Protection(context) if context is not None else None))
    return door


class _NetworkDoor:
    """Listening sockets: one, or those of all addresses that a name has."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.is_shut = False
        self._sockets: list[socket.socket] = []
        self._introductions: set[asyncio.Task[None]] = set()
        self._connection: Callable[[], Connection]

    async def open(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        try:
            await self._bind()
        except socket.gaierror:
            why = "there is no such host"
        except OverflowError:
            why = "there is no such port"
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "the system refuses"
        else:
            self._listen()
            return
        self.shut()
        reason = f"cannot listen on {self.address.place}: {why}"
        raise ConfigError(reason)

    def shut(self) -> None:
        self.is_shut = True
        for listening in self._sockets:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._sockets.clear()

    async def empty(self) -> None:
        await asyncio.gather(*self._introductions)

    async def _bind(self) -> None:
        host, port = self.address.host, self.address.port
        if port > PORT_MAX:
            # The system's functions say so too, and forget to close what they had opened.
            raise OverflowError
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, name in dict.fromkeys((row[0], row[4][0]) for row in rows):
            number = self._sockets[0].getsockname()[1] if self._sockets else port
            made = socket.create_server((str(name), number), family=family, backlog=BACKLOG)
            made.setblocking(False)  # noqa: FBT003 - that is the function's name for it
            self._sockets.append(made)
        place = self._sockets[0].getsockname()
        self.address = replace(self.address, host=place[0], port=place[1])

    def _listen(self) -> None:
        for listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Take in who waits, a few in a turn."""
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTED_MAX):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError:
                # There are no files left, and there will be none at once.
                loop.remove_reader(listening)
                loop.call_later(REST_S, self._listen)
                return
            accepted.setblocking(False)  # noqa: FBT003 - the same
            task = loop.create_task(self._introduce(accepted))
            self._introductions.add(task)
            task.add_done_callback(self._introductions.discard)

    async def _introduce(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted)
        except OSError:
            # It was gone before it had begun.
            accepted.close()


def _talkers(house: House, door: Door, listen: Listen) -> Callable[[Connection], Talker]:
    """Return what makes the one who talks on a connection."""
    framer = partial(new_framer, listen.framing)
    if listen.address.scheme != "https":
        return lambda connection: Dialogue(house, door, framer(), connection)
    from simulators.server.tunnel import Tunnel  # noqa: PLC0415 - h11 is needed where there is a tunnel

    return lambda connection: Tunnel(house, door, framer, connection)
