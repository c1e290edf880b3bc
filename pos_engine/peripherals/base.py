"""What an integrator supplies: reader, PIN pad, supervisor. The engine sees an encrypted PIN block, never a PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import Kind
    from pos_engine.values import Amount, Card, Pan, PinBlock


class CardReader(Protocol):
    """Anything that can present a card."""

    def read(self, amount: Amount | None) -> Card:
        """Wait for a card and return it; `amount` is `None` for an inquiry.

        Raises `UsageError` when the cardholder gives up.
        """
        ...


class PinPad(Protocol):
    """Anything that takes a PIN and gives it out only encrypted."""

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Return the encrypted PIN block under `key`, or `None` when the cardholder enters no PIN.

        ISO 9564 format 0 with a key for 3DES (and DES, where the key has 8 bytes); with one for SM4, the 16-byte block.
        """
        ...


class Supervisor(Protocol):
    """Whoever may allow what a cashier alone may not: voids, refunds, and taking over what the terminal cannot end."""

    def allows(self, kind: Kind, amount: Amount | None, stan: str) -> bool:
        """Tell whether a void or refund of `amount` of the sale with this STAN may be made; nothing was sent yet.

        With the kind of what is in doubt, a reversal's or a refund's, it is about taking that over.
        """
        ...
