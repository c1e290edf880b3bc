"""`pos-engine demo`: a terminal and a simulated acquirer in two processes, told as a story with every message decoded.

The acquirer is a child process that listens on a free loopback port and reports what it booked as JSON lines; the
terminal is this process. Their only connection is TCP. The last act compares the terminal's journal with the acquirer's
books, and the demo fails when they differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pos_engine.cli import darkness, story
from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.stage import Stage
from pos_engine.dialects.base import Kind
from pos_engine.errors import PosError
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.values import Amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.flow.outcomes import Line
    from pos_engine.terminal import Terminal

SOLD: Final = Amount.cny("12.34")
REFUSED: Final = Amount.cny("9.51")
"""The simulated host declines amounts that end in 9.51."""
MISTYPED: Final = Amount.cny("88.00")
RETURNED: Final = Amount.cny("2.34")
LOST: Final = Amount.cny("9.96")
"""The simulated host books amounts that end in 9.96 and closes the link before it answers."""
IN_THE_DARK: Final = Amount.cny("25.00")
KEY: Final = "order 1042"
STOP_S: Final = 5.0


@dataclass(slots=True)
class Host:
    """The acquirer's process."""

    process: subprocess.Popen[str]
    port: int
    moved: Counter[str] = field(default_factory=Counter)
    """Fen that reached the merchant, by STAN; filled when the host stops."""

    def stop(self) -> None:
        """End the process in order and read what it reported."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=STOP_S)
        for line in output.splitlines():
            event: dict[str, Any] = json.loads(line)
            self.moved[event.get("stan", "")] += event.get("effect_minor", 0)


@command("demo", example="pos-engine demo\npos-engine demo --lang zh\npos-engine demo --json")
def demo(output: Output) -> Exit:
    """Show a merchant's day: sign on, sell, void, refund, lose the link, lose the power, and compare the books.

    A terminal and a simulated acquirer in two processes, over TCP, with every message decoded. Nothing is left behind.
    """
    from pos_engine.terminal import Terminal

    stage = Stage(output)
    stage.introduce(story.INTRODUCTION)
    with tempfile.TemporaryDirectory(prefix="pos-engine-demo-") as folder, _host() as host:
        config = _config(Path(folder), host, output)
        with Terminal.open(config, trace=stage) as terminal:
            as_told = [*_morning(terminal, stage), *_afternoon(terminal, stage)]
        stage.act(story.POWER_CUT)
        as_told.append(darkness.falls(config, IN_THE_DARK, stage, Path(folder)))
        with Terminal.open(config, trace=stage) as terminal:
            as_told += _evening(terminal, stage)
            history = terminal.status(recent=100).recent
        host.stop()
    lines = _rows(history, host)
    agree = all(line.moved_minor == booked for line, booked in lines) and sum(
        line.moved_minor for line, _ in lines
    ) == (sum(host.moved.values()))
    stage.books(story.BOOKS, lines, story.AGREED if agree else story.DIFFERED)
    stage.end(agree=agree)
    return Exit.DONE if agree and all(as_told) else Exit.NOTHING_FOUND


def _morning(terminal: Terminal, stage: Stage) -> Iterator[bool]:
    """Play the first acts; whether each ended as it is told."""
    stage.act(story.SIGN_ON)
    yield isinstance(stage.outcome(terminal.sign_on()), Approved)
    stage.act(story.SALE)
    sold = stage.outcome(terminal.sale(SOLD, key=KEY))
    yield isinstance(sold, Approved)
    stage.act(story.REPEATED)
    yield stage.outcome(terminal.sale(SOLD, key=KEY)) == sold
    stage.act(story.BALANCE)
    yield isinstance(stage.outcome(terminal.balance()), Approved)
    stage.act(story.DECLINED)
    yield isinstance(stage.outcome(terminal.sale(REFUSED)), Declined)
    stage.act(story.MISTAKE)
    mistake = stage.outcome(terminal.sale(MISTYPED))
    stage.act(story.VOID)
    yield isinstance(mistake, Approved) and isinstance(stage.outcome(terminal.void(mistake.reference)), Approved)


def _afternoon(terminal: Terminal, stage: Stage) -> Iterator[bool]:
    """Play the acts up to the lost link."""
    stage.act(story.REFUND)
    sold = terminal.outcome(KEY)
    yield isinstance(sold, Approved) and isinstance(
        stage.outcome(terminal.refund(RETURNED, original=sold.reference)), Approved
    )
    stage.act(story.LOSS)
    yield isinstance(stage.outcome(terminal.sale(LOST)), InDoubt)
    stage.act(story.REVERSAL)
    done = [stage.outcome(each) for each in terminal.tick().done]
    yield len(done) == 1 and isinstance(done[0], Approved)


def _evening(terminal: Terminal, stage: Stage) -> Iterator[bool]:
    """Play what comes after the power cut."""
    stage.act(story.POWER_BACK)
    done = [stage.outcome(each) for each in terminal.tick().done]
    yield [each.kind for each in done] == [Kind.REVERSAL] and isinstance(done[0], Approved)
    yield isinstance(stage.outcome(terminal.sale(IN_THE_DARK)), Approved)
    stage.act(story.SIGN_OFF)
    yield isinstance(stage.outcome(terminal.sign_off()), Approved)


def _rows(history: tuple[Line, ...], host: Host) -> list[tuple[Line, int]]:
    """Pair each request that is about money, oldest first, with what the host has booked under its STAN."""
    return [(line, host.moved[line.stan]) for line in reversed(history) if line.about_money]


@contextmanager
def _host() -> Iterator[Host]:
    """Start the acquirer in a process of its own, wait until it listens, and make sure that it ends."""
    command_line = [sys.executable, "-m", "pos_engine", "acquirer", "--port", "0", "--json"]
    process = subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very program
    with process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                reason = "the simulated acquirer did not start"
                raise PosError(reason)
            yield Host(process, int(json.loads(line)["port"]))
        finally:
            process.kill()


def _config(folder: Path, host: Host, output: Output) -> Config:
    from pos_engine.cli.start import write_simulated
    from pos_engine.config import load

    path = write_simulated(folder, output)
    address = f"tcp://127.0.0.1:{host.port}"
    return load(path, overrides={"acquirer.address": address}, environment={})
