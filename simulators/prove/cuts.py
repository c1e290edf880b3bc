"""The line is cut at every byte of every message of every kind, both ways, in five manners.

Positions are counted in the frame, its length included: 0 is before the first byte, the last one is behind the last
byte. The lengths are those of a run in which nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.values import Text
from simulators.prove.campaign import Scale, Shard, Tally
from simulators.prove.count import Count
from simulators.prove.programs import Program
from simulators.prove.verdict import faults
from simulators.world.mishaps import SMOOTH, Break, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTIONS: Final = ("request", "answer")
MANNERS: Final = {each.name.lower(): each for each in Break}
QUICK_STRIDE: Final = 7
"""Every so manieth case is quick; prime to five, so that it meets all manners."""
PARTS: Final = 4
TITLE: Final = Text("the line is cut at every byte, both ways", "在每个字节处断开线路, 双向")


@dataclass(frozen=True, slots=True)
class Cut:
    """A case: a kind, which way, how, and behind how many bytes."""

    kind: Kind
    direction: str
    manner: Break
    at: int

    def __str__(self) -> str:
        """Name it, as `repeat` reads it."""
        return f"{self.kind.value}/{self.direction}/{self.manner.name.lower()}/{self.at}"

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Read a case's name; `UsageError` when it is none."""
        parts = text.split("/")
        known = len(parts) == PARTS and parts[0] in {each.value for each in UNIONPAY.kinds}
        if not (known and parts[1] in DIRECTIONS and parts[2] in MANNERS and parts[3].isascii() and parts[3].isdigit()):
            reason = f"a case is KIND/DIRECTION/MANNER/BYTES, with {', '.join((*DIRECTIONS, *MANNERS))}"
            raise UsageError(reason)
        return cls(Kind(parts[0]), parts[1], MANNERS[parts[2]], int(parts[3]))

    def live(self, *, tells: bool = False) -> tuple[Program, bool]:
        """Run it."""
        passage = Passage(at=self.at, breaks=self.manner)
        title = f"the {self.direction} is {self.manner.value} behind {self.at} bytes" if tells else ""
        is_request = self.direction == "request"
        mishap = Mishap(title=title, request=passage) if is_request else Mishap(title=title, answer=passage)
        program = Program(self.kind, mishap, tells=tells)
        return program, program.run()


@dataclass(frozen=True, slots=True)
class Cuts:
    """The campaign."""

    name: str = "cuts"
    title: Text = TITLE

    def lacks(self) -> str:
        """Need nothing that is not here."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Run a shard's cases."""
        count, stride = Count(), QUICK_STRIDE if shard.scale is Scale.QUICK else 1
        for number, case in enumerate(list(_cases())[::stride]):
            if shard.takes(number):
                program, rests = case.live()
                count.counts[f"cases of {case.kind.value}, {case.direction}"] += 1
                count.judge(str(case), program.world, rests=rests)
        return count.tally()

    def repeat(self, case: str, seed: int) -> str:
        """Tell one case's history."""
        del seed
        program, rests = Cut.parse(case).live(tells=True)
        return program.world.history() + "".join(f"!! {each}\n" for each in faults(program.world, rests=rests))


CUTS: Final = Cuts()


def _cases() -> Iterator[Cut]:
    """Enumerate every case."""
    for kind in UNIONPAY.kinds:
        clean = Program(kind, SMOOTH)
        clean.run()
        for direction, size in zip(DIRECTIONS, clean.frame_sizes, strict=True):
            for at in range(size + 1):
                for manner in Break:
                    yield Cut(kind, direction, manner, at)
