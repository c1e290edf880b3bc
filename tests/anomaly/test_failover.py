"""Two roads to one acquirer, two ports over one ledger: whatever breaks on the first, a sale has one effect at most."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import Trouble
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.values import Amount
from simulators.faults import TcpProxy
from simulators.server import BackgroundServer
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALE = Amount.cny("12.34")
BYTES_MAX = 400
"""Neither a sale's request nor its answer has more bytes."""
CLOSED = "tcp://127.0.0.1:1"
"""A port at which nobody listens."""


@pytest.fixture
def host() -> Iterator[BackgroundServer]:
    with BackgroundServer(listen=["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]) as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, host: BackgroundServer) -> Shop:
    """A shop whose terminal has signed on."""
    made = Shop(tmp_path, host.port)
    with made.open() as terminal:
        terminal.sign_on()
    return made


@pytest.mark.parametrize("is_dead_afterwards", [False, True], ids=["first-road-back", "first-road-dead"])
@pytest.mark.parametrize("fault", ["fin", "rst"])
@pytest.mark.parametrize("direction", ["to-host", "to-terminal"])
def test_a_sale_cut_at_any_byte_of_the_first_road_has_one_effect_at_most(
    direction: str, fault: str, *, is_dead_afterwards: bool, shop: Shop, host: BackgroundServer
) -> None:
    second = host.addresses[1]
    struck, outcomes = 0, set()
    for after in itertools.count():
        assert after < BYTES_MAX, "the sale has more bytes than a message can have"
        with TcpProxy(("127.0.0.1", host.port), f"{fault} {direction} at {after} connection 1") as proxy:
            terminal = shop.open(address=f"tcp://127.0.0.1:{proxy.address[1]}, {second}")
            outcome = terminal.sale(SALE)
            if not is_dead_afterwards:
                terminal.tick()
        with terminal:
            for _ in range(3):
                terminal.tick()
            states = terminal.status().routes
        outcomes.add(type(outcome))
        if not proxy.passed.faults:
            break
        struck += 1
        if is_dead_afterwards and isinstance(outcome, InDoubt):
            assert states[0].trouble is not None
    assert struck > 100
    assert outcomes == {Approved, InDoubt}
    assert shop.owed() == 0
    assert differences(shop.records(), host.ledger()) == []


def test_a_sale_takes_the_second_road_while_nothing_has_left_on_the_first(shop: Shop, host: BackgroundServer) -> None:
    with shop.open(address=f"{CLOSED}, {host.addresses[1]}") as terminal:
        assert isinstance(terminal.sale(SALE), Approved)
        first, second = terminal.status().routes
        assert (first.name, first.trouble, first.connected) == (CLOSED, Trouble.REFUSED, False)
        assert (second.trouble, second.connected) == (None, True)
        # Whoever asks why it took so long finds it with the transaction.
        assert any(f"went another way: {CLOSED}" in note for note in shop.records()[-1].notes)
    assert differences(shop.records(), host.ledger()) == []


def test_a_quiet_moment_goes_back_to_the_first_road(shop: Shop, host: BackgroundServer) -> None:
    host.shut(0)
    with shop.open(address=", ".join(host.addresses)) as terminal:
        assert isinstance(terminal.sale(SALE), Approved)
        host.open(0)
        tick = terminal.tick()
        # It rests for half a minute yet, and tick says when it will have rested.
        assert tick.again_in_s is not None
        assert 0 < tick.again_in_s <= 30
        assert [each.connected for each in terminal.status().routes] == [False, True]


def test_a_host_that_restarts_elsewhere_loses_nothing(shop: Shop, host: BackgroundServer) -> None:
    with shop.open(address=", ".join(host.addresses)) as terminal:
        for number in (0, 1, 0, 1):
            host.shut(number)
            assert isinstance(terminal.sale(SALE), Approved | InDoubt)
            host.open(number)
        for _ in range(4):
            terminal.tick()
    assert shop.owed() == 0
    assert differences(shop.records(), host.ledger()) == []
