"""The block ciphers of this trade, and a key made ready for many blocks of one of them.

A key never changes its cipher: what was made for triple DES is not tried with SM4. Building a cipher costs ten times
what a block costs, so everything built from a key is kept beside it, and dropped with it by `close`.

A DES key of 8 or 16 bytes is always expanded to 24 before it reaches the library: shorter TripleDES keys are announced
to be refused there, and the algorithm itself has moved to a module of its own, so that is where it is looked for first.
Encrypting with k+k+k is single DES, with k1+k2+k1 double-length 3DES. Nothing here looks at parity bits, because
published test keys violate them.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.cmac import CMAC

from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:  # pragma: no cover - only before cryptography 43
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, CipherContext

DES_BLOCK_SIZE: Final = 8
"""Bytes of one DES block, and of a single-length DES key."""

WIDE_BLOCK_SIZE: Final = 16
"""Bytes of one block of SM4 and AES."""

TRIPLE_KEY_SIZE: Final = 24
"""Bytes of DES key the library is always given."""


class Algorithm(enum.Enum):
    """A block cipher; the value is its name in configuration, files and error texts."""

    TDES = "3des"
    """Triple DES, and single DES where the key has 8 bytes."""
    SM4 = "sm4"
    """GB/T 32907."""
    AES = "aes"
    """FIPS 197."""

    @property
    def block_size(self) -> int:
        """Bytes of one block."""
        return DES_BLOCK_SIZE if self is Algorithm.TDES else WIDE_BLOCK_SIZE


KEY_SIZES: Final[Mapping[Algorithm, frozenset[int]]] = {
    Algorithm.TDES: frozenset({8, 16, 24}),
    Algorithm.SM4: frozenset({16}),
    Algorithm.AES: frozenset({16, 24, 32}),
}
"""Bytes a key of each algorithm may have."""

KEY_FAULTS: Final[Mapping[Algorithm, str]] = {
    Algorithm.TDES: "a DES key has 8, 16 or 24 bytes",
    Algorithm.SM4: "an SM4 key has 16 bytes",
    Algorithm.AES: "an AES key has 16, 24 or 32 bytes",
}
"""What is said of a key of another size."""


class BlockCipher:
    """A key made ready for many blocks of one algorithm.

    What is kept holds the key schedule in memory as long as it lives: call `close` when the key is replaced. One thread
    at a time.
    """

    __slots__ = ("_chaining", "_cmac", "_decryptor", "_encryptor", "_half", "_key", "algorithm", "block_size")

    def __init__(self, key: KeyBytes, algorithm: Algorithm = Algorithm.TDES) -> None:
        """Take a key of one of the algorithm's sizes; another size is a `KeyFault`."""
        check_key_size(key, algorithm)
        self.algorithm: Final = algorithm
        self.block_size: Final = algorithm.block_size
        self._key: KeyBytes | None = key
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self._chaining: Cipher[modes.CBC] | None = None
        self._cmac: CMAC | None = None
        self._half: BlockCipher | None = None

    def __repr__(self) -> str:
        """Return the type and whether it can still be used."""
        return f"BlockCipher({'closed' if self._key is None else '***'})"

    @property
    def key(self) -> KeyBytes:
        """The key itself, for schemes that look at its size; a `KeyFault` after `close`."""
        if self._key is None:
            reason = "the key has been dropped"
            raise KeyFault(reason)
        return self._key

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt whole blocks, each by itself (ECB)."""
        if self._encryptor is None:
            self._encryptor = _in_ecb(self.key, self.algorithm).encryptor()
        return self._encryptor.update(self._whole_blocks(data))

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt whole blocks, each by itself (ECB)."""
        if self._decryptor is None:
            self._decryptor = _in_ecb(self.key, self.algorithm).decryptor()
        return self._decryptor.update(self._whole_blocks(data))

    def encrypt_cbc(self, data: bytes, *, iv: bytes | None = None) -> bytes:
        """Encrypt whole blocks, each mixed with the one before, the first with `iv`: one block, zeros when left out."""
        return self._in_cbc(iv).encryptor().update(self._whole_blocks(data))

    def decrypt_cbc(self, data: bytes, *, iv: bytes | None = None) -> bytes:
        """Undo `encrypt_cbc`."""
        return self._in_cbc(iv).decryptor().update(self._whole_blocks(data))

    def cmac(self, data: bytes) -> bytes:
        """Return the CMAC over data of any length, one block (NIST SP 800-38B)."""
        if self._cmac is None:
            self._cmac = CMAC(_primitive(self.key, self.algorithm))
        running = self._cmac.copy()
        running.update(data)
        return running.finalize()

    def first_half(self) -> BlockCipher:
        """Return single DES with the first 8 bytes of a DES key, as the retail MAC wants; it closes with this one."""
        if self._half is None:
            self._half = BlockCipher(KeyBytes(self.key.reveal()[:DES_BLOCK_SIZE]), self.algorithm)
        return self._half

    def close(self) -> None:
        """Forget the key and all that was built from it; further use is a `KeyFault`. Closing twice is allowed."""
        if self._half is not None:
            self._half.close()
        self._key = self._encryptor = self._decryptor = self._chaining = self._cmac = self._half = None

    def _in_cbc(self, iv: bytes | None) -> Cipher[modes.CBC]:
        """Return the cipher in CBC mode; the one that starts from zeros, which every MAC needs, is kept."""
        if iv is not None:
            return Cipher(_primitive(self.key, self.algorithm), modes.CBC(self._one_block(iv)))
        if self._chaining is None:
            self._chaining = Cipher(_primitive(self.key, self.algorithm), modes.CBC(bytes(self.block_size)))
        return self._chaining

    def _whole_blocks(self, data: bytes) -> bytes:
        # A context would silently keep an incomplete block back and put it in front of the next message.
        if len(data) % self.block_size:
            reason = f"{self.algorithm.value} works on whole blocks of {self.block_size} bytes"
            raise UsageError(reason)
        return data

    def _one_block(self, iv: bytes) -> bytes:
        if len(iv) != self.block_size:
            reason = f"an initialisation vector of {self.algorithm.value} has {self.block_size} bytes"
            raise UsageError(reason)
        return iv


def check_key_size(key: KeyBytes, algorithm: Algorithm) -> None:
    """Raise a `KeyFault` when the algorithm has no keys of this size."""
    if len(key.reveal()) not in KEY_SIZES[algorithm]:
        raise KeyFault(KEY_FAULTS[algorithm])


def expand(clear: bytes) -> bytes:
    """Return the 24 bytes that make a single or double-length DES key a triple-length one with the same effect."""
    if len(clear) not in KEY_SIZES[Algorithm.TDES]:
        raise KeyFault(KEY_FAULTS[Algorithm.TDES])
    # The first eight bytes stand in for what is missing at the end: k becomes k+k+k, and k1+k2 becomes k1+k2+k1.
    return (clear + clear[:DES_BLOCK_SIZE] * 2)[:TRIPLE_KEY_SIZE]


def _in_ecb(key: KeyBytes, algorithm: Algorithm) -> Cipher[modes.ECB]:
    return Cipher(_primitive(key, algorithm), modes.ECB())  # noqa: S305 - single blocks and key wrapping are ECB


def _primitive(key: KeyBytes, algorithm: Algorithm) -> BlockCipherAlgorithm:
    if algorithm is Algorithm.TDES:
        return TripleDES(expand(key.reveal()))
    return SM4(key.reveal()) if algorithm is Algorithm.SM4 else AES(key.reveal())
