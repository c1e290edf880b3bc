"""Every framing a configuration may name, and what makes a framer of it: a length alone, or a serial line's rules.

be2, ascii4+self-tpdu ...    a length before each message, for TCP
stx, stx+binary              acknowledged frames, for a serial line; the length as packed digits, or binary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from pos_engine.framing import length
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.line import LineTimers
from pos_engine.framing.stx import StxFramer
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.framing.base import Framer
    from pos_engine.framing.length import LengthFraming


@dataclass(frozen=True, slots=True)
class Framing:
    """One framing: its name, what it is in words, and a factory of framers, one for each connection.

    The factory is given the seconds that a byte takes, 0 where nobody knows them.
    """

    name: str
    title: Text
    new: Callable[[float], Framer]


def _counted(encoding: LengthFraming) -> Callable[[float], Framer]:
    """Framers of a length alone, which wait for nothing."""
    return lambda _: LengthFramer(encoding)


def _acknowledged(encoding: LengthFraming) -> Callable[[float], Framer]:
    """Framers of a line, which the other side may know from before."""
    return lambda byte_s: StxFramer(encoding, timers=LineTimers(byte_s=byte_s), opens=True)


_LINES: Final = (
    Framing(
        "stx",
        Text(
            "serial line: STX, length of 4 packed digits, ETX, LRC; acknowledged",
            "串口: STX+2字节BCD长度+ETX+LRC, 带应答",
        ),
        _acknowledged(length.FRAMINGS["bcd2"]),
    ),
    Framing(
        "stx+binary",
        Text(
            "serial line: STX, binary length of 2 bytes, ETX, LRC; acknowledged",
            "串口: STX+2字节二进制长度+ETX+LRC, 带应答",
        ),
        _acknowledged(length.FRAMINGS["be2"]),
    ),
)

FRAMINGS: Final[Mapping[str, Framing]] = {
    **{name: Framing(name, each.title, _counted(each)) for name, each in length.FRAMINGS.items()},
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


def new_framer(name: str, byte_s: float = 0.0) -> Framer:
    """Return a new framer of that framing, for one connection; `UsageError` for a name that is none.

    `byte_s`: seconds that a byte takes on a line, which its timers have to allow for; 0 where nobody knows.
    """
    return parse(name).new(byte_s)
