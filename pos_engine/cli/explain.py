"""One transaction explained at the till, and the word of a person who takes over what the terminal could not end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit, NothingFoundError
from pos_engine.cli.output import line_json, text_json
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.flow.arrivals import Arrival, Candidate
    from pos_engine.flow.explain import Explanation, Happened
    from pos_engine.flow.outcomes import Line

_STANDS: Final = Text("stands", "状态")
_WHY: Final = Text("why", "原因")
_NEXT: Final = Text("next", "后续")
_ADVICE: Final = Text("now", "现在")
_RESOLVED: Final = Text("on record", "已登记")
MACS: Final = {True: "valid", False: "wrong", None: "absent"}
"""What became of a MAC, for programs."""

_batch = click.option("--batch", metavar="NNNNNN", help="The batch of the STAN; by default the one in force.")


@command("explain", configured=True, example="pos-engine explain 17\npos-engine explain 17 --batch 000001 --json")
@click.argument("stan")
@_batch
def explain(output: Output, settings: Settings, *, stan: str, batch: str | None) -> Exit:
    """Explain one transaction: what happened, why it stands as it does, what comes next, what to do now.

    Reads the journal without holding it, so it works beside a running terminal. Ends with 9 where the journal knows no
    such transaction.
    """
    from pos_engine.journal.store import was_begun
    from pos_engine.system import harden_process
    from pos_engine.terminal import Terminal

    config, digits = settings.load(), padded(stan)
    harden_process()
    if not was_begun(config.journal, config.mark):
        reason = "there is no journal yet"
        raise NothingFoundError(reason)
    with Terminal.open(config, read_only=True) as terminal:
        try:
            explained = terminal.explain(digits, batch=batch)
        except UsageError as error:
            raise NothingFoundError(str(error)) from None
    if output.as_json:
        output.json(_explanation_json(explained))
    else:
        output.table(["", ""], list(_rows(explained, output)))
    return Exit.DONE


@command(
    "resolve",
    configured=True,
    example='pos-engine journal resolve 000017 --reason "the acquirer cancelled it by hand" --by Li\n'
    'pos-engine journal resolve 000018 --moved yes --reason "the refund is in their list"',
)
@click.argument("stan")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in a few words; they are kept for ever.")
@click.option("--by", default="", metavar="NAME", help="Who takes it over.")
@click.option("--moved", type=click.Choice(["yes", "no"]), help="Of a refund in doubt: whether the money moved.")
@_batch
def resolve(
    output: Output, settings: Settings, *, stan: str, reason: str, by: str, moved: str | None, batch: str | None
) -> Exit:
    """Put on record that a person takes over what the terminal could not end.

    A reversal that the host did not accept three times stops new transactions until then; afterwards it blocks nothing
    and is still sent, until the host accepts it. A refund in doubt is settled by what the acquirer says: --moved yes or
    no. Nothing is ever deleted.
    """
    from pos_engine.system import harden_process
    from pos_engine.terminal import Terminal

    config = settings.load()
    harden_process()
    told = None if moved is None else moved == "yes"
    with Terminal.open(config) as terminal:
        line = terminal.resolve(padded(stan), reason=reason, by=by, batch=batch, moved=told)
    _print_resolved(output, line, reason)
    return Exit.DONE


def _print_resolved(output: Output, line: Line, reason: str) -> None:
    from pos_engine.flow.outcomes import STANDINGS

    if output.as_json:
        output.json({**line_json(line), "reason": reason})
        return
    amount = str(line.amount) if line.amount is not None else ""
    facts = (output.say(_RESOLVED), line.kind.value, f"STAN {line.stan}", amount, output.say(STANDINGS[line.standing]))
    output.line("  ".join(filter(None, facts)))


def padded(stan: str) -> str:
    """Take a STAN as a person writes it, without its leading zeros."""
    digits = 6
    if not (stan.isascii() and stan.isdigit() and len(stan) <= digits):
        reason = f"a STAN has at most {digits} digits"
        raise UsageError(reason)
    return stan.zfill(digits)


def _rows(explained: Explanation, output: Output) -> Iterator[tuple[str, str]]:
    from pos_engine.flow.outcomes import STANDINGS

    line, say = explained.line, output.say
    facts = (line.kind.value, str(line.amount or ""), f"STAN {line.stan}", line.batch, line.card or "")
    yield say(_STANDS), f"{'  '.join(filter(None, facts))}  {say(STANDINGS[line.standing])}"
    for each in explained.history:
        yield each.at.isoformat(sep=" ", timespec="seconds"), _happened(each, output)
    for arrival in explained.arrivals:
        at = arrival.candidate.stray.at.wall
        yield at.isoformat(sep=" ", timespec="seconds"), f"{say(arrival.what)}. {say(arrival.means)}"
    yield say(_WHY), say(explained.why)
    yield say(_NEXT), say(explained.next)
    yield say(_ADVICE), say(explained.advice)


def _happened(each: Happened, output: Output) -> str:
    notes = f" ({'; '.join(each.notes)})" if each.notes else ""
    return f"{each.kind.value}: {output.say(each.what)}{notes}"


def candidate_json(candidate: Candidate) -> dict[str, object]:
    """Return a message that was met around a request, and in what it differs from being the answer."""
    stray, met = candidate.stray, candidate.met
    differs = [{"element": each.where, "missing": each.is_missing} for each in candidate.differs]
    return {
        "at": stray.at.wall.isoformat(),
        "mti": stray.message.mti,
        "code": stray.message.get(39),
        "stan": stray.message.get(11),
        "sort": stray.sort.value,
        "times": stray.times,
        "mac": MACS[stray.proven],
        "after_s": candidate.after_s,
        "during": {"kind": met.kind.value, "stan": met.stan, "batch": met.batch},
        "matches": candidate.matches,
        "differs": differs,
        "contradicts": list(stray.differs) if not differs else [],
    }


def arrival_json(arrival: Arrival) -> dict[str, object]:
    """Return what came for a request besides its answer."""
    return {**candidate_json(arrival.candidate), "what": text_json(arrival.what), "means": text_json(arrival.means)}


def _explanation_json(explained: Explanation) -> dict[str, object]:
    return {
        **line_json(explained.line),
        "history": [
            {"at": each.at.isoformat(), "kind": each.kind.value, "what": text_json(each.what), "notes": [*each.notes]}
            for each in explained.history
        ],
        "arrivals": [arrival_json(each) for each in explained.arrivals],
        "why": text_json(explained.why),
        "next": text_json(explained.next),
        "advice": text_json(explained.advice),
    }
