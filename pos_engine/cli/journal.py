"""The journal on the command line: what is in it, whether it is whole, and all of it for other programs.

Everything here opens it read-only, so it works beside a running terminal. What is shown is what the journal keeps open;
sealed card data is no part of it.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.backup import backup, restore
from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit, NothingFoundError
from pos_engine.cli.explain import MACS, resolve
from pos_engine.cli.output import amount_json, line_json, standing_json
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.flow.outcomes import Line
    from pos_engine.journal.record import Record, Resolution, Stray
    from pos_engine.journal.store import Entry, SqliteJournal
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import MessageSpec

LIMIT: Final = 20
"""Records that a list shows unless it is told otherwise."""

_HEADS: Final = (
    Text("number", "序号"),
    Text("time", "时间"),
    Text("kind", "交易"),
    Text("STAN", "流水号"),
    Text("batch", "批次号"),
    Text("amount", "金额"),
    Text("card", "卡号"),
    Text("standing", "状态"),
    Text("code", "应答码"),
    Text("acts on", "针对"),
)
_MORE: Final = Text("the newest {} of {} records; --all shows every one", "共{1}条, 显示最近{0}条; --all 显示全部")
_EMPTY: Final = Text("there is no journal yet", "尚无交易流水")
_WHOLE: Final = Text("whole: {} entries, {} records", "完整: {} 条日志, {} 条记录")
_CHECKED: Final = Text("checked", "已核对")
_CHECKS: Final = (
    Text("the file: its layout, and SQLite's own check of every page and index", "文件: 格式及SQLite完整性检查"),
    Text("the owner: this terminal and merchant, under this storage key", "归属: 本终端与商户, 本存储密钥"),
    Text("the chain: every entry, from the first to the last", "链: 自首至尾每条日志"),
    Text("the end: the high-water mark beside the file agrees", "末尾: 与文件外的高水位标记一致"),
    Text("the index: every record as it is searched is as it was chained", "索引: 与链上内容一致"),
    Text(
        "card data: {} sealed and readable, {} erased with a receipt, none missing",
        "卡数据: {} 条密封可读, {} 条已销毁并有凭据, 无缺失",
    ),
)

_all = click.option("--all", "everything", is_flag=True, help="Show every record.")
_limit = click.option(
    "--limit", type=click.IntRange(1), default=LIMIT, show_default=True, metavar="N", help="Show the newest N records."
)


@group(
    "journal",
    configured=True,
    example="pos-engine journal list\npos-engine journal verify\npos-engine journal export --since 2026-01-31",
)
def journal(output: Output, settings: Settings) -> Exit:
    """List what is in the journal, verify it, export it, back it up or put a backup in its place.

    Without a sub-command, the newest records are listed. The journal is opened read-only.
    """
    return _list(output, settings.load(), LIMIT)


@command("list", configured=True, example="pos-engine journal list --limit 5\npos-engine journal list --all --json")
@_limit
@_all
def list_(output: Output, settings: Settings, *, limit: int, everything: bool) -> Exit:
    """List the newest records, oldest of them first, one a line.

    A record is a request and what became of it. Its standing is derived from all records: what was reversed or voided
    says so, and what a reversal, void or refund acts on is named by its number.
    """
    return _list(output, settings.load(), None if everything else limit)


def _list(output: Output, config: Config, limit: int | None) -> Exit:
    from pos_engine.cli.reading import reading

    with reading(config) as opened:
        total = opened.audited.records if opened is not None else 0
        records = opened.recent(total if limit is None else limit)[::-1] if opened is not None else []
        lines = [(record, _line(record, opened)) for record in records if opened is not None]
    if output.as_json:
        output.json({"total": total, "records": [_listed_json(record, line) for record, line in lines]})
        return Exit.DONE
    if not lines:
        output.note(output.say(_EMPTY))
        return Exit.DONE
    output.table([output.say(head) for head in _HEADS], [_row(record, line, output) for record, line in lines])
    if len(lines) < total:
        output.note(output.say(_MORE).format(len(lines), total))
    return Exit.DONE


def _line(record: Record, opened: SqliteJournal) -> Line:
    from pos_engine.flow.outcomes import line_of

    return line_of(record, opened.acting_on(record.number))


def _row(record: Record, line: Line, output: Output) -> Sequence[str]:
    from pos_engine.flow.outcomes import STANDINGS

    return (
        str(record.number),
        line.at.isoformat(sep=" ", timespec="seconds"),
        line.kind.value,
        line.stan,
        line.batch,
        str(line.amount or ""),
        line.card or "",
        output.say(STANDINGS[line.standing]),
        line.code or "",
        str(record.original or ""),
    )


def _listed_json(record: Record, line: Line) -> dict[str, object]:
    return {"number": record.number, **line_json(line), "original": record.original, "key": record.key}


@command("verify", configured=True, example="pos-engine journal verify\npos-engine journal verify --json")
def verify(output: Output, settings: Settings) -> Exit:
    """Verify the whole journal, and say what was checked.

    The same check stands before every use of the journal. A damaged one ends with exit code 8 and one line that says
    what is wrong; its files are left as they are.
    """
    from pos_engine.cli.reading import reading

    config = settings.load()
    with reading(config) as opened:
        if opened is None:
            raise NothingFoundError(_EMPTY.en)
        audited = opened.audited
    entries = audited.head.entries
    checks = [Text(*(text.format(audited.sealed, audited.erased) for text in (each.en, each.zh))) for each in _CHECKS]
    if output.as_json:
        counts = {"records": audited.records, "sealed": audited.sealed, "erased": audited.erased}
        told = [{"en": each.en, "zh": each.zh} for each in checks]
        output.json({"journal": str(config.journal), "whole": True, "entries": entries, **counts, "checked": told})
        return Exit.DONE
    output.line(str(config.journal))
    output.line(output.say(_WHOLE).format(entries, audited.records))
    for each in checks:
        output.line(f"{output.say(_CHECKED)}  {output.say(each)}")
    return Exit.DONE


@command(
    "export",
    configured=True,
    example="pos-engine journal export > journal.ndjson\npos-engine journal export --since 2026-01-31 --history",
)
@click.option("--since", metavar="DATE", help="Leave out what was begun before this day, as 2026-01-31.")
@click.option("--history", is_flag=True, help="Every form that each record ever had, in the order they were written.")
def export(output: Output, settings: Settings, *, since: str | None, history: bool) -> Exit:
    """Print the journal as NDJSON, one line a record.

    The record that changed last comes last. Card numbers are masked; sealed card data, tracks, PIN blocks and keys are
    left out. Days are those of the terminal's own clock.
    """
    from pos_engine.cli.reading import reading
    from pos_engine.dialects.registry import dialect_of

    config = settings.load()
    day = _day(since) if since is not None else ""
    spec = dialect_of(config.dialect, config.key_scheme).spec
    with reading(config) as opened:
        for content in _exported(opened, spec, day, history=history) if opened is not None else ():
            output.json(content)
    return Exit.DONE


def _day(text: str) -> str:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    reason = "--since takes a day as 2026-01-31"
    raise UsageError(reason)


def _exported(opened: SqliteJournal, spec: MessageSpec, day: str, *, history: bool) -> Iterator[dict[str, object]]:
    """Yield each record, or each form; where a record stands now is not said of a form it once had."""
    for entry in opened.entries(since=day, history=history):
        standing = None if history else standing_json(_line(entry.record, opened).standing)
        yield _record_json(entry, standing, spec)


def _record_json(entry: Entry, standing: str | None, spec: MessageSpec) -> dict[str, object]:
    from pos_engine.crypto.keys import show

    record = entry.record
    return {
        "entry": entry.place,
        "number": record.number,
        "kind": record.kind.value,
        "state": record.state.name.lower(),
        "standing": standing,
        "stan": record.stan,
        "batch": record.batch,
        "amount": amount_json(record.amount),
        "card": record.card,
        "code": record.code,
        "opened": record.opened.wall.isoformat(),
        "changed": record.changed.wall.isoformat(),
        "original": record.original,
        "key": record.key,
        "attempts": record.attempts,
        "reason": record.reason,
        "signed_on_by": record.signed_on_by,
        "demands_sign_on": record.demands_sign_on,
        "new_batch": record.new_batch,
        "keys": [{"usage": key.usage.value, "check_value": show(key.check_value)} for key in record.keys],
        "request": _message_json(record.request, spec),
        "answer": _message_json(record.answer, spec) if record.answer is not None else None,
        "notes": list(record.notes),
        "late": _message_json(record.late, spec) if record.late is not None else None,
        "resolution": _resolution_json(record.resolution) if record.resolution is not None else None,
        "strays": [_stray_json(stray, spec) for stray in record.strays],
        "unkept": record.unkept,
        "unread": record.unread,
    }


def _stray_json(stray: Stray, spec: MessageSpec) -> dict[str, object]:
    """Return a message that came during an exchange and was not its answer."""
    return {
        "sort": stray.sort.value,
        "at": stray.at.wall.isoformat(),
        "message": _message_json(stray.message, spec),
        "request": stray.request,
        "differs": list(stray.differs),
        "mac": MACS[stray.proven],
        "before": stray.before,
        "times": stray.times,
    }


def _resolution_json(resolution: Resolution) -> dict[str, object]:
    at = resolution.at.wall.isoformat()
    return {"reason": resolution.reason, "by": resolution.by, "at": at, "moved": resolution.moved}


def _message_json(message: Message, spec: MessageSpec) -> dict[str, object]:
    """Return what the journal keeps open of a message; masked all the same, should it be an older journal."""
    from pos_engine.journal.record import open_part
    from pos_engine.wire.describe import masked

    return {"mti": message.mti, "fields": masked(open_part(message, spec), spec)}


journal.add_command(list_)
journal.add_command(verify)
journal.add_command(export)
journal.add_command(backup)
journal.add_command(restore)
journal.add_command(resolve)
