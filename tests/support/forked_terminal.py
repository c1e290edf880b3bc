"""The parent's side of `tests/anomaly/forking_terminal.py`: one terminal's life, with strace attached to it.

Nothing here waits for ever: whoever is stuck is killed, and the test that wanted it fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.support.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests/anomaly/forking_terminal.py"
INJECTED = "(INJECTED)"
LIFE_MAX_S = 60
"""A life takes a fraction of a second; one that takes so long is stuck."""


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
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=LIFE_MAX_S)
        self.process.kill()
        self.process.wait()

    def live(self, shop: Shop, amount: str, inject: str, *, trace: str) -> Life:
        """Let one terminal sell, under what strace is to inject; `trace` names the calls that are wanted."""
        shown, log = (shop.folder / name for name in ("shown", "calls"))
        for each in (shown, log):
            each.unlink(missing_ok=True)
        pid = self._ask(f"{shop.path} {amount} {shown}\n")
        with _killed_when_late(pid) as struggle:
            tracer = self._traced(pid, inject, trace, log)
            struggle.append(tracer.pid)
            with tracer:
                os.kill(pid, signal.SIGCONT)
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

    def _traced(self, pid: int, inject: str, trace: str, log: Path) -> subprocess.Popen[str]:
        """Attach strace, and wait until it is attached; where it cannot be, the child ends."""
        command = ["strace", "-y", "-p", str(pid), "-o", str(log), "-e", f"trace={trace}", "-e", f"inject={inject}"]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "attached" not in line:
            os.kill(pid, signal.SIGKILL)
            self._ask("")
            tracer.kill()
            tracer.communicate()
        assert "attached" in line, line
        return tracer


@contextmanager
def _killed_when_late(pid: int) -> Iterator[list[int]]:
    """Kill a process, and those that are added, when this takes too long; that is a failure."""
    struggling, late = [pid], threading.Event()

    def kill() -> None:
        late.set()
        for each in struggling:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    watch = threading.Timer(LIFE_MAX_S, kill)
    watch.start()
    try:
        yield struggling
    finally:
        watch.cancel()
    assert not late.is_set(), f"stuck for {LIFE_MAX_S} s"
