"""What a UnionPay sign-on answer hands out: working keys in field 62, the batch number in field 60.2.

    24 bytes   PIK 8, MAK 8                                                            (60.3 = 001)
    32 bytes   PIK 16, MAK 8                                                           (60.3 = 003)
    40 bytes   PIK 16, MAK 16, or 8 and 8 zero bytes                                   (60.3 = 003)
    56 bytes   PIK 16, MAK 16, TDK 16, the last without a check value                  (60.3 = 004)
    60 bytes   PIK 16, MAK 16, TDK 16                                                  (60.3 = 004)
    84 bytes   PIK 24, MAK 24, TDK 24                                                  (60.3 = 004)

A check value of 4 bytes follows each key. The length decides the layout, and 60.3 what must be in it at least: an
answer to 003 or 004 never brings single-length keys, one to 004 brings a track key. Of 84 bytes only the length is
known publicly; three keys of 24 is the one division that leaves room for their check values. 104 bytes were seen once
and are refused. construct declares the layouts; it is imported on first use, because it costs a terminal start-up time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.unionpay.fields import FIELD_60
from pos_engine.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pos_engine.wire.message import Message

CHECK_VALUE_BYTES: Final = 4

DOUBLE_LENGTH: Final = "003"
"""Field 60.3 of a sign-on for double-length keys."""
WITH_TRACK_KEY: Final = "004"
"""Field 60.3 of a sign-on that asks for a track key too."""
SIGN_ONS: Final = frozenset({None, "001", DOUBLE_LENGTH, WITH_TRACK_KEY})
"""Every 60.3 of a sign-on; old terminals send a field 60 without it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key stands in a layout: bytes of its cryptogram, and of its check value (0: it has none)."""

    usage: KeyUsage
    key_bytes: int
    check_bytes: int = CHECK_VALUE_BYTES


_ORDER: Final = (KeyUsage.PIN, KeyUsage.MAC, KeyUsage.TRACK)


def _layout(*sizes: int) -> tuple[Place, ...]:
    return tuple(Place(usage, size) for usage, size in zip(_ORDER, sizes, strict=False))


LAYOUTS: Final[Mapping[int, tuple[Place, ...]]] = {
    24: _layout(8, 8),
    32: _layout(16, 8),
    40: _layout(16, 16),
    56: (*_layout(16, 16), Place(KeyUsage.TRACK, 16, check_bytes=0)),
    60: _layout(16, 16, 16),
    84: _layout(24, 24, 24),
}
"""The keys of field 62 in their order, by its length in bytes."""

_LEAST: Final[Mapping[str, int]] = {DOUBLE_LENGTH: 32, WITH_TRACK_KEY: 56}
"""The shortest layout that holds what each 60.3 asks for."""


@dataclass(frozen=True, slots=True)
class PlacedKey:
    """One key of field 62 as it was received."""

    usage: KeyUsage
    cryptogram: bytes
    check_value: bytes


@cache
def _declared(size: int) -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Bytes, Struct  # noqa: PLC0415 - imported on first use, see above

    return Struct(
        *(
            place.usage.name / Struct("cryptogram" / Bytes(place.key_bytes), "check_value" / Bytes(place.check_bytes))
            for place in LAYOUTS[size]
        )
    )


def parse_keys(data: bytes, network_code: str | None = None) -> tuple[PlacedKey, ...]:
    """Read all keys of field 62; `network_code` is 60.3 where the answer has one."""
    if len(data) not in LAYOUTS:
        reason = f"working keys of {len(data)} bytes are not a layout of this dialect"
        raise DecodeError(reason, field=62)
    least = _LEAST.get(network_code or "", 0)
    if len(data) < least:
        reason = f"working keys of {len(data)} bytes are less than 60.3 asks for, which takes {least} at least"
        raise DecodeError(reason, field=62)
    parsed = _declared(len(data)).parse(data)
    return tuple(
        PlacedKey(place.usage, bytes(part.cryptogram), bytes(part.check_value))
        for place, part in ((place, parsed[place.usage.name]) for place in LAYOUTS[len(data)])
    )


def build_keys(keys: Sequence[PlacedKey]) -> bytes:
    """Write field 62; `LocalProtocolError` when no layout has keys of these sizes in this order."""
    places = tuple(Place(key.usage, len(key.cryptogram), len(key.check_value)) for key in keys)
    size = next((size for size, layout in LAYOUTS.items() if layout == places), None)
    if size is None:
        reason = "no layout of this dialect holds these keys"
        raise LocalProtocolError(reason, field=62)
    parts = {key.usage.name: {"cryptogram": key.cryptogram, "check_value": key.check_value} for key in keys}
    return bytes(_declared(size).build(parts))


def read_keys(answer: Message) -> tuple[WrappedKey, ...]:
    """Read the working keys as they were received; nothing is decrypted or checked here.

    A key without a check value is left out: nothing could tell whether it is the right one.
    """
    placed = parse_keys(bytes.fromhex(answer[62]), FIELD_60.get(answer.get(60, ""), "60.3"))
    return tuple(WrappedKey(key.usage, key.cryptogram, key.check_value) for key in placed if key.check_value)


def read_batch(answer: Message) -> str | None:
    """Return field 60.2 when it is usable: 000000 and 999999 are not batches."""
    batch = FIELD_60.get(answer.get(60, ""), "60.2")
    return batch if batch is not None and 0 < int(batch) < limits.BATCH_MAX else None
