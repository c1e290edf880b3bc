"""Triple DES, and single DES expressed as triple DES, in ECB and CBC.

These functions are for keys that are used once; `BlockCipher` serves repeated use, and says how short keys are treated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import DES_BLOCK_SIZE, BlockCipher

if TYPE_CHECKING:
    from pos_engine.values import KeyBytes

__all__ = ["BLOCK_SIZE", "ZERO_BLOCK", "BlockCipher", "decrypt_cbc", "decrypt_ecb", "encrypt_cbc", "encrypt_ecb"]

BLOCK_SIZE: Final = DES_BLOCK_SIZE
"""Bytes of one DES block."""

ZERO_BLOCK: Final = bytes(BLOCK_SIZE)
"""The initialisation vector and check-value input of every scheme used here."""


def encrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Encrypt whole blocks of 8 bytes, each by itself, with a key of 8, 16 or 24 bytes."""
    return BlockCipher(key).encrypt(data)


def decrypt_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Undo `encrypt_ecb`."""
    return BlockCipher(key).decrypt(data)


def encrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Encrypt whole blocks, each mixed with the one before; retail MACs start from a zero `iv`."""
    return BlockCipher(key).encrypt_cbc(data, iv=iv)


def decrypt_cbc(key: KeyBytes, data: bytes, *, iv: bytes = ZERO_BLOCK) -> bytes:
    """Undo `encrypt_cbc`."""
    return BlockCipher(key).decrypt_cbc(data, iv=iv)
