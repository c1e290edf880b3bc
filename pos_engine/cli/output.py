"""What a command says: data to standard output, as text or as one JSON object; messages to standard error.

Text is made safe for a terminal screen here, whatever a host has sent; JSON is plain ASCII and carries both languages.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import click

from pos_engine.dialects.base import Kind, Verdict
from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pos_engine.flow.outcomes import Approved, Line, Outcome, Standing
    from pos_engine.routes import Ending
    from pos_engine.values import Balance, Language

SCHEMA: Final = 1
"""Version of the JSON that commands print."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENDED: Final = Text("has ended", "已过期")
_WIDE: Final = 4000
"""Columns of a table that nobody looks at: a pipe must not cut values."""


def language_of(environment: Mapping[str, str]) -> Language:
    """Choose the language as other programs do: LC_ALL, LC_MESSAGES, LANG."""
    named = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "zh" if named.lower().startswith("zh") else "en"


def plain(text: str) -> str:
    """Escape control characters, so that what a peer sent cannot steer the screen."""
    return _CONTROLS.sub(lambda control: f"\\x{ord(control[0]):02X}", text)


@dataclass(frozen=True, slots=True)
class Output:
    """How this run talks: text or JSON, in which language, how much. `verbosity` is 0; -v adds one, -q takes one."""

    as_json: bool
    language: Language
    verbosity: int

    def say(self, text: Text) -> str:
        """Return a text in the language of this run."""
        return text.say(self.language)

    def line(self, text: str) -> None:
        """Print one line of data."""
        click.echo(plain(text))

    def json(self, content: Mapping[str, object]) -> None:
        """Print one JSON object on one line, so that several of them are NDJSON."""
        click.echo(json.dumps({"schema": SCHEMA, **content}))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table as wide as the screen, or as wide as it is where there is none."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text as Styled

        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(heads))
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(Styled(plain(cell)) for cell in row))
        screen = sys.stdout.isatty()
        console = Console(file=sys.stdout, width=None if screen else _WIDE, markup=False, highlight=False, emoji=False)
        if screen:
            console.print(table)
            return
        with console.capture() as captured:
            console.print(table)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def note(self, text: str, *, level: int = 0) -> None:
        """Tell something beside the data, on standard error; `level` 1 needs -v, and -q silences level 0."""
        if self.verbosity >= level:
            click.echo(plain(text), err=True)

    def error(self, text: str) -> None:
        """Tell what went wrong, in one line on standard error."""
        click.echo(f"pos-engine: {plain(text)}", err=True)


def default_language() -> Language:
    """Return the language of this process's environment."""
    return language_of(os.environ)


def text_json(text: Text) -> dict[str, str]:
    """Return a text in both languages."""
    return {"en": text.en, "zh": text.zh}


def amount_json(amount: Amount | Balance | None) -> dict[str, object] | None:
    """Return an amount or a balance as a number of the smallest units, and as people write it."""
    if amount is None:
        return None
    written, _, currency = str(amount).partition(" ")
    return {"minor": amount.minor, "currency": currency, "text": written}


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Return all that an outcome knows."""
    from pos_engine.flow.outcomes import Approved, InDoubt

    shared = {
        "outcome": {"Approved": "approved", "Declined": "declined"}.get(type(outcome).__name__, "in-doubt"),
        "kind": outcome.kind.value,
        "stan": outcome.stan,
        "batch": outcome.batch,
        "amount": amount_json(outcome.amount),
        "card": outcome.card,
    }
    if isinstance(outcome, InDoubt):
        why, duty = text_json(outcome.why), text_json(outcome.duty)
        return {**shared, "why": why, "duty": duty, "notes": list(outcome.notes)}
    code = {
        "code": outcome.code.code,
        "meaning": text_json(outcome.code.meaning),
        "action": text_json(outcome.code.action),
    }
    if isinstance(outcome, Approved):
        at = outcome.at.isoformat() if outcome.at is not None else None
        sums = {"requested": amount_json(outcome.requested), "balance": amount_json(outcome.balance)}
        more = {"rrn": outcome.rrn, "auth_code": outcome.auth_code, "host_date": outcome.host_date, "at": at}
        return {**shared, **sums, "code": code, **more}
    return {**shared, "code": code}


def line_json(line: Line) -> dict[str, object]:
    """Return one line of the terminal's history."""
    return {
        "kind": line.kind.value,
        "stan": line.stan,
        "batch": line.batch,
        "standing": standing_json(line.standing),
        "code": line.code,
        "amount": amount_json(line.amount),
        "card": line.card,
        "at": line.at.isoformat(),
    }


def standing_json(standing: Standing) -> str:
    """Return where a request stands, as a word for programs."""
    return standing.name.lower().replace("_", "-")


_APPROVED: Final = Text("APPROVED", "批准")
_DECLINED: Final = Text("DECLINED", "拒绝")
_IN_DOUBT: Final = Text("IN DOUBT", "结果未知")
_APPROVED_AS: Final = {
    Kind.SIGN_ON: Text("SIGNED ON", "签到成功"),
    Kind.SIGN_OFF: Text("SIGNED OFF", "签退成功"),
    Kind.ECHO: Text("ANSWERED", "主机已应答"),
    Kind.BALANCE: Text("BALANCE", "余额"),
    Kind.VOID: Text("VOIDED", "已撤销"),
    Kind.REVERSAL: Text("REVERSED", "已冲正"),
}
"""Approvals that say more than approved."""
_UNNUMBERED: Final = frozenset(
    {
        *(Kind.ECHO, Kind.STATUS, Kind.PARAMETERS, Kind.PARAMETERS_END, Kind.BLACKLIST, Kind.BLACKLIST_END),
        *(Kind.CA_KEY_LIST, Kind.CA_KEY, Kind.CA_KEYS_END, Kind.AID_LIST, Kind.AID, Kind.AIDS_END),
    }
)
"""Kinds whose requests carry no STAN: the journal's number would say nothing to the acquirer."""
_PLAIN: Final = "00"
_REST: Final = Text("approved in part: {} is still due", "部分批准: 尚欠{}")
_OF: Final = Text("{} of {}", "{} (请求{})")
_STAN: Final = Text("STAN", "流水号")
_RRN: Final = Text("RRN", "参考号")
_CARD: Final = Text("card", "卡号")


def ending_line(ending: Ending, output: Output) -> str:
    """Say of a certificate when it ends, or that it has."""
    day = ending.until.date().isoformat()
    words = _ENDED if ending.days_left < 0 else Text(f"ends in {ending.days_left} days", f"{ending.days_left}天后到期")
    return f"{ending.name}  {day}, {output.say(words)}"


def outcome_line(outcome: Outcome, language: Language) -> str:
    """Return an outcome in one line; `outcome_advice` has the rest."""
    from pos_engine.flow.outcomes import Approved, Declined, InDoubt

    titles = {Approved: _APPROVED_AS.get(outcome.kind, _APPROVED), Declined: _DECLINED, InDoubt: _IN_DOUBT}
    found_by = {
        _STAN: outcome.stan if outcome.kind not in _UNNUMBERED else None,
        _RRN: outcome.rrn if isinstance(outcome, Approved) else None,
        _CARD: outcome.card,
    }
    parts = [" ".join(filter(None, (titles[type(outcome)].say(language), _sum(outcome, language))))]
    if isinstance(outcome, Declined):
        parts.append(f"{outcome.code.code} {outcome.code.meaning.say(language)}")
    parts += [f"{name.say(language)} {value}" for name, value in found_by.items() if value]
    return "  ".join(parts)


def is_partial(outcome: Outcome) -> bool:
    """Tell whether less was approved than was asked for."""
    from pos_engine.flow.outcomes import Approved

    return isinstance(outcome, Approved) and outcome.requested is not None and outcome.amount != outcome.requested


def _sum(outcome: Outcome, language: Language) -> str:
    """Return the amount that an outcome is about, or the balance that it tells."""
    from pos_engine.flow.outcomes import Approved

    if isinstance(outcome, Approved) and outcome.balance is not None:
        return str(outcome.balance)
    if isinstance(outcome, Approved) and is_partial(outcome):
        return _OF.say(language).format(outcome.amount, outcome.requested)
    return str(outcome.amount or "")


def _note(approved: Approved, language: Language) -> str | None:
    """Return what an approval adds to being one: that it was of a part, or a code that says more than 00."""
    code, asked, given = approved.code, approved.requested, approved.amount
    if asked is not None and given is not None and given < asked:
        return _REST.say(language).format(replace(asked, minor=asked.minor - given.minor))
    # The code that ends a reversal may be a decline: what it says is about the original.
    if code.verdict is Verdict.APPROVAL and code.code != _PLAIN:
        return f"{code.meaning.say(language)}: {code.action.say(language)}"
    return None


def outcome_advice(outcome: Outcome, language: Language) -> str | None:
    """Return what to do now, or what the terminal will do; nothing after a plain approval."""
    from pos_engine.flow.outcomes import Approved, InDoubt

    if isinstance(outcome, Approved):
        return _note(outcome, language)
    if isinstance(outcome, InDoubt):
        return f"{outcome.why.say(language)}; {outcome.duty.say(language)}"
    return outcome.code.action.say(language)
