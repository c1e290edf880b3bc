"""Traffic: `decode` takes captured bytes apart. It needs no configuration, and shows no secret."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli import dumps
from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.errors import FrameError, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pos_engine.cli.dumps import Source
    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect
    from pos_engine.dialects.detect import Capture
    from pos_engine.wire.composite import Part
    from pos_engine.wire.message import Message

_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]*")
_ON_THE_COMMAND_LINE: Final = Text(
    "note: this message holds card data, and the command line is kept in the shell's history; use - or a file",
    "注意: 报文含卡数据, 命令行会留在shell历史中, 请用 - 或文件",
)
_READ_AS: Final = Text("read as {}; --dialect chooses another", "按 {} 解析; --dialect 可另选")


@command(
    "decode",
    example="pos-engine decode 60000300000200…\npos-engine decode - --json < message.hex\n"
    "xxd capture.bin | pos-engine decode - --bytes",
)
@click.argument("message", metavar="HEX|-|FILE", nargs=-1, required=True)
@click.option("--dialect", "name", metavar="NAME", help="Read it in this dialect; default the one that reads best.")
@click.option("--bytes", "with_bytes", is_flag=True, help="Show where each field stands, and its bytes as masked.")
@click.option("--unmask", is_flag=True, help="Show the card number, field 2; on a terminal only.")
def decode(output: Output, *, message: tuple[str, ...], name: str | None, with_bytes: bool, unmask: bool) -> Exit:
    """Take one message apart, or several of a file.

    Reads hex text, what xxd and hexdump -C print, and files of bytes; finds out by itself whether a length, a TPDU and
    a header stand before the message. HEX may hold blanks. Several messages stand one per line, one dump after another,
    or each behind its length. Card numbers are masked; tracks, PIN blocks and clear keys are never shown. A message
    that breaks off is shown as far as it goes.
    """
    from pos_engine.cli.decoded import show

    if unmask and not sys.stdout.isatty():
        reason = "--unmask shows card numbers on a terminal only"
        raise UsageError(reason)
    if with_bytes and output.as_json:
        reason = "--bytes is for reading; --json has every value already"
        raise UsageError(reason)
    # Hex that was pasted without quotes comes in pieces.
    source = dumps.read(" ".join(message))
    dialects = dialects_named(name)
    dialect, pieces, captures = best(source, dialects)
    if dialect is not dialects[0]:
        output.note(output.say(_READ_AS).format(dialect.name))
    code = Exit.DONE
    for number, (piece, capture) in enumerate(zip(pieces, captures, strict=True), 1):
        if number > 1 and not output.as_json:
            output.line("")
        show(output, piece, capture, dialect, with_bytes=with_bytes, unmask=unmask)
        if capture.error is not None:
            where = f"message {number}: " if len(captures) > 1 else ""
            output.error(f"{where}{capture.error}")
            code = Exit.PROTOCOL
    warn_of_history(output, source, captures, dialect)
    return code


def warn_of_history(output: Output, source: Source, captures: Iterable[Capture], dialect: Dialect) -> None:
    """Say so where a message with card data stood on the command line."""
    if source.name == dumps.TYPED and any(_holds_card_data(capture, dialect) for capture in captures):
        output.note(output.say(_ON_THE_COMMAND_LINE))


def dialects_named(name: str | None) -> tuple[Dialect, ...]:
    """Return the dialect of a name, or all where none was given."""
    from pos_engine.dialects.registry import DIALECTS

    if name is None:
        return tuple(DIALECTS.values())
    if name not in DIALECTS:
        reason = f"there is no dialect of that name; there are: {', '.join(DIALECTS)}"
        raise UsageError(reason)
    return (DIALECTS[name],)


def best(source: Source, dialects: Sequence[Dialect]) -> tuple[Dialect, tuple[bytes, ...], tuple[Capture, ...]]:
    """Read in every way and dialect, until one reads all; otherwise the best that only reads some, or nothing."""
    try:
        found = dumps.find(source)
    except UsageError:
        raw = _raw(source, dialects)
        if raw is None:
            raise
        found = raw
    readings = []
    for pieces in dumps.ways(found):
        each = [(dialect, pieces, _take_apart(pieces, dialect)) for dialect in dialects]
        best = max(each, key=lambda reading: _merit(reading[2]))
        if all(capture.error is None for capture in best[2]):
            return best
        readings.append(best)
    # A dump that was broken into lines is one message: then none of its lines is.
    return max(readings, key=lambda reading: any(capture.error is None for capture in reading[2]))


def _raw(source: Source, dialects: Sequence[Dialect]) -> dumps.Found | None:
    """Take a file for the bytes of a message; one of plain characters only when all of it reads as one."""
    is_text = _TEXT.fullmatch(source.data) is not None
    data = source.data.strip(b"\r\n") if is_text else source.data
    if source.name == dumps.TYPED:
        return None
    found = dumps.Found((data,))
    for pieces in dumps.ways(found):
        captures = (capture for dialect in dialects for capture in _take_apart(pieces, dialect))
        if any(capture.error is None or not (is_text or isinstance(capture.error, FrameError)) for capture in captures):
            return found
    return None


def _merit(captures: Iterable[Capture]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(capture.merit for capture in captures), strict=True)))


def _take_apart(pieces: Iterable[bytes], dialect: Dialect) -> tuple[Capture, ...]:
    from pos_engine.dialects.detect import take_apart

    return tuple(take_apart(piece, dialect.spec, dialect.header) for piece in pieces)


def _holds_card_data(capture: Capture, dialect: Dialect) -> bool:
    """Whether anything in it names a card, or is as good as one: not every key or chip datum is."""
    return any(value and _is_card_data(capture.message, number, dialect) for number, value in capture.message.items())


def _is_card_data(message: Message, number: int, dialect: Dialect) -> bool:
    from pos_engine.wire.field import Sensitivity

    listed = dialect.spec.fields.get(number)
    if listed is None or listed.sensitivity is Sensitivity.OPEN:
        return False
    if listed.sensitivity in {Sensitivity.PAN, Sensitivity.SECRET}:
        return True
    if listed.censor is not None:
        return listed.censor(message[number]) != message[number]
    parts = dialect.cut(message, number)
    return not parts or any(_is_closed(part) for part in parts)


def _is_closed(part: Part) -> bool:
    from pos_engine.wire.field import Sensitivity

    return part.sensitivity is not Sensitivity.OPEN or any(map(_is_closed, part.children))
