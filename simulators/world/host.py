"""The host of a world: the simulated acquirer on the true clock, with a memory of what it really sent.

What it did is judged by its ledger; what it sent by `made`, so that a frame that was spoiled on the line, or that the
host spoiled on purpose, is known for what it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import Algorithm
from pos_engine.dialects.base import Kind
from pos_engine.values import Identity, Text
from simulators.acquirer import Acquirer, Enrolled, terminal_master_key
from simulators.acquirer.events import Fate, What
from simulators.acquirer.reversals import effect
from simulators.invariants.observations import Effect
from simulators.ledger import Key, Standing
from simulators.scenario import Do, Rule, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.dialects.base import Dialect
    from simulators.acquirer import Reply
    from simulators.scenario import Action
    from simulators.world.chronicle import Chronicle
    from simulators.world.clock import WorldClock

CAME_AFTER: Final = "its reversal came first"
ENVELOPE_BYTES: Final = 11
"""TPDU and header."""
IDENTITY: Final = Identity("T0000001", "M00000000000001")
"""The terminal of a world."""
SPOILT: Final = "spoilt"
"""The rule by which a host puts a wrong MAC on its answer."""
ON_PURPOSE: Final = Text("on purpose", "故意")


class WorldHost:
    """One acquirer, and what it needs to be judged."""

    def __init__(
        self, clock: WorldClock, chronicle: Chronicle, entropy: Callable[[int], bytes], dialect: Dialect
    ) -> None:
        """Open it, with an empty ledger; `entropy` makes working keys."""
        self.entropy = entropy
        """Makes working keys; whoever wants others puts another source here."""
        self.acquirer = Acquirer(entropy=self._drawn, dialect=dialect, scenario=Scenario(), roster=_roster(dialect))
        self.handed: list[bytes] = []
        """Answers that brought working keys, as it made them, oldest first."""
        self._made: set[bytes] = set()
        self.forgot = False
        """Whether it ever lost its books."""
        self._clock = clock
        self._chronicle = chronicle

    def handle(
        self, payload: bytes, actions: tuple[Action, ...] = (), rewrite: Callable[[bytes], bytes] | None = None
    ) -> Reply:
        """Serve one request; `actions` is what it does on purpose this time, `rewrite` what it makes of its answer."""
        if actions:
            self.acquirer.stage(Scenario((Rule(name=_name(actions), title=ON_PURPOSE, steps=(actions,), times=1),)))
        reply = self.acquirer.handle(payload, self._clock.host_now())
        event = reply.event
        if reply.data is not None and event.what is What.SIGNED_ON:
            self.handed.append(reply.data)
        if reply.data is not None and rewrite is not None:
            reply = replace(reply, data=rewrite(reply.data))
        if reply.data is not None and event.rule != SPOILT:
            self._made.add(reply.data[ENVELOPE_BYTES:])
        if event.note == CAME_AFTER:
            self._chronicle.counts["a reversal overtakes its original"] += 1
        if self._chronicle.tells:
            silent = "" if reply.fate is Fate.SEND else f", {reply.fate.value}"
            note = f" ({event.note})" if event.note else ""
            moved = f", moved {event.effect_minor} fen" if event.effect_minor else ""
            self._chronicle.note(
                f"   host: {event.kind} {event.stan} {event.what.value} {event.code}{moved}{silent}{note}"
            )
        return reply

    def _drawn(self, size: int) -> bytes:
        return self.entropy(size)

    def made(self, payload: bytes) -> bool:
        """Tell whether a frame's message is one that it sent, as it sent it; no MAC covers the envelope."""
        return payload[ENVELOPE_BYTES:] in self._made

    def take_back(self, reply: Reply) -> None:
        """Undo by itself what a request moved, as a host does that could not deliver its answer."""
        event, ledger = reply.event, self.acquirer.ledger
        booked = ledger.find(Key(event.terminal, event.batch, event.stan))
        if booked is None or event.kind == Kind.REVERSAL.value:
            self.forget_sessions()
        elif booked.standing is Standing.APPROVED:
            ledger.mark_reversed(booked.key)
            ledger.post(effect(booked, Kind.REVERSAL))
            ledger.commit()
            self._chronicle.note(f"** the host takes back {event.kind} {event.stan} by itself")

    def forget_sessions(self) -> None:
        """Lose the working keys."""
        self.acquirer.forget_sessions()
        self._chronicle.note("** the host has forgotten all sessions")

    def forget_everything(self) -> None:
        """Lose keys and books."""
        self.acquirer.forget_everything()
        self.forgot = True
        self._chronicle.counts["the host forgets everything"] += 1
        self._chronicle.note("** the host has forgotten everything")

    def books(self, terminal: str) -> tuple[Effect, ...]:
        """Return what every request of a terminal moved, oldest first."""
        ledger = self.acquirer.ledger
        moved: dict[Key, int] = {}
        reversals: dict[Key, int] = {}
        for entry in ledger.entries:
            if entry.key is not None and entry.kind is Kind.REVERSAL:
                reversals[entry.key] = reversals.get(entry.key, 0) + 1
            elif entry.key is not None:
                moved[entry.key] = moved.get(entry.key, 0) + entry.moved()
        return tuple(
            Effect(
                terminal=terminal,
                batch=each.key.batch,
                stan=each.key.stan,
                kind=each.kind.value,
                moved_minor=moved.get(each.key, 0),
                net_minor=ledger.effects_of(*each.key),
                reversals=reversals.get(each.key, 0),
            )
            for each in ledger.transactions
            if each.key.terminal == terminal
        )


def _name(actions: tuple[Action, ...]) -> str:
    return SPOILT if any(action.do is Do.WRONG_MAC for action in actions) else "on purpose"


def _roster(dialect: Dialect) -> tuple[Enrolled, ...]:
    """Know the terminal beforehand: a sign-on has no MAC, and one that was spoiled on the line must not enrol it."""
    algorithm = dialect.scheme.algorithm if dialect.scheme is not None else Algorithm.TDES
    return (Enrolled(IDENTITY.terminal, IDENTITY.merchant, terminal_master_key(IDENTITY.terminal, algorithm)),)
