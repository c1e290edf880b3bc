"""The parent's side of `tests/anomaly/forking_terminal.py`: one terminal's life, with strace attached to it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests/anomaly/forking_terminal.py"
INJECTED = "(INJECTED)"


@dataclass(frozen=True, slots=True)
class Life:
    """How a terminal ended, what it had shown, and its traced system calls."""

    ended: int
    shown: list[str]
    calls: list[str]

    @property
    def struck(self) -> bool:
        """Whether the injection happened."""
        return self.ended < 0 or any(INJECTED in call for call in self.calls)

    def sent_after_the_fault(self) -> list[str]:
        """Return what was sent after a call had failed."""
        at = next((number for number, call in enumerate(self.calls) if INJECTED in call), len(self.calls))
        return [call for call in self.calls[at:] if call.startswith("sendto(")]

    def flushed_names_in_time(self, folder: Path) -> bool:
        """Whether the folder was flushed between the making of the write-ahead log and the first request."""
        made = next(number for number, call in enumerate(self.calls) if "-wal" in call and "O_CREAT" in call)
        sent = next(number for number, call in enumerate(self.calls) if call.startswith("sendto("))
        return any("sync(" in call and call.endswith("= 0") and f"<{folder}>" in call for call in self.calls[made:sent])

    def failed_on(self, folder: Path) -> bool:
        """Whether it was the flush of the folder that failed."""
        return any(INJECTED in call and "sync(" in call and f"<{folder}>" in call for call in self.calls)


class Forked:
    """The process that forks terminals; use it as a context."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.communicate()

    def live(self, shop: Shop, amount: str, inject: str, *, trace: str) -> Life:
        """Let one terminal sell, under what strace is to inject; `trace` names the calls that are wanted."""
        gate, shown, log = (shop.folder / name for name in ("gate", "shown", "calls"))
        for each in (gate, shown, log):
            each.unlink(missing_ok=True)
        os.mkfifo(gate)
        pid = self._ask(f"{shop.path} {amount} {shown} {gate}\n")
        # The gate stays open: what attaches may interrupt the child at it, and then it comes a second time.
        with self._traced(pid, inject, trace, log) as tracer, gate.open("wb"):
            ended = self._ask("")
            tracer.wait()
        calls = log.read_text().splitlines()
        return Life(ended, shown.read_text().splitlines(), calls)

    def _ask(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    @staticmethod
    def _traced(pid: int, inject: str, trace: str, log: Path) -> subprocess.Popen[str]:
        """Attach strace, and wait until it is attached."""
        command = ["strace", "-y", "-p", str(pid), "-o", str(log), "-e", f"trace={trace}", "-e", f"inject={inject}"]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        assert "attached" in line, line
        return tracer
