from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import REASONS, TcpStream
from tests.support.echo_host import EchoHost, echo_once, reset

if TYPE_CHECKING:
    from collections.abc import Callable

PLENTY_S = 10.0


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert TcpStream("::1", 9583).peer == "[::1]:9583"


@pytest.mark.parametrize("host", ["name.invalid", "a" * 64, "a..b", ""])
def test_a_name_nobody_knows_is_not_sent(host: str) -> None:
    stream = TcpStream(host, 1)
    with pytest.raises(NotSent) as caught:
        stream.connect(2.0)
    assert str(caught.value).startswith(stream.peer)
    assert caught.value.trouble is Trouble.NAME
    assert caught.value.__context__ is None
    stream.close()


def test_no_time_at_all_is_not_sent() -> None:
    with EchoHost() as host:
        stream = TcpStream(*host.address)
        with pytest.raises(NotSent, match="timed out") as caught:
            stream.connect(0.0)
        assert caught.value.trouble is Trouble.NO_CONNECTION
        stream.close()
        assert host.accepted == 0


def reset_when_told(told: threading.Event) -> Callable[[socket.socket], None]:
    """Make a script that lets the connection be made in peace: a reset may otherwise overtake its completion."""

    def script(connection: socket.socket) -> None:
        assert told.wait(PLENTY_S)
        reset(connection)

    return script


def test_a_reset_is_told_in_plain_words() -> None:
    told = threading.Event()
    with EchoHost(reset_when_told(told)) as host, closing(TcpStream(*host.address)) as stream:
        stream.connect(PLENTY_S)
        told.set()
        host.wait_for_end()
        with pytest.raises(NoAnswer, match="connection reset by the other side") as caught:
            stream.receive(PLENTY_S)
        assert not isinstance(caught.value, Silence)
        assert caught.value.trouble is Trouble.RESET
        assert stream.stale()


def test_writing_after_a_reset_is_not_sent_because_the_kernel_takes_nothing() -> None:
    told = threading.Event()
    with EchoHost(reset_when_told(told)) as host, closing(TcpStream(*host.address)) as stream:
        stream.connect(PLENTY_S)
        told.set()
        host.wait_for_end()
        with pytest.raises(NotSent, match="connection reset by the other side while sending"):
            stream.send(b"x", PLENTY_S)


def test_a_reset_pending_on_the_socket_makes_it_stale() -> None:
    told = threading.Event()
    with EchoHost(reset_when_told(told)) as host, closing(TcpStream(*host.address)) as stream:
        stream.connect(PLENTY_S)
        told.set()
        host.wait_for_end()
        assert stream.stale()


def test_a_wait_longer_than_one_slice_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAIT_SLICE_S", 0.001)
    asked = threading.Event()

    def slow(connection: socket.socket) -> None:
        assert asked.wait(PLENTY_S)
        connection.sendall(b"answer")

    with EchoHost(slow) as host, closing(TcpStream(*host.address)) as stream:
        stream.connect(PLENTY_S)
        with pytest.raises(Silence):
            stream.receive(0.02)
        asked.set()
        assert stream.receive(PLENTY_S) == b"answer"


def test_a_close_after_the_answer_is_orderly() -> None:
    ends: list[bytes] = []

    def script(connection: socket.socket) -> None:
        echo_once(connection)
        ends.append(connection.recv(1))

    with EchoHost(script) as host:
        stream = TcpStream(*host.address)
        stream.connect(PLENTY_S)
        stream.send(b"\x00\x03abc", PLENTY_S)
        # The answer acknowledges the request, so the kernel holds nothing back.
        assert stream.receive(PLENTY_S) == b"\x00\x03abc"
        stream.close()
        host.wait_for_end()
    assert ends == [b""]


def test_what_the_peer_has_not_taken_is_thrown_away_with_the_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stream = TcpStream(*listener.getsockname())
    stream.connect(PLENTY_S)
    accepted, _ = listener.accept()
    with listener, accepted, pytest.raises(ConnectionResetError):  # noqa: PT012 - the peer reads until it knows
        with pytest.raises(NoAnswer, match="timed out while sending"):
            stream.send(b"x" * 32_000_000, 0.01)
        stream.close()
        accepted.settimeout(PLENTY_S)
        while accepted.recv(1_000_000):
            pass


def test_every_plain_reason_is_for_a_number_the_system_knows() -> None:
    assert all(number in errno.errorcode and os.strerror(number) for number in REASONS)
