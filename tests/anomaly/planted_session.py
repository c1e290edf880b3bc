"""Bugs of clocks and keys, planted like those of `planted`, to whose list they are added.

Most of them cost nobody money in a random life: they are found by who watches the clock, or each use of a key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind
from pos_engine.flow import drive, plan, step
from pos_engine.flow.effects import Save
from pos_engine.flow.states import Action
from pos_engine.journal import memory
from pos_engine.journal.record import State
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.session import states as session_states
from tests.anomaly.planted import BUGS, bug

if TYPE_CHECKING:
    import pytest

__all__ = ["BUGS"]

CLOCKS: Final = "clocks"
KEYS: Final = "keys"


@bug("the age of a sign-on is counted by the wall clock", CLOCKS)
def _(patch: pytest.MonkeyPatch) -> None:
    def by_wall(facts: Any) -> float:
        return float((facts.now.wall - facts.sign_on.changed.wall).total_seconds())

    patch.setattr(session_states.Facts, "age_s", property(by_wall))


@bug("a failed duty rests by the wall clock", CLOCKS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = plan._wait_s

    def by_wall(last: Any, attempts: int, now: Any) -> float:
        passed_s = (now.wall - last.changed.wall).total_seconds()
        return honest(last, attempts, replace(last.changed, elapsed_s=last.changed.elapsed_s + passed_s))

    patch.setattr(plan, "_wait_s", by_wall)


@bug("a deadline is counted by the wall clock", CLOCKS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._terms

    def by_wall(kept: Any, session: Any, journal: Any, profile: Any, now: Any) -> Any:
        began = session.sign_on.changed if session.sign_on is not None else now
        passed_s = (now.wall - began.wall).total_seconds()
        return honest(kept, session, journal, profile, replace(now, elapsed_s=began.elapsed_s + passed_s))

    patch.setattr(drive, "_terms", by_wall)


@bug("the newest sign-on is the one with the latest date", CLOCKS)
def _(patch: pytest.MonkeyPatch) -> None:
    def latest(self: Any, kind: Kind) -> Any:
        found = [each for each in self.recent(99) if each.kind is kind and each.state is State.APPROVED]
        return max(found, key=lambda each: each.changed.wall, default=None)

    patch.setattr(memory.MemoryJournal, "last_approved", latest)


@bug("working keys become current before they are checked", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = step._check_keys

    def hasty(*given: Any) -> Any:
        moved, effects = honest(*given)
        return moved, (Save(replace(moved, state=State.APPROVED)), *effects)

    patch.setattr(step, "_ACTIONS", {**step._ACTIONS, Action.CHECK_KEYS: hasty})


@bug("the PIN key's check value is not compared", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = SoftwareKeyStore.check
    patch.setattr(
        SoftwareKeyStore,
        "check",
        lambda self, wrapped: honest(self, [key for key in wrapped if key.usage is not KeyUsage.PIN]),
    )


@bug("the PIN is encrypted under the key of an earlier sign-on", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = session_states.Session.key
    first: dict[Any, Any] = {}

    def stuck(self: Any, usage: KeyUsage) -> Any:
        key = honest(self, usage)
        return first.setdefault(self.batch, key) if usage is KeyUsage.PIN else key

    patch.setattr(session_states.Session, "key", stuck)


@bug("a sign-on brings one key of its own and keeps another of the last", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._read_sign_on
    first: list[Any] = []

    def mixed(*given: Any) -> Any:
        cue, evidence = honest(*given)
        first.extend(key for key in evidence.keys if key.usage is KeyUsage.PIN)
        return cue, replace(evidence, keys=(*first[:1], *(key for key in evidence.keys if key.usage is KeyUsage.MAC)))

    patch.setattr(drive, "_read_sign_on", mixed)


@bug("old keys stay in use although the host may have newer ones", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    rules = (rule for rule in session_states.RULES if rule[1] is not session_states._may_have_new_keys)
    patch.setattr(session_states, "RULES", tuple(rules))


@bug("a reversal is sealed with the key of its original", KEYS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._terms
    sealed: dict[int, Any] = {}

    def stuck(kept: Any, session: Any, journal: Any, profile: Any, now: Any) -> Any:
        terms = honest(kept, session, journal, profile, now)
        key = sealed.setdefault(kept.original if kept.kind is Kind.REVERSAL else kept.number, terms.seal_key)
        return replace(terms, seal_key=key) if kept.kind is Kind.REVERSAL and kept.attempts == 0 else terms

    patch.setattr(drive, "_terms", stuck)
