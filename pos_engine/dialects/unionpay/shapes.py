"""Which elements the messages of the UnionPay dialect have on ordinary days: what is read and written fast.

A message outside this list is as right as one inside, only slower: a new kind works before it is entered here.
"""

from __future__ import annotations

from typing import Final

from pos_engine.wire.spec import combine


def _set(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


NONE: Final = _set()

_CARD: Final = (NONE, _set(2), _set(2, 14), _set(35, 53), _set(2, 35, 53), _set(2, 14, 35, 53))
_PIN: Final = (NONE, _set(26, 52, 53))
_CHIP: Final = (NONE, _set(23, 55))
_ORIGINAL: Final = (
    NONE,
    _set(61),
    _set(37, 61),
    _set(37, 38, 61),
    _set(37, 61, 63),
    _set(37, 38, 61, 63),
    _set(38, 61),
)
_AUTHORIZED: Final = (NONE, _set(38))

_FINANCIAL: Final = combine([_set(3, 4, 11, 22, 25, 41, 42, 49, 60, 64)], _CARD, _PIN, _CHIP, _ORIGINAL)
_INQUIRY: Final = combine([_set(3, 11, 22, 25, 41, 42, 49, 60, 64)], _CARD, _PIN, _CHIP)
_SCANNED: Final = combine([_set(3, 4, 11, 22, 25, 41, 42, 49, 59, 60, 64)])
_REVERSAL: Final = combine(
    [_set(3, 4, 11, 22, 25, 39, 41, 42, 49, 60, 64)],
    (NONE, _set(2), _set(2, 14)),
    _CHIP,
    _AUTHORIZED,
    (NONE, _set(61)),
)
_APPROVAL: Final = combine(
    [_set(2, 3, 4, 11, 12, 13, 15, 25, 32, 37, 39, 41, 42, 44, 49, 60, 64)],
    (NONE, _set(14)),
    (NONE, _set(53)),
    (NONE, _set(63)),
    _CHIP,
    _AUTHORIZED,
)
_DECLINE: Final = combine(
    [_set(3, 4, 11, 12, 13, 25, 32, 39, 41, 42, 49, 60)], (NONE, _set(37)), (NONE, _set(53)), (NONE, _set(64))
)
_NETWORK: Final = combine([_set(41, 42, 60)], (_set(11), NONE), (NONE, _set(62)), (NONE, _set(63)))
_NETWORK_ANSWER: Final = combine([_set(12, 13, 37, 39, 41, 42, 60)], (_set(11), _set(11, 32), NONE), (NONE, _set(62)))
_SETTLEMENT: Final = frozenset({_set(11, 41, 42, 48, 49, 60, 63), _set(11, 12, 13, 15, 37, 41, 42, 48, 49, 60)})

CATALOGUE: Final = frozenset().union(
    _FINANCIAL,
    _INQUIRY,
    _SCANNED,
    _REVERSAL,
    _APPROVAL,
    _DECLINE,
    _NETWORK,
    _NETWORK_ANSWER,
    _SETTLEMENT,
)
