"""A terminal on a small disk of its own that is really full: run under `unshare -rm`, so that it may mount one.

    python full_disk_terminal.py FOLDER AFTER WHEN AMOUNT ROOM...

FOLDER holds a terminal's files; they are copied to the disk, and from there to AFTER at the end, because the disk ends
with this process. For each ROOM the disk is filled at one moment of a sale, but for so many bytes. What came of it is
printed, a line of JSON each. WHEN is "intent", "outcome", or "read-only", which mounts the disk so instead.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pos_engine.errors import JournalFault
from pos_engine.flow.effects import Effect, Happening, Save, Send
from pos_engine.terminal import Terminal
from pos_engine.values import Amount

if TYPE_CHECKING:
    from pos_engine.dialects.base import Packet

DISK_BYTES = 8 << 20
CHUNK = 64 << 10
RECOVERIES = 4


def fill(folder: Path, room: int) -> None:
    """Leave no more than some bytes of room."""
    path = folder / "filling"
    with path.open("ab", buffering=0) as filling:
        for size in (CHUNK, 1):
            try:
                while filling.write(bytes(size)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC, error  # noqa: PT017 - there is nothing else to be raised
    with path.open("rb+") as filling:
        filling.truncate(max(path.stat().st_size - room, 0))


class Filler:
    """A trace that fills the disk at one moment, and counts what was sent."""

    def __init__(self, folder: Path, when: str, room: int) -> None:
        self.folder = folder
        self.when = when
        self.room = room
        self.sent = 0

    def before(self, effect: Effect) -> None:
        """Fill the disk before an intent is saved."""
        if self.when == "intent" and isinstance(effect, Save):
            self._fill()

    def after(self, effect: Effect, happened: Happening) -> None:
        """Fill the disk once a request was sent."""
        del happened
        if self.when == "outcome" and isinstance(effect, Send):
            self._fill()

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Count what was sent."""
        del packet
        self.sent += direction == "sent"

    def _fill(self) -> None:
        fill(self.folder, self.room)
        self.when = "never again"


def sell(config: Path, amount: str, trace: Filler) -> str:
    """Sell and do what is owed; returns the outcome, or why the journal refused."""
    outcome = ""
    try:
        with Terminal.open(config, trace=trace) as terminal:
            outcome = type(terminal.sale(Amount.cny(amount))).__name__
            owed = terminal.tick().owed
            return f"{outcome}, owed {owed}"
    except JournalFault as fault:
        return f"{outcome} then {fault}" if outcome else str(fault)


def recover(config: Path) -> int:
    """Make what is owed good; returns what is left."""
    owed = 1
    with Terminal.open(config) as terminal:
        for _ in range(RECOVERIES):
            owed = terminal.tick().owed
            if owed == 0:
                break
    return owed


def tell(**what: str | int) -> None:
    """Tell the test."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def lives(config: Path, when: str, amount: str, rooms: list[int]) -> None:
    """Sell once for each room, once more while the disk is still full, and once it is not."""
    for room in rooms:
        first, second = Filler(config.parent, when, room), Filler(config.parent, "never", 0)
        outcome = sell(config, amount, first)
        again = sell(config, amount, second)
        (config.parent / "filling").unlink()
        owed = recover(config)
        tell(room=room, outcome=outcome, sent=first.sent, again=again, sent_again=second.sent, owed=owed)


def read_only(config: Path) -> None:
    """Let the command line sell on a disk that cannot be written."""
    subprocess.run(["mount", "-o", "remount,ro", str(config.parent)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pos_engine", "sale", "1.00"],
        check=False,
        capture_output=True,
        text=True,
        cwd=config.parent,
    )
    tell(code=done.returncode, error=done.stderr)
    with contextlib.suppress(JournalFault):
        Terminal.open(config)
        tell(error="opened")
    subprocess.run(["mount", "-o", "remount,rw", str(config.parent)], check=True)


def main(folder: str, after: str, when: str, amount: str, *rooms: str) -> None:
    """Mount the disk, live, and bring the files back."""
    with tempfile.TemporaryDirectory() as name:
        disk = Path(name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", name], check=True)
        try:
            shutil.copytree(folder, disk, dirs_exist_ok=True)
            config = disk / "pos-engine.toml"
            if when == "read-only":
                read_only(config)
            else:
                lives(config, when, amount, [int(room) for room in rooms])
            shutil.copytree(disk, after)
        finally:
            subprocess.run(["umount", name], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
