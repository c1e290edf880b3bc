"""Random lives: each seed is a terminal, its host and their bad luck, lived to the end, settled, and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pos_engine.errors import UsageError
from pos_engine.values import Text
from simulators.prove.campaign import Scale, Shard, Tally
from simulators.prove.count import Count
from simulators.prove.verdict import faults
from simulators.world.life import RandomLife

SEEDS: Final = {Scale.QUICK: 10_000, Scale.RELEASE: 360_000}
"""Lives by scale; those of one scale begin with those of a smaller one."""
CASE: Final = "seed "
TITLE: Final = Text("random lives with every fault", "各种故障下的随机模拟")


@dataclass(frozen=True, slots=True)
class Lives:
    """The campaign."""

    name: str = "lives"
    title: Text = TITLE

    def lacks(self) -> str:
        """Need nothing that is not here."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Live a shard's lives; their seeds follow the campaign's."""
        count = Count()
        for number in range(SEEDS[shard.scale]):
            if shard.takes(number):
                life = RandomLife(shard.seed + number)
                rests = life.live()
                count.judge(f"{CASE}{shard.seed + number}", life.world, rests=rests)
        return count.tally()

    def repeat(self, case: str, seed: int) -> str:
        """Tell one life's history."""
        del seed
        digits = case.removeprefix(CASE)
        if not (case.startswith(CASE) and digits.isascii() and digits.isdigit()):
            reason = 'a case is the seed of a life: "seed 4711"'
            raise UsageError(reason)
        life = RandomLife(int(digits), tells=True)
        rests = life.live()
        return life.world.history() + "".join(f"!! {each}\n" for each in faults(life.world, rests=rests))


LIVES: Final = Lives()
