"""What a session offers, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import KeyFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import State
from pos_engine.session.policy import Policy
from pos_engine.session.states import FIRST_BATCH, SessionState, session_of
from tests.support.records import KEYS, NOW, answered, new_record

POLICY = Policy(age_max_s=3600.0, lead_s=0.05)


def test_without_a_sign_on_there_are_no_keys() -> None:
    session = session_of(MemoryJournal(UNIONPAY.spec), NOW, POLICY)
    assert (session.state, session.ready, session.batch) == (SessionState.SIGNED_OUT, False, FIRST_BATCH)
    with pytest.raises(KeyFault, match="MAC: sign on first"):
        session.key(KeyUsage.MAC)


def signed_on() -> MemoryJournal:
    journal = MemoryJournal(UNIONPAY.spec)
    journal.save(answered(new_record(journal, Kind.SIGN_ON), State.APPROVED))
    return journal


def test_a_sign_on_offers_its_keys_by_usage() -> None:
    session = session_of(signed_on(), NOW, POLICY)
    assert session.ready
    assert [session.key(usage) for usage in (KeyUsage.PIN, KeyUsage.MAC)] == list(KEYS)
    with pytest.raises(KeyFault, match="TRACK: sign on first"):
        session.key(KeyUsage.TRACK)


@pytest.mark.parametrize(("age_s", "state"), [(3599.9, SessionState.READY), (3600.0, SessionState.EXPIRED)])
def test_a_sign_on_expires_when_it_is_as_old_as_it_may_get(age_s: float, state: SessionState) -> None:
    later = replace(NOW, elapsed_s=NOW.elapsed_s + age_s)
    assert session_of(signed_on(), later, POLICY).state is state


def test_a_restored_journal_has_no_session() -> None:
    journal = signed_on()
    restored = replace(
        new_record(journal, Kind.SIGN_ON), kind=Kind.RESTORE, state=State.APPROVED, request=journal.recent(1)[0].request
    )
    journal.save(restored)
    session = session_of(journal, NOW, POLICY)
    assert (session.state, session.why.en) == (SessionState.EXPIRED, "the journal was restored from a backup")
    journal.save(answered(new_record(journal, Kind.SIGN_ON), State.APPROVED))
    assert session_of(journal, NOW, POLICY).ready
