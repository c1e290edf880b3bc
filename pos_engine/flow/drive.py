"""The one driver: a generator that yields effects and is sent what happened.

The terminal, the simulated world and the swarm perform the same effects with different means; there is no other loop.
A drive first works off what is owed, because no new money may move while older money is in doubt; only a sign-on may
go ahead.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind, OnSilence
from pos_engine.errors import DecodeError, KeyFault, MismatchError, Trouble, UsageError
from pos_engine.flow import downloads, requests
from pos_engine.flow.checks import Order, check_card, check_form, check_history, check_repeat
from pos_engine.flow.effects import (
    Answered,
    Ask,
    Authorise,
    Authorised,
    CheckKeys,
    Effect,
    Enciphered,
    EncipherTrack,
    Happening,
    KeysChecked,
    Listen,
    MacState,
    NothingSent,
    Presented,
    Save,
    Sent,
    Silent,
    TakeCard,
    Unreadable,
    Verified,
    VerifyMac,
)
from pos_engine.flow.late import belated, former_key, with_proof
from pos_engine.flow.plan import Duty, DutyKind, plan
from pos_engine.flow.refused import goes_by_itself, may_be_repeated, repeat_order
from pos_engine.flow.responses import classify
from pos_engine.flow.states import Cue
from pos_engine.flow.step import Evidence, step
from pos_engine.flow.strays import keep, recognise, with_nearest
from pos_engine.flow.ways import has_to_be_known, on_its_way, road_of
from pos_engine.journal.record import FINAL, Record, State
from pos_engine.session.states import FIRST_BATCH, SessionState, session_of

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView
    from pos_engine.session.states import Session
    from pos_engine.values import Amount, EncipheredTrack

Drive = Generator[Effect, Happening, "Finished"]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a drive ended: the ordered exchange's record, or the owed one that stands in its way."""

    now: Instant
    record: Record | None = None
    """What became of the order; `None` when there was none or it was not begun."""
    blocked_by: Record | None = None
    """The owed exchange that failed."""
    worked_off: tuple[Record, ...] = field(default=())
    """Owed exchanges that were done on the way."""


def drive(order: Order | None, journal: JournalView, profile: Profile, now: Instant) -> Drive:
    """Do what is owed and due, then what is ordered; with an order, what is owed does not wait for its back-off.

    Raises `UsageError` for an order that cannot be, before anything is sent for it. An order whose idempotency key was
    used before ends with the first one's record.
    """
    first = check_repeat(order, journal) if order is not None else None
    if first is not None and first.state in FINAL:
        return Finished(now, first)
    if order is not None and first is None:
        check_form(order, profile)
    done = Finished(now)
    if order is None or _comes_after_duties(order, profile):
        done = yield from _work_off(journal, profile, now, order)
    elif profile.dialect.kinds[order.kind].mac:
        done = yield from _signed_on(journal, profile, now)
    if first is not None:
        # Whether or not its duty could be done just now: what became of it is what was asked.
        known, now = yield from _known(first, journal, profile, done.now)
        return replace(done, now=now, record=known, blocked_by=None)
    if order is None or done.blocked_by is not None:
        return done
    record, blocked, now = yield from _carry_out(order, journal, profile, done.now)
    return Finished(now, record, blocked, done.worked_off)


def _known(
    first: Record, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Return what became of a request; that one which was cut short is in doubt is on record before it is told."""
    record = journal.find(first.number) or first
    if record.state is not State.PENDING:
        return record, now
    return (yield from _exchange(record, Cue.RESTART, journal, profile, now))


def _comes_after_duties(order: Order, profile: Profile) -> bool:
    """Tell whether what is owed must be worked off first: for money, and before the session is given up."""
    return profile.dialect.kinds[order.kind].financial or order.kind is Kind.SIGN_OFF


def _carry_out(
    order: Order, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record | None, Record | None, Instant]]:
    """Check an order against history, ask who must be asked, and run it.

    Returns its record, or the sign-on that failed before it, and the time.
    """
    if profile.dialect.kinds[order.kind].mac:
        failed, now = yield from _renewed(journal, profile, now)
        if failed is not None:
            return None, failed, now
    session = session_of(journal, now, profile.session)
    order = check_history(order, journal, session, profile, now)
    if order.original is not None:
        now = yield from authorised(order.kind, order.amount, order.original.stan)
    presented, now = yield from _presented(order, journal, profile, now)
    record, now = yield from _begun(order, presented, journal, profile, now)
    if profile.repeats_refused and goes_by_itself(presented) and may_be_repeated(record, journal, profile.dialect):
        record, now = yield from _repeated(record, presented, journal, profile, now)
    return record, None, now


def _repeated(
    refused: Record, presented: Presented | None, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Do what is owed, the sign-on first, and send once more what was refused until then, with the card that was read.

    It is an order like any other, so whatever would refuse that ends it; and it is made once.
    """
    done = yield from _work_off(journal, profile, now, Order(kind=refused.kind))
    session = session_of(journal, done.now, profile.session)
    if done.blocked_by is not None or not session.ready or presented is None:
        return refused, done.now
    try:
        order = repeat_order(refused, journal, profile.dialect)
        order = check_history(order, journal, session, profile, done.now)
        check_card(order, presented.card, journal, profile, done.now)
    except UsageError:
        return refused, done.now
    record, now = yield from _begun(order, presented, journal, profile, done.now)
    return (refused if record.state is State.UNSENT else record), now


def authorised(kind: Kind, amount: Amount | None, stan: str) -> Generator[Effect, Happening, Instant]:
    """Ask the supervisor; `UsageError` when it may not be."""
    happened = yield Ask(Authorise(kind, amount, stan))
    if not isinstance(happened, Authorised):
        raise _unexpected(happened)
    if not happened.granted:
        reason = f"the supervisor did not allow the {kind.value}"
        raise UsageError(reason)
    return happened.now


def _signed_on(journal: JournalView, profile: Profile, now: Instant) -> Drive:
    """Sign on if that is due, and do nothing else that is owed: an inquiry moves no money."""
    session = session_of(journal, now, profile.session)
    if session.ready:
        return Finished(now)
    if session.state is SessionState.LOCKED:
        return Finished(now, None, _demand(journal, profile, now))
    record, now = yield from _ordered(Order(kind=Kind.SIGN_ON), journal, profile, now)
    if record.state is State.APPROVED:
        return Finished(now, worked_off=(record,))
    return Finished(now, blocked_by=record)


def _work_off(journal: JournalView, profile: Profile, now: Instant, order: Order | None) -> Drive:
    """Do what is owed, oldest first; with an order it does not wait for its back-off."""
    urgent = order is not None
    wanted = order is not None and order.kind is not Kind.SIGN_OFF
    done: tuple[Record, ...] = ()
    last: Record | None = None
    for record in journal.open_records(_asking(profile)):
        if record.state is State.PENDING:
            # Nothing is sent for it by itself, but that it is in doubt is put on record and told.
            _, now = yield from _exchange(record, Cue.RESTART, journal, profile, now)
    signed_on, has_tried = 0, False
    for _ in range(limits.DUTIES_PER_CALL_MAX):
        duty = plan(journal, profile, now, wanted=wanted, urgent=urgent)
        if duty is None or _rests(duty, urgent=urgent, has_tried=has_tried):
            return Finished(now, None, _demand(journal, profile, now) if urgent else None, done)
        if duty.kind is DutyKind.SIGN_ON and signed_on >= limits.SIGN_ONS_PER_CALL_MAX:
            return Finished(now, None, last, done)
        last, now = yield from _fulfil(duty, journal, profile, now)
        signed_on += last.kind is Kind.SIGN_ON
        is_spared = urgent and duty.is_taken_over
        has_tried = has_tried or is_spared
        if last.state is State.APPROVED:
            done = (*done, last)
            if duty.kind is DutyKind.DOWNLOAD:
                # One page in a call: whoever comes meanwhile waits for that one at most.
                return Finished(now, None, None, done)
        elif not (last.demands_sign_on or is_spared):
            return Finished(now, None, last, done)
    return Finished(now, None, last, done)


def _rests(duty: Duty, *, urgent: bool, has_tried: bool) -> bool:
    """Tell whether a duty is left for later: its time has not come, and nobody waits for it.

    Who waits for something else gives one duty that was taken over one attempt in a call, and waits for no more.
    """
    if duty.is_taken_over:
        return duty.wait_s > 0 or has_tried
    return duty.wait_s > 0 and (duty.is_locked or not urgent)


def _demand(journal: JournalView, profile: Profile, now: Instant) -> Record | None:
    """Name the demand that keeps a session locked: nothing goes ahead of it."""
    session = session_of(journal, now, profile.session)
    is_locked = session.state is SessionState.LOCKED and session.sign_on is not None
    return journal.demanded_after(session.sign_on.number) if is_locked and session.sign_on is not None else None


def _asking(profile: Profile) -> list[Kind]:
    return [row.kind for row in profile.dialect.kinds.values() if row.on_silence is OnSilence.ASK]


def _fulfil(
    duty: Duty, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    if duty.record is None:
        return (yield from _ordered(duty.order or Order(kind=Kind.SIGN_ON), journal, profile, now))
    record, cue = duty.record, Cue.REPEAT
    if record.state is State.PENDING:
        # The terminal went down in the middle of this exchange: what it knew is gone, so its outcome is in doubt.
        record, now = yield from _exchange(record, Cue.RESTART, journal, profile, now)
    if duty.kind is DutyKind.REVERSE:
        record, cue = requests.draft_reversal(record, journal, profile, now), Cue.START
    return (yield from _exchange(record, cue, journal, profile, now))


def _ordered(
    order: Order, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    presented, now = yield from _presented(order, journal, profile, now)
    return (yield from _begun(order, presented, journal, profile, now))


def _presented(
    order: Order, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Presented | None, Instant]]:
    """Have a card presented, where the order is about one."""
    if not profile.dialect.kinds[order.kind].takes_card:
        return None, now
    session = session_of(journal, now, profile.session)
    happened = yield Ask(TakeCard(order.amount, session.key(KeyUsage.PIN)))
    if not isinstance(happened, Presented):
        raise _unexpected(happened)
    check_card(order, happened.card, journal, profile, happened.now)
    return happened, happened.now


def _begun(
    order: Order, presented: Presented | None, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Draft an order's request and run its exchange."""
    session = session_of(journal, now, profile.session)
    track, now = yield from _enciphered(presented, session, profile, now)
    record = requests.draft(order, journal, profile, now, session=session, presented=presented, track=track)
    return (yield from _exchange(record, Cue.START, journal, profile, now))


def _enciphered(
    presented: Presented | None, session: Session, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[EncipheredTrack | None, Instant]]:
    """Have a swiped card's track enciphered where the key scheme wants that, with the key that is in force by now."""
    scheme = profile.dialect.scheme
    if presented is None or presented.card.track2 is None or scheme is None or not scheme.enciphers_tracks:
        return None, now
    happened = yield Ask(EncipherTrack(presented.card.track2, session.key(KeyUsage.TRACK)))
    if not isinstance(happened, Enciphered):
        raise _unexpected(happened)
    return happened.track, happened.now


def _renewed(
    journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record | None, Instant]]:
    """Check the keys in force before a card is taken, and sign on when they do not open: the master key was replaced.

    Keys of another scheme than the acquirer's are as bad: it was changed. Returns the sign-on that failed, or `None`
    when the keys are good.
    """
    sign_on, scheme = session_of(journal, now, profile.session).sign_on, profile.dialect.scheme
    keys = sign_on.keys if sign_on is not None else ()
    if scheme is None or scheme.serves(keys):
        happened = yield Ask(CheckKeys(keys))
        if not isinstance(happened, KeysChecked):
            raise _unexpected(happened)
        now = happened.now
        if happened.good:
            return None, now
    record, now = yield from _ordered(Order(kind=Kind.SIGN_ON), journal, profile, now)
    return (None if record.state is State.APPROVED else record), now


def _exchange(
    record: Record, cue: Cue | None, journal: JournalView, profile: Profile, now: Instant
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Run one exchange to a state in which nothing more happens by itself."""
    session = session_of(journal, now, profile.session)
    terms = evidence = _terms(record, session, journal, profile, now)
    while cue is not None:
        record, effects = step(record, cue, now, evidence)
        cue = None
        for effect in effects:
            happened = yield effect
            now = happened.now
            record = on_its_way(record, happened)
            # What came before the request may prove something about an earlier one: it is kept before anything else.
            for stray in _set_aside(happened):
                record, now = yield from _kept(stray, record, journal, profile, now, batch=session.batch, before=True)
            if isinstance(happened, Sent):
                if has_to_be_known(record, happened.way, profile):
                    now = (yield Save(record)).now
                happened = yield Listen(terms.deadline_s, terms.seal_key, terms.mac_key)
                now = happened.now
            cue, evidence = _cue_of(happened, record, profile, terms)
            if isinstance(happened, Answered) and cue is Cue.STRANGER:
                record, now = yield from _kept(happened, record, journal, profile, now, batch=session.batch)
            if cue is Cue.SILENCE:
                told = with_nearest(evidence.note, record, journal, profile.dialect, now)
                evidence = replace(evidence, note=told)
    return record, now


def _terms(record: Record, session: Session, journal: JournalView, profile: Profile, now: Instant) -> Evidence:
    """Say how a record's request is sent: until when, under which keys, and what of the records before it matters."""
    signed_on = session.sign_on is not None
    # An owed message is sealed with today's key, whatever it was first sealed with.
    sealed = profile.dialect.kinds[record.kind].mac
    return Evidence(
        deadline_s=now.elapsed_s + profile.answer_timeout_s,
        seal_key=session.key(KeyUsage.MAC) if sealed else None,
        mac_key=session.key(KeyUsage.MAC) if signed_on else None,
        signed_on_by=session.sign_on.number if session.sign_on is not None else None,
        before=downloads.before(record, journal, profile.dialect),
        road=road_of(record, journal),
    )


def _set_aside(happened: Happening) -> tuple[Answered | Unreadable, ...]:
    return happened.set_aside if isinstance(happened, Sent | Silent | NothingSent) else ()


def _kept(
    stray: Answered | Unreadable,
    record: Record,
    journal: JournalView,
    profile: Profile,
    now: Instant,
    *,
    batch: str,
    before: bool = False,
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Keep with the present exchange what came and was not its answer, and on its own record what that proves."""
    if isinstance(stray, Unreadable):
        return replace(record, unread=record.unread + 1), now
    stray = yield from _verified(stray, journal, profile, batch=batch)
    seen = recognise(stray, record, journal, profile, batch=batch, before=before)
    return (yield from _kept_late(stray, keep(record, seen, profile.dialect), journal, profile, now, batch=batch))


def _kept_late(
    stray: Answered, record: Record, journal: JournalView, profile: Profile, now: Instant, *, batch: str
) -> Generator[Effect, Happening, tuple[Record, Instant]]:
    """Keep what a stray message proves, on whichever record that is; returns the present exchange's own record."""
    found = belated(stray, journal, profile, now, batch=batch, waiting=record.number)
    if found is None or found.late is None:
        return record, now
    if found.number == record.number:
        found = record = with_proof(record, found.late)
    return record, (yield Save(found)).now


def _verified(
    stray: Answered, journal: JournalView, profile: Profile, *, batch: str
) -> Generator[Effect, Happening, Answered]:
    """Verify a stray message again, where its request was sent under an earlier key than the one in force."""
    key = former_key(stray.message, journal, profile, batch=batch) if stray.mac is MacState.WRONG else None
    if key is None or stray.packet is None:
        return stray
    happened = yield Ask(VerifyMac(stray.packet, key))
    if not isinstance(happened, Verified):
        raise _unexpected(happened)
    return replace(stray, mac=MacState.VALID) if happened.good else stray


def _cue_of(happened: Happening, record: Record, profile: Profile, terms: Evidence) -> tuple[Cue | None, Evidence]:
    """Turn what the world answered into a cue; `None` where an effect was simply done."""
    match happened:
        case Answered():
            return _read_answer(happened, record, profile, terms)
        case Silent(why=why, trouble=trouble):
            return Cue.SILENCE, replace(terms, note=why, trouble=trouble)
        case NothingSent(why=why, keys_failed=failed, trouble=trouble):
            told = replace(terms, note=why, demands_sign_on=failed, trouble=trouble)
            # What has to be repeated until it is accepted is still owed when it could not even be sent.
            repeated = profile.dialect.kinds[record.kind].on_silence is OnSilence.REPEAT
            return (Cue.NOT_SENT_AGAIN if repeated else Cue.NOT_SENT), told
        case Unreadable(why=why, keys_failed=failed, trouble=trouble):
            return Cue.UNREADABLE, replace(terms, note=why, demands_sign_on=failed, trouble=trouble)
        case KeysChecked(good=good, why=why):
            return (Cue.KEYS_GOOD if good else Cue.KEYS_BAD), replace(terms, note=why)
        case _:
            return None, terms


def _read_answer(happened: Answered, record: Record, profile: Profile, terms: Evidence) -> tuple[Cue, Evidence]:
    dialect = profile.dialect
    cue, why = classify(record, happened, profile)
    if cue is Cue.STRANGER:
        return cue, replace(terms, note=why)
    wanted = happened.processing_request
    evidence = replace(
        terms,
        answer=happened.message.only(dialect.kept),
        demands_sign_on=wanted in dialect.sign_on_requests,
        wanted=wanted,
        note=why or _not_served(wanted, dialect),
    )
    if cue is Cue.KEYS_OFFERED:
        return _read_sign_on(happened, record, profile, evidence)
    return _read_page(happened, record, dialect, evidence) if cue is Cue.APPROVAL else (cue, evidence)


def _not_served(wanted: str | None, dialect: Dialect) -> str:
    """Say that the host asks for something that this terminal does not do; empty where it does, or nothing is asked."""
    if wanted is None or wanted in dialect.sign_on_requests or wanted in dialect.downloads:
        return ""
    return "the host's header asks for something that this terminal does not know"


def _read_page(happened: Answered, record: Record, dialect: Dialect, evidence: Evidence) -> tuple[Cue, Evidence]:
    """Read what a page of a download brought; what another request would be answered with is a stranger."""
    take = next((each.pages[record.kind] for each in dialect.downloads.values() if record.kind in each.pages), None)
    if take is None:
        return Cue.APPROVAL, evidence
    try:
        brought = take(record.request, happened.message, evidence.before)
        return Cue.APPROVAL, replace(evidence, brought=brought)
    except MismatchError as error:
        return Cue.STRANGER, replace(evidence, answer=None, wanted=None, note=f"passed over an answer: {error}")
    except DecodeError as error:
        return Cue.UNREADABLE, replace(evidence, note=str(error))
    except KeyFault as error:
        return Cue.UNREADABLE, replace(evidence, note=str(error), trouble=Trouble.PUBLIC_KEY)


def _read_sign_on(happened: Answered, record: Record, profile: Profile, evidence: Evidence) -> tuple[Cue, Evidence]:
    """Read what a sign-on brought; a layout that nobody knows makes the answer unreadable, and activates nothing."""
    try:
        keys = profile.dialect.read_keys(happened.message)
        batch = profile.dialect.read_batch(happened.message)
    except DecodeError as error:
        return Cue.UNREADABLE, replace(evidence, note=str(error))
    note = evidence.note
    if batch is not None and record.batch not in {FIRST_BATCH, batch}:
        note = f"the host changes the batch from {record.batch} to {batch}"
    return Cue.KEYS_OFFERED, replace(evidence, keys=keys, new_batch=batch, note=note)


def _unexpected(happened: Happening) -> AssertionError:
    reason = f"{type(happened).__name__} does not answer the effect that was yielded"
    return AssertionError(reason)
