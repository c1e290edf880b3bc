"""Keys in files, for development, tests and machines without a secure element. Its name is what production refuses.

The keystore is a box sealed under a wrapping key (`pos_engine.keystore.box`), which is a file, a systemd credential or
made of a passphrase (`pos_engine.keystore.wrapping`). Put file and keystore on different media where you can; who has
both has the master key. Python cannot wipe memory; `close` drops every reference, and that is all it promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pos_engine.crypto import keys, mac, seal
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.crypto.track import encrypt as encrypt_track
from pos_engine.errors import KeyFault, UsageError
from pos_engine.keystore.box import Box, check_sizes
from pos_engine.keystore.wrapping import KeyFile
from pos_engine.values import KeyBytes, PinBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pos_engine.keystore.wrapping import WrappingKey


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as it may be shown: its name, its algorithm, its bytes, three bytes of check value in hex."""

    name: str
    algorithm: str
    size: int
    check_value: str


class SoftwareKeyStore:
    """A `KeyStore` whose keys are in this process's memory.

    Unwrapped working keys are kept ready, one per usage: the moment another key of a usage is used, the old one is
    dropped, so that no more than three are ever in memory. `retire` drops at once what a sign-on has replaced, whether
    its successor is used or not; and a key of earlier that proves a late answer is kept by nobody.
    """

    __slots__ = ("_algorithm", "_storage", "_tmk", "_working")

    def __init__(self, tmk: KeyBytes | None, storage: KeyBytes, *, algorithm: Algorithm = Algorithm.TDES) -> None:
        """Hold a master key for 3DES or SM4, or none yet, and a storage key of 32 bytes.

        `open` and `create` are the usual way.
        """
        check_sizes(tmk, storage, algorithm)
        self._algorithm = algorithm
        self._tmk: KeyBytes | None = tmk
        self._storage: KeyBytes | None = storage
        self._working: dict[KeyUsage, tuple[WrappedKey, BlockCipher]] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        wrapping_key: Path | WrappingKey,
        *,
        tmk: KeyBytes,
        entropy: Callable[[int], bytes],
        algorithm: Algorithm = Algorithm.TDES,
    ) -> Self:
        """Write a keystore, and its wrapping key where that is a file; `entropy(n)` gives n unpredictable bytes.

        Raises `ConfigError` when one of the files exists already or cannot be written: nothing is ever overwritten.
        """
        box = Box.create(path, _place(wrapping_key), tmk=tmk, entropy=entropy, algorithm=algorithm)
        return cls.of(box)

    @classmethod
    def open(cls, path: Path, wrapping_key: Path | WrappingKey) -> Self:
        """Read a keystore; a path is the wrapping key's file.

        Raises `ConfigError` for a file that is missing, malformed or readable by others, `KeyFault` when the wrapping
        key does not open the keystore.
        """
        return cls.of(Box.open(path, _place(wrapping_key)))

    @classmethod
    def of(cls, box: Box) -> Self:
        """Hold the keys of an opened keystore."""
        return cls(box.tmk, box.storage, algorithm=box.algorithm)

    def __repr__(self) -> str:
        """Return the type alone; `describe` gives check values."""
        return f"{type(self).__name__}({'closed' if self._storage is None else 'open'})"

    @property
    def algorithm(self) -> Algorithm:
        """The cipher that the master key is for."""
        return self._algorithm

    def check(self, wrapped: Iterable[WrappedKey]) -> None:
        """Unwrap every key and compare its check value; the `KeyFault` names the usage of the first that is wrong."""
        for key in wrapped:
            self._unwrapped(key)

    def mac(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return the MAC over `data`, as it is sent; a `KeyFault` when `wrapped` is no MAC key."""
        return mac.compute(algorithm, self._cipher(wrapped, KeyUsage.MAC), data)

    def mac_once(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return the MAC under a key that is unwrapped for this one use; a `KeyFault` when it is no MAC key."""
        _check_usage(wrapped, KeyUsage.MAC)
        cipher = BlockCipher(self._unwrapped(wrapped), wrapped.algorithm)
        try:
            return mac.compute(algorithm, cipher, data)
        finally:
            cipher.close()

    def retire(self, in_force: Iterable[WrappedKey]) -> None:
        """Drop every working key that is kept ready and not among these."""
        kept = set(in_force)
        for usage, (wrapped, cipher) in tuple(self._working.items()):
            if wrapped not in kept:
                cipher.close()
                del self._working[usage]

    def pin_block(self, wrapped: WrappedKey, clear_block: bytes) -> PinBlock:
        """Encrypt a clear PIN block, one block of the key's cipher; a `KeyFault` when `wrapped` is no PIN key."""
        cipher = self._cipher(wrapped, KeyUsage.PIN)
        if len(clear_block) != cipher.block_size:
            reason = f"a PIN block has {cipher.block_size} bytes with {cipher.algorithm.value}"
            raise UsageError(reason)
        return PinBlock(cipher.encrypt(clear_block))

    def track(self, wrapped: WrappedKey, track: str) -> str:
        """Return a track as fields 35 and 36 carry it; a `KeyFault` when `wrapped` is no track key, or one for SM4."""
        return encrypt_track(self._cipher(wrapped, KeyUsage.TRACK), track)

    def storage_key(self) -> KeyBytes:
        """Return the 32-byte key under which card data is sealed and the journal is chained."""
        if self._storage is None:
            raise _closed()
        return self._storage

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Return the keys with three bytes of check value; for the storage key, which is no DES key, of a digest."""
        return tuple((key.name, key.check_value) for key in self.held())

    def held(self) -> tuple[HeldKey, ...]:
        """Return the keys as they may be shown; without a master key that is the storage key alone."""
        storage = self.storage_key()
        storage_check = keys.show(seal.keyed_digest(storage, b"check value"))
        held = HeldKey("storage key", "aes-256-gcm", seal.KEY_SIZE, storage_check)
        if self._tmk is None:
            return (held,)
        master_check = keys.show(keys.check_value(self._tmk, self._algorithm))
        size = len(self._tmk.reveal())
        return HeldKey("terminal master key", self._algorithm.value, size, master_check), held

    def size_of(self, wrapped: WrappedKey) -> int | None:
        """Return how many bytes a working key has, perhaps fewer than its cryptogram; `None` when it does not open."""
        try:
            return len(self._unwrapped(wrapped).reveal())
        except KeyFault:
            return None

    def close(self) -> None:
        """Forget every key; closing twice is allowed."""
        for _, cipher in self._working.values():
            cipher.close()
        self._working.clear()
        self._tmk = self._storage = None

    def _master(self) -> KeyBytes:
        if self._storage is None:
            raise _closed()
        if self._tmk is None:
            reason = "the keystore holds no terminal master key; `pos-engine session keys load` puts one in"
            raise KeyFault(reason)
        return self._tmk

    def _unwrapped(self, wrapped: WrappedKey) -> KeyBytes:
        if wrapped.algorithm is not self._algorithm:
            reason = f"a {wrapped.usage.value} for {wrapped.algorithm.value} under a key for {self._algorithm.value}"
            raise KeyFault(reason)
        return keys.unwrap(self._master(), wrapped)

    def _cipher(self, wrapped: WrappedKey, usage: KeyUsage) -> BlockCipher:
        _check_usage(wrapped, usage)
        known = self._working.get(usage)
        if known is not None and known[0] == wrapped:
            return known[1]
        cipher = BlockCipher(self._unwrapped(wrapped), wrapped.algorithm)
        if known is not None:
            known[1].close()
        self._working[usage] = (wrapped, cipher)
        return cipher


def _check_usage(wrapped: WrappedKey, usage: KeyUsage) -> None:
    if wrapped.usage is not usage:
        reason = f"a {wrapped.usage.value} cannot serve as {usage.value}"
        raise KeyFault(reason)


def _place(wrapping_key: Path | WrappingKey) -> WrappingKey:
    return KeyFile(wrapping_key) if isinstance(wrapping_key, Path) else wrapping_key


def _closed() -> KeyFault:
    reason = "the key store is closed"
    return KeyFault(reason)
