"""Frames that begin with a length: every TCP link of this trade, each with a length of its own kind.

    LL LL | payload        two bytes, big-endian, counting what follows them: the default, `be2`

What differs is data (`FRAMINGS`): how the length is written, whether it counts itself, whether it counts the TPDU that
the payload begins with. A length that cannot be (no number, zero, or above the limit) ends the connection: there is no
mark in the stream to find the next frame by, so guessing would cut messages at random. The framer stays failed; a new
connection starts anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, UsageError
from pos_engine.framing.base import Received
from pos_engine.framing.tpdu import TPDU_BYTES
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class LengthFraming:
    """One kind of length: its `size` in bytes, the largest number it can say, and how that number is read and written.

    `read` returns `None` for bytes that are no number.
    """

    name: str
    title: Text
    size: int
    most: int
    read: Callable[[bytes | bytearray], int | None]
    write: Callable[[int], bytes]
    counts_itself: bool = False
    uncounted: int = 0
    """Bytes at the front of the payload that the length leaves out: those of the TPDU, or none."""

    @property
    def surplus(self) -> int:
        """How much larger the number on the wire is than the payload; negative where it leaves something out."""
        return (self.size if self.counts_itself else 0) - self.uncounted


def _packed_digits(number: int) -> bytes:
    return bytes.fromhex(f"{number:04d}")


def _read_packed_digits(data: bytes | bytearray) -> int | None:
    digits = data.hex()
    return int(digits) if digits.isdecimal() else None


def _read_characters(data: bytes | bytearray) -> int | None:
    # Of a number's many spellings, signs, blanks and underlines included, only digits are one here.
    return int(data) if data.isdigit() else None


def _read_hex_characters(data: bytes | bytearray) -> int | None:
    return int(data, 16) if re.fullmatch(rb"[0-9A-Fa-f]+", data) else None


_ENCODINGS: Final = (
    LengthFraming(
        "be2",
        Text("length of 2 bytes, binary, big-endian", "2字节二进制长度, 高位在前"),
        2,
        0xFFFF,
        int.from_bytes,
        lambda number: number.to_bytes(2),
    ),
    LengthFraming(
        "le2",
        Text("length of 2 bytes, binary, little-endian", "2字节二进制长度, 低位在前"),
        2,
        0xFFFF,
        lambda data: int.from_bytes(data, "little"),
        lambda number: number.to_bytes(2, "little"),
    ),
    LengthFraming(
        "be4",
        Text("length of 4 bytes, binary, big-endian", "4字节二进制长度, 高位在前"),
        4,
        0xFFFF_FFFF,
        int.from_bytes,
        lambda number: number.to_bytes(4),
    ),
    LengthFraming(
        "bcd2",
        Text("length of 4 digits packed into 2 bytes", "2字节BCD长度"),
        2,
        9999,
        _read_packed_digits,
        _packed_digits,
    ),
    LengthFraming(
        "ascii4",
        Text("length of 4 decimal characters", "4位十进制字符长度"),
        4,
        9999,
        _read_characters,
        lambda number: b"%04d" % number,
    ),
    LengthFraming(
        "hex4",
        Text("length of 4 hexadecimal characters", "4位十六进制字符长度"),
        4,
        0xFFFF,
        _read_hex_characters,
        lambda number: b"%04X" % number,
    ),
)


def _variants(plain: LengthFraming) -> tuple[LengthFraming, ...]:
    """Return an encoding in all four ways of counting."""
    with_itself = replace(
        plain,
        name=f"{plain.name}+self",
        title=Text(f"{plain.title.en}, itself counted", f"{plain.title.zh}, 含自身"),
        counts_itself=True,
    )
    return plain, with_itself, _without_tpdu(plain), _without_tpdu(with_itself)


def _without_tpdu(framing: LengthFraming) -> LengthFraming:
    return replace(
        framing,
        name=f"{framing.name}-tpdu",
        title=Text(f"{framing.title.en}, TPDU not counted", f"{framing.title.zh}, 不含TPDU"),
        uncounted=TPDU_BYTES,
    )


FRAMINGS: Final[Mapping[str, LengthFraming]] = {
    framing.name: framing for encoding in _ENCODINGS for framing in _variants(encoding)
}
"""Every framing a configuration may name: `be2`, and with `+self`, `-tpdu` or both what its length counts besides."""

BE2: Final = FRAMINGS["be2"]


def parse(text: str) -> LengthFraming:
    """Return the framing of that name, such as "be2" or "ascii4+self-tpdu"; else `UsageError`."""
    framing = FRAMINGS.get(text)
    if framing is None:
        names = ", ".join(encoding.name for encoding in _ENCODINGS)
        reason = f"a framing is one of {names}, then +self where the length counts itself, -tpdu where not the TPDU"
        raise UsageError(reason)
    return framing


class LengthFramer:
    """A length, then a payload of at most `limit` bytes."""

    __slots__ = ("_buffer", "_fault", "_framing", "_limit", "_needed", "_read", "_size", "_surplus")

    def __init__(self, framing: LengthFraming = BE2, *, limit: int = limits.FRAME_BYTES_MAX) -> None:
        """Start empty. A limit that the length cannot express is lowered to what it can."""
        if limit <= framing.uncounted:
            reason = "the limit of a frame is positive, and leaves room behind what the length does not count"
            raise UsageError(reason)
        self._framing = framing
        self._read = framing.read
        self._size = framing.size
        self._surplus = framing.surplus
        self._limit = min(limit, framing.most - framing.surplus)
        self._buffer = bytearray()
        # Bytes the buffer must hold before there is anything to do: those of the length, then those of the frame.
        self._needed = framing.size
        self._fault: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame, its length included."""
        return len(self._buffer)

    def renewed(self) -> LengthFramer:
        """Return an empty one of the same kind."""
        return LengthFramer(self._framing, limit=self._limit)

    def send(self, payload: bytes) -> bytes:
        """Return length and payload; `LocalProtocolError` for an empty or an over-long one."""
        reason = self._refusal(len(payload))
        if reason is not None:
            raise LocalProtocolError(reason)
        return self._framing.write(len(payload) + self._surplus) + payload

    def withdraw(self) -> None:
        """Do nothing: this framing never repeats."""

    def receive(self, data: bytes, now: float) -> Received:  # noqa: ARG002 - this framing knows no timers
        """Return the payloads that `data` completes; `FrameError` when a length cannot be (offset 0 of its frame)."""
        frames: list[bytes] = []
        if self._fault is None:
            self._buffer += data
            while len(self._buffer) >= self._needed:
                self._advance(frames)
        if self._fault is not None and not frames:
            raise FrameError(self._fault, offset=0)
        return Received(frames=tuple(frames))

    def _advance(self, frames: list[bytes]) -> None:
        """Read the length at the front of the buffer, or cut off the payload it has announced."""
        if self._needed == self._size:
            self._announce(self._read(self._buffer[: self._size]))
        else:
            frames.append(bytes(self._buffer[self._size : self._needed]))
            del self._buffer[: self._needed]
            self._needed = self._size

    def _announce(self, number: int | None) -> None:
        length = 0 if number is None else number - self._surplus
        self._fault = "a length that is no number" if number is None else self._refusal(length)
        self._needed += length
        if self._fault is not None:
            self._buffer.clear()
            self._needed = self._size

    def _refusal(self, length: int) -> str | None:
        """Say what is wrong with a payload of `length` bytes, if anything."""
        if length <= self._framing.uncounted:
            return "an empty frame"
        if length > self._limit:
            return f"a frame of {length} bytes, {self._limit} are allowed"
        return None
