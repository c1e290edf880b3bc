"""The keyboard as card reader and PIN pad, for trials without hardware. Production profiles refuse both.

The card is typed as a number, or as track 2 with its separator; neither is echoed, and the PIN neither.
"""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from pos_engine.crypto.pinblock import FORMATS
from pos_engine.errors import UsageError
from pos_engine.system import entropy
from pos_engine.values import Card

if TYPE_CHECKING:
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.crypto.pinblock import PinFormat
    from pos_engine.keystore.base import KeyStore
    from pos_engine.values import Amount, Pan, PinBlock


def _ask(prompt: str) -> str:
    """Ask on the terminal without echo, or read a line of standard input where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt).strip()
    line = sys.stdin.readline()
    if not line:
        reason = "the console reader needs a card on standard input, or a terminal to ask on"
        raise UsageError(reason)
    return line.strip()


class ConsoleCardReader:
    """Reads `NUMBER`, `NUMBER YYMM` or track 2 from the keyboard or standard input."""

    def read(self, amount: Amount | None) -> Card:
        """Ask for a card for this amount."""
        entered = _ask(f"Card for {amount or 'an inquiry'} (number and expiry YYMM, or track 2): ")
        if "=" in entered or "D" in entered.upper():
            return Card.stripe(entered)
        number, _, expiry = entered.partition(" ")
        return Card.keyed(number, expiry.strip() or None)


class ConsolePinPad:
    """Takes a PIN from the keyboard or standard input; an empty line is no PIN."""

    def __init__(self, keystore: KeyStore, form: PinFormat = FORMATS["iso-0"]) -> None:
        """Take the keystore that encrypts for it, and the format of the block, of `crypto.pinblock.FORMATS`."""
        self._keystore = keystore
        self._form = form

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Ask for the PIN and return its encrypted block."""
        pin = _ask(f"PIN for {amount or 'an inquiry'} (enter for none): ")
        return self._keystore.pin_block(key, self._form.build(pin, pan, entropy)) if pin else None
