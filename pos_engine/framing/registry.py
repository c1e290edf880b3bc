"""Every framing a configuration may name, and what makes a framer of it: a length alone, or a serial line's rules.

be2, ascii4+self-tpdu ...    a length before each message, for TCP
stx, stx+binary              acknowledged frames, for a serial line; the length as packed digits, or binary
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from pos_engine.framing import length
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.stx import StxFramer
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.framing.base import Framer


@dataclass(frozen=True, slots=True)
class Framing:
    """One framing: its name, what it is in words, and a factory of framers, one for each connection."""

    name: str
    title: Text
    new: Callable[[], Framer]


_LINES: Final = (
    Framing(
        "stx",
        Text(
            "serial line: STX, length of 4 packed digits, ETX, LRC; acknowledged",
            "串口: STX+2字节BCD长度+ETX+LRC, 带应答",
        ),
        partial(StxFramer, length.FRAMINGS["bcd2"]),
    ),
    Framing(
        "stx+binary",
        Text(
            "serial line: STX, binary length of 2 bytes, ETX, LRC; acknowledged",
            "串口: STX+2字节二进制长度+ETX+LRC, 带应答",
        ),
        partial(StxFramer, length.FRAMINGS["be2"]),
    ),
)

FRAMINGS: Final[Mapping[str, Framing]] = {
    **{name: Framing(name, each.title, partial(LengthFramer, each)) for name, each in length.FRAMINGS.items()},
    **{each.name: each for each in _LINES},
}
"""By name: all of `framing.length`, then those of serial lines."""

SERIAL_DEFAULT: Final = "stx"
"""What a serial line speaks unless its address says otherwise."""


def parse(text: str) -> Framing:
    """Return the framing of that name, such as "be2" or "stx+binary"; else `UsageError`."""
    framing = FRAMINGS.get(text)
    reason = ""
    if framing is None:
        try:
            length.parse(text)
        except UsageError as error:
            reason = f"{error}; on a serial line also {' or '.join(each.name for each in _LINES)}"
    if framing is None:
        raise UsageError(reason)
    return framing


def new_framer(name: str) -> Framer:
    """Return a new framer of that framing, for one connection; `UsageError` for a name that is none."""
    return parse(name).new()
