"""Answers that came when nobody waited for them: what one proves, and on which record that is kept.

Only one of them matters to money: the proven approval of a request that does not count as approved. Of one in doubt it
is kept on the reversal that it has crossed, or on the request itself while that has none. A reversal which the host
ended by not knowing the request has then ended nothing, and another one is owed under the same STAN. One that was
declined without proof was charged all the same, so its reversal is owed from then on. An outcome that was shown never
changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind, OnSilence, Verdict
from pos_engine.flow.effects import MacState
from pos_engine.flow.requests import UNWANTED_REASON, draft_reversal
from pos_engine.flow.responses import mismatch, verdict_of
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.flow.effects import Answered
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.wire.message import Message

IN_DOUBT: Final = frozenset({State.PENDING, State.DOUBTFUL})


def belated(
    stray: Answered, journal: JournalView, profile: Profile, now: Instant, *, batch: str, waiting: int
) -> Record | None:
    """Return a record with what a stray message proves about it, to be saved; `None` when that is nothing new.

    `batch` is the one in force, for answers that name none. `waiting` is the record that now waits for its answer: what
    came before its request answers something else, whatever it looks like.
    """
    dialect = profile.dialect
    if stray.mac is not MacState.VALID or verdict_of(stray.message, dialect) is not Verdict.APPROVAL:
        return None
    request = answered_by(stray.message, journal, profile, batch=batch)
    if request is None or request.number == waiting:
        return None
    if request.state is State.DECLINED:
        return _taken_back(request, stray.message.only(dialect.kept), journal, profile, now)
    if request.state not in IN_DOUBT:
        return None
    reversals = [each for each in journal.acting_on(request.number) if each.kind is Kind.REVERSAL]
    kept_on = reversals[-1] if reversals else request
    if kept_on.late is not None:
        return None
    return with_proof(kept_on, stray.message.only(dialect.kept))


def _taken_back(
    request: Record, approval: Message, journal: JournalView, profile: Profile, now: Instant
) -> Record | None:
    """Return the reversal that is owed for what was shown as declined; `None` where there is one, or can be none."""
    is_reversible = profile.dialect.kinds[request.kind].on_silence is OnSilence.REVERSE
    if not is_reversible or any(each.kind is Kind.REVERSAL for each in journal.acting_on(request.number)):
        return None
    owed = draft_reversal(replace(request, reason=UNWANTED_REASON, late=approval), journal, profile, now)
    return with_proof(replace(owed, state=State.DOUBTFUL), approval)


def answered_by(message: Message, journal: JournalView, profile: Profile, *, batch: str) -> Record | None:
    """Find the request about money that a message answers; `batch` is the one in force."""
    request = journal.find_original(batch_of(message, profile) or batch, message.get(11, ""))
    row = profile.dialect.kinds.get(request.kind) if request is not None else None
    if request is None or row is None or not row.financial:
        return None
    return None if mismatch(request.request, message, row, profile.dialect) else request


def former_key(message: Message, journal: JournalView, profile: Profile, *, batch: str) -> WrappedKey | None:
    """Return the MAC key that was in force when the request was sent that a message answers."""
    request = answered_by(message, journal, profile, batch=batch)
    signed_on_by = request.signed_on_by if request is not None else None
    sign_on = journal.find(signed_on_by) if signed_on_by is not None else None
    return next((key for key in sign_on.keys if key.usage is KeyUsage.MAC), None) if sign_on is not None else None


def with_proof(record: Record, approval: Message) -> Record:
    """Keep a late approval on a record, which for a reversal means that only acceptance ends it.

    Its notes stay as they were: they are part of what was shown.
    """
    return replace(record, late=approval, approval_proven=record.kind is Kind.REVERSAL)


def batch_of(message: Message, profile: Profile) -> str | None:
    """Return the batch that a message names, if it names one."""
    layout, private = profile.dialect.layouts.get(60), message.get(60)
    return layout.get(private, "60.2") if layout is not None and private is not None else None
