"""A reversal must not overtake its sale, so its first attempt takes the road of the sale: on real sockets."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import limits
from pos_engine.errors import NoAnswer
from pos_engine.flow.outcomes import InDoubt
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.support.echo_host import WAIT_S, frame, read_frame
from tests.support.leaping_clock import LeapingClock
from tests.support.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.terminal import Terminal

PATIENCE_S: Final = 0.5
REVERSAL: Final = "0400"
SALE: Final = Amount.cny("12.34")


class Relay:
    """A road to a host, which can be shut, opened and made to swallow; it knows which messages have passed."""

    def __init__(self, host: BackgroundServer) -> None:
        self.passed: list[bytes] = []
        self.swallows = False
        self._host = host
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def open(self) -> None:
        self._listener.listen()
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(WAIT_S)
        self._listener.close()

    def types(self) -> list[str]:
        """List the message types that have passed: behind five bytes of TPDU and six of header."""
        return [payload[11:13].hex() for payload in self.passed]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(WAIT_S)
                with connection, suppress(OSError):
                    self._relay(connection)

    def _relay(self, connection: socket.socket) -> None:
        while (payload := read_frame(connection)) is not None:
            self.passed.append(payload)
            if self.swallows:
                continue
            with socket.create_connection((self._host.host, self._host.port), WAIT_S) as onward:
                onward.sendall(frame(payload))
                answer = read_frame(onward)
            if answer is not None:
                connection.sendall(frame(answer))


@contextmanager
def a_shop_with_two_roads(
    folder: Path, *, first_is_open: bool
) -> Iterator[tuple[Relay, Relay, LeapingClock, Terminal]]:
    """Open a signed-on terminal with two roads to one host, each with little patience."""
    clock = LeapingClock()
    with ExitStack() as stack:
        host = stack.enter_context(BackgroundServer())
        first, second = Relay(host), Relay(host)
        stack.callback(first.close)
        stack.callback(second.close)
        second.open()
        if first_is_open:
            first.open()
        address = f"{first.address}?answer_s={PATIENCE_S}, {second.address}?answer_s={PATIENCE_S}"
        terminal = stack.enter_context(Shop(folder, host.port).open(address=address, clock=clock))
        terminal.sign_on()
        yield first, second, clock, terminal


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


def test_a_setting_of_a_road_that_was_used_before_counts(tmp_path: Path) -> None:
    """The address of another road is taken as it is said, also when it was said otherwise before."""
    with a_shop_with_two_roads(tmp_path, first_is_open=True) as (_, second, _, terminal):
        terminal.use_route(second.address)
        terminal.echo()
        terminal.use_route(None)
        terminal.use_route(f"{second.address}?keep=no")
        terminal.echo()
        assert not any(each.connected for each in terminal.status().routes)
