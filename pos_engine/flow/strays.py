"""Messages that came and were not the answer that was waited for: what each was, and what of it is kept.

A stray is evidence for whoever asks later; it decides nothing, and nothing is ever written back for one. What a proven
late approval means for money is decided in `flow.late`, by rules of its own. A record keeps few strays, the nearest
ones, and goes to disk with them when it is saved anyway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import Kind, OnSilence, Verdict
from pos_engine.flow.effects import MacState
from pos_engine.flow.late import IN_DOUBT, batch_of
from pos_engine.flow.responses import MTI, NETWORK_CODE, differences, name_of, nearest, verdict_of, weight
from pos_engine.journal.record import State, Stray, StraySort, open_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect
    from pos_engine.flow.effects import Answered
    from pos_engine.flow.profile import Profile
    from pos_engine.flow.responses import Compared, Nearest
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.wire.message import Message

STAN: Final = 11
TOLD_MAX: Final = 3
"""Elements that a note names; a message that differs in more is not near enough for the rest to matter."""
CLAIMED: Final = frozenset({StraySort.LATE, StraySort.DUPLICATE})
"""Sorts of messages that answer a request of ours."""

_PRIVATE: Final = 60
_TOLD_APART_BY: Final = frozenset({11, 12, 13, 37, 39, 41})
"""What is kept of a stray besides the echoed elements: its numbers, its times, its code."""
_SAID: Final = (4, 37, 38, 39)
"""Elements that say what became of a request. Another reference number is another booking."""
_ANSWERS: Final = frozenset("13579")
"""Third digits of the types of answers."""
_PROVEN: Final = {MacState.VALID: True, MacState.WRONG: False, MacState.ABSENT: None}
_Judged = tuple[StraySort, tuple[str, ...]]


def recognise(
    stray: Answered, waiting: Record, journal: JournalView, profile: Profile, *, batch: str, before: bool
) -> Stray:
    """Say what a message was that is not the answer for which `waiting` waits.

    `batch` is the one in force, for messages that name none; `before` says that it came before the request was sent.
    """
    seen = Stray(
        sort=StraySort.UNSOLICITED,
        at=stray.now,
        message=_telling_part(stray.message, profile.dialect),
        proven=_PROVEN[stray.mac],
        before=before,
    )
    if stray.message.mti[2:3] not in _ANSWERS:
        return seen
    judged = [
        (request.number, *_judged(stray, request, profile.dialect, is_awaited=_is_awaited(request, waiting, before)))
        for request in _candidates(stray.message, waiting, journal, profile, batch=batch)
    ]
    number, sort, differs = min(judged, key=lambda each: (each[1] not in CLAIMED, weight(each[2])))
    return replace(seen, sort=sort, request=number, differs=differs)


def _telling_part(message: Message, dialect: Dialect) -> Message:
    """Return the open elements by which answers are told apart; of field 60 what follows the network code is left."""
    part = open_part(message.only(_TOLD_APART_BY | {*dialect.echoes, _PRIVATE}), dialect.spec)
    layout = dialect.layouts.get(_PRIVATE)
    if layout is None or _PRIVATE not in part:
        return part
    return part.replace({_PRIVATE: part[_PRIVATE][: layout.places[NETWORK_CODE].stop]})


def _candidates(
    message: Message, waiting: Record, journal: JournalView, profile: Profile, *, batch: str
) -> Iterator[Record]:
    """Yield the requests that a message may answer: the present one, and those of its STAN or, without one, the newest.

    Where no request of its batch has its STAN, one of another batch may: a sign-on's answer names the batch it brings.
    """
    yield waiting
    stan = message.get(STAN)
    found = journal.find_original(batch_of(message, profile) or batch, stan) if stan is not None else None
    kinds = profile.dialect.kinds
    met = waiting.unkept + sum(each.times for each in waiting.strays)
    if found is None and met < limits.STRAY_LOOKUPS_MAX:
        newest = journal.recent_requests(limits.STRAY_REQUESTS_MAX)
        yield from (each for each in newest if each.kind in kinds and each.request.get(STAN) == stan)
    elif found is not None and found.kind in kinds:
        reversals = [each for each in journal.acting_on(found.number) if each.kind is Kind.REVERSAL]
        yield from (found, *reversed(reversals))


def _is_awaited(request: Record, waiting: Record, before: bool) -> bool:  # noqa: FBT001 - as it is asked
    """Tell whether a message would have ended the wait, had it only been good: unless it answers an earlier attempt."""
    return request.number == waiting.number and not (before and waiting.attempts > 1)


def _judged(stray: Answered, request: Record, dialect: Dialect, *, is_awaited: bool) -> _Judged:
    """Say what a message is to one request."""
    row = dialect.kinds[request.kind]
    differs = tuple(each.where for each in differences(request.request, stray.message, row, dialect))
    if differs or is_awaited:
        return StraySort.FOREIGN, differs
    if request.state in IN_DOUBT:
        return StraySort.LATE, ()
    if request.answer is None:
        # Nothing was sent, so nothing was answered.
        return StraySort.FOREIGN, ()
    contrary = tuple(str(number) for number in _SAID if _contradicts(stray.message, request.answer, number))
    if not contrary:
        return StraySort.DUPLICATE, ()
    is_approved = stray.mac is MacState.VALID and verdict_of(stray.message, dialect) is Verdict.APPROVAL
    if is_approved and request.state is State.DECLINED and row.on_silence is OnSilence.REVERSE:
        # It was declined without proof, and is being reversed from now on.
        return StraySort.LATE, ()
    return StraySort.FOREIGN, contrary


def _contradicts(message: Message, answer: Message, number: int) -> bool:
    return number in message and number in answer and message[number] != answer[number]


def keep(record: Record, stray: Stray, dialect: Dialect) -> Record:
    """Return a record that keeps a stray: one that came again is counted, and of too many the farthest goes."""
    for place, known in enumerate(record.strays):
        if replace(stray, at=known.at, times=known.times) == known:
            again = replace(known, times=known.times + 1)
            return replace(record, strays=(*record.strays[:place], again, *record.strays[place + 1 :]))
    strays = (*record.strays, stray)
    if len(strays) <= limits.STRAYS_MAX:
        return replace(record, strays=strays)
    farthest = max(reversed(strays), key=lambda each: _farness(each, record, dialect))
    return replace(record, strays=tuple(each for each in strays if each is not farthest), unkept=record.unkept + 1)


def _farness(stray: Stray, record: Record, dialect: Dialect) -> tuple[bool, int]:
    differs = differences(record.request, stray.message, dialect.kinds[record.kind], dialect)
    return stray.sort not in CLAIMED, weight(each.where for each in differs)


def with_nearest(why: str, record: Record, journal: JournalView, dialect: Dialect, now: Instant) -> str:
    """Say of a request that got no answer which message of the last minutes came nearest to being it, where one did."""
    others = (each.strays for each in journal.recent(limits.NEAREST_RECORDS_MAX) if each.number != record.number)
    witnesses = (*record.strays, *(stray for strays in others for stray in strays))
    found = nearest(record.request, dialect.kinds[record.kind], witnesses, dialect, now)
    if found is None:
        return why
    seen = found.stray
    ago = f"{max(0.0, -found.after_s):.0f} s before"
    return f"{why}; the nearest message was a {seen.message.mti} {ago}: {_difference(found, record, dialect)}"


def _difference(found: Nearest, record: Record, dialect: Dialect) -> str:
    """Say what kept a message from being the answer; of values only another STAN."""
    seen = found.stray
    told = [_told(each, seen, dialect) for each in found.differs[:TOLD_MAX]]
    if len(found.differs) > TOLD_MAX:
        told.append(f"{len(found.differs) - TOLD_MAX} more")
    if told:
        return ", ".join(told)
    if seen.proven is False:
        return "its MAC is wrong"
    if seen.sort is StraySort.LATE:
        return "it answers an earlier attempt"
    is_early = seen.before or not any(seen is each for each in record.strays)
    return "it came before the request" if is_early else "what it brings answers something else"


def _told(each: Compared, seen: Stray, dialect: Dialect) -> str:
    if each.where == MTI:
        return str(each)
    value = f" ({seen.message[STAN]})" if each.where == str(STAN) and STAN in seen.message else ""
    verb = "is missing" if each.is_missing else "differs"
    return f"field {each.where} {name_of(each.where, dialect).en} {verb}{value}"
