"""What a road to the host promises about money, time and what lies in it: a promise a test, on real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import config, limits
from pos_engine.config.address import SerialLine, parse_address
from pos_engine.errors import ConfigError, NoAnswer, NotSent, UsageError
from pos_engine.framing.length import LengthFramer
from pos_engine.link import Link
from pos_engine.roads import Builder
from pos_engine.routes import Route, Routes
from pos_engine.terminal import Terminal
from pos_engine.transport.rfc2217 import ANSWER, COM_PORT, IAC, RESUME, SB, SE, SUSPEND, WILL, Rfc2217Stream, setting
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.echo_host import WAIT_S, EchoHost, frame, read_frame, swallowing_port
from tests.support.leaping_clock import LeapingClock
from tests.support.shop import Shop
from tests.support.tls_host import NAME, Heard, Pki, echo_back, host_context, protected
from tests.support.two_roads import a_shop_with_two_roads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pos_engine.transport.base import Stream

PLENTY_S: Final = 10.0
SHORT_S: Final = 0.3
READ_BYTES: Final = 4096
SETTINGS: Final = 5
"""Speed, data bits, parity, stop bits and flow control."""


class Town:
    """Some roads, on one clock that leaps."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = LeapingClock()
        self._stack = stack

    def host(self, *scripts: Callable[[socket.socket], None]) -> EchoHost:
        return self._stack.enter_context(EchoHost(*scripts))

    def road(self, address: tuple[str, int], *, connect_s: float = PLENTY_S, keep: bool = True) -> Route:
        return self.road_of(
            f"port {address[1]}", lambda: TcpStream(*address, monotonic=self.clock), connect_s=connect_s, keep=keep
        )

    def road_of(
        self, name: str, stream: Callable[[], Stream], *, connect_s: float = PLENTY_S, keep: bool = True
    ) -> Route:
        link = Link(stream, LengthFramer, monotonic=self.clock, connect_timeout_s=connect_s)
        return Route(name, link, keep=keep)

    def routes(self, *roads: Route) -> Routes:
        made = Routes(roads, monotonic=self.clock, make=lambda text: self.road(("127.0.0.1", int(text))))
        self._stack.callback(made.close)
        return made

    def ask(self, routes: Routes, payload: bytes, wait_s: float = PLENTY_S) -> bytes:
        deadline = self.clock() + wait_s
        routes.send(payload, deadline)
        return routes.receive(deadline)


@pytest.fixture
def town() -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(stack)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


@contextmanager
def closed_port() -> Iterator[tuple[str, int]]:
    """Give an address at which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address: tuple[str, int] = bound.getsockname()
        yield address


def swallow(connection: socket.socket) -> None:
    """Read everything and say nothing."""
    while read_frame(connection) is not None:
        pass


def test_a_setting_of_a_road_that_was_used_before_counts(tmp_path: Path) -> None:
    """The address of another road is taken as it is said, also when it was said otherwise before."""
    with a_shop_with_two_roads(tmp_path, first_is_open=True) as (_, second, _, terminal):
        terminal.use_route(second.address)
        terminal.echo()
        terminal.use_route(None)
        terminal.use_route(f"{second.address}?keep=no")
        terminal.echo()
        assert not any(each.connected for each in terminal.status().routes)


def test_a_request_without_time_left_says_nothing_about_any_road(town: Town) -> None:
    """Health memory never starves a good road: it was not even tried."""
    good = town.host()
    routes = town.routes(town.road(good.address), town.road(good.address))
    with pytest.raises(NotSent, match="no time left"):
        routes.send(b"too late", town.clock())
    assert [each.rests_s for each in routes.states()] == [0, 0]


def test_a_road_that_was_not_tried_because_no_time_was_left_is_not_given_a_rest(town: Town) -> None:
    """Health memory never starves a good road: what was not tried is not known to be bad.

    The first road swallows connections for as long as the caller waits. The good one must be reached by the next
    request, and not stand behind the bad one for ever.
    """
    good = town.host()
    with swallowing_port() as bad:
        routes = town.routes(town.road(bad), town.road(good.address))
        with suppress(NotSent):
            town.ask(routes, b"one", SHORT_S)
        assert routes.states()[1].rests_s == 0
        assert town.ask(routes, b"two", SHORT_S) == b"two"


def test_a_road_that_lets_one_connect_and_never_answers_rests_longer_each_time(town: Town) -> None:
    """A road on which answers stay away rests "twice as long each time": connecting to it proves nothing of answers.

    Else `tick` goes back to it every thirty seconds for ever, and each time two requests come to be in doubt.
    """
    dead, good = town.host(swallow), town.host()
    routes = town.routes(town.road(dead.address), town.road(good.address))
    rests = []
    for _ in range(3):
        while not routes.states()[0].rests_s:
            with pytest.raises(NoAnswer):
                town.ask(routes, b"unheard", 0.05)
        rests.append(routes.states()[0].rests_s)
        assert town.ask(routes, b"heard") == b"heard"
        town.clock.leap(rests[-1] + 1)
        routes.look()
    assert rests[1] > 1.5 * rests[0]
    assert rests[2] > 1.5 * rests[1]


def test_a_road_that_brings_other_people_s_answers_only_is_given_a_rest_too(town: Town) -> None:
    """An exchange that ends in silence is a silence, also when a frame came meanwhile that was not its answer."""

    def foreign(connection: socket.socket) -> None:
        while read_frame(connection) is not None:
            connection.sendall(frame(b"somebody else's"))

    bad, good = town.host(foreign), town.host()
    routes = town.routes(town.road(bad.address), town.road(good.address))
    for _ in range(4):
        deadline = town.clock() + SHORT_S
        routes.send(b"mine", deadline)
        if routes.receive(deadline) == b"mine":
            break
        # As the driver does with a stranger: it listens on.
        with pytest.raises(NoAnswer):
            routes.receive(deadline)
    assert good.accepted > 0


@pytest.mark.parametrize("way", ["look", "use", "done"])
def test_what_lies_in_a_connection_is_not_lost_when_its_road_is_left(town: Town, way: str) -> None:
    """What a kept connection holds is set aside when it is given up, whyever it is given up: it may prove something."""
    told = threading.Event()

    def answers_twice(connection: socket.socket) -> None:
        payload = read_frame(connection)
        assert payload is not None
        connection.sendall(frame(payload))
        assert told.wait(WAIT_S)
        connection.sendall(frame(b"late"))
        read_frame(connection)

    second = town.host(answers_twice)
    with closed_port() as address:
        routes = town.routes(town.road(address), town.road(second.address, keep=way != "done"))
        assert town.ask(routes, b"one") == b"one"
        told.set()
        # To know that the frame has come, without taking it.
        kept = routes._current.link._connection  # noqa: SLF001 - nothing else tells
        assert kept is not None
        while not kept.stream.stale():
            pass
    with socket.create_server(address):
        town.clock.leap(limits.ROUTE_REST_FIRST_S)
        if way == "look":
            assert routes.look()
        elif way == "use":
            routes.use("1")
        else:
            routes.done()
        assert routes.leftovers() == (b"late",)


def test_one_look_for_a_better_road_costs_the_time_of_one(town: Town) -> None:
    """`tick` does not keep a till from its customers: several dead roads are tried in several ticks, not in one."""
    with ExitStack() as stack:
        dead = [stack.enter_context(swallowing_port()) for _ in range(3)]
        good = town.host()
        routes = town.routes(*(town.road(address, connect_s=0.5) for address in dead), town.road(good.address))
        assert town.ask(routes, b"one") == b"one"
        town.clock.leap(limits.ROUTE_REST_FIRST_S + 1)
        before = [state.rests_s for state in routes.states()]
        assert before == [0.0] * 4
        assert routes.look()
        assert sum(state.rests_s > 0 for state in routes.states()) == 1


def two_tickets_in_pieces(context: ssl.SSLContext, went_on: threading.Event) -> Callable[[socket.socket], None]:
    """Make a host whose second ticket the network cuts in two, as it does where a client certificate is in it."""

    def script(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        done = False
        while not done:
            data = connection.recv(READ_BYTES)
            assert data
            incoming.write(data)
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                done = True
            if not done:
                connection.sendall(outgoing.read())
        tickets = outgoing.read()
        connection.sendall(tickets[:-40])
        # The network takes its time for the rest.
        went_on.wait(SHORT_S)
        connection.sendall(tickets[-40:])
        while data := connection.recv(READ_BYTES):
            incoming.write(data)
            with suppress(ssl.SSLWantReadError):
                tls.write(tls.read(READ_BYTES))
                connection.sendall(outgoing.read())

    return script


def test_a_good_tls_host_whose_tickets_come_in_pieces_can_be_had(town: Town, pki: Pki) -> None:
    """A ticket half of which is still under way is TLS's own: it is no host that "spoke before it was asked"."""
    host = town.host(two_tickets_in_pieces(host_context(pki.leaf, version=ssl.TLSVersion.TLSv1_3), threading.Event()))
    files = TlsFiles(pki.file)
    road = town.road_of("tls", lambda: TlsStream(TcpStream(*host.address, monotonic=town.clock), files, NAME))
    assert town.ask(town.routes(road), b"one") == b"one"


def test_a_look_gives_a_road_its_own_time_to_connect(town: Town, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A road that needs, and is given, more than the usual time to connect can be gone back to."""
    monkeypatch.setattr(limits, "CONNECT_TIMEOUT_S", SHORT_S)
    context = host_context(pki.leaf)

    def slow(connection: socket.socket) -> None:
        threading.Event().wait(3 * SHORT_S)
        with connection.dup() as copy, suppress(OSError), context.wrap_socket(copy, server_side=True) as tls:
            tls.recv(1)

    files, good = TlsFiles(pki.file), town.host()
    with closed_port() as address:
        road = town.road_of(
            "slow", lambda: TlsStream(TcpStream(*there[0], monotonic=town.clock), files, NAME), connect_s=PLENTY_S
        )
        there = [address]
        routes = town.routes(road, town.road(good.address))
        assert town.ask(routes, b"one") == b"one"
    there[0] = town.host(slow).address
    town.clock.leap(limits.ROUTE_REST_FIRST_S + 1)
    assert routes.look()


def test_a_road_with_a_connection_for_each_request_is_not_left_connected_by_a_look(town: Town) -> None:
    """`keep=no` is a connection for each request: looking for the road leaves none behind."""
    good = town.host()
    with closed_port() as address:
        routes = town.routes(town.road(address, keep=False), town.road(good.address))
        assert town.ask(routes, b"one") == b"one"
    with socket.create_server(address):
        town.clock.leap(limits.ROUTE_REST_FIRST_S + 1)
        assert routes.look()
        assert not routes.states()[0].connected


@pytest.mark.parametrize("way", ["a failure", "another road", "the road anew"])
def test_that_a_hosts_certificate_ends_soon_is_told_also_when_its_connection_is_gone(pki: Pki, way: str) -> None:
    clock, wall = LeapingClock(), datetime.now(UTC)
    builder = Builder(framing="be2", connect_timeout_s=PLENTY_S, files=lambda: TlsFiles(ca=pki.file), monotonic=clock)

    def road(text: str) -> Route:
        return builder.road(parse_address(text))

    leaf = pki.ca.issue_cert("127.0.0.1", not_after=wall + timedelta(days=3))
    with EchoHost(protected(host_context(leaf), Heard(), echo_back)) as host, ExitStack() as stack:
        address = f"tls://127.0.0.1:{host.address[1]}"
        routes = Routes([road(address)], monotonic=clock, make=road, endings=builder.endings)
        stack.callback(routes.close)
        assert routes.endings(wall) == ()
        routes.send(b"one", clock() + PLENTY_S)
        told = routes.endings(wall)
        assert [(each.name, each.days_left) for each in told] == [(address, 2)]
        routes.close()
        if way != "a failure":
            routes.use("tls://127.0.0.1:1" if way == "another road" else address)
    if way == "a failure":
        with pytest.raises(NotSent):
            routes.send(b"two", clock() + PLENTY_S)
    assert routes.endings(wall) == told


def device_server(connection: socket.socket) -> None:
    """Speak RFC 2217; hold the client up after one answer, and let an old frame through before it may speak again."""
    connection.sendall(bytes([IAC, WILL, COM_PORT]))
    heard = b""
    while heard.count(bytes([IAC, SE])) < SETTINGS:
        heard += connection.recv(READ_BYTES)
    for said in heard[heard.index(bytes([IAC, SB])) :].split(bytes([IAC, SE]))[:-1]:
        connection.sendall(setting(said[3] + ANSWER, said[4:]))
    for held_up in (True, False):
        payload = read_frame(connection)
        if payload is None:
            return
        connection.sendall(frame(payload) + (setting(SUSPEND, b"") if held_up else b""))
        threading.Event().wait(SHORT_S)
        if held_up:
            connection.sendall(frame(b"old") + setting(RESUME, b""))


def test_what_a_held_up_line_said_before_the_request_is_not_its_answer(town: Town) -> None:
    """An answer that came before its request never decides, also when it came while the request was held up."""
    host = town.host(device_server)
    road = town.road_of("line", lambda: Rfc2217Stream(*host.address, SerialLine(), monotonic=town.clock))
    routes = town.routes(road)
    assert town.ask(routes, b"one") == b"one"
    with suppress(NotSent):
        assert town.ask(routes, b"two") == b"two"


def test_in_production_a_contingency_route_needs_protection_too(tmp_path: Path) -> None:
    """Every road of a production terminal has verified TLS, also the one that is for the worst day."""
    with pytest.raises(ConfigError, match="no verified TLS"):
        config.settle(
            {
                "terminal.id": "T0000001",
                "terminal.merchant": "M00000000000001",
                "terminal.production": True,
                "acquirer.address": "tls://pos.example:9583",
                "session.contingency": "route tcp://backup.example:9000, refuse",
            },
            folder=tmp_path,
        )


def test_in_production_no_other_road_is_taken_without_protection(tmp_path: Path) -> None:
    """`use_route` cannot get around what the configuration refuses."""
    shop = Shop(tmp_path, 1)
    settings = replace(
        config.load(shop.path, overrides={"acquirer.address": "tls://pos.example:9583"}), production=True
    )
    with Terminal.open(settings) as terminal, pytest.raises(UsageError):
        terminal.use_route("tcp://127.0.0.1:1")
