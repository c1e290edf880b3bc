"""Is the terminal signed on? Derived from the journal each time it is asked: no second place could disagree.

The rules: a sign-on holds until the host demands another, until it is older than the profile allows, or until the
terminal boots, because elapsed age cannot be known across a boot. Keys, batch and time of one sign-on become current
together.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.errors import KeyFault
from pos_engine.journal.record import State
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.crypto.keys import KeyUsage, WrappedKey
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView

DONE: Final = "00"
"""The response code by which a host says that it did what a management message asked."""

FIRST_BATCH: Final = "000000"
"""What a terminal sends before any host has given it a batch number."""


class SessionState(enum.Enum):
    """Whether requests can be sent now."""

    SIGNED_OUT = "never signed on"
    READY = "signed on"
    EXPIRED = "a new sign-on is due"
    SIGNED_OFF = "signed off on purpose"


@dataclass(frozen=True, slots=True)
class Session:
    """The session as the journal tells it."""

    state: SessionState
    sign_on: Record | None
    why: Text

    @property
    def ready(self) -> bool:
        """Whether requests can be sent now."""
        return self.state is SessionState.READY

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


def session_of(journal: JournalView, now: Instant, age_max_s: float) -> Session:
    """Derive the session from the journal."""
    sign_on = journal.last_approved(Kind.SIGN_ON)
    if sign_on is None:
        return Session(SessionState.SIGNED_OUT, None, Text("the terminal has not signed on yet", "终端尚未签到"))
    if _may_have_happened(journal, Kind.SIGN_OFF, sign_on):
        return Session(SessionState.SIGNED_OFF, sign_on, Text("the terminal was signed off", "终端已签退"))
    why = _why_expired(journal, sign_on, now.since(sign_on.changed), age_max_s)
    if why is not None:
        return Session(SessionState.EXPIRED, sign_on, why)
    return Session(SessionState.READY, sign_on, Text("signed on", "已签到"))


def _why_expired(journal: JournalView, sign_on: Record, age_s: float | None, age_max_s: float) -> Text | None:
    if _may_have_happened(journal, Kind.SIGN_ON, sign_on):
        return Text("a later sign-on failed, and the host may have new keys", "后一次签到未完成, 主机可能已换密钥")
    restored = journal.last_approved(Kind.RESTORE)
    if restored is not None and restored.number > sign_on.number:
        return Text("the journal was restored from a backup", "流水由备份恢复")
    if journal.demanded_after(sign_on.number) is not None:
        return Text("the host demanded a new sign-on", "主机要求重新签到")
    if age_s is None:
        return Text("the terminal was restarted since it signed on", "终端在签到后重新启动")
    if age_s >= age_max_s:
        return Text("the sign-on is older than the profile allows", "签到已过期")
    return None


def _may_have_happened(journal: JournalView, kind: Kind, sign_on: Record) -> bool:
    """Tell whether the host may have done something of a kind since a sign-on, whatever the terminal made of it.

    It may when the answer was lost, and when it was an approval that the terminal could not use.
    """
    approved = journal.last_approved(kind)
    if approved is not None and approved.number > sign_on.number:
        return True
    later = (each for each in journal.failures(kind) if each.number > sign_on.number)
    return any(each.state in {State.PENDING, State.DOUBTFUL} or each.code == DONE for each in later)
