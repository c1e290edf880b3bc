"""The link is cut before, at and after every byte of a sale's request and of its answer: the books agree afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import NotSent
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.values import Amount
from simulators.faults import Direction, Fault, Kind, TcpProxy, parse_fault
from simulators.server import BackgroundServer
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


def sell_through(shop: Shop, host: BackgroundServer, fault: Fault) -> tuple[object, bool]:
    """Sell over a line with a fault; what the cashier saw, and whether the fault struck at all."""
    with TcpProxy(("127.0.0.1", host.port), fault) as proxy, shop.open(port=proxy.address[1]) as terminal:
        try:
            outcome: object = terminal.sale(SALE)
        except NotSent as error:
            outcome = error
    return outcome, bool(proxy.passed.strikes)


def settle(terminal: Terminal) -> None:
    """Let what is owed be done over a whole link."""
    for _ in range(3):
        terminal.tick()


@pytest.mark.parametrize("kind", [Kind.FIN, Kind.RST])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_link_cut_at_any_byte_of_a_sale_costs_nobody_anything(
    direction: Direction, kind: Kind, tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port)
    with shop.open() as terminal:
        terminal.sign_on()
    for after in range(BYTES_MAX):
        outcome, struck = sell_through(shop, host, Fault(kind, direction, at=after))
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
        outcome, _ = sell_through(shop, host, Fault(Kind.STALL, direction, at=20))
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
        outcome, struck = sell_through(shop, host, Fault(Kind.FLIP, direction, at=after, bit=after % 8))
        with shop.open() as terminal:
            settle(terminal)
        if not struck:
            break
        assert differences(shop.records(), host.ledger()) == [], (after, outcome)
    assert shop.owed() == 0


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("kind", [Kind.DROP, Kind.INSERT, Kind.DOUBLE, Kind.REPEAT, Kind.HALF_OPEN])
def test_bytes_lost_doubled_or_added_and_a_peer_gone_without_a_word_cost_nobody_anything(
    kind: Kind, direction: Direction, tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port, answer_timeout_s=0.2)
    for after in range(0, BYTES_MAX, 37):
        with shop.open() as terminal:
            terminal.tick()
        outcome, struck = sell_through(shop, host, Fault(kind, direction, at=after))
        with shop.open() as terminal:
            settle(terminal)
        if not struck:
            break
        assert differences(shop.records(), host.ledger()) == [], (after, outcome)
    assert shop.owed() == 0


def test_how_bytes_come_makes_no_difference_to_a_sale(tmp_path: Path, host: BackgroundServer) -> None:
    shop = Shop(tmp_path, host.port)
    manners = ("split {} 1", "split {} 7", "merge {} 50ms", "delay {} 50ms", "throttle {} 2000B/s")
    faults = [each.format(direction.value) for each in manners for direction in Direction]
    with TcpProxy(("127.0.0.1", host.port)) as proxy, shop.open(port=proxy.address[1]) as terminal:
        terminal.sign_on()
        for fault in faults:
            # A manner begins with a connection, or on one that is open.
            proxy.fail(fault)
            assert isinstance(terminal.sale(SALE), Approved), fault
            proxy.smooth()
        assert [str(each) for each in proxy.passed.faults] == [str(parse_fault(each)) for each in faults]
    assert differences(shop.records(), host.ledger()) == []
