"""Rot: one bit flipped in every byte of a journal's files, every cut, every file lost, older copies put back.

Whatever is done to the files, opening the journal must either refuse it and leave the files as they are, or read back
exactly what was acknowledged: free space and old copies of pages may rot without harm.

A journal that was closed and one that a power cut left, with commits in its log, are both tried. To try every byte in
bearable time, results of two pure functions are remembered from one opening to the next: the digest of some bytes, and
the record that a text stands for. Nothing else of the opening is shortened.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import audit, sealing, store
from pos_engine.values import Text
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.disk_history import Author, approved, open_journal
from simulators.prove.power import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from pos_engine.journal.record import Record

TITLE: Final = Text("every byte of a journal flipped, cut, lost or older", "日志逐字节翻转、截断、丢失或回退")
RECORDS: Final = 500
WITH_CARD_EVERY: Final = 20
"""Every so many records is a sale with card data; the others are small, so that there are fewer bytes to flip."""
IN_LOG: Final = 6
"""So many of the records are in the log that the power cut left."""
ERASED: Final = 240
"""The record whose card data is destroyed."""
COPIES: Final = 20
"""So many older copies are kept while the journal is written."""
CUT_STEP: Final = 64
QUICK_EVERY: Final = 1_009
"""A sample's stride; prime, so that every column of a page is met."""
BITS: Final = 8
ENDINGS: Final = ("", "-wal", ".mark")
"""The files that hold what a journal holds."""
WRITER_EVERY: Final = 64
"""Every so many cases is opened for writing too, as a terminal would."""
REMEMBERED: Final = 8192
BLOCK: Final = 4096

Files = dict[str, bytes]
"""By the ending of the name; one that is not there does not exist."""


@dataclass(frozen=True, slots=True)
class Left:
    """A journal's files as they were left, what was acknowledged by then, and copies from earlier."""

    files: Files
    records: tuple[Record, ...]
    bodies: tuple[str, ...]
    older: tuple[Files, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing done to one journal."""

    left: str
    ending: str
    harm: str
    place: int

    def __str__(self) -> str:
        """Write it as a case's name."""
        return f"{self.left} {self.ending or 'file'} {self.harm} {self.place}"


def written(folder: Path) -> dict[str, Left]:
    """Write the journal once; returns it as the power cut and as closing left it."""
    path, author = folder / "journal.db", Author()
    journal = open_journal(path)
    older: list[Files] = []
    for count in range(1, RECORDS + 1):
        with_card = count % WITH_CARD_EVERY == 0
        record = author.begin() if with_card else author.begin(Kind.ECHO)
        journal.save(record)
        if with_card:
            journal.save(approved(record))
        if count == ERASED:
            journal.shred([record.number])
        if count % (RECORDS // COPIES) == 0:
            older.append(_read(path))
        if count == RECORDS - IN_LOG:
            journal.close()
            older.append(_read(path))
            journal = open_journal(path)
    held = tuple(journal.recent(RECORDS)), _bodies(path)
    crashed = Left(_read(path), *held, tuple(older))
    journal.close()
    return {"closed": Left(_read(path), *held, tuple(older)), "crashed": crashed}


def _read(path: Path) -> Files:
    files = {ending: path.with_name(path.name + ending) for ending in ENDINGS}
    return {ending: each.read_bytes() for ending, each in files.items() if each.exists()}


def _bodies(path: Path) -> tuple[str, ...]:
    """Read every form that the file holds, past the journal's own reading."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return tuple(body for (body,) in database.execute("SELECT body FROM entries ORDER BY seq"))


def cases(lefts: Mapping[str, Left], every: int = 1) -> Iterator[Case]:
    """Yield all that is done, or of the cuts and the flips only every so many."""
    for name, left in lefts.items():
        for ending, content in left.files.items():
            yield Case(name, ending, "missing", 0)
            yield from (Case(name, ending, "cut", size) for size in range(0, len(content), CUT_STEP * every))
            yield from (Case(name, ending, "flip", offset) for offset in range(0, len(content), every))
        for number in range(len(left.older)):
            yield from (Case(name, ending, "older", number) for ending in left.older[number])
            yield Case(name, "all but mark", "older", number)


def harmed(case: Case, left: Left, seed: int) -> Files:
    """Return what the files hold after a case."""
    files = dict(left.files)
    if case.harm == "older" and case.ending not in ENDINGS:
        return left.older[case.place] | {".mark": left.files[".mark"]}
    if case.harm == "older":
        return files | {case.ending: left.older[case.place][case.ending]}
    if case.harm == "missing":
        del files[case.ending]
    elif case.harm == "cut":
        files[case.ending] = files[case.ending][: case.place]
    else:
        changed = bytearray(files[case.ending])
        changed[case.place] ^= _bit(case.place, seed)
        files[case.ending] = bytes(changed)
    return files


def _bit(place: int, seed: int) -> int:
    # Any fixed scatter does: it must only be the same again for the same seed.
    return 1 << (place * 2654435761 + seed * 40503 >> 7) % BITS


class Bench:
    """A folder in which one journal is harmed and opened, again and again."""

    def __init__(self, folder: Path, left: Left) -> None:
        """Put the whole journal there."""
        self._path = folder / "journal.db"
        self._left = left
        self._there: Files = {}
        self._put(left.files)

    def try_(self, files: Files, *, writing: bool) -> tuple[str, str]:
        """Open harmed files; returns what came of it, and what is wrong with that, if anything."""
        self._put(files)
        outcome, wrong = self._opened(read_only=True)
        if not wrong and writing:
            again, wrong = self._opened(read_only=False)
            if not wrong and again != outcome:
                wrong = f"UNSURE: a reader's journal is {outcome}, a writer's is {again}"
            self._forget()
        return outcome, wrong

    def _opened(self, *, read_only: bool) -> tuple[str, str]:
        try:
            with closing(open_journal(self._path, read_only=read_only)) as journal:
                same = tuple(journal.recent(len(self._left.records) + 1)) == self._left.records
                same = same and _bodies(self._path) == self._left.bodies
                return "harmless", "" if same else "SILENT: it opens and holds something else"
        except JournalFault:
            pass
        except Exception as error:  # noqa: BLE001 - whatever else is raised is a finding
            return "raised", f"RAISED: {type(error).__name__}"
        return "refused", "" if self._unchanged() else "TOUCHED: it is refused, and its files were changed"

    def _unchanged(self) -> bool:
        """Whether the files are what they were; that SQLite leaves an empty log behind changes nothing."""
        found = _read(self._path)
        return all(found.get(ending, b"") == self._there.get(ending, b"") for ending in ENDINGS)

    def _put(self, files: Files) -> None:
        for ending in ENDINGS:
            path = self._path.with_name(self._path.name + ending)
            if files.get(ending) is None:
                path.unlink(missing_ok=True)
            elif files[ending] != self._there.get(ending):
                _patch(path, self._there.get(ending), files[ending])
        self._there = dict(files)

    def _forget(self) -> None:
        """After a writer was there, nothing is known of the files."""
        for each in self._path.parent.iterdir():
            each.unlink()
        self._there = {}


def _patch(path: Path, old: bytes | None, new: bytes) -> None:
    """Write what differs, which is mostly one byte."""
    if old is None or len(old) != len(new) or not path.exists():
        path.write_bytes(new)
        return
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for start in range(0, len(new), BLOCK):
            block = new[start : start + BLOCK]
            if block != old[start : start + BLOCK]:
                os.pwrite(descriptor, block, start)
    finally:
        os.close(descriptor)


@contextmanager
def remembering() -> Iterator[None]:
    """Remember results of pure functions while many openings of almost the same journal are made."""
    pure: tuple[tuple[ModuleType, str], ...] = ((audit, "thaw"), (store, "thaw"), (sealing, "keyed_digest"))
    plain = [getattr(module, name) for module, name in pure]
    for (module, name), function in zip(pure, plain, strict=True):
        setattr(module, name, lru_cache(REMEMBERED)(function))
    try:
        yield
    finally:
        for (module, name), function in zip(pure, plain, strict=True):
            setattr(module, name, function)


@dataclass(frozen=True, slots=True)
class Rot:
    """The campaign."""

    name: str = "rot"
    title: Text = TITLE

    def lacks(self) -> str:
        """Say what is missing to run it: nothing."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Harm the shard's part of the two journals."""
        with _scratch() as scratch, remembering():
            lefts = _lefts(scratch)
            every = QUICK_EVERY if shard.scale is Scale.QUICK else 1
            mine = (each for number, each in enumerate(cases(lefts, every)) if shard.takes(number))
            return _tried(mine, lefts, scratch, shard.seed)

    def repeat(self, case: str, seed: int) -> str:
        """Harm a journal in one way again and tell what came of it."""
        with _scratch() as scratch:
            lefts = _lefts(scratch)
            wanted = next((each for each in cases(lefts) if str(each) == case), None)
            if wanted is None:
                reason = f"{self.name} has no such case"
                raise UsageError(reason)
            left = lefts[wanted.left]
            files = harmed(wanted, left, seed)
            folder = scratch / "again"
            folder.mkdir()
            outcome, wrong = Bench(folder, left).try_(files, writing=True)
        sizes = ", ".join(f"{ending or 'file'} {len(content)} bytes" for ending, content in files.items())
        return f"{case}\nthe files hold {sizes}\nthe journal is {outcome}\n{wrong or 'nothing is wrong'}"


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pos-engine-rot-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def _lefts(scratch: Path) -> dict[str, Left]:
    folder = scratch / "writing"
    folder.mkdir()
    return written(folder)


def _tried(mine: Iterator[Case], lefts: Mapping[str, Left], scratch: Path, seed: int) -> Tally:
    benches = {}
    for name, left in lefts.items():
        (scratch / name).mkdir()
        benches[name] = Bench(scratch / name, left)
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    for number, case in enumerate(mine):
        files = harmed(case, lefts[case.left], seed)
        outcome, wrong = benches[case.left].try_(files, writing=number % WRITER_EVERY == 0 or case.harm != "flip")
        counts[f"{case.harm}: {outcome}"] += 1
        if wrong:
            findings.append(Finding(wrong, str(case)))
    return Tally(counts.total(), tuple(findings), counts)


ROT: Final = Rot()
