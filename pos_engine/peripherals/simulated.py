"""A PIN pad that always enters the same PIN, for tests, demos and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine.crypto.pinblock import format0

if TYPE_CHECKING:
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.keystore.base import KeyStore
    from pos_engine.values import Amount, Pan, PinBlock


class SimulatedPinPad:
    """Enters the same PIN every time; `None` is a cardholder who just presses enter."""

    def __init__(self, keystore: KeyStore, pin: str | None) -> None:
        """Take the keystore that encrypts for it, because a simulated pad has no hardware of its own."""
        self._keystore = keystore
        self._pin = pin

    def __repr__(self) -> str:
        """Say what it is, not which PIN it enters."""
        return f"<SimulatedPinPad {'without' if self._pin is None else 'with'} a PIN>"

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Block and encrypt the PIN; the amount would be on the display."""
        del amount
        return None if self._pin is None else self._keystore.pin_block(key, format0(self._pin, pan))
