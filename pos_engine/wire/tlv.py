"""BER-TLV as EMV uses it in field 55: tags of one to three bytes, definite lengths, order and repeats kept.

Only one level is read: a constructed tag's value is bytes like any other. Lengths are bounded by the data at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

TAG_CONTINUES: Final = 0x1F
"""The five low bits that announce another tag byte."""
MORE: Final = 0x80
TAG_BYTES_MAX: Final = 3
LENGTH_BYTES_MAX: Final = 2


def items(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each tag as upper-case hex with its value; `DecodeError` gives the offset where it stops making sense."""
    offset = 0
    while offset < len(data):
        tag_end = _tag_end(data, offset)
        start, size = _length(data, tag_end)
        if start + size > len(data):
            reason = "a tag's length runs past the end"
            raise DecodeError(reason, offset=tag_end)
        yield data[offset:tag_end].hex().upper(), data[start : start + size]
        offset = start + size


def _tag_end(data: bytes, offset: int) -> int:
    end = offset + 1
    if data[offset] & TAG_CONTINUES == TAG_CONTINUES:
        while end < len(data) and data[end] & MORE:
            end += 1
        end += 1
    if end > len(data) or end - offset > TAG_BYTES_MAX:
        reason = "a tag does not end"
        raise DecodeError(reason, offset=offset)
    return end


def _length(data: bytes, offset: int) -> tuple[int, int]:
    """Return where the value begins and how many bytes it has."""
    if offset >= len(data):
        reason = "a tag has no length"
        raise DecodeError(reason, offset=offset)
    first = data[offset]
    if first < MORE:
        return offset + 1, first
    count = first - MORE
    if not 1 <= count <= LENGTH_BYTES_MAX or offset + 1 + count > len(data):
        reason = "a length takes one or two more bytes here"
        raise DecodeError(reason, offset=offset)
    return offset + 1 + count, int.from_bytes(data[offset + 1 : offset + 1 + count], "big")
