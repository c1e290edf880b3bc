"""Why a sign-on failed, and what to do now: beside a command's error on standard error, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.cli.output import text_json
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.output import Output
    from pos_engine.errors import PosError
    from pos_engine.session.diagnosis import Diagnosis

WHY: Final = Text("why", "原因")
ENGINE: Final = Text("the terminal", "终端")
MERCHANT: Final = Text("to do", "请")
CALL: Final = Text("to call", "联系")
_DETAILS_LEVEL: Final = 1
"""-v."""


def advise(error: PosError, diagnosis: Diagnosis | None, output: Output) -> None:
    """Attach to an error what its diagnosis says; the border prints it below the error."""
    if diagnosis is None:
        return
    for line in lines(diagnosis, output):
        error.add_note(line)
    if output.as_json:
        output.json({"error": str(error), "diagnosis": diagnosis_json(diagnosis)})


def lines(diagnosis: Diagnosis, output: Output) -> Iterator[str]:
    """Yield what a person is told; the facts behind it with -v."""
    advice = diagnosis.advice
    rows = ((WHY, advice.meaning), (ENGINE, advice.engine), (MERCHANT, advice.merchant), (CALL, advice.call))
    yield from (f"{output.say(name)}: {output.say(text)}" for name, text in rows)
    if output.verbosity >= _DETAILS_LEVEL:
        yield from (f"- {output.say(fact)}" for fact in diagnosis.evidence)


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, object]:
    """Return all of a diagnosis, in both languages."""
    advice = diagnosis.advice
    return {
        "cause": diagnosis.cause.value,
        "meaning": text_json(advice.meaning),
        "engine": text_json(advice.engine),
        "merchant": text_json(advice.merchant),
        "call": text_json(advice.call),
        "evidence": [text_json(fact) for fact in diagnosis.evidence],
    }
