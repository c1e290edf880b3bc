"""`pos-engine session drill`: a rehearsal of a sign-on that expires at the till, scored, for whoever stands there.

What happens in the shop and what is asked goes to standard error, the result to standard output. Terminal, till and
host are real ones on a bench; no network is used, and unless it is live, no time passes but the trainee's.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.drill_report import compared, in_text, kept, read, result, saved
from pos_engine.cli.exits import Exit
from pos_engine.cli.output import plain
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pos_engine.cli.output import Output
    from simulators.drill import Answer, Asked, Trainee
    from simulators.drill.acts import Situation
    from simulators.drill.diary import Entry

ANSWER: Final = re.compile(r"([1-9])(?:@([0-9]{1,4}(?:\.[0-9])?))?")
ANSWER_S: Final = 5.0
"""What an answer that was given beforehand took, unless it says otherwise."""
SEEDS: Final = 1_000_000
ALL: Final = "all"

_ACT: Final = Text("your act", "您的选择")
_AGAIN: Final = Text("a number from 1 to {}", "请输入1到{}的数字")
_BEGIN: Final = Text(
    "A rehearsal: nothing here is real money. Read what the terminal shows, then choose; seconds count.",
    "演练开始, 不涉及真实资金。请先看清终端显示再选择, 用时计入成绩。",
)
_WIDTH: Final = 60


@command(
    "drill",
    example="pos-engine session drill\npos-engine session drill --situation line-gap --live --lang zh\n"
    "pos-engine session drill --situation expired --answers 3@8 --json\n"
    "pos-engine session drill --save today.json --compare last-week.json",
)
@click.option(
    "--situation", "name", default=ALL, show_default=True, metavar="NAME", help="expired, line-gap, … or all of them."
)
@click.option("--answers", metavar="LIST", help="Answers given beforehand, 1,2@7.5,…, or a file of them.")
@click.option("--seed", type=int, metavar="N", help="Shuffle the choices: the same seed, the same order.")
@click.option("--live", is_flag=True, help="Let waits really pass.")
@click.option("--save", metavar="FILE", help="Keep the result, as --json prints it.")
@click.option("--compare", metavar="FILE", help="Compare with a result that was kept.")
def drill(
    output: Output,
    *,
    name: str,
    answers: str | None,
    seed: int | None,
    live: bool,
    save: str | None,
    compare: str | None,
) -> Exit:
    """Rehearse a sign-on that expires at the till: decide as a cashier does, and be scored.

    Situations: expired, line-gap, line-dead, demanded, no-answer, balance, keys. Passed with 80 points of 100 and
    nothing dangerous; otherwise it ends with 9. Given answers take 5 seconds each, unless they say otherwise (2@12.5).
    """
    from simulators.drill import play

    situations = _chosen(name)
    before = kept(compare) if compare is not None else None
    trainee, order = _trainee(output, answers, seed, live=live)
    output.note(output.say(_BEGIN))
    played = []
    for number, situation in enumerate(situations, 1):
        output.note("")
        output.note(_heading(f"{number}/{len(situations)}  {output.say(situation.title)}"))
        played.append(play(situation, trainee, seed=order))
    if isinstance(trainee, Scripted):
        trainee.end()
    content = result(played, order)
    if before is not None:
        content |= {"compared": compared(content, before)}
    if output.as_json:
        output.json(content)
    else:
        in_text(output, played, content)
    if save is not None:
        saved(save, content)
    return Exit.DONE if content["passed"] else Exit.NOTHING_FOUND


def _chosen(name: str) -> tuple[Situation, ...]:
    from simulators.drill import SITUATIONS

    if name == ALL:
        return tuple(SITUATIONS.values())
    if name not in SITUATIONS:
        reason = f"--situation: one of {', '.join(SITUATIONS)}, {ALL}"
        raise UsageError(reason)
    return (SITUATIONS[name],)


def _trainee(output: Output, answers: str | None, seed: int | None, *, live: bool) -> tuple[Trainee, int | None]:
    """Find out who answers, and in which order the choices stand: for a person, in one that nobody knows by heart."""
    if answers is not None:
        return Scripted(output, list(_answers(answers)), live=live), seed
    if not sys.stdin.isatty():
        reason = "nobody is there to decide: run it on a terminal, or give --answers 1,2,…"
        raise UsageError(reason)
    return Person(output, live=live), secrets.randbelow(SEEDS) if seed is None else seed


def _answers(given: str) -> Iterator[tuple[int, float]]:
    """Read answers, from the command line or from a file."""
    text = given if _is_list(given) else read("--answers", given)
    for found in map(ANSWER.fullmatch, re.split(r"[,\s]+", text.strip())):
        if found is None:
            reason = "--answers takes numbers and perhaps seconds, such as 1,2@7.5,1, or a file of them"
            raise UsageError(reason)
        yield int(found[1]), float(found[2] or ANSWER_S)


def _is_list(text: str) -> bool:
    return all(ANSWER.fullmatch(each.strip()) for each in text.split(","))


def _heading(text: str) -> str:
    return f"── {text} {'─' * max(3, _WIDTH - len(text))}"


@dataclass(slots=True)
class Person:
    """A trainee at the keyboard, timed by the machine's clock."""

    output: Output
    live: bool = False

    def see(self, entry: Entry) -> None:
        """Show it."""
        _show(self.output, entry)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, where the drill is live."""
        _wait(seconds, live=self.live)

    def choose(self, asked: Asked) -> Answer:
        """Ask, and time the answer from the moment in which everything is on the screen."""
        from simulators.drill import Answer

        _offer(self.output, asked)
        shown_s = time.monotonic()
        while True:
            typed = click.prompt(self.output.say(_ACT), err=True).strip()
            if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= len(asked.choices):
                return Answer(int(typed) - 1, time.monotonic() - shown_s)
            click.echo(self.output.say(_AGAIN).format(len(asked.choices)), err=True)


@dataclass(slots=True)
class Scripted:
    """A trainee whose answers were given beforehand."""

    output: Output
    answers: list[tuple[int, float]]
    live: bool = False

    def see(self, entry: Entry) -> None:
        """Show it, unless the run is quiet."""
        if self.output.verbosity >= 0:
            _show(self.output, entry)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, where the drill is live."""
        _wait(seconds, live=self.live)

    def choose(self, asked: Asked) -> Answer:
        """Take the next answer; `UsageError` when there is none, or none such."""
        from simulators.drill import Answer

        if self.output.verbosity >= 0:
            _offer(self.output, asked)
        if not self.answers:
            reason = "--answers end before the questions do"
            raise UsageError(reason)
        number, seconds = self.answers.pop(0)
        if number > len(asked.choices):
            reason = f"--answers: there is no choice {number} of {len(asked.choices)}"
            raise UsageError(reason)
        self.output.note(f"{self.output.say(_ACT)}: {number}")
        return Answer(number - 1, seconds)

    def end(self) -> None:
        """Refuse answers that nobody asked for: they were meant for another drill."""
        if self.answers:
            reason = f"--answers: {len(self.answers)} more than there were questions"
            raise UsageError(reason)


def _wait(seconds: float, *, live: bool) -> None:
    if live:
        time.sleep(seconds)


def _offer(output: Output, asked: Asked) -> None:
    lines = [output.say(asked.decision.prompt)]
    lines += [f"  {number}  {output.say(choice.text)}" for number, choice in enumerate(asked.choices, 1)]
    click.echo("\n" + "\n".join(map(plain, lines)), err=True)


def _show(output: Output, entry: Entry) -> None:
    """Show what happens: the display in a frame of its own, what else can be seen without."""
    mark = _FRAMES.get(entry.who.value, "  ")
    click.echo(f"{entry.at_s:>6.0f} s {mark}{plain(output.say(entry.text))}", err=True)


_FRAMES: Final[Mapping[str, str]] = {"display": "│ ", "next-till": "┆ "}
