"""Is the terminal signed on? Derived from the journal each time it is asked: no second place could disagree.

`RULES` is the whole machine: the first rule that holds names the state. A sign-on ends by age, with the host's day,
after a number of exchanges, when the host demands another, and when the terminal boots, because elapsed age cannot be
known across a boot. Shortly before it ends it is stale: requests still go, and a quiet moment renews it. A host that
keeps demanding is left alone for a while, longer each time. Keys, batch and time of one sign-on become current
together.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import KeyFault
from pos_engine.journal.record import ACCEPTED, State
from pos_engine.session.policy import DAY_S, HOUR_S, MINUTE_S
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.clock import Instant
    from pos_engine.crypto.keys import KeyUsage, WrappedKey
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.session.policy import Policy

FIRST_BATCH: Final = "000000"
"""What a terminal sends before any host has given it a batch number."""
TIME_DIGITS: Final = 6


class SessionState(enum.Enum):
    """Whether requests can be sent now."""

    SIGNED_OUT = "never signed on"
    SIGNED_OFF = "signed off on purpose"
    SIGNING_ON = "signing on"
    READY = "signed on"
    STALE = "signed on, to be renewed soon"
    EXPIRED = "a new sign-on is due"
    LOCKED = "the host keeps demanding a sign-on; the next attempt waits"


READY: Final = frozenset({SessionState.READY, SessionState.STALE})


@dataclass(frozen=True, slots=True)
class Session:
    """The session as the journal tells it."""

    state: SessionState
    sign_on: Record | None
    why: Text
    left_s: float | None = None
    """Seconds for which the sign-on still holds, as far as that is known beforehand."""
    renew_in_s: float | None = None
    """Seconds until it should be renewed in a quiet moment; 0: now."""
    wait_s: float = 0.0
    """While it is locked: seconds until the next attempt."""

    @property
    def ready(self) -> bool:
        """Whether requests can be sent now."""
        return self.state in READY

    @property
    def batch(self) -> str:
        """The batch number in force."""
        return self.sign_on.new_batch or self.sign_on.batch if self.sign_on is not None else FIRST_BATCH

    def key(self, usage: KeyUsage) -> WrappedKey:
        """Return the working key in force for a usage; raises `KeyFault` when there is none."""
        for key in self.sign_on.keys if self.sign_on is not None else ():
            if key.usage is usage:
                return key
        reason = f"no working key for {usage.name}: sign on first"
        raise KeyFault(reason)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at: a sign-on, what came after it, and the time."""

    journal: JournalView
    now: Instant
    policy: Policy
    sign_on: Record

    @property
    def age_s(self) -> float | None:
        """Elapsed seconds since it was approved; `None` across a boot."""
        return self.now.since(self.sign_on.changed)

    @property
    def left_s(self) -> float | None:
        """Seconds that it still holds by age and by the host's day."""
        age_s = self.age_s
        if age_s is None:
            return None
        by_day_s = _until_host_midnight_s(self.sign_on) if self.policy.follows_host_day else None
        return min(self.policy.age_max_s, self.policy.age_max_s if by_day_s is None else by_day_s) - age_s

    @property
    def exchanges(self) -> int:
        """Exchanges begun since; what was only put on record is none."""
        notes = self.journal.kind_records(Kind.NOTE, self.sign_on.day)
        noted = sum(1 for each in notes if each.number > self.sign_on.number)
        return self.journal.next_number() - 1 - self.sign_on.number - noted

    @property
    def renew_in_s(self) -> float:
        """Seconds until it should be renewed in a quiet moment."""
        left_s, most = self.left_s or 0.0, self.policy.exchanges_max
        if most is not None and self.exchanges >= most - max(1, most // 10):
            return 0.0
        return self.policy.convenient_s(self.now.wall, left_s)


Rule = tuple["SessionState", "Callable[[Facts], bool]", Text]


def _has_signed_off(facts: Facts) -> bool:
    return _may_have_happened(facts.journal, Kind.SIGN_OFF, facts.sign_on)


def _is_signing_on(facts: Facts) -> bool:
    newest = facts.journal.failures(Kind.SIGN_ON)[-1:]
    return any(each.number > facts.sign_on.number and each.state in {State.PENDING, State.CHECKING} for each in newest)


def _may_have_new_keys(facts: Facts) -> bool:
    return _may_have_happened(facts.journal, Kind.SIGN_ON, facts.sign_on)


def _was_restored(facts: Facts) -> bool:
    restored = facts.journal.last_approved(Kind.RESTORE)
    return restored is not None and restored.number > facts.sign_on.number


def _is_locked(facts: Facts) -> bool:
    return _lock_s(facts) > 0


def _is_demanded(facts: Facts) -> bool:
    return facts.journal.demanded_after(facts.sign_on.number) is not None


def _has_booted(facts: Facts) -> bool:
    return facts.age_s is None


def _is_old(facts: Facts) -> bool:
    age_s = facts.age_s
    return age_s is not None and age_s >= facts.policy.age_max_s


def _is_of_another_day(facts: Facts) -> bool:
    left_s = facts.left_s
    return left_s is not None and left_s <= 0


def _is_used_up(facts: Facts) -> bool:
    most = facts.policy.exchanges_max
    return most is not None and facts.exchanges >= most


def _is_stale(facts: Facts) -> bool:
    return facts.renew_in_s == 0


RULES: Final[tuple[Rule, ...]] = (
    (SessionState.SIGNED_OFF, _has_signed_off, Text("the terminal was signed off", "终端已签退")),
    (SessionState.SIGNING_ON, _is_signing_on, Text("a sign-on was cut short", "签到未完成")),
    (
        SessionState.EXPIRED,
        _may_have_new_keys,
        Text("a later sign-on failed, and the host may have new keys", "后一次签到未完成, 主机可能已换密钥"),
    ),
    (SessionState.EXPIRED, _was_restored, Text("the journal was restored from a backup", "流水由备份恢复")),
    (
        SessionState.LOCKED,
        _is_locked,
        Text("the host keeps demanding a sign-on; it is left alone for a while", "主机反复要求签到, 暂停重试"),
    ),
    (SessionState.EXPIRED, _is_demanded, Text("the host demanded a new sign-on", "主机要求重新签到")),
    (
        SessionState.EXPIRED,
        _has_booted,
        Text("the terminal was restarted since it signed on", "终端在签到后重新启动"),
    ),
    (SessionState.EXPIRED, _is_old, Text("the sign-on is older than the profile allows", "签到已过期")),
    (SessionState.EXPIRED, _is_of_another_day, Text("the host's day has ended", "主机已日切")),
    (SessionState.EXPIRED, _is_used_up, Text("the sign-on was used as often as it may be", "签到后交易笔数已满")),
    (SessionState.STALE, _is_stale, Text("signed on; to be renewed in a quiet moment", "已签到, 空闲时续签")),
    (SessionState.READY, lambda _facts: True, Text("signed on", "已签到")),
)
"""Tried in order; the first that holds is the state of a terminal that has signed on at least once."""


def session_of(journal: JournalView, now: Instant, policy: Policy) -> Session:
    """Derive the session from the journal."""
    sign_on = journal.last_approved(Kind.SIGN_ON)
    if sign_on is None:
        return Session(SessionState.SIGNED_OUT, None, Text("the terminal has not signed on yet", "终端尚未签到"))
    facts = Facts(journal, now, policy, sign_on)
    state, why = next((state, why) for state, holds, why in RULES if holds(facts))
    if state in READY:
        return Session(state, sign_on, why, left_s=facts.left_s, renew_in_s=facts.renew_in_s)
    return Session(state, sign_on, why, wait_s=_lock_s(facts) if state is SessionState.LOCKED else 0.0)


def _lock_s(facts: Facts) -> float:
    """Seconds to leave a host alone that answered every sign-on of late with another demand; 0 when it did not.

    The wait doubles with every futile sign-on, by elapsed time. A restart ends it: its age is not known then.
    """
    if not _is_demanded(facts):
        return 0.0
    age_s = facts.age_s
    futile = _futile(facts.journal)
    if age_s is None or futile < limits.FUTILE_SIGN_ONS_MAX:
        return 0.0
    wait_s = min(limits.BACKOFF_FIRST_S * 2.0 ** (futile - limits.FUTILE_SIGN_ONS_MAX), limits.BACKOFF_MAX_S)
    return max(0.0, wait_s - age_s)


def _futile(journal: JournalView) -> int:
    """Count the sign-ons in a row, the newest included, under which nothing was answered but another demand."""
    count, useful = 0, False
    for each in journal.recent_requests(limits.SESSION_RECORDS_MAX):
        if each.kind is Kind.SIGN_ON and each.state is State.APPROVED:
            if useful:
                return count
            count += 1
        elif each.state in {State.APPROVED, State.DECLINED} and not each.demands_sign_on:
            useful = True
    return count


def _until_host_midnight_s(sign_on: Record) -> float | None:
    """Seconds from a sign-on to the end of the host's day, by the time its answer carried (field 12)."""
    time = sign_on.answer.get(12, "") if sign_on.answer is not None else ""
    if len(time) != TIME_DIGITS or not (time.isascii() and time.isdigit()):
        return None
    return float(DAY_S - int(time[:2]) * HOUR_S - int(time[2:4]) * MINUTE_S - int(time[4:]))


def _may_have_happened(journal: JournalView, kind: Kind, sign_on: Record) -> bool:
    """Tell whether the host may have done something of a kind since a sign-on, whatever the terminal made of it.

    It may when the answer was lost, and when it was an approval that the terminal could not use.
    """
    approved = journal.last_approved(kind)
    if approved is not None and approved.number > sign_on.number:
        return True
    later = (each for each in journal.failures(kind) if each.number > sign_on.number)
    return any(each.state in {State.PENDING, State.DOUBTFUL} or each.code == ACCEPTED for each in later)
