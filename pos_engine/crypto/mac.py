"""Message authentication codes over the bytes from the MTI to the field before the MAC.

The UnionPay ECB MAC, the default, folds the message into one block by XOR before any key is used:

    blocks b1 .. bn   ->   h = hex(b1 ^ .. ^ bn), 16 characters
                      ->   m = hex(E(E(h[0:8]) ^ h[8:16]))
                      ->   field 64 = m[0:8], eight characters

That fold is linear: changes that cancel each other, and whole blocks that trade places, keep the MAC. It protects
against noise and foreign keys, not against a patient forger, which is why links that carry it want TLS. The CBC MACs of
ANSI X9.9 and X9.19 (ISO 9797-1 algorithms 1 and 3, zero padding) do not fold; they give eight binary bytes.
"""

from __future__ import annotations

import hmac
import struct
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from pos_engine.crypto import des
from pos_engine.errors import UsageError
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HALF: Final = des.BLOCK_SIZE


def unionpay_ecb(key: KeyBytes, data: bytes) -> bytes:
    """Return the 8 bytes of field 64: the first half of the MAC as upper-case hex characters.

    A MAC key of 8 bytes means DES, one of 16 or 24 bytes 3DES.
    """
    return compute("unionpay-ecb", des.BlockCipher(key), data)


def x9_9(key: KeyBytes, data: bytes) -> bytes:
    """Return the CBC MAC, 8 binary bytes; with a key of 16 or 24 bytes every step is 3DES."""
    return compute("x9.9", des.BlockCipher(key), data)


def x9_19(key: KeyBytes, data: bytes) -> bytes:
    """Return the retail MAC, 8 binary bytes: DES along the chain, 3DES on the last block.

    With a key of 8 bytes this is X9.9.
    """
    return compute("x9.19", des.BlockCipher(key), data)


ALGORITHMS: Final[Mapping[str, Callable[[KeyBytes, bytes], bytes]]] = {
    "unionpay-ecb": unionpay_ecb,
    "x9.19": x9_19,
    "x9.9": x9_9,
}
"""Every algorithm a dialect may name, as a function of the clear key and the message."""


def compute(algorithm: str, cipher: des.BlockCipher, data: bytes) -> bytes:
    """Compute a MAC with a cipher that is kept ready; a `UsageError` for a name that is not in `ALGORITHMS`."""
    function = _WITH_CIPHER.get(algorithm)
    if function is None:
        reason = f"no MAC algorithm has this name; there are {', '.join(sorted(_WITH_CIPHER))}"
        raise UsageError(reason)
    return function(cipher, _zero_padded(data))


def equal(one: bytes, other: bytes) -> bool:
    """Compare two MACs in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def _unionpay_ecb(cipher: des.BlockCipher, blocks: bytes) -> bytes:
    # One struct call splits the message into integers ten times faster than a loop over its bytes folds it.
    folded = reduce(xor, struct.unpack(f">{len(blocks) // des.BLOCK_SIZE}Q", blocks))
    characters = b"%016X" % folded
    first = int.from_bytes(cipher.encrypt(characters[:_HALF]))
    second = first ^ int.from_bytes(characters[_HALF:])
    return cipher.encrypt(second.to_bytes(des.BLOCK_SIZE)).hex().upper().encode()[:_HALF]


def _x9_9(cipher: des.BlockCipher, blocks: bytes) -> bytes:
    return _cbc_mac(cipher.key, blocks)


def _x9_19(cipher: des.BlockCipher, blocks: bytes) -> bytes:
    # E1(D2(E1(x))) on the last block is what 3DES does, so only the blocks before it need the first half alone.
    chain = des.ZERO_BLOCK
    if len(blocks) > des.BLOCK_SIZE:
        chain = _cbc_mac(KeyBytes(cipher.key.reveal()[:_HALF]), blocks[: -des.BLOCK_SIZE])
    last = int.from_bytes(chain) ^ int.from_bytes(blocks[-des.BLOCK_SIZE :])
    return cipher.encrypt(last.to_bytes(des.BLOCK_SIZE))


def _cbc_mac(key: KeyBytes, blocks: bytes) -> bytes:
    return des.encrypt_cbc(key, blocks)[-des.BLOCK_SIZE :]


def _zero_padded(data: bytes) -> bytes:
    # An empty message still has one block (ISO 9797-1, padding method 1).
    return data + bytes(-len(data) % des.BLOCK_SIZE) if data else des.ZERO_BLOCK


_WITH_CIPHER: Final[Mapping[str, Callable[[des.BlockCipher, bytes], bytes]]] = {
    "unionpay-ecb": _unionpay_ecb,
    "x9.19": _x9_19,
    "x9.9": _x9_9,
}
