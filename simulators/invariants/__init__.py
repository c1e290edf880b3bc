"""The judge: reads what could be seen of a terminal's life and says which invariants did not hold.

observations  what can be seen: the life, the host's books, what does not hold
frames        bytes of a frame into the few elements that matter
forms         a record as the journal keeps it
history       what has been seen so far
sending answers outcomes ending    the invariants
judge         each observation in turn

Nothing here comes from the engine or the simulated host: whoever shared their code would share their faults.
"""

from __future__ import annotations

from simulators.invariants.judge import INVARIANTS, judge

__all__ = ["INVARIANTS", "judge"]
