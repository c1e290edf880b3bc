"""Which road a request takes to the host, and what is kept of the one it took.

Only one request cares: a reversal must not overtake what it takes back. Its first attempt goes over the road that its
original went over, also after a restart: a road that is not the first of all is put on record before the answer is
waited for. What a terminal that starts anew does not know any more, the road of a contingency plan, it cannot take.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine.dialects.base import Kind, OnSilence
from pos_engine.flow.effects import Answered, Sent, Silent, Unreadable
from pos_engine.flow.step import with_note

if TYPE_CHECKING:
    from pos_engine.flow.effects import Happening, Way
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView


def on_its_way(record: Record, happened: Happening) -> Record:
    """Keep which road the request took, and remark which it could not take."""
    if not isinstance(happened, Sent | Answered | Silent | Unreadable) or happened.way.road is None:
        return record
    record = replace(record, road=happened.way.road)
    for detour in happened.way.detours:
        record = with_note(record, f"went another way: {detour}")
    return record


def has_to_be_known(record: Record, way: Way, profile: Profile) -> bool:
    """Tell whether the road of what has just left goes on record at once: a reversal may be owed after a restart."""
    return not way.is_first and profile.dialect.kinds[record.kind].on_silence is OnSilence.REVERSE


def road_of(record: Record, journal: JournalView) -> str | None:
    """Name the road of what a reversal takes back, for its first attempt: over another one it may overtake that."""
    if record.kind is not Kind.REVERSAL or record.original is None or record.sent:
        return None
    original = journal.find(record.original)
    return original.road if original is not None else None
