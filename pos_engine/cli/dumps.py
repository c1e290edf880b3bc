"""What `decode` is given, as bytes: hex text, what `xxd`, `xxd -p` and `hexdump -C` print, or the bytes themselves.

The form is told by its looks. `ways` says how the bytes may be several messages, the likeliest first; which way is
right, only reading them tells. Faults name offsets and line numbers, never what stands there.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pos_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INPUT_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes read at once. A larger capture is for the capture commands."""

STDIN: Final = "-"
TYPED: Final = "HEX"
"""The name of what stood on the command line itself."""

_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f\s]")
_XXD: Final = re.compile(r"(?P<offset>[0-9A-Fa-f]{7,16}): (?P<bytes>(?:[0-9A-Fa-f]{2,} ?)+)(?: .*)?")
_HEXDUMP: Final = re.compile(
    r"(?P<offset>[0-9A-Fa-f]{7,16})(?P<bytes>(?: {1,2}[0-9A-Fa-f]{2}){1,16})? *(?P<text>\|.*\|)?"
)
_REPEATED: Final = "*"
"""hexdump's line for lines like the one before."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was given, and where it came from."""

    name: str
    data: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The bytes as characters, one each, so that offsets stay what they are."""
        return self.data.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Found:
    """Bytes that were found: one piece, or several where the input itself parts them; `lines` may be messages each."""

    pieces: tuple[bytes, ...] = field(repr=False)
    lines: tuple[bytes, ...] = field(default=(), repr=False)


def read(argument: str) -> Source:
    """Take the argument for hex, unless it cannot be and a file of that name is there; `-` is standard input."""
    if argument == STDIN:
        return Source("standard input", _limited("standard input", sys.stdin.buffer))
    path = Path(argument)
    if _NOT_HEX.search(argument) is None or not _exists(path):
        # A character beyond latin-1 is no hex digit either; one byte each keeps the offsets.
        return Source(TYPED, argument.encode("latin-1", errors="replace"))
    problem = ""
    try:
        with path.open("rb") as file:
            return Source(str(path), _limited(str(path), file))
    except OSError as error:
        problem = f"{path}: cannot be read: {(error.strerror or '').lower()}"
    raise UsageError(problem)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # Too long for a name, or with a zero byte in it.
        return False


def _limited(name: str, file: IO[bytes]) -> bytes:
    data = file.read(INPUT_BYTES_MAX + 1)
    if len(data) > INPUT_BYTES_MAX:
        reason = f"{name}: more than {INPUT_BYTES_MAX} bytes"
        raise UsageError(reason)
    return data


def find(source: Source) -> Found:
    """Turn dumps and hex text into bytes; `UsageError` for what is neither, which may still be bytes themselves."""
    dumped = _dump(source)
    if dumped is not None:
        return Found(dumped)
    whole = _hex(source)
    lines = [line for line in source.text.splitlines() if line.strip()]
    if len(lines) < 2 or any(len("".join(line.split())) % 2 for line in lines):  # noqa: PLR2004 - several
        return Found((whole,))
    return Found((whole,), tuple(bytes.fromhex("".join(line.split())) for line in lines))


def ways(found: Found) -> Iterator[tuple[bytes, ...]]:
    """Say how the bytes may be messages: as they are parted, by their lengths, one per line."""
    yield found.pieces
    chained = tuple(frame for piece in found.pieces for frame in _frames(piece) or (piece,))
    if len(chained) > len(found.pieces):
        yield chained
    if found.lines:
        yield found.lines


def _frames(data: bytes) -> tuple[bytes, ...]:
    """Part bytes at two-byte lengths; nothing where these do not lead exactly to the end."""
    frames, start = [], 0
    while start < len(data):
        end = start + 2 + int.from_bytes(data[start : start + 2])
        if end > len(data) or end == start + 2:
            return ()
        frames.append(data[start:end])
        start = end
    return tuple(frames)


def _hex(source: Source) -> bytes:
    """Turn hex text into bytes; what is wrong with it is told with its offset and without itself."""
    text = source.text
    wrong = _NOT_HEX.search(text)
    digits = "".join(text.split())
    reason = ""
    if wrong is not None:
        more = ", and no file has that name" if source.name == TYPED else ""
        reason = f"{source.name}: not a hex digit at offset {wrong.start()}{more}"
    elif not digits:
        reason = f"{source.name}: there is no hex at offset 0"
    elif len(digits) % 2:
        reason = f"{source.name}: an odd number of hex digits, the last byte is cut at offset {len(text.rstrip())}"
    if reason:
        raise UsageError(reason)
    return bytes.fromhex(digits)


def _dump(source: Source) -> tuple[bytes, ...] | None:
    """Read what xxd or hexdump -C printed; `None` when it is not that, an error when it does not fit together."""
    lines = [(number, line.strip()) for number, line in enumerate(source.text.splitlines(), 1) if line.strip()]
    for form, mark in ((_XXD, ":"), (_HEXDUMP, "|")):
        matches = [(number, line, form.fullmatch(line)) for number, line in lines]
        if any(mark in line for _, line in lines) and all(match or line == _REPEATED for _, line, match in matches):
            return tuple(map(bytes, _assembled(source.name, matches)))
    return None


def _assembled(name: str, matches: Iterable[tuple[int, str, re.Match[str] | None]]) -> list[bytearray]:
    """Put lines together: an offset of 0 begins another dump, any other must be where the one before ended."""
    dumps: list[bytearray] = []
    last, repeats = b"", False
    for number, _, match in matches:
        if match is None:
            repeats = True
            continue
        offset = int(match["offset"], 16)
        if offset == 0:
            dumps.append(bytearray())
        elif dumps and repeats and last:
            missing = min(offset, INPUT_BYTES_MAX) - len(dumps[-1])
            dumps[-1] += last * (missing // len(last))
        if not dumps or len(dumps[-1]) != offset:
            reason = f"{name}: line {number} of the dump does not go on where the line before it ended"
            raise UsageError(reason)
        last, repeats = bytes.fromhex(match["bytes"] or ""), False
        dumps[-1] += last
    return [dump for dump in dumps if dump]
