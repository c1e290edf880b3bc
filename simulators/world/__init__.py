"""The world: terminal, line, host, disk and clock in one process, all of it drawn from one seed.

clock      the terminal's clock, which may jump, and the true time
power      the moments at which it may go
mishaps    what may go wrong on the line, as data
line       the line
host       the simulated acquirer, and what it really did
disk       the journal's medium
keys       the keystore and the PIN pad
chronicle  what was observed, and the history a person reads
rarities   what must happen now and then
world      all of it together
fortune    what goes wrong in a random life
life       one random life
"""

from __future__ import annotations

from simulators.world.world import World

__all__ = ["World"]
