"""What hostile clients do to the simulated host: they hurt themselves, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import select
import signal
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine.errors import KeyFault
from simulators.acquirer import What
from simulators.server import BackgroundServer, connection, dialogue, house, tunnel
from tests.support.authority import Authority
from tests.support.commands import running_host
from tests.support.host_client import EVERYDAY, MID, TID, HostClient, Line
from tests.support.host_roads import TYPE, WAIT_S, Cable, Road, connected, port_of, trusting
from tests.support.slow_clients import ECHO, Crowd, Manner, framed, memory_of, storm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
CROWD = 40
QUIET_S = 0.5
OTHER = "T0000002"
DOORS = ("tcp", "tls", "https", "serial")


class Besieged:
    """A host with a door of every kind, whose loop tells of everything that nobody handled."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.cable = Cable(folder / "line")
        self.near = self.cable.plug()
        self.unhandled: list[dict[str, Any]] = []
        self.host = BackgroundServer(
            listen=(
                "tcp://127.0.0.1:0",
                "tls://127.0.0.1:0",
                "https://127.0.0.1:0",
                f"serial://{self.cable.path}?baud=115200",
            ),
            certificate=self.authority.issue("host"),
        )

    def watch(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.unhandled.append(context))

    def place(self, door: str) -> tuple[str, int]:
        return "127.0.0.1", port_of(self.host.addresses[DOORS.index(door)])

    def attack(self, door: str, data: bytes) -> None:
        """Send bytes by a door, below whatever protects it, and hang up."""
        if door == "serial":
            Road.by_line(self.near)._send(data)  # noqa: SLF001 - bytes without a frame
            return
        with socket.create_connection(self.place(door), WAIT_S) as line, contextlib.suppress(OSError):
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):
                pass

    @contextlib.contextmanager
    def protected(self, door: str) -> Iterator[ssl.SSLSocket]:
        context = trusting(self.authority)
        with context.wrap_socket(
            socket.create_connection(self.place(door), WAIT_S), server_hostname="127.0.0.1"
        ) as line:
            yield line

    def serves(self) -> bool:
        """Whether an honest terminal is served by every door."""
        with connected(self.host.addresses[0]) as plain, self.protected("tls") as protected:
            roads = [Road.over(plain), Road.over(protected), Road.by_line(self.near)]
            codes = [HostClient(each.exchange).sign_on()[39] for each in roads]
        with self.protected("https") as line:
            line.sendall(post(ECHO))
            return codes == ["00"] * 3 and line.recv(4096).startswith(b"HTTP/1.1 200")


def post(body: bytes, more: bytes = b"") -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
    return head % (TYPE.encode(), len(body), more) + body


@pytest.fixture(name="besieged")
def _besieged(tmp_path: Path) -> Iterator[Besieged]:
    besieged = Besieged(tmp_path)
    with besieged.host:
        besieged.host.call(besieged.watch)
        yield besieged
    besieged.cable.unplug()
    assert besieged.unhandled == []


@pytest.fixture(name="host")
def _host() -> Iterator[BackgroundServer]:
    unhandled: list[dict[str, Any]] = []
    with BackgroundServer() as running:
        running.call(
            lambda: asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        )
        yield running
    assert unhandled == []


@contextlib.contextmanager
def terminal(host: BackgroundServer, tid: str = TID) -> Iterator[HostClient]:
    line = Line(host.port)
    client = HostClient(line.exchange, tid, MID)
    client.sign_on()
    yield client
    line.close()


def charged(host: BackgroundServer) -> int:
    """Fen that moved in all."""
    return sum(event.effect_minor for event in host.events)


# Bytes.


@pytest.mark.parametrize("door", DOORS)
def test_garbage_at_any_door_ends_nothing_but_itself(besieged: Besieged, door: str) -> None:
    chance = random.Random(door)
    for size in (1, 2, 5, 100, 5_000, 50_000):
        besieged.attack(door, chance.randbytes(size))
    # A line takes its noise for one that ends with silence, so the terminal's sign-on is repeated until it is heard.
    assert besieged.serves()


@pytest.mark.parametrize(
    "handshake",
    [
        b"\x16\x03\x01\xff\xff" + bytes(100),
        b"\x16\x03\x01\x00\x00" * 2_000,
        b"\x16\x03\x03\x40\x00" + b"\x01\xff\xff\xff" + bytes(16_380),
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x00\x02",
    ],
    ids=range(6),
)
def test_a_handshake_that_cannot_be_is_cut(besieged: Besieged, handshake: bytes) -> None:
    for door in ("tls", "https"):
        for end in (1, len(handshake) // 2, len(handshake)):
            besieged.attack(door, handshake[:end])
    assert besieged.serves()


@pytest.mark.parametrize("tail", [b"\x17\x03\x03\x00\x20" + bytes(32), b"\x15\x03\x03\x00\x02\x02\x28", b"GET /"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_with_a_record_behind_it_that_cannot_be_ends_its_connection(
    besieged: Besieged, tail: bytes, version: ssl.TLSVersion
) -> None:
    context = trusting(besieged.authority)
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(besieged.place("tls"), WAIT_S) as line:
        shaken = False
        while not shaken:
            try:
                client.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                line.sendall(outgoing.read())
                incoming.write(line.recv(4096))
        client.write(ECHO * 3)
        line.sendall(outgoing.read() + tail)
        with contextlib.suppress(ConnectionResetError):
            while line.recv(4096):
                pass
    assert besieged.serves()


def test_a_handshake_that_does_not_end_is_cut(besieged: Besieged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_TIMEOUT_S", 0.2)
    with socket.create_connection(besieged.place("tls"), WAIT_S) as line:
        assert dribbled(line, b"\x16\x03\x01\x02\x00\x01")
    assert besieged.serves()


SMUGGLED = [
    post(ECHO, b"Transfer-Encoding: chunked\r\n"),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n12345",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n12345",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFFFFF\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %s\r\n\r\n" % (TYPE.encode(), b"9" * 7_000),
    b"POST / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n\r\n\r\n",
    b"POST / HTTP/9.9\r\nHost: h\r\n\r\n",
    b"\r\n" * 5_000,
    b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000,
    b"POST /" + b"a" * 100_000,
    b"POST / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100_000,
    post(ECHO, b"Upgrade: h2c\r\nConnection: Upgrade\r\n"),
]


@pytest.mark.parametrize("request_", SMUGGLED, ids=range(len(SMUGGLED)))
def test_requests_that_could_be_read_in_two_ways_are_no_way_in(besieged: Besieged, request_: bytes) -> None:
    with besieged.protected("https") as line, contextlib.suppress(OSError):
        # What follows would be a request of its own to whoever lost count.
        line.sendall(request_ + post(ECHO))
        line.shutdown(socket.SHUT_WR)
        while line.recv(4096):
            pass
    assert besieged.serves()
    echoed = [event for event in besieged.host.events if event.what is What.ECHOED]
    # One is the honest terminal's. The last is answered as if nobody had asked for another protocol.
    assert len(echoed) <= (3 if request_ is SMUGGLED[-1] else 2)


# Time.


def dribbled(line: socket.socket, data: bytes) -> bool:
    """Send a byte now and then until the host has had enough; whether it had, in good time."""
    end = time.monotonic() + WAIT_S
    with contextlib.suppress(OSError):
        for byte in (*data, *bytes(10_000)):
            line.sendall(bytes([byte]))
            if select.select([line], [], [], 0.02)[0] and not line.recv(4096):
                return True
            if time.monotonic() > end:
                return False
    return True


@pytest.mark.parametrize("door", ["tcp", "tls"])
def test_a_frame_announced_and_sent_byte_by_byte_has_its_time_and_no_more(
    besieged: Besieged, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "FRAME_TIMEOUT_S", 0.3)
    place = besieged.protected(door) if door == "tls" else socket.create_connection(besieged.place(door), WAIT_S)
    with place as line:
        assert dribbled(line, b"\x08\x00")


@pytest.mark.parametrize("start", [b"", b"POST / HTTP/1.1\r\nHost: h\r\nX: ", post(bytes(2_000))[:-2_000]])
def test_a_tunnels_request_sent_byte_by_byte_has_its_time_and_no_more(
    besieged: Besieged, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "FRAME_TIMEOUT_S", 0.3)
    with besieged.protected("https") as line:
        line.sendall(start)
        assert dribbled(line, b"")


def test_a_request_that_is_never_answered_does_not_hold_its_connection_for_ever(
    besieged: Besieged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "ANSWER_TIMEOUT_S", 0.2)
    with besieged.protected("https") as line:
        line.sendall(post(framed(b"not a message")) + post(ECHO))
        assert line.recv(4096) == b""


@pytest.mark.parametrize("door", ["tcp", "tls"])
def test_who_does_not_read_his_answers_is_not_kept(
    besieged: Besieged, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_TIMEOUT_S", 0.3)
    place = besieged.protected(door) if door == "tls" else socket.create_connection(besieged.place(door), WAIT_S)
    with place as line, pytest.raises((ConnectionError, ssl.SSLError)):
        line.sendall(ECHO * 200_000)


# Numbers.


def test_floods_storms_and_crowds_keep_no_honest_terminal_from_its_answers(host: BackgroundServer) -> None:
    place = ("127.0.0.1", host.port)
    with Crowd(place, 400) as crowd, terminal(host) as client:
        for _ in range(5):
            crowd.sweep()
            storm(place, 20)
            storm(place, 20, ECHO)
            storm(place, 20, ECHO[:10])
            storm(place, 20, b"\x00\x00" * 1_000)
            storm(place, 20, b"\xff\xff")
            assert client.ask(client.sale(100)) == "00"


def test_where_there_is_no_more_room_whoever_said_nothing_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "connections_max", lambda: 20)
    with (
        BackgroundServer() as host,
        terminal(host) as client,
        Crowd(("127.0.0.1", host.port), 100, (Manner.IDLE, Manner.HALF)) as crowd,
    ):
        for number in range(10):
            crowd.sweep()
            with terminal(host, f"T100000{number}") as newcomer:
                assert newcomer.ask(newcomer.sale(100)) == "00"
            assert client.ask(client.sale(100)) == "00"


def test_where_everybody_has_spoken_the_newcomer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "connections_max", lambda: 2)
    with BackgroundServer() as host, terminal(host) as one, terminal(host, OTHER) as two:
        line = Line(host.port)
        with contextlib.suppress(ConnectionResetError):
            assert line.socket.recv(1) == b""
        line.close()
        assert [one.ask(one.sale(100)), two.ask(two.sale(100))] == ["00", "00"]


def test_a_host_without_files_serves_on_and_takes_others_in_when_it_has_some(tmp_path: Path) -> None:
    with running_host(tmp_path) as (process, first), contextlib.ExitStack() as stack:
        line = Line(first["port"])
        stack.callback(line.close)
        client = HostClient(line.exchange)
        client.sign_on()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (30, 30))
        with Crowd(("127.0.0.1", first["port"]), 60):
            assert client.ask(client.sale(100)) == "00"
        late = Line(first["port"])
        stack.callback(late.close)
        assert HostClient(late.exchange, OTHER).sign_on()[39] == "00"
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=WAIT_S)[1]


@pytest.mark.parametrize("door", ["tcp", "tls", "https"])
def test_no_connection_costs_the_host_a_mebibyte(tmp_path: Path, door: str) -> None:
    authority = Authority(tmp_path)
    secured = () if door == "tcp" else ("--certificate", str(authority.issue("host")))
    request = post(ECHO) if door == "https" else ECHO
    with (
        running_host(tmp_path, "--listen", f"{door}://127.0.0.1:0", *secured) as (process, _),
        contextlib.ExitStack() as stack,
    ):
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        # It tells of every request, and somebody has to listen.
        listener = threading.Thread(target=deque, args=(process.stdout, 0))
        listener.start()
        fill([opened(stack, address, door, authority)], request)
        before = memory_of(process.pid)
        fill([opened(stack, address, door, authority) for _ in range(CROWD)], request)
        grown = memory_of(process.pid) - before
        process.kill()
        listener.join()
    assert grown / CROWD < MIB


def opened(stack: contextlib.ExitStack, address: str, door: str, authority: Authority) -> socket.socket:
    line = stack.enter_context(connected(address))
    if door == "tcp":
        return line
    return stack.enter_context(trusting(authority).wrap_socket(line, server_hostname="127.0.0.1"))


def fill(lines: list[socket.socket], request: bytes) -> None:
    """Send without reading until the host takes no more from anybody."""
    for line in lines:
        line.setblocking(False)  # noqa: FBT003 - that is the function's name for it
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_S:
        for line in lines:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                line.send(request * 20)
                quiet_since = time.monotonic()


# Messages.


def test_who_claims_anothers_terminal_can_neither_sell_nor_reverse_on_it(host: BackgroundServer) -> None:
    with terminal(host) as honest, terminal(host, OTHER) as claimant:
        sale = honest.sale(1_000)
        assert honest.ask(sale) == "00"
        claimant.identity = honest.identity
        claimant.batch = honest.batch
        for message in (claimant.sale(500, stan="000777"), claimant.reversal(sale), sale):
            assert claimant.ask(message) == "A0"
        # Signing on in its name brings keys that only the terminal can read, and costs it a sign-on.
        answer = claimant.send(claimant.signing_on(), sealed=False)
        assert answer is not None
        with pytest.raises(KeyFault):
            claimant.take(answer)
        assert claimant.ask(claimant.sale(500, stan="000778")) == "A0"
        assert honest.ask(honest.sale(1)) == "A0"
        assert honest.sign_on()[39] == "00"
        assert honest.ask(honest.sale(2_000)) == "00"
        assert charged(host) == 3_000


def test_what_is_replayed_is_booked_once(host: BackgroundServer) -> None:
    with terminal(host) as client:
        sale = client.payload(client.sale(1_000))
        for _ in range(5):
            line = Line(host.port)
            for _ in range(5):
                assert line.exchange(sale) is not None
            line.close()
        assert charged(host) == 1_000


def test_a_void_cannot_be_voided_and_what_is_void_cannot_be_again(host: BackgroundServer) -> None:
    with terminal(host) as client:
        sale = client.sale(1_000)
        answer = client.send(sale)
        assert answer is not None
        original = client.original(sale, answer)
        void = client.void(1_000, original)
        voided = client.send(void)
        assert voided is not None
        assert voided[39] == "00"
        assert client.ask(client.void(1_000, original)) != "00"
        assert client.ask(client.void(1_000, client.original(void, voided))) != "00"
        assert client.ask(client.refund(1_000, client.original(void, voided))) != "00"
        assert charged(host) == 0


def test_nobody_takes_back_what_another_terminal_did(host: BackgroundServer) -> None:
    with terminal(host) as victim, terminal(host, OTHER) as thief:
        sale = victim.sale(1_000)
        answer = victim.send(sale)
        assert answer is not None
        original = victim.original(sale, answer)
        assert thief.ask(thief.void(1_000, original)) != "00"
        own = thief.sale(1_000, stan=sale[11])
        thief.ask(thief.reversal(own))
        assert victim.ask(victim.sale(1, EVERYDAY)) == "00"
        assert host.ledger().effects_of(TID, victim.batch, sale[11]) == 1_000
        assert charged(host) == 1_001


def test_answers_sent_to_the_host_are_not_answered_however_many(host: BackgroundServer) -> None:
    with terminal(host) as client:
        sale = client.sale(1_000)
        answer = client.send(sale)
        assert answer is not None
        line = Line(host.port)
        line.socket.sendall(framed(client.payload(answer, sealed=False)) * 500 + ECHO)
        data = line.receive()
        assert data is not None
        assert client.read(data).message.mti == "0830"
        line.close()
        assert charged(host) == 1_000
