"""The other programs of the demo: the acquirer, and the serial line that leads to it. Each is a process of its own.

Both are this very program; what they do they report as lines of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pos_engine.errors import PosError

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_S: Final = 5.0
CRACKLE: Final = "flip to-host at 40.2 times 1"
"""What goes wrong on the serial line: one bit, in the middle of the first request."""
ANYWHERE: Final = "tcp://127.0.0.1:0"


@dataclass(slots=True)
class Line:
    """The serial line's process, and the devices at its two ends."""

    process: subprocess.Popen[str]
    terminal: str
    host: str

    def struck(self) -> str:
        """Tell what has gone wrong on it, once something has."""
        fault: str = _event(self.process)["fault"]
        return fault


@dataclass(slots=True)
class Host:
    """The acquirer's process."""

    process: subprocess.Popen[str]
    address: str
    moved: Counter[str] = field(default_factory=Counter)
    """Fen that reached the merchant, by STAN; filled when the host stops."""

    def stop(self) -> None:
        """End the process in order and read what it reported."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=STOP_S)
        for line in output.splitlines():
            event: dict[str, Any] = json.loads(line)
            self.moved[event.get("stan", "")] += event.get("effect_minor", 0)


@contextmanager
def serial_line() -> Iterator[Line]:
    """Lay the line, and take it away at the end."""
    with _program("faults", "--serial", "--fault", CRACKLE) as process:
        devices = _event(process)
        yield Line(process, devices["terminal"], devices["host"])


@contextmanager
def acquirer(line: Line) -> Iterator[Host]:
    """Start the acquirer, and wait until it listens, on TCP and on its end of the line."""
    with _program("--listen", ANYWHERE, "--serial", line.host) as process:
        address = _event(process)["address"]
        while _event(process)["event"] != "ready":
            continue
        yield Host(process, address)


@contextmanager
def _program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command_line = [sys.executable, "-m", "pos_engine", "acquirer", *arguments, "--json"]
    process = subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very program
    with process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a program take away what it has made; one that does not end is ended."""
    process.terminate()
    try:
        # What it still reports is read, so that it does not wait for that.
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_S)
    finally:
        process.kill()


def _event(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read the next thing that a program reports."""
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        reason = "a program of the demo did not start"
        raise PosError(reason)
    event: dict[str, Any] = json.loads(line)
    return event
