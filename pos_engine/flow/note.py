"""What the till did by itself while the terminal could not sign on, as a record of the journal; nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine.dialects.base import Kind
from pos_engine.flow.drive import Drive, Finished
from pos_engine.flow.effects import Save
from pos_engine.journal.record import Record, State
from pos_engine.session.states import session_of
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView
    from pos_engine.session.contingency import Deed, Step


def put_on_record(deed: Deed, act: Step | None, journal: JournalView, profile: Profile, now: Instant) -> Drive:
    """Save a deed, and the step of the plan that it belongs to."""
    words = deed.value if act is None else f"{deed.value}: {act}"
    record = Record(
        number=journal.next_number(),
        kind=Kind.NOTE,
        state=State.APPROVED,
        stan=journal.next_stan(),
        batch=session_of(journal, now, profile.session).batch,
        request=Message("", {}),
        opened=now,
        changed=now,
        notes=(words,),
    )
    happened = yield Save(record)
    return Finished(happened.now, record)
