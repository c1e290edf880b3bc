"""Roads to a host: which one a request takes, when it may take another, and what is remembered of each."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.errors import LocalProtocolError, NoAnswer, NotSent, Trouble, UsageError
from pos_engine.framing.length import LengthFramer
from pos_engine.link import Link
from pos_engine.routes import Health, Route, Routes
from pos_engine.transport.tcp import TcpStream
from tests.support.echo_host import EchoHost, echo_once, frame, read_frame
from tests.support.leaping_clock import LeapingClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Script = Callable[[socket.socket], None]

PLENTY_S = 10.0
SHORT_S = 0.15


class Town:
    """Some roads, each to a real port."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = LeapingClock()
        self._stack = stack

    def host(self, *scripts: Script) -> EchoHost:
        return self._stack.enter_context(EchoHost(*scripts))

    def road(
        self, address: tuple[str, int], *, answer_s: float | None = None, keep: bool = True, echo_s: float | None = None
    ) -> Route:
        link = Link(
            lambda: TcpStream(*address, monotonic=self.clock),
            LengthFramer,
            monotonic=self.clock,
            connect_timeout_s=2.0,
        )
        return Route(f"tcp://{address[0]}:{address[1]}", link, answer_s=answer_s, keep=keep, echo_s=echo_s)

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


def a_closed_port() -> tuple[str, int]:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
    return address


def swallow(connection: socket.socket) -> None:
    """Read everything and say nothing."""
    while read_frame(connection) is not None:
        pass


def test_the_first_road_is_taken_while_it_can_be_had(town: Town) -> None:
    first, second = town.host(), town.host()
    routes = town.routes(town.road(first.address), town.road(second.address))
    assert town.ask(routes, b"one") == b"one"
    assert town.ask(routes, b"two") == b"two"
    assert (first.accepted, second.accepted) == (1, 0)


def test_a_road_that_cannot_be_had_is_left_for_the_next_one_at_once(town: Town) -> None:
    second = town.host()
    routes = town.routes(town.road(a_closed_port()), town.road(second.address))
    assert town.ask(routes, b"one") == b"one"
    failed, used = routes.states()
    assert failed.trouble is Trouble.REFUSED
    assert 0 < failed.rests_s <= limits.ROUTE_REST_FIRST_S
    assert (used.connected, used.trouble, used.rests_s) == (True, None, 0.0)


def test_where_no_road_can_be_had_every_one_says_why(town: Town) -> None:
    roads = [town.road(a_closed_port()), town.road(a_closed_port())]
    with pytest.raises(NotSent, match="no route to the host") as caught:
        town.routes(*roads).send(b"one", town.clock() + PLENTY_S)
    assert all(road.name in str(caught.value) for road in roads)
    assert caught.value.trouble is Trouble.REFUSED


def test_one_road_alone_speaks_for_itself(town: Town) -> None:
    with pytest.raises(NotSent) as caught:
        town.routes(town.road(a_closed_port())).send(b"one", town.clock() + PLENTY_S)
    assert "no route to the host" not in str(caught.value)


def test_a_request_that_may_have_left_goes_over_no_second_road(town: Town) -> None:
    first, second = town.host(swallow), town.host()
    routes = town.routes(town.road(first.address), town.road(second.address))
    routes.send(b"one", town.clock() + PLENTY_S)
    with pytest.raises(NoAnswer):
        routes.receive(town.clock() + SHORT_S)
    assert second.accepted == 0
    # One silence may be the host's own fault, and the reversal has to go where its sale went.
    with pytest.raises(NoAnswer):
        town.ask(routes, b"reversal of one", SHORT_S)
    assert (first.accepted, second.accepted) == (2, 0)
    # Two are the road's.
    assert town.ask(routes, b"two") == b"two"
    assert (first.accepted, second.accepted) == (2, 1)
    assert routes.states()[0].trouble is Trouble.TIMEOUT


def test_an_answer_makes_a_silence_forgotten(town: Town) -> None:
    def every_other(connection: socket.socket) -> None:
        read_frame(connection)

    first, second = town.host(every_other, echo_once, every_other, echo_once), town.host()
    routes = town.routes(town.road(first.address), town.road(second.address))
    for payload in (b"one", b"two"):
        with pytest.raises(NoAnswer):
            town.ask(routes, b"unheard", PLENTY_S)
        assert town.ask(routes, payload) == payload
    assert second.accepted == 0


def test_a_road_that_has_rested_is_preferred_again(town: Town) -> None:
    address = a_closed_port()
    second = town.host()
    routes = town.routes(town.road(address), town.road(second.address))
    assert town.ask(routes, b"one") == b"one"
    with socket.create_server(address) as listener:
        listener.settimeout(PLENTY_S)
        assert town.ask(routes, b"it still rests") == b"it still rests"
        town.clock.leap(limits.ROUTE_REST_FIRST_S)
        routes.send(b"two", town.clock() + PLENTY_S)
        connection, _ = listener.accept()
        with connection:
            assert read_frame(connection) == b"two"
            connection.sendall(frame(b"again"))
            assert routes.receive(town.clock() + PLENTY_S) == b"again"
    first, other = routes.states()
    assert (first.trouble, first.rests_s) == (None, 0.0)
    # Two roads to one host are never connected at once.
    assert (first.connected, other.connected) == (True, False)


def test_a_better_road_is_looked_for_without_a_request(town: Town) -> None:
    address = a_closed_port()
    second = town.host()
    routes = town.routes(town.road(address), town.road(second.address))
    assert not routes.look()
    assert routes.return_in_s() is None
    assert town.ask(routes, b"one") == b"one"
    assert not routes.look()
    wait_s = routes.return_in_s()
    assert wait_s is not None
    assert 0 < wait_s <= limits.ROUTE_REST_FIRST_S
    town.clock.leap(wait_s)
    assert routes.look()
    assert [state.connected for state in routes.states()] == [False, True]
    longer_s = routes.return_in_s()
    assert longer_s is not None
    assert longer_s > limits.ROUTE_REST_FIRST_S
    town.clock.leap(longer_s)
    with socket.create_server(address) as listener:
        assert routes.look()
        assert [state.connected for state in routes.states()] == [True, False]
        connection, _ = listener.accept()
        connection.settimeout(PLENTY_S)
        with connection:
            routes.close()
            assert connection.recv(1) == b""
    assert routes.return_in_s() is None


def test_rests_grow_and_end_growing() -> None:
    health, rests = Health(), []
    for _ in range(40):
        health = health.failed(0.0, None)
        rests.append(health.rests_until_s)
    assert rests[:3] == [30.0, 60.0, 120.0]
    assert rests[-1] == limits.ROUTE_REST_MAX_S
    assert health.failures == limits.ROUTE_FAILURES_MAX


def test_when_all_roads_rest_the_longest_rested_is_tried_first(town: Town) -> None:
    first, second = town.host(swallow), town.host(swallow)
    routes = town.routes(town.road(first.address), town.road(second.address))
    for _ in range(4):
        with pytest.raises(NoAnswer):
            town.ask(routes, b"unheard", SHORT_S)
    assert (first.accepted, second.accepted) == (2, 2)
    with pytest.raises(NoAnswer):
        town.ask(routes, b"unheard", SHORT_S)
    assert (first.accepted, second.accepted) == (3, 2)


def test_a_road_may_lose_patience_before_the_caller_does(town: Town) -> None:
    host = town.host(swallow)
    routes = town.routes(town.road(host.address, answer_s=SHORT_S))
    before = time.monotonic()
    with pytest.raises(NoAnswer):
        town.ask(routes, b"one", 60.0)
    assert time.monotonic() - before < 30


def test_a_connection_for_each_request_ends_with_it(town: Town) -> None:
    kept, once = town.host(), town.host()
    for host, keep, connections in ((kept, True, 1), (once, False, 2)):
        routes = town.routes(town.road(host.address, keep=keep))
        for payload in (b"one", b"two"):
            assert town.ask(routes, payload) == payload
            routes.done()
        assert host.accepted == connections
        assert routes.states()[0].connected is keep


def test_a_quiet_connection_is_to_be_tried_out(town: Town) -> None:
    host = town.host()
    routes = town.routes(town.road(host.address, echo_s=60.0))
    assert routes.echo_in_s() is None
    town.ask(routes, b"one")
    wait_s = routes.echo_in_s()
    assert wait_s is not None
    assert 0 < wait_s <= 60
    town.clock.leap(60)
    assert routes.echo_in_s() == 0
    town.ask(routes, b"still there?")
    assert routes.echo_in_s() != 0
    assert town.routes(town.road(host.address)).echo_in_s() is None


def test_another_address_is_used_alone_until_it_is_given_up(town: Town) -> None:
    usual, other = town.host(), town.host()
    routes = town.routes(town.road(usual.address))
    assert town.ask(routes, b"one") == b"one"
    for _ in range(2):
        routes.use(str(other.address[1]))
        assert town.ask(routes, b"two") == b"two"
        assert not routes.look()
    assert len(routes.states()) == 2
    routes.use(None)
    assert town.ask(routes, b"three") == b"three"
    assert (usual.accepted, other.accepted) == (2, 2)


def test_other_addresses_are_bounded(town: Town) -> None:
    routes = town.routes(town.road(("127.0.0.1", 1)))
    for port in range(2, 2 + limits.ROUTES_MADE_MAX):
        routes.use(str(port))
    with pytest.raises(UsageError, match="at most 8 other roads"):
        routes.use("999")
    lonely = Routes([town.road(("127.0.0.1", 1))], monotonic=town.clock)
    with pytest.raises(UsageError, match="no other road"):
        lonely.use("2")


def test_what_came_unasked_is_handed_out_whichever_road_it_came_over(town: Town) -> None:
    def chatter(connection: socket.socket) -> None:
        payload = read_frame(connection)
        if payload is not None:
            connection.sendall(frame(payload) + frame(b"and another thing"))
            swallow(connection)

    first, second = town.host(chatter), town.host()
    routes = town.routes(town.road(first.address), town.road(second.address))
    assert town.ask(routes, b"one") == b"one"
    first.__exit__()
    assert town.ask(routes, b"two") == b"two"
    assert routes.leftovers() == (b"and another thing",)
    assert routes.leftovers() == ()


def test_what_cannot_be_framed_is_our_own_mistake_on_any_road(town: Town) -> None:
    host = town.host()
    routes = town.routes(town.road(host.address), town.road(host.address))
    with pytest.raises(LocalProtocolError):
        routes.send(b"", town.clock() + PLENTY_S)
    assert host.accepted == 0
    assert all(state.trouble is None for state in routes.states())


def test_a_named_road_is_tried_first_however_it_is_and_the_usual_ones_come_back(town: Town) -> None:
    usual, other = town.host(), town.host(echo_once, swallow)
    routes = town.routes(town.road(usual.address))
    name = f"tcp://127.0.0.1:{other.address[1]}"
    routes.use(str(other.address[1]))
    assert town.ask(routes, b"one") == b"one"
    routes.use(None)
    for _ in range(2):
        deadline = town.clock() + SHORT_S
        routes.send(b"unheard", deadline, road=name)
        with pytest.raises(NoAnswer):
            routes.receive(deadline)
        assert routes.way() == (name, (), False)
    # The road of the contingency plan is the present one, and every usual one is better.
    assert not routes.look()
    assert town.ask(routes, b"two") == b"two"
    assert routes.way() == (f"tcp://127.0.0.1:{usual.address[1]}", (), True)
