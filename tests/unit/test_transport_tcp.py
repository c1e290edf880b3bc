from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import REASONS, TcpStream
from tests.support.echo_host import EchoHost, echo_once, reset, swallowing_port
from tests.support.leaping_clock import LeapingClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLENTY_S = 10.0
SOON_S = 0.2
SHOP_NAME = "pos.example"


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


@contextmanager
def asleep_meanwhile(clock: LeapingClock) -> Iterator[None]:
    """Let the machine sleep for an hour soon; what waits then ends with its deadline, or a second after it."""
    asleep = threading.Timer(SOON_S, clock.leap, [3600.0])
    began = time.monotonic()
    asleep.start()
    yield
    asleep.join()
    assert time.monotonic() - began < SOON_S + limits.WAIT_SLICE_S + 1.0


def test_an_attempt_to_connect_ends_with_its_deadline_although_the_machine_slept() -> None:
    clock = LeapingClock()
    with swallowing_port() as address, asleep_meanwhile(clock):
        stream = TcpStream(*address, monotonic=clock)
        with pytest.raises(NotSent, match="timed out") as caught:
            stream.connect(PLENTY_S)
        assert caught.value.trouble is Trouble.NO_CONNECTION


def resolver_of(monkeypatch: pytest.MonkeyPatch, rows: Callable[[], list[tuple[str, int]]]) -> None:
    """Have the system's look-up answer with `rows` for the one name, and as usual for all others."""
    usual = socket.getaddrinfo

    def answer(host: str, port: int, *more: int, **named: int) -> list[Any]:
        if host != SHOP_NAME or named["flags"] & socket.AI_NUMERICHOST:
            return usual(host, port, *more, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", row) for row in rows()]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_a_look_up_ends_with_its_deadline_although_the_machine_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, resolved = LeapingClock(), threading.Event()

    def rows() -> list[tuple[str, int]]:
        resolved.wait(PLENTY_S)
        return []

    resolver_of(monkeypatch, rows)
    with asleep_meanwhile(clock), pytest.raises(NotSent, match="the name look-up timed out") as caught:
        TcpStream(SHOP_NAME, 1, monotonic=clock).connect(PLENTY_S)
    resolved.set()
    assert caught.value.trouble is Trouble.NAME


def test_the_addresses_of_a_name_are_tried_in_turn_each_with_its_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WAIT_SLICE_S", 0.05)
    with swallowing_port() as silent, EchoHost() as first, EchoHost() as second:
        resolver_of(monkeypatch, lambda: [silent, first.address, second.address])
        with closing(TcpStream(SHOP_NAME, 1)) as stream:
            stream.connect(1.0)
            stream.send(b"\x00\x01a", PLENTY_S)
            assert stream.receive(PLENTY_S) == b"\x00\x01a"
        assert (first.accepted, second.accepted) == (1, 0)


def test_an_interrupted_attempt_to_connect_leaves_no_open_socket(recwarn: pytest.WarningsRecorder) -> None:
    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    # What other tests have left behind is not this one's.
    gc.collect()
    recwarn.clear()
    before = signal.signal(signal.SIGALRM, strike)
    try:
        with swallowing_port() as address:
            stream = TcpStream(*address)
            signal.setitimer(signal.ITIMER_REAL, SOON_S)
            with pytest.raises(KeyboardInterrupt):
                stream.connect(PLENTY_S)
            stream.close()
            gc.collect()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [str(each.message) for each in recwarn] == []


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
