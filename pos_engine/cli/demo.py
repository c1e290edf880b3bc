"""`pos-engine demo`: a terminal and a simulated acquirer in two processes, told as a story with every message decoded.

The acquirer listens on a free loopback port and on a serial line; the terminal is this process. Nothing else joins
them. The last act compares the terminal's journal with the acquirer's books, and the demo fails when they differ.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine.cli import darkness, story
from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.stage import Stage
from pos_engine.dialects.base import Kind
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.values import Amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.cast import Host, Line
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.flow import outcomes
    from pos_engine.terminal import Terminal

SOLD: Final = Amount.cny("12.34")
REFUSED: Final = Amount.cny("9.51")
"""The simulated host declines amounts that end in 9.51."""
MISTYPED: Final = Amount.cny("88.00")
RETURNED: Final = Amount.cny("2.34")
LOST: Final = Amount.cny("9.96")
"""The simulated host books amounts that end in 9.96 and closes the link before it answers."""
IN_THE_DARK: Final = Amount.cny("25.00")
BY_LINE: Final = Amount.cny("3.60")
KEY: Final = "order 1042"
NO_WAY: Final = "tcp://127.0.0.1:1"
"""Nobody listens there: it stands for a cable that is cut."""


@command("demo", example="pos-engine demo\npos-engine demo --lang zh\npos-engine demo --json")
def demo(output: Output) -> Exit:
    """Show a merchant's day: sign on, sell, void, refund, lose the link, the power, the cable, and compare the books.

    A terminal and a simulated acquirer in two processes, over TCP and a serial line, with every message decoded.
    Nothing is left behind.
    """
    from pos_engine.cli.cast import acquirer, serial_line
    from pos_engine.cli.signals import ended_in_order
    from pos_engine.terminal import Terminal

    stage = Stage(output)
    stage.introduce(story.INTRODUCTION)
    with (
        ended_in_order(),
        tempfile.TemporaryDirectory(prefix="pos-engine-demo-") as name,
        serial_line() as line,
        acquirer(line) as host,
    ):
        folder = Path(name)
        config = _config(folder, host.address, output)
        with Terminal.open(config, trace=stage) as terminal:
            as_told = [*_morning(terminal, stage), *_afternoon(terminal, stage)]
        stage.act(story.POWER_CUT)
        as_told.append(darkness.falls(config, IN_THE_DARK, stage, folder))
        with Terminal.open(config, trace=stage) as terminal:
            as_told += _evening(terminal, stage)
        config = _config(folder, f"{NO_WAY}, serial://{line.terminal}", output)
        with Terminal.open(config, trace=stage) as terminal:
            as_told += _night(terminal, line, stage)
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


def _night(terminal: Terminal, line: Line, stage: Stage) -> Iterator[bool]:
    """Play what comes after the cable was cut, over the second road."""
    stage.act(story.CABLE)
    yield isinstance(stage.outcome(terminal.sale(BY_LINE)), Approved)
    stage.aside(story.CRACKLED, line.struck())
    stage.act(story.SIGN_OFF)
    yield isinstance(stage.outcome(terminal.sign_off()), Approved)


def _rows(history: tuple[outcomes.Line, ...], host: Host) -> list[tuple[outcomes.Line, int]]:
    """Pair each request that is about money, oldest first, with what the host has booked under its STAN."""
    return [(line, host.moved[line.stan]) for line in reversed(history) if line.about_money]


def _config(folder: Path, address: str, output: Output) -> Config:
    from pos_engine.cli.start import write_simulated
    from pos_engine.config import FILE_NAME, load

    path = folder / FILE_NAME
    if not path.exists():
        write_simulated(folder, output)
    return load(path, overrides={"acquirer.address": address}, environment={})
