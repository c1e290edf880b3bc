"""The session looked at: where it stands, how long it holds, and a check for a timer that warns before it ends."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit
from pos_engine.cli.keys import keys
from pos_engine.cli.output import text_json
from pos_engine.cli.session_download import download, owed_json
from pos_engine.cli.session_drill import drill
from pos_engine.cli.session_history import history
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.status import Status

_STATE: Final = Text("session", "签到状态")
_SIGNED_ON: Final = Text("signed on", "签到时间")
_HOLDS: Final = Text("holds for", "剩余有效期")
_RENEWAL: Final = Text("renewed in", "续签倒计时")
_NOW: Final = Text("now, in a quiet moment", "空闲时立即续签")
_UNKNOWN: Final = Text("not known", "未知")
_BATCH: Final = Text("batch", "批次号")
_DOWNLOAD: Final = Text("download owed", "待下载")
_GOOD: Final = Text("good for another {}", "还可使用{}")
_SHORT: Final = Text("ends in {}: sign on before business begins", "{}后到期, 请在营业前签到")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
WITHIN: Final = "12h"


@group(
    "session", configured=True, example="pos-engine session\npos-engine session show --json\npos-engine session check"
)
def session(output: Output, settings: Settings) -> Exit:
    """Show the session with the acquirer, or check it.

    Without a sub-command, where it stands. Nothing is sent, and a running terminal is not disturbed.
    """
    return _show(output, settings)


@command("show", configured=True, example="pos-engine session show\npos-engine session show --json")
def show(output: Output, settings: Settings) -> Exit:
    """Show state, age and keys of the sign-on, how long it holds, and when it will be renewed."""
    return _show(output, settings)


def _show(output: Output, settings: Settings) -> Exit:
    seen = _seen(settings)
    if output.as_json:
        output.json(_json(seen))
    else:
        output.table(["", ""], list(_rows(seen, output)))
    return Exit.DONE


@command(
    "check",
    configured=True,
    example="pos-engine session check\npos-engine session check --within 18h --json\n"
    "0 7 * * *  pos-engine session check --within 14h || pos-engine sign-on",
)
@click.option(
    "--within", default=WITHIN, show_default=True, metavar="TIME", help="It has to hold so long: 90m, 12h, 2d."
)
def check(output: Output, settings: Settings, *, within: str) -> Exit:
    """Check, once a day, that the session will hold: made for cron and systemd timers.

    Ends with 0 when it holds at least so long, and with 6 when it does not, or nobody is signed on. Nothing is sent.
    """
    needed_s = _seconds(within)
    seen = _seen(settings)
    holds = seen.left_s is not None and seen.left_s >= needed_s
    if output.as_json:
        output.json({**_json(seen), "within_s": needed_s, "holds": holds})
    elif seen.left_s is None:
        output.line(output.say(seen.why))
    else:
        output.line(output.say(_GOOD if holds else _SHORT).format(_span(seen.left_s)))
    return Exit.DONE if holds else Exit.NOT_READY


def _seen(settings: Settings) -> Status:
    from pos_engine.cli.look import seen
    from pos_engine.system import harden_process

    config = settings.load()
    harden_process()
    return seen(config)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    if found is None:
        reason = "--within takes a time such as 90m, 12h or 2d"
        raise UsageError(reason)
    return int(found[1]) * _UNITS[found[2]]


def _rows(seen: Status, output: Output) -> Iterator[tuple[str, str]]:
    say = output.say
    yield say(_STATE), f"{seen.session.name.lower().replace('_', '-')}: {say(seen.why)}"
    if seen.signed_on_at is not None:
        yield say(_SIGNED_ON), seen.signed_on_at.isoformat(sep=" ", timespec="seconds")
        yield say(_HOLDS), say(_UNKNOWN) if seen.left_s is None else _span(seen.left_s)
    if seen.renew_in_s is not None:
        yield say(_RENEWAL), _span(seen.renew_in_s) if seen.renew_in_s > 0 else say(_NOW)
    yield say(_BATCH), seen.batch
    yield from ((say(_DOWNLOAD), say(each.title)) for each in seen.downloads)
    yield from seen.keys


def _span(seconds: float) -> str:
    """Write a span of time as people read it, to the second."""
    return str(timedelta(seconds=int(max(0.0, seconds))))


def _json(seen: Status) -> dict[str, object]:
    return {
        "state": seen.session.name.lower().replace("_", "-"),
        "why": text_json(seen.why),
        "signed_on_at": seen.signed_on_at.isoformat() if seen.signed_on_at is not None else None,
        "left_s": seen.left_s,
        "renew_in_s": seen.renew_in_s,
        "batch": seen.batch,
        "downloads": [owed_json(each) for each in seen.downloads],
        "keys": [{"usage": usage, "check_value": value} for usage, value in seen.keys],
    }


session.add_command(show)
session.add_command(check)
session.add_command(keys)
session.add_command(history)
session.add_command(download)
session.add_command(drill)
