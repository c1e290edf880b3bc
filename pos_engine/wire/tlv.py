"""BER-TLV as EMV uses it in field 55 and in downloads: order, repeats, unknown tags and nested templates are kept.

    tag, 1 to 3 bytes | length: 1 byte, or 81 and 1 byte, or 82 and 2 bytes | value

What `decode` accepts, `encode` gives back byte for byte: a length written longer than it need be stays so, and a 00
byte between tags, which EMV allows as filling, is an item too. Size, nesting and number of items are bounded by
`limits`; every refusal names the offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILLING: Final = "00"
"""The tag of a filling byte; it has neither length nor value."""
TAG_BYTES_MAX: Final = 3
LENGTH_BYTES_MAX: Final = 3
"""The first of them says how many follow, or is the length itself."""

_TAG_CONTINUES: Final = 0x1F
"""The five low bits of a tag's first byte that announce another one."""
_CONSTRUCTED: Final = 0x20
"""The bit of a tag's first byte that says its value is items."""
_MORE: Final = 0x80
_BYTE_MAX: Final = 0xFF
_TAG: Final = re.compile(r"(?!00)(?:[0-9A-F]{2}){1,3}")


@dataclass(frozen=True, slots=True)
class Item:
    """One tag (upper-case hex) and its value: bytes, or the items of a constructed tag.

    `length_bytes` is what the length takes on the wire, 0 for as few as possible. `offset` is where the tag was found;
    it does not count in comparisons.
    """

    tag: str
    value: bytes = field(default=b"", repr=False)
    children: tuple[Item, ...] = ()
    length_bytes: int = 0
    offset: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Refuse what would not be read back as it is."""
        fault = _fault(self)
        if fault:
            raise LocalProtocolError(fault)

    @property
    def content(self) -> bytes:
        """The value as bytes, whether constructed or not."""
        return encode(self.children) if self.children else self.value


def is_constructed(tag: str) -> bool:
    """Whether a tag's value is items."""
    return bool(int(tag[:2], 16) & _CONSTRUCTED)


def _fault(item: Item) -> str:
    if item.tag == FILLING:
        return "filling has no value" if item.value or item.children or item.length_bytes else ""
    if _TAG.fullmatch(item.tag) is None or _tag_size(bytes.fromhex(item.tag), 0) * 2 != len(item.tag):
        return "a tag is one to three bytes in upper-case hex, and its bits say how many"
    if is_constructed(item.tag) and item.value:
        return "a constructed tag holds items"
    if not is_constructed(item.tag) and item.children:
        return "a primitive tag holds bytes"
    return ""


@dataclass(slots=True)
class _Budget:
    """How many more items one block may have."""

    items: int = limits.TLV_ITEMS_MAX


def decode(data: bytes) -> tuple[Item, ...]:
    """Read a block to its end; a `DecodeError` says why and at which offset it makes no sense."""
    if len(data) > limits.TLV_BYTES_MAX:
        reason = f"a block has {len(data)} bytes, at most {limits.TLV_BYTES_MAX} are read"
        raise DecodeError(reason, offset=limits.TLV_BYTES_MAX)
    return tuple(_items(bytes(data), 0, len(data), 1, _Budget()))


def _items(data: bytes, offset: int, end: int, depth: int, budget: _Budget) -> Iterator[Item]:
    while offset < end:
        if budget.items == 0:
            reason = f"more than {limits.TLV_ITEMS_MAX} items"
            raise DecodeError(reason, offset=offset)
        budget.items -= 1
        if data[offset] == 0:
            yield Item(FILLING, offset=offset)
            offset += 1
            continue
        item, offset = _item(data, offset, end, depth, budget)
        yield item


def _item(data: bytes, offset: int, end: int, depth: int, budget: _Budget) -> tuple[Item, int]:
    tag_end = offset + _tag_size(data[:end], offset)
    if tag_end == offset:
        reason = "a tag does not end"
        raise DecodeError(reason, offset=offset)
    start, size = _length(data[:end], tag_end)
    stop = start + size
    if stop > end:
        reason = "a tag's length runs past the end"
        raise DecodeError(reason, offset=tag_end)
    tag = data[offset:tag_end].hex().upper()
    length_bytes = start - tag_end if start - tag_end > _length_size(size) else 0
    if not is_constructed(tag):
        return Item(tag, data[start:stop], (), length_bytes, offset), stop
    if depth == limits.TLV_DEPTH_MAX:
        reason = f"items are nested more than {limits.TLV_DEPTH_MAX} deep"
        raise DecodeError(reason, offset=offset)
    children = tuple(_items(data, start, stop, depth + 1, budget))
    return Item(tag, b"", children, length_bytes, offset), stop


def _tag_size(data: bytes, offset: int) -> int:
    """Return how many bytes the tag at `offset` has; 0 when it does not end, or not soon enough."""
    end = offset + 1
    if data[offset] & _TAG_CONTINUES == _TAG_CONTINUES:
        while end < len(data) and data[end] & _MORE:
            end += 1
        end += 1
    return end - offset if end <= len(data) and end - offset <= TAG_BYTES_MAX else 0


def _length(data: bytes, offset: int) -> tuple[int, int]:
    """Return where the value begins and how many bytes it has."""
    if offset >= len(data):
        reason = "a tag has no length"
        raise DecodeError(reason, offset=offset)
    first = data[offset]
    if first < _MORE:
        return offset + 1, first
    count = first - _MORE
    start = offset + 1 + count
    if not 1 <= count < LENGTH_BYTES_MAX or start > len(data):
        reason = "a length takes one or two more bytes here"
        raise DecodeError(reason, offset=offset)
    return start, int.from_bytes(data[offset + 1 : start])


def _length_size(size: int) -> int:
    """Return how many bytes a length takes at least."""
    return 1 if size < _MORE else 2 if size <= _BYTE_MAX else 3


def encode(items: Iterable[Item]) -> bytes:
    """Write items; `LocalProtocolError` for one that is longer than a length can say."""
    return b"".join(_encoded(item) for item in items)


def _encoded(item: Item) -> bytes:
    tag = bytes.fromhex(item.tag)
    if item.tag == FILLING:
        return tag
    content = item.content
    size = max(item.length_bytes, _length_size(len(content)))
    if len(content) > limits.TLV_BYTES_MAX or size > LENGTH_BYTES_MAX:
        reason = f"an item has {len(content)} bytes, at most {limits.TLV_BYTES_MAX} can be written"
        raise LocalProtocolError(reason)
    if size == 1:
        return tag + bytes([len(content)]) + content
    return tag + bytes([_MORE + size - 1]) + len(content).to_bytes(size - 1) + content


def find_all(items: Sequence[Item], tag: str) -> Iterator[Item]:
    """Find every item of a tag, at any depth, in the order of the bytes."""
    for item in items:
        if item.tag == tag:
            yield item
        yield from find_all(item.children, tag)


def find(items: Sequence[Item], tag: str) -> Item | None:
    """Find the first item of a tag, at any depth."""
    return next(find_all(items, tag), None)


def put(items: Sequence[Item], tag: str, value: bytes) -> tuple[Item, ...]:
    """Return a copy in which every item of a primitive tag, at any depth, has this value; a new one is appended."""
    if find(items, tag) is None:
        return (*items, Item(tag, value))
    return tuple(_put(item, tag, value) for item in items)


def _put(item: Item, tag: str, value: bytes) -> Item:
    if item.tag == tag:
        return replace(item, value=value, length_bytes=0)
    if find(item.children, tag) is None:
        return item
    return replace(item, children=tuple(_put(child, tag, value) for child in item.children), length_bytes=0)
