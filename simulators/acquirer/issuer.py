"""The issuer's part: which card was presented, whether it may pay, whether the PIN is right.

Decided where sources are silent: a card that has a PIN needs it for a sale and for an inquiry, and without one they are
declined with 55, which is not counted as a try. The third wrong PIN answers 38, everything after it 75, the right PIN
too. A block that cannot be read (99) is no try. A refund or a void gives money back to the card that paid, so neither
PIN, expiry nor a list is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from pos_engine.values import Pan, Track2
from simulators.acquirer.codes import Code
from simulators.ledger import card_account

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pos_engine.wire.message import Message
    from simulators.acquirer.enrolment import WorkingKeys
    from simulators.cards import SimulatedCard
    from simulators.ledger import Ledger

PIN_TRIES_MAX: Final = 3


class Issuer:
    """The cards; their accounts and wrong PINs are in the ledger."""

    def __init__(self, cards: Iterable[SimulatedCard], ledger: Ledger) -> None:
        """Open an account for each card, as far as the books have none yet."""
        self._ledger = ledger
        self._cards = {card.pan: card for card in cards}
        self._by_name = {card.name: card for card in self._cards.values()}
        self.open_accounts()

    def open_accounts(self) -> None:
        """Open the accounts that are missing: all of them in new books."""
        for card in self._cards.values():
            if not self._ledger.is_open(card_account(card.name)):
                self._ledger.open_account(card_account(card.name), card.balance_minor)

    def named(self, name: str) -> SimulatedCard | None:
        """Look a card up by its name in the ledger."""
        return self._by_name.get(name)

    def available(self, card: SimulatedCard) -> int:
        """Return the fen that a card can still spend."""
        return self._ledger.available(card_account(card.name))

    def identify(self, request: Message) -> SimulatedCard | Code:
        """Find the card a request presents, by number or by track; the code says why not."""
        number, track = request.get(2), request.get(35)
        try:
            presented = {Pan(number)} if number is not None else set()
            presented |= {Track2(track).pan} if track is not None else set()
        except UsageError:
            return Code.UNKNOWN_CARD
        if len(presented) != 1:
            return Code.FORMAT_ERROR
        return self._cards.get(presented.pop(), Code.UNKNOWN_CARD)

    def check(self, card: SimulatedCard, request: Message, keys: WorkingKeys, today: datetime) -> str:
        """Decide whether a card may be used, whatever for; returns field 39."""
        if card.refusal is not None:
            return card.refusal
        if card.expiry < today.strftime("%y%m") or request.get(14, card.expiry) != card.expiry:
            return Code.EXPIRED_CARD
        return self._check_pin(card, request, keys) or Code.APPROVED

    def _check_pin(self, card: SimulatedCard, request: Message, keys: WorkingKeys) -> Code | None:
        block = request.get(52)
        if block is None:
            return None if card.pin is None else Code.WRONG_PIN
        pin = keys.read_pin(bytes.fromhex(block), request.get(53, ""), card.pan)
        if pin is None:
            return Code.UNREADABLE_PIN
        if card.pin is None:
            return None
        wrong = self._ledger.wrong_pins(card.name)
        if wrong >= PIN_TRIES_MAX:
            return Code.PIN_BLOCKED
        self._ledger.note_pin_tries(card.name, 0 if pin == card.pin else wrong + 1)
        if pin == card.pin:
            return None
        return Code.LAST_PIN_TRY_WRONG if wrong + 1 == PIN_TRIES_MAX else Code.WRONG_PIN
