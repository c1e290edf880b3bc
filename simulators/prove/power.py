"""Power loss: every image that the disk may hold after any system call of the journal's writer, opened by the journal.

The writer's calls are recorded once, from the journal as shipped; `disk_model` says which images are possible after
each. Each is opened as the terminal would after the lights are back: what was acknowledged must be there and equal, and
at most the one change that was under way may be there besides. A refusal is a finding too, because money stops.

The same is done with a writer that uses `synchronous=NORMAL`; a campaign that does not see it lose data is blind.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal.record import freeze
from pos_engine.values import Text
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.disk_history import STORIES, Held, expected, next_sale, open_journal
from simulators.prove.disk_model import Bounds, Image, build, images
from simulators.prove.disk_trace import Operation, Reader, What, record
from simulators.prove.power_workload import NORMAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.prove.disk_model import Files

TITLE: Final = Text("power lost after every system call of the journal", "日志每次系统调用后断电")
PROGRAM: Final = "simulators.prove.power_workload"
QUICK_IMAGES: Final = {"everyday": 1_500, "long day": 60}
CONTROL_IMAGES: Final = 200
"""Images of the forgetful writer: enough to see it lose data again and again."""
NOTHING_IN: Final = ("-shm", ".reserve")
"""Endings of files that never hold what was saved."""
CONTROL: Final = "control: "
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a private folder is made in it; images are many and short-lived


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came of opening an image: how many changes it holds, or what is wrong with it."""

    changes: int = -1
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """What one writer did, and what must be there after each of its changes."""

    operations: tuple[Operation, ...]
    held: tuple[Held, ...]
    secrets: Mapping[int, tuple[bytes, ...]]
    """By change: bytes of sealed card data that must be gone after it."""

    @classmethod
    def of(cls, story: str, fault: str = "") -> Recording:
        """Let a story be lived under strace."""
        sessions = STORIES[story]()
        with tempfile.TemporaryDirectory(prefix="pos-engine-power-") as name:
            folder = Path(name).resolve()
            reader = Reader(folder)
            # `-m` finds the packages from here, whatever the caller's folder is.
            lives = (
                record([sys.executable, "-m", PROGRAM, name, story, str(number), fault], reader, inside=ROOT)
                for number in range(len(sessions))
            )
            operations = tuple(chain.from_iterable(lives))
        return cls(operations, expected(sessions), _secrets(story, operations))


ROOT: Final = Path(__file__).resolve().parents[2]


def _secrets(story: str, operations: Sequence[Operation]) -> dict[int, tuple[bytes, ...]]:
    """Return what was drawn for the seals that a change destroys."""
    drawn: dict[int, list[bytes]] = {}
    for said in (each.name for each in operations if each.what is What.SAY):
        word, _, rest = said.partition(" ")
        if word == "drew":
            change, value = rest.split()
            drawn.setdefault(int(change), []).append(bytes.fromhex(value))
    changes = list(chain.from_iterable(session.changes for session in STORIES[story]()))
    first = {each.number: count for count, each in reversed(list(enumerate(changes, 1))) if not isinstance(each, tuple)}
    return {
        count: tuple(value for number in each for value in drawn.get(first[number], ()))
        for count, each in enumerate(changes, 1)
        if isinstance(each, tuple)
    }


class Bench:
    """A folder in which images are opened, one after another; images that are equal only once."""

    def __init__(self, folder: Path, recording: Recording) -> None:
        """Judge the images of one recording."""
        self._folder = folder
        self._recording = recording
        self._changes = {held: count for count, held in enumerate(recording.held)}
        self._known: dict[bytes, Recovered] = {}

    @property
    def distinct(self) -> int:
        """How many different images there were."""
        return len(self._known)

    def recover(self, files: Files) -> Recovered:
        """Open an image as a terminal would."""
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(f"{name} {len(files[name])}\n".encode() + files[name])
        key = digest.digest()
        if key not in self._known:
            self._known[key] = self._opened(files)
        return self._known[key]

    def _opened(self, files: Files) -> Recovered:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        try:
            return self._compared()
        except JournalFault as fault:
            return Recovered(wrong=f"REFUSED: {str(fault).replace(str(self._folder), '')}")
        except Exception as error:  # noqa: BLE001 - whatever else is raised is a finding
            return Recovered(wrong=f"RAISED: {type(error).__name__}")

    def _compared(self) -> Recovered:
        path = self._folder / "journal.db"
        with closing(open_journal(path)) as journal:
            sealed = frozenset(
                (each.number, freeze(each, UNIONPAY.spec).card_data) for each in journal.sealed_records()
            )
            held = Held(_bodies(path), sealed)
            changes = self._changes.get(held)
            if changes is None:
                return Recovered(wrong="TORN: what was read back was never written")
            left = self._left(changes)
            # Life goes on: the next record is kept too, and the journal opens once more.
            more = next_sale(journal)
            journal.save(more)
        with closing(open_journal(path, read_only=True)) as journal:
            if journal.find(more.number) is None:
                return Recovered(wrong="STUCK: what was saved after the recovery is gone")
        return Recovered(changes, left)

    def _left(self, changes: int) -> str:
        gone = [each for count, values in self._recording.secrets.items() if count <= changes for each in values]
        texts = [each.read_bytes() for each in self._folder.iterdir() if not each.name.endswith(NOTHING_IN)]
        found = any(value in text for value in gone for text in texts)
        return "RESIDUE: card data that was destroyed can still be read" if found else ""


def _bodies(path: Path) -> tuple[str, ...]:
    """Read every form that the file holds, past the journal's own reading."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return tuple(body for (body,) in database.execute("SELECT body FROM entries ORDER BY seq"))


def verdict(recovered: Recovered, bounds: Bounds) -> str:
    """Say what is wrong with what came of an image; empty when nothing is."""
    if recovered.wrong:
        return recovered.wrong
    if recovered.changes < bounds.least:
        return f"LOST: {bounds.least} changes were acknowledged, {recovered.changes} are there"
    if recovered.changes > bounds.most:
        return f"FOREIGN: {bounds.most} changes were begun, {recovered.changes} are there"
    return ""


@dataclass(frozen=True, slots=True)
class PowerLoss:
    """The campaign."""

    name: str = "power"
    title: Text = TITLE

    def lacks(self) -> str:
        """Say what is missing to run it."""
        return "" if shutil.which("strace") else "strace"

    def run(self, shard: Shard) -> Tally:
        """Open the shard's images of every story, and those of the control."""
        tally = Tally()
        for story in STORIES:
            tally += _judged(story, "", shard, QUICK_IMAGES[story] if shard.scale is Scale.QUICK else 0)
        # One shard runs the whole control: a part of it may be too small to see anything.
        return tally + _control(Shard(shard.scale, shard.seed)) if shard.index == 0 else tally

    def repeat(self, case: str, seed: int) -> str:
        """Build one image again and tell what the writer had done, what is missing and what came of it."""
        try:
            told, _, place = case.partition(" | ")
            recording = Recording.of(told.removeprefix(CONTROL), NORMAL if told.startswith(CONTROL) else "")
            image = Image.parse(place)
            return _history(recording, image, images(recording.operations, seed)[image])
        except (KeyError, ValueError):
            reason = f"{self.name} has no such case"
        raise UsageError(reason)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pos-engine-power-", dir=MEMORY if MEMORY.is_dir() else None)


def _judged(story: str, fault: str, shard: Shard, most: int) -> Tally:
    """Open a story's images; `most` of them, spread evenly, or all of them for 0."""
    recording = Recording.of(story, fault)
    found = images(recording.operations, shard.seed)
    stride = max(len(found) // most, 1) if most else 1
    mine = {each: found[each] for count, each in enumerate(list(found)[::stride]) if shard.takes(count)}
    findings = []
    with _scratch() as scratch:
        bench = Bench(Path(scratch) / "image", recording)
        for image, files in build(recording.operations, mine):
            what = verdict(bench.recover(files), mine[image])
            if what:
                findings.append(Finding(what, f"{CONTROL if fault else ''}{story} | {image}"))
        counts = {
            f"{story}: moments and images": sum(each.moments for each in mine.values()),
            f"{story}: images": len(mine),
            f"{story}: distinct images": bench.distinct,
        }
    return Tally(len(mine), tuple(findings), Counter(counts))


def _control(shard: Shard) -> Tally:
    """Let a writer that does not flush at commit be found out."""
    story = "everyday"
    tally = _judged(story, NORMAL, shard, CONTROL_IMAGES)
    kinds = Counter(f"{CONTROL}{finding.what.partition(':')[0]}" for finding in tally.findings)
    # What the mark refuses is lost as well: it was acknowledged and is not there.
    seen = any(finding.what.startswith(("LOST", "REFUSED")) for finding in tally.findings)
    blind = Finding("BLIND: the control lost nothing that was noticed", f"{CONTROL}{story} | {Image(0)}")
    counts = Counter({f"{CONTROL}images": tally.cases}) + kinds
    return Tally(tally.cases, () if seen else (blind,), counts)


def _history(recording: Recording, image: Image, bounds: Bounds) -> str:
    lines = []
    for number, each in enumerate(recording.operations[: image.last + 1]):
        size = f"{len(each.data)} bytes at {each.offset}" if each.data else f"{each.name} {each.target}".strip()
        mark = "missing" if number in image.missing else ""
        mark = f"only {image.torn} bytes" if number == image.last and image.torn >= 0 else mark
        lines.append(f"{number:5} file {each.file:2} {each.what.name:7}{size:24}{mark}")
    with _scratch() as scratch:
        bench = Bench(Path(scratch) / "image", recording)
        for _, files in build(recording.operations, [image]):
            recovered = bench.recover(files)
            lines.append(f"it holds {', '.join(f'{name} ({len(content)} bytes)' for name, content in files.items())}")
            lines.append(f"acknowledged {bounds.least}, begun {bounds.most}, there {recovered.changes}")
            lines.append(verdict(recovered, bounds) or "nothing is lost")
    return "\n".join(lines)


POWER: Final = PowerLoss()
