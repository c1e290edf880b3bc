"""Functions for the messages of every day: a declared set of elements becomes straight-line Python, once.

Rule: what a function answers is what the reference answers, and whatever is unusual it answers with `None`, so that
the reference speaks every error. Only sets in `MessageSpec.catalogue` are ever compiled, each at its first use: nothing
that a peer sends can cause another, or take the place of one. The text of a function is made from the spec alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pos_engine.wire import rules
from pos_engine.wire.compiled import decoder, encoder

if TYPE_CHECKING:
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import Decoder, MessageSpec


def prepare(spec: MessageSpec) -> None:
    """Enter the catalogue of a spec into its tables; nothing is compiled yet."""
    shapes, size = spec.shapes, rules.bitmap_size(spec)
    start = rules.mti_size(spec)
    shapes.head = slice(start, start + size)
    further: dict[bytes, dict[bytes, Decoder]] = {}
    for elements in spec.catalogue:
        numbers = tuple(sorted(elements))
        shapes.encoders[numbers] = partial(_first_encode, spec, numbers)
        bitmaps = _bitmaps(spec, numbers)
        table, end = shapes.decoders, size
        while end < len(bitmaps):
            # Bitmaps that announce another one lead to a table of those that follow.
            window = slice(start + end, start + end + size)
            following = further.setdefault(bitmaps[:end], {})
            table[bitmaps[end - size : end]] = partial(_next_bitmap, following, window)
            table, end = following, end + size
        key = bitmaps[end - size : end]
        table[key] = partial(_first_decode, spec, numbers, table, key)
    shapes.ready = True


def _bitmaps(spec: MessageSpec, numbers: tuple[int, ...]) -> bytes:
    text = rules.bitmap_text(numbers)
    return bytes.fromhex(text) if spec.bitmap in rules.PACKED else text.encode(rules.CODECS[spec.bitmap])


def _next_bitmap(table: dict[bytes, Decoder], window: slice, data: bytes) -> Message | None:
    read = table.get(data[window])
    return None if read is None else read(data)


def _first_decode(
    spec: MessageSpec, numbers: tuple[int, ...], table: dict[bytes, Decoder], key: bytes, data: bytes
) -> Message | None:
    table[key] = read = decoder.build(spec, numbers)
    return read(data)


def _first_encode(spec: MessageSpec, numbers: tuple[int, ...], mti: str, values: tuple[str, ...]) -> bytes | None:
    spec.shapes.encoders[numbers] = write = encoder.build(spec, numbers)
    return write(mti, values)
