"""One host behind its doors, from the first that opens until all are shut."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine import system
from simulators.config import Listen
from simulators.server.house import Door, House
from simulators.server.listeners import open_door

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from pos_engine.clock import Clock
    from pos_engine.config.address import Address
    from simulators.acquirer import Acquirer, Event

    Ready = Callable[[tuple[Address, ...]], None]


async def serve(
    acquirer: Acquirer,
    listen: Iterable[Listen] = (Listen.on(),),
    *,
    on_event: Callable[[Event], None] | None = None,
    ready: Ready | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve one host at all these places until cancelled; then close in order and let the cancellation through.

    `ready` is told the real addresses, in their order, once connections are accepted. `on_event` hears of each request
    before its answer leaves; an error it raises stops the host and comes out here, as does one of the file that keeps
    the books. `ConfigError` when an address cannot be had.
    """
    await Serving(acquirer, listen, on_event=on_event, clock=clock).run(ready)


class Serving:
    """A host that serves, and its doors, which can be shut and opened again one by one."""

    def __init__(
        self,
        acquirer: Acquirer,
        listen: Iterable[Listen],
        *,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare, within a running loop."""
        self.house = House(acquirer, clock or system.SystemClock(), on_event)
        self._listen = tuple(listen)
        self._doors: list[Door] = []

    async def run(self, ready: Ready | None) -> None:
        """Open every door, and serve until cancelled."""
        try:
            for each in self._listen:
                self._doors.append(await open_door(self.house, each))
            if ready is not None:
                ready(tuple(door.address for door in self._doors))
            await self.house.failed
        finally:
            for door in self._doors:
                door.shut()
            await _to_its_end(self._clear())

    async def _clear(self) -> None:
        for door in self._doors:
            await door.empty()
        await self.house.close()

    async def shut(self, number: int) -> None:
        """Shut a door and cut whoever came through it, and return when that is done; the others notice nothing."""
        door = self._doors[number]
        door.shut()
        await door.empty()
        await self.house.clear(door)

    async def open(self, number: int) -> None:
        """Open a door again where it was."""
        listen = replace(self._listen[number], address=self._doors[number].address)
        self._doors[number] = await open_door(self.house, listen)


async def _to_its_end(closing: Coroutine[None, None, None]) -> None:
    """Wait for what ends soon by itself; who cancels meanwhile wants nothing else, and must not hide why it ends."""
    task = asyncio.ensure_future(closing)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
