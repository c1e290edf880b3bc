"""How the demo is shown: acts, messages with their fields in words, outcomes, and the table of both books.

With `--json` nothing is drawn; what happened is collected and printed as one object at the end.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from pos_engine.cli.output import outcome_advice, outcome_json, outcome_line, plain
from pos_engine.dialects.registry import DIALECTS
from pos_engine.flow.effects import Save
from pos_engine.flow.outcomes import STANDINGS
from pos_engine.journal.record import State
from pos_engine.values import Amount, Text
from pos_engine.wire.composite import by_columns
from pos_engine.wire.describe import masked, rows

if TYPE_CHECKING:
    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import KindRow, Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.flow.outcomes import Line, Outcome

WIDTH: Final = 100
DIALECT: Final = DIALECTS["unionpay"]
_PARTS: Final = by_columns({number: DIALECT.layouts[number] for number in (60, 61)})
"""The fields whose parts the story is about; `decode` shows the parts of all."""
SENT: Final = Text("terminal -> acquirer", "终端 -> 主机")
RECEIVED: Final = Text("acquirer -> terminal", "主机 -> 终端")
REQUEST: Final = Text("request", "请求")
ANSWER: Final = Text("answer", "应答")
BYTES: Final = Text("bytes", "字节")
JOURNAL: Final = Text("journal on disk", "磁盘流水")
SAVED: Final = {
    State.PENDING: Text("the intent is on disk; now it may be sent", "交易意图已落盘, 可以发送"),
    State.APPROVED: Text("the outcome is on disk; now it may be shown", "交易结果已落盘, 可以显示"),
    State.DECLINED: Text("the outcome is on disk; now it may be shown", "交易结果已落盘, 可以显示"),
    State.DOUBTFUL: Text("the doubt is on disk, and with it the duty to clear it up", "结果未知已落盘, 待终端了结"),
    State.UNSENT: Text("nothing was sent", "未发送"),
}
HEADS: Final = (
    Text("STAN", "流水号"),
    Text("what", "交易"),
    Text("amount", "金额"),
    Text("the terminal says", "终端记录"),
    Text("the host booked", "主机记账"),
)


class Stage:
    """A `Trace` that tells the story as it happens."""

    def __init__(self, output: Output) -> None:
        """Take where and in which language to tell it."""
        self._output = output
        self._acts: list[dict[str, Any]] = []
        self._books: list[dict[str, Any]] = []
        self._row: KindRow | None = None
        """The kind of the last request: an answer's own type says less."""

    def introduce(self, text: Text) -> None:
        """Say what is going to be seen."""
        self._print()
        self._prose(text)

    def act(self, text: Text) -> None:
        """Begin an act."""
        self._acts.append({"messages": []})
        self._print()
        self._print(f"{len(self._acts)}  {'─' * (WIDTH - 3)}", fg="cyan")
        self._prose(text)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the present act, as `--json` shows them."""
        messages: list[dict[str, Any]] = self._acts[-1]["messages"]
        return messages

    def outcome(self, outcome: Outcome) -> Outcome:
        """Show what the cashier sees, and return it."""
        self._acts[-1]["outcome"] = outcome_json(outcome)
        colour = {"Approved": "green", "Declined": "red"}.get(type(outcome).__name__, "yellow")
        self._print(f"   => {outcome_line(outcome, self._output.language)}", fg=colour, bold=True)
        advice = outcome_advice(outcome, self._output.language)
        if advice:
            self._print(f"      {advice}", fg=colour)
        return outcome

    def aside(self, text: Text, what: str) -> None:
        """Say what nobody at the till sees."""
        self._acts[-1]["aside"] = what
        self._print(f"   [{what}] {self._output.say(text)}", fg="magenta")

    def before(self, effect: Effect) -> None:
        """Ignore it: what was done is told, not what will be."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Tell of every write to the journal, because that is what keeps money safe."""
        del happened
        if isinstance(effect, Save):
            said = self._output.say(SAVED[effect.record.state])
            self._print(f"   [{self._output.say(JOURNAL)}] {said}", fg="magenta")

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Tell of a message: its type first, then its fields in words."""
        message, say = packet.message, self._output.say
        self.messages.append({"direction": direction, "mti": message.mti, "fields": masked(message, DIALECT.spec)})
        if direction == "sent":
            self._row = DIALECT.kind_of(message)
        title = f"{say(self._row.title)} " if self._row is not None else ""
        way = (say(SENT), say(REQUEST)) if direction == "sent" else (say(RECEIVED), say(ANSWER))
        size = len(packet.encode())
        self._print(f"   {message.mti}  {title}{way[1]}   {way[0]}, {size} {say(BYTES)}", bold=True)
        for field in rows(message, DIALECT.spec, _PARTS, self._output.language):
            meaning = DIALECT.explain(message, int(field.key))
            words = f"  ({say(meaning)})" if meaning is not None else ""
            self._print(f"        {field.key:>2}  {_padded(field.name, 44)} {field.shown}{words}")
            for part in field.children:
                self._print(f"            {_padded(f'{part.key} {part.name}', 42)} {part.shown}")

    def books(self, text: Text, lines: list[tuple[Line, int]], verdict: Text) -> None:
        """Show both books side by side."""
        self._print()
        self._print(f"{len(self._acts) + 1}  {'─' * (WIDTH - 3)}", fg="cyan")
        self._prose(text)
        table = []
        for line, booked in lines:
            standing = self._output.say(STANDINGS[line.standing])
            title = self._output.say(DIALECT.kinds[line.kind].title)
            table.append((line.stan, title, str(line.amount or ""), standing, _signed(booked)))
            self._books.append({"stan": line.stan, "terminal_minor": line.moved_minor, "host_minor": booked})
        if not self._output.as_json:
            self._output.table([self._output.say(head) for head in HEADS], table)
        self._print()
        self._print(self._output.say(verdict), bold=True)

    def end(self, *, agree: bool) -> None:
        """Print the one object of `--json`."""
        if self._output.as_json:
            self._output.json({"acts": self._acts, "books": self._books, "agree": agree})

    def _prose(self, text: Text) -> None:
        said = self._output.say(text)
        width = WIDTH - 3 if self._output.language == "en" else WIDTH // 2
        for line in textwrap.wrap(said, width):
            self._print(f"   {line}")

    def _print(self, line: str = "", *, fg: str | None = None, bold: bool = False) -> None:
        if self._output.as_json:
            return
        coloured = sys.stdout.isatty()
        click.echo(click.style(plain(line), fg=fg, bold=bold) if coloured else plain(line))


def _padded(name: str, width: int) -> str:
    """Pad a name to a width on screen, where a Chinese character takes two columns."""
    columns = sum(2 if ord(character) > 0x2E80 else 1 for character in name)  # noqa: PLR2004 - where CJK begins
    return name + " " * max(0, width - columns)


def _signed(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{Amount(abs(minor))}"
