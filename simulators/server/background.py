"""The host in a thread of its own, for tests and demonstrations."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from pos_engine import system
from simulators.acquirer import Acquirer
from simulators.config import LOOPBACK, Listen, listen_at
from simulators.server.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from pos_engine.clock import Clock
    from pos_engine.config.address import Address
    from simulators.acquirer import Event
    from simulators.ledger import Ledger

Result = TypeVar("Result")


class BackgroundServer:
    """The host in a thread of its own: a context manager that is ready once entered.

    `events` grows as requests are handled; an event is there before its answer is. Entering again after leaving starts
    a new server on the same books and at the same addresses, as a host that restarts would.
    """

    def __init__(
        self,
        acquirer: Acquirer | None = None,
        *,
        listen: str | Iterable[str] | None = None,
        certificate: Path | None = None,
        client_ca: Path | None = None,
        host: str = LOOPBACK,
        port: int = 0,
        clock: Clock | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Take a host (default: a new one); nothing listens before entry.

        `listen` is one address or several, as "tls://127.0.0.1:0?framing=bcd2"; without it the host listens on `host`
        and `port` over TCP. `certificate` and `client_ca` are for those with TLS. `UsageError` for what is no address.
        """
        self.acquirer = acquirer or Acquirer(entropy=system.entropy)
        self.events: list[Event] = []
        texts = (listen,) if isinstance(listen, str) else listen
        self._listen = (
            (Listen.on(host, port),)
            if texts is None
            else tuple(listen_at(text, certificate=certificate, client_ca=client_ca) for text in texts)
        )
        self._clock = clock
        self._on_event = on_event
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._serving: Serving | None = None
        self._failure: BaseException | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, in the order of `listen`; once it has been entered, with the numbers of free ports."""
        return tuple(str(each.address) for each in self._listen)

    @property
    def address(self) -> str:
        """The first of its addresses, as "tcp://127.0.0.1:43211"."""
        return self.addresses[0]

    @property
    def host(self) -> str:
        """The first address's host."""
        return self._listen[0].address.host

    @property
    def port(self) -> int:
        """The first address's port."""
        return self._listen[0].address.port

    def __enter__(self) -> Self:
        """Start, and return once connections are accepted; raises `ConfigError` as `serve` does."""
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="simulated-acquirer", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in order and wait for it; raises what `on_event` raised, if it did."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # its loop is closed: it has stopped by itself
                self._loop.call_soon_threadsafe(self._task.cancel)
        if self._thread is not None:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def ledger(self) -> Ledger:
        """Return a copy of the books as they are now, with no request half done."""
        return self.call(self.acquirer.ledger.copy)

    def send_due(self) -> None:
        """Send the answers that have become due: to be called after the host's clock was moved by hand."""
        if self._serving is not None:
            self.call(self._serving.house.send_due)

    def shut(self, number: int = 0) -> None:
        """Listen no more at one of its addresses, and cut whoever came there; for a host that is entered."""
        if self._serving is not None and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._serving.shut(number), self._loop).result()

    def open(self, number: int = 0) -> None:
        """Listen again where `shut` ended it; `ConfigError` when that cannot be."""
        if self._serving is not None and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._serving.open(number), self._loop).result()

    def call(self, function: Callable[[], Result]) -> Result:
        """Run a function between two requests and return its result: the way to touch `acquirer` while it serves."""
        done: Future[Result] = Future()
        loop = self._loop
        if loop is None or self._thread is None or not self._thread.is_alive():
            return function()
        loop.call_soon_threadsafe(_fulfil, done, function)
        return done.result()

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._main(started))
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that entered
            if started.done():
                self._failure = error
            else:
                started.set_exception(error)

    async def _main(self, started: Future[None]) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()

        def ready(addresses: tuple[Address, ...]) -> None:
            pairs = zip(self._listen, addresses, strict=True)
            self._listen = tuple(replace(listen, address=address) for listen, address in pairs)
            started.set_result(None)

        self._serving = Serving(self.acquirer, self._listen, on_event=self._note, clock=self._clock)
        await self._serving.run(ready)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)


def _fulfil(done: Future[Result], function: Callable[[], Result]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
        done.set_exception(error)
