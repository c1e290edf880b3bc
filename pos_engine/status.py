"""Where a terminal stands: its sign-on, what is owed, its roads to the host, what it did last. Read, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.keys import show
from pos_engine.flow import downloads
from pos_engine.flow.outcomes import Line, line_of
from pos_engine.flow.plan import Duty, DutyKind, owed
from pos_engine.session.states import session_of
from pos_engine.values import Text

if TYPE_CHECKING:
    from datetime import datetime

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Kind
    from pos_engine.flow.downloads import OwedDownload
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.routes import Ending, Routes, RouteState
    from pos_engine.session.states import SessionState
    from pos_engine.values import Amount

DUTY_NAMES: Final = {
    DutyKind.SIGN_ON: Text("sign on", "签到"),
    DutyKind.REVERSE: Text("reverse", "冲正"),
    DutyKind.REPEAT: Text("repeat until accepted", "重发直至受理"),
    DutyKind.ASK: Text("ask the acquirer what became of it", "向收单机构查询"),
    DutyKind.DOWNLOAD: Text("fetch what the host gives its terminals", "下载终端数据"),
}


@dataclass(frozen=True, slots=True)
class Tick:
    """What a call of `tick` did. `again_in_s` is when to call again; `None`: when something happened.

    With nothing owed, that is when the sign-on should be renewed, so that no customer waits for it.
    """

    done: tuple[Outcome, ...]
    owed: int
    again_in_s: float | None
    failed: str | None = None
    """Why an owed exchange did not succeed this time."""
    idle: bool = True
    """Whether nothing is owed that the terminal could do."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One duty: what is owed, for which STAN, since when, how often it was tried."""

    duty: Text
    kind: Kind
    stan: str
    batch: str
    amount: Amount | None
    since: datetime
    attempts: int
    unresolved: bool = False
    """Whether it failed so often that nothing new goes ahead until a person has taken it over."""
    taken_over: str | None = None
    """The reason for which a person took it over."""


@dataclass(frozen=True, slots=True)
class Status:
    """The terminal at a glance; everything in it is safe to show."""

    terminal: str
    merchant: str
    dialect: str
    session: SessionState
    why: Text
    signed_on_at: datetime | None
    batch: str
    keys: tuple[tuple[str, str], ...]
    owed: tuple[Owed, ...]
    recent: tuple[Line, ...]
    """The newest requests, newest first."""
    left_s: float | None = None
    """Seconds for which the sign-on holds, as far as that is known beforehand."""
    renew_in_s: float | None = None
    """Seconds until a quiet moment renews it; 0: now."""
    downloads: tuple[OwedDownload, ...] = ()
    """Downloads that are owed, or unfinished."""
    routes: tuple[RouteState, ...] = ()
    """The roads to the host, in order of preference."""
    certificates: tuple[Ending, ...] = ()
    """Certificates that have ended or end within thirty days: our own files', and those that hosts have shown."""


def status_of(journal: JournalView, profile: Profile, now: Instant, routes: Routes, *, recent: int = 5) -> Status:
    """Read a terminal's standing off its journal; `recent` is how many of the newest requests to tell of."""
    session = session_of(journal, now, profile.session)
    return Status(
        terminal=profile.identity.terminal,
        merchant=profile.identity.merchant,
        dialect=profile.dialect.name,
        session=session.state,
        why=session.why,
        signed_on_at=session.sign_on.changed.wall if session.sign_on is not None else None,
        batch=session.batch,
        keys=tuple(
            (key.usage.value, show(key.check_value)) for key in (session.sign_on.keys if session.sign_on else ())
        ),
        owed=tuple(_owed(duty, duty.record) for duty in owed(journal, profile, now) if duty.record),
        recent=tuple(line_of(each, journal.acting_on(each.number)) for each in journal.recent(recent)),
        left_s=session.left_s,
        renew_in_s=session.renew_in_s,
        downloads=downloads.owed_downloads(journal, profile.dialect, now),
        routes=routes.states(),
        certificates=routes.endings(now.wall),
    )


def _owed(duty: Duty, record: Record) -> Owed:
    return Owed(
        duty=DUTY_NAMES[duty.kind],
        kind=record.kind,
        stan=record.stan,
        batch=record.batch,
        amount=record.amount,
        since=record.opened.wall,
        attempts=record.attempts,
        unresolved=duty.is_unresolved,
        taken_over=record.resolution.reason if record.resolution is not None else None,
    )
