"""`session download`: fetch what the host gives its terminals to keep, or show what is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, opened
from pos_engine.cli.exits import Exit, exit_of
from pos_engine.cli.output import outcome_json, outcome_line, text_json
from pos_engine.cli.trade import tell
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.dialects.entries import Parameter
    from pos_engine.flow.downloads import OwedDownload, TerminalData

NAMES: Final = ("parameters", "status", "ca-keys", "aids", "blacklist")

_NOTHING: Final = Text("nothing was downloaded yet", "尚未下载")
_ENTRIES: Final = Text("{} entries since {}, {}", "{}条, {}起生效, {}")
_BY_HOST: Final = Text("demanded by the host", "主机要求")
_BY_PERSON: Final = Text("ordered by a person", "人工发起")
_EXPIRES: Final = Text("expires {}, {} bits", "有效期至{}, {}位")
_UNKNOWN: Final = Text("an unknown day", "未知")
_VALUES: Final = Text("{} values", "{}个参数")
_OWED: Final = Text("owed", "待下载")
_PAGES: Final = Text("{} pages so far", "已收到{}页")


@command(
    "download",
    configured=True,
    example="pos-engine session download\npos-engine session download ca-keys\n"
    "pos-engine session download parameters --json",
)
@click.argument("what", required=False, type=click.Choice(NAMES))
@click.option("--anew", is_flag=True, help="Begin from the first page, whatever came before.")
def download(output: Output, settings: Settings, *, what: str | None, anew: bool) -> Exit:
    """Fetch parameters, public keys, chip applications or the card blacklist, or upload the status.

    The terminal does this by itself when the host asks for it, in quiet moments. What was cut short goes on with the
    page that is missing. All of it comes into force at its end, at once; until then what was there before stays.
    Without WHAT, shows what is in force and what is owed; nothing is sent then. Needs no sign-on.
    """
    if what is None:
        if anew:
            reason = "--anew needs the name of a download"
            raise click.UsageError(reason)
        return _show(output, settings)
    with opened(settings, output) as terminal:
        outcome = terminal.download(what, anew=anew)
        data = terminal.terminal_data()
    found = next((each for each in data.completed if each.download == what), None)
    if type(outcome).__name__ != "Approved":
        return tell(output, outcome)
    if output.as_json:
        entries = found.entries if found is not None else None
        output.json({**outcome_json(outcome), "download": what, "entries": entries})
        return exit_of(outcome)
    output.line(outcome_line(outcome, output.language))
    if found is not None:
        output.table(["", ""], list(_rows(data, output, what)))
    return exit_of(outcome)


def _show(output: Output, settings: Settings) -> Exit:
    from pos_engine.system import harden_process

    config = settings.load()
    harden_process()
    data, owed = _seen(config)
    if output.as_json:
        output.json(_json(data, owed))
        return Exit.DONE
    rows = [*_rows(data, output), *((output.say(_OWED), _owed_line(each, output)) for each in owed)]
    if rows:
        output.table(["", ""], rows)
    else:
        output.note(output.say(_NOTHING))
    return Exit.DONE


def _seen(config: Config) -> tuple[TerminalData, tuple[OwedDownload, ...]]:
    """Look at a terminal without disturbing it; one without a journal has nothing."""
    from pos_engine.flow.downloads import TerminalData
    from pos_engine.journal.store import was_begun
    from pos_engine.terminal import Terminal

    if not was_begun(config.journal, config.mark):
        return TerminalData(), ()
    with Terminal.open(config, read_only=True) as terminal:
        return terminal.terminal_data(), terminal.status(recent=0).downloads


def _rows(data: TerminalData, output: Output, only: str | None = None) -> Iterator[tuple[str, str]]:
    """Tell what is in force, a line for each entry."""
    say = output.say
    for each in data.completed:
        if only is None or each.download == only:
            at = each.completed.isoformat(sep=" ", timespec="seconds")
            by = say(_BY_HOST if each.demanded else _BY_PERSON)
            yield say(each.title), say(_ENTRIES).format(each.entries, at, by)
            yield from _entries(data, output, each.download)


def _entries(data: TerminalData, output: Output, name: str) -> Iterator[tuple[str, str]]:
    say = output.say
    if name == "parameters":
        yield from ((f"  {each.tag} {say(each.name)}", each.value) for each in data.parameters)
    elif name == "ca-keys":
        for key in data.ca_keys:
            yield f"  {key.rid} {key.index}", say(_EXPIRES).format(key.expires or say(_UNKNOWN), key.bits)
    elif name == "aids":
        yield from ((f"  {each.aid}", say(_VALUES).format(len(each.values))) for each in data.applications)
    else:
        yield from ((f"  {each.first}", f"- {each.last}") for each in data.blacklist)


def _owed_line(owed: OwedDownload, output: Output) -> str:
    by = output.say(_BY_HOST if owed.demanded else _BY_PERSON)
    return "  ".join(filter(None, (output.say(owed.title), by, output.say(_PAGES).format(owed.pages), owed.failed)))


def owed_json(owed: OwedDownload) -> dict[str, object]:
    """Return all that is known of a download that is owed."""
    return {
        "download": owed.download,
        "title": text_json(owed.title),
        "demanded": owed.demanded,
        "pages": owed.pages,
        "failed": owed.failed or None,
        "held_s": owed.held_s,
    }


def _values_json(values: Sequence[Parameter]) -> list[dict[str, object]]:
    return [{"tag": each.tag, "name": text_json(each.name), "value": each.value} for each in values]


def _json(data: TerminalData, owed: tuple[OwedDownload, ...]) -> dict[str, object]:
    return {
        "in_force": [
            {
                "download": each.download,
                "title": text_json(each.title),
                "entries": each.entries,
                "begun": each.begun.isoformat(),
                "completed": each.completed.isoformat(),
                "demanded": each.demanded,
            }
            for each in data.completed
        ],
        "parameters": _values_json(data.parameters),
        "ca_keys": [
            {"rid": key.rid, "index": key.index, "expires": key.expires or None, "bits": key.bits}
            for key in data.ca_keys
        ],
        "applications": [{"aid": each.aid, "values": _values_json(each.values)} for each in data.applications],
        "blacklist": [{"first": each.first, "last": each.last} for each in data.blacklist],
        "owed": [owed_json(each) for each in owed],
    }
