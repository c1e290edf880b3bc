"""Which elements plain 1987 messages have on ordinary days: what `wire.compiled` reads and writes fast."""

from __future__ import annotations

from typing import Final

from pos_engine.wire.spec import combine


def _set(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


NONE: Final = _set()

_MAC: Final = (NONE, _set(128))

_CARD: Final = (_set(2), _set(2, 14), _set(35), _set(2, 14, 35))
_PIN: Final = (NONE, _set(52), _set(26, 52, 53), _set(53))

_FINANCIAL: Final = combine(
    [_set(3, 4, 11, 22, 25, 41, 42, 49)],
    _CARD,
    (NONE, _set(7, 12, 13)),
    _PIN,
    (NONE, _set(23, 55)),
    (NONE, _set(60)),
    _MAC,
)
_INQUIRY: Final = combine([_set(3, 11, 22, 25, 41, 42, 49, 60, 128)], _CARD, _PIN, (NONE, _set(23, 55)))
_ACTING: Final = combine(
    [_set(3, 4, 11, 22, 25, 37, 41, 42, 49, 60, 61, 90, 128)], _CARD, _PIN, (NONE, _set(38)), (NONE, _set(63))
)
_ANSWER: Final = combine(
    [_set(3, 4, 11, 12, 13, 37, 39, 41, 42, 49)],
    (NONE, _set(2)),
    (NONE, _set(7)),
    (NONE, _set(15)),
    (NONE, _set(38)),
    (NONE, _set(60)),
    _MAC,
)
_REVERSAL: Final = combine(
    [_set(3, 4, 11, 22, 25, 39, 41, 42, 49, 60, 90)],
    (NONE, _set(2), _set(2, 14)),
    (NONE, _set(38)),
    (NONE, _set(61)),
    _MAC,
)
_NETWORK: Final = combine(
    [_set(41, 42, 60, 70), _set(11, 41, 42, 60, 63, 70)], (NONE, _set(62), _set(12, 13, 39), _set(12, 13, 37, 39, 62))
)

CATALOGUE: Final = _FINANCIAL | _INQUIRY | _ACTING | _ANSWER | _REVERSAL | _NETWORK
