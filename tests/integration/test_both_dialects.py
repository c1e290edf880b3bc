"""The same terminal against hosts of both dialects, over TCP: every kind, and every loss, ends with equal books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine import config
from pos_engine.dialects.registry import DIALECTS
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.system import entropy
from pos_engine.terminal import Terminal
from pos_engine.values import Amount, Card
from simulators.acquirer import Acquirer
from simulators.server import BackgroundServer
from tests.support.shop import IDENTITY, Shop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", list(DIALECTS))
def test_a_day_in_each_dialect_ends_with_equal_books(name: str, tmp_path: Path) -> None:
    with BackgroundServer(Acquirer(entropy=entropy, dialect=DIALECTS[name])) as host:
        shop = Shop(tmp_path, host.port)
        settings = config.load(shop.path, overrides={"terminal.dialect": name})
        with Terminal.open(settings) as terminal:
            assert isinstance(terminal.echo(), Approved)
            first = terminal.sale(Amount.cny("12.34"), key="first")
            assert isinstance(first, Approved)
            assert terminal.sale(Amount.cny("12.34"), key="first") == first
            assert isinstance(terminal.refund(Amount.cny("2.34"), original=first.reference), Approved)
            second = terminal.sale(Amount.cny("20.00"))
            assert isinstance(second, Approved)
            assert isinstance(terminal.void(second.reference), Approved)
            balance = terminal.balance()
            assert isinstance(balance, Approved)
            assert str(balance.balance) == "99990.00 CNY"
            assert isinstance(terminal.sale(Amount.cny("9.51")), Declined)
            for amount in ("9.94", "9.95", "9.96"):
                assert isinstance(terminal.sale(Amount.cny(amount)), InDoubt)
            keyed = Card.keyed("6229990000000004", "4912")
            assert isinstance(terminal.sale(Amount.cny("5.00"), card=keyed), Declined)
            assert terminal.tick().owed == 0
            assert isinstance(terminal.upload_status("011"), Approved)
            lines = terminal.status(recent=100).recent
            assert isinstance(terminal.sign_off(), Approved)
        ledger = host.ledger()
    for line in lines:
        if line.about_money:
            assert line.moved_minor == ledger.effects_of(IDENTITY.terminal, line.batch, line.stan), line
