"""What must happen now and then in random lives, or the lives are too tame: counted as records are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView

REVERSED: Final = (Kind.SALE, Kind.VOID, Kind.REVERSAL)
"""What leaves a reversal owed while it is open."""
FIRST_STAN: Final = "000001"
LIMIT: Final = 3
"""Attempts after which a reversal is for a person to look at."""
WRONG_MAC: Final = "A0"


def owes(journal: JournalView) -> bool:
    """Tell whether a reversal is owed."""
    return bool(journal.open_records(REVERSED))


def rarities(record: Record, journal: JournalView) -> Iterator[str]:
    """Name what is rare about a form that is about to be saved."""
    state, kind = record.state, record.kind
    if kind is Kind.REVERSAL:
        yield from _of_reversal(record, journal)
    elif state is State.DOUBTFUL and record.reason == WRONG_MAC:
        yield "an approval has a wrong MAC"
    elif state is State.APPROVED and kind is Kind.SIGN_ON and owes(journal):
        yield "keys change while a reversal is owed"
    elif state is State.PENDING and record.stan == FIRST_STAN and record.number > 1:
        yield "the STAN wraps"
        if owes(journal):
            yield "the STAN wraps while a reversal is owed"


def _of_reversal(record: Record, journal: JournalView) -> Iterator[str]:
    known = journal.find(record.number)
    if record.late is not None and (known is None or known.late is None):
        yield "an approval comes after its reversal was sent"
    if record.state is State.DOUBTFUL and record.attempts == LIMIT:
        yield "a reversal reaches the limit of its attempts"
