"""What a session offers, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import NO_REQUESTS, Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import KeyFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import State
from pos_engine.session.policy import Policy
from pos_engine.session.states import FIRST_BATCH, Facts, SessionState, session_of
from pos_engine.values import Text
from tests.support.records import KEYS, NOW, answered, new_record

if TYPE_CHECKING:
    from pos_engine.clock import Instant

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


LATER = replace(NOW, elapsed_s=NOW.elapsed_s + 3600.0)
DEMANDED = range(limits.FUTILE_SIGN_ONS_MAX)


def add(journal: MemoryJournal, kind: Kind, state: State, **changes: Any) -> None:  # noqa: ANN401 - as `replace` takes
    """Save the next record, answered if it has an answer; a note is a record of which nothing was sent."""
    built = new_record(journal, Kind.SIGN_ON if kind in NO_REQUESTS | {Kind.SIGN_OFF} else kind)
    has_answer = state in {State.APPROVED, State.DECLINED} and kind not in NO_REQUESTS
    record = replace(answered(built, state) if has_answer else built, state=state)
    if kind is not record.kind:
        record = replace(record, kind=kind, keys=(), new_batch=None)
    journal.save(replace(record, **changes))


def demand(journal: MemoryJournal) -> None:
    """Let the host answer a sale with nothing but the demand for another sign-on."""
    sign_on = journal.last_approved(Kind.SIGN_ON)
    assert sign_on is not None
    add(journal, Kind.SALE, State.DECLINED, demands_sign_on=True, signed_on_by=sign_on.number)


def locked() -> MemoryJournal:
    """Sign on as often as a host may demand in a row before it is left alone."""
    journal = MemoryJournal(UNIONPAY.spec)
    for _ in DEMANDED:
        add(journal, Kind.SIGN_ON, State.APPROVED)
        demand(journal)
    return journal


def facts(journal: MemoryJournal, policy: Policy = POLICY, now: Instant = NOW) -> Facts:
    sign_on = journal.last_approved(Kind.SIGN_ON)
    assert sign_on is not None
    return Facts(journal, now, policy, sign_on)


def test_a_session_says_why_in_both_languages() -> None:
    never = session_of(MemoryJournal(UNIONPAY.spec), NOW, POLICY)
    assert never.why == Text("the terminal has not signed on yet", "终端尚未签到")
    assert session_of(signed_on(), NOW, POLICY).why == Text("signed on", "已签到")
    assert session_of(signed_on(), LATER, POLICY).why == Text(
        "the sign-on is older than the profile allows", "签到已过期"
    )


@pytest.mark.parametrize("now", [LATER, replace(NOW, boot="boot-2")])
def test_what_does_not_hold_any_more_is_to_be_renewed_now(now: Instant) -> None:
    assert facts(signed_on(), Policy(age_max_s=3600.0, lead_s=0.0), now).renew_in_s == 0.0


@pytest.mark.parametrize(
    ("most", "exchanges", "state"),
    [
        (10, 8, SessionState.READY),
        (10, 9, SessionState.STALE),
        (10, 10, SessionState.EXPIRED),
        (19, 17, SessionState.READY),
        (19, 18, SessionState.STALE),
        (30, 26, SessionState.READY),
        (30, 27, SessionState.STALE),
    ],
)
def test_the_last_tenth_of_the_exchanges_and_at_least_one_is_left_for_a_renewal(
    most: int, exchanges: int, state: SessionState
) -> None:
    journal = signed_on()
    for _ in range(exchanges):
        add(journal, Kind.SALE, State.APPROVED)
    assert session_of(journal, NOW, replace(POLICY, exchanges_max=most)).state is state


def test_what_was_only_put_on_record_is_no_exchange() -> None:
    journal = MemoryJournal(UNIONPAY.spec)
    add(journal, Kind.NOTE, State.APPROVED)
    add(journal, Kind.SIGN_ON, State.APPROVED)
    assert facts(journal).exchanges == 0
    add(journal, Kind.NOTE, State.APPROVED)
    add(journal, Kind.SALE, State.APPROVED)
    add(journal, Kind.NOTE, State.APPROVED)
    assert facts(journal).exchanges == 1


def test_a_sign_on_that_was_cut_short_and_then_refused_is_no_longer_under_way() -> None:
    journal = signed_on()
    add(journal, Kind.SIGN_ON, State.PENDING)
    assert session_of(journal, NOW, POLICY).state is SessionState.SIGNING_ON
    add(journal, Kind.SIGN_ON, State.UNSENT)
    session = session_of(journal, NOW, POLICY)
    assert (session.state, session.why.en) == (
        SessionState.EXPIRED,
        "a later sign-on failed, and the host may have new keys",
    )


@pytest.mark.parametrize(
    ("age_s", "state", "wait_s"),
    [(0.0, SessionState.LOCKED, 5.0), (4.5, SessionState.LOCKED, 0.5), (5.0, SessionState.EXPIRED, 0.0)],
)
def test_a_host_is_left_alone_to_the_last_moment_of_the_wait(age_s: float, state: SessionState, wait_s: float) -> None:
    session = session_of(locked(), replace(NOW, elapsed_s=NOW.elapsed_s + age_s), POLICY)
    assert (session.state, session.wait_s) == (state, wait_s)


def test_who_signed_off_waits_for_no_host() -> None:
    journal = locked()
    assert session_of(journal, NOW, POLICY).wait_s == limits.BACKOFF_FIRST_S
    add(journal, Kind.SIGN_OFF, State.DOUBTFUL)
    session = session_of(journal, NOW, POLICY)
    assert (session.state, session.wait_s) == (SessionState.SIGNED_OFF, 0.0)


@pytest.mark.parametrize(("beyond", "state"), [(0, SessionState.LOCKED), (1, SessionState.EXPIRED)])
def test_futile_sign_ons_are_looked_for_among_the_newest_requests_only(beyond: int, state: SessionState) -> None:
    journal = MemoryJournal(UNIONPAY.spec)
    for _ in DEMANDED[1:]:
        add(journal, Kind.SIGN_ON, State.APPROVED)
        demand(journal)
    counted = 2 * len(DEMANDED)
    for _ in range(limits.SESSION_RECORDS_MAX - counted + beyond):
        add(journal, Kind.SALE, State.UNSENT)
    # Notes are no requests, and take no room among them.
    add(journal, Kind.NOTE, State.APPROVED)
    add(journal, Kind.SIGN_ON, State.APPROVED)
    demand(journal)
    assert session_of(journal, NOW, POLICY).state is state


@pytest.mark.parametrize(
    ("time", "left_s"), [("153047", 30_553.0), ("000000", 86_400.0), ("235959", 1.0), ("1530", 90_000.0)]
)
def test_the_hosts_day_ends_at_its_midnight_to_the_second(time: str, left_s: float) -> None:
    journal = MemoryJournal(UNIONPAY.spec)
    answer = answered(new_record(journal, Kind.SIGN_ON), State.APPROVED).answer
    assert answer is not None
    add(journal, Kind.SIGN_ON, State.APPROVED, answer=answer.replace({12: time}))
    assert facts(journal, Policy(age_max_s=90_000.0, follows_host_day=True)).left_s == left_s


def test_a_sign_on_without_an_answer_on_record_has_no_hosts_day() -> None:
    journal = MemoryJournal(UNIONPAY.spec)
    add(journal, Kind.SIGN_ON, State.APPROVED, answer=None)
    assert facts(journal, replace(POLICY, follows_host_day=True)).left_s == POLICY.age_max_s
