"""Real connections and devices that break as their faults say."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import ConfigError, UsageError
from simulators.faults import DeviceProxy, Direction, Fault, Kind, PtyProxy, Strike, TcpProxy
from tests.support.echo_host import EchoHost, frame, read_exactly, read_frame, reset

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


# Real devices.


@contextlib.contextmanager
def opened(device: str) -> Iterator[int]:
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def take(fd: int, count: int) -> bytes:
    """Read so many bytes from a device; fewer where it ends."""
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while len(data) < count and selector.select(PLENTY_S):
            piece = os.read(fd, count - len(data))
            if not piece:
                break
            data += piece
    return data


def hung_up(fd: int) -> bool:
    try:
        return os.read(fd, 1) == b""
    except OSError as error:
        return error.errno == errno.EIO


def test_a_serial_line_passes_every_byte_value_untouched() -> None:
    every = bytes(range(256))
    with PtyProxy() as line, opened(line.terminal_device) as terminal, opened(line.host_device) as host:
        os.write(terminal, every)
        assert take(host, 256) == every
        os.write(host, every)
        assert take(terminal, 256) == every


def test_a_serial_line_survives_that_its_users_come_and_go() -> None:
    with PtyProxy() as line, opened(line.host_device) as host:
        for word in (b"one", b"two"):
            with opened(line.terminal_device) as terminal:
                os.write(terminal, word)
                assert take(host, 3) == word
        assert line.passed.connections == 1


def test_a_serial_line_has_faults_on_demand() -> None:
    with PtyProxy("double to-host at 1") as line:
        with opened(line.terminal_device) as terminal, opened(line.host_device) as host:
            os.write(terminal, b"abc")
            assert take(host, 4) == b"abbc"
            line.fail("drop to-host at 0 times 1")
            os.write(terminal, b"abc")
            assert take(host, 2) == b"bc"
            line.fail("stall to-host at 1")
            os.write(terminal, b"abc")
            assert line.wait_for_strikes(3)
            assert take(host, 1) == b"a"
            line.release()
            assert take(host, 2) == b"bc"
            line.smooth()
        with pytest.raises(UsageError, match="rst is not for a serial line"):
            line.fail("rst to-host at 1")


def test_a_line_that_is_pulled_out_hangs_up_and_is_a_new_one_when_it_is_put_back(tmp_path: Path) -> None:
    with PtyProxy(folder=tmp_path) as line, opened(line.host_device) as host:
        with opened(line.terminal_device) as terminal:
            line.unplug()
            assert hung_up(terminal)
            assert not Path(line.terminal_device).exists()
        os.write(host, b"nobody hears this")
        line.replug()
        with opened(line.terminal_device) as terminal:
            os.write(host, b"abc")
            assert take(terminal, 3) == b"abc"
            os.write(terminal, b"abc")
            assert take(host, 3) == b"abc"
        assert line.passed.connections == 2
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_pulled_out_at_a_byte_and_put_back_after_its_time() -> None:
    with PtyProxy("unplug to-host 50ms at 2 times 1") as line, opened(line.host_device) as host:
        with opened(line.terminal_device) as terminal:
            os.write(terminal, b"abc")
            assert take(host, 2) == b"ab"
            assert line.wait_for_strikes()
            while not hung_up(terminal):
                pass
        for _ in range(int(PLENTY_S / 0.01)):
            if Path(line.terminal_device).exists():
                break
            threading.Event().wait(0.01)
        with opened(line.terminal_device) as terminal:
            os.write(terminal, b"xyz")
            assert take(host, 3) == b"xyz"


def test_two_devices_that_exist_are_joined() -> None:
    with (
        PtyProxy() as near,
        PtyProxy() as far,
        DeviceProxy(near.host_device, far.terminal_device, "flip to-host at 0.0", baud=115200) as between,
        opened(near.terminal_device) as terminal,
        opened(far.host_device) as host,
    ):
        os.write(terminal, b"abc")
        assert take(host, 3) == b"`bc"
        assert [each.kind for each in between.passed.faults] == [Kind.FLIP]


def test_a_half_open_line_is_silent_until_it_is_plugged_in_again() -> None:
    with (
        PtyProxy("half-open to-host at 2 times 1") as line,
        opened(line.terminal_device) as terminal,
        opened(line.host_device) as host,
    ):
        os.write(terminal, b"abc")
        assert take(host, 2) == b"ab"
        assert line.wait_for_strikes()
        line.smooth()
        os.write(host, b"lost")
        line.replug()
        os.write(terminal, b"xyz")
        assert take(host, 3) == b"xyz"


def test_a_line_between_two_devices_ends_with_one_of_them() -> None:
    with PtyProxy() as near, PtyProxy() as far, DeviceProxy(near.host_device, far.terminal_device) as between:
        far.unplug()
        between.wait()


def test_what_cannot_be_done_is_said_to_whoever_asked(tmp_path: Path) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    with PtyProxy(folder=folder) as line:
        line.unplug()
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            line.replug()
        (tmp_path / "elsewhere").rename(folder)
        line.replug()
        assert Path(line.terminal_device).exists()


def test_only_so_many_strikes_are_kept_but_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.faults.loop.STRIKES_MAX", 3)
    with (
        PtyProxy("double to-host 100%") as line,
        opened(line.terminal_device) as terminal,
        opened(line.host_device) as host,
    ):
        os.write(terminal, b"abcde")
        assert take(host, 10) == b"aabbccddee"
        assert (line.passed.struck, len(line.passed.strikes)) == (5, 3)


def test_a_device_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with PtyProxy() as line:
        file = tmp_path / "file"
        file.touch()
        for device, baud, reason in (
            (str(tmp_path / "none"), 9600, "none: no such file or directory"),
            (str(file), 9600, "file: this is no serial device"),
            (line.host_device, 9601, "9601 is no speed of a serial line"),
        ):
            with pytest.raises(UsageError, match=reason):
                DeviceProxy(line.terminal_device, device, baud=baud)
        with pytest.raises(UsageError, match="pull their plugs"):
            DeviceProxy(line.terminal_device, line.host_device, "unplug to-host at 1")
