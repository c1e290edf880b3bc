"""Why an answer is not taken for the answer: every element that decides is compared, and each difference is named.

The rules are those of `flow.responses`, carried on past the first difference. A MAC is not looked at here: matching
comes before it, and without the keys nobody could.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine.errors import UsageError
from pos_engine.flow.arrivals import Candidate, candidates
from pos_engine.flow.responses import Compared, compared, weight
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pos_engine.dialects.base import Dialect, KindRow
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.wire.message import Message


@dataclass(frozen=True, slots=True)
class Match:
    """One message compared with a request: each element that decides, in the order in which they decide."""

    place: int
    """Which of the messages given it is, from 1."""
    answer: Message
    row: KindRow
    """The kind of the request."""
    elements: tuple[Compared, ...]

    @property
    def differs(self) -> tuple[Compared, ...]:
        """The elements that keep it from being the answer."""
        return tuple(each for each in self.elements if not each.agrees)

    @property
    def matches(self) -> bool:
        """Whether it answers the request."""
        return not self.differs

    @property
    def distance(self) -> int:
        """How far it is from being the answer."""
        return weight(each.where for each in self.differs)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the journal has for one request: the answer that counted, if one did, and what else came, nearest first."""

    record: Record
    answered: bool
    candidates: tuple[Candidate, ...]

    @property
    def matched(self) -> bool:
        """Whether anything answers it, in time or not."""
        return self.answered or any(each.matches for each in self.candidates)


def match(request: Message, answers: Sequence[Message], dialect: Dialect) -> tuple[Match, ...]:
    """Compare messages with a request, the nearest to being its answer first.

    Raises `UsageError` when the request is none that a terminal of this dialect sends.
    """
    row = dialect.kind_of(request)
    if row is None:
        reason = "the request is none that a terminal of this dialect sends"
        raise UsageError(reason)
    found = (
        Match(place, answer, row, tuple(compared(request, answer, row, dialect)))
        for place, answer in enumerate(answers, 1)
    )
    return tuple(sorted(found, key=lambda each: each.distance))


def examine(record: Record, journal: JournalView, dialect: Dialect) -> Examined:
    """Gather what the journal has for one request."""
    return Examined(record, record.answer is not None, candidates(record, journal, dialect))


def verdict(each: Compared) -> Text:
    """Say how one element compares."""
    if each.agrees:
        return _AGREES
    return _MISSING if each.is_missing else _DIFFERS


_AGREES = Text("agrees", "一致")
_DIFFERS = Text("differs", "不同")
_MISSING = Text("missing", "缺失")
