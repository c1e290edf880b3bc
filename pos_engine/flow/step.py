"""One exchange, one step: `step(record, cue, now) -> (record, effects)`. Nothing happens here; effects are what should.

The order of effects is the safety: a request is saved before it is sent, an outcome is saved before it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.errors import LocalProtocolError
from pos_engine.flow.effects import Ask, CheckKeys, Effect, Emit, Listen, Save, Send
from pos_engine.flow.states import DEMANDS, REVERSAL_REASONS, TRANSITIONS, TROUBLES, Action, Cue
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.clock import Instant
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import Brought
    from pos_engine.errors import Trouble
    from pos_engine.journal.record import Record
    from pos_engine.wire.message import Message


@dataclass(frozen=True, slots=True)
class Evidence:
    """What comes with a cue: the open elements of an answer, what a sign-on brought, the terms of sending, a remark."""

    answer: Message | None = None
    keys: tuple[WrappedKey, ...] = ()
    new_batch: str | None = None
    demands_sign_on: bool = False
    deadline_s: float = 0.0
    seal_key: WrappedKey | None = None
    mac_key: WrappedKey | None = None
    signed_on_by: int | None = None
    note: str = ""
    trouble: Trouble | None = None
    """What went wrong, where more is known than the cue says."""
    wanted: str | None = None
    """The answer's processing request."""
    brought: str | None = None
    """What a page of a download brought."""
    before: tuple[Brought, ...] = ()
    """What the pages before it brought."""
    road: str | None = None
    """The road that the request should take, where that matters."""


def step(record: Record, cue: Cue, now: Instant, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    """Move a record by one cue; a pair of state and cue that the table lacks is a `LocalProtocolError`."""
    found = TRANSITIONS.get((record.state, cue))
    if found is None:
        reason = f"a {record.kind.value} in state {record.state.name} cannot meet {cue.name}"
        raise LocalProtocolError(reason)
    state, action = found
    moved = replace(
        record,
        state=state,
        # Working keys are as old as the answer that brought them, however long it took to check them.
        changed=record.changed if cue is Cue.KEYS_GOOD else now,
        notes=_noted(record.notes, evidence.note, is_open=state is State.PENDING),
        demands_sign_on=record.demands_sign_on or cue in DEMANDS or evidence.demands_sign_on,
        unsent=record.unsent + (cue is Cue.NOT_SENT_AGAIN),
        trouble=_troubled(record.trouble, cue, evidence),
        wanted=evidence.wanted or record.wanted,
    )
    return _ACTIONS[action](moved, cue, evidence)


def _troubled(before: Trouble | None, cue: Cue, evidence: Evidence) -> Trouble | None:
    """Keep what went wrong. That somebody answered something else says more than the silence that followed."""
    default = TROUBLES.get(cue)
    if cue is Cue.SILENCE and before is TROUBLES[Cue.STRANGER]:
        return before
    return default and (evidence.trouble or default)


def with_note(record: Record, note: str) -> Record:
    """Remark something about an exchange that is still open."""
    return replace(record, notes=_noted(record.notes, note, is_open=True))


def _noted(notes: tuple[str, ...], note: str, *, is_open: bool) -> tuple[str, ...]:
    """Add a remark. What decides is always noted, what comes while the exchange is open only where there is room."""
    if not note or note in notes[-1:]:
        return notes
    room = limits.NOTES_MAX - 1
    return (*notes, note)[:room] if is_open else (*notes[:room], note)


def _begin(record: Record, _cue: Cue, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    begun = replace(
        record,
        attempts=record.attempts + 1,
        signed_on_by=evidence.signed_on_by,
        demands_sign_on=False,
        # What came during an earlier attempt stays with the forms that the record had then.
        strays=(),
        unkept=0,
        unread=0,
    )
    send = Send(begun.request, evidence.deadline_s, evidence.seal_key, evidence.mac_key, evidence.road)
    return begun, (Save(begun), send)


def _conclude(record: Record, cue: Cue, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    """Keep what decided. Keys and batch of a sign-on are in its one record, so they become current in one commit."""
    done = replace(record, answer=evidence.answer or record.answer, brought=evidence.brought)
    digits = evidence.answer.get(4) if evidence.answer is not None and cue is Cue.APPROVAL else None
    if record.amount is not None and digits is not None:
        # A partial approval names a smaller amount; only that was moved.
        done = replace(done, amount=replace(record.amount, minor=int(digits)))
    if cue is Cue.KEYS_BAD:
        done = replace(done, keys=(), new_batch=None)
    return done, (Save(done), Emit(done))


def _check_keys(record: Record, _cue: Cue, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    offered = replace(record, answer=evidence.answer, keys=evidence.keys, new_batch=evidence.new_batch)
    return offered, (Ask(CheckKeys(evidence.keys)),)


def _listen(record: Record, _cue: Cue, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    return record, (Listen(evidence.deadline_s, evidence.seal_key, evidence.mac_key),)


def _doubt(record: Record, cue: Cue, evidence: Evidence) -> tuple[Record, tuple[Effect, ...]]:
    """Keep why, and the answer even when it did not count: a reversal names its authorisation code."""
    doubtful = replace(record, answer=evidence.answer or record.answer, reason=REVERSAL_REASONS.get(cue, record.reason))
    return doubtful, (Save(doubtful), Emit(doubtful))


_ACTIONS: Mapping[Action, Callable[[Record, Cue, Evidence], tuple[Record, tuple[Effect, ...]]]] = {
    Action.BEGIN: _begin,
    Action.REPEAT: _begin,
    Action.CONCLUDE: _conclude,
    Action.CHECK_KEYS: _check_keys,
    Action.LISTEN: _listen,
    Action.DOUBT: _doubt,
}
