"""The two devices an integrator supplies. The engine sees a card, and an encrypted PIN block; it never sees a PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.values import Amount, Card, Pan, PinBlock


class CardReader(Protocol):
    """Anything that can present a card."""

    def read(self, amount: Amount) -> Card:
        """Wait for a card and return it; raises `UsageError` when the cardholder gives up."""
        ...


class PinPad(Protocol):
    """Anything that takes a PIN and gives it out only encrypted."""

    def pin_block(self, pan: Pan, amount: Amount, key: WrappedKey) -> PinBlock | None:
        """Return the ISO 9564 format 0 block under `key`, or `None` when the cardholder enters no PIN."""
        ...
