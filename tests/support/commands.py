"""The command line as its users start it: real processes in a folder of their own, a real host on the loopback.

Every run is checked for what no run may do: show a traceback, or let a secret out.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.acquirer import terminal_master_key
from simulators.cards import CARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-W", "error", "-m", "pos_engine"]
MERCHANT = "M00000000000001"
WAIT_S = 60.0
CARD = CARDS["everyday"]
TERMINALS = itertools.count(1)


@dataclass
class Done:
    """How a run ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The only line of standard output, as one object."""
        (line,) = self.out.splitlines()
        content: dict[str, Any] = json.loads(line)
        assert content["schema"] == 1
        return content

    def error(self) -> str:
        """The only error on standard error; what is advised about it is indented below it."""
        (line,) = (each for each in self.err.splitlines() if not each.startswith("  "))
        assert line.startswith("pos-engine: ")
        return line.removeprefix("pos-engine: ")


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **more}


def secrets_of(terminal: str) -> list[bytes]:
    cards = [text for card in CARDS.values() for text in (card.pan.reveal(), card.track2.reveal())]
    clear = [text.encode() for text in cards]
    packed = [bytes.fromhex(text + "0" * (len(text) % 2)) for text in cards]
    key = terminal_master_key(terminal).reveal()
    return [*clear, *packed, key, key.hex().encode(), key.hex().upper().encode()]


@dataclass
class Shop:
    """A folder in which commands are run, for one terminal."""

    folder: Path
    terminal: str
    address: str = "tcp://127.0.0.1:9583"
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Done:
        """Run one command to its end."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=environment(self.folder, **self.variables, **variables),
            input=stdin.encode(),
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
        for secret in secrets_of(self.terminal):
            assert secret not in done.stdout + done.stderr
        assert b"Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def initialise(self) -> None:
        """Make it a terminal of the simulated host."""
        ids = ("--terminal", self.terminal, "--merchant", MERCHANT, "--address", self.address)
        assert self.run("init", "--simulated", *ids).code == 0

    @property
    def journal(self) -> Path:
        """Where its journal is."""
        return self.folder / "journal.db"


def new_shop(folder: Path, port: int) -> Shop:
    # The host remembers what every terminal did, so each test is another terminal.
    return Shop(folder, f"T{next(TERMINALS):07d}", f"tcp://127.0.0.1:{port}")


@contextlib.contextmanager
def running_host(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [*PROGRAM, "acquirer", "--port", "0", "--json", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def on_a_terminal(shop: Shop, *arguments: str, typed: str = "", **variables: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal of its own; returns its exit code and what the screen showed."""
    screen, keyboard = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=shop.folder,
        env=environment(shop.folder, TERM="xterm", **variables),
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        preexec_fn=lambda: os.login_tty(keyboard),  # noqa: PLW1509 - no thread runs, and there is no other way
    )
    os.close(keyboard)
    shown = b""
    lines = typed.splitlines()
    with process, contextlib.suppress(OSError):
        while select.select([screen], [], [], WAIT_S)[0]:
            data = os.read(screen, 4096)
            shown += data
            if not data:
                break
            if lines and data.rstrip(b" ").endswith(b":"):
                os.write(screen, lines.pop(0).encode() + b"\n")
    os.close(screen)
    return process.returncode, shown.decode()
