"""What may go wrong with one request and its answer on the line, as data.

a whole frame   it is lost, it comes late, it comes on a later connection, it comes twice, one bit of it is another
a byte of it    the connection ends there (FIN, RST), stalls there for ever or until it is too late, or repeats from
                there
the host        it dies between its books and its answer, or takes back by itself what it has just done
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.scenario import Action


class Break(enum.Enum):
    """What happens behind so many bytes of a frame."""

    FIN = "closed"
    RST = "reset"
    STALL = "stalled"
    RESUME = "resumed too late"
    DUPLICATE = "repeated from there"


class Follows(enum.Enum):
    """Where an answer goes whose connection is gone."""

    NOWHERE = "nobody gets it"
    FIRST = "it waits in the next connection"
    BEHIND = "it comes on the next connection, once a request has left and before its answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What happens to one frame on its way."""

    lost: bool = False
    at: int | None = None
    """So many bytes, the length included, pass before it `breaks`."""
    breaks: Break = Break.FIN
    flips: int | None = None
    """This bit of the payload is another, counted from the first; beyond the end it counts from the start again."""
    delay_s: float = 0.0
    follows: Follows = Follows.NOWHERE
    strays: bool = False
    """It never comes on its own connection, however long that is kept: only on a later one, where it `follows`."""
    copies: int = 1
    again: Follows = Follows.NOWHERE
    """Where it comes a second time, later, on another connection."""

    def spoil(self, payload: bytes) -> bytes:
        """Return the payload as it arrives."""
        if self.flips is None:
            return payload
        spoilt, bit = bytearray(payload), self.flips % (8 * len(payload))
        spoilt[bit // 8] ^= 0x80 >> bit % 8
        return bytes(spoilt)


WHOLE: Final = Passage()
"""It arrives as it was sent."""


class Deed(enum.Enum):
    """What the host does by itself once it has decided."""

    ANSWER = "it answers"
    DIE = "it dies before it answers, and starts again"
    DIE_AND_FORGET = "it dies before it answers, and has forgotten all sessions"
    TAKE_BACK = "it does not get rid of its answer, and takes back what it did"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What happens to one request and its answer."""

    title: str = ""
    request: Passage = WHOLE
    actions: tuple[Action, ...] = ()
    """What the host does on purpose."""
    rewrite: Callable[[bytes], bytes] | None = None
    """What it makes of its answer's payload before it sends it."""
    deed: Deed = Deed.ANSWER
    answer: Passage = WHOLE
    half_open: bool = False
    """Nothing passes on this connection from now on, and nobody is told."""


SMOOTH: Final = Mishap()
"""Nothing goes wrong."""
