"""What all connections of one host share: its books, its clock, the answers that wait for their time, and its room.

All requests of all connections are handled in one thread, one after another, so the books need no lock. How a request
came and how its answer goes is a guest's business: a connection, a tunnel's connection, or a serial line.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Final, Protocol

from simulators.acquirer import Fate
from simulators.server.capacity import connections_max

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.clock import Clock, Instant
    from pos_engine.config.address import Address
    from simulators.acquirer import Acquirer, Event, Reply

HELD_ANSWERS_MAX: Final = 10_000
"""Answers that wait for their time; whoever makes more of them wait gets none."""

READ_BYTES: Final = 2048
"""Bytes read at once: the largest frame, so that a flood on one connection leaves the others their turn."""


class Door(Protocol):
    """What guests come in by."""

    @property
    def address(self) -> Address:
        """Where it really is: with the number that a free port has."""
        ...

    @property
    def is_shut(self) -> bool:
        """Whether nobody may come in any more."""
        ...

    def shut(self) -> None:
        """Let nobody in any more; more than once does no harm."""
        ...

    async def empty(self) -> None:
        """Wait until nobody is in it: accepted, and not yet a guest."""
        ...


class Guest(Protocol):
    """Whoever sends requests, as the house knows him."""

    door: Door
    """Where he came in."""
    terminal: str
    """Who spoke there last."""
    spoke: int
    """When that was, as a count of all requests; 0 of a stranger, who has never sent a whole frame."""

    @property
    def is_open(self) -> bool:
        """Whether an answer may still reach him."""
        ...

    @property
    def takes_strays(self) -> bool:
        """Whether an answer may reach him that belongs to a request of another connection."""
        ...

    def send(self, reply: Reply) -> None:
        """Send an answer."""
        ...

    def close(self) -> None:
        """Let what is on its way leave, but not for long, and part."""
        ...

    def abort(self) -> None:
        """Part at once."""
        ...


class House:
    """One host while it serves."""

    def __init__(self, acquirer: Acquirer, clock: Clock, on_event: Callable[[Event], None] | None) -> None:
        """Open within a running loop."""
        self.acquirer = acquirer
        self.clock = clock
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """What the books or the observer raised: the end of serving."""
        # One for each house: another one reads in a thread of its own.
        self.read_to: Final = memoryview(bytearray(READ_BYTES))
        """Where all connections read to; each is done with it before the next one reads."""
        self._on_event = on_event
        self._guests: set[Guest] = set()
        # In the order of their coming: the first is the one who has been quiet longest.
        self._strangers: dict[Guest, None] = {}
        self._room = connections_max()
        self._left = asyncio.Event()
        """Somebody has left."""
        self._held: list[tuple[float, int, Guest, Reply]] = []
        self._count = 0
        self._alarm: asyncio.TimerHandle | None = None

    def serve(self, guest: Guest, frame: bytes) -> bool:
        """Handle one request and see to its answer; returns whether the connection goes on."""
        now = self.clock.now()
        reply = self._handle(frame, now) if not self.failed.done() else None
        if reply is None:
            return False
        self._count += 1
        guest.terminal, guest.spoke = reply.event.terminal, self._count
        self._strangers.pop(guest, None)
        self._send(guest, reply, now)
        return reply.fate is not Fate.CLOSE

    def send_due(self) -> None:
        """Send what has become due by the host's clock, and see to it that this is called when more does."""
        now_s = self.clock.now().elapsed_s
        while self._held and self._held[0][0] <= now_s:
            _, _, guest, reply = heapq.heappop(self._held)
            receiver = self._receiver(guest, reply)
            if receiver is not None:
                receiver.send(reply)
        if self._alarm is not None:
            self._alarm.cancel()
        wait_s = self._held[0][0] - now_s if self._held else None
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(wait_s, self.send_due) if wait_s is not None else None

    def enter(self, guest: Guest) -> None:
        """Take a guest in. Where there is no room, who has said nothing yet gives way, the earliest first."""
        self._guests.add(guest)
        self._strangers[guest] = None
        if guest.door.is_shut:
            # He was accepted before that, and is introduced after.
            guest.abort()
        elif len(self._guests) > self._room:
            next(iter(self._strangers)).abort()

    def leave(self, guest: Guest) -> None:
        """Forget a guest; one who has left already is no matter."""
        self._guests.discard(guest)
        self._strangers.pop(guest, None)
        self._left.set()

    async def clear(self, door: Door) -> None:
        """Cut whoever came through one door, and wait until they are gone: a cut takes effect when the loop turns."""
        for guest in self._behind(door):
            guest.abort()
        while self._behind(door):
            await self._departure()

    async def close(self) -> None:
        """Let what is being sent leave, and wait for it; every guest sees to it that this ends. The doors are shut."""
        self._held.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        for guest in tuple(self._guests):
            guest.close()
        while self._guests:
            await self._departure()

    async def _departure(self) -> None:
        """Wait until somebody leaves."""
        self._left.clear()
        await self._left.wait()

    def _behind(self, door: Door) -> tuple[Guest, ...]:
        return tuple(guest for guest in self._guests if guest.door is door)

    def _handle(self, frame: bytes, now: Instant) -> Reply | None:
        """Handle one request; `None` when its books could not be kept, and no answer may leave any more."""
        reply = None
        try:
            reply = self.acquirer.handle(frame, now)
            if self._on_event is not None:
                self._on_event(reply.event)
        except Exception as error:  # noqa: BLE001 - whatever it is, it comes out of `serve`
            if not self.failed.done():
                self.failed.set_exception(error)
        return reply

    def _send(self, guest: Guest, reply: Reply, now: Instant) -> None:
        """Send an answer, or hold it until its time has come; what was due before goes first."""
        if reply.after_s and len(self._held) < HELD_ANSWERS_MAX:
            heapq.heappush(self._held, (now.elapsed_s + reply.after_s, self._count, guest, reply))
        if self._held:
            self.send_due()
        if not reply.after_s:
            guest.send(reply)

    def _receiver(self, guest: Guest, reply: Reply) -> Guest | None:
        """Return the guest that a held answer goes to: its own, or the one its terminal has spoken on last."""
        if guest.is_open or not reply.follows:
            return guest if guest.is_open else None
        own = (
            each
            for each in self._guests
            if each.is_open and each.takes_strays and each.terminal == reply.event.terminal
        )
        return max(own, key=lambda each: each.spoke, default=None)
