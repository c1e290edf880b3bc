"""Keys as they travel and rest: wrapped under the terminal master key, each with its check value.

A working key arrives at sign-on as a cryptogram under the terminal master key (TMK) in ECB, beside the first bytes of a
block of zeros encrypted with it. Only that check value decides whether a key is good; bad parity refuses nothing. Which
cipher that is, 3DES or SM4, goes with the wrapped key: master and working key always have the same one. A wrapped key
is no secret and may be journalled; a clear one lives in `KeyBytes` only. Check values are shown with three bytes.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import DES_BLOCK_SIZE, KEY_FAULTS, KEY_SIZES, Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECK_VALUE_SIZES: Final[Mapping[Algorithm, int]] = {Algorithm.TDES: 4, Algorithm.SM4: 8}
"""Bytes of a check value in a sign-on answer, by cipher: 8 is what was seen with SM4, and some hosts cut it to 4."""

CHECK_VALUE_SIZE_MAX: Final = 8
"""Bytes of the longest check value any layout has."""

CHECK_VALUE_SHOWN: Final = 3
"""Bytes of a check value that people see: enough to compare, too few to help a search for the key."""


class KeyUsage(enum.Enum):
    """What a working key is for; a key is never used for anything else."""

    PIN = "PIN key"
    """PIK: encrypts PIN blocks (field 52)."""
    MAC = "MAC key"
    """MAK: authenticates messages (field 64)."""
    TRACK = "track key"
    """TDK: encrypts part of the track data (fields 35 and 36)."""


@dataclass(frozen=True, slots=True, repr=False)
class WrappedKey:
    """A working key under the TMK: its cryptogram, as long as the key, and 3 to 8 bytes of check value.

    A DES key has 8, 16 or 24 bytes, an SM4 key 16. A MAC cryptogram of 16 bytes may hold a single-length DES key and
    eight bytes of filling; see `unwrap`.
    """

    usage: KeyUsage
    cryptogram: bytes
    check_value: bytes
    algorithm: Algorithm = Algorithm.TDES

    def __post_init__(self) -> None:
        """Refuse sizes no layout has; an empty check value, above all, would match every key."""
        _check_wraps(self.algorithm)
        if len(self.cryptogram) not in KEY_SIZES[self.algorithm]:
            reason = f"a wrapped key is as long as the key: {KEY_FAULTS[self.algorithm]}"
            raise UsageError(reason)
        _check_size(len(self.check_value))

    def __repr__(self) -> str:
        """Return usage, check value and a cipher other than 3DES; the cryptogram stays out of logs."""
        cipher = "" if self.algorithm is Algorithm.TDES else f"{self.algorithm.value}, "
        return f"WrappedKey({self.usage.name}, {cipher}{show(self.check_value)})"


def check_value(key: KeyBytes, algorithm: Algorithm = Algorithm.TDES, *, size: int | None = None) -> bytes:
    """Return the bytes by which a key is recognised: the start of a block of zeros encrypted with it.

    `size` is 3 to 8, and what is usual for the algorithm when left out: 4 with 3DES, 8 with SM4.
    """
    _check_wraps(algorithm)
    return _zeros_encrypted(key, algorithm)[: _check_size(CHECK_VALUE_SIZES[algorithm] if size is None else size)]


def show(check: bytes) -> str:
    """Return a check value as people see it: three bytes, six hex digits."""
    return check[:CHECK_VALUE_SHOWN].hex().upper()


def wrap(
    tmk: KeyBytes,
    key: KeyBytes,
    usage: KeyUsage,
    *,
    algorithm: Algorithm = Algorithm.TDES,
    check_size: int | None = None,
) -> WrappedKey:
    """Encrypt a working key under the TMK, as a host does before it sends it."""
    check = check_value(key, algorithm, size=check_size)
    return WrappedKey(usage, BlockCipher(tmk, algorithm).encrypt(key.reveal()), check, algorithm)


def unwrap(tmk: KeyBytes, wrapped: WrappedKey) -> KeyBytes:
    """Decrypt a working key; a `KeyFault` naming the usage when the check value fits no reading of the cryptogram.

    A MAC key field is 16 bytes wide in the 40-byte layout even when the DES key has eight; the check value tells which.
    """
    clear = BlockCipher(tmk, wrapped.algorithm).decrypt(wrapped.cryptogram)
    for key in _readings(clear, wrapped):
        if _fits(key, wrapped):
            return key
    reason = f"the check value of the {wrapped.usage.value} does not match"
    raise KeyFault(reason)


def _readings(clear: bytes, wrapped: WrappedKey) -> Iterator[KeyBytes]:
    yield KeyBytes(clear)
    may_be_half = wrapped.usage is KeyUsage.MAC and wrapped.algorithm is Algorithm.TDES
    if may_be_half and len(clear) == 2 * DES_BLOCK_SIZE:
        yield KeyBytes(clear[:DES_BLOCK_SIZE])


def _fits(key: KeyBytes, wrapped: WrappedKey) -> bool:
    # The host decides how many bytes it sends, so as many are compared; WrappedKey refuses fewer than three.
    expected = wrapped.check_value
    return hmac.compare_digest(_zeros_encrypted(key, wrapped.algorithm)[: len(expected)], expected)


def _zeros_encrypted(key: KeyBytes, algorithm: Algorithm) -> bytes:
    return BlockCipher(key, algorithm).encrypt(bytes(algorithm.block_size))


def _check_wraps(algorithm: Algorithm) -> None:
    if algorithm not in CHECK_VALUE_SIZES:
        reason = f"no sign-on wraps keys with {algorithm.value}"
        raise UsageError(reason)


def _check_size(size: int) -> int:
    if not CHECK_VALUE_SHOWN <= size <= CHECK_VALUE_SIZE_MAX:
        reason = f"a check value has {CHECK_VALUE_SHOWN} to {CHECK_VALUE_SIZE_MAX} bytes"
        raise UsageError(reason)
    return size
