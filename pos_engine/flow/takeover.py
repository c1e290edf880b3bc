"""A person takes a duty over: on record, with a reason, and without anything being deleted.

A reversal that the host did not accept so often is unresolved and blocks what is new; taken over, it blocks no more and
is still tried, slowly, until the host accepts it. A refund in doubt is never repeated by itself; whoever asked the
acquirer says whether the money moved, and from then on it counts so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import UsageError
from pos_engine.flow.drive import Drive, Finished, authorised
from pos_engine.flow.effects import Save
from pos_engine.flow.plan import Duty, DutyKind, owed
from pos_engine.flow.states import Cue
from pos_engine.flow.step import Evidence, step
from pos_engine.journal.record import Resolution, State

if TYPE_CHECKING:
    from collections.abc import Generator

    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView

WORDS_MAX: Final = 200
CARD_NUMBER: Final = re.compile(r"(?:\d[^A-Za-z\d]{0,3}){13,}")
"""What might be a card number, which nobody may write into a journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """What a person says of a duty: of which STAN, why, who says so, and for a refund whether the money moved."""

    stan: str
    reason: str
    by: str = ""
    batch: str | None = None
    """Where the STAN was used in several batches; else the only one that owes something."""
    moved: bool | None = None


def take_over(word: Takeover, journal: JournalView, profile: Profile, now: Instant) -> Drive:
    """Put a person's word on record, once the supervisor allows it. Raises `UsageError` for what cannot be."""
    _check_words(word)
    duty, record = _find(word, journal, profile, now)
    _check_duty(word, duty, record)
    now = yield from authorised(record.kind, record.amount, record.stan)
    record, now = yield from _in_doubt(record, now)
    resolution = Resolution(word.reason.strip(), word.by.strip(), now, word.moved)
    settled = replace(record, resolution=resolution)
    happened = yield Save(settled)
    return Finished(happened.now, settled)


def _check_words(word: Takeover) -> None:
    for name, text in (("reason", word.reason), ("name", word.by)):
        if len(text) > WORDS_MAX or (text and not text.isprintable()):
            reason = f"a {name} has at most {WORDS_MAX} printable characters"
            raise UsageError(reason)
        if CARD_NUMBER.search(text):
            reason = f"the {name} looks as if it held a card number; it would be kept for ever"
            raise UsageError(reason)
    if not word.reason.strip():
        reason = "a reason is needed: it is all that later tells why"
        raise UsageError(reason)


def _find(word: Takeover, journal: JournalView, profile: Profile, now: Instant) -> tuple[Duty, Record]:
    found = [
        (duty, duty.record)
        for duty in owed(journal, profile, now)
        if duty.record is not None and duty.record.stan == word.stan and word.batch in {None, duty.record.batch}
    ]
    if len(found) > 1:
        reason = f"STAN {word.stan} owes something in several batches: name one"
        raise UsageError(reason)
    if not found:
        reason = f"nothing is owed for STAN {word.stan}"
        raise UsageError(reason)
    return found[0]


def _check_duty(word: Takeover, duty: Duty, record: Record) -> None:
    if duty.kind is DutyKind.ASK:
        if word.moved is None:
            reason = "say whether the money moved, as the acquirer told you"
            raise UsageError(reason)
        if not word.moved and record.late is not None:
            reason = "the host approved it, late: the money moved"
            raise UsageError(reason)
        return
    if word.moved is not None:
        reason = "whether the money moved is for the host to say: the reversal is sent until it is accepted"
        raise UsageError(reason)
    if duty.is_taken_over:
        reason = f"STAN {word.stan} was taken over before"
        raise UsageError(reason)
    if not duty.is_unresolved:
        attempts = record.sent if duty.kind is DutyKind.REPEAT else 0
        reason = f"the terminal still works on it by itself: {attempts} of {limits.UNRESOLVED_ATTEMPTS} attempts"
        raise UsageError(reason)


def _in_doubt(record: Record, now: Instant) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Say first that the outcome is in doubt, where the power went before anybody could."""
    if record.state is State.PENDING:
        record, effects = step(record, Cue.RESTART, now, Evidence())
        for effect in effects:
            now = (yield effect).now
    return record, now
