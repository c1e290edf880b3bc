"""Power cuts, enumerated: at every effect of every kind, for everything the host may have done, and again in recovery.

The effects are counted on a run in which the power stays on, and those of the recovery on a run with one cut; each is a
place for the power to go before it and after it. Nothing is sampled at full scale.
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
from simulators.scenario import Action, Do
from simulators.world.mishaps import Deed, Follows, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRUTHS: Final[Mapping[str, Mishap]] = {
    "never got it": Mishap(title="the request is lost", request=Passage(lost=True)),
    "approved, answer lost": Mishap(title="the answer is lost", answer=Passage(lost=True)),
    "approved, answer late": Mishap(title="the answer comes late", answer=Passage(strays=True, follows=Follows.BEHIND)),
    "declined": Mishap(title="the host declines", actions=(Action(do=Do.DECLINE, code="05"),)),
    "approved, then taken back": Mishap(title="the host takes back what it did", deed=Deed.TAKE_BACK),
}
"""What the host may have done with the request."""
SIDES: Final = ("before", "after")
QUICK_STRIDE: Final = 29
"""Of the cases with two cuts, every so manieth is quick; a prime, so that it meets every effect and both sides."""
PAGED: Final = UNIONPAY.page_kinds
"""Kinds of which a life has many: of their first cuts, every so manieth is quick."""
PAGED_STRIDE: Final = 11
TITLE: Final = Text("power cuts at every effect, and again in recovery", "在每一步断电, 恢复过程中再次断电")


@dataclass(frozen=True, slots=True)
class Crash:
    """A case: a kind, a truth, and the moments at which the power goes."""

    kind: Kind
    truth: str
    cuts: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Name it, as `repeat` reads it."""
        places = (f"{cut // 2 + 1} {SIDES[cut % 2]}" for cut in self.cuts)
        return "/".join((self.kind.value, self.truth, *places))

    @classmethod
    def parse(cls, text: str) -> Crash:
        """Read a case's name; `UsageError` when it is none."""
        kind, _, rest = text.partition("/")
        truth, *places = rest.split("/")
        if kind not in {each.value for each in UNIONPAY.kinds} or truth not in TRUTHS or len(places) > len(SIDES):
            reason = "a case is KIND/TRUTH, then at most two places such as 12 after"
            raise UsageError(reason)
        return cls(Kind(kind), truth, tuple(_moment(place) for place in places))

    def live(self, *, tells: bool = False) -> tuple[Program, bool]:
        """Run it: the program as it is at the end, and whether nothing was owed then."""
        program = Program(self.kind, TRUTHS[self.truth], tells=tells)
        return program, program.run(self.cuts)


@dataclass(frozen=True, slots=True)
class Crashes:
    """The campaign."""

    name: str = "crashes"
    title: Text = TITLE

    def lacks(self) -> str:
        """Need nothing that is not here."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Run a shard's cases: all that begin with the same first cut belong to one shard."""
        count = Count()
        number = 0
        for kind in UNIONPAY.kinds:
            for truth in TRUTHS:
                number += 1
                clean = Crash(kind, truth)
                program, rests = clean.live()
                if shard.takes(number):
                    _judge(clean, program, count, rests=rests)
                    count.counts[f"effects of {kind.value}, power on"] += program.effects_to_target
                for first in range(2 * program.effects_to_target):
                    number += 1
                    if shard.takes(number) and _is_tried(kind, first, shard.scale):
                        _run_group(Crash(kind, truth, (first,)), shard, number, count)
        return count.tally()

    def repeat(self, case: str, seed: int) -> str:
        """Tell one case's history."""
        del seed
        program, rests = Crash.parse(case).live(tells=True)
        return program.world.history() + "".join(f"!! {each}\n" for each in faults(program.world, rests=rests))


CRASHES: Final = Crashes()


def _run_group(single: Crash, shard: Shard, number: int, count: Count) -> None:
    """Run one first cut, alone and with every second one."""
    program, rests = single.live()
    _judge(single, program, count, rests=rests)
    for second in _seconds(2 * program.effects_since_start, shard.scale, number):
        case = Crash(single.kind, single.truth, (*single.cuts, second))
        program, rests = case.live()
        _judge(case, program, count, rests=rests)


def _is_tried(kind: Kind, first: int, scale: Scale) -> bool:
    """Tell whether a first cut belongs to the scale: what moves no money and comes page by page takes long."""
    return scale is Scale.RELEASE or kind not in PAGED or first % PAGED_STRIDE == 0


def _judge(case: Crash, program: Program, count: Count, *, rests: bool) -> None:
    count.counts[f"cases of {case.kind.value}"] += 1
    count.judge(str(case), program.world, rests=rests)


def _seconds(count: int, scale: Scale, number: int) -> Iterator[int]:
    if scale is Scale.RELEASE:
        yield from range(count)
    else:
        yield from range(number % QUICK_STRIDE, count, QUICK_STRIDE)


def _moment(place: str) -> int:
    number, _, side = place.partition(" ")
    if not (number.isascii() and number.isdigit() and side in SIDES and int(number) > 0):
        reason = 'a place is the number of an effect and a side: "12 after"'
        raise UsageError(reason)
    return 2 * (int(number) - 1) + SIDES.index(side)
