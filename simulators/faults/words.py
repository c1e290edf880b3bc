"""Faults as a person writes them: "rst to-terminal at 20", "drop to-host 1%", "stall to-terminal 2s at 7 times 3".

KIND DIRECTION [NUMBER] [WHEN] [connection N] [UNTIL]

KIND        split merge delay throttle stall fin rst half-open unplug flip drop insert double repeat
DIRECTION   to-host, to-terminal: which bytes are counted and damaged
NUMBER      of the kind: 200ms 2s (stall delay merge unplug), 960B/s (throttle), 1 (split), 0x15 (insert)
WHEN        at 20: after 20 bytes of that direction have passed; at 17.3: bit 3 of the byte behind those 17;
            1%: each byte with that chance, drawn from the seed
connection  only on the third: connection 3; else on all
UNTIL       times 3: strikes three times in all; connections 2: on the first two; for 10s: then the line is smooth
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

from pos_engine.errors import UsageError
from simulators.faults.fault import Fault
from simulators.faults.kinds import TABLE, Direction, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s)")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_PLACE: Final = re.compile(r"([0-9]{1,9})(?:\.([0-7]))?")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_RATE: Final = re.compile(r"([0-9]{1,9})B/s")
_VALUE: Final = re.compile(r"0[xX]([0-9A-Fa-f]{1,2})")
_MS: Final = 1000
_T = TypeVar("_T")


class _Parts(TypedDict, total=False):
    at: int
    bit: int
    percent: float
    amount: float
    connection: int
    times: int
    connections: int
    seconds: float


def parse_fault(text: str) -> Fault:
    """Read one fault; `UsageError` names the word that cannot be understood."""
    words = iter(text.split())
    kind = _choice(words, {each.value: each for each in Kind}, "a fault begins with its kind")
    direction = _choice(words, {each.value: each for each in Direction}, f"{kind.value} needs a direction")
    parts: _Parts = {}
    for word in words:
        part = _part(word, words, TABLE[kind].unit)
        if parts.keys() & part.keys():
            reason = f"{_shown(word)} says something that was said before"
            raise UsageError(reason)
        parts.update(part)
    return Fault(kind, direction, **parts)


def _part(word: str, words: Iterator[str], unit: Unit | None) -> _Parts:
    if word == "at":
        place = _needed(_PLACE, words, "at is followed by a byte, such as at 20, or a byte and a bit, such as at 17.3")
        return {"at": int(place[1])} if place[2] is None else {"at": int(place[1]), "bit": int(place[2])}
    if word == "for":
        return {"seconds": _seconds(_needed(_SECONDS, words, "for is followed by a time, such as for 10s"))}
    if word in _COUNTS:
        count = int(_needed(_COUNT, words, f"{word} is followed by a count, such as {word} 3")[0])
        return _COUNTS[word](count)
    chance = _PERCENT.fullmatch(word)
    if chance:
        return {"percent": float(chance[1])}
    amount = _amount(word, unit)
    if amount is None:
        wanted = f"{unit.value}, " if unit else ""
        reason = f"{_shown(word)} is not understood here: {wanted}at, a chance such as 1%, connection, times, "
        reason += "connections or for"
        raise UsageError(reason)
    return {"amount": amount}


_COUNTS: Final[dict[str, Callable[[int], _Parts]]] = {
    "connection": lambda count: {"connection": count},
    "times": lambda count: {"times": count},
    "connections": lambda count: {"connections": count},
}


def parse_seconds(text: str) -> float:
    """Read "200ms" or "2s"; else `UsageError`."""
    match = _SECONDS.fullmatch(text)
    if match is None:
        reason = f"{_shown(text)} is not a time: write 200ms or 2s"
        raise UsageError(reason)
    return _seconds(match)


def _choice(words: Iterator[str], known: dict[str, _T], reason: str) -> _T:
    word = next(words, "")
    if word not in known:
        found = f", not {_shown(word)}" if word else ""
        text = f"{reason}{found}: {' '.join(known)}"
        raise UsageError(text)
    return known[word]


def _needed(pattern: re.Pattern[str], words: Iterator[str], reason: str) -> re.Match[str]:
    word = next(words, "")
    match = pattern.fullmatch(word)
    if match is None:
        text = f"{reason}; not {_shown(word)}" if word else reason
        raise UsageError(text)
    return match


def _amount(word: str, unit: Unit | None) -> float | None:
    if unit is Unit.SECONDS:
        match = _SECONDS.fullmatch(word)
        return _seconds(match) if match else None
    if unit is Unit.RATE:
        match = _RATE.fullmatch(word)
        return float(match[1]) if match else None
    if unit is Unit.VALUE:
        match = _VALUE.fullmatch(word)
        return float(int(match[1], 16)) if match else None
    return float(word) if unit is Unit.BYTES and _COUNT.fullmatch(word) else None


def _seconds(match: re.Match[str]) -> float:
    return float(match[1]) / _MS if match[2] == "ms" else float(match[1])


def _shown(word: str) -> str:
    return ascii(word[:40])
