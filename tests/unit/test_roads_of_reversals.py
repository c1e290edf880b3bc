"""A reversal must not overtake its sale, so its first attempt takes the road of the sale: on real sockets."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import limits
from pos_engine.errors import NoAnswer
from pos_engine.flow.outcomes import InDoubt
from pos_engine.values import Amount
from tests.support.shop import Shop
from tests.support.two_roads import PATIENCE_S, a_shop_with_two_roads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REVERSAL: Final = "0400"
SALE: Final = Amount.cny("12.34")


def test_the_first_reversal_takes_the_road_of_its_sale_though_an_echo_was_silent_before(tmp_path: Path) -> None:
    """Over another road a reversal may overtake its sale, which the host then books behind it: money is lost.

    The sale's was the second silence in a row, so its road is given a rest before the first reversal.
    """
    with a_shop_with_two_roads(tmp_path, first_is_open=True) as (first, second, _, terminal):
        first.swallows = True
        with pytest.raises(NoAnswer):
            terminal.echo()
        assert isinstance(terminal.sale(SALE), InDoubt)
        first.swallows = False
        terminal.tick()
        assert REVERSAL not in second.types()
        assert REVERSAL in first.types()


def test_the_first_reversal_takes_the_road_of_its_sale_though_a_better_one_has_rested(tmp_path: Path) -> None:
    """The sale went over the second road; by the time of its reversal the first one is preferred again."""
    with a_shop_with_two_roads(tmp_path, first_is_open=False) as (first, second, clock, terminal):
        second.swallows = True
        assert isinstance(terminal.sale(SALE), InDoubt)
        second.swallows = False
        first.open()
        clock.leap(limits.ROUTE_REST_FIRST_S + 1)
        terminal.tick()
        assert REVERSAL not in first.types()
        assert REVERSAL in second.types()


def test_the_first_reversal_takes_the_road_of_its_sale_though_the_usual_roads_are_back_in_use(tmp_path: Path) -> None:
    """A contingency plan takes another road for one sale; when that ends in doubt, so must its reversal."""
    with a_shop_with_two_roads(tmp_path, first_is_open=True) as (first, second, _, terminal):
        terminal.use_route(f"{second.address}?answer_s={PATIENCE_S}")
        second.swallows = True
        assert isinstance(terminal.sale(SALE), InDoubt)
        terminal.use_route(None)
        second.swallows = False
        terminal.tick()
        assert REVERSAL not in first.types()
        assert REVERSAL in second.types()


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Press Ctrl-C while something waits."""

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_the_first_reversal_takes_the_road_of_a_sale_that_was_cut_short(
    tmp_path: Path,
    is_restarted: bool,  # noqa: FBT001 - a case
) -> None:
    """Whoever interrupts the wait, and starts the terminal anew, still has the sale before its reversal."""
    with a_shop_with_two_roads(tmp_path, first_is_open=False) as (first, second, clock, terminal):
        second.swallows = True
        with pytest.raises(KeyboardInterrupt), interrupted_after(PATIENCE_S / 2):
            terminal.sale(SALE)
        assert "0200" in second.types()
        second.swallows = False
        first.open()
        if is_restarted:
            terminal.close()
            roads = ", ".join(f"{road.address}?answer_s={PATIENCE_S}" for road in (first, second))
            with Shop(tmp_path, 1).open(address=roads, clock=clock) as anew:
                anew.tick()
        else:
            clock.leap(limits.ROUTE_REST_FIRST_S + 1)
            terminal.tick()
        assert REVERSAL not in first.types()
        assert REVERSAL in second.types()
