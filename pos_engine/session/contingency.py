"""The contingency plan (应急预案): what the till does, in order, while the terminal cannot sign on. It is data.

    retry 15 s, route tcp://backup.example:9000, hold 60 s, refuse

retry      sign on again and again for so many seconds
route      try another address of the host, for this sale
hold       tell the customer that it will take a while, for so many seconds, and sign on once more
refuse     give the sale up; every plan ends so, written or not

Nothing of it moves money: a sale goes on only after a sign-on, and after its goods and amount were confirmed again.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from pos_engine import limits


class Act(enum.Enum):
    """What a step does; the words of a plan."""

    RETRY = "retry"
    ROUTE = "route"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: how long for a retry or a hold, where to for a route."""

    act: Act
    seconds: float = 0.0
    address: str = ""

    def __str__(self) -> str:
        """Return the words of the plan."""
        if self.act is Act.ROUTE:
            return f"{self.act.value} {self.address}"
        return f"{self.act.value} {self.seconds:g} s" if self.seconds else self.act.value


class Deed(enum.Enum):
    """What was done at the till by itself; the words of the journal."""

    BEGAN = "the terminal cannot sign on"
    TRIED = "tried"
    SIGNED_ON = "signed on"
    RESUMED = "resumed: goods and amount were confirmed again"
    NOT_CONFIRMED = "given up: goods and amount were not confirmed again"
    CUSTOMER_LEFT = "given up: the customer did not wait"
    REFUSED = "refused: the plan is at its end"


_TIMED: Final = re.compile(r"(retry|hold) ([0-9]{1,4}) ?s")
_ROUTE: Final = re.compile(r"route ([a-z0-9]+://[!-+\--~]{1,255})")


@dataclass(frozen=True, slots=True)
class Contingency:
    """A plan: its steps in order, the refusal at the end left out."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Contingency | None:
        """Read a plan; `None` for what is none: an unknown step, one after the refusal, or too many."""
        words = [part.strip() for part in text.split(",")]
        if words[-1] == Act.REFUSE.value:
            del words[-1]
        steps = tuple(step for step in map(_step, words) if step is not None)
        return cls(steps) if len(steps) == len(words) <= limits.CONTINGENCY_STEPS_MAX else None

    def __str__(self) -> str:
        """Return the plan in its words, the refusal included."""
        return ", ".join(map(str, (*self.steps, Step(Act.REFUSE))))


def _step(words: str) -> Step | None:
    timed = _TIMED.fullmatch(words)
    if timed is not None:
        seconds = float(timed[2])
        return Step(Act(timed[1]), seconds) if 0 < seconds <= limits.CONTINGENCY_STEP_MAX_S else None
    route = _ROUTE.fullmatch(words)
    return Step(Act.ROUTE, address=route[1]) if route is not None else None
