"""Message authentication codes over the bytes from the MTI to the field before the MAC, by name.

The UnionPay ECB MAC, the default, folds the message into one block by XOR before any key is used:

    blocks b1 .. bn   ->   h = hex(b1 ^ .. ^ bn), two characters for each byte of a block
                      ->   m = hex(E(E(h[first half]) ^ h[second half]))
                      ->   field 64 = m[0:8], eight characters

That fold is linear: changes that cancel each other, and whole blocks that trade places, keep the MAC. It protects
against noise and foreign keys, not against a patient forger, which is why links that carry it want TLS. The CBC MACs
(ISO 9797-1 algorithms 1 and 3, zero padding) and CMAC do not fold; they give eight binary bytes.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import DES_BLOCK_SIZE, Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.values import KeyBytes

MAC_SIZE: Final = 8
"""Bytes of every MAC here, because field 64 has as many; a longer code gives its first eight."""


@dataclass(frozen=True, slots=True)
class MacAlgorithm:
    """One algorithm a dialect may name: the cipher its key is for, and the shortest key in bytes that will do."""

    name: str
    title: Text
    cipher: Algorithm
    function: Callable[[BlockCipher, bytes], bytes]
    key_size_min: int = DES_BLOCK_SIZE


def compute(algorithm: str, cipher: BlockCipher, data: bytes) -> bytes:
    """Compute a MAC of 8 bytes with a cipher that is kept ready.

    A `UsageError` for a name that is not in `ALGORITHMS`, a `KeyFault` for a key of another cipher or too short a one.
    """
    row = _row(algorithm)
    if cipher.algorithm is not row.cipher:
        reason = f"the MAC {row.name} takes a key for {row.cipher.value}, not for {cipher.algorithm.value}"
        raise KeyFault(reason)
    if row.key_size_min > DES_BLOCK_SIZE and len(cipher.key.reveal()) < row.key_size_min:
        reason = f"the MAC {row.name} takes a key of {row.key_size_min} bytes at least"
        raise KeyFault(reason)
    return row.function(cipher, data)


def generate(algorithm: str, key: KeyBytes, data: bytes) -> bytes:
    """Compute a MAC with a key that is used once; errors as in `compute`, a key of a wrong size included."""
    return compute(algorithm, BlockCipher(key, _row(algorithm).cipher), data)


def equal(one: bytes, other: bytes) -> bool:
    """Compare two MACs in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def _row(algorithm: str) -> MacAlgorithm:
    row = ALGORITHMS.get(algorithm)
    if row is None:
        reason = f"no MAC algorithm has this name; there are {', '.join(sorted(ALGORITHMS))}"
        raise UsageError(reason)
    return row


def _unionpay(cipher: BlockCipher, data: bytes) -> bytes:
    """Fold, encrypt, mix, encrypt; with SM4 the same steps on blocks of 16 bytes."""
    size = cipher.block_size
    characters = _folded(_zero_padded(data, size), size).hex().upper().encode()
    first = int.from_bytes(cipher.encrypt(characters[:size]))
    second = first ^ int.from_bytes(characters[size:])
    return cipher.encrypt(second.to_bytes(size)).hex().upper().encode()[:MAC_SIZE]


def _folded(blocks: bytes, size: int) -> bytes:
    # Laying the front half over the rest until one block is left takes a handful of operations on large integers,
    # where a loop over the bytes takes one for each.
    count = len(blocks) // size
    value = int.from_bytes(blocks)
    while count > 1:
        count = (count + 1) // 2
        bits = 8 * size * count
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value.to_bytes(size)


def _cbc_mac(cipher: BlockCipher, data: bytes) -> bytes:
    return cipher.encrypt_cbc(_zero_padded(data, cipher.block_size))[-cipher.block_size :][:MAC_SIZE]


def _retail_mac(cipher: BlockCipher, data: bytes) -> bytes:
    # E1(D2(E1(x))) on the last block is what 3DES does, so only the blocks before it need the first half alone.
    blocks = _zero_padded(data, DES_BLOCK_SIZE)
    # A message of one block has none before it: the chain is empty then, and counts as zero.
    chain = cipher.first_half().encrypt_cbc(blocks[:-DES_BLOCK_SIZE])[-DES_BLOCK_SIZE:]
    last = int.from_bytes(chain) ^ int.from_bytes(blocks[-DES_BLOCK_SIZE:])
    return cipher.encrypt(last.to_bytes(DES_BLOCK_SIZE))


def _cmac(cipher: BlockCipher, data: bytes) -> bytes:
    return cipher.cmac(data)[:MAC_SIZE]


def _zero_padded(data: bytes, size: int) -> bytes:
    # An empty message still has one block (ISO 9797-1, padding method 1).
    return data + bytes(-len(data) % size) if data else bytes(size)


_ROWS: Final = (
    MacAlgorithm(
        "unionpay-ecb",
        Text("UnionPay ECB MAC: DES with a key of 8 bytes, 3DES with 16 or 24", "银联ECB MAC"),
        Algorithm.TDES,
        _unionpay,
    ),
    MacAlgorithm(
        "x9.9",
        Text("ANSI X9.9 CBC MAC: DES with a key of 8 bytes, 3DES with 16 or 24", "ANSI X9.9 CBC MAC"),
        Algorithm.TDES,
        _cbc_mac,
    ),
    MacAlgorithm(
        "x9.19",
        Text("ANSI X9.19 retail MAC: DES along the chain, 3DES on the last block", "ANSI X9.19 MAC"),
        Algorithm.TDES,
        _retail_mac,
    ),
    MacAlgorithm(
        "cbc-mac",
        Text("CBC MAC, 3DES on every block; a single-length key is refused", "3DES CBC MAC"),
        Algorithm.TDES,
        _cbc_mac,
        key_size_min=2 * DES_BLOCK_SIZE,
    ),
    MacAlgorithm(
        "3des-cmac",
        Text("CMAC with 3DES; a single-length key is refused", "3DES CMAC"),
        Algorithm.TDES,
        _cmac,
        key_size_min=2 * DES_BLOCK_SIZE,
    ),
    MacAlgorithm("aes-cmac", Text("CMAC with AES, first 8 bytes", "AES CMAC, 取前8字节"), Algorithm.AES, _cmac),
    MacAlgorithm("sm4-cmac", Text("CMAC with SM4, first 8 bytes", "SM4 CMAC, 取前8字节"), Algorithm.SM4, _cmac),
    MacAlgorithm(
        "sm4-xor",
        Text("UnionPay ECB MAC with SM4 on 16-byte blocks (unverified)", "银联ECB MAC, SM4 16字节分组 (未经验证)"),
        Algorithm.SM4,
        _unionpay,
    ),
)

ALGORITHMS: Final[Mapping[str, MacAlgorithm]] = {row.name: row for row in _ROWS}
"""Every algorithm a dialect may name.

Unverified: `sm4-xor` follows the one description that was published, and no message that a host accepted has confirmed
it. With a key of 8 bytes `x9.19` is `x9.9`.
"""
