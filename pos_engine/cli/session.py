"""Session: taking new working keys from the acquirer, giving them up, and asking whether anybody is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.cli.border import command, opened
from pos_engine.cli.exits import Exit, exit_of
from pos_engine.cli.output import outcome_json
from pos_engine.cli.trade import tell
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.session.diagnosis import Diagnosis

_SIGNED_ON: Final = Text("SIGNED ON", "签到成功")
_BATCH: Final = Text("batch", "批次号")
_CHECK_VALUE: Final = Text("check value", "校验值")


@command("sign-on", configured=True, example="pos-engine sign-on\npos-engine sign-on --json")
def sign_on(output: Output, settings: Settings) -> Exit:
    """Sign on now, due or not: take new working keys and the batch number.

    Sales sign on by themselves when it is due; this is for trying keys and link.
    """
    from pos_engine.flow.outcomes import Approved

    with opened(settings, output) as terminal:
        outcome = terminal.sign_on()
        if not isinstance(outcome, Approved):
            return _refused(output, outcome, terminal.diagnosis())
        keys = terminal.status(recent=0).keys
    if output.as_json:
        output.json({**outcome_json(outcome), "keys": [{"usage": name, "check_value": check} for name, check in keys]})
        return exit_of(outcome)
    output.line(f"{output.say(_SIGNED_ON)}  {output.say(_BATCH)} {outcome.batch}")
    for name, check in keys:
        output.line(f"{name}: {output.say(_CHECK_VALUE)} {check}")
    return exit_of(outcome)


def _refused(output: Output, outcome: Outcome, diagnosis: Diagnosis | None) -> Exit:
    """Tell of a sign-on that the host refused, why it may have done so, and what to do."""
    from pos_engine.cli.advice import diagnosis_json, lines

    if output.as_json:
        output.json({**outcome_json(outcome), "diagnosis": diagnosis_json(diagnosis) if diagnosis else None})
        return exit_of(outcome)
    code = tell(output, outcome)
    for line in lines(diagnosis, output) if diagnosis is not None else ():
        output.note(line)
    return code


@command("sign-off", configured=True, example="pos-engine sign-off\npos-engine sign-off --json")
def sign_off(output: Output, settings: Settings) -> Exit:
    """Sign off, once what is owed is done.

    The terminal stays signed off until it is used: the next sale signs on by itself.
    """
    with opened(settings, output) as terminal:
        return tell(output, terminal.sign_off())


@command("echo", configured=True, example="pos-engine echo\npos-engine echo -v")
def echo(output: Output, settings: Settings) -> Exit:
    """Ask the acquirer for a sign of life.

    Tries address, link and framing; needs no sign-on. Without an answer the exit code is 5.
    """
    with opened(settings, output) as terminal:
        return tell(output, terminal.echo())
