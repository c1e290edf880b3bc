"""One data element as data: length x encoding x justification x sensitivity, with its ISO name.

A value is always text. Digits and characters stand for themselves, one character per byte of text (latin-1); a binary
element is upper-case hex. So a message is a mapping of numbers to `str`, and can be shown, compared and kept as it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.values import Text


class Encoding(enum.Enum):
    """How data, or a length prefix, stands on the wire."""

    BCD = "two digits a byte"
    BINARY = "bytes, shown as hex; as a length prefix, an unsigned big-endian number"
    ASCII = "one character a byte, latin-1"
    EBCDIC = "one character a byte, code page 500"

    # Members are looked up for every element of every message; `Enum` hashes their names, in Python.
    __hash__ = object.__hash__


class Content(enum.Enum):
    """Which characters a value may have: ISO 8583 attribute letters."""

    N = "digits"
    Z = "track data: digits and D"
    H = "track data, perhaps enciphered: hex digits"
    AN = "letters, digits and blanks"
    ANS = "any printable character, and bytes above 127 for national text"
    B = "upper-case hex of whole bytes"

    __hash__ = object.__hash__


class Justify(enum.Enum):
    """Where a value with an odd number of digits leaves its pad nibble (always 0)."""

    LEFT = "value first, pad nibble last"
    RIGHT = "pad nibble first, value last"


class Sensitivity(enum.Enum):
    """What may become of a value after its message was sent."""

    OPEN = "kept and shown"
    PAN = "a card number: shown as first six and last four, kept sealed while a message that needs it is owed"
    CARD = "card data that a later message may need: kept sealed like the card number, shown only of a capture"
    TRANSIENT = "key cryptograms, one-time codes: never kept with a request, shown only of a capture"
    SECRET = "tracks and PIN blocks: never kept, never shown"  # noqa: S105 - a description


@dataclass(frozen=True, slots=True)
class Length:
    """A length counted in digits (BCD), characters or bytes.

    `prefix` is the number of digits of the length prefix (0: fixed at `size`; else at most `size`).
    """

    size: int
    prefix: int = 0

    @property
    def fixed(self) -> bool:
        """Whether every value has exactly `size` units."""
        return self.prefix == 0


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One data element of one dialect."""

    number: int
    name: Text
    content: Content
    length: Length
    encoding: Encoding
    prefix_encoding: Encoding = Encoding.BCD
    justify: Justify = Justify.LEFT
    sensitivity: Sensitivity = Sensitivity.OPEN
    censor: Callable[[str], str] | None = None
    """Which part of a value that is not open may be shown of a capture; without it, all of it."""
    sizes: frozenset[int] | None = None
    """The only lengths that are accepted, where the dialect is stricter than `length` (UnionPay field 60)."""
