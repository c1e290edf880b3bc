"""A real TCP proxy that breaks a connection after exactly so many bytes, for tests of what a broken link may cost.

    client  --TO_SERVER-->  proxy  --->  server
            <--TO_CLIENT--         <---

`Cut(fault, direction, after)` lets `after` bytes of one direction pass. The fault strikes the moment they have passed;
with `after=0`, the moment the first byte is at hand, which is then not passed on. So `Cut(FIN, TO_SERVER, 0)` is a
request that left the terminal and reached nobody, and `Cut(FIN, TO_CLIENT, 0)` an answer that was given and lost.

The nth connection gets the nth cut of the plan; further connections, and those planned as `None`, pass untouched.
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Final, Self

WAIT_S: Final = 10.0
"""Longest a blocked write or the end of the proxy's thread may take before the test fails instead of hanging."""

CONNECTIONS_MAX: Final = 64
CHUNK_BYTES: Final = 65_536


class Fault(enum.Enum):
    """How a connection breaks."""

    FIN = "both sides see an orderly end"
    RST = "both sides see a reset"
    STALL = "the direction falls silent, and goes on when `release` is called"
    FLIP = "one bit of the next byte is inverted, then all goes on"


class Direction(enum.Enum):
    """Which bytes are counted and broken."""

    TO_SERVER = "requests"
    TO_CLIENT = "answers"


@dataclass(frozen=True, slots=True)
class Cut:
    """One fault, and the bytes of its direction that pass unharmed before it; `bit` (0 to 7) is for `FLIP`."""

    fault: Fault
    direction: Direction
    after: int
    bit: int = 0


@dataclass(slots=True, eq=False)
class _Lane:
    """One direction of one connection: where its bytes come from and go to, how many have passed, what shall happen."""

    source: socket.socket
    target: socket.socket
    direction: Direction
    cut: Cut | None
    passed: int = 0
    held: bytes | None = None
    """What a stalled lane still has to pass on."""
    discarding: bool = False
    ended: bool = False


@dataclass(slots=True)
class Passed:
    """Bytes passed on in all, by direction, and connections taken; read it when the exchange is over."""

    to_server: int = 0
    to_client: int = 0
    connections: int = 0
    faults: list[Cut] = field(default_factory=list)
    """The cuts that struck, in order."""


class CuttingProxy:
    """Listens on a free loopback port and relays to `target`; a context manager that leaves nothing behind."""

    def __init__(self, target: tuple[str, int], *plan: Cut | None) -> None:
        """Take the server's address and one cut, or `None`, for each connection in turn."""
        self._target = target
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._wake, self._waker = socket.socketpair()
        self._lanes: list[_Lane] = []
        self._stop = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutting-proxy")
        self.address: tuple[str, int] = self._listener.getsockname()
        self.passed = Passed()
        self.struck = threading.Event()
        """Set when the first fault has struck."""

    def __enter__(self) -> Self:
        """Begin to relay."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection and end the thread."""
        self._stop.set()
        self._waker.send(b"x")
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the proxy did not end"
        for end in {self._listener, self._wake, self._waker, *(lane.source for lane in self._lanes)}:
            end.close()
        self._selector.close()

    def release(self) -> None:
        """Let what has stalled, now or later, go on: the late answer."""
        self._released.set()
        self._waker.send(b"x")

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(WAIT_S):
                if key.fileobj is self._wake:
                    self._wake.recv(CHUNK_BYTES)
                    self._resume()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._lanes and not key.data.ended:
                    # Otherwise an earlier event of the same round has closed this one's connection.
                    self._relay(key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        number = self.passed.connections
        self.passed.connections += 1
        if number >= CONNECTIONS_MAX:
            _close_with_reset(client)
            return
        try:
            server = socket.create_connection(self._target, WAIT_S)
        except OSError:
            _close_with_reset(client)
            return
        cut = self._plan[number] if number < len(self._plan) else None
        for source, target, direction in (
            (client, server, Direction.TO_SERVER),
            (server, client, Direction.TO_CLIENT),
        ):
            source.settimeout(WAIT_S)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane = _Lane(source, target, direction, cut if cut and cut.direction is direction else None)
            self._lanes.append(lane)
            self._selector.register(source, selectors.EVENT_READ, lane)

    def _relay(self, lane: _Lane) -> None:
        """Read once and pass on; whatever goes wrong with a socket ends both directions as a reset."""
        try:
            data = lane.source.recv(CHUNK_BYTES)
            if not data:
                self._end(lane)
            elif lane.cut is not None:
                self._pass_until_cut(lane, lane.cut, data)
            elif not lane.discarding:
                self._write(lane, data)
        except OSError:
            self._reset(lane)

    def _pass_until_cut(self, lane: _Lane, cut: Cut, data: bytes) -> None:
        left = cut.after - lane.passed
        self._write(lane, data[:left])
        rest = data[left:]
        if rest or (len(data) == left and cut.fault is not Fault.FLIP):
            lane.cut = None
            self.passed.faults.append(cut)
            self._strike(lane, cut, rest)
            self.struck.set()

    def _strike(self, lane: _Lane, cut: Cut, rest: bytes) -> None:
        if cut.fault is Fault.FLIP:
            self._write(lane, bytes([rest[0] ^ (1 << cut.bit)]) + rest[1:])
        elif cut.fault is Fault.RST:
            self._reset(lane)
        elif cut.fault is Fault.FIN:
            for each in (lane, self._twin(lane)):
                each.discarding = True
                each.cut = None
                each.target.shutdown(socket.SHUT_WR)
        elif self._released.is_set():
            self._write(lane, rest)
        else:
            lane.held = rest
            self._selector.unregister(lane.source)

    def _resume(self) -> None:
        """Pass on what stalled lanes hold, once they have been released."""
        if not self._released.is_set():
            return
        for lane in [each for each in self._lanes if each.held is not None]:
            rest, lane.held = lane.held or b"", None
            self._selector.register(lane.source, selectors.EVENT_READ, lane)
            try:
                self._write(lane, rest)
            except OSError:
                self._reset(lane)

    def _write(self, lane: _Lane, data: bytes) -> None:
        # Counted first: whoever has received the bytes may read the count at once.
        lane.passed += len(data)
        if lane.direction is Direction.TO_SERVER:
            self.passed.to_server += len(data)
        else:
            self.passed.to_client += len(data)
        if data:
            lane.target.sendall(data)

    def _twin(self, lane: _Lane) -> _Lane:
        return next(each for each in self._lanes if each.source is lane.target)

    def _end(self, lane: _Lane) -> None:
        """Pass an orderly end on, and close both sockets when both directions have ended."""
        self._selector.unregister(lane.source)
        lane.ended = True
        twin = self._twin(lane)
        if twin.ended:
            self._lanes = [each for each in self._lanes if each not in (lane, twin)]
            lane.source.close()
            twin.source.close()
        elif not lane.discarding:
            lane.target.shutdown(socket.SHUT_WR)

    def _reset(self, lane: _Lane) -> None:
        twin = self._twin(lane)
        self._lanes = [each for each in self._lanes if each not in (lane, twin)]
        for end in (lane.source, twin.source):
            if end in self._selector.get_map():
                self._selector.unregister(end)
            _close_with_reset(end)


def _close_with_reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
