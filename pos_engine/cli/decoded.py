"""How a decoded message is shown: one line that sums it up, then its fields as a tree, or one JSON object.

Everything that is shown has passed `wire.describe`; the bytes of what it hides are hidden too, and bytes that were not
read are not shown at all, because nobody knows what is in them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pos_engine.errors import FrameError
from pos_engine.values import Text
from pos_engine.wire import rules
from pos_engine.wire.composite import of_columns
from pos_engine.wire.describe import bytes_shown, masked, rows, shown, summary
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect
    from pos_engine.dialects.detect import Capture
    from pos_engine.wire.describe import Row

BYTES_A_LINE: Final = 16
VALUE_WIDTH: Final = 64
"""A longer value whose parts follow is read in its parts."""

_HEADS: Final = (Text("field", "域"), Text("name", "名称"), Text("value", "值"))
_BYTE_HEADS: Final = (Text("offset", "偏移"), Text("bytes", "字节"))
_NOTE: Final = Text("note", "备注")
_NO_MESSAGE: Final = Text("no message found", "未找到报文")
_LENGTH: Final = Text("length of the frame", "报文长度")
_TPDU: Final = Text("TPDU", "TPDU")
_HEADER: Final = Text("header", "报文头")
_BLOCK: Final = Text("block of unknown meaning", "未知数据块")
_MTI: Final = Text("message type", "消息类型")
_BITMAP: Final = Text("bitmap", "位图")

Cells = tuple[str, str, str]
Line = tuple[int | None, str, Cells]
"""Offset and bytes (hex, masked) of one row, `None` and nothing for a part; its key, name and value."""


def show(
    output: Output, data: bytes, capture: Capture, dialect: Dialect, *, with_bytes: bool = False, unmask: bool = False
) -> None:
    """Print one message that was taken apart; `data` are all its bytes."""
    if isinstance(capture.error, FrameError):
        # Without an MTI nothing is what it seems: the header of a number that was pasted bare would be its digits.
        empty = Message("", {})
        capture = replace(capture, length=None, tpdu=None, header=None, mti=None, bitmap=None, message=empty, spans={})
    if output.as_json:
        parts = {"length": capture.length, "tpdu": capture.tpdu, "header": capture.header}
        fields = masked(capture.message, dialect.spec, unmask_pan=unmask, capture=True)
        notes = list(capture.notes)
        output.json({**parts, "mti": capture.mti, "bitmap": capture.bitmap, "fields": fields, "notes": notes})
        return
    if capture.mti is None:
        output.line(output.say(_NO_MESSAGE))
        return
    output.line(summary(capture.message, dialect.spec, output.language))
    lines = (*_before(output, data, capture, dialect), *_fields(output, data, capture, dialect, unmask=unmask))
    heads = [output.say(head) for head in _HEADS]
    if with_bytes:
        heads = [*map(output.say, _BYTE_HEADS), *heads]
        output.table(heads, [cells for line in lines for cells in _beside_bytes(line)])
    else:
        output.table(heads, [cells for _, _, cells in lines])
    for note in capture.notes:
        output.line(f"{output.say(_NOTE)}: {note}")


def _before(output: Output, data: bytes, capture: Capture, dialect: Dialect) -> Iterator[Line]:
    """What stands before the fields: length, TPDU, header and its parts, message type, bitmap."""
    offset = 0
    if capture.length is not None:
        yield offset, data[:2].hex().upper(), ("", output.say(_LENGTH), str(capture.length))
        offset += 2
    for name, value in ((_TPDU, capture.tpdu), (_HEADER, capture.header)):
        if value is not None:
            yield offset, value, ("", output.say(name), value)
            offset += len(value) // 2
    if capture.header is not None and dialect.header is not None:
        for part in of_columns(dialect.header, capture.header, dialect.meanings):
            meaning = output.say(part.meaning) if part.meaning else ""
            yield None, "", ("", f"  {output.say(part.name)}", _said(part.value, meaning))
    if offset < capture.start:
        unknown = capture.start - offset
        yield offset, "**" * unknown, ("", output.say(_BLOCK), f"({unknown} bytes)")
    offset, end = capture.start, capture.start + rules.mti_size(dialect.spec)
    yield offset, data[offset:end].hex().upper(), ("", output.say(_MTI), capture.mti or "")
    if capture.bitmap is not None:
        size = len(capture.bitmap) // (2 if dialect.spec.bitmap in rules.PACKED else 1)
        yield end, data[end : end + size].hex().upper(), ("", output.say(_BITMAP), capture.bitmap)


def _fields(output: Output, data: bytes, capture: Capture, dialect: Dialect, *, unmask: bool) -> Iterator[Line]:
    described = rows(
        capture.message,
        dialect.spec,
        dialect.cut,
        output.language,
        explain=dialect.explain,
        unmask_pan=unmask,
        capture=True,
    )
    for row in described:
        number = int(row.key)
        start, end = (capture.start + place for place in capture.spans[number])
        field, value = dialect.spec.fields.get(number), capture.message[number]
        text = shown(field, value, unmask_pan=unmask, capture=True)
        yield start, bytes_shown(field, data[start:end], value, text), _cells(row, "")
        yield from ((None, "", cells) for cells in _children(row, "  "))


def _children(row: Row, indent: str) -> Iterator[Cells]:
    for child in row.children:
        yield _cells(child, indent)
        yield from _children(child, f"{indent}  ")


def _cells(row: Row, indent: str) -> Cells:
    long = row.children and len(row.shown) > VALUE_WIDTH
    return f"{indent}{row.key}", f"{indent}{row.name}", _said("..." if long else row.shown, row.meaning)


def _said(value: str, meaning: str) -> str:
    return " ".join(filter(None, (value, f"({meaning})" if meaning else "")))


def _beside_bytes(line: Line) -> Iterator[tuple[str, str, str, str, str]]:
    """Put offset and bytes before a row, sixteen bytes a line; the row's text stands in the first."""
    offset, raw, cells = line
    if offset is None:
        yield "", "", *cells
        return
    step = 2 * BYTES_A_LINE
    for place in range(0, max(len(raw), 1), step):
        pairs = " ".join(raw[at : at + 2] for at in range(place, min(place + step, len(raw)), 2))
        yield f"{offset + place // 2:04X}", pairs, *(cells if place == 0 else ("", "", ""))
