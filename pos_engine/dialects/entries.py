"""What hosts give terminals to keep: parameters, certification authorities' keys, applications, card ranges refused.

These are plain values, whatever dialect brought them. Nothing in them is secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pos_engine.values import Text


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value under its tag; what is no text is in upper-case hex."""

    tag: str
    name: Text
    value: str


@dataclass(frozen=True, slots=True)
class CaKey:
    """A certification authority's public key, as far as it may be kept: it agreed with its check value."""

    rid: str
    """Registered application provider: 10 hex digits."""
    index: str
    """2 hex digits."""
    expires: str
    """YYYYMMDD, or nothing where the host does not say."""
    modulus: bytes = field(repr=False)
    exponent: bytes = field(repr=False)

    @property
    def bits(self) -> int:
        """Length of the modulus."""
        return int.from_bytes(self.modulus).bit_length()


@dataclass(frozen=True, slots=True)
class Application:
    """A chip application that the terminal serves, and how."""

    aid: str
    """10 to 32 hex digits."""
    values: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class CardRange:
    """Cards that are refused: their numbers begin with digits from `first` to `last`."""

    first: str
    last: str


Entry = Parameter | CaKey | Application | CardRange


@dataclass(frozen=True, slots=True)
class Devices:
    """What a terminal says about its devices: whether they work; `None` where nobody knows."""

    keyboard: bool | None = None
    pin_pad: bool | None = None
    reader: bool | None = None
    printer: bool | None = None
    display: bool | None = None
