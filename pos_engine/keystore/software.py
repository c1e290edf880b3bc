"""Keys in files, for development, tests and machines without a secure element. Its name is what production refuses.

Two files: the wrapping key, 32 bytes readable by its owner alone, and the keystore, a box sealed under it. Put them on
different media where you can; who has both has the master key. The keystore's file, nonce and box in hex:

    {"version": 1, "nonce": 12 bytes, "box": AES-256-GCM(wrapping key, nonce, storage key (32 bytes) + master key)}

A master key for SM4 adds `"algorithm": "sm4"`, which the box authenticates, so that nobody turns it into a 3DES key.
Nothing is ever overwritten: a lost master key means a visit of a technician, so replacing one is a person's decision.
Python cannot wipe memory; `close` drops every reference, and that is all it promises.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pos_engine import limits
from pos_engine.crypto import keys, mac, seal
from pos_engine.crypto.cipher import KEY_FAULTS, KEY_SIZES, Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.crypto.track import encrypt as encrypt_track
from pos_engine.errors import ConfigError, KeyFault, UsageError
from pos_engine.values import KeyBytes, PinBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION: Final = 1
"""Version of the file's layout; another one is refused."""

_ASSOCIATED: Final = {
    Algorithm.TDES: b"pos-engine keystore 1",
    Algorithm.SM4: b"pos-engine keystore 1, sm4",
}
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRAPPING_KEY_MODE: Final = 0o400
_KEYSTORE_MODE: Final = 0o600


class SoftwareKeyStore:
    """A `KeyStore` whose keys are in this process's memory.

    Unwrapped working keys are kept ready, one per usage: the moment another key of a usage is used, the old one is
    dropped, so that no more than three are ever in memory and none outlives its replacement.
    """

    __slots__ = ("_algorithm", "_storage", "_tmk", "_working")

    def __init__(self, tmk: KeyBytes, storage: KeyBytes, *, algorithm: Algorithm = Algorithm.TDES) -> None:
        """Hold a master key for 3DES or SM4 and a storage key of 32 bytes; `open` and `create` are the usual way."""
        _check_sizes(tmk, storage, algorithm)
        self._algorithm = algorithm
        self._tmk: KeyBytes | None = tmk
        self._storage: KeyBytes | None = storage
        self._working: dict[KeyUsage, tuple[WrappedKey, BlockCipher]] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        wrapping_key_path: Path,
        *,
        tmk: KeyBytes,
        entropy: Callable[[int], bytes],
        algorithm: Algorithm = Algorithm.TDES,
    ) -> Self:
        """Write both files and return the store; `entropy(n)` gives n unpredictable bytes.

        Raises `ConfigError` when one of the files exists already or cannot be written.
        """
        storage, wrapping = KeyBytes(entropy(seal.KEY_SIZE)), KeyBytes(entropy(seal.KEY_SIZE))
        store = cls(tmk, storage, algorithm=algorithm)
        nonce = entropy(seal.NONCE_SIZE)
        box = seal.seal(wrapping, nonce, storage.reveal() + tmk.reveal(), _ASSOCIATED[algorithm])
        named = {} if algorithm is Algorithm.TDES else {"algorithm": algorithm.value}
        text = json.dumps({"version": VERSION, **named, "nonce": nonce.hex(), "box": box.hex()})
        # The key goes first: a keystore without its key would be a box that nobody can open.
        _write_new(wrapping_key_path, wrapping.reveal(), _WRAPPING_KEY_MODE)
        try:
            _write_new(path, text.encode() + b"\n", _KEYSTORE_MODE)
        except ConfigError:
            wrapping_key_path.unlink()
            raise
        return store

    @classmethod
    def open(cls, path: Path, wrapping_key_path: Path) -> Self:
        """Read both files.

        Raises `ConfigError` for a file that is missing, malformed or readable by others, `KeyFault` when the wrapping
        key does not open the keystore.
        """
        wrapping = _read_wrapping_key(wrapping_key_path)
        algorithm, nonce, box = _read_box(path)
        try:
            clear = seal.unseal(wrapping, nonce, box, _ASSOCIATED[algorithm])
        except KeyFault:
            clear = b""
        if not clear:
            reason = f"{path}: the wrapping key in {wrapping_key_path} does not open it"
            raise KeyFault(reason)
        return cls(KeyBytes(clear[seal.KEY_SIZE :]), KeyBytes(clear[: seal.KEY_SIZE]), algorithm=algorithm)

    def __repr__(self) -> str:
        """Return the type alone; `describe` gives check values."""
        return f"{type(self).__name__}({'closed' if self._tmk is None else 'open'})"

    def check(self, wrapped: Iterable[WrappedKey]) -> None:
        """Unwrap every key and compare its check value; the `KeyFault` names the usage of the first that is wrong."""
        for key in wrapped:
            self._unwrapped(key)

    def mac(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return the MAC over `data`, as it is sent; a `KeyFault` when `wrapped` is no MAC key."""
        return mac.compute(algorithm, self._cipher(wrapped, KeyUsage.MAC), data)

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
        """Return both keys with three bytes of check value; for the storage key, which is no DES key, of a digest."""
        storage_check = seal.keyed_digest(self.storage_key(), b"check value")
        return (
            ("terminal master key", keys.show(keys.check_value(self._master(), self._algorithm))),
            ("storage key", keys.show(storage_check)),
        )

    def close(self) -> None:
        """Forget every key; closing twice is allowed."""
        for _, cipher in self._working.values():
            cipher.close()
        self._working.clear()
        self._tmk = self._storage = None

    def _master(self) -> KeyBytes:
        if self._tmk is None:
            raise _closed()
        return self._tmk

    def _unwrapped(self, wrapped: WrappedKey) -> KeyBytes:
        if wrapped.algorithm is not self._algorithm:
            reason = f"a {wrapped.usage.value} for {wrapped.algorithm.value} under a key for {self._algorithm.value}"
            raise KeyFault(reason)
        return keys.unwrap(self._master(), wrapped)

    def _cipher(self, wrapped: WrappedKey, usage: KeyUsage) -> BlockCipher:
        if wrapped.usage is not usage:
            reason = f"a {wrapped.usage.value} cannot serve as {usage.value}"
            raise KeyFault(reason)
        known = self._working.get(usage)
        if known is not None and known[0] == wrapped:
            return known[1]
        cipher = BlockCipher(self._unwrapped(wrapped), wrapped.algorithm)
        if known is not None:
            known[1].close()
        self._working[usage] = (wrapped, cipher)
        return cipher


def _check_sizes(tmk: KeyBytes, storage: KeyBytes, algorithm: Algorithm) -> None:
    if algorithm not in _ASSOCIATED:
        reason = f"no master key is for {algorithm.value}"
        raise UsageError(reason)
    if len(tmk.reveal()) not in KEY_SIZES[algorithm] or len(storage.reveal()) != seal.KEY_SIZE:
        reason = f"{KEY_FAULTS[algorithm]}, a storage key 32"
        raise UsageError(reason)


def _read_wrapping_key(path: Path) -> KeyBytes:
    clear = _read(path, size_max=seal.KEY_SIZE, private=True)
    if len(clear) != seal.KEY_SIZE:
        reason = f"{path}: a wrapping key has 32 bytes"
        raise ConfigError(reason)
    return KeyBytes(clear)


def _read_box(path: Path) -> tuple[Algorithm, bytes, bytes]:
    """Return the master key's algorithm, nonce and box of a keystore file."""
    box = _parse(_read(path, size_max=limits.KEYSTORE_BYTES_MAX))
    if box is None:
        reason = f"{path}: not a keystore of version {VERSION}"
        raise ConfigError(reason)
    return box


def _parse(text: bytes) -> tuple[Algorithm, bytes, bytes] | None:
    try:
        match json.loads(text):
            case {"version": 1, "nonce": str(nonce), "box": str(box), **rest}:
                parts = Algorithm(rest.get("algorithm", Algorithm.TDES.value)), bytes.fromhex(nonce), bytes.fromhex(box)
                return parts if parts[0] in _ASSOCIATED and len(parts[1]) == seal.NONCE_SIZE else None
    except (ValueError, RecursionError):
        # What is wrong stays unsaid: these exceptions quote the text, so they end here.
        return None
    return None


def _read(path: Path, *, size_max: int, private: bool = False) -> bytes:
    """Read a small regular file; with `private`, only one that nobody but its owner may touch."""
    data = b""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            fault = _fault_of(os.fstat(file.fileno()), size_max=size_max, private=private)
            data = b"" if fault else file.read(size_max)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    if fault:
        reason = f"{path}: {fault}"
        raise ConfigError(reason)
    return data


def _without_waiting(path: str, flags: int) -> int:
    # A plain open would wait for ever on a named pipe.
    return os.open(path, flags | os.O_NONBLOCK)


def _fault_of(status: os.stat_result, *, size_max: int, private: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if private and status.st_mode & _OTHERS:
        return "open to others than its owner; its mode must be 0400 or 0600"
    return "too large for what it should be" if status.st_size > size_max else None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that did not exist, whole or not at all, on disk when this returns."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            _fill(descriptor, data, mode)
            # A link, because unlike a rename it fails where a file of that name appeared meanwhile.
            path.hardlink_to(temporary)
        finally:
            Path(temporary).unlink()
        _sync(path.parent)
    except FileExistsError:
        fault = "exists already, and is not overwritten"
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    else:
        return
    reason = f"{path}: {fault}"
    raise ConfigError(reason)


def _fill(descriptor: int, data: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _closed() -> KeyFault:
    reason = "the key store is closed"
    return KeyFault(reason)
