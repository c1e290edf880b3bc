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
from simulators.config import load_roster
from simulators.faults import read_scenario
from simulators.scenario import AMOUNTS
from simulators.server import LOOPBACK, serve
from simulators.store import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from simulators.acquirer import Event
    from simulators.config import PortSettings


@dataclass(frozen=True, slots=True)
class Port:
    """A host, the name of its port, and the number to listen on (0: a free one)."""

    name: str
    acquirer: Acquirer
    number: int = 0


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that accepts connections."""

    name: str
    dialect: str
    host: str
    number: int


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
            ports.append(Port(each.name, acquirer, each.port))
        yield tuple(ports)


async def serve_ports(
    ports: Sequence[Port],
    *,
    host: str = LOOPBACK,
    on_event: Callable[[str, Event], None] | None = None,
    ready: Callable[[tuple[Listening, ...]], None] | None = None,
) -> None:
    """Serve every port until cancelled, or until one fails: then all end, and what it raised comes out here.

    `ready` is told all real addresses, in the order of `ports`, once every port accepts connections. `on_event` hears
    of each request together with the name of its port.
    """
    found: dict[str, Listening] = {}

    def told(port: Port) -> Callable[[str, int], None]:
        def listening(address: str, number: int) -> None:
            found[port.name] = Listening(port.name, port.acquirer.dialect.name, address, number)
            if ready is not None and len(found) == len(ports):
                ready(tuple(found[each.name] for each in ports))

        return listening

    def heard(port: Port) -> Callable[[Event], None] | None:
        return None if on_event is None else lambda event: on_event(port.name, event)

    tasks = [
        asyncio.create_task(serve(each.acquirer, host=host, port=each.number, on_event=heard(each), ready=told(each)))
        for each in ports
    ]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
