"""The counter as the command line has it: messages on standard error, questions where a person is at a terminal."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.output import Output
    from pos_engine.merchant.till import Question

NOBODY: Final = Text("nobody is there to confirm it; --yes confirms it", "无人确认; 可用 --yes 确认")


@dataclass(frozen=True, slots=True)
class ConsoleFace:
    """A `TillFace`. With `--yes` a program has confirmed beforehand; without a person, nothing is confirmed."""

    output: Output
    is_confirmed: bool = False

    def show(self, text: Text) -> None:
        """Write a message."""
        self.output.note(self.output.say(text))

    def confirm(self, question: Question) -> bool:
        """Ask, or take the word that was given on the command line."""
        what = ", ".join(part for part in (question.goods, str(question.amount)) if part)
        words = f"{self.output.say(question.why)} {what}"
        if self.is_confirmed:
            self.output.note(words)
            return True
        # A program that was started with its input closed has none at all.
        if sys.stdin is None or not sys.stdin.isatty():
            self.output.note(words)
            self.output.note(self.output.say(NOBODY))
            return False
        try:
            return click.confirm(words, err=True)
        except click.Abort:
            # Whoever walks away has not said yes; what happened so far is still told.
            return False

    def wait(self, seconds: float) -> bool:
        """Wait; whoever is not willing to interrupts the command."""
        try:
            time.sleep(seconds)
        except KeyboardInterrupt:
            return False
        return True
