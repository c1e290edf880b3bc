"""Dialects: which there are, what is in one, whether one agrees with itself, and one for other programs."""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit
from pos_engine.errors import PosError, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect

DEFAULT_PORT: Final = 9583

_NAME: Final = Text("name", "名称")
_TITLE: Final = Text("title", "说明")
_FIELDS: Final = Text("fields", "域数")
_KINDS: Final = Text("kinds", "交易类型")
_FIELD_HEADS: Final = (
    Text("field", "域"),
    _NAME,
    Text("type", "类型"),
    Text("encoding", "编码"),
    Text("shown", "显示"),
)
_KIND_HEADS: Final = (
    Text("kind", "交易"),
    Text("MTI", "消息类型"),
    Text("3", "3域"),
    Text("25", "25域"),
    Text("60.1", "60.1"),
    Text("60.3", "60.3"),
    Text("without an answer", "无应答时"),
    Text("fields needed", "必需域"),
)
_CODE_HEADS: Final = (
    Text("code", "应答码"),
    Text("decides", "判定"),
    Text("meaning", "含义"),
    Text("what to do", "处理"),
)
_SCHEME_HEADS: Final = (
    Text("key scheme", "密钥方案"),
    Text("60.3", "60.3"),
    Text("bytes of 62", "62域字节数"),
    Text("PIN block, bytes", "PIN块, 字节数"),
    Text("53", "53域"),
    Text("tracks enciphered", "磁道加密"),
    Text("MAC", "MAC算法"),
    Text("", ""),
)
_YES: Final = Text("yes", "是")
_NO: Final = Text("no", "否")
_MARKED: Final = Text("?: a length of field 62 that is unverified", "?: 未经验证的62域长度")
_SOUND: Final = Text("nothing wrong was found", "未发现问题")
_WHERE: Final = Text("where", "位置")
_WHY: Final = Text("what is wrong", "问题")


@group(
    "dialect",
    example="pos-engine dialect list\npos-engine dialect show unionpay\npos-engine dialect check my_acquirer.py\n"
    "pos-engine dialect export unionpay --format wireshark > unionpay.lua",
)
def dialect(output: Output) -> Exit:
    """List dialects, show one, check one, or export one for other programs.

    A dialect is what an acquirer is, as data. Without a sub-command, the list is printed.
    """
    return _list(output)


@command("list", example="pos-engine dialect list --json")
def list_(output: Output) -> Exit:
    """List the dialects that come with the engine."""
    return _list(output)


def _list(output: Output) -> Exit:
    from pos_engine.cli.output import text_json
    from pos_engine.dialects.registry import DIALECTS

    if output.as_json:
        output.json({"dialects": [{"name": each.name, "title": text_json(each.title)} for each in DIALECTS.values()]})
        return Exit.DONE
    output.table(
        [output.say(head) for head in (_NAME, _TITLE, _FIELDS, _KINDS)],
        [
            (each.name, output.say(each.title), str(len(each.spec.fields)), str(len(each.kinds)))
            for each in DIALECTS.values()
        ],
    )
    return Exit.DONE


@command("show", example="pos-engine dialect show unionpay\npos-engine dialect show unionpay --key-scheme sm4")
@click.argument("name", metavar="NAME")
@click.option("--key-scheme", metavar="SCHEME", help="Show it as it is for an acquirer of this key scheme.")
def show(output: Output, *, name: str, key_scheme: str | None) -> Exit:
    """Show a dialect: its fields, kinds of transactions, key schemes, and response codes."""
    from pos_engine.dialects.registry import dialect_of

    shown = dialect_of(name, key_scheme)
    if output.as_json:
        from pos_engine.dialects.table import as_table

        output.json(as_table(shown))
        return Exit.DONE
    output.line(f"{shown.name}  {output.say(shown.title)}")
    _show_fields(output, shown)
    output.line("")
    _show_kinds(output, shown)
    output.line("")
    _show_schemes(output, shown)
    output.line("")
    output.table(
        [output.say(head) for head in _CODE_HEADS],
        [
            (code.code, code.verdict.name.lower(), output.say(code.meaning), output.say(code.action))
            for code in shown.codes.values()
        ],
    )
    return Exit.DONE


def _show_fields(output: Output, shown: Dialect) -> None:
    from pos_engine.dialects.table import encoding_of, type_of

    rows = []
    for number, field in sorted(shown.spec.fields.items()):
        name = output.say(field.name)
        rows.append((str(number), name, type_of(field), encoding_of(field), field.sensitivity.name.lower()))
        columns = shown.layouts[number].columns if number in shown.layouts else ()
        rows += [(f"  {part.key}", f"  {output.say(part.name)}", str(part.width), "", "") for part in columns]
    output.table([output.say(head) for head in _FIELD_HEADS], rows)


def _show_kinds(output: Output, shown: Dialect) -> None:
    rows = [
        (
            f"{row.kind.value} {output.say(row.title)}" if output.language != "en" else row.kind.value,
            row.mti,
            row.processing_code or "",
            row.condition or "",
            row.message_type,
            row.network_code,
            row.on_silence.name.lower(),
            " ".join(map(str, sorted(row.needed))),
        )
        for row in shown.kinds.values()
    ]
    output.table([output.say(head) for head in _KIND_HEADS], rows)


def _show_schemes(output: Output, shown: Dialect) -> None:
    """Show the key schemes; the one that is shown above has a star, and what is unverified says so."""
    from pos_engine.dialects.base import UNVERIFIED

    rows = []
    for scheme in shown.schemes.values():
        sizes = " ".join(f"{each.size}{'' if each.verified else '?'}" for each in scheme.layouts)
        named = f"{scheme.name} *" if shown.scheme is scheme else scheme.name
        tracks = output.say(_YES if scheme.enciphers_tracks else _NO)
        pin = f"{scheme.pin_format}, {scheme.pin_block_bytes}"
        remark = output.say(UNVERIFIED) if not scheme.verified else ""
        rows.append((named, scheme.network_code, sizes, pin, f"x{scheme.cipher_digit}", tracks, scheme.mac, remark))
    output.table([output.say(head) for head in _SCHEME_HEADS], rows)
    output.line(output.say(_MARKED))


@command("check", example="pos-engine dialect check unionpay\npos-engine dialect check my_acquirer.py")
@click.argument("name", metavar="NAME|FILE")
def check(output: Output, *, name: str) -> Exit:
    """Check that a dialect agrees with itself; exit code 9 when something is wrong.

    FILE is a Python file with one or more values of the class Dialect; it is run, so check only what you trust. Tables,
    layouts, codes and masks are compared, and a request of each kind is composed, written and read back.
    """
    from pos_engine.cli.output import text_json
    from pos_engine.dialects.check import findings

    checked = _in_file(Path(name)) if name.endswith(".py") else {name: _registered(name)}
    found = [(each, finding) for each, listed in checked.items() for finding in findings(listed)]
    if output.as_json:
        told = [{"dialect": each, "where": finding.where, "why": text_json(finding.why)} for each, finding in found]
        output.json({"checked": list(checked), "findings": told})
    elif found:
        rows = [(each, finding.where, output.say(finding.why)) for each, finding in found]
        output.table([output.say(head) for head in (_NAME, _WHERE, _WHY)], rows)
    else:
        output.line(f"{', '.join(checked)}: {output.say(_SOUND)}")
    return Exit.NOTHING_FOUND if found else Exit.DONE


@command(
    "export",
    example="pos-engine dialect export unionpay --format json > unionpay.json\n"
    "pos-engine dialect export unionpay --format wireshark --port 9583 > unionpay.lua\n"
    "tshark -X lua_script:unionpay.lua -r capture.pcap",
)
@click.argument("name", metavar="NAME")
@click.option(
    "--format", "form", type=click.Choice(["json", "wireshark"]), default="json", show_default=True, help="What for."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="TCP port that Wireshark shall read as this dialect.",
)
def export(output: Output, *, name: str, form: str, port: int) -> Exit:
    """Write a dialect for other programs: its tables as JSON, or a dissector in Lua for Wireshark and tshark.

    The dissector masks card numbers and hides tracks, PIN blocks and whatever else is not open; the bytes are in the
    capture nevertheless.
    """
    exported = _registered(name)
    if form == "json":
        from pos_engine.dialects.table import as_table

        output.json(as_table(exported))
        return Exit.DONE
    from pos_engine.dialects.wireshark import dissector

    program = dissector(exported, port, output.language)
    if output.as_json:
        output.json({"format": form, "program": program})
    else:
        for line in program.splitlines():
            output.line(line)
    return Exit.DONE


def _registered(name: str) -> Dialect:
    from pos_engine.dialects.registry import DIALECTS

    found = DIALECTS.get(name)
    if found is None:
        reason = f"there is no dialect of that name; there are: {', '.join(DIALECTS)}"
        raise UsageError(reason)
    return found


def _in_file(path: Path) -> Mapping[str, Dialect]:
    """Run a file and find the dialects in it, by their names."""
    from pos_engine.dialects.base import Dialect

    place = str(path.resolve())
    spec = importlib.util.spec_from_file_location(path.stem, place)
    reason = ""
    if spec is None or spec.loader is None or not path.is_file():
        reason = f"{path}: there is no such file"
        raise UsageError(reason)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - it is somebody's program: whatever it raises is told by its name
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
        said = f": {error}" if isinstance(error, PosError) else ""
        reason = f"{path}: {type(error).__name__}{f' at line {lines[-1]}' if lines else ''}{said}"
    if reason:
        raise UsageError(reason)
    found = {value.name: value for value in vars(module).values() if isinstance(value, Dialect)}
    if not found:
        reason = f"{path}: there is no Dialect in it"
        raise UsageError(reason)
    return found


for _each in (list_, show, check, export):
    dialect.add_command(_each)
