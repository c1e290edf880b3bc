"""The keystore of a world: the shipped one, which remembers what it has checked, and may fail for a while.

Unwrapping two keys before every sale is a third of the price of one; the answer for the same keys is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.pinblock import FORMATS
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.errors import KeyFault
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.values import KeyBytes
from simulators.acquirer import terminal_master_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import KeyScheme
    from pos_engine.values import Amount, Pan, PinBlock

STORAGE_KEY: Final = KeyBytes(bytes(range(32)))


def _unwatched(_what: str, _key: WrappedKey) -> None:
    """Let a key be used unseen."""


class WorldKeys:
    """A `KeyStore` for one terminal; it is never closed, as a security module is not by a power cut."""

    __slots__ = ("_good", "_store", "failing", "scheme", "watch")

    def __init__(self, terminal: str, scheme: KeyScheme | None = None) -> None:
        """Hold the terminal's keys, for a key scheme or the usual one."""
        self.scheme = scheme or SCHEMES[USUAL]
        """What the keys are for."""
        algorithm = self.scheme.algorithm
        self._store = SoftwareKeyStore(terminal_master_key(terminal, algorithm), STORAGE_KEY, algorithm=algorithm)
        self._good: set[tuple[WrappedKey, ...]] = set()
        self.failing = 0
        """How many of the next checks fail."""
        self.watch: Callable[[str, WrappedKey], None] = _unwatched
        """Hears of every use of a working key: what for, and which."""

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
        self.watch("mac", wrapped)
        return self._store.mac(wrapped, algorithm, data)

    def mac_once(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return a MAC under a key of earlier."""
        self.watch("late", wrapped)
        return self._store.mac_once(wrapped, algorithm, data)

    def retire(self, in_force: Iterable[WrappedKey]) -> None:
        """Forget all other keys."""
        self._store.retire(in_force)

    @property
    def algorithm(self) -> Algorithm:
        """The cipher of the master key."""
        return self._store.algorithm

    def pin_block(self, wrapped: WrappedKey, clear_block: bytes) -> PinBlock:
        """Encrypt a PIN block."""
        self.watch("pin", wrapped)
        return self._store.pin_block(wrapped, clear_block)

    def track(self, wrapped: WrappedKey, track: str) -> str:
        """Encrypt a track."""
        self.watch("track", wrapped)
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

    __slots__ = ("_entropy", "_keys", "pin")

    def __init__(self, keys: WorldKeys, pin: str | None, entropy: Callable[[int], bytes]) -> None:
        """Take the keys that encrypt for it, and what fills a block up, where its format wants that."""
        self._keys = keys
        self._entropy = entropy
        self.pin = pin

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Block and encrypt the PIN."""
        del amount
        if self.pin is None:
            return None
        return self._keys.pin_block(key, FORMATS[self._keys.scheme.pin_format].build(self.pin, pan, self._entropy))
