"""A real terminal on a real link whose parts fail around it: keystore, reader, observer, journal, and the user."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import pytest

from pos_engine import config
from pos_engine.assembly import assemble
from pos_engine.errors import (
    ConfigError,
    JournalFault,
    KeyFault,
    LocalProtocolError,
    NotSent,
    PosError,
    UsageError,
)
from pos_engine.flow.effects import Effect, Emit, Happening
from pos_engine.flow.outcomes import Approved, InDoubt, Outcome
from pos_engine.journal.record import Record, State
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.peripherals.simulated import SimulatedPinPad
from pos_engine.session.states import SessionState
from pos_engine.terminal import Terminal
from pos_engine.values import Amount, Currency, KeyBytes
from simulators.cards import CARDS
from simulators.server import BackgroundServer
from tests.support.shop import CARD, Shop, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pos_engine.dialects.base import OriginalRef, Packet
    from pos_engine.keystore.base import KeyStore
    from pos_engine.performer import Performer
    from pos_engine.trace import Trace
    from pos_engine.values import Card
    from simulators.acquirer import Event

SALE = Amount.cny("12.34")
PART = Amount.cny("1.00")
BOOKED_AND_SILENT = Amount.cny("9.97")
TRUTHS = {"approved": SALE, "declined": Amount.cny("9.51"), "answer lost": Amount.cny("9.96")}
NEW_MASTER_KEY = KeyBytes(bytes.fromhex("FEDCBA98765432100123456789ABCDEF"))
SAVES_MAX = 20
"""No sale with all that is owed before it saves more often: a loop that gets there is a fault of its own."""
UNWRITABLE = Currency("1567", "ZZZ", 2)
"""Field 49 has three digits."""


@pytest.fixture
def host() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, host: BackgroundServer) -> Shop:
    return Shop(tmp_path, host.port, answer_timeout_s=2.0)


@dataclass
class Bell:
    """A trace that does something, once, at the first moment it is set to: "before Send", "after Save", "received"."""

    moment: str = ""
    count: int = 1
    ring: Callable[[], object] = lambda: None
    shown: list[Record] = field(default_factory=list)

    def set(self, moment: str, ring: Callable[[], object], count: int = 1) -> None:
        """Ring at the moment, when it comes for the nth time from now."""
        self.moment, self.ring, self.count = moment, ring, count

    def before(self, effect: Effect) -> None:
        """Hear an effect coming."""
        self._hear(f"before {type(effect).__name__}")

    def after(self, effect: Effect, happened: Happening) -> None:
        """Hear that an effect is over."""
        del happened
        if isinstance(effect, Emit):
            self.shown.append(effect.record)
        self._hear(f"after {type(effect).__name__}")

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Hear a message."""
        del packet
        self._hear(direction)

    def _hear(self, moment: str) -> None:
        if moment == self.moment:
            self.count -= 1
            if self.count == 0:
                self.ring()


def equipped(shop: Shop, trace: Trace | None = None, *, port: int | None = None) -> tuple[Terminal, Performer]:
    """Open a shop's terminal, perhaps against another host than the shop's, and keep hold of its parts."""
    overrides = {} if port is None else {"acquirer.address": f"tcp://127.0.0.1:{port}"}
    profile, performer = assemble(config.load(shop.path, overrides=overrides), trace=trace)
    return Terminal(profile, performer), performer


def fit(performer: Performer, keystore: KeyStore) -> None:
    """Put another keystore into a terminal; the simulated PIN pad encrypts with it too."""
    performer.keystore = keystore
    performer.pin_pad = SimulatedPinPad(keystore, CARDS[CARD].pin)


def repair(performer: Performer, shop: Shop) -> None:
    """Put the shop's keystore back."""
    fit(performer, SoftwareKeyStore.open(shop.folder / "keystore.json", shop.folder / "wrapping.key"))


def sold(terminal: Terminal) -> OriginalRef:
    outcome = terminal.sale(SALE)
    assert isinstance(outcome, Approved)
    return outcome.reference


def requests(shop: Shop) -> list[tuple[str, State]]:
    return [(record.kind.value, record.state) for record in shop.records()]


def agree(shop: Shop, host: BackgroundServer) -> bool:
    """Whether both books say the same, with nothing owed."""
    return differences(shop.records(), host.ledger()) == [] and shop.owed() == 0


def settled(shop: Shop, host: BackgroundServer) -> bool:
    """Let what is owed be done by a terminal that starts anew; whether both books agree then."""
    with shop.open() as terminal:
        terminal.tick()
    return agree(shop, host)


# The keystore.


def test_a_replaced_master_key_makes_a_sign_on_due_before_a_card_is_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same terminal, moved to a host that knows it under another key; the session of before seems to go on."""
    with shop.open() as terminal:
        sold(terminal)
    monkeypatch.setattr("simulators.acquirer.enrolment.terminal_master_key", lambda *_: NEW_MASTER_KEY)
    with BackgroundServer() as other:
        terminal, performer = equipped(shop, port=other.port)
        with terminal:
            fit(performer, SoftwareKeyStore(NEW_MASTER_KEY, performer.keystore.storage_key()))
            assert terminal.status().session is SessionState.READY
            sold(terminal)
    assert [kind for kind, _ in requests(shop)] == ["sign-on", "sale", "sign-on", "sale"]
    assert shop.owed() == 0


def test_a_master_key_that_only_the_terminal_has_is_told_and_no_card_is_asked_for(
    shop: Shop, host: BackgroundServer
) -> None:
    terminal, performer = equipped(shop)
    with terminal:
        sold(terminal)
        working, performer.reader = performer.reader, Abandoned()
        fit(performer, SoftwareKeyStore(NEW_MASTER_KEY, performer.keystore.storage_key()))
        for _ in range(2):
            with pytest.raises(KeyFault, match="check value"):
                terminal.sale(SALE)
        repair(performer, shop)
        performer.reader = working
        terminal.sign_on()
        sold(terminal)
    declined = [("sign-on", State.DECLINED)] * 2
    assert requests(shop)[:4] == [("sign-on", State.APPROVED), ("sale", State.APPROVED), *declined]
    assert settled(shop, host)


@pytest.mark.parametrize("order", ["sale", "refund"])
def test_a_keystore_that_fails_while_a_request_is_sealed_sends_nothing_and_makes_a_sign_on_due(
    order: str, shop: Shop, host: BackgroundServer
) -> None:
    bell = Bell()
    terminal, performer = equipped(shop, bell)
    with terminal:
        original = sold(terminal)
        booked = host.ledger().transactions
        bell.set("before Send", performer.keystore.close)
        with pytest.raises(NotSent, match="key store is closed"):
            terminal.sale(SALE) if order == "sale" else terminal.refund(PART, original=original)
        assert host.ledger().transactions == booked
        assert requests(shop)[-1] == (order, State.UNSENT)
        assert terminal.status().session is SessionState.EXPIRED
        repair(performer, shop)
        assert isinstance(terminal.refund(PART, original=original), Approved)
    assert [kind for kind, _ in requests(shop)] == ["sign-on", "sale", order, "sign-on", "refund"]
    assert settled(shop, host)


def test_a_keystore_that_fails_while_the_answer_of_a_sale_is_verified_leaves_it_in_doubt(
    shop: Shop, host: BackgroundServer
) -> None:
    bell = Bell()
    terminal, performer = equipped(shop, bell)
    with terminal:
        terminal.sign_on()
        bell.set("received", performer.keystore.close)
        assert isinstance(terminal.sale(SALE), InDoubt)
        assert terminal.status().session is SessionState.EXPIRED
        repair(performer, shop)
        terminal.tick()
        assert requests(shop) == [
            ("sign-on", State.APPROVED),
            ("sale", State.DOUBTFUL),
            ("sign-on", State.APPROVED),
            ("reversal", State.APPROVED),
        ]
    assert settled(shop, host)


def test_a_keystore_that_fails_while_the_answer_of_a_refund_is_verified_leaves_it_to_a_person(
    shop: Shop, host: BackgroundServer
) -> None:
    bell = Bell()
    terminal, performer = equipped(shop, bell)
    with terminal:
        original = sold(terminal)
        bell.set("received", performer.keystore.close)
        assert isinstance(terminal.refund(PART, original=original), InDoubt)
        repair(performer, shop)
        assert terminal.tick().owed == 1
        assert [duty.duty.en for duty in terminal.status().owed] == ["ask the acquirer what became of it"]
    # The host has booked it: that is what the person will be told.
    assert len(differences(shop.records(), host.ledger())) == 1


def test_a_keystore_that_fails_while_a_reversal_is_sealed_leaves_it_owed_and_makes_a_sign_on_due(
    shop: Shop, host: BackgroundServer
) -> None:
    bell = Bell()
    terminal, performer = equipped(shop, bell)
    with terminal:
        terminal.sign_on()
        assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
        bell.set("before Send", performer.keystore.close)
        tick = terminal.tick()
        # The sign-on was tried at once, and failed as long as the keystore did.
        assert requests(shop)[2:] == [("reversal", State.DOUBTFUL), ("sign-on", State.DECLINED)]
        assert (tick.owed, tick.failed) == (1, "the key store is closed")
        repair(performer, shop)
        sold(terminal)
    assert [kind for kind, _ in requests(shop)][4:] == ["sign-on", "sale"]
    assert agree(shop, host)


# Requests that cannot be written.


def test_a_refund_that_cannot_be_encoded_is_refused_before_it_is_journalled(shop: Shop) -> None:
    with shop.open() as terminal:
        original = sold(terminal)
        before = requests(shop)
        with pytest.raises(LocalProtocolError, match="field 38"):
            terminal.refund(PART, original=replace(original, auth_code="12"))
        assert requests(shop) == before
        assert isinstance(terminal.refund(PART, original=original), Approved)


def test_a_sale_that_cannot_be_encoded_is_refused_before_it_is_journalled(shop: Shop) -> None:
    with shop.open() as terminal:
        terminal.sign_on()
        before = requests(shop)
        with pytest.raises(LocalProtocolError, match="field 49"):
            terminal.sale(Amount(100, UNWRITABLE))
        assert requests(shop) == before
        assert terminal.tick().owed == 0
        sold(terminal)


# The card reader.


@dataclass
class Exhausted:
    """A reader written with an iterator, out of cards: its StopIteration must not pass for the end of the drive."""

    cards: tuple[Card, ...] = ()

    def read(self, amount: Amount | None) -> Card:
        """Return the next card."""
        del amount
        return next(iter(self.cards))


class Abandoned:
    """A reader whose cardholder gives up."""

    def read(self, amount: Amount | None) -> Card:
        """Give up."""
        del amount
        reason = "the cardholder gave up"
        raise UsageError(reason)


@pytest.mark.parametrize(("reader", "expected"), [(Exhausted(), StopIteration), (Abandoned(), UsageError)])
def test_what_a_reader_raises_comes_out_and_costs_nothing(
    reader: Exhausted | Abandoned, expected: type[Exception], shop: Shop
) -> None:
    terminal, performer = equipped(shop)
    with terminal:
        original = sold(terminal)
        working, before = performer.reader, requests(shop)
        performer.reader = reader
        with pytest.raises(expected):
            terminal.sale(SALE)
        with pytest.raises(expected):
            terminal.refund(PART, original=original)
        assert requests(shop) == before
        performer.reader = working
        assert isinstance(terminal.refund(PART, original=original), Approved)


# Calls into a terminal that is in the middle of one, or over.


MOMENTS = ["before Save", "after Save", "sent", "received", "after Send", "before Emit", "after Emit"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_terminal_refuses_to_be_called_from_within_its_own_call(
    moment: str, shop: Shop, host: BackgroundServer
) -> None:
    bell, refused = Bell(), list[str]()
    with shop.open(bell) as terminal:
        original = sold(terminal)

        def call() -> None:
            calls: list[Callable[[], object]] = [
                terminal.tick,
                terminal.sign_on,
                lambda: terminal.sale(SALE),
                lambda: terminal.refund(PART, original=original),
            ]
            for each in calls:
                try:
                    each()
                except UsageError as error:
                    refused.append(str(error))

        bell.set(moment, call)
        assert isinstance(terminal.sale(SALE), Approved)
        assert refused == ["the terminal is in the middle of another call"] * 4
        assert isinstance(terminal.sale(SALE), Approved)
    assert [kind for kind, _ in requests(shop)] == ["sign-on", "sale", "sale", "sale"]
    assert agree(shop, host)


def test_a_closed_terminal_says_so_to_every_call(shop: Shop) -> None:
    terminal = shop.open()
    original = sold(terminal)
    terminal.close()
    terminal.close()
    calls: list[Callable[[], object]] = [
        terminal.tick,
        terminal.status,
        terminal.sign_on,
        lambda: terminal.sale(SALE),
        lambda: terminal.refund(PART, original=original),
    ]
    for call in calls:
        with pytest.raises(PosError):
            call()


def test_an_opening_that_fails_leaves_the_journal_to_the_next(shop: Shop) -> None:
    settings = config.load(shop.path)
    with pytest.raises(ConfigError, match=r"peripherals\.card: one of"):
        Terminal.open(replace(settings, card="no-such-card"))
    with Terminal.open(settings) as terminal:
        sold(terminal)


@pytest.mark.parametrize(("word", "accepts"), [("accept", True), ("reverse", False)])
def test_the_configuration_decides_about_unsigned_declines(*, word: str, accepts: bool, shop: Shop) -> None:
    profile, performer = assemble(config.load(shop.path, overrides={"acquirer.unsigned_decline": word}))
    Terminal(profile, performer).close()
    assert profile.accepts_unsigned_declines is accepts


# Interrupts and dead links.


@pytest.mark.parametrize("amount", [SALE, BOOKED_AND_SILENT], ids=["the answer comes late", "no answer comes"])
def test_an_interrupt_while_waiting_leaves_a_sale_that_the_next_call_reverses(amount: Amount, tmp_path: Path) -> None:
    """The host interrupts the terminal the way Ctrl-C does, the moment it has booked the sale."""
    waiting = threading.get_ident()

    def interrupt(event: Event) -> None:
        if event.mti == "0200" and event.stan == "000002":
            signal.pthread_kill(waiting, signal.SIGINT)

    with BackgroundServer(on_event=interrupt) as host:
        shop = Shop(tmp_path, host.port)
        with shop.open() as terminal:
            terminal.sign_on()
            with pytest.raises(KeyboardInterrupt):
                terminal.sale(amount)
            assert requests(shop)[-1] == ("sale", State.PENDING)
            assert [outcome.kind.value for outcome in terminal.tick().done] == ["reversal"]
            sold(terminal)
        assert agree(shop, host)


def test_a_tick_over_a_dead_link_says_why_and_keeps_the_duty(shop: Shop, host: BackgroundServer) -> None:
    with shop.open() as terminal:
        terminal.sign_on()
        assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
    with BackgroundServer() as gone:
        port = gone.port
    with shop.open(port=port) as terminal:
        tick = terminal.tick()
    assert (tick.done, tick.owed) == ((), 1)
    assert tick.failed is not None
    assert "the reversal of STAN 000002 is still owed" in tick.failed
    assert tick.again_in_s is not None
    with shop.open() as terminal:
        # An order does not wait for the back-off, as a tick would.
        sold(terminal)
    assert agree(shop, host)


# The journal.


def sell_until_a_save_fails(shop: Shop, amount: Amount, count: int) -> tuple[Outcome | None, list[Record]]:
    """Sell with a journal that can no longer be written at the nth save; what the cashier got and saw."""
    bell = Bell()
    terminal, performer = equipped(shop, bell)
    bell.set("before Save", performer.journal.close, count)
    with terminal:
        try:
            return terminal.sale(amount), bell.shown
        except JournalFault:
            return None, bell.shown


@pytest.mark.parametrize("truth", list(TRUTHS))
def test_whichever_save_fails_nothing_is_shown_that_is_not_kept_and_both_books_agree(
    truth: str, shop: Shop, host: BackgroundServer
) -> None:
    for count in range(1, SAVES_MAX):
        outcome, shown = sell_until_a_save_fails(shop, TRUTHS[truth], count)
        kept = {(record.number, record.state) for record in shop.records()}
        assert {(record.number, record.state) for record in shown} <= kept
        assert settled(shop, host)
        if outcome is not None:
            assert count > 2
            return
    pytest.fail("the sale never ends")
