"""A rehearsal of what a sign-on does to a till: a real terminal and till, a simulated host, and a cashier who decides.

scoring     what an act and the time it took are worth, and what to practise next
acts        the words of a situation: moments, moves, choices
situations  the situations, as a table; those of the line and those of the host's word have a file each
diary       the timeline: what the terminal did, what was shown, what was chosen
shop        one till on a bench, a second one beside it, and what goes wrong
books       the host's books beside what the cashier believes
play        one situation, played
"""

from __future__ import annotations

from simulators.drill.play import Answer, Asked, Played, Trainee, play
from simulators.drill.situations import SITUATIONS

__all__ = ["SITUATIONS", "Answer", "Asked", "Played", "Trainee", "play"]
