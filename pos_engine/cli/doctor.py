"""Why something does not work: `doctor match` says why an answer was not taken for the answer. It sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli import dumps
from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit, NothingFoundError
from pos_engine.cli.explain import candidate_json, padded
from pos_engine.cli.output import line_json, text_json
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect
    from pos_engine.doctor.match import Examined, Match
    from pos_engine.flow.arrivals import Candidate
    from pos_engine.flow.outcomes import Line
    from pos_engine.wire.message import Message

_HEADS: Final = (Text("element", "域"), Text("name", "名称"), Text("answer", "应答"))
_MET_HEADS: Final = (
    Text("read at", "读到时间"),
    Text("message", "报文"),
    Text("code", "应答码"),
    Text("STAN", "流水号"),
    Text("it was", "类别"),
    Text("during", "当时交易"),
    Text("different", "不同"),
)
_SORTS: Final = {
    "late": Text("late", "迟到"),
    "duplicate": Text("duplicate", "重复"),
    "foreign": Text("foreign", "他人应答"),
    "unsolicited": Text("unsolicited", "主动下发"),
}
_MATCHES: Final = Text("answer {}: a {} that answers this {} ({})", "应答{}: {} 与该{}({})匹配")
_MATCHES_NOT: Final = Text("answer {}: a {} that does not answer this {} ({})", "应答{}: {} 与该{}({})不匹配")
_ANSWERED: Final = Text("its answer arrived, code {}", "已收到其应答, 应答码{}")
_UNANSWERED: Final = Text("no answer to it arrived in time", "未及时收到其应答")
_NOTHING: Final = Text("nothing else came that could be its answer", "未收到其他可能的应答")
_NO_MAC: Final = Text(
    "the MAC is not checked here; an answer that matches must also be proven before it counts",
    "此处不校验MAC; 匹配的应答仍须校验无误方可作数",
)
_NOTHING_DIFFERS: Final = Text("nothing", "无")


@group("doctor", example="pos-engine doctor match 17\npos-engine doctor match --request sale.hex --answer answer.hex")
def doctor(output: Output) -> Exit:
    """Find out why something does not work: one sub-command for each question."""
    del output
    click.echo(click.get_current_context().get_help())
    return Exit.DONE


@command(
    "match",
    configured=True,
    example="pos-engine doctor match 17 --batch 000001\n"
    "pos-engine doctor match --request sale.hex --answer late.hex --answer other.hex --json",
)
@click.argument("stan", required=False)
@click.option("--batch", metavar="NNNNNN", help="The batch of the STAN; by default the one in force.")
@click.option("--request", metavar="HEX|-|FILE", help="A request, instead of one in the journal.")
@click.option("--answer", "answers", metavar="HEX|-|FILE", multiple=True, help="What may answer it; more than once.")
@click.option("--dialect", "name", metavar="NAME", help="Read them in this dialect; default the one that reads best.")
def match(
    output: Output,
    settings: Settings,
    *,
    stan: str | None,
    batch: str | None,
    request: str | None,
    answers: tuple[str, ...],
    name: str | None,
) -> Exit:
    """Say why a message is, or is not, the answer to a request: every element that differs, the nearest message first.

    With a STAN, the messages are those that the journal has met around that request: late ones, those of others, those
    that nobody asked for. With --request and --answer they are given, as `decode` reads them, and need no
    configuration. Ends with 0 where one matches, and with 9 where none does.
    """
    if stan is not None and request is None and not answers and name is None:
        return _in_the_journal(output, settings, padded(stan), batch)
    if stan is not None or batch is not None or request is None or not answers:
        reason = "give a STAN, for what is in the journal, or else --request and --answer"
        raise UsageError(reason)
    return _given(output, request, answers, name)


def _given(output: Output, request: str, answers: Sequence[str], name: str | None) -> Exit:
    from pos_engine.cli.traffic import dialects_named
    from pos_engine.doctor import match as matching

    dialect, (asked, *more) = _read(output, request, dialects_named(name))
    if more:
        reason = "--request takes one message"
        raise UsageError(reason)
    messages = [message for answer in answers for message in _read(output, answer, (dialect,))[1]]
    found = matching.match(asked, messages, dialect)
    if output.as_json:
        output.json(
            {
                "dialect": dialect.name,
                "kind": found[0].row.kind.value,
                "request": asked.mti,
                "matched": found[0].matches,
                "answers": [_match_json(each, dialect) for each in found],
            }
        )
    else:
        for each in found:
            _show(output, each, asked, dialect)
        output.note(output.say(_NO_MAC))
    return Exit.DONE if found[0].matches else Exit.NOTHING_FOUND


def _read(output: Output, argument: str, dialects: Sequence[Dialect]) -> tuple[Dialect, list[Message]]:
    """Read messages as `decode` does; one that breaks off is an error here, because what is missing could differ."""
    from pos_engine.cli.traffic import best, warn_of_history

    source = dumps.read(argument)
    dialect, _, captures = best(source, dialects)
    error = next((capture.error for capture in captures if capture.error is not None), None)
    if error is not None:
        raise error
    warn_of_history(output, source, captures, dialect)
    return dialect, [capture.message for capture in captures]


def _show(output: Output, each: Match, asked: Message, dialect: Dialect) -> None:
    from pos_engine.doctor.match import verdict
    from pos_engine.flow.responses import name_of

    pattern = output.say(_MATCHES if each.matches else _MATCHES_NOT)
    kind = output.say(each.row.title)
    output.line(pattern.format(each.place, each.answer.mti, asked.mti, kind))
    rows = ((one.where, output.say(name_of(one.where, dialect)), output.say(verdict(one))) for one in each.elements)
    output.table([output.say(head) for head in _HEADS], rows)


def _match_json(each: Match, dialect: Dialect) -> dict[str, object]:
    from pos_engine.doctor.match import verdict
    from pos_engine.flow.responses import name_of

    elements = [
        {"element": one.where, "name": text_json(name_of(one.where, dialect)), "verdict": verdict(one).en}
        for one in each.elements
    ]
    return {"answer": each.place, "mti": each.answer.mti, "matches": each.matches, "elements": elements}


def _in_the_journal(output: Output, settings: Settings, stan: str, batch: str | None) -> Exit:
    from pos_engine.cli.reading import reading
    from pos_engine.dialects.base import NO_REQUESTS
    from pos_engine.dialects.registry import dialect_of
    from pos_engine.doctor.match import examine
    from pos_engine.flow.outcomes import line_of
    from pos_engine.session.policy import Policy
    from pos_engine.session.states import session_of
    from pos_engine.system import SystemClock

    config = settings.load()
    dialect = dialect_of(config.dialect, config.key_scheme)
    with reading(config) as opened:
        record = None
        if opened is not None:
            record = opened.find_original(batch or session_of(opened, SystemClock().now(), Policy()).batch, stan)
        if opened is None or record is None or record.kind in NO_REQUESTS:
            reason = f"no transaction has STAN {stan} in {'this batch' if batch is None else batch}"
            raise NothingFoundError(reason)
        examined = examine(record, opened, dialect)
        line = line_of(record, opened.acting_on(record.number))
    _print_examined(output, examined, line, dialect)
    return Exit.DONE if examined.matched else Exit.NOTHING_FOUND


def _print_examined(output: Output, examined: Examined, line: Line, dialect: Dialect) -> None:
    if output.as_json:
        found = [candidate_json(each) for each in examined.candidates]
        told = {"answered": examined.answered, "matched": examined.matched, "candidates": found}
        output.json({**line_json(line), **told})
        return
    facts = (line.kind.value, str(line.amount or ""), f"STAN {line.stan}", line.batch)
    state = output.say(_ANSWERED).format(line.code) if examined.answered else output.say(_UNANSWERED)
    output.line(f"{'  '.join(filter(None, facts))}  {state}")
    if examined.candidates:
        output.table([output.say(head) for head in _MET_HEADS], _rows(output, examined.candidates, dialect))
    else:
        output.note(output.say(_NOTHING))


def _rows(output: Output, found: Sequence[Candidate], dialect: Dialect) -> Iterator[Sequence[str]]:
    from pos_engine.flow.arrivals import differing

    for each in found:
        message, met = each.stray.message, each.met
        yield (
            each.stray.at.wall.isoformat(sep=" ", timespec="seconds"),
            message.mti,
            message.get(39, ""),
            message.get(11, ""),
            output.say(_SORTS[each.stray.sort.value]),
            f"{met.kind.value} {met.stan}",
            output.say(_NOTHING_DIFFERS if each.matches else differing(each, dialect)),
        )


doctor.add_command(match)
