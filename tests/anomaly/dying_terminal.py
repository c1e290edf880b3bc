"""A terminal that is killed at one effect: a program of its own, so that SIGKILL ends it as a power cut would.

    python dying_terminal.py CONFIG ORDER WHERE COUNT

ORDER is an amount to sell, "tick", or "download" and what; WHERE is "before" or "after"; COUNT says at which effect, 0
for never. What was emitted is printed, one line an outcome, so that the test knows what a cashier saw.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Literal

from pos_engine.flow.effects import Effect, Emit, Happening
from pos_engine.terminal import Terminal
from pos_engine.values import Amount

if TYPE_CHECKING:
    from pos_engine.dialects.base import Packet


class Death:
    """A trace that kills its own process."""

    def __init__(self, where: str, count: int) -> None:
        self.where = where
        self.count = count
        self.seen = 0

    def before(self, effect: Effect) -> None:
        """Count an effect, and perhaps die before it."""
        del effect
        self.seen += 1
        self._perhaps("before")

    def after(self, effect: Effect, happened: Happening) -> None:
        """Perhaps die after an effect; print what was shown."""
        del happened
        if isinstance(effect, Emit):
            record = effect.record
            sys.stdout.write(f"{record.kind.value} {record.batch} {record.stan} {record.state.name}\n")
            sys.stdout.flush()
        self._perhaps("after")

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Ignore messages."""

    def _perhaps(self, where: str) -> None:
        if where == self.where and self.seen == self.count:
            os.kill(os.getpid(), signal.SIGKILL)


def main(path: str, order: str, where: str, count: str) -> None:
    """Run one order to its end or to its death."""
    with Terminal.open(path, trace=Death(where, int(count))) as terminal:
        if order == "tick":
            terminal.tick()
        elif order.startswith("download "):
            terminal.download(order.removeprefix("download "))
        else:
            terminal.sale(Amount.cny(order))
    sys.stdout.write("alive\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
