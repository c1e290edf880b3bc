"""When answers leave: delayed, late, several times. The host's clock is moved by hand: nothing waits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pos_engine.clock import ManualClock
from pos_engine.system import entropy
from simulators.acquirer import Acquirer, Event
from simulators.scenario import parse
from simulators.server import BackgroundServer, house
from tests.support.host_client import MID, HostClient, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pos_engine.clock import Clock

DELAYED = '{ do = "delay", seconds = 5 }'
LATE = '{ do = "late", seconds = 5 }'


@contextmanager
def acting(
    action: str, *, clock: Clock | None = None, on_event: Callable[[Event], None] | None = None
) -> Iterator[BackgroundServer]:
    """Run a host that does something to every sale."""
    scenario = parse(f'[[rule]]\nname = "r"\nmatch = {{ kind = "sale" }}\naction = {action}', "f.toml")
    acquirer = Acquirer(entropy=entropy, scenario=scenario)
    with BackgroundServer(acquirer, clock=clock or ManualClock(), on_event=on_event) as running:
        yield running


@contextmanager
def terminal(host: BackgroundServer, tid: str = "T0000001") -> Iterator[tuple[Line, HostClient]]:
    """Sign on over a connection."""
    line = Line(host.port)
    client = HostClient(line.exchange, tid, MID)
    client.sign_on()
    yield line, client
    line.close()


def send(line: Line, client: HostClient, amount: int = 1_000) -> str:
    """Send a sale without waiting for its answer, and return its STAN."""
    sale = client.sale(amount)
    line.send(client.payload(sale))
    return sale[11]


def stan_of(line: Line, client: HostClient) -> str:
    """Receive an answer and return its STAN."""
    data = line.receive()
    assert data is not None
    return client.read(data).message[11]


def reach(host: BackgroundServer, clock: ManualClock, seconds: float) -> None:
    """Let time pass at the host, once it has handled everything that was sent."""
    clock.advance(seconds)
    host.send_due()


def test_a_delayed_answer_leaves_when_its_time_has_come_and_holds_nobody_up() -> None:
    clock = ManualClock()
    with acting(DELAYED, clock=clock) as host, terminal(host) as (line, client):
        stan = send(line, client)
        # The echo's answer shows that the sale was handled, and that it is still held.
        assert client.send(client.echo(), sealed=False) is not None
        reach(host, clock, 4.9)
        assert client.send(client.echo(), sealed=False) is not None
        reach(host, clock, 0.1)
        assert stan_of(line, client) == stan


def test_held_answers_leave_in_the_order_in_which_they_are_due_and_before_what_is_asked_then() -> None:
    clock = ManualClock()
    with acting(DELAYED, clock=clock) as host, terminal(host) as (line, client):
        stans = [send(line, client), send(line, client)]
        assert client.send(client.echo(), sealed=False) is not None
        clock.advance(5)
        line.send(client.payload(client.echo(), sealed=False))
        assert [stan_of(line, client), stan_of(line, client)] == stans
        data = line.receive()
        assert data is not None
        assert client.read(data).message.mti == "0830"


def test_time_that_passes_while_a_request_is_handled_counts() -> None:
    clock = ManualClock()
    with (
        acting(DELAYED, clock=clock, on_event=lambda _event: clock.advance(5)) as host,
        terminal(host) as (line, client),
    ):
        assert send(line, client) == stan_of(line, client)


def test_a_real_clock_needs_nobody_to_move_it() -> None:
    with BackgroundServer() as host, terminal(host) as (_, client):
        scenario = parse('[[rule]]\nname = "r"\naction = { do = "delay", seconds = 0.05 }', "f.toml")
        host.call(lambda: host.acquirer.stage(scenario))
        assert client.ask(client.sale(1_000)) == "00"


def test_an_answer_may_come_several_times() -> None:
    with acting('{ do = "duplicate", copies = 3 }') as host, terminal(host) as (line, client):
        stan = send(line, client)
        assert [stan_of(line, client) for _ in range(3)] == [stan] * 3


@pytest.mark.parametrize("action", [DELAYED, LATE])
def test_an_answer_whose_connection_has_ended_is_not_sent_to_another_terminal(action: str) -> None:
    clock = ManualClock()
    with acting(action, clock=clock) as host, terminal(host, "T0000002") as (_, client):
        with terminal(host) as (other_line, other):
            send(other_line, other)
            assert other.send(other.echo(), sealed=False) is not None
            other_line.socket.shutdown(1)
            assert other_line.receive() is None
        reach(host, clock, 5)
        assert client.send(client.echo(), sealed=False) is not None


def test_a_late_answer_finds_the_connection_its_terminal_has_spoken_on_last_and_a_delayed_one_does_not() -> None:
    clock = ManualClock()
    for action, finds in ((LATE, True), (DELAYED, False)):
        with acting(action, clock=clock) as host, terminal(host) as (idle_line, idle):
            with terminal(host) as (line, client):
                stan = send(line, client)
                assert client.send(client.echo(), sealed=False) is not None
                line.socket.shutdown(1)
                assert line.receive() is None
            newest = Line(host.port)
            speaker = HostClient(newest.exchange)
            assert speaker.send(speaker.echo(), sealed=False) is not None
            reach(host, clock, 5)
            if finds:
                assert stan_of(newest, speaker) == stan
            assert speaker.send(speaker.echo(), sealed=False) is not None
            idle_line.send(idle.payload(idle.echo(), sealed=False))
            data = idle_line.receive()
            assert data is not None
            assert idle.read(data).message.mti == "0830"
            newest.close()


def test_answers_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "HELD_ANSWERS_MAX", 1)
    clock = ManualClock()
    with acting(DELAYED, clock=clock) as host, terminal(host) as (line, client):
        first, _ = send(line, client), send(line, client)
        assert client.send(client.echo(), sealed=False) is not None
        reach(host, clock, 5)
        assert stan_of(line, client) == first
        assert client.send(client.echo(), sealed=False) is not None


def test_a_host_that_stops_does_not_wait_for_what_it_holds_nor_remember_it() -> None:
    clock = ManualClock()
    with acting(DELAYED, clock=clock) as host:
        line = Line(host.port)
        client = HostClient(line.exchange)
        client.sign_on()
        send(line, client)
        assert client.send(client.echo(), sealed=False) is not None
    line.close()
    with host, terminal(host) as (_, client):
        reach(host, clock, 5)
        assert client.send(client.echo(), sealed=False) is not None


def test_a_host_that_never_ran_has_nothing_to_send() -> None:
    BackgroundServer().send_due()
