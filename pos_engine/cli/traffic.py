"""Traffic: `decode` takes captured bytes apart. It needs no configuration, and shows no secret."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.errors import FrameError, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect
    from pos_engine.dialects.detect import Capture
    from pos_engine.wire.describe import Row

INPUT_CHARACTERS_MAX: Final = 16 * 1024 * 1024
"""Hex text read at once. A larger capture is for the capture commands."""

STDIN: Final = "-"
DIALECT: Final = "unionpay"

_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f\s]")
_FIELD: Final = Text("field", "域")
_NAME: Final = Text("name", "名称")
_VALUE: Final = Text("value", "值")
_NOTE: Final = Text("note", "备注")
_NO_MESSAGE: Final = Text("no message found", "未找到报文")
_PARTS: Final = {
    "length": Text("length of the frame", "报文长度"),
    "tpdu": Text("TPDU", "TPDU"),
    "header": Text("header", "报文头"),
    "bitmap": Text("bitmap", "位图"),
}
_ON_THE_COMMAND_LINE: Final = Text(
    "note: this message holds card data, and the command line is kept in the shell's history; use - or a file",
    "注意: 报文含卡数据, 命令行会留在shell历史中, 请用 - 或文件",
)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where hex text came from, and the text."""

    name: str
    text: str


@command("decode", example="pos-engine decode 60000300000200…\npos-engine decode - --json < message.hex")
@click.argument("message", metavar="HEX|-|FILE", nargs=-1, required=True)
@click.option("--unmask", is_flag=True, help="Show the card number, field 2; on a terminal only.")
def decode(output: Output, *, message: tuple[str, ...], unmask: bool) -> Exit:
    """Take one message apart, or one per line of a file.

    Finds out by itself whether a length, a TPDU and a header stand before the message. HEX may hold blanks. Card
    numbers are masked, tracks, PIN blocks and keys hidden. A message that breaks off is shown as far as it goes.
    """
    from pos_engine.dialects.registry import DIALECTS

    if unmask and not sys.stdout.isatty():
        reason = "--unmask shows card numbers on a terminal only"
        raise UsageError(reason)
    dialect = DIALECTS[DIALECT]
    # Hex that was pasted without quotes comes in pieces.
    source = _read(" ".join(message))
    captures = _captures(source, dialect)
    code = Exit.DONE
    for number, capture in enumerate(captures, 1):
        _show(output, capture, dialect, unmask=unmask)
        if capture.error is not None:
            where = f"message {number}: " if len(captures) > 1 else ""
            output.error(f"{where}{capture.error}")
            code = Exit.PROTOCOL
    if source.name == "HEX" and any(_holds_card_data(capture, dialect) for capture in captures):
        output.note(output.say(_ON_THE_COMMAND_LINE))
    return code


def _read(argument: str) -> _Source:
    """Take the argument for hex, unless it cannot be and a file of that name is there."""
    if argument == STDIN:
        return _Source("standard input", _limited("standard input", sys.stdin.buffer))
    path = Path(argument)
    if _NOT_HEX.search(argument) is None or not _exists(path):
        return _Source("HEX", argument)
    problem = ""
    try:
        with path.open("rb") as file:
            return _Source(str(path), _limited(str(path), file))
    except OSError as error:
        problem = f"{path}: cannot be read: {(error.strerror or '').lower()}"
    raise UsageError(problem)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # Too long for a name, or with a zero byte in it.
        return False


def _limited(name: str, file: IO[bytes]) -> str:
    data = file.read(INPUT_CHARACTERS_MAX + 1)
    if len(data) > INPUT_CHARACTERS_MAX:
        reason = f"{name}: more than {INPUT_CHARACTERS_MAX} bytes"
        raise UsageError(reason)
    # Hex is ASCII; whatever else is there must keep its offset until it is refused.
    return data.decode("latin-1")


def _captures(source: _Source, dialect: Dialect) -> list[Capture]:
    """Read the text as one message; as one per line where only that makes sense."""
    whole = _bytes(source)
    one = _take_apart(whole, dialect)
    lines = [line for line in source.text.splitlines() if line.strip()]
    if one.error is None or len(lines) < 2 or any(_digits(line) % 2 for line in lines):  # noqa: PLR2004 - several
        return [one]
    each = [_take_apart(bytes.fromhex("".join(line.split())), dialect) for line in lines]
    # A dump that was broken into lines is one message: then none of its lines is.
    return each if any(capture.error is None for capture in each) else [one]


def _digits(text: str) -> int:
    return len("".join(text.split()))


def _take_apart(data: bytes, dialect: Dialect) -> Capture:
    from pos_engine.dialects.detect import take_apart

    return take_apart(data, dialect.spec, dialect.header)


def _bytes(source: _Source) -> bytes:
    """Turn hex text into bytes; what is wrong with it is told with its offset and without itself."""
    wrong = _NOT_HEX.search(source.text)
    digits = "".join(source.text.split())
    reason = ""
    if wrong is not None:
        more = ", and no file has that name" if source.name == "HEX" else ""
        reason = f"{source.name}: not a hex digit at offset {wrong.start()}{more}"
    elif not digits:
        reason = f"{source.name}: there is no hex at offset 0"
    elif len(digits) % 2:
        reason = (
            f"{source.name}: an odd number of hex digits, the last byte is cut at offset {len(source.text.rstrip())}"
        )
    if reason:
        raise UsageError(reason)
    return bytes.fromhex(digits)


def _show(output: Output, capture: Capture, dialect: Dialect, *, unmask: bool) -> None:
    from pos_engine.wire.describe import masked, rows, summary
    from pos_engine.wire.message import Message

    if isinstance(capture.error, FrameError):
        # Without an MTI nothing is what it seems: the header of a number that was pasted bare would be its digits.
        empty = Message("", {})
        capture = replace(capture, length=None, tpdu=None, header=None, mti=None, bitmap=None, message=empty)
    parts = {"length": capture.length, "tpdu": capture.tpdu, "header": capture.header}
    if output.as_json:
        fields = masked(capture.message, dialect.spec, unmask_pan=unmask)
        notes = list(capture.notes)
        output.json({**parts, "mti": capture.mti, "bitmap": capture.bitmap, "fields": fields, "notes": notes})
        return
    if capture.mti is None:
        output.line(output.say(_NO_MESSAGE))
        return
    output.line(summary(capture.message, dialect.spec, output.language))
    parts["bitmap"] = capture.bitmap
    before = [("", output.say(_PARTS[name]), str(value)) for name, value in parts.items() if value is not None]
    fields_ = rows(capture.message, dialect.spec, dialect.layouts, output.language, unmask_pan=unmask)
    heads = [output.say(_FIELD), output.say(_NAME), output.say(_VALUE)]
    output.table(heads, [*before, *(cells for row in fields_ for cells in _cells(row))])
    for note in capture.notes:
        output.line(f"{output.say(_NOTE)}: {note}")


def _cells(row: Row) -> Iterator[tuple[str, str, str]]:
    yield row.key, row.name, row.shown
    for part in row.children:
        yield f"  {part.key}", f"  {part.name}", part.shown


def _holds_card_data(capture: Capture, dialect: Dialect) -> bool:
    from pos_engine.wire.field import Sensitivity

    listed = (dialect.spec.fields.get(number) for number in capture.message)
    return any(field is not None and field.sensitivity is not Sensitivity.OPEN for field in listed)
