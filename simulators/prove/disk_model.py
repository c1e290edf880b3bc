"""What a disk may hold after the power went: a model that is as unkind as a disk may be, and honest about flushes.

A flush (fsync, fdatasync) that has returned is honest: all that was done to that file before is durable. What was not
flushed may be there or not, each operation by itself and in any combination; of the last write, a part may be there.

Names are durable only once the folder itself was flushed. Flushing a new file does not make its name durable here,
although ext4 would: POSIX does not promise it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import TYPE_CHECKING, Final

from simulators.prove.disk_trace import FOLDER, Operation, What

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ALL_SUBSETS_MAX: Final = 8
"""Up to so many pending operations every subset is tried."""
RANDOM_SUBSETS: Final = 64
MANY_PENDING: Final = 48
EVERY: Final = 16
"""While more than `MANY_PENDING` operations are pending, every so many crash points are looked at: the prefixes tried
at one are also those of the points before it, and only some of the combinations with a gap are left out."""
SECTOR: Final = 512
NAMES: Final = frozenset({What.CREATE, What.UNLINK, What.RENAME})
CONTENTS: Final = frozenset({What.WRITE, What.CUT, What.GROW})

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True, order=True)
class Image:
    """One content a disk may have: all operations up to number `last`, without some, the last one perhaps torn.

    `torn` is how many bytes of the last write are there, -1 for all of them.
    """

    last: int
    missing: tuple[int, ...] = ()
    torn: int = -1

    def __str__(self) -> str:
        """Write it as a case's name."""
        return f"{self.last}/{','.join(map(str, self.missing))}/{self.torn}"

    @classmethod
    def parse(cls, text: str) -> Image:
        """Read what `str` wrote; raises `ValueError` for anything else."""
        last, missing, torn = text.split("/")
        return cls(int(last), tuple(int(each) for each in missing.split(",") if each), int(torn))


@dataclass(slots=True)
class Bounds:
    """What the moments at which an image is possible ask of it, the strictest of each, and how many they are."""

    least: int
    most: int
    moments: int = 0

    def tighten(self, least: int, most: int) -> None:
        """Take another moment into account."""
        self.least, self.most, self.moments = max(self.least, least), min(self.most, most), self.moments + 1


def images(operations: Sequence[Operation], seed: int) -> dict[Image, Bounds]:
    """Return every image that is tried, each once, with what it must hold: counts of changes."""
    found: dict[Image, Bounds] = {}
    pending: list[int] = []
    names = Disk()
    durable = done = tried = 0
    watched = True
    for number, operation in enumerate(operations):
        if operation.what is What.SAY:
            word, _, count = operation.name.partition(" ")
            watched = {"watched": True, "unwatched": False}.get(word, watched)
            tried = int(count) if word in {"at", "try"} else tried
            done = int(count) if word == "done" else done
        elif operation.what is What.SYNC:
            covered = [each for each in pending if _covers(operation, operations[each])]
            durable = max([durable, *covered])
            for each in covered:
                names.do(operations[each])
            pending = [each for each in pending if each not in set(covered)]
            if operation.file == FOLDER:
                # What was not flushed of a file that has lost its name for good can be seen by nobody.
                pending = [each for each in pending if operations[each].file in names.names.values()]
        else:
            pending.append(number)
        if not watched or (len(pending) > MANY_PENDING and number % EVERY and operation.what is not What.SYNC):
            continue
        generator = random.Random(f"{seed} {number}")  # noqa: S311 - cases are drawn so that they can be repeated
        for kept, torn in _kept(pending, operations, generator):
            image = _image(durable, pending, kept, torn)
            found.setdefault(image, Bounds(done, tried)).tighten(done, tried)
    return found


def _covers(flush: Operation, operation: Operation) -> bool:
    if operation.what in NAMES:
        return flush.file == FOLDER
    return flush.file == operation.file


def _kept(
    pending: Sequence[int], operations: Sequence[Operation], generator: random.Random
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield which pending operations are there, and how much of the last one."""
    for chosen in subsets(len(pending), generator):
        yield tuple(pending[each] for each in chosen), -1
    if pending and operations[pending[-1]].what is What.WRITE:
        for size in tears(len(operations[pending[-1]].data)):
            yield tuple(pending), size
            yield (pending[-1],), size


def subsets(count: int, generator: random.Random) -> Iterator[tuple[int, ...]]:
    """Yield subsets of so many operations: all of them, or where they are too many, those that matter most."""
    whole = tuple(range(count))
    if count <= ALL_SUBSETS_MAX:
        yield from chain.from_iterable(combinations(whole, size) for size in range(count + 1))
        return
    for each in whole:
        yield whole[:each]
        yield (each,)
        yield whole[:each] + whole[each + 1 :]
    yield whole
    for _ in range(RANDOM_SUBSETS):
        yield tuple(each for each in whole if generator.random() < 0.5)  # noqa: PLR2004 - a coin


def tears(size: int) -> list[int]:
    """Return after how many bytes a write may be torn."""
    return sorted({each for each in (1, size // 2, size - 1, *range(SECTOR, size, SECTOR)) if 0 < each < size})


def _image(durable: int, pending: Sequence[int], kept: tuple[int, ...], torn: int) -> Image:
    """Name an image by what is missing from it; the same image always gets the same name."""
    last = max([durable, *kept])
    there = set(kept)
    return Image(last, tuple(each for each in pending if each < last and each not in there), torn)


@dataclass(slots=True)
class Disk:
    """A disk that takes operations in order."""

    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytearray] = field(default_factory=dict)

    def copy(self) -> Disk:
        """Return a disk of its own with the same content."""
        return Disk(dict(self.names), {number: bytearray(content) for number, content in self.contents.items()})

    def do(self, operation: Operation, torn: int = -1) -> None:
        """Take one operation; of a torn write only so many bytes."""
        if operation.what in CONTENTS:
            self._change(self.contents.setdefault(operation.file, bytearray()), operation, torn)
        elif operation.what is What.CREATE:
            self.names[operation.name] = operation.file
        elif operation.what is What.UNLINK:
            self.names.pop(operation.name, None)
        elif operation.what is What.RENAME:
            self.names.pop(operation.name, None)
            self.names[operation.target] = operation.file

    @staticmethod
    def _change(content: bytearray, operation: Operation, torn: int) -> None:
        if operation.what is What.CUT:
            del content[operation.offset :]
        # A hole reads as zeros.
        content.extend(bytes(max(operation.offset - len(content), 0)))
        if operation.what is What.WRITE:
            data = operation.data if torn < 0 else operation.data[:torn]
            content[operation.offset : operation.offset + len(data)] = data

    def files(self) -> Files:
        """Return what a reader finds."""
        return {name: bytes(self.contents.get(number, b"")) for name, number in self.names.items()}


def build(operations: Sequence[Operation], wanted: Iterable[Image]) -> Iterator[tuple[Image, Files]]:
    """Build images, in their order; those that share a beginning share the work."""
    disk, upto = Disk(), 0
    for image in sorted(wanted, key=_beginning):
        while upto < _beginning(image):
            disk.do(operations[upto])
            upto += 1
        own = disk.copy()
        missing = frozenset(image.missing)
        for number in range(upto, image.last + 1):
            if number not in missing:
                own.do(operations[number], image.torn if number == image.last else -1)
        yield image, own.files()


def _beginning(image: Image) -> int:
    """Return how many operations an image surely has, one after another."""
    return min([*image.missing, image.last])
