"""The disk of a world: the journal in memory behind a medium that fails when it is told to.

A save that raises may have kept its form or not, and nobody knows which. After a fault nothing is written until the
journal is opened again, as with the real one.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine.errors import JournalFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import freeze
from simulators.invariants.observations import Attempted, Synced
from simulators.world.rarities import rarities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pos_engine.journal.record import Record
    from pos_engine.wire.spec import MessageSpec
    from simulators.world.chronicle import Chronicle
    from simulators.world.power import Power


class Ailment(enum.Enum):
    """What a disk says when it cannot."""

    FULL = "no space left on device"
    BROKEN = "input/output error"
    READ_ONLY = "read-only file system"


@dataclass(frozen=True, slots=True)
class DiskFault:
    """A save that fails, and whether its form is there all the same."""

    ailment: Ailment
    kept: bool


class Disk:
    """What outlives the terminal: the journal's contents. `open` gives the terminal a journal on it."""

    def __init__(self, spec: MessageSpec, chronicle: Chronicle, power: Power) -> None:
        """Begin with an empty one."""
        self.contents = MemoryJournal(spec)
        self.faults: deque[DiskFault | None] = deque()
        """What happens to the next saves, the next one first."""
        self.draw: Callable[[], DiskFault | None] = lambda: None
        """Says what happens to a save for which nothing is queued."""
        self._spec = spec
        self._chronicle = chronicle
        self._power = power
        self._opened = 0
        self._unread: list[str] = []

    def open(self) -> DiskJournal:
        """Open the journal; whoever had it before writes no more.

        What a failed save has kept is read now, and from now on known to be durable.
        """
        self._opened += 1
        for body in self._unread:
            self._chronicle.saw(Synced(body))
        self._unread.clear()
        return DiskJournal(self, self._opened)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.faults.clear()
        self.draw = lambda: None

    def final(self) -> tuple[str, ...]:
        """Return the newest form of each record, as it is kept."""
        return self.contents.texts()

    def save(self, record: Record) -> None:
        """Keep a form, or fail."""
        self._chronicle.counts.update(rarities(record, self.contents))
        fault = self.faults.popleft() if self.faults else self.draw()
        if fault is None:
            self.contents.save(record)
            self._chronicle.saw(Synced(self.contents.history[-1]))
            return
        self._chronicle.saw(Attempted(freeze(record, self._spec).body))
        if fault.kept:
            self.contents.save(record)
            self._unread.append(self.contents.history[-1])
        which = "kept" if fault.kept else "lost"
        what = "an intent" if record.state.name == "PENDING" else "an outcome"
        self._chronicle.note(f"** the disk: {fault.ailment.value}; {what} is {which}")
        self._chronicle.counts[f"disk: {fault.ailment.value}, {what} {which}"] += 1
        raise JournalFault(fault.ailment.value)

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy card data: an effect of its own, around which the power may go."""
        if not numbers:
            return
        self._power.begins("Shred")
        self.contents.shred(numbers)
        self._chronicle.note(f"   card data destroyed: {', '.join(map(str, numbers))}")
        self._power.moment("after Shred")

    def holds(self, opened: int) -> bool:
        """Tell whether the journal that was opened as number so-and-so is still the one in use."""
        return opened == self._opened


class DiskJournal:
    """A `Journal` on a disk. Reading goes straight to the contents."""

    def __init__(self, disk: Disk, opened: int) -> None:
        """Open it; `Disk.open` does that."""
        self._disk = disk
        self._opened = opened
        self._failed = False
        contents = disk.contents
        self.next_number = contents.next_number
        self.next_stan = contents.next_stan
        self.find = contents.find
        self.find_original = contents.find_original
        self.find_key = contents.find_key
        self.of_day = contents.of_day
        self.kind_records = contents.kind_records
        self.open_records = contents.open_records
        self.acting_on = contents.acting_on
        self.last_approved = contents.last_approved
        self.demanded_after = contents.demanded_after
        self.wanted_after = contents.wanted_after
        self.failures = contents.failures
        self.sealed_records = contents.sealed_records
        self.recent = contents.recent
        self.recent_requests = contents.recent_requests
        self.forms = contents.forms

    def save(self, record: Record) -> None:
        """Keep a record's present form."""
        self._refuse_when_failed()
        self._failed = True
        self._disk.save(record)
        self._failed = False

    def shred(self, numbers: Sequence[int]) -> None:
        """Destroy the card data of some records."""
        self._refuse_when_failed()
        self._disk.shred(numbers)

    def close(self) -> None:
        """Do nothing."""

    def _refuse_when_failed(self) -> None:
        if self._failed or not self._disk.holds(self._opened):
            reason = "a write failed: open the journal again"
            raise JournalFault(reason)
