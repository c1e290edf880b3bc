"""What protects data at rest: AES-256-GCM for what must stay secret, HMAC-SHA-256 for what must stay unchanged.

The nonce is an argument, because randomness does not belong here: whoever calls must never use one twice with the same
key. `keyed_digest` puts each part's length before it, so that no two lists of parts run together to the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pos_engine.errors import KeyFault, UsageError

if TYPE_CHECKING:
    from pos_engine.values import KeyBytes

KEY_SIZE: Final = 32
"""Bytes of a sealing key."""

NONCE_SIZE: Final = 12
"""Bytes of a nonce, the size GCM is defined for (NIST SP 800-38D)."""

TAG_SIZE: Final = 16
"""Bytes by which a box is longer than what is in it."""

_LENGTH_SIZE: Final = 8


def seal(key: KeyBytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Encrypt and authenticate; `associated` is authenticated only, and must be given again to open the box."""
    return _cipher(key).encrypt(_checked(nonce), plaintext, associated)


def unseal(key: KeyBytes, nonce: bytes, box: bytes, associated: bytes) -> bytes:
    """Open a box; a `KeyFault` when key, nonce, associated data or the box itself is not what was sealed."""
    cipher = _cipher(key)
    try:
        return cipher.decrypt(_checked(nonce), box, associated)
    except InvalidTag:
        pass
    reason = "sealed data does not open: another key, or changed since"
    raise KeyFault(reason)


def keyed_digest(key: KeyBytes, *parts: bytes) -> bytes:
    """Return 32 bytes that only a holder of `key` can compute for exactly these parts in this order."""
    digest = hmac.new(_sealing_key(key), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(_LENGTH_SIZE))
        digest.update(part)
    return digest.digest()


def _cipher(key: KeyBytes) -> AESGCM:
    return AESGCM(_sealing_key(key))


def _sealing_key(key: KeyBytes) -> bytes:
    clear = key.reveal()
    if len(clear) != KEY_SIZE:
        reason = "a sealing key has 32 bytes"
        raise KeyFault(reason)
    return clear


def _checked(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_SIZE:
        reason = "a nonce has 12 bytes"
        raise UsageError(reason)
    return nonce
