"""What is owed, and what is owed first. `plan` reads the journal and names one exchange; it keeps no list of its own.

A sign-on that is due goes first, because without keys in force nothing else can be sent; one that will be due soon is
made when nothing else is, so that nobody waits for it. Then come the duties, oldest
first: a sale whose outcome is in doubt owes a reversal, and a reversal that was not accepted is repeated with the
same STAN until it is. A duty that failed waits longer each time, by elapsed seconds and never by the wall clock; it
is never dropped. One that failed too often is unresolved until a person takes it over; then it goes on being tried, and
nothing waits for it any more. Downloads come last, when nobody waits and no hour is busy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.dialects.base import Kind, OnSilence
from pos_engine.flow.checks import is_reversed, is_unknown
from pos_engine.flow.downloads import next_page, unfinished
from pos_engine.journal.record import Record, State
from pos_engine.session.states import SessionState, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pos_engine.clock import Instant
    from pos_engine.flow.checks import Order
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView


class DutyKind(enum.Enum):
    """What sort of exchange is owed."""

    SIGN_ON = "sign on"
    REVERSE = "reverse a request whose outcome is in doubt"
    REPEAT = "send a request again until it is accepted"
    ASK = "find out from the acquirer what became of a request, and say so"
    DOWNLOAD = "fetch the next page of what the host gives its terminals"


@dataclass(frozen=True, slots=True)
class Duty:
    """One owed exchange. `wait_s` is how long to hold it back unless it is urgent (0: now)."""

    kind: DutyKind
    record: Record | None
    """What is to be reversed or repeated; nothing for a sign-on."""
    wait_s: float = 0.0
    is_locked: bool = False
    """Whether nobody may ask for it before its time: the host keeps demanding what it was given."""
    order: Order | None = None
    """What to order, where that is not a sign-on and acts on no record."""

    @property
    def is_taken_over(self) -> bool:
        """Whether a person has taken it over: it is still tried, and nothing new waits for it."""
        return self.record is not None and self.record.resolution is not None

    @property
    def may_wait(self) -> bool:
        """Whether it was taken over, and its time has not come."""
        return self.is_taken_over and self.wait_s > 0

    @property
    def is_unresolved(self) -> bool:
        """Whether it failed so often that a person has to take it over."""
        if self.record is None or self.kind is not DutyKind.REPEAT or self.is_taken_over:
            return False
        return self.record.sent >= limits.UNRESOLVED_ATTEMPTS


def plan(
    journal: JournalView, profile: Profile, now: Instant, *, wanted: bool = False, urgent: bool = False
) -> Duty | None:
    """Name the exchange that is owed next, or `None` when nothing is.

    A terminal that was signed off on purpose stays so until something is `wanted` of it, or money is owed that stops
    something or is due. Where it is `urgent`, what stops it goes first although it would have to wait.
    """
    session = session_of(journal, now, profile.session)
    duties = [duty for duty in owed(journal, profile, now) if duty.kind is not DutyKind.ASK]
    first = min(duties, key=_urgency if urgent else _rank, default=None)
    if session.state is SessionState.SIGNED_OFF and not wanted and all(duty.may_wait for duty in duties):
        return first
    if session.state is SessionState.LOCKED:
        return Duty(DutyKind.SIGN_ON, None, session.wait_s, is_locked=True)
    if not session.ready:
        return _sign_on(journal, now)
    is_quiet = not (wanted or urgent or profile.session.is_busy(now.wall)) and (first is None or first.wait_s > 0)
    if session.state is SessionState.STALE and is_quiet:
        return _sign_on(journal, now)
    download = None if wanted or urgent else _download(journal, profile, now)
    return min((duty for duty in (first, download) if duty is not None), key=lambda duty: duty.wait_s, default=None)


def _download(journal: JournalView, profile: Profile, now: Instant) -> Duty | None:
    """Name the page to fetch next, of the download that may go on first, and not before busy hours are over."""
    waits = [
        (max(each.held_s, _wait_s(each.failed[-1], len(each.failed), now) if each.failed else 0.0), each)
        for each in unfinished(journal, profile.dialect, now)
    ]
    if not waits:
        return None
    wait_s, found = min(waits, key=lambda wait: wait[0])
    wait_s = max(wait_s, profile.session.quiet_in_s(now.wall))
    return Duty(DutyKind.DOWNLOAD, None, wait_s, order=next_page(found, journal, profile))


def _sign_on(journal: JournalView, now: Instant) -> Duty:
    failed = journal.failures(Kind.SIGN_ON)
    return Duty(DutyKind.SIGN_ON, None, _wait_s(failed[-1], len(failed), now) if failed else 0.0)


def _urgency(duty: Duty) -> tuple[bool, bool]:
    """Order duties for somebody who waits: what stops him first, of that what is due; the oldest of equals."""
    return duty.is_taken_over, duty.wait_s > 0


def _rank(duty: Duty) -> tuple[bool, float]:
    """Order duties for nobody in a hurry: what is due, the oldest of that, and then whatever is due next."""
    return duty.is_taken_over and duty.wait_s <= 0, duty.wait_s


def owed(journal: JournalView, profile: Profile, now: Instant) -> Iterator[Duty]:
    """Name everything that is owed about money, oldest first, what only a person can do included."""
    kinds = [row.kind for row in profile.dialect.kinds.values() if row.financial]
    restored = journal.last_approved(Kind.RESTORE)
    for record in journal.open_records(kinds):
        if is_unknown(record, restored, profile.dialect):
            # What became of it, and who was told, went with the files that the backup replaced.
            if record.resolution is None:
                yield Duty(DutyKind.ASK, record)
            continue
        duty = _duty_of(record, journal.acting_on(record.number), profile, now)
        if duty is not None:
            yield duty


def _duty_of(record: Record, acting: Sequence[Record], profile: Profile, now: Instant) -> Duty | None:
    match profile.dialect.kinds[record.kind].on_silence:
        case OnSilence.REVERSE if record.state in {State.PENDING, State.DOUBTFUL}:
            # A reversal that is not accepted yet carries the duty on. One that was, and ended nothing, needs another.
            if any(each.kind is Kind.REVERSAL and each.state is not State.APPROVED for each in acting):
                return None
            return Duty(DutyKind.REVERSE, record)
        case OnSilence.REPEAT if record.state is State.PENDING:
            # The terminal went down in the middle of it. That says nothing about the host: no reason to wait.
            return Duty(DutyKind.REPEAT, record)
        case OnSilence.REPEAT:
            # One that was never sent is owed for what came late, and there is no failure to wait after.
            return Duty(DutyKind.REPEAT, record, _wait_s(record, record.attempts, now) if record.attempts else 0.0)
        case OnSilence.ASK if record.resolution is None:
            return Duty(DutyKind.ASK, record)
        case _:
            return None


def _wait_s(last: Record, attempts: int, now: Instant) -> float:
    """Seconds still to wait after the last of `attempts` failures; none after a boot, across which no age is known."""
    age_s = now.since(last.changed)
    if age_s is None:
        return 0.0
    exponent = min(max(attempts, 1) - 1, 20)
    left_s = min(limits.BACKOFF_FIRST_S * 2.0**exponent, limits.BACKOFF_MAX_S) - age_s
    # A rest of a fraction of nothing is what rounding leaves: whoever waited for it would wait for ever.
    return left_s if left_s >= limits.WAIT_MIN_S else 0.0


def expendable(journal: JournalView, profile: Profile) -> tuple[int, ...]:
    """Name the records whose sealed card data no owed message needs any more.

    An approved sale or refund keeps it until settlement, because a batch upload may have to name the card.
    """
    return tuple(each.number for each in journal.sealed_records() if not _needs_card(each, journal, profile))


def _needs_card(record: Record, journal: JournalView, profile: Profile) -> bool:
    row = profile.dialect.kinds[record.kind]
    if not row.financial or record.state in {State.DECLINED, State.UNSENT}:
        return False
    if row.on_silence is OnSilence.REPEAT:
        return record.state is not State.APPROVED
    return not is_reversed(journal.acting_on(record.number))
