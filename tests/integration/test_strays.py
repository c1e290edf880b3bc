"""A host that reflects, repeats and talks out of turn, over a real socket: the terminal answers none of it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.journal.record import StraySort
from pos_engine.system import SystemClock
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.support.echo_host import WAIT_S, EchoHost, frame, read_frame
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pos_engine.clock import Instant

MTI = slice(11, 13)
"""Behind the TPDU and the header."""


def chatterer(port: int, heard: list[str], *, is_idle: bool) -> Callable[[socket.socket], None]:
    """Relay to a host; reflect each request, repeat the answer before it, and talk on when nobody has asked."""
    answers: list[bytes] = []

    def relay(terminal: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as host:
            while (request := read_frame(terminal)) is not None:
                heard.append(request[MTI].hex())
                terminal.sendall(b"".join(map(frame, (request, *answers[-1:]))))
                host.sendall(frame(request))
                answer = read_frame(host)
                assert answer is not None
                answers.append(answer)
                more = (answer, request) if is_idle else ()
                terminal.sendall(b"".join(map(frame, (answer, *more))))

    return relay


def test_what_a_host_says_unasked_is_never_answered_and_is_on_record(tmp_path: Path) -> None:
    heard: list[str] = []
    with (
        BackgroundServer() as server,
        EchoHost(chatterer(server.port, heard, is_idle=False)) as line,
    ):
        shop = Shop(tmp_path, line.address[1], answer_timeout_s=WAIT_S)
        with shop.open() as terminal:
            outcomes = [terminal.sale(Amount.cny("1.00")) for _ in range(3)]
        assert all(isinstance(outcome, Approved) for outcome in outcomes)
        assert heard == ["0800", "0200", "0200", "0200"]
        assert line.accepted == 1
        assert differences(shop.records(), server.ledger()) == []
    sorts = [[stray.sort for stray in record.strays] for record in shop.records()]
    both = [StraySort.UNSOLICITED, StraySort.DUPLICATE]
    assert sorts == [[StraySort.UNSOLICITED], both, both, both]


def test_what_lies_in_the_connection_before_a_request_is_set_aside_and_on_record(tmp_path: Path) -> None:
    heard: list[str] = []
    with (
        BackgroundServer() as server,
        EchoHost(chatterer(server.port, heard, is_idle=True)) as line,
    ):
        shop = Shop(tmp_path, line.address[1], answer_timeout_s=WAIT_S)
        with shop.open() as terminal:
            outcomes = [terminal.sale(Amount.cny("1.00")) for _ in range(2)]
        assert all(isinstance(outcome, Approved) for outcome in outcomes)
        assert heard == ["0800", "0200", "0200"]
        assert differences(shop.records(), server.ledger()) == []
    _sign_on, first, second = shop.records()
    for record, answered in ((first, 1), (second, first.number)):
        early = [stray for stray in record.strays if stray.before]
        assert {stray.sort for stray in early} == {StraySort.DUPLICATE, StraySort.UNSOLICITED}
        assert [stray.request for stray in early if stray.sort is StraySort.DUPLICATE] == [answered]


class SleepingClock:
    """The machine's own clock; whoever looks at it while the machine sleeps sees the time at which it wakes."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._slept_s = 0.0
        self._awake = threading.Event()
        self._awake.set()

    def now(self) -> Instant:
        """Return the present moment."""
        assert self._awake.wait(WAIT_S)
        now = self._clock.now()
        return replace(now, elapsed_s=now.elapsed_s + self._slept_s)

    @contextmanager
    def asleep(self, seconds: float) -> Iterator[None]:
        """Let the machine sleep while something happens outside."""
        self._awake.clear()
        yield
        self._slept_s = seconds
        self._awake.set()


def test_an_answer_that_is_read_after_its_deadline_is_late_for_its_request_and_proof_for_its_reversal(
    tmp_path: Path,
) -> None:
    clock = SleepingClock()
    seen: list[str] = []

    def relay(terminal: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as host:
            while (request := read_frame(terminal)) is not None:
                seen.append(request[MTI].hex())
                # The terminal sleeps past its deadline while the answer to its sale is on its way.
                with clock.asleep(2 * WAIT_S) if seen == ["0800", "0200"] else nullcontext():
                    host.sendall(frame(request))
                    answer = read_frame(host)
                    assert answer is not None
                    terminal.sendall(frame(answer))

    with BackgroundServer() as server, EchoHost(relay) as line:
        shop = Shop(tmp_path, line.address[1], answer_timeout_s=WAIT_S)
        with shop.open(clock=clock) as terminal:
            lost = terminal.sale(Amount.cny("1.00"))
            assert isinstance(lost, InDoubt)
            assert isinstance(terminal.sale(Amount.cny("2.00")), Approved)
            explained = terminal.explain(lost.stan)
        assert seen == ["0800", "0200", "0400", "0200"]
        assert differences(shop.records(), server.ledger()) == []
    _sign_on, sale, reversal, _second = shop.records()
    assert sale.strays == ()
    assert reversal.approval_proven
    assert [(stray.sort, stray.request, stray.before) for stray in reversal.strays] == [
        (StraySort.LATE, sale.number, True)
    ]
    (arrival,) = explained.arrivals
    assert arrival.what.en.startswith("its answer, a 0210 with code 00, was read ")
    assert arrival.what.en.endswith(f"during reversal {sale.stan}")
