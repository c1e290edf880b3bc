"""What a terminal does about its roads: patience, a sign of life, a connection for each request, another address."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import NotSent, UsageError
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.support.leaping_clock import LeapingClock
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.terminal import Terminal

SALE = Amount.cny("12.34")
UNANSWERED = Amount.cny("9.97")
"""The simulated host books amounts that end in 9.97, and says nothing."""
PATIENCE_S = 0.3


@pytest.fixture
def host() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture
def shop(tmp_path: Path, host: BackgroundServer) -> Shop:
    return Shop(tmp_path, host.port)


@contextmanager
def opened(shop: Shop, host: BackgroundServer, clock: LeapingClock, settings: str) -> Iterator[Terminal]:
    """Open a terminal whose one road has these settings, signed on."""
    with shop.open(address=f"{host.address}?{settings}", clock=clock) as terminal:
        terminal.sign_on()
        yield terminal


def echoes(host: BackgroundServer) -> int:
    return sum(event.kind == Kind.ECHO.value for event in host.events)


def test_a_road_with_less_patience_ends_the_wait(shop: Shop, host: BackgroundServer, clock: LeapingClock) -> None:
    with opened(shop, host, clock, f"answer_s={PATIENCE_S}") as terminal:
        began_s = clock()
        assert isinstance(terminal.sale(UNANSWERED), InDoubt)
        assert clock() - began_s < 5
        terminal.tick()
    assert shop.owed() == 0
    assert differences(shop.records(), host.ledger()) == []


@pytest.mark.parametrize("settings", ["keep=no", "keep=yes"])
def test_a_connection_for_each_request_is_not_kept(
    settings: str, shop: Shop, host: BackgroundServer, clock: LeapingClock
) -> None:
    with opened(shop, host, clock, settings) as terminal:
        assert isinstance(terminal.sale(SALE), Approved)
        assert terminal.status().routes[0].connected is (settings == "keep=yes")


def test_a_quiet_connection_is_tried_out_by_tick(shop: Shop, host: BackgroundServer, clock: LeapingClock) -> None:
    with opened(shop, host, clock, "echo_s=300") as terminal:
        again_in_s = terminal.tick().again_in_s
        assert again_in_s is not None
        assert 0 < again_in_s <= 300
        clock.leap(200)
        terminal.tick()
        assert echoes(host) == 0
        clock.leap(100)
        again_in_s = terminal.tick().again_in_s
        assert echoes(host) == 1
        assert again_in_s is not None
        assert again_in_s > 200


def test_a_connection_that_does_not_answer_the_sign_of_life_is_given_up(
    shop: Shop, host: BackgroundServer, clock: LeapingClock
) -> None:
    with opened(shop, host, clock, f"echo_s=300&answer_s={PATIENCE_S}") as terminal:
        clock.leap(300)
        host.shut()
        tick = terminal.tick()
        assert tick.idle
        assert not terminal.status().routes[0].connected
        host.open()
        assert isinstance(terminal.sale(SALE), Approved)


def test_another_address_is_used_until_it_is_given_up(shop: Shop, host: BackgroundServer, clock: LeapingClock) -> None:
    with opened(shop, host, clock, "keep=yes") as terminal:
        with pytest.raises(UsageError, match="an address is written"):
            terminal.use_route("http://127.0.0.1")
        terminal.use_route("tcp://127.0.0.1:1")
        with pytest.raises(NotSent):
            terminal.sale(SALE)
        terminal.use_route(None)
        assert isinstance(terminal.sale(SALE), Approved)
