"""Public keys of certification authorities: does one agree with the check value it came with?

The check value is the SHA-1 of RID, index, modulus and exponent, in that order (EMV book 2). It guards against mistakes
on the way and against nobody's intent: whoever can change the key can compute it anew.
"""

from __future__ import annotations

import hashlib


def check_value(rid: bytes, index: int, modulus: bytes, exponent: bytes) -> bytes:
    """Return the 20 bytes by which a public key is told from a damaged one; an index is 0 to 255."""
    covered = rid + bytes([index]) + modulus + exponent
    return hashlib.sha1(covered, usedforsecurity=False).digest()
