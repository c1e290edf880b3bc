"""A PIN pad that always enters the same PIN, for tests, demos and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine.crypto.pinblock import FORMATS
from pos_engine.system import entropy

if TYPE_CHECKING:
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.crypto.pinblock import PinFormat
    from pos_engine.keystore.base import KeyStore
    from pos_engine.values import Amount, Pan, PinBlock


class SimulatedPinPad:
    """Enters the same PIN every time; `None` is a cardholder who just presses enter."""

    def __init__(self, keystore: KeyStore, pin: str | None, form: PinFormat = FORMATS["iso-0"]) -> None:
        """Take the keystore that encrypts for it, because a simulated pad has no hardware of its own, and the format.

        The format is a value of `crypto.pinblock.FORMATS`: the one that the acquirer's key scheme names.
        """
        self._keystore = keystore
        self._pin = pin
        self._form = form

    def __repr__(self) -> str:
        """Say what it is, not which PIN it enters."""
        return f"<SimulatedPinPad {'without' if self._pin is None else 'with'} a PIN>"

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Block and encrypt the PIN; the amount would be on the display."""
        del amount
        if self._pin is None:
            return None
        return self._keystore.pin_block(key, self._form.build(self._pin, pan, entropy))
