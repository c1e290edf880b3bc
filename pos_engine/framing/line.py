"""What is said on a serial line: the bytes that mean something, what they are between frames, and how long all takes.

The rules that use them are `framing.stx`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.framing.length import LengthFraming

STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ENQ: Final = 0x05
ACK: Final = 0x06
NAK: Final = 0x15

HEAD_BYTES: Final = 3
"""STX and the length."""
TAIL_BYTES: Final = 2
"""ETX and LRC."""
WORDS_MAX: Final = 4
"""Words in one breath: an end says one or two. More of them are noise."""
COLLECTED_BYTES: Final = 16
"""What a line's receiver collects before it hands anything on: a pause of so many bytes is none."""


@dataclass(frozen=True, slots=True)
class LineTimers:
    """Seconds until a frame is repeated, seconds of silence that end whatever was coming in, and those of a byte.

    The first two do not count the time that bytes take on the line; `byte_s` does, and is 0 where nobody knows it.
    """

    ack_s: float = field(default_factory=lambda: limits.LINE_ACK_S)
    inter_byte_s: float = field(default_factory=lambda: limits.LINE_INTER_BYTE_S)
    byte_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse timers that are none."""
        if self.ack_s <= 0 or self.inter_byte_s <= 0 or self.byte_s < 0:
            reason = "a line's timers are positive"
            raise UsageError(reason)

    @property
    def silence_s(self) -> float:
        """How long nothing comes until what was coming in has ended."""
        return self.inter_byte_s + COLLECTED_BYTES * self.byte_s

    def answer_s(self, size: int) -> float:
        """How long a frame of `size` bytes waits for its ACK, from the moment it was handed to the line.

        Whatever takes the bytes may take them at once, and have them on the line for seconds.
        """
        return self.ack_s + size * self.byte_s

    def repeat_s(self, size: int) -> float:
        """How long after the last frame on the line a repetition of one of `size` bytes may still begin.

        All repetitions but the last may have been lost on the way, each an ACK timer after the one before. Its sender
        may count the time on the line twice, because his transport waited for it as well.
        """
        return (limits.LINE_RETRIES_MAX + 1) * (self.ack_s + 2 * size * self.byte_s)


class Coming(enum.Enum):
    """What is coming in."""

    QUIET = "nothing"
    WORDS = "words that count if nothing but silence or a good frame follows"
    NOISE = "bytes that belong to nothing"
    FRAME = "a frame, complete so far"
    SPOILT = "the rest of a frame that cannot be; refused when it has passed"


class Kind(enum.Enum):
    """A byte between frames."""

    STX = "begins a frame"
    WORD = "ACK, NAK, ENQ or EOT"
    FILL = "00 or FF: what a break or a driver that is switched looks like"
    OTHER = "anything else"


KINDS: Final[Mapping[int, Kind]] = {
    STX: Kind.STX,
    **dict.fromkeys((ACK, NAK, ENQ, EOT), Kind.WORD),
    **dict.fromkeys((0x00, 0xFF), Kind.FILL),
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a payload is wrapped: `encoding` writes its length, of which at most `limit` is allowed."""

    encoding: LengthFraming
    limit: int

    def __post_init__(self) -> None:
        """Refuse what no line has."""
        if self.encoding.size + 1 != HEAD_BYTES or self.encoding.surplus or not 0 < self.limit <= self.encoding.most:
            reason = "a line's length has two bytes and counts the data alone; the limit is positive and can be said so"
            raise UsageError(reason)

    def refusal(self, length: int) -> str | None:
        """Say why no frame carries a payload of that length; `None` where one does."""
        if not length:
            return "an empty frame"
        return f"a frame of {length} bytes, {self.limit} are allowed" if length > self.limit else None

    def wrap(self, payload: bytes) -> bytes:
        """Return the frame, STX to LRC."""
        counted = self.encoding.write(len(payload)) + payload + bytes([ETX])
        return bytes([STX]) + counted + bytes([lrc(counted)])

    def size(self, head: bytes | bytearray) -> int | None:
        """Return the bytes of the whole frame that begins so, STX and length; `None` where there is no such frame."""
        length = self.encoding.read(head[1:HEAD_BYTES])
        return None if length is None or self.refusal(length) else HEAD_BYTES + length + TAIL_BYTES


def lrc(data: bytes | bytearray) -> int:
    """Return the exclusive or of all bytes: of everything behind STX up to the LRC itself it is the LRC."""
    return reduce(xor, data, 0)
