"""Code blocks of a Markdown page, and a shop to run them in: one folder and one set of processes for the whole page.

A reader pastes a page's blocks one after another, so that is what happens here. In a `console` block, a line that
starts with `$ ` is a command; what follows is what it prints, where `...` stands for anything. `pos-engine` commands
are run; one that ends in `&`, or is `pos-engine acquirer`, stays up until the page ends. Every other command is only
looked up. A `python` block is run as a program of its own; in `sh` blocks all commands are only looked up.

    <!-- snippet: skip, REASON -->      before a block: do not run it; the reason is for the reader of the source
    $ pos-engine sale ...  # exit 3     a command that is meant to end with this exit code
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.quality.tree import ROOT

_BLOCK = re.compile(
    r"(?:<!-- snippet: skip, (?P<reason>[^>]+?) -->\s*\n)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
_EXIT = re.compile(r"\s+# exit (\d+)$")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
# What a page may tell its reader to type besides our own command.
_KNOWN: Final = frozenset(
    {".", "cat", "cd", "curl", "git", "make", "pip", "python", "python3", "sudo", "systemctl", "tshark", "xxd"}
)
_STEP_S: Final = 60


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, the page's line it starts on, and whether it is only for reading."""

    language: str
    text: str
    line: int
    skipped: bool


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block, with what the page says that it prints."""

    line: str
    shown: str


def blocks(page: str) -> list[Block]:
    """Every fenced block that names a language."""
    return [
        Block(found["language"], found["text"], page.count("\n", 0, found.start("text")), found["reason"] is not None)
        for found in _BLOCK.finditer(page)
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a console block; a backslash at the end of a line joins it with the next."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line)
    return [Command(line, "\n".join(shown)) for line, shown in found]


def matches(shown: str, printed: str) -> bool:
    """Whether a page's sample is what was printed, `...` standing for anything."""
    sample = ".*?".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(sample, printed.strip(), re.DOTALL) is not None


def unknown(line: str) -> str | None:
    """Say what is wrong with a command that is not run: a program or a make target nobody has."""
    words = shlex.split(line, comments=True)
    if not words:
        return None
    if words[0] == "make":
        lacking = set(words[1:]) - set(_TARGET.findall((ROOT / "Makefile").read_text()))
        return f"make has no target {', '.join(sorted(lacking))}" if lacking else None
    return None if words[0] in _KNOWN or words[0] == "pos-engine" else f"{words[0]} is not a command we know"


@dataclass(slots=True)
class Shop:
    """A folder where a page's commands run, and the processes it started."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run_page(self, page: str) -> list[str]:
        """Run every block in order; return what went wrong, each with its line."""
        faults: list[str] = []
        try:
            for block in blocks(page):
                faults += [] if block.skipped else [f"line {block.line}: {fault}" for fault in self._run(block)]
        finally:
            self._close()
        return faults

    def _run(self, block: Block) -> list[str]:
        if block.language == "python":
            return self._finish([sys.executable, "-c", block.text], Command("the python block", ""), 0)
        if block.language == "console":
            return [fault for command in commands(block) for fault in self._run_command(command)]
        if block.language in {"sh", "bash"}:
            lines = block.text.replace("\\\n", "").splitlines()
            return [fault for line in lines if (fault := unknown(line))]
        return []

    def _run_command(self, command: Command) -> list[str]:
        line, exits = _EXIT.sub("", command.line), _EXIT.search(command.line)
        if not line.startswith("pos-engine "):
            fault = unknown(line)
            return [fault] if fault else []
        if line.endswith("&") or shlex.split(line)[1:2] == ["acquirer"]:
            return self._start(line.removesuffix("&").strip())
        return self._finish(["sh", "-c", line], command, int(exits[1]) if exits else 0)

    def _finish(self, argv: list[str], command: Command, code: int) -> list[str]:
        try:
            done = subprocess.run(
                argv,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_STEP_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [f"{command.line} did not end"]
        if done.returncode != code:
            return [f"{command.line} ended with {done.returncode}, not {code}: {done.stderr or done.stdout}"]
        if command.shown.strip() and not matches(command.shown, done.stdout + done.stderr):
            return [f"{command.line} printed something else: {done.stdout + done.stderr}"]
        return []

    def _start(self, line: str) -> list[str]:
        """Start a command that stays up, and wait for its first line: it must not speak before it can be used."""
        process = subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running.append(process)
        assert process.stdout
        ready, _, _ = select.select([process.stdout], [], [], _STEP_S)
        first = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
        if not first or process.poll() is not None:
            return [f"{line} did not stay up: {first.decode(errors='replace')}"]
        return []

    def _close(self) -> None:
        for process in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.communicate(timeout=_STEP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("POS_ENGINE_", "XDG_"))}
        scripts = str(Path(sys.executable).parent)
        paths = {"HOME": str(self.folder), "PATH": f"{scripts}{os.pathsep}{kept.get('PATH', os.defpath)}"}
        # PYTHONPATH lets the blocks find this checkout also where the package is not installed.
        shape = {"COLUMNS": "120", "LANG": "C.UTF-8", "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return kept | paths | shape


def is_installed() -> bool:
    """Whether the `pos-engine` command is there to be run."""
    return shutil.which("pos-engine", path=str(Path(sys.executable).parent)) is not None
