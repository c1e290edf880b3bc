"""After a day with everything that can go wrong, no file, output or error holds a card number, a PIN block or a key."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
from typing import TYPE_CHECKING, Literal

import pytest

from pos_engine.cli import main
from pos_engine.crypto.pinblock import format0
from pos_engine.errors import PosError
from pos_engine.flow.outcomes import Approved
from pos_engine.system import entropy
from pos_engine.values import Amount, Card
from simulators.acquirer import Acquirer, terminal_master_key
from simulators.acquirer.enrolment import odd_parity
from simulators.cards import CARDS
from simulators.prove.canaries import Canary, search, sightings
from simulators.server import BackgroundServer
from tests.support.shop import CARD, IDENTITY, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening

KEYED = "6229990000000004"


class PinBlocks:
    """A trace that collects what must never be found."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def before(self, effect: Effect) -> None:
        """Ignore it."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Keep PIN blocks."""
        del direction
        if 52 in packet.message:
            self.seen.add(packet.message[52])


class Issued:
    """A source of random bytes that remembers what it gave: the working keys before their parity was set."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        """Give random bytes."""
        self.keys.append(odd_parity(entropy(size)))
        return self.keys[-1]


@pytest.fixture
def issued() -> Issued:
    return Issued()


@pytest.fixture
def host(issued: Issued) -> Iterator[BackgroundServer]:
    with BackgroundServer(Acquirer(entropy=issued)) as server:
        yield server


def a_bad_day(shop: Shop, blocks: PinBlocks) -> list[str]:
    """Sell, refund, be declined, lose answers and stay in doubt; what was raised, as it would be logged."""
    raised = []
    with shop.open(trace=blocks) as terminal:
        sold = terminal.sale(Amount.cny("12.34"))
        assert isinstance(sold, Approved)
        terminal.refund(Amount.cny("1.00"), original=sold.reference)
        for amount in ("9.51", "9.77", "9.95", "9.96", "9.94", "9.60"):
            terminal.sale(Amount.cny(amount))
        terminal.sale(Amount.cny("3.00"), card=Card.keyed(KEYED, "4912"))
        terminal.sale(Amount.cny("9.96"), card=Card.keyed(KEYED, "4912"))
        for card in ("123", KEYED[:-1] + "X"):
            try:
                terminal.sale(Amount.cny("1.00"), card=Card.keyed(card))
            except PosError:
                raised.append(traceback.format_exc())
        raised.append(repr(terminal.status(recent=50)))
    return raised


def canaries(issued: Issued, blocks: PinBlocks) -> list[Canary]:
    card = CARDS[CARD]
    assert card.pin is not None
    return [
        Canary("card number", card.pan.reveal()),
        Canary("keyed card number", KEYED),
        Canary("track 2", card.track2.reveal()),
        Canary("clear PIN block", format0(card.pin, card.pan)),
        Canary("master key", terminal_master_key(IDENTITY.terminal).reveal()),
        *(Canary(f"working key {number}", key) for number, key in enumerate(issued.keys)),
        *(Canary("PIN block", bytes.fromhex(block)) for block in blocks.seen),
    ]


def test_a_bad_day_leaves_no_secret_anywhere(
    tmp_path: Path, host: BackgroundServer, issued: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop, blocks = Shop(tmp_path, host.port), PinBlocks()
    raised = a_bad_day(shop, blocks)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        for arguments in (
            ["sale", "8.00", "-vv"],
            ["sale", "9.51", "-vv", "--json"],
            ["status", "--json"],
            ["sign-on", "-vv"],
        ):
            with pytest.raises(SystemExit):
                main([*arguments, "--config", str(shop.path)])
    assert "0200" in printed.getvalue()
    looked_for = canaries(issued, blocks)
    assert len(looked_for) > 10
    said = "\n".join([*raised, printed.getvalue(), caplog.text, *(repr(event) for event in host.events)])
    assert list(sightings(said.encode(), looked_for)) == []
    # The wrapping key's file is a key by purpose: it holds none of those looked for, only what opens the keystore.
    assert search([tmp_path], looked_for) == []


def test_the_scan_finds_what_is_planted(tmp_path: Path) -> None:
    card = CARDS[CARD]
    planted = [Canary("card number", card.pan.reveal()), Canary("key", bytes(range(200, 216)))]
    for canary in planted:
        for encoding, written in canary.encodings().items():
            (tmp_path / "planted").write_bytes(b"before" + written + b"after")
            assert f"planted: {canary.name} as {encoding}" in search([tmp_path], [canary])
            (tmp_path / "planted").unlink()


def test_a_card_number_that_is_still_owed_is_sealed_and_gone_when_it_is_not(
    tmp_path: Path, host: BackgroundServer
) -> None:
    shop = Shop(tmp_path, host.port)
    with shop.open() as terminal:
        terminal.sale(Amount.cny("9.96"), card=Card.keyed(KEYED, "4912"))
    assert search([tmp_path], [Canary("card number", KEYED)]) == []
    assert [record.request.get(2) for record in shop.records() if record.stan == "000002"] == [KEYED]
    with shop.open() as terminal:
        assert terminal.tick().owed == 0
    assert [record.request.get(2) for record in shop.records() if record.stan == "000002"] == [None, None]
