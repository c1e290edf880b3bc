"""What UnionPay acquirers do with keys, as a table: which keys a sign-on asks for, how they come, what they are for.

    des          PIK 8, MAK 8                      60.3 = 001    PIN block DES, MAC DES
    3des         PIK 16, MAK 16 or 8               60.3 = 003    PIN block 3DES; the usual one
    3des-track   PIK, MAK, TDK of 16 or 24         60.3 = 004    as 3des, and tracks under the TDK
    sm4          PIK 16, MAK 16                    unverified    PIN block of 16 bytes, MAC folded by 16 bytes

A check value of 4 bytes follows each key, of 8 or 4 with SM4. The 56-byte form of 004 has a track key without a check
value: nothing could tell whether it is the right one, so it belongs to no scheme. Of 84 bytes only the length is known
publicly; three keys of 24 is the one division that leaves room for their check values. Of SM4, one description was
published, with vectors for a key, its check value and a clear PIN block; its 60.3, its digit in field 53 and its
layouts are the likeliest guess, here to be changed by whoever has the acquirer's paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import Algorithm
from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import KeyLayout, KeyPlace, KeyScheme
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

SINGLE_LENGTH: Final = "001"
"""Field 60.3 of a sign-on for single-length keys."""
DOUBLE_LENGTH: Final = "003"
"""Field 60.3 of a sign-on for double-length keys."""
WITH_TRACK_KEY: Final = "004"
"""Field 60.3 of a sign-on that asks for a track key too."""
CHECK_BYTES: Final = 4
CHECK_BYTES_SM4: Final = 8
DES_DIGIT: Final = "0"
TDES_DIGIT: Final = "6"
SM4_DIGIT: Final = "3"
"""Field 53.2 with SM4: no public source says it."""
USUAL: Final = "3des"
"""The scheme of an acquirer of which nothing else is said."""

_ORDER: Final = (KeyUsage.PIN, KeyUsage.MAC, KeyUsage.TRACK)


def layout(*sizes: int, check_bytes: int = CHECK_BYTES, verified: bool = True) -> KeyLayout:
    """Lay keys of these sizes out, PIN key first, each with a check value."""
    places = (KeyPlace(usage, size, check_bytes) for usage, size in zip(_ORDER, sizes, strict=False))
    return KeyLayout(tuple(places), verified=verified)


_ROWS: Final = (
    KeyScheme(
        name="des",
        title=Text("single-length keys: DES", "单倍长密钥: DES"),
        algorithm=Algorithm.TDES,
        network_code=SINGLE_LENGTH,
        layouts=(layout(8, 8),),
        pin_format="iso-0",
        pin_block_bytes=8,
        cipher_digit=DES_DIGIT,
        mac="unionpay-ecb",
    ),
    KeyScheme(
        name=USUAL,
        title=Text("double-length keys: 3DES", "双倍长密钥: 3DES"),
        algorithm=Algorithm.TDES,
        network_code=DOUBLE_LENGTH,
        layouts=(layout(16, 16), layout(16, 8)),
        pin_format="iso-0",
        pin_block_bytes=8,
        cipher_digit=TDES_DIGIT,
        mac="unionpay-ecb",
    ),
    KeyScheme(
        name="3des-track",
        title=Text("double-length keys and a track key: 3DES", "双倍长密钥含磁道密钥: 3DES"),
        algorithm=Algorithm.TDES,
        network_code=WITH_TRACK_KEY,
        layouts=(layout(16, 16, 16), layout(24, 24, 24, verified=False)),
        pin_format="iso-0",
        pin_block_bytes=8,
        cipher_digit=TDES_DIGIT,
        mac="unionpay-ecb",
        enciphers_tracks=True,
    ),
    KeyScheme(
        name="sm4",
        title=Text("keys for SM4", "国密密钥: SM4"),
        algorithm=Algorithm.SM4,
        network_code=DOUBLE_LENGTH,
        layouts=(
            layout(16, 16, check_bytes=CHECK_BYTES_SM4, verified=False),
            layout(16, 16, verified=False),
        ),
        pin_format="sm4",
        pin_block_bytes=16,
        cipher_digit=SM4_DIGIT,
        mac="sm4-xor",
        verified=False,
    ),
)

SCHEMES: Final[Mapping[str, KeyScheme]] = {row.name: row for row in _ROWS}
"""Every key scheme of the dialect, by the name a configuration uses."""
