"""What is wrong with a world at its end, in words: what the judge says, and what nobody needs a judge for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.invariants import judge

if TYPE_CHECKING:
    from simulators.world import World


def faults(world: World, *, rests: bool) -> tuple[str, ...]:
    """Judge a world whose faults have ended; `rests`: the terminal could do all it owed. Safe to print."""
    owed = () if rests else ("with a willing host, the terminal still owes something it could do",)
    found = judge(world.life(at_rest=rests))
    return (*owed, *world.faults, *(f"{each.invariant}: {each.what}" for each in found))
