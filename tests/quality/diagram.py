"""What docs/architecture.md takes from the code itself: the table of rows, and the machine of an exchange.

Each part stands between two marks on the page. `python -m tests.quality.diagram` writes all of them anew; a test fails
while one of them differs, so the page cannot tell another story than the code.

    <!-- drawn: NAME -->      what follows is replaced, up to
    <!-- end -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pos_engine.flow.states import REVERSAL_REASONS, TRANSITIONS, Action, Cue
from pos_engine.journal.record import State
from tests.quality.test_layers import ROWS
from tests.quality.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Transitions = Mapping[tuple[State, Cue], tuple[State, Action]]

PAGE: Final = ROOT / "docs/architecture.md"
ROW_TITLES: Final = (
    "leaves",
    "bytes to bytes (pure)",
    "formats (pure)",
    "what an acquirer is (pure)",
    "decisions (pure)",
    "the only input and output",
    "facades and tools",
    "people and processes",
)
_PART: Final = re.compile(r"(?<=<!-- drawn: )([a-z]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def rows(table: Sequence[str] = ROWS) -> str:
    """The house, top row first, each row from left to right, as the layer test has it."""
    width = max(map(len, ROW_TITLES))
    lines = [f" {number}  {ROW_TITLES[number]:<{width}}  {entries}" for number, entries in enumerate(table)]
    return _fenced("text", lines[::-1])


def diagram(transitions: Transitions = TRANSITIONS) -> str:
    """The machine as a picture; cues that lead from one state to another by the same action share an arrow."""
    arrows: dict[tuple[State, State, Action], list[str]] = {}
    for (before, cue), (after, action) in transitions.items():
        arrows.setdefault((before, after, action), []).append(cue.name)
    first = {before for before, _ in transitions} - {after for after, _ in transitions.values()}
    last = {after for after, _ in transitions.values()} - {before for before, _ in transitions}
    lines = [f"    [*] --> {state.name}" for state in State if state in first]
    lines += [
        f"    {before.name} --> {after.name} : {', '.join(cues)} / {action.name}"
        for (before, after, action), cues in arrows.items()
    ]
    lines += [f"    {state.name} --> [*]" for state in State if state in last]
    return _fenced("mermaid", ["stateDiagram-v2", *lines])


def words() -> str:
    """What states, cues and actions mean, in the words of the code."""
    lines = ["| state | meaning |", "|---|---|"]
    lines += [f"| {state.name} | {state.value} |" for state in State]
    lines += ["", "| cue | meaning | field 39 of a reversal |", "|---|---|---|"]
    lines += [f"| {cue.name} | {cue.value} | {REVERSAL_REASONS.get(cue, '')} |" for cue in Cue]
    lines += ["", "| action | what the step does |", "|---|---|"]
    lines += [f"| {action.name} | {action.value} |" for action in Action]
    return "\n" + "\n".join(lines) + "\n\n"


PARTS: Final[Mapping[str, Callable[[], str]]] = {"rows": rows, "machine": diagram, "words": words}
"""What can stand between two marks, by the name in the first."""


def parts_of(page: str) -> list[str]:
    """The names of the drawn parts, in the page's order."""
    return [found[1] for found in _PART.finditer(page)]


def redrawn(page: str) -> str:
    """The page with every drawn part as the code has it now."""
    return _PART.sub(lambda found: f"{found[1]}{found[2]}{PARTS[found[1]]()}", page)


def _fenced(language: str, lines: Sequence[str]) -> str:
    return "\n".join((f"```{language}", *lines, "```\n"))


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
