"""The issuer's accounts: opened once, and kept with the books."""

from __future__ import annotations

from simulators.acquirer.issuer import Issuer
from simulators.cards import CARDS
from simulators.ledger import Ledger, card_account


def test_accounts_are_opened_once_and_keep_what_was_spent() -> None:
    ledger, card = Ledger(), CARDS["everyday"]
    issuer = Issuer(CARDS.values(), ledger)
    assert [issuer.available(each) for each in CARDS.values()] == [each.balance_minor for each in CARDS.values()]
    again = Issuer(CARDS.values(), ledger)
    assert again.available(card) == ledger.available(card_account(card.name)) == card.balance_minor
    assert again.named("everyday") == card
    assert again.named("nobody") is None
