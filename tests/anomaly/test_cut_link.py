"""The link is cut before, at and after every byte of a sale's request and of its answer: the books agree afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import NotSent
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.support.cutting_proxy import Cut, CuttingProxy, Direction, Fault
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.terminal import Terminal

SALE = Amount.cny("12.34")
BYTES_MAX = 400
"""Neither a sale's request nor its answer has more bytes."""


@pytest.fixture
def host() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


def sell_through(shop: Shop, host: BackgroundServer, cut: Cut) -> tuple[object, bool]:
    """Sell over a connection that breaks as the cut says; what the cashier saw, and whether the fault struck at all."""
    with CuttingProxy(("127.0.0.1", host.port), cut) as proxy, shop.open(port=proxy.address[1]) as terminal:
        try:
            outcome: object = terminal.sale(SALE)
        except NotSent as error:
            outcome = error
    # Only now has the proxy's thread ended: the terminal may see a cut before the proxy has noted that it made one.
    return outcome, proxy.struck.is_set()


def settle(terminal: Terminal) -> None:
    """Let what is owed be done over a whole link."""
    for _ in range(3):
        terminal.tick()


@pytest.mark.parametrize("fault", [Fault.FIN, Fault.RST])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_link_cut_at_any_byte_of_a_sale_costs_nobody_anything(
    direction: Direction, fault: Fault, tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port)
    with shop.open() as terminal:
        terminal.sign_on()
    for after in range(BYTES_MAX):
        outcome, struck = sell_through(shop, host, Cut(fault, direction, after))
        with shop.open() as terminal:
            settle(terminal)
        assert shop.owed() == 0
        if not struck:
            assert isinstance(outcome, Approved)
            break
        assert isinstance(outcome, InDoubt | NotSent | Approved)
    else:
        pytest.fail("the sale has more bytes than a message can have")
    assert differences(shop.records(), host.ledger()) == []
    assert after > 100


def test_a_host_that_stalls_is_given_up_at_the_deadline_and_the_sale_is_reversed(
    tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port, answer_timeout_s=0.3)
    with shop.open() as terminal:
        terminal.sign_on()
    for direction in Direction:
        outcome, _ = sell_through(shop, host, Cut(Fault.STALL, direction, 20))
        assert isinstance(outcome, InDoubt)
        with shop.open() as terminal:
            settle(terminal)
    assert differences(shop.records(), host.ledger()) == []
    assert shop.owed() == 0


@pytest.mark.parametrize("direction", list(Direction))
def test_a_flipped_bit_anywhere_in_a_sale_costs_nobody_anything(
    direction: Direction, tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port, answer_timeout_s=0.2)
    for after in range(0, BYTES_MAX, 7):
        with shop.open() as terminal:
            terminal.tick()
        outcome, struck = sell_through(shop, host, Cut(Fault.FLIP, direction, after, bit=after % 8))
        with shop.open() as terminal:
            settle(terminal)
        if not struck:
            break
        assert differences(shop.records(), host.ledger()) == [], (after, outcome)
    assert shop.owed() == 0
