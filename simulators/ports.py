"""Several named ports in one process: each a host of its own, some of them with the same books.

`open_ports` makes hosts of what a configuration says and closes their ledger files at the end; `serve_ports` serves
them all until one fails or all are cancelled.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine.dialects.registry import dialect_of
from simulators.acquirer import Acquirer
from simulators.config import Listen, load_roster
from simulators.scenario import AMOUNTS
from simulators.scenario_files import read_scenario
from simulators.server import serve
from simulators.store import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pos_engine.config.address import Address
    from simulators.acquirer import Event
    from simulators.config import PortSettings


@dataclass(frozen=True, slots=True)
class Port:
    """A host, the name of its port, and where it listens."""

    name: str
    acquirer: Acquirer
    listen: tuple[Listen, ...] = (Listen.on(),)


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that accepts connections."""

    name: str
    dialect: str
    addresses: tuple[Address, ...]
    """Where, with the numbers of free ports."""


@contextmanager
def open_ports(settings: Iterable[PortSettings], *, entropy: Callable[[int], bytes]) -> Iterator[tuple[Port, ...]]:
    """Make the hosts of a configuration; raises `ConfigError` and `JournalFault`, before anything listens."""
    files: dict[Path, LedgerFile] = {}
    with ExitStack() as stack:
        ports = []
        for each in settings:
            dialect = dialect_of(each.dialect, each.key_scheme)
            if each.ledger is not None and each.ledger not in files:
                files[each.ledger] = stack.enter_context(LedgerFile(each.ledger, forgets=each.forgets))
            acquirer = Acquirer(
                entropy=entropy,
                dialect=dialect,
                scenario=read_scenario(each.scenario, dialect=dialect) if each.scenario is not None else AMOUNTS,
                ledger=files[each.ledger].ledger if each.ledger is not None else None,
                roster=load_roster(each.enrol, dialect=dialect) if each.enrol is not None else None,
            )
            ports.append(Port(each.name, acquirer, each.listen))
        yield tuple(ports)


async def serve_ports(
    ports: Sequence[Port],
    *,
    on_event: Callable[[str, Event], None] | None = None,
    ready: Callable[[tuple[Listening, ...]], None] | None = None,
) -> None:
    """Serve every port until cancelled, or until one fails: then all end, and what it raised comes out here.

    `ready` is told all real addresses, in the order of `ports`, once every port accepts connections. `on_event` hears
    of each request together with the name of its port.
    """
    found: dict[str, Listening] = {}

    def told(port: Port) -> Callable[[tuple[Address, ...]], None]:
        def listening(addresses: tuple[Address, ...]) -> None:
            found[port.name] = Listening(port.name, port.acquirer.dialect.name, addresses)
            if ready is not None and len(found) == len(ports):
                ready(tuple(found[each.name] for each in ports))

        return listening

    def heard(port: Port) -> Callable[[Event], None] | None:
        return None if on_event is None else lambda event: on_event(port.name, event)

    tasks = [
        asyncio.create_task(serve(each.acquirer, each.listen, on_event=heard(each), ready=told(each))) for each in ports
    ]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
