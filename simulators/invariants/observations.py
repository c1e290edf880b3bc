"""What somebody outside can see of one terminal's life: plain text, bytes and numbers, in the order in which they came.

Nothing here, nor in the rest of this package, comes from the engine: a checker that shared its code would share its
faults. `body` is a record as the journal keeps it (JSON text), `data` a frame's payload as it crossed the line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempted:
    """The terminal began to save a form of a record; `Synced` with the same body follows when it is acknowledged.

    Where none follows, because the power went or the disk failed, the journal may have it or not. A life whose journal
    never fails in the middle of a save may leave these out.
    """

    body: str


@dataclass(frozen=True, slots=True)
class Synced:
    """The journal acknowledged a form of a record as durable."""

    body: str


@dataclass(frozen=True, slots=True)
class Left:
    """The terminal handed bytes of a request to the line; some of them may have arrived."""

    data: bytes
    """The whole frame's payload (TPDU, header, message), however much of it passed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame reached the terminal."""

    data: bytes
    authentic: bool = True
    """Whether its message is as the host made it: not spoiled on the line, and with a MAC that is right if it has one.

    TPDU and header do not count, because no MAC covers them.
    """


@dataclass(frozen=True, slots=True)
class Shown:
    """An outcome reached whoever waited for it."""

    number: int
    """The record's number in the journal."""
    outcome: str
    """"approved", "declined" or "in doubt"; "not sent" where nothing left."""
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """A caller began a call: what, for how much, under which idempotency key."""

    kind: str
    amount_minor: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The call ended: with a value, an error's name, or a power cut; how many seconds it took, and was allowed."""

    how: str
    seconds: float = 0.0
    allowed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Restarted:
    """The terminal came up again, on the journal that was there."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The host's books: fen that one request moved to the merchant, before and after what took it back."""

    terminal: str
    batch: str
    stan: str
    kind: str
    moved_minor: int
    """What the request itself moved when it was booked; 0 when it was refused or never came."""
    net_minor: int
    """What is left of it after its reversal."""
    reversals: int
    """How many times a reversal of it was booked with effect."""


@dataclass(frozen=True, slots=True)
class Life:
    """One terminal's life and the host's books at its end."""

    seen: tuple[Attempted | Synced | Left | Arrived | Shown | Ordered | Ended | Restarted, ...]
    books: tuple[Effect, ...]
    """Of this terminal alone."""
    final: tuple[str, ...]
    """The newest form of each record as the journal reads back at the end, by number."""
    at_rest: bool = True
    """Whether the faults had ended and everything owed had its chance; else only safety is judged."""
    resolved: frozenset[int] = frozenset()
    """Numbers of records that a person has taken over."""
    forgets: bool = False
    """Whether the host lost its books on the way: then what it forgot cannot be held against the terminal."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: its number, and what was seen; safe to print."""

    invariant: str
    what: str
