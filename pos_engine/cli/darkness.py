"""A power cut for the demo: a terminal's process that is killed the moment an answer arrives, and tidies nothing up."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.cli.stage import Stage
    from pos_engine.config import Config
    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.values import Amount

SALE_ANSWER: Final = "0210"
SEEN: Final = "seen.json"


@dataclass(frozen=True, slots=True)
class _Plug:
    """A `Trace` that shows what happens until the answer is there, and then pulls the plug."""

    stage: Stage
    seen: Path

    def before(self, effect: Effect) -> None:
        self.stage.before(effect)

    def after(self, effect: Effect, happened: Happening) -> None:
        self.stage.after(effect, happened)

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        self.stage.message(direction, packet)
        if packet.message.mti == SALE_ANSWER:
            self.seen.write_text(json.dumps(self.stage.messages), encoding="utf-8")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def falls(config: Config, amount: Amount, stage: Stage, folder: Path) -> bool:
    """Sell in a process of its own that is killed when the answer arrives; whether it was killed, and not before."""
    seen = folder / SEEN
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _sell(config, amount, _Plug(stage, seen))
    _, status = os.waitpid(child, 0)
    if seen.exists():
        stage.messages[:] = json.loads(seen.read_text(encoding="utf-8"))
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _sell(config: Config, amount: Amount, plug: _Plug) -> None:
    """Be the terminal whose power fails; never returns."""
    from pos_engine.terminal import Terminal

    try:
        with Terminal.open(config, trace=plug) as terminal:
            terminal.sale(amount)
    finally:
        # Whatever happened instead: the copy of the parent's program must not go on.
        os._exit(1)
