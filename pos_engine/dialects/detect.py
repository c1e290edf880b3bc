"""Takes captured bytes apart without being told what stands before the message.

    [length, 2 bytes, big-endian] [TPDU, 5 bytes, 60 ...] [header, 6 bytes, class 60 to 63] MTI ...

Every combination of the three is tried, and when none leads to an MTI, a block of unknown meaning before it (some
acquirers put a caller's number or an extension there). Of all readings the one that has to forgive least is believed:
sound before broken, a length that fits before one that does not; among broken ones, the one that explains most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from pos_engine.errors import FrameError, ProtocolError
from pos_engine.framing.tpdu import TPDU_BYTES, TPDU_ID
from pos_engine.wire import lenient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pos_engine.wire.columns import Columns
    from pos_engine.wire.lenient import Reading
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import MessageSpec

UNKNOWN_BLOCK_BYTES_MAX: Final = 64
"""How far an MTI is searched for behind bytes of unknown meaning; blocks that acquirers add have 7 to some 40 bytes."""

_LENGTH_BYTES: Final = 2
_TPDU_FIRST: Final = bytes.fromhex(TPDU_ID)
_HEADER_CLASSES: Final = frozenset({0x60, 0x61, 0x62, 0x63})
_MTI: Final = re.compile(r"[0-2][1-8][0-9][0-9]")
"""Versions 1987, 1993 and 2003; classes authorization to network management."""

_FIELDS_MIN: Final = 3
"""Fields that must follow an MTI found by searching: any noise holds two bytes that look like an MTI."""

_PART_WEIGHT: Final = 3
"""A length that fits, a TPDU or a header explains a broken capture as well as this many fields do."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What captured bytes turned out to be.

    `length` is the declared one, `tpdu` and `header` upper-case hex, `start` the offset of the MTI, from which a
    `DecodeError` and `spans` count (a `FrameError`, no MTI found, counts from the first byte). On failure `message`
    holds what was read before it. `spans` says from which byte to which an element reaches, its length included.
    """

    length: int | None
    tpdu: str | None
    header: str | None
    mti: str | None
    bitmap: str | None
    message: Message
    notes: tuple[str, ...]
    error: ProtocolError | None
    start: int
    spans: Mapping[int, tuple[int, int]]

    @property
    def merit(self) -> tuple[bool, bool, int, int]:
        """How well it reads, to compare readings of the same bytes in several dialects: the better the larger."""
        found = not isinstance(self.error, FrameError)
        parts = sum(part is not None for part in (self.length, self.tpdu, self.header))
        return found, found and self.error is None, len(self.message) + parts, -len(self.notes)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where length, TPDU and header end; one that ends where it begins is absent."""

    length_end: int
    tpdu_end: int
    header_end: int


@dataclass(frozen=True, slots=True)
class _Guess:
    """One idea of what stands before the MTI, and the reading it leads to."""

    length: int | None
    fits: bool
    tpdu: str | None
    header: str | None
    unknown: int
    start: int
    reading: Reading

    @property
    def found(self) -> bool:
        """Whether the reading begins with something that can be an MTI."""
        return _MTI.fullmatch(self.reading.message.mti) is not None

    @property
    def merit(self) -> tuple[bool, bool, bool, int, int, int]:
        """How much of the bytes it explains, the better the larger."""
        sound = self.found and self.reading.error is None
        parts = (self.length is not None and self.fits, self.tpdu is not None, self.header is not None)
        explained = sum(parts) * _PART_WEIGHT + len(self.reading.message)
        return self.found, sound, sound and self.fits, sound * -len(self.reading.notes), explained, self.start


def take_apart(data: bytes, spec: MessageSpec, header: Columns | None = None) -> Capture:
    """Find length, TPDU and header (where the dialect has one: give its layout) by itself, and read the message.

    Never raises for any bytes; what could not be read is the capture's `error`.
    """
    guess = max(_guesses(data, spec, header), key=lambda guess: guess.merit)
    reading = guess.reading
    return Capture(
        length=guess.length,
        tpdu=guess.tpdu,
        header=guess.header,
        mti=reading.message.mti or None,
        bitmap=reading.bitmap or None,
        message=reading.message,
        notes=_notes(guess, len(data)),
        error=reading.error if guess.found else _no_message(data, guess),
        start=guess.start,
        spans=reading.spans,
    )


def _no_message(data: bytes, guess: _Guess) -> FrameError:
    reason = "no MTI where a message could begin" if data else "there are no bytes"
    return FrameError(reason, offset=guess.start)


def _guesses(data: bytes, spec: MessageSpec, header: Columns | None) -> list[_Guess]:
    header_bytes = 0 if header is None else sum(column.width for column in header.columns) // 2
    cuts = list(_cuts(data, header_bytes))
    known = [_guess(data, spec, cut) for cut in cuts]
    if any(guess.found for guess in known):
        return known
    searched = (
        _guess(data, spec, cut, unknown)
        for cut in cuts
        for unknown in range(1, UNKNOWN_BLOCK_BYTES_MAX + 1)
        if cut.header_end == cut.tpdu_end and cut.header_end + unknown < len(data)
    )
    return known + [guess for guess in searched if len(guess.reading.message) >= _FIELDS_MIN]


def _cuts(data: bytes, header_bytes: int) -> Iterator[_Cut]:
    headers = (0, header_bytes) if header_bytes else (0,)
    for length, tpdu, header in product((0, _LENGTH_BYTES), (0, TPDU_BYTES), headers):
        cut = _Cut(length, length + tpdu, length + tpdu + header)
        if (
            cut.header_end <= len(data)
            and (not tpdu or data.startswith(_TPDU_FIRST, length))
            and (not header or data[cut.tpdu_end] in _HEADER_CLASSES)
        ):
            yield cut


def _guess(data: bytes, spec: MessageSpec, cut: _Cut, unknown: int = 0) -> _Guess:
    """Read the message behind the cut and `unknown` more bytes."""
    declared = int.from_bytes(data[: cut.length_end]) if cut.length_end else None
    start = cut.header_end + unknown
    return _Guess(
        length=declared,
        fits=declared is None or declared == len(data) - _LENGTH_BYTES,
        tpdu=data[cut.length_end : cut.tpdu_end].hex().upper() or None,
        header=data[cut.tpdu_end : cut.header_end].hex().upper() or None,
        unknown=unknown,
        start=start,
        reading=lenient.read(data[start:], spec),
    )


def _notes(guess: _Guess, size: int) -> tuple[str, ...]:
    notes = []
    if not guess.fits:
        notes.append(f"length: declares {guess.length} bytes, {size - _LENGTH_BYTES} follow")
    if guess.unknown:
        notes.append(f"{guess.unknown} bytes of unknown meaning stand before the MTI")
    return (*notes, *guess.reading.notes)
