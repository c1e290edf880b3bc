"""What a UnionPay sign-on answer hands out: working keys in field 62, the batch number in field 60.2.

    24 bytes   PIK 8, MAK 8                                                            (60.3 = 001)
    32 bytes   PIK 16, MAK 8                                                           (60.3 = 003)
    40 bytes   PIK 16, MAK 16, or 8 and 8 zero bytes                                   (60.3 = 003)
    48 bytes   PIK 16, MAK 16 for SM4, check values of 8 bytes; unverified             (60.3 = 003)
    56 bytes   PIK 16, MAK 16, TDK 16, the last without a check value                  (60.3 = 004)
    60 bytes   PIK 16, MAK 16, TDK 16                                                  (60.3 = 004)
    84 bytes   PIK 24, MAK 24, TDK 24; unverified                                      (60.3 = 004)

A terminal takes the layouts of its key scheme alone (`read_keys`). Whoever reads a capture knows no scheme: then the
length decides, and 60.3 says what must be in it at least (`parse_keys`). 104 bytes were seen once and are refused.
construct declares the layouts; it is imported on first use, because it costs a terminal start-up time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import KeyLayout, KeyPlace
from pos_engine.dialects.unionpay.fields import FIELD_60
from pos_engine.dialects.unionpay.schemes import (
    DOUBLE_LENGTH,
    SCHEMES,
    SINGLE_LENGTH,
    USUAL,
    WITH_TRACK_KEY,
    layout,
)
from pos_engine.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pos_engine.dialects.base import KeyScheme
    from pos_engine.wire.message import Message

SIGN_ONS: Final = frozenset({None, SINGLE_LENGTH, DOUBLE_LENGTH, WITH_TRACK_KEY})
"""Every 60.3 of a sign-on; old terminals send a field 60 without it."""

UNCHECKED_TRACK_KEY: Final = KeyLayout((*layout(16, 16).places, KeyPlace(KeyUsage.TRACK, 16, check_bytes=0)))
"""The one layout that captures show and no terminal can use."""

LAYOUTS: Final[Mapping[int, KeyLayout]] = {UNCHECKED_TRACK_KEY.size: UNCHECKED_TRACK_KEY} | {
    each.size: each for scheme in reversed(tuple(SCHEMES.values())) for each in scheme.layouts
}
"""Every layout of field 62 by its length in bytes; where two schemes have one of the same length, the verified one."""

_LEAST: Final[Mapping[str, int]] = {DOUBLE_LENGTH: 32, WITH_TRACK_KEY: 56}
"""The shortest layout that holds what each 60.3 asks for."""


@dataclass(frozen=True, slots=True)
class PlacedKey:
    """One key of field 62 as it was received."""

    usage: KeyUsage
    cryptogram: bytes
    check_value: bytes


@cache
def _declared(places: tuple[KeyPlace, ...]) -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Bytes, Struct  # noqa: PLC0415 - imported on first use, see above

    return Struct(
        *(
            place.usage.name / Struct("cryptogram" / Bytes(place.key_bytes), "check_value" / Bytes(place.check_bytes))
            for place in places
        )
    )


def parse_keys(data: bytes, network_code: str | None = None) -> tuple[PlacedKey, ...]:
    """Read all keys of a captured field 62; `network_code` is 60.3 where the answer has one."""
    if len(data) not in LAYOUTS:
        reason = f"working keys of {len(data)} bytes are not a layout of this dialect"
        raise DecodeError(reason, field=62)
    least = _LEAST.get(network_code or "", 0)
    if len(data) < least:
        reason = f"working keys of {len(data)} bytes are less than 60.3 asks for, which takes {least} at least"
        raise DecodeError(reason, field=62)
    return _placed(data, LAYOUTS[len(data)])


def _placed(data: bytes, known: KeyLayout) -> tuple[PlacedKey, ...]:
    parsed = _declared(known.places).parse(data)
    return tuple(
        PlacedKey(place.usage, bytes(part.cryptogram), bytes(part.check_value))
        for place, part in ((place, parsed[place.usage.name]) for place in known.places)
    )


def build_keys(keys: Sequence[PlacedKey]) -> bytes:
    """Write field 62; `LocalProtocolError` when no layout has keys of these sizes in this order."""
    places = tuple(KeyPlace(key.usage, len(key.cryptogram), len(key.check_value)) for key in keys)
    if all(each.places != places for each in LAYOUTS.values()):
        reason = "no layout of this dialect holds these keys"
        raise LocalProtocolError(reason, field=62)
    parts = {key.usage.name: {"cryptogram": key.cryptogram, "check_value": key.check_value} for key in keys}
    return bytes(_declared(places).build(parts))


def read_keys(answer: Message, scheme: KeyScheme = SCHEMES[USUAL]) -> tuple[WrappedKey, ...]:
    """Read the working keys of a scheme as they were received; nothing is decrypted or checked here.

    A layout of another scheme is a `DecodeError`: the host has answered another question than was asked.
    """
    data = bytes.fromhex(answer[62])
    known = scheme.layout(len(data))
    if known is None:
        sizes = " or ".join(str(each.size) for each in scheme.layouts)
        hint = "; its track key has no check value" if len(data) == UNCHECKED_TRACK_KEY.size else ""
        reason = f"working keys of {len(data)} bytes{hint}; the key scheme {scheme.name} has {sizes}"
        raise DecodeError(reason, field=62)
    placed = _placed(data, known)
    return tuple(WrappedKey(key.usage, key.cryptogram, key.check_value, scheme.algorithm) for key in placed)


def read_batch(answer: Message) -> str | None:
    """Return field 60.2 when it is usable: 000000 and 999999 are not batches."""
    batch = FIELD_60.get(answer.get(60, ""), "60.2")
    return batch if batch is not None and 0 < int(batch) < limits.BATCH_MAX else None
