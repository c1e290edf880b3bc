from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pos_engine import system
from pos_engine.errors import ConfigError
from pos_engine.framing.length import LengthFramer
from simulators.acquirer import Acquirer, Event, What
from simulators.config import Listen
from simulators.server import BackgroundServer, connection, dialogue, serve
from simulators.server.connection import Connection
from simulators.server.dialogue import Dialogue
from simulators.server.house import READ_BYTES, House
from simulators.server.listeners import open_door
from tests.support.host_client import MID, TID, Bench, HostClient, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.wire.message import Message

WAIT_S = 10.0
BAD_FRAMES = [b"\x00\x00", b"\xff\xff", b"\x08\x01" + b"x", b"GET / HTTP/1.1\r\n\r\n"]


@pytest.fixture(name="host")
def _host() -> Iterator[BackgroundServer]:
    with BackgroundServer() as running:
        yield running


@pytest.fixture(name="line")
def _line(host: BackgroundServer) -> Iterator[Line]:
    line = Line(host.port)
    yield line
    line.close()


def framed(payload: bytes) -> bytes:
    return struct.pack(">H", len(payload)) + payload


def fill(line: Line, frame: bytes) -> None:
    """Send without reading until the host takes no more."""
    # A slow machine only makes this end earlier.
    line.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            line.socket.sendall(frame * 20)
    line.socket.settimeout(WAIT_S)


def test_a_terminal_signs_on_and_sells_over_tcp(host: BackgroundServer, line: Line) -> None:
    client = HostClient(line.exchange)
    assert client.sign_on()[39] == "00"
    sale = client.sale(1_234)
    assert client.ask(sale) == "00"
    assert host.ledger().effects_of(TID, "000001", sale[11]) == 1_234
    assert client.ask(client.reversal(sale)) == "00"
    assert [event.what for event in host.events] == [What.SIGNED_ON, What.APPROVED, What.REVERSED]


def test_two_terminals_are_served_at_once(host: BackgroundServer, line: Line) -> None:
    other = Line(host.port)
    one, two = HostClient(line.exchange), HostClient(other.exchange, "T0000002", MID)
    one.sign_on()
    two.sign_on()
    assert [one.ask(one.sale(1_000)), two.ask(two.sale(2_000)), one.ask(one.sale(3_000))] == ["00", "00", "00"]
    assert {event.terminal for event in host.events} == {TID, "T0000002"}
    other.close()


def test_hosts_in_one_process_do_not_read_each_others_bytes() -> None:
    """Each host has a thread of its own, and another one may read between a read and what is done with its bytes."""

    async def run() -> None:
        buffers: list[memoryview] = []
        for _ in range(2):
            house = House(Acquirer(entropy=system.entropy), system.SystemClock(), None)
            door = await open_door(house, Listen.on())
            talker = partial(Dialogue, house, door, LengthFramer())
            buffers += [Connection(house, talker).get_buffer(READ_BYTES) for _ in range(2)]
            door.shut()
        one, neighbour, other, _ = buffers
        one[:3], other[:3] = b"one", b"two"
        assert bytes(one[:3]) == b"one"
        # What many connections of one host have in common costs none of them any memory.
        assert bytes(neighbour[:3]) == b"one"

    asyncio.run(run())


def test_a_request_may_arrive_byte_by_byte_and_many_in_one_piece(line: Line) -> None:
    client = HostClient(line.exchange)
    client.sign_on()
    for byte in framed(client.payload(client.sale(1_000))):
        line.socket.sendall(bytes([byte]))
    assert line.receive() is not None
    line.socket.sendall(b"".join(framed(client.payload(client.sale(amount))) for amount in range(1, 21)))
    stream = b""
    while stream.count(b"CUP") < 20:
        stream += line.socket.recv(65_536)
    assert stream.count(b"CUP") == 20


@pytest.mark.parametrize("bad", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_a_frame_that_cannot_be_closes_its_own_connection_only(host: BackgroundServer, line: Line, bad: bytes) -> None:
    other = Line(host.port)
    other.socket.sendall(bad)
    assert other.receive() is None
    other.close()
    assert HostClient(line.exchange).sign_on()[39] == "00"


def test_what_came_before_a_bad_frame_is_answered_before_the_connection_ends(line: Line) -> None:
    client = HostClient(line.exchange)
    client.sign_on()
    line.socket.sendall(framed(client.payload(client.sale(1_000))) + b"\x00\x00")
    assert line.receive() is not None
    assert line.receive() is None


def test_bytes_that_are_no_message_are_passed_over_and_the_link_stays(host: BackgroundServer, line: Line) -> None:
    line.socket.sendall(framed(b"not a message"))
    assert HostClient(line.exchange).sign_on()[39] == "00"
    assert [event.what for event in host.events] == [What.UNREADABLE, What.SIGNED_ON]


@pytest.mark.parametrize(("amount", "effect"), [(1_994, 0), (1_996, 1_996)])
def test_the_scenario_can_close_the_link_with_and_without_booking(
    host: BackgroundServer, line: Line, amount: int, effect: int
) -> None:
    client = HostClient(line.exchange)
    client.sign_on()
    sale = client.sale(amount)
    # The request behind it in the same piece is lost with the link.
    line.socket.sendall(framed(client.payload(sale)) + framed(client.payload(client.sale(1))))
    assert line.receive() is None
    assert host.ledger().effects_of(TID, "000001", sale[11]) == effect
    assert len(host.events) == 2


def test_the_scenario_can_keep_the_link_and_stay_silent(host: BackgroundServer, line: Line) -> None:
    client = HostClient(line.exchange)
    client.sign_on()
    sale = client.sale(1_997)
    line.socket.sendall(framed(client.payload(sale)))
    # The next answer on the same link is the next request's.
    assert client.ask(client.reversal(sale)) == "00"
    assert [event.effect_minor for event in host.events] == [0, 1_997, -1_997]


def test_an_unfinished_frame_ends_its_connection_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "FRAME_TIMEOUT_S", 0.05)
    with BackgroundServer() as host:
        line = Line(host.port)
        client = HostClient(line.exchange)
        assert client.sign_on()[39] == "00"
        line.socket.sendall(framed(client.payload(client.sale(1)))[:-1])
        assert line.receive() is None
        line.close()


def test_a_crowd_of_half_frames_does_not_keep_an_honest_terminal_from_its_answer(host: BackgroundServer) -> None:
    crowd = [Line(host.port) for _ in range(150)]
    for each in crowd:
        each.socket.sendall(b"\x01")
    line = Line(host.port)
    client = HostClient(line.exchange)
    client.sign_on()
    assert client.ask(client.sale(1_000)) == "00"
    for each in [*crowd, line]:
        each.close()


def test_connections_that_are_reset_do_no_harm(host: BackgroundServer, line: Line) -> None:
    client = HostClient(line.exchange)
    client.sign_on()
    for _ in range(50):
        storm = Line(host.port)
        storm.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        storm.socket.sendall(framed(client.payload(client.sale(1))))
        storm.close()
    assert client.ask(client.sale(1_000)) == "00"


def test_a_peer_that_does_not_read_is_not_read_until_it_does(host: BackgroundServer) -> None:
    line = Line(host.port)
    client = HostClient(line.exchange)
    client.sign_on()
    fill(line, framed(client.payload(client.sale(1))))
    handled = len(host.events)
    while len(host.events) < handled + 100:
        assert line.socket.recv(65_536)
    line.close()


def test_a_busy_port_is_a_configuration_error_that_names_it(host: BackgroundServer) -> None:
    with (
        pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{host.port}: Address already in use") as caught,
        BackgroundServer(port=host.port),
    ):
        pass
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("name", "port"), [("host.invalid", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_cannot_be_is_a_configuration_error(name: str, port: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {name}:{port}"), BackgroundServer(host=name, port=port):
        pass


def test_a_host_that_restarts_has_the_same_books_and_the_same_port() -> None:
    host = BackgroundServer()
    sales: list[Message] = []
    ports = set()
    for _ in range(2):
        with host:
            ports.add(host.port)
            line = Line(host.port)
            client = HostClient(line.exchange)
            client.sign_on()
            sales.append(client.sale(1_000, stan=f"{100 + len(sales):06d}"))
            assert client.ask(sales[-1]) == "00"
            host.call(host.acquirer.forget_sessions)
            assert client.ask(client.sale(1)) == "77"
            line.close()
    assert len(ports) == 1
    assert [host.ledger().effects_of(TID, "000001", sale[11]) for sale in sales] == [1_000, 1_000]


def test_stopping_closes_open_connections_and_frees_the_port() -> None:
    with BackgroundServer() as host:
        line = Line(host.port)
        client = HostClient(line.exchange)
        client.sign_on()
        line.socket.sendall(b"\x01")
    assert line.receive() is None
    line.close()
    with pytest.raises(ConnectionRefusedError):
        Line(host.port)


def test_stopping_cuts_a_peer_that_does_not_take_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STOP_TIMEOUT_S", 0.05)
    with BackgroundServer() as host:
        line = Line(host.port)
        client = HostClient(line.exchange)
        client.sign_on()
        fill(line, framed(client.payload(client.sale(1))))
    line.close()


def test_what_a_call_raises_comes_out_of_it(host: BackgroundServer) -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        host.call(fail)


def test_an_observer_that_fails_stops_the_server_and_is_heard_of() -> None:
    def fail(_event: Event) -> None:
        raise LookupError

    host = BackgroundServer(on_event=fail).__enter__()
    line = Line(host.port)
    assert HostClient(line.exchange).sign_on()[39] == "00"
    assert line.receive() is None
    line.close()
    with pytest.raises(LookupError):
        host.__exit__(None, None, None)


def test_serve_tells_its_address_and_its_events_and_ends_when_cancelled() -> None:
    events: list[Event] = []

    async def run() -> tuple[str, int]:
        address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        acquirer = Acquirer(entropy=system.entropy)
        task = asyncio.create_task(
            serve(
                acquirer,
                on_event=events.append,
                ready=lambda places: address.set_result((places[0].host, places[0].port)),
            )
        )
        host, port = await address
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(framed(Bench().client().payload(Bench().client().sale(1), sealed=False)))
        assert await reader.read(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        writer.close()
        return host, port

    host, port = asyncio.run(run())
    assert host == "127.0.0.1"
    assert port
    assert [event.code for event in events] == ["77"]


def test_serving_needs_neither_an_observer_nor_a_callback() -> None:
    async def run() -> None:
        task = asyncio.create_task(serve(Acquirer(entropy=system.entropy)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
