"""A terminal that does what it is told, line by line: a program of its own, so that it can live in another network.

    python obedient_terminal.py CONFIG

Each line on standard input is an amount to sell, "sign-on" or "tick"; each is answered with one line of JSON: what came
of it, and how many seconds it took. The terminal stays open, and keeps its connection, from one line to the next.
"""

from __future__ import annotations

import json
import sys
import time

from pos_engine.errors import LinkError, NotSignedOn
from pos_engine.terminal import Terminal
from pos_engine.values import Amount


def obey(terminal: Terminal, order: str) -> str:
    """Do one thing, and name what came of it."""
    try:
        if order == "tick":
            return "idle" if terminal.tick().again_in_s is None else "owing"
        outcome: object = terminal.sign_on() if order == "sign-on" else terminal.sale(Amount.cny(order))
    except (LinkError, NotSignedOn) as error:
        return type(error).__name__
    return type(outcome).__name__


def main(path: str) -> None:
    """Obey until the input ends."""
    with Terminal.open(path) as terminal:
        for line in sys.stdin:
            started = time.monotonic()
            came = obey(terminal, line.strip())
            told = {"came": came, "seconds": time.monotonic() - started}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
