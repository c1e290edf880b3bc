"""Look: where the terminal stands. Nothing here sends or changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.output import amount_json, text_json
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.flow.outcomes import Line
    from pos_engine.terminal import Owed, Status

_TERMINAL: Final = Text("terminal", "终端")
_MERCHANT: Final = Text("merchant", "商户")
_SESSION: Final = Text("session", "签到状态")
_SIGNED_ON: Final = Text("signed on", "签到时间")
_BATCH: Final = Text("batch", "批次号")
_OWED: Final = Text("owed", "待处理")
_NOTHING: Final = Text("nothing", "无")
_RECENT: Final = Text("recent", "最近交易")
_TRIED: Final = Text("tried", "已尝试")
_STANDINGS: Final = {
    "APPROVED": Text("approved", "批准"),
    "DECLINED": Text("declined", "拒绝"),
    "IN_DOUBT": Text("in doubt", "结果未知"),
    "REVERSED": Text("reversed", "已冲正"),
    "UNSENT": Text("not sent", "未发送"),
}


@command("status", configured=True, example="pos-engine status\npos-engine status --json")
def status(output: Output, settings: Settings) -> Exit:
    """Show session, keys, what is owed and the last transactions.

    Reads the journal without holding it, so it works beside a running terminal.
    """
    from pos_engine.system import harden_process

    config = settings.load()
    harden_process()
    seen = _seen(config)
    if output.as_json:
        output.json(_status_json(seen))
    else:
        output.table(["", ""], _rows(seen, output))
    return Exit.DONE


def _seen(config: Config) -> Status:
    from pos_engine.session.states import FIRST_BATCH, SessionState
    from pos_engine.terminal import Status, Terminal

    if config.journal.exists():
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
    rows += [(say(_OWED), _owed_line(each, output)) for each in seen.owed] or [(say(_OWED), say(_NOTHING))]
    rows += [(say(_RECENT), _recent_line(each, output)) for each in seen.recent]
    return rows


def _recent_line(line: Line, output: Output) -> str:
    amount = str(line.amount) if line.amount is not None else ""
    standing = " ".join(filter(None, (output.say(_STANDINGS[line.standing.name]), line.code)))
    at = line.at.isoformat(sep=" ", timespec="seconds")
    return "  ".join(filter(None, (at, line.kind.value, amount, f"STAN {line.stan}", line.card, standing)))


def _owed_line(owed: Owed, output: Output) -> str:
    amount = str(owed.amount) if owed.amount is not None else ""
    since = owed.since.isoformat(sep=" ", timespec="seconds")
    facts = (output.say(owed.duty), owed.kind.value, amount, f"STAN {owed.stan}", since)
    return f"{'  '.join(filter(None, facts))}  {output.say(_TRIED)} {owed.attempts}"


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
        "owed": [_owed_json(each) for each in seen.owed],
        "recent": [_recent_json(each) for each in seen.recent],
    }


def _recent_json(line: Line) -> dict[str, object]:
    return {
        "kind": line.kind.value,
        "stan": line.stan,
        "batch": line.batch,
        "standing": line.standing.name.lower().replace("_", "-"),
        "code": line.code,
        "amount": amount_json(line.amount),
        "card": line.card,
        "at": line.at.isoformat(),
    }


def _owed_json(owed: Owed) -> dict[str, object]:
    return {
        "duty": text_json(owed.duty),
        "kind": owed.kind.value,
        "stan": owed.stan,
        "batch": owed.batch,
        "amount": amount_json(owed.amount),
        "since": owed.since.isoformat(),
        "attempts": owed.attempts,
    }
