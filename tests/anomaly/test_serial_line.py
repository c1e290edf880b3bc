"""A real terminal and the simulated host on a real serial line, a pair of ptys, and everything that happens to a byte.

Every byte of every frame and acknowledgement of a sign-on, a sale, a reversal and a void is flipped, dropped, doubled
and preceded by another one, and the line is unplugged at every byte of a sale. Afterwards no frame was handed to either
application twice, no call came back later than a second after its deadline, and the books of both ends agree.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from pos_engine import limits
from pos_engine.assembly import assemble
from pos_engine.config import settle
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import LinkError, NotSent, NotSignedOn, Trouble
from pos_engine.flow.effects import Listen, Send
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.flow.plan import owed
from pos_engine.journal.memory import MemoryJournal
from pos_engine.terminal import Terminal
from pos_engine.values import Amount
from simulators.bench import Bench
from simulators.faults import PtyProxy
from simulators.server import BackgroundServer
from tests.support.leaping_clock import LeapingClock
from tests.support.line_pairs import EchoingLine, FarLine, LinePair, SocatLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening

PRICE: Final = Amount.cny("12.34")
INSERTED: Final = (0x02, 0x03, 0x04, 0x05, 0x06, 0x15, 0x00, 0xFF)
ANSWERS: Final = {"0200": "0210", "0400": "0410", "0800": "0810"}
FRAMED_BYTES: Final = 6
"""STX, length, ETX, LRC; and the ACK that goes the same way."""
CASES_MIN: Final = 3_600
STRIKE_S: Final = 5.0
SETTLING_MAX: Final = 60
"""Attempts to work off what is owed over a whole line; its host may still be deaf for some tenths of a second."""


@pytest.fixture(autouse=True)
def _short_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    # A pty takes no time, so the timers need not allow for any; the rules are the same.
    monkeypatch.setattr(limits, "LINE_ACK_S", 0.05)
    monkeypatch.setattr(limits, "LINE_INTER_BYTE_S", 0.01)


class Watch:
    """A trace: counts what the terminal's application sent and was handed, and how late each exchange came back."""

    def __init__(self, clock: LeapingClock) -> None:
        self._clock = clock
        self.sent: Counter[tuple[str, str]] = Counter()
        self.received: Counter[tuple[str, str]] = Counter()
        self.sizes = {"sent": 0, "received": 0}
        self.latest_s = 0.0

    def before(self, _effect: Effect) -> None:
        pass

    def after(self, effect: Effect, _happened: Happening) -> None:
        if isinstance(effect, Send | Listen):
            self.latest_s = max(self.latest_s, self._clock() - effect.deadline_s)

    def message(self, direction: str, packet: Packet) -> None:
        message = packet.message
        self.sizes[direction] = FRAMED_BYTES + len(packet.encode())
        (self.sent if direction == "sent" else self.received)[message.mti, message.get(11, "")] += 1


class Shop:
    """A terminal whose host is at the end of a serial line."""

    def __init__(self, pair: LinePair | None = None, *, answer_timeout_s: float = 1.0) -> None:
        self.bench = Bench()
        self.clock = LeapingClock()
        self.watch = Watch(self.clock)
        self.line = PtyProxy()
        self._pair = pair
        self.cases = 0
        self._journal = MemoryJournal(UNIONPAY.spec)
        self._handled: Counter[tuple[str, str]] = Counter()
        self._read = 0
        self._answer_timeout_s = answer_timeout_s

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            if self._pair is None:
                opened.enter_context(self.line)
                address, host = f"serial://{self.line.terminal_device}", self.line.host_device
            else:
                opened.enter_context(self._pair)
                address, host = self._pair.address, self._pair.host_device
            self.host = BackgroundServer(self.bench.acquirer, listen=f"serial://{host}")
            opened.enter_context(self.host)
            self.terminal = self.open(address)
            opened.callback(self.terminal.close)
            self.terminal.sign_on()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def open(self, address: str) -> Terminal:
        settings: dict[str, str | bool | float] = {
            "terminal.id": "T0000001",
            "terminal.merchant": "M00000000000001",
            "acquirer.address": address,
            "acquirer.answer_timeout_s": self._answer_timeout_s,
            "peripherals.reader": "simulated",
            "peripherals.pin_pad": "simulated",
            "peripherals.card": "everyday",
        }
        self.profile, performer = assemble(
            settle(settings, folder=Path()),
            trace=self.watch,
            clock=self.clock,
            keystore=self.bench.keystore(),
            journal=self._journal,
        )
        return Terminal(self.profile, performer)

    def settle(self) -> None:
        """Work off what is owed over a whole line."""
        for _ in range(SETTLING_MAX):
            if not self.owed():
                return
            self.terminal.tick()
            self.clock.leap(limits.BACKOFF_MAX_S / 60)
        pytest.fail("what is owed cannot be worked off")

    def owed(self) -> bool:
        return any(True for _ in owed(self._journal, self.profile, self.clock.now()))

    def do(self, act: Callable[[], object], fault: str | None = None) -> object:
        """Do something while a fault waits for its byte; what came of it, and what holds afterwards of everything."""
        strikes = len(self.line.passed.strikes)
        if fault is not None:
            self.line.fail(fault)
            self.cases += 1
        try:
            outcome = act()
        except (LinkError, NotSignedOn) as error:
            outcome = error
        if fault is not None:
            assert self.line.wait_for_strikes(strikes + 1, STRIKE_S), fault
            self.line.smooth()
            self.wait_until_plugged()
        self.check(fault)
        return outcome

    def check(self, what: object) -> None:
        """No frame was handed to an application twice, and nothing came back late."""
        events, self._read = self.host.events[self._read :], len(self.host.events)
        self._handled.update((event.mti, event.stan) for event in events)
        assert sorted((self._handled - self.watch.sent).elements()) == [], what
        answers = Counter({(ANSWERS[mti], stan): count for (mti, stan), count in self._handled.items()})
        assert sorted((self.watch.received - answers).elements()) == [], what
        assert self.watch.latest_s < 1.0, what

    def books(self) -> list[str]:
        """Where the books of both ends differ."""
        return self.bench.books.differences(self.terminal)

    def last_trouble(self) -> Trouble | None:
        """What the newest record says was seen."""
        return next(iter(self._journal.recent(1))).trouble

    def wait_until_plugged(self) -> None:
        """An unplugged line comes back in its own time."""
        deadline = time.monotonic() + STRIKE_S
        while not Path(self.line.terminal_device).exists():
            assert time.monotonic() < deadline


def no_preparation(_shop: Shop) -> None:
    """Nothing is needed."""


def owe_a_reversal(shop: Shop) -> None:
    """Sell, and lose the line as soon as the host has acknowledged the request."""
    shop.do(lambda: shop.terminal.sale(PRICE), "unplug to-terminal 1ms at 1 times 1")
    shop.cases -= 1


def sign_on(shop: Shop) -> object:
    return shop.terminal.sign_on()


def sell(shop: Shop) -> object:
    return shop.terminal.sale(PRICE)


def reverse(shop: Shop) -> object:
    return shop.terminal.tick()


def inquire(shop: Shop) -> object:
    return shop.terminal.balance()


EXCHANGES: Final = {
    "sign-on": (no_preparation, sign_on),
    "sale": (no_preparation, sell),
    "reversal": (owe_a_reversal, reverse),
    "balance": (no_preparation, inquire),
}
MISHAPS: Final = ("flip", "drop", "double", "insert")


def fault_of(mishap: str, direction: str, at: int) -> str:
    """Write one fault: another bit, and another inserted byte, at each place."""
    if mishap == "flip":
        return f"flip {direction} at {at}.{at % 8} times 1"
    value = f" 0x{INSERTED[at % len(INSERTED)]:02X}" if mishap == "insert" else ""
    return f"{mishap} {direction}{value} at {at} times 1"


def strike_every_byte(shop: Shop, exchange: str, mishap: str) -> Counter[str]:
    """Have a mishap at every byte of an exchange, in either direction; how often it ended how."""
    prepare, act = EXCHANGES[exchange]
    prepare(shop)
    act(shop)
    sizes = {"to-host": shop.watch.sizes["sent"], "to-terminal": shop.watch.sizes["received"]}
    endings: Counter[str] = Counter()
    for direction, size in sizes.items():
        for at in range(size):
            prepare(shop)
            outcome = shop.do(lambda: act(shop), fault_of(mishap, direction, at))
            endings[type(outcome).__name__] += 1
            shop.settle()
    return endings


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_mishap_of_any_byte_costs_nobody_anything(exchange: str, mishap: str) -> None:
    with Shop() as shop:
        endings = strike_every_byte(shop, exchange, mishap)
        shop.settle()
        shop.check("afterwards")
        assert shop.books() == []
        assert endings.total() == shop.cases
        # One byte is mended by the line itself: nobody but it notices. A busy machine may be too slow for its timers.
        assert endings["Approved"] + endings["Tick"] > shop.cases * 0.9


@pytest.mark.parametrize("direction", ["to-host", "to-terminal"])
def test_a_line_unplugged_at_any_byte_of_a_sale_costs_nobody_anything(direction: str) -> None:
    with Shop() as shop:
        sell(shop)
        for at in range(shop.watch.sizes["sent" if direction == "to-host" else "received"]):
            outcome = shop.do(lambda: sell(shop), f"unplug {direction} 1ms at {at} times 1")
            assert isinstance(outcome, InDoubt | Approved | NotSent), at
            shop.settle()
        assert shop.books() == []


def test_there_are_as_many_cases_as_the_documents_say() -> None:
    sizes: Counter[str] = Counter()
    with Shop() as shop:
        for name, (prepare, act) in EXCHANGES.items():
            prepare(shop)
            act(shop)
            sizes[name] = sum(shop.watch.sizes.values())
    assert sizes.total() * len(MISHAPS) + sizes["sale"] >= CASES_MIN


@pytest.mark.parametrize("answers", [0, 1, 2, 3])
def test_acks_and_answers_of_the_host_that_are_lost_cost_a_repetition_each(answers: int) -> None:
    with Shop() as shop:
        sell(shop)
        size = shop.watch.sizes["received"]
        # An ACK and an answer come, and after that an answer each time; each loses its first byte.
        for at in (0, *(1 + (size - 1) * number for number in range(answers))):
            shop.line.fail(f"drop to-terminal at {at} times 1")
        outcome = shop.do(lambda: sell(shop))
        shop.settle()
        assert isinstance(outcome, Approved | InDoubt)
        assert shop.books() == []


@pytest.mark.parametrize("direction", ["to-host", "to-terminal"])
@pytest.mark.parametrize("fault", ["drop", "double", "insert"])
def test_a_bad_line_costs_time_and_nothing_else(fault: str, direction: str) -> None:
    with Shop(answer_timeout_s=0.5) as shop:
        for _ in range(15):
            shop.line.fail(f"{fault} {direction} 1%")
            shop.do(lambda: sell(shop))
            shop.line.smooth()
            shop.settle()
        assert shop.books() == []


@pytest.mark.parametrize(
    "fault", ["split to-host 40", "split to-terminal 7", "delay to-terminal 20ms", "stall to-host 30ms at 50"]
)
def test_a_slow_line_costs_time_and_nothing_else(fault: str) -> None:
    with Shop() as shop:
        for _ in range(5):
            shop.line.fail(fault)
            shop.do(lambda: sell(shop))
            shop.line.smooth()
            shop.settle()
        assert shop.books() == []


@contextmanager
def babbling(device: str, data: bytes, pause_s: float) -> Iterator[None]:
    """Somebody at the host's end who says nothing but this, for ever, and reads everything."""
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    done = threading.Event()

    def babble() -> None:
        while not done.wait(pause_s):
            with suppress(BlockingIOError):
                os.write(fd, data)
            with suppress(BlockingIOError):
                os.read(fd, 4096)

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(STRIKE_S)
        os.close(fd)


@pytest.mark.parametrize("pause_s", [0.001, 0.03])
@pytest.mark.parametrize("word", [b"\x15", b"\x06", b"\x05", b"\x04", b"\x02", b"\x00", b"noise"], ids=bytes.hex)
def test_whoever_says_one_thing_for_ever_is_given_up_in_time(word: bytes, pause_s: float) -> None:
    with Shop(answer_timeout_s=0.5) as shop:
        shop.host.__exit__(None, None, None)
        with babbling(shop.line.host_device, word, pause_s):
            outcome = shop.do(lambda: sell(shop))
        assert isinstance(outcome, InDoubt | NotSent)
        shop.host.__enter__()
        shop.settle()
        assert isinstance(shop.do(lambda: sell(shop)), Approved)
        assert shop.books() == []


def test_a_host_that_is_not_there_is_noticed_by_the_line_long_before_the_answer_timeout() -> None:
    with Shop(answer_timeout_s=30.0) as shop:
        shop.host.__exit__(None, None, None)
        started = time.monotonic()
        outcome = shop.do(lambda: sell(shop))
        assert isinstance(outcome, InDoubt)
        assert shop.last_trouble() is Trouble.NOT_ACKNOWLEDGED
        assert time.monotonic() - started < 15.0
        shop.host.__enter__()
        shop.settle()
        assert shop.books() == []


def test_a_line_that_is_not_plugged_in_sends_nothing() -> None:
    with Shop() as shop:
        shop.line.unplug()
        for _ in range(2):
            outcome = shop.do(lambda: sell(shop))
            assert isinstance(outcome, NotSent)
            assert outcome.trouble is Trouble.NO_DEVICE
        shop.line.replug()
        assert isinstance(shop.do(lambda: sell(shop)), Approved)
        assert shop.books() == []


def test_a_line_that_echoes_costs_nobody_anything() -> None:
    with Shop(EchoingLine()) as shop:
        for _ in range(20):
            assert isinstance(shop.do(lambda: sell(shop)), Approved)
        assert shop.books() == []


@pytest.mark.needs("socat")
def test_a_day_over_a_line_of_another_program(tmp_path: Path) -> None:
    with Shop(SocatLine(tmp_path)) as shop:
        for _ in range(20):
            sale = shop.do(lambda: sell(shop))
            assert isinstance(sale, Approved)
            reference = sale.reference
            assert isinstance(shop.do(lambda: shop.terminal.void(reference)), Approved)  # noqa: B023 - called at once
        assert shop.books() == []


def test_a_day_over_a_line_at_the_far_end_of_a_network() -> None:
    far = FarLine()
    with Shop(far) as shop:
        for _ in range(5):
            assert isinstance(shop.do(lambda: sell(shop)), Approved)
        far.server.drop_client()
        assert isinstance(shop.do(lambda: sell(shop)), Approved)
        assert shop.books() == []
