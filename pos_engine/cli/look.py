"""Look: where the terminal stands. Nothing here sends or changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit, NothingFoundError, exit_of
from pos_engine.cli.output import (
    amount_json,
    ending_line,
    line_json,
    outcome_advice,
    outcome_json,
    outcome_line,
    standing_json,
    text_json,
)
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.flow.outcomes import Line, Outcome, Standing
    from pos_engine.routes import Ending, RouteState
    from pos_engine.status import Owed, Status

_TERMINAL: Final = Text("terminal", "终端")
_MERCHANT: Final = Text("merchant", "商户")
_SESSION: Final = Text("session", "签到状态")
_SIGNED_ON: Final = Text("signed on", "签到时间")
_CERTIFICATE: Final = Text("certificate", "证书")
_ROAD: Final = Text("road", "线路")
_BATCH: Final = Text("batch", "批次号")
_OWED: Final = Text("owed", "待处理")
_NOTHING: Final = Text("nothing", "无")
_RECENT: Final = Text("recent", "最近交易")
_UNUSED_KEY: Final = "nothing was sent under that key"
_TRIED: Final = Text("tried", "已尝试")
_UNRESOLVED: Final = Text(
    "unresolved: blocks new transactions until a supervisor resolves it", "未解决: 须主管人工确认"
)
_TAKEN_OVER: Final = Text("taken over by a supervisor", "主管已确认")
_BY_NOW: Final = Text("by now", "目前")


@command(
    "status", configured=True, example="pos-engine status\npos-engine status --json\npos-engine status --key order-17"
)
@click.option("--key", metavar="KEY", help="Tell what became of the request under this idempotency key.")
def status(output: Output, settings: Settings, *, key: str | None) -> Exit:
    """Show session, keys, what is owed and the last transactions.

    Reads the journal without holding it, so it works beside a running terminal. With --key it shows the first outcome
    under that key and ends with its exit code; with 9 when nothing was sent under it.
    """
    from pos_engine.system import harden_process

    config = settings.load()
    harden_process()
    if key is not None:
        return _under_key(output, config, key)
    found = seen(config)
    if output.as_json:
        output.json(_status_json(found))
    else:
        output.table(["", ""], _rows(found, output))
    return Exit.DONE


def _under_key(output: Output, config: Config, key: str) -> Exit:
    """Tell the outcome under a key, that of the last repeat, and where its request stands by now."""
    from pos_engine.cli.reading import reading
    from pos_engine.dialects.base import Kind
    from pos_engine.dialects.registry import dialect_of
    from pos_engine.flow.checks import check_key, latest
    from pos_engine.flow.outcomes import line_of, outcome_of

    check_key(key)
    with reading(config) as journal:
        record = journal.find_key(key) if journal is not None else None
        if journal is None or record is None:
            raise NothingFoundError(_UNUSED_KEY)
        record = latest(record, journal)
        acting, restored = journal.acting_on(record.number), journal.last_approved(Kind.RESTORE)
        outcome = outcome_of(record, dialect_of(config.dialect, config.key_scheme), acting, restored)
        if outcome is None:
            raise NothingFoundError(_UNUSED_KEY)
        line = line_of(record, acting)
    if output.as_json:
        output.json({**outcome_json(outcome), "standing": standing_json(line.standing)})
    else:
        _print_outcome(output, outcome, line.standing)
    return exit_of(outcome)


def _print_outcome(output: Output, outcome: Outcome, standing: Standing) -> None:
    """Print an outcome, and instead of what was to be done about it then, what was done since."""
    from pos_engine.flow.outcomes import STANDINGS, Standing

    output.line(outcome_line(outcome, output.language))
    if standing in {Standing.REVERSED, Standing.VOIDED}:
        output.line(f"{output.say(_BY_NOW)}: {output.say(STANDINGS[standing])}")
        return
    advice = outcome_advice(outcome, output.language)
    if advice is not None:
        output.line(advice)


def seen(config: Config) -> Status:
    """Look at a terminal without disturbing it; one without a journal has never signed on."""
    from pos_engine.journal.store import was_begun
    from pos_engine.session.states import FIRST_BATCH, SessionState
    from pos_engine.status import Status
    from pos_engine.terminal import Terminal

    if was_begun(config.journal, config.mark):
        with Terminal.open(config, read_only=True) as terminal:
            return terminal.status()
    return Status(
        terminal=config.terminal_id,
        merchant=config.merchant_id,
        dialect=config.dialect,
        session=SessionState.SIGNED_OUT,
        why=Text("there is no journal yet", "尚无交易流水"),
        signed_on_at=None,
        batch=FIRST_BATCH,
        keys=(),
        owed=(),
        recent=(),
    )


def _rows(seen: Status, output: Output) -> list[tuple[str, str]]:
    say = output.say
    rows = [
        (say(_TERMINAL), f"{seen.terminal} ({seen.dialect})"),
        (say(_MERCHANT), seen.merchant),
        (say(_SESSION), say(seen.why)),
        (say(_BATCH), seen.batch),
    ]
    if seen.signed_on_at is not None:
        rows.append((say(_SIGNED_ON), seen.signed_on_at.isoformat(sep=" ", timespec="seconds")))
    rows += list(seen.keys)
    rows += [(say(_ROAD), _road_line(each, output)) for each in seen.routes]
    rows += [(say(_CERTIFICATE), ending_line(each, output)) for each in seen.certificates]
    rows += [(say(_OWED), owed_line(each, output)) for each in seen.owed] or [(say(_OWED), say(_NOTHING))]
    rows += [(say(_RECENT), _recent_line(each, output)) for each in seen.recent]
    return rows


def _road_line(road: RouteState, output: Output) -> str:
    from pos_engine.session.diagnosis import TROUBLES

    return road.name if road.trouble is None else f"{road.name}: {output.say(TROUBLES[road.trouble][1])}"


def _recent_line(line: Line, output: Output) -> str:
    from pos_engine.flow.outcomes import STANDINGS

    amount = str(line.amount) if line.amount is not None else ""
    standing = " ".join(filter(None, (output.say(STANDINGS[line.standing]), line.code)))
    at = line.at.isoformat(sep=" ", timespec="seconds")
    return "  ".join(filter(None, (at, line.kind.value, amount, f"STAN {line.stan}", line.card, standing)))


def owed_line(owed: Owed, output: Output) -> str:
    """Return a duty in one line."""
    amount = str(owed.amount) if owed.amount is not None else ""
    since = owed.since.isoformat(sep=" ", timespec="seconds")
    facts = (output.say(owed.duty), owed.kind.value, amount, f"STAN {owed.stan}", since)
    state = _UNRESOLVED if owed.unresolved else _TAKEN_OVER if owed.taken_over is not None else None
    tried = f"{output.say(_TRIED)} {owed.attempts}"
    return "  ".join(filter(None, (*facts, tried, output.say(state) if state is not None else None)))


def _status_json(seen: Status) -> dict[str, object]:
    return {
        "terminal": seen.terminal,
        "merchant": seen.merchant,
        "dialect": seen.dialect,
        "session": seen.session.name.lower().replace("_", "-"),
        "why": text_json(seen.why),
        "signed_on_at": seen.signed_on_at.isoformat() if seen.signed_on_at is not None else None,
        "batch": seen.batch,
        "keys": [{"usage": usage, "check_value": check} for usage, check in seen.keys],
        "routes": [
            {
                "name": road.name,
                "connected": road.connected,
                "trouble": road.trouble.name.lower().replace("_", "-") if road.trouble is not None else None,
                "rests_s": road.rests_s,
            }
            for road in seen.routes
        ],
        "certificates": [ending_json(each) for each in seen.certificates],
        "owed": [owed_json(each) for each in seen.owed],
        "recent": [line_json(each) for each in seen.recent],
    }


def ending_json(ending: Ending) -> dict[str, object]:
    """Return when a certificate ends."""
    return {"name": ending.name, "until": ending.until.isoformat(), "days_left": ending.days_left}


def owed_json(owed: Owed) -> dict[str, object]:
    """Return all that is known of a duty."""
    return {
        "duty": text_json(owed.duty),
        "kind": owed.kind.value,
        "stan": owed.stan,
        "batch": owed.batch,
        "amount": amount_json(owed.amount),
        "since": owed.since.isoformat(),
        "attempts": owed.attempts,
        "unresolved": owed.unresolved,
        "taken_over": owed.taken_over,
    }
