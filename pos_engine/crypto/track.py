"""Track data under the track key (TDK): one block of the track is encrypted in place, the rest stays readable.

    an odd number of characters     NNNNNNNNNNNNNNNNDYYMM [................] N       the last one stays
    an even number                  NNNNNNNNNNNNNNNNDYYMM [................] NN      the last two stay

The block in brackets is read as eight packed bytes; the separator is D, so that a track is hexadecimal and keeps its
length. A track shorter than seventeen characters is filled up to that with F on the left,
which no track begins with. Only 3DES is known in the field: the block of a wider cipher would be a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import Algorithm
from pos_engine.errors import KeyFault, UsageError

if TYPE_CHECKING:
    from pos_engine.crypto.cipher import BlockCipher

TRACK_SIZE_MAX: Final = 104
"""Characters of track 3, the longer one of the two."""

_BLOCK: Final = 16
_FILLED: Final = _BLOCK + 1
_CLEAR: Final = re.compile(r"[0-9][0-9D]*")


def encrypt(cipher: BlockCipher, track: str) -> str:
    """Return the track as fields 35 and 36 carry it: hex digits, as many as the track has characters, 17 at least.

    `track` is written without sentinels, with `=` or `D` as separator. A `UsageError` for anything else, a `KeyFault`
    for a key that is not for 3DES.
    """
    clear = track.upper().replace("=", "D")
    if len(clear) > TRACK_SIZE_MAX or _CLEAR.fullmatch(clear) is None:
        reason = f"a track has 1 to {TRACK_SIZE_MAX} digits and separators, a digit first"
        raise UsageError(reason)
    filled = clear.rjust(_FILLED, "F")
    start, end = _place(filled)
    block = _checked(cipher).encrypt(bytes.fromhex(filled[start:end]))
    return filled[:start] + block.hex().upper() + filled[end:]


def decrypt(cipher: BlockCipher, track: str) -> str:
    """Undo `encrypt`, with `D` as separator; a `KeyFault` when no track comes out, as with a wrong key."""
    if not _FILLED <= len(track) <= TRACK_SIZE_MAX or re.fullmatch(r"[0-9A-F]*", track) is None:
        reason = f"an encrypted track has {_FILLED} to {TRACK_SIZE_MAX} hex digits"
        raise UsageError(reason)
    start, end = _place(track)
    block = _checked(cipher).decrypt(bytes.fromhex(track[start:end]))
    filled = track[:start] + block.hex().upper() + track[end:]
    # Only a track of the shortest size can have been filled up, and never altogether.
    clear = filled.lstrip("F") if len(filled) == _FILLED else filled
    if _CLEAR.fullmatch(clear) is None:
        reason = "not an encrypted track: wrong track key"
        raise KeyFault(reason)
    return clear


def _place(track: str) -> tuple[int, int]:
    end = len(track) - (1 if len(track) % 2 else 2)
    return end - _BLOCK, end


def _checked(cipher: BlockCipher) -> BlockCipher:
    if cipher.algorithm is not Algorithm.TDES:
        reason = f"tracks are encrypted with {Algorithm.TDES.value}, not with {cipher.algorithm.value}"
        raise KeyFault(reason)
    return cipher
