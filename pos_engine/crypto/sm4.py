"""SM4 (GB/T 32907) in ECB and CBC, for keys that are used once; `BlockCipher(key, Algorithm.SM4)` serves repeated use.

Blocks and keys have 16 bytes. How UnionPay terminals use it is not published; what is known stands in `keys`, `mac` and
`pinblock`, each with how far it is to be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import WIDE_BLOCK_SIZE, Algorithm, BlockCipher

if TYPE_CHECKING:
    from pos_engine.values import KeyBytes

BLOCK_SIZE: Final = WIDE_BLOCK_SIZE
"""Bytes of one SM4 block, and of a key."""

ZERO_BLOCK: Final = bytes(BLOCK_SIZE)
"""The initialisation vector when none is given, and the input of a check value."""


def encrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Encrypt whole blocks of 16 bytes, each by itself; a `KeyFault` for a key that has not 16 bytes."""
    return BlockCipher(key, Algorithm.SM4).encrypt(data)


def decrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Undo `encrypt_ecb`."""
    return BlockCipher(key, Algorithm.SM4).decrypt(data)


def encrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Encrypt whole blocks of 16 bytes, each mixed with the one before."""
    return BlockCipher(key, Algorithm.SM4).encrypt_cbc(data, iv=iv)


def decrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Undo `encrypt_cbc`."""
    return BlockCipher(key, Algorithm.SM4).decrypt_cbc(data, iv=iv)
