"""The simulated host on a TCP port: an asyncio protocol around `Acquirer`, one framer per connection.

All requests of all connections are handled in one thread, one after another, so the books need no lock. A peer can hurt
only its own connection: a frame that cannot be closes it, one that does not arrive in time too, and whoever does not
read its answers is not read.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

from pos_engine import system
from pos_engine.errors import ConfigError, FrameError
from pos_engine.framing.length import LengthFramer
from simulators.acquirer import Acquirer, Fate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pos_engine.clock import Clock, Instant
    from simulators.acquirer import Event, Reply
    from simulators.ledger import Ledger

Result = TypeVar("Result")

LOOPBACK: Final = "127.0.0.1"
"""A simulator with published keys listens to its own machine, unless somebody says otherwise in so many words."""

FRAME_TIMEOUT_S: Final = 30.0
"""Seconds for a frame to be complete once its first byte is there; an idle connection between frames may stay."""

STOP_TIMEOUT_S: Final = 2.0
"""Seconds for answers on their way to leave when the server stops; then connections are cut."""

SEND_BUFFER_BYTES: Final = 65_536
"""Answers the kernel keeps for a connection: left alone, it lets megabytes pile up for a peer that does not read."""

HELD_ANSWERS_MAX: Final = 10_000
"""Answers that wait for their time; whoever makes more of them wait gets none."""

BACKLOG: Final = 1024
"""Connections the kernel holds for us: a test may open thousands at once."""


async def serve(
    acquirer: Acquirer,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    on_event: Callable[[Event], None] | None = None,
    ready: Callable[[str, int], None] | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve until cancelled; then close in order and let the cancellation through.

    Port 0 takes a free one; `ready` is told the real address once connections are accepted. `on_event` hears of each
    request before its answer leaves; an error it raises stops the server and comes out here, as does one of the file
    that keeps the books. `ConfigError` when the address cannot be had.
    """
    await _House(acquirer, clock or system.SystemClock(), on_event).serve(host, port, ready)


async def _listen(house: _House, host: str, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: _Connection(house), host, port, backlog=BACKLOG)
    except socket.gaierror:
        why = "there is no such host"
    except OverflowError:
        why = "there is no such port"
    except OSError as error:
        # asyncio's own text repeats the address.
        why = os.strerror(error.errno) if error.errno else "the system refuses"
    reason = f"cannot listen on {host}:{port}: {why}"
    raise ConfigError(reason)


class _House:
    """What all connections share."""

    def __init__(self, acquirer: Acquirer, clock: Clock, on_event: Callable[[Event], None] | None) -> None:
        self.acquirer = acquirer
        self.clock = clock
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_event = on_event
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = False
        self._held: list[tuple[float, int, _Connection, Reply]] = []
        self._serial = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def serve(self, host: str, port: int, ready: Callable[[str, int], None] | None) -> None:
        server = await _listen(self, host, port)
        try:
            if ready is not None:
                address = server.sockets[0].getsockname()
                ready(address[0], address[1])
            await self.failed
        finally:
            server.close()
            await self.close()

    def send(self, connection: _Connection, reply: Reply, now: Instant) -> None:
        """Send an answer, or hold it until its time has come; what was due before goes first."""
        self._serial += 1
        connection.terminal, connection.spoke = reply.event.terminal, self._serial
        if reply.after_s and len(self._held) < HELD_ANSWERS_MAX:
            heapq.heappush(self._held, (now.elapsed_s + reply.after_s, self._serial, connection, reply))
        self.send_due()
        if not reply.after_s:
            connection.send(reply)

    def send_due(self) -> None:
        """Send what has become due by the host's clock, and see to it that this is called when more does."""
        now_s = self.clock.now().elapsed_s
        while self._held and self._held[0][0] <= now_s:
            _, _, connection, reply = heapq.heappop(self._held)
            receiver = self._receiver(connection, reply)
            if receiver is not None:
                receiver.send(reply)
        if self._alarm is not None:
            self._alarm.cancel()
        wait_s = self._held[0][0] - now_s if self._held else None
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(wait_s, self.send_due) if wait_s is not None else None

    def _receiver(self, connection: _Connection, reply: Reply) -> _Connection | None:
        """Return the connection that a held answer goes to: its own, or the one its terminal has spoken on last."""
        if connection.is_open or not reply.follows:
            return connection if connection.is_open else None
        own = (each for each in self._connections if each.is_open and each.terminal == reply.event.terminal)
        return max(own, key=lambda each: each.spoke, default=None)

    def handle(self, frame: bytes, now: Instant) -> Reply | None:
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

    def enter(self, connection: _Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self._closing:
            # It was accepted before the door closed and introduced after.
            connection.abort()

    def leave(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def close(self) -> None:
        """Let what is being sent leave, and wait for it; every connection sees to it that this ends."""
        self._closing = True
        self._held.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        for connection in tuple(self._connections):
            connection.close()
        await self._empty.wait()


class _Connection(asyncio.Protocol):
    """One terminal's connection."""

    def __init__(self, house: _House) -> None:
        self.terminal = ""
        """Who spoke here last."""
        self.spoke = 0
        """When that was, as a count of all requests."""
        self._house = house
        self._framer = LengthFramer()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio types the argument more widely than a stream server ever calls this with.
        self._transport = cast("asyncio.Transport", transport)
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._house.enter(self)

    def data_received(self, data: bytes) -> None:
        now = self._house.clock.now()
        try:
            received = self._framer.receive(data, now.elapsed_s)
            for frame in received.frames:
                if not self._answer(frame):
                    return
            # Frames before a bad one are handed out first; asking again tells whether one follows.
            self._framer.receive(b"", now.elapsed_s)
        except FrameError:
            self.close()
            return
        self._watch_frame(completed=bool(received.frames))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        self._stop_timer()
        self._house.leave(self)

    def pause_writing(self) -> None:
        # A peer that does not read must not make us remember its answers.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def close(self) -> None:
        """Let the answers that are on their way leave, but not for long."""
        self._stop_timer()
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(STOP_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        self._transport.abort()

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def send(self, reply: Reply) -> None:
        if reply.data is not None:
            for _ in range(reply.copies):
                self._transport.write(self._framer.send(reply.data))

    def _answer(self, frame: bytes) -> bool:
        """Handle one request; whether the connection goes on."""
        now = self._house.clock.now()
        reply = self._house.handle(frame, now)
        if reply is None:
            self.close()
            return False
        self._house.send(self, reply, now)
        if reply.fate is Fate.CLOSE:
            self.close()
        return reply.fate is not Fate.CLOSE

    def _watch_frame(self, *, completed: bool) -> None:
        """Start the time a frame has with its first byte; later bytes do not extend it."""
        if completed or not self._framer.pending:
            self._stop_timer()
        if self._framer.pending and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FRAME_TIMEOUT_S, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BackgroundServer:
    """The host in a thread of its own, for tests and demonstrations: a context manager that is ready once entered.

    `events` grows as requests are handled; an event is there before its answer is. Entering again after leaving starts
    a new server on the same books, as a host that restarts would.
    """

    def __init__(
        self,
        acquirer: Acquirer | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        clock: Clock | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Take a host (default: a new one); nothing listens before entry."""
        self.acquirer = acquirer or Acquirer(entropy=system.entropy)
        self.events: list[Event] = []
        self.host = host
        self.port = port
        self._clock = clock
        self._on_event = on_event
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._house: _House | None = None
        self._failure: BaseException | None = None

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
        if self._house is not None:
            self.call(self._house.send_due)

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

        def ready(_host: str, port: int) -> None:
            self.port = port
            started.set_result(None)

        self._house = _House(self.acquirer, self._clock or system.SystemClock(), self._note)
        await self._house.serve(self.host, self.port, ready)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)


def _fulfil(done: Future[Result], function: Callable[[], Result]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
        done.set_exception(error)
