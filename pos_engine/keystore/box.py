"""The keystore's file, opened: what is sealed in it, and the one way to change that.

    {"version": 1, "nonce": 12 bytes, "box": AES-256-GCM(wrapping key, nonce, storage key (32 bytes) + master key)}

Bytes are in hex. A master key for SM4 adds `"algorithm": "sm4"`, which the box authenticates, so that nobody turns it
into a 3DES key. A wrapping key made of a passphrase adds `"scrypt"`. A box without a master key holds the storage key
alone: the journal can be read, and nothing can be sent until a master key is loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from pos_engine import limits
from pos_engine.crypto import seal
from pos_engine.crypto.cipher import KEY_FAULTS, KEY_SIZES, Algorithm
from pos_engine.errors import ConfigError, KeyFault, UsageError
from pos_engine.keystore import files
from pos_engine.keystore.wrapping import Derivation
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.keystore.wrapping import WrappingKey

VERSION: Final = 1
"""Version of the file's layout; another one is refused."""

_ASSOCIATED: Final = {
    Algorithm.TDES: b"pos-engine keystore 1",
    Algorithm.SM4: b"pos-engine keystore 1, sm4",
}
_KEYSTORE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Box:
    """An opened keystore: its keys, and the wrapping key as long as it may be sealed again. Keys mask themselves."""

    path: Path
    wrapping: KeyBytes
    derivation: Derivation | None
    algorithm: Algorithm
    storage: KeyBytes
    tmk: KeyBytes | None

    @classmethod
    def create(
        cls,
        path: Path,
        wrapping_key: WrappingKey,
        *,
        tmk: KeyBytes,
        entropy: Callable[[int], bytes],
        algorithm: Algorithm = Algorithm.TDES,
    ) -> Self:
        """Write a new keystore with a new storage key; raises `ConfigError` and `UsageError`, and then none is left."""
        storage = KeyBytes(entropy(seal.KEY_SIZE))
        check_sizes(tmk, storage, algorithm)
        # The key goes first: a keystore without its key would be a box that nobody can open.
        wrapping, derivation = wrapping_key.make(entropy)
        box = cls(path, wrapping, derivation, algorithm, storage, tmk)
        try:
            files.write_new(path, box.sealed(entropy), _KEYSTORE_MODE)
        except ConfigError:
            wrapping_key.undo()
            raise
        return box

    @classmethod
    def open(cls, path: Path, wrapping_key: WrappingKey) -> Self:
        """Read a keystore.

        Raises `ConfigError` for what is missing, malformed or readable by others, `KeyFault` when the wrapping key does
        not open it.
        """
        content = _parse(files.read(path, size_max=limits.KEYSTORE_BYTES_MAX))
        if content is None:
            reason = f"{path}: not a keystore of version {VERSION}"
            raise ConfigError(reason)
        algorithm, nonce, sealed, derivation = content
        wrapping = wrapping_key.find(derivation)
        try:
            clear = seal.unseal(wrapping, nonce, sealed, _ASSOCIATED[algorithm])
        except KeyFault:
            clear = b""
        if not clear:
            what = f"the wrapping key in {wrapping_key}" if derivation is None else "the passphrase"
            reason = f"{path}: {what} does not open it"
            raise KeyFault(reason)
        storage, tmk = clear[: seal.KEY_SIZE], clear[seal.KEY_SIZE :]
        return cls(path, wrapping, derivation, algorithm, KeyBytes(storage), KeyBytes(tmk) if tmk else None)

    def replaced(self, tmk: KeyBytes | None, *, entropy: Callable[[int], bytes]) -> Self:
        """Put another master key, or none, into the file, whole or not at all; the old one is overwritten.

        Raises `ConfigError`, and `UsageError` for a key that the cipher cannot have.
        """
        check_sizes(tmk, self.storage, self.algorithm)
        changed = replace(self, tmk=tmk)
        files.replace(self.path, changed.sealed(entropy), _KEYSTORE_MODE, entropy=entropy)
        return changed

    def sealed(self, entropy: Callable[[int], bytes]) -> bytes:
        """Return the file's content, under a nonce of its own."""
        nonce = entropy(seal.NONCE_SIZE)
        clear = self.storage.reveal() + (self.tmk.reveal() if self.tmk is not None else b"")
        box = seal.seal(self.wrapping, nonce, clear, _ASSOCIATED[self.algorithm])
        named = {} if self.algorithm is Algorithm.TDES else {"algorithm": self.algorithm.value}
        derived = {} if self.derivation is None else {"scrypt": self.derivation.as_json()}
        text = json.dumps({"version": VERSION, **named, **derived, "nonce": nonce.hex(), "box": box.hex()})
        return text.encode() + b"\n"


def zeroise(path: Path, wrapping_key: WrappingKey, *, entropy: Callable[[int], bytes]) -> list[Path]:
    """Destroy a keystore and its wrapping key without opening either; return the files that are gone.

    What was begun and interrupted can be done again. Raises `ConfigError`.
    """
    # The wrapping key goes first: without it the keystore is noise already, should the power fail now.
    gone = [wrapping_key.destroy(entropy), path if files.destroy(path, entropy=entropy) else None]
    return [each for each in gone if each is not None]


def check_sizes(tmk: KeyBytes | None, storage: KeyBytes, algorithm: Algorithm) -> None:
    """Raise `UsageError` for keys that cannot be; no master key at all can."""
    if algorithm not in _ASSOCIATED:
        reason = f"no master key is for {algorithm.value}"
        raise UsageError(reason)
    fits = tmk is None or len(tmk.reveal()) in KEY_SIZES[algorithm]
    if not fits or len(storage.reveal()) != seal.KEY_SIZE:
        reason = f"{KEY_FAULTS[algorithm]}, a storage key 32"
        raise UsageError(reason)


def _parse(text: bytes) -> tuple[Algorithm, bytes, bytes, Derivation | None] | None:
    try:
        match json.loads(text):
            case {"version": 1, "nonce": str(nonce), "box": str(box), **rest}:
                algorithm = Algorithm(rest.get("algorithm", Algorithm.TDES.value))
                derivation = Derivation.parse(rest["scrypt"]) if "scrypt" in rest else None
                if algorithm in _ASSOCIATED and len(bytes.fromhex(nonce)) == seal.NONCE_SIZE:
                    return algorithm, bytes.fromhex(nonce), bytes.fromhex(box), derivation
    except (ValueError, RecursionError):
        # What is wrong stays unsaid: these exceptions quote the text, so they end here.
        return None
    return None
