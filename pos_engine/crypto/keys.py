"""Keys as they travel and rest: wrapped under the terminal master key, each with its check value.

A working key arrives at sign-on as a cryptogram under the terminal master key (TMK) in 3DES-ECB, beside the first bytes
of eight zero bytes encrypted with it. Only that check value decides whether a key is good; bad parity refuses nothing.
A wrapped key is no secret and may be journalled; a clear one lives in `KeyBytes` only. Check values are shown with
three bytes, never four.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto import des
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK_VALUE_SIZE: Final = 4
"""Bytes of a check value in a sign-on answer."""

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
    """A working key under the TMK: 8, 16 or 24 bytes of cryptogram and 3 to 8 bytes of check value.

    A MAC cryptogram of 16 bytes may hold a single-length key and eight bytes of filling; see `unwrap`.
    """

    usage: KeyUsage
    cryptogram: bytes
    check_value: bytes

    def __post_init__(self) -> None:
        """Refuse sizes no layout has; an empty check value, above all, would match every key."""
        if len(self.cryptogram) not in {8, 16, 24}:
            reason = "a wrapped key has 8, 16 or 24 bytes"
            raise UsageError(reason)
        if not CHECK_VALUE_SHOWN <= len(self.check_value) <= des.BLOCK_SIZE:
            reason = "a check value has 3 to 8 bytes"
            raise UsageError(reason)

    def __repr__(self) -> str:
        """Return usage and check value; the cryptogram stays out of logs."""
        return f"WrappedKey({self.usage.name}, {show(self.check_value)})"


def check_value(key: KeyBytes) -> bytes:
    """Return the 4 bytes by which a DES key is recognised: the start of eight zero bytes encrypted with it."""
    return des.encrypt_ecb(key, des.ZERO_BLOCK)[:CHECK_VALUE_SIZE]


def show(check: bytes) -> str:
    """Return a check value as people see it: three bytes, six hex digits."""
    return check[:CHECK_VALUE_SHOWN].hex().upper()


def wrap(tmk: KeyBytes, key: KeyBytes, usage: KeyUsage) -> WrappedKey:
    """Encrypt a working key under the TMK, as a host does before it sends it."""
    return WrappedKey(usage, des.encrypt_ecb(tmk, key.reveal()), check_value(key))


def unwrap(tmk: KeyBytes, wrapped: WrappedKey) -> KeyBytes:
    """Decrypt a working key; a `KeyFault` naming the usage when the check value fits no reading of the cryptogram.

    A MAC key field is 16 bytes wide in the 40-byte layout even when the key has eight; the check value tells which.
    """
    for key in _readings(des.decrypt_ecb(tmk, wrapped.cryptogram), wrapped.usage):
        if _fits(key, wrapped.check_value):
            return key
    reason = f"the check value of the {wrapped.usage.value} does not match"
    raise KeyFault(reason)


def _readings(clear: bytes, usage: KeyUsage) -> Iterator[KeyBytes]:
    yield KeyBytes(clear)
    if usage is KeyUsage.MAC and len(clear) == 2 * des.BLOCK_SIZE:
        yield KeyBytes(clear[: des.BLOCK_SIZE])


def _fits(key: KeyBytes, expected: bytes) -> bool:
    # The host decides how many bytes it sends, so as many are compared; WrappedKey refuses fewer than three.
    return hmac.compare_digest(des.encrypt_ecb(key, des.ZERO_BLOCK)[: len(expected)], expected)
