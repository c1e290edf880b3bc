"""What every `Stream` must do: one list of checks, run against each implementation through a rig.

A rig makes a stream that is not connected yet and holds the other end. A new transport adds its rig to `RIGS`.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from pos_engine import limits
from pos_engine.errors import LinkError, NoAnswer, NotSent
from pos_engine.transport.base import Silence, Stream
from pos_engine.transport.memory import MemoryStream, memory_pair
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.tls_host import NAME, Pki, host_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PLENTY_S: Final = 10.0
"""Time for something that does happen; only a broken stream uses it up."""
SHORT_S: Final = 0.01
"""Time for something that does not happen."""


class Rig(Protocol):
    """The other end of a stream under test."""

    def stream(self) -> Stream:
        """Make a stream that can be connected."""
        ...

    def accept(self) -> None:
        """Take the connection that the stream has made."""
        ...

    def refuse(self) -> None:
        """Be gone before the stream connects."""
        ...

    def write(self, data: bytes) -> None:
        """Send from the other end."""
        ...

    def read(self, count: int) -> bytes:
        """Receive exactly `count` bytes at the other end."""
        ...

    def hang_up(self) -> None:
        """Close the other end, having read all that was sent."""
        ...


class TcpRig:
    """A listening socket and the connection it accepts."""

    def __init__(self, family: socket.AddressFamily, host: str) -> None:
        self._listener = socket.create_server((host, 0), family=family)
        self._host = host
        self._connection: socket.socket | None = None

    def stream(self) -> Stream:
        return TcpStream(self._host, self._listener.getsockname()[1])

    def accept(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(PLENTY_S)

    def refuse(self) -> None:
        self._listener.close()

    def write(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection.sendall(data)

    def read(self, count: int) -> bytes:
        assert self._connection is not None
        return self._connection.recv(count, socket.MSG_WAITALL)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


class TlsRig:
    """A host of TLS behind a listening socket; it shakes hands in a thread, because `connect` waits for that."""

    def __init__(self, folder: Path) -> None:
        pki = Pki.made(folder)
        self._files = TlsFiles(pki.file)
        self._context = host_context(pki.leaf)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connection: ssl.SSLSocket | None = None
        self._thread = threading.Thread(target=self._serve)

    def stream(self) -> Stream:
        if not self._thread.is_alive():
            self._thread.start()
        return TlsStream(TcpStream(*self._listener.getsockname()), self._files, NAME)

    def accept(self) -> None:
        self._thread.join(PLENTY_S)
        assert self._connection is not None

    def refuse(self) -> None:
        self._stop()

    def write(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection.sendall(data)

    def read(self, count: int) -> bytes:
        assert self._connection is not None
        data = b""
        while len(data) < count:
            data += self._connection.recv(count - len(data))
        return data

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.settimeout(0)
            with connection, contextlib.suppress(OSError):
                # Says TLS's own end, and does not wait for that of the other side.
                connection.unwrap()

    def close(self) -> None:
        self._stop()
        self.hang_up()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            accepted, _ = self._listener.accept()
            accepted.settimeout(PLENTY_S)
            self._connection = self._context.wrap_socket(accepted, server_side=True)

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            # Closing alone would leave the thread in its accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread.is_alive():
            self._thread.join(PLENTY_S)


class MemoryRig:
    """The host's end of a pair."""

    def __init__(self) -> None:
        self._terminal, self._host = memory_pair()

    def stream(self) -> MemoryStream:
        return self._terminal

    def accept(self) -> None:
        pass

    def refuse(self) -> None:
        self._host.close()

    def write(self, data: bytes) -> None:
        self._host.send(data, PLENTY_S)

    def read(self, count: int) -> bytes:
        return self._host.receive(PLENTY_S)[:count]

    def hang_up(self) -> None:
        self._host.close()


@contextlib.contextmanager
def tcp4() -> Iterator[Rig]:
    with contextlib.closing(TcpRig(socket.AF_INET, "127.0.0.1")) as rig:
        yield rig


@contextlib.contextmanager
def tcp6() -> Iterator[Rig]:
    try:
        rig = TcpRig(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with contextlib.closing(rig):
        yield rig


@contextlib.contextmanager
def tls() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(TlsRig(Path(folder))) as rig:
        yield rig


@contextlib.contextmanager
def memory() -> Iterator[Rig]:
    yield MemoryRig()


def connected(rig: Rig) -> Stream:
    stream = rig.stream()
    stream.connect(PLENTY_S)
    rig.accept()
    return stream


def becomes_stale(stream: Stream) -> bool:
    """Give the kernel a moment to carry bytes from one end of the loopback to the other."""
    for _ in range(int(PLENTY_S / 0.001)):
        if stream.stale():
            return True
        threading.Event().wait(0.001)
    return False


def check_refused_connection_is_not_sent(rig: Rig) -> None:
    stream = rig.stream()
    rig.refuse()
    with contextlib.closing(stream), pytest.raises(NotSent) as caught:
        stream.connect(PLENTY_S)
    assert str(caught.value) == f"{stream.peer}: connection refused"
    assert caught.value.__context__ is None


def check_bytes_travel_both_ways_unchanged(rig: Rig) -> None:
    data = bytes(range(256))
    with contextlib.closing(connected(rig)) as stream:
        stream.send(data, PLENTY_S)
        assert rig.read(256) == data
        rig.write(data)
        assert stream.receive(PLENTY_S) == data


def check_one_read_is_bounded(rig: Rig) -> None:
    data = b"x" * (limits.RECEIVE_BYTES_MAX + 1)
    with contextlib.closing(connected(rig)) as stream:
        rig.write(data)
        taken = b""
        while len(taken) < len(data):
            piece = stream.receive(PLENTY_S)
            assert 0 < len(piece) <= limits.RECEIVE_BYTES_MAX
            taken += piece
        assert taken == data


def check_nothing_coming_is_silence_and_leaves_the_stream_whole(rig: Rig) -> None:
    with contextlib.closing(connected(rig)) as stream:
        for timeout_s in (SHORT_S, 0.0, -1.0):
            with pytest.raises(Silence) as caught:
                stream.receive(timeout_s)
            assert caught.value.__context__ is None
        assert not stream.stale()
        rig.write(b"late")
        assert stream.receive(PLENTY_S) == b"late"


def check_a_timeout_of_zero_takes_what_is_there(rig: Rig) -> None:
    with contextlib.closing(connected(rig)) as stream:
        rig.write(b"here")
        assert becomes_stale(stream)
        assert stream.receive(0) == b"here"


def check_the_end_comes_after_the_last_bytes_and_stays(rig: Rig) -> None:
    with contextlib.closing(connected(rig)) as stream:
        rig.write(b"bye")
        rig.hang_up()
        assert stream.receive(PLENTY_S) == b"bye"
        assert stream.receive(PLENTY_S) == b""
        assert stream.receive(PLENTY_S) == b""


def check_unasked_bytes_make_it_stale_and_are_not_taken(rig: Rig) -> None:
    with contextlib.closing(connected(rig)) as stream:
        assert not stream.stale()
        rig.write(b"!")
        assert becomes_stale(stream)
        assert stream.stale()
        assert stream.receive(PLENTY_S) == b"!"
        assert not stream.stale()


def check_a_closed_peer_makes_it_stale(rig: Rig) -> None:
    with contextlib.closing(connected(rig)) as stream:
        rig.hang_up()
        assert becomes_stale(stream)


def check_a_full_pipe_tells_some_bytes_from_none(rig: Rig) -> None:
    more_than_fits = b"x" * 32_000_000
    seen: set[type[LinkError]] = set()
    with contextlib.closing(connected(rig)) as stream:
        for _ in range(20):
            try:
                stream.send(more_than_fits, SHORT_S)
            except LinkError as error:
                seen.add(type(error))
            if NotSent in seen:
                break
    assert seen == {NoAnswer, NotSent}


def check_a_stream_that_was_never_connected_has_sent_nothing(rig: Rig) -> None:
    stream = rig.stream()
    assert stream.stale()
    with pytest.raises(NotSent):
        stream.send(b"x", SHORT_S)
    with pytest.raises(NoAnswer):
        stream.receive(SHORT_S)
    stream.close()


def check_a_closed_stream_says_so_and_closes_again(rig: Rig) -> None:
    stream = connected(rig)
    stream.close()
    stream.close()
    assert stream.stale()
    with pytest.raises(NotSent):
        stream.send(b"x", SHORT_S)
    with pytest.raises(NoAnswer) as caught:
        stream.receive(SHORT_S)
    assert not isinstance(caught.value, Silence)


CHECKS: Final[tuple[Callable[[Rig], None], ...]] = (
    check_refused_connection_is_not_sent,
    check_bytes_travel_both_ways_unchanged,
    check_one_read_is_bounded,
    check_nothing_coming_is_silence_and_leaves_the_stream_whole,
    check_a_timeout_of_zero_takes_what_is_there,
    check_the_end_comes_after_the_last_bytes_and_stays,
    check_unasked_bytes_make_it_stale_and_are_not_taken,
    check_a_closed_peer_makes_it_stale,
    check_a_full_pipe_tells_some_bytes_from_none,
    check_a_stream_that_was_never_connected_has_sent_nothing,
    check_a_closed_stream_says_so_and_closes_again,
)

RIGS: Final[dict[str, Callable[[], AbstractContextManager[Rig]]]] = {
    "tcp4": tcp4,
    "tcp6": tcp6,
    "tls": tls,
    "memory": memory,
}


def check_stream(new_rig: Callable[[], AbstractContextManager[Rig]], *checks: Callable[[Rig], None]) -> None:
    """Run the checks, all of them by default, each on a rig of its own."""
    for check in checks or CHECKS:
        with new_rig() as rig:
            check(rig)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", RIGS)
def test_stream(name: str, check: Callable[[Rig], None]) -> None:
    check_stream(RIGS[name], check)
