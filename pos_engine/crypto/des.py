"""Triple DES, and single DES expressed as triple DES, in ECB and CBC.

A key of 8 or 16 bytes is always expanded to 24 before it reaches the library: shorter TripleDES keys are announced to
be refused there, and the algorithm itself has moved to a module of its own, so that is where it is looked for first.
Encrypting with k+k+k is single DES, with k1+k2+k1 double-length 3DES. Nothing here looks at parity bits, because
published test keys violate them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes

from pos_engine.errors import KeyFault, UsageError

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:  # pragma: no cover - only before cryptography 43
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

    from pos_engine.values import KeyBytes

BLOCK_SIZE: Final = 8
"""Bytes of one DES block."""

ZERO_BLOCK: Final = bytes(BLOCK_SIZE)
"""The initialisation vector and check-value input of every scheme used here."""

TRIPLE_KEY_SIZE: Final = 24
"""Bytes the library is always given."""


class BlockCipher:
    """A key made ready for many blocks in ECB.

    Building a cipher costs ten times what a block costs, so the two contexts are kept. They hold the key schedule in
    memory as long as they live: call `close` when the key is replaced. One thread at a time.
    """

    __slots__ = ("_decryptor", "_encryptor", "_key")

    def __init__(self, key: KeyBytes) -> None:
        """Take a DES key of 8, 16 or 24 bytes; another size is a `KeyFault`."""
        cipher = Cipher(_algorithm(key), modes.ECB())  # noqa: S305 - single blocks and key wrapping are specified as ECB
        self._key: KeyBytes | None = key
        self._encryptor: CipherContext | None = cipher.encryptor()
        self._decryptor: CipherContext | None = cipher.decryptor()

    def __repr__(self) -> str:
        """Return the type and whether it can still be used."""
        return f"BlockCipher({'closed' if self._key is None else '***'})"

    @property
    def key(self) -> KeyBytes:
        """The key itself, for schemes that also need its halves; a `KeyFault` after `close`."""
        if self._key is None:
            raise _closed()
        return self._key

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt whole blocks of 8 bytes, each by itself."""
        if self._encryptor is None:
            raise _closed()
        return self._encryptor.update(_whole_blocks(data))

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt whole blocks of 8 bytes, each by itself."""
        if self._decryptor is None:
            raise _closed()
        return self._decryptor.update(_whole_blocks(data))

    def close(self) -> None:
        """Forget the key; further use is a `KeyFault`. Closing twice is allowed."""
        self._key = self._encryptor = self._decryptor = None


def encrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Encrypt whole blocks with a key that is used once; `BlockCipher` serves repeated use."""
    return BlockCipher(key).encrypt(data)


def decrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Decrypt whole blocks with a key that is used once; `BlockCipher` serves repeated use."""
    return BlockCipher(key).decrypt(data)


def encrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Encrypt whole blocks, each mixed with the one before; retail MACs start from a zero `iv`."""
    return Cipher(_algorithm(key), modes.CBC(_one_block(iv))).encryptor().update(_whole_blocks(data))


def decrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Undo `encrypt_cbc`."""
    return Cipher(_algorithm(key), modes.CBC(_one_block(iv))).decryptor().update(_whole_blocks(data))


def expand(clear: bytes) -> bytes:
    """Return the 24 bytes that make a single or double-length key a triple-length one with the same effect."""
    if len(clear) not in {BLOCK_SIZE, 2 * BLOCK_SIZE, TRIPLE_KEY_SIZE}:
        reason = "a DES key has 8, 16 or 24 bytes"
        raise KeyFault(reason)
    # The first eight bytes stand in for what is missing at the end: k becomes k+k+k, and k1+k2 becomes k1+k2+k1.
    return (clear + clear[:BLOCK_SIZE] * 2)[:TRIPLE_KEY_SIZE]


def _algorithm(key: KeyBytes) -> TripleDES:
    return TripleDES(expand(key.reveal()))


def _whole_blocks(data: bytes) -> bytes:
    # A context would silently keep an incomplete block back and put it in front of the next message.
    if len(data) % BLOCK_SIZE:
        reason = "DES works on whole blocks of 8 bytes"
        raise UsageError(reason)
    return data


def _one_block(iv: bytes) -> bytes:
    if len(iv) != BLOCK_SIZE:
        reason = "an initialisation vector has 8 bytes"
        raise UsageError(reason)
    return iv


def _closed() -> KeyFault:
    reason = "the key has been dropped"
    return KeyFault(reason)
