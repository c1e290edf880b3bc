"""Real connections that break as their faults say."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import ConfigError, UsageError
from simulators.faults import Direction, Fault, Kind, PtyProxy, Strike, TcpProxy
from tests.support.echo_host import EchoHost, echo_once, frame, read_exactly, read_frame, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

PLENTY_S = 10.0


@contextlib.contextmanager
def connected(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address, PLENTY_S) as connection:
        yield connection


def is_reset(proxy: TcpProxy) -> bool:
    """Whether whoever connects is reset; that may be so quick that connecting itself fails."""
    try:
        with connected(proxy) as connection:
            connection.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_bytes_pass_both_ways_and_ends_are_passed_on() -> None:
    with EchoHost() as host, TcpProxy(host.address) as proxy:
        with connected(proxy) as connection:
            connection.sendall(frame(b"hello"))
            assert read_frame(connection) == b"hello"
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        assert (proxy.passed.to_host, proxy.passed.to_terminal, proxy.passed.connections) == (7, 7, 1)
        assert proxy.passed.strikes == []


@pytest.mark.parametrize("direction", list(Direction))
def test_a_fin_and_a_reset_are_seen_as_such_by_both_ends(direction: Direction) -> None:
    seen: list[str] = []

    def watch(connection: socket.socket) -> None:
        try:
            while payload := read_frame(connection):
                connection.sendall(frame(payload))
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")

    for kind in (Kind.FIN, Kind.RST):
        with EchoHost(watch) as host, TcpProxy(host.address, Fault(kind, direction, at=7)) as proxy:
            with connected(proxy) as connection:
                connection.sendall(frame(b"hello"))
                try:
                    read_exactly(connection, 8)
                    seen.append("end")
                except ConnectionResetError:
                    seen.append("reset")
            host.wait_for_end()
            assert [each.kind for each in proxy.passed.faults] == [kind]
    assert seen == ["end", "end", "reset", "reset"]


def test_a_stalled_answer_comes_when_it_is_released() -> None:
    with EchoHost() as host, TcpProxy(host.address, "stall to-terminal at 2") as proxy, connected(proxy) as connection:
        connection.sendall(frame(b"hello"))
        assert proxy.wait_for_strikes()
        assert read_exactly(connection, 2) == b"\x00\x05"
        proxy.release()
        assert read_exactly(connection, 5) == b"hello"


def test_a_half_open_connection_says_nothing_whatever_either_end_does() -> None:
    told: list[object] = []
    ended = threading.Event()

    def watch(connection: socket.socket) -> None:
        told.append(connection.recv(100))
        told.append(connection.recv(100))
        ended.set()

    with EchoHost(watch) as host:
        with TcpProxy(host.address, "half-open to-host at 3") as proxy:
            with connected(proxy) as connection:
                connection.sendall(b"abcdef")
                assert proxy.wait_for_strikes()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            proxy.fail("flip to-host at 0 connection 2")
            with connected(proxy) as second:
                # When this strikes, the reset of the first connection has been seen too.
                second.sendall(b"x")
                assert proxy.wait_for_strikes(2)
            assert not ended.is_set()
        assert ended.wait(PLENTY_S)
    assert told[:2] == [b"abc", b""]


def test_a_fault_on_demand_and_a_smooth_line_again() -> None:
    with EchoHost() as host, TcpProxy(host.address) as proxy, connected(proxy) as connection:
        for _ in range(2):
            connection.sendall(frame(b"hello"))
            assert read_frame(connection) == b"hello"
        proxy.fail("flip to-terminal at 2.0 times 1")
        connection.sendall(frame(b"hello"))
        assert read_frame(connection) == b"iello"
        proxy.fail("flip to-terminal 100%")
        proxy.smooth()
        connection.sendall(frame(b"hello"))
        assert read_frame(connection) == b"hello"


def test_more_than_the_buffers_hold_passes_through_a_slow_reader() -> None:
    sent = os.urandom(3_000_000)
    received = bytearray()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        TcpProxy(listener.getsockname()) as proxy,
        connected(proxy) as connection,
    ):
        far, _ = listener.accept()
        writer = threading.Thread(target=connection.sendall, args=(sent,))
        writer.start()
        with far:
            far.settimeout(PLENTY_S)
            while len(received) < len(sent):
                received += far.recv(4096)
        writer.join(PLENTY_S)
    assert received == sent


def test_a_host_that_is_not_there_resets_whoever_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with TcpProxy(address) as proxy:
        assert is_reset(proxy)


def test_an_observer_is_told_of_each_strike() -> None:
    told: list[Strike] = []
    with (
        EchoHost() as host,
        TcpProxy(host.address, "flip to-host at 3", on_strike=told.append) as proxy,
        connected(proxy) as connection,
    ):
        connection.sendall(frame(b"hello"))
        read_frame(connection)
    assert [(each.fault.kind, each.connection, each.offset) for each in told] == [(Kind.FLIP, 1, 3)]
    assert proxy.passed.faults == [each.fault for each in told]


def test_an_observer_that_fails_is_not_silent() -> None:
    def clumsy(_strike: Strike) -> None:
        reason = "clumsy"
        raise ValueError(reason)

    def use(address: tuple[str, int]) -> None:
        with TcpProxy(address, "flip to-host at 3", on_strike=clumsy) as proxy, connected(proxy) as connection:
            connection.sendall(frame(b"hello"))
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""

    with EchoHost() as host, pytest.raises(ValueError, match="clumsy"):
        use(host.address)


def test_a_proxy_listens_on_ipv6_too() -> None:
    with EchoHost() as host, TcpProxy(host.address, host="::1") as proxy, connected(proxy) as connection:
        connection.sendall(frame(b"hello"))
        assert read_frame(connection) == b"hello"
        assert proxy.url == f"tcp://[::1]:{proxy.address[1]}"


def test_no_more_connections_are_open_at_once_than_a_proxy_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.faults.connection.CONNECTIONS_MAX", 1)
    with EchoHost() as host, TcpProxy(host.address) as proxy, connected(proxy) as connection:
        connection.sendall(frame(b"hello"))
        assert read_frame(connection) == b"hello"
        assert is_reset(proxy)


def test_a_port_that_is_taken_is_named() -> None:
    with EchoHost() as host, TcpProxy(host.address) as proxy, pytest.raises(ConfigError, match="already in use"):
        TcpProxy(host.address, port=proxy.address[1])


def test_a_reset_by_one_end_reaches_the_other() -> None:
    with EchoHost(reset_after_one) as host, TcpProxy(host.address) as proxy, connected(proxy) as connection:
        connection.sendall(frame(b"hello"))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def reset_after_one(connection: socket.socket) -> None:
    read_frame(connection)
    reset(connection)


def test_what_is_not_for_a_connection_is_refused_and_so_is_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="unplug is not for a connection"):
        TcpProxy(("127.0.0.1", 1), "unplug to-host at 1")
    with pytest.raises(UsageError, match="name is not known"):
        TcpProxy(("no-such-host.invalid", 1))


def descriptors_and_threads() -> tuple[int, int]:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()), threading.active_count()


def test_nothing_is_left_behind() -> None:
    before = descriptors_and_threads()
    for _ in range(3):
        with EchoHost() as host, TcpProxy(host.address, "stall to-host at 1") as proxy, connected(proxy) as connection:
            connection.sendall(b"xx")
            assert proxy.wait_for_strikes()
        with PtyProxy() as line:
            folder = Path(line.terminal_device).parent
            line.unplug()
            line.replug()
        assert not folder.exists()
    assert descriptors_and_threads() == before


def test_an_observers_own_system_error_is_not_taken_for_a_broken_line() -> None:
    def clumsy(_strike: Strike) -> None:
        reason = "the observer's own"
        raise FileNotFoundError(reason)

    def use(address: tuple[str, int]) -> None:
        with TcpProxy(address, "flip to-host at 3", on_strike=clumsy) as proxy, connected(proxy) as connection:
            connection.sendall(frame(b"hello"))
            proxy.wait()

    with EchoHost() as host, pytest.raises(FileNotFoundError, match="the observer's own"):
        use(host.address)


def strike(proxy: TcpProxy) -> int:
    """Connect, send a little, and part; returns how many faults have struck since the beginning."""
    with connected(proxy) as connection:
        connection.sendall(frame(b"hello"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(100):
            continue
    return proxy.passed.struck


def test_a_fault_told_between_two_connections_is_for_the_next_ones() -> None:
    with EchoHost() as host, TcpProxy(host.address) as proxy:
        assert strike(proxy) == 0
        proxy.fail("double to-terminal at 6 connections 2")
        assert [strike(proxy) for _ in range(3)] == [1, 2, 2]


def test_a_fault_for_so_many_connections_counts_from_the_last_one_that_is_open() -> None:
    def heard(terminal: socket.socket, host: socket.socket) -> bytes | None:
        terminal.sendall(b"ab")
        return read_exactly(host, 2)

    with (
        contextlib.ExitStack() as opened,
        socket.create_server(("127.0.0.1", 0)) as listener,
        TcpProxy(listener.getsockname()) as proxy,
    ):

        def joined() -> tuple[socket.socket, socket.socket]:
            terminal = opened.enter_context(connected(proxy))
            return terminal, opened.enter_context(listener.accept()[0])

        first, second, third = joined(), joined(), joined()
        for end in third:
            end.shutdown(socket.SHUT_WR)
        assert [end.recv(1) for end in third] == [b"", b""]
        proxy.fail("double to-host at 0 connections 2")
        assert [heard(*each) for each in (first, second, joined(), joined())] == [b"ab", b"aa", b"aa", b"ab"]


@pytest.mark.parametrize("fault", ["half-open to-host at 3", "stall to-host at 3", "stall to-terminal at 0"])
def test_what_only_a_fault_keeps_open_gives_way_to_whoever_connects(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("simulators.faults.connection.CONNECTIONS_MAX", 3)
    with EchoHost(*[echo_once] * 9) as host, TcpProxy(host.address, fault) as proxy:
        for count in range(1, 10):
            with connected(proxy) as connection:
                connection.sendall(frame(b"hello"))
                assert proxy.wait_for_strikes(count)


def test_an_unknown_name_and_an_impossible_port_to_listen_at_are_named() -> None:
    for host, port, reason in (
        ("no-such-host.invalid", 0, "no-such-host.invalid:0: there is no such host"),
        ("127.0.0.1", 70_000, "127.0.0.1:70000: there is no such port"),
    ):
        with pytest.raises(ConfigError, match=reason):
            TcpProxy(("127.0.0.1", 1), host=host, port=port)
