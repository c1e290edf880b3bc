"""The keystore of a world: the shipped one, which remembers what it has checked, and may fail for a while.

Unwrapping two keys before every sale is a third of the price of one; the answer for the same keys is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.pinblock import format0
from pos_engine.errors import KeyFault
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.values import KeyBytes
from simulators.acquirer import terminal_master_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.values import Amount, Pan, PinBlock

STORAGE_KEY: Final = KeyBytes(bytes(range(32)))


class WorldKeys:
    """A `KeyStore` for one terminal; it is never closed, as a security module is not by a power cut."""

    __slots__ = ("_good", "_store", "failing")

    def __init__(self, terminal: str) -> None:
        """Hold the terminal's keys."""
        self._store = SoftwareKeyStore(terminal_master_key(terminal), STORAGE_KEY)
        self._good: set[tuple[WrappedKey, ...]] = set()
        self.failing = 0
        """How many of the next checks fail."""

    def check(self, wrapped: Iterable[WrappedKey]) -> None:
        """Compare check values."""
        keys = tuple(wrapped)
        if self.failing > 0:
            self.failing -= 1
            reason = "the keystore does not open the working keys"
            raise KeyFault(reason)
        if keys not in self._good:
            self._store.check(keys)
            self._good.add(keys)

    def mac(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return a MAC."""
        return self._store.mac(wrapped, algorithm, data)

    def pin_block(self, wrapped: WrappedKey, clear_block: bytes) -> PinBlock:
        """Encrypt a PIN block."""
        return self._store.pin_block(wrapped, clear_block)

    def track(self, wrapped: WrappedKey, track: str) -> str:
        """Encrypt a track."""
        return self._store.track(wrapped, track)

    def storage_key(self) -> KeyBytes:
        """Return the storage key."""
        return STORAGE_KEY

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Describe the keys held."""
        return self._store.describe()

    def close(self) -> None:
        """Keep them."""


class WorldPinPad:
    """A `PinPad` at which whoever holds the card enters its PIN, or just presses enter."""

    __slots__ = ("_keys", "pin")

    def __init__(self, keys: WorldKeys, pin: str | None) -> None:
        """Take the keys that encrypt for it."""
        self._keys = keys
        self.pin = pin

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Block and encrypt the PIN."""
        del amount
        return None if self.pin is None else self._keys.pin_block(key, format0(self.pin, pan))
