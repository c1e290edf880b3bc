"""Terminals that sell once each, forked from one process that has imported everything: `python forking_terminal.py`.

Each line of input, CONFIG AMOUNT SHOWN, makes one. It stops itself, so that a tracer can attach before the first system
call of its life; continued, it sells, and writes what it showed to the file SHOWN. The parent prints the child's
process id once it has stopped, and when it has ended, how: its exit code, or minus the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Literal

from pos_engine.errors import JournalFault, NotSent
from pos_engine.flow.effects import Effect, Emit, Happening
from pos_engine.terminal import Terminal
from pos_engine.values import Amount

if TYPE_CHECKING:
    from pos_engine.dialects.base import Packet

REFUSED = 8
"""The command line's exit code of a journal fault."""


class Shown:
    """A trace that writes down what was shown, at once."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def before(self, effect: Effect) -> None:
        """Ignore what is about to be done."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Write down an outcome."""
        del happened
        if isinstance(effect, Emit):
            record = effect.record
            line = f"{record.kind.value} {record.batch} {record.stan} {record.state.name}\n"
            os.write(self.descriptor, line.encode())

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Ignore messages."""


def live(config: str, amount: str, shown: str) -> int:
    """Sell once and do what is owed; returns the exit code."""
    trace = Shown(shown)
    # No system call is under way while it is stopped: one that attaching interrupted would come, and count, twice.
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        with Terminal.open(config, trace=trace) as terminal:
            # On a busy machine the time to answer may be over before there is a connection.
            with contextlib.suppress(NotSent):
                terminal.sale(Amount.cny(amount))
            terminal.tick()
    except JournalFault as fault:
        sys.stderr.write(f"{fault}\n")
        return REFUSED
    return 0


def main() -> None:
    """Fork a terminal for each line of input."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(live(*line.split()))
        os.waitpid(child, os.WUNTRACED)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
