"""The TPDU: five packed bytes before the message that route it through the network access controllers.

    60 | DD DD | SS SS        id, destination, source: ten digits, two to a byte

The host answers with destination and source exchanged. Terminals in the field do not insist on that, so nothing here
does either: a TPDU is kept and can be compared with `swapped`, never silently dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from pos_engine.errors import FrameError, UsageError

TPDU_ID: Final = "60"
"""The only identifier in use for transactions; another first byte means that no TPDU starts here."""

TPDU_BYTES: Final = 5

TPDUS_KEPT: Final = 64
"""Decoded TPDUs kept: a line sees one or two, a host one for each terminal behind it. Strange ones only miss."""


@dataclass(frozen=True, slots=True)
class Tpdu:
    """Destination and source, four digits each (network international identifiers)."""

    destination: str
    source: str

    def __post_init__(self) -> None:
        """Refuse addresses that do not pack into two bytes."""
        for name, digits in (("destination", self.destination), ("source", self.source)):
            if re.fullmatch(r"[0-9]{4}", digits) is None:
                reason = f"the {name} of a TPDU has four digits"
                raise UsageError(reason)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the ten digits as a configuration writes them, such as "6000060000"; else `UsageError`."""
        if re.fullmatch(r"60[0-9]{8}", text) is None:
            reason = "a TPDU is written as ten digits that begin with 60"
            raise UsageError(reason)
        return cls(text[2:6], text[6:10])

    @staticmethod
    @lru_cache(maxsize=TPDUS_KEPT)
    def decode(data: bytes) -> Tpdu:
        """Read exactly five bytes; `FrameError` with the offset of the first byte that cannot be."""
        if len(data) != TPDU_BYTES:
            reason = f"a TPDU has {TPDU_BYTES} bytes, not {len(data)}"
            raise FrameError(reason, offset=min(len(data), TPDU_BYTES))
        digits = data.hex()
        if not digits.startswith(TPDU_ID):
            reason = f"a TPDU begins with {TPDU_ID}"
            raise FrameError(reason, offset=0)
        letter = re.search(r"[a-f]", digits)
        if letter is not None:
            reason = "a TPDU holds decimal digits only"
            raise FrameError(reason, offset=letter.start() // 2)
        return Tpdu(digits[2:6], digits[6:10])

    def encode(self) -> bytes:
        """Return the five bytes."""
        return bytes.fromhex(str(self))

    def swapped(self) -> Self:
        """Return the TPDU of the answer: where this one came from is where that one goes."""
        return type(self)(self.source, self.destination)

    def __str__(self) -> str:
        """Return the ten digits, identifier first."""
        return f"{TPDU_ID}{self.destination}{self.source}"
