"""What a UnionPay sign-on answer hands out: working keys in field 62, the batch number in field 60.2.

    24 bytes   PIK 8 + check value 4, MAK 8 + check value 4                          (60.3 = 001)
    40 bytes   PIK 16 + check value 4, MAK 16 (or 8 and 8 zero bytes) + check value 4  (60.3 = 003)

construct declares the layouts; it is imported on first use, because it costs a terminal start-up time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.unionpay.fields import FIELD_60
from pos_engine.errors import DecodeError

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

LAYOUTS: Final = {24: 8, 40: 16}
"""Total bytes of field 62, and the bytes of each of the two keys in it."""


@cache
def _layout(key_bytes: int) -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Bytes, Struct  # noqa: PLC0415 - imported on first use, see above

    key = Struct("cryptogram" / Bytes(key_bytes), "check_value" / Bytes(4))
    return Struct("pin" / key, "mac" / key)


def read_keys(answer: Message) -> tuple[WrappedKey, ...]:
    """Read PIK and MAK as they were received; nothing is decrypted or checked here."""
    data = bytes.fromhex(answer[62])
    key_bytes = LAYOUTS.get(len(data))
    if key_bytes is None:
        reason = f"working keys of {len(data)} bytes are not a layout of this dialect"
        raise DecodeError(reason, field=62)
    keys = _layout(key_bytes).parse(data)
    return (
        WrappedKey(KeyUsage.PIN, bytes(keys.pin.cryptogram), bytes(keys.pin.check_value)),
        WrappedKey(KeyUsage.MAC, bytes(keys.mac.cryptogram), bytes(keys.mac.check_value)),
    )


def read_batch(answer: Message) -> str | None:
    """Return field 60.2 when it is usable: 000000 and 999999 are not batches."""
    batch = FIELD_60.get(answer.get(60, ""), "60.2")
    return batch if batch is not None and 0 < int(batch) < limits.BATCH_MAX else None
