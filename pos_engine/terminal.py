"""`Terminal`: what an application embeds. Each call works off what is owed, does one thing, ends in a definite state.

No threads, no timers, nothing behind the caller's back: `tick` does what is due and says when to call again. A call
waits at most the answer timeout for each exchange it makes, and with an order it makes at most seven (a reversal
thrice, one that was taken over, two sign-ons, the order itself; `download` one for each page), besides the time a
cardholder takes. A decline is a returned value. An error means that nothing was sent for this call, or that no money
was at stake; after a `JournalFault` or an interrupt the request may have left, and the next start takes it up as in
doubt.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from pos_engine import limits
from pos_engine.assembly import assemble
from pos_engine.config import Config, load
from pos_engine.dialects.base import NO_REQUESTS, Kind, Verdict
from pos_engine.errors import (
    JournalFault,
    KeyFault,
    NoAnswer,
    NotSent,
    NotSignedOn,
    PosError,
    Trouble,
    UsageError,
)
from pos_engine.flow import downloads
from pos_engine.flow.checks import Order, check_key, latest
from pos_engine.flow.drive import drive
from pos_engine.flow.explain import Explanation, explain
from pos_engine.flow.note import put_on_record
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, Line, Outcome, line_of, outcome_of
from pos_engine.flow.plan import expendable, owed, plan
from pos_engine.flow.refused import repeat_order
from pos_engine.flow.takeover import Takeover, take_over
from pos_engine.journal.record import State
from pos_engine.peripherals.held import HeldCard
from pos_engine.session.diagnosis import diagnose
from pos_engine.session.history import history_of
from pos_engine.session.states import SessionState, session_of
from pos_engine.status import Status, Tick, status_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from pos_engine.clock import Clock
    from pos_engine.dialects.base import OriginalRef
    from pos_engine.flow.downloads import TerminalData
    from pos_engine.flow.drive import Drive, Finished
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.performer import Performer
    from pos_engine.peripherals.base import CardReader, PinPad, Supervisor
    from pos_engine.session.contingency import Contingency, Deed, Step
    from pos_engine.session.diagnosis import Diagnosis
    from pos_engine.session.history import History
    from pos_engine.session.states import Session
    from pos_engine.trace import Trace
    from pos_engine.values import Amount, Card


class Terminal:
    """A POS terminal. `Terminal.open` makes one from a configuration; the constructor takes the parts."""

    def __init__(self, profile: Profile, performer: Performer) -> None:
        """Take over a performer and everything it holds; `close` releases it."""
        self._profile = profile
        self._performer = performer
        self._busy = False
        self._ended_with: Record | None = None

    @classmethod
    def open(
        cls,
        config: Config | Path | str | None = None,
        *,
        reader: CardReader | None = None,
        pin_pad: PinPad | None = None,
        supervisor: Supervisor | None = None,
        trace: Trace | None = None,
        clock: Clock | None = None,
        read_only: bool = False,
    ) -> Self:
        """Make a terminal from a configuration: a `Config`, a TOML file's path, or `None` for the usual places.

        `reader` and `pin_pad` are the integrator's devices; without them the configuration names a console or
        simulated one. `read_only` opens the journal for `status` alone, while another process may hold it. Raises
        `ConfigError`, `KeyFault`, `JournalFault`; nothing stays open then.
        """
        settings = config if isinstance(config, Config) else load(config)
        parts = assemble(
            settings,
            reader=reader,
            pin_pad=pin_pad,
            supervisor=supervisor,
            trace=trace,
            clock=clock,
            read_only=read_only,
        )
        return cls(*parts)

    def __enter__(self) -> Self:
        """Return the terminal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the terminal."""
        self.close()

    @property
    def clock(self) -> Clock:
        """The clock it lives by."""
        return self._performer.clock

    @property
    def contingency(self) -> Contingency:
        """What its configuration wants done at the till while it cannot sign on."""
        return self._profile.contingency

    def use_route(self, address: str | None) -> None:
        """Reach the host at another address from now on, or with `None` over the configured roads again.

        Raises `UsageError` for what is no address, and where there is no other road.
        """
        self._refuse_if_busy()
        self._performer.routes.use(address)

    def put_on_record(self, deed: Deed, act: Step | None = None) -> None:
        """Put on record what the till did by itself while the terminal could not sign on; raises `JournalFault`."""
        performer = self._performer
        self._perform(put_on_record(deed, act, performer.journal, self._profile, performer.clock.now()))

    def close(self) -> None:
        """Close link, journal and keystore; more than once does no harm. What is owed stays in the journal."""
        self._performer.routes.close()
        with contextlib.suppress(JournalFault):
            # A program that runs one transaction and ends never ticks; what it need not keep goes with it.
            self._shred()
        self._performer.journal.close()
        self._performer.keystore.close()

    def sign_on(self) -> Outcome:
        """Sign on now, whether or not it is due, and take new working keys.

        Returns `Approved` or `Declined`; raises `NotSent`, `NoAnswer`, or `KeyFault` when a key fails its check value.
        """
        return self._do(Order(kind=Kind.SIGN_ON))

    def sign_off(self) -> Outcome:
        """Sign off, once what is owed is done; the terminal signs on again when it is used. Raises as `sign_on`."""
        return self._do(Order(kind=Kind.SIGN_OFF))

    def echo(self) -> Outcome:
        """Ask the host for a sign of life; needs no sign-on. Raises `NotSent` or `NoAnswer`."""
        return self._do(Order(kind=Kind.ECHO))

    def upload_status(self, report: str = "") -> Outcome:
        """Tell the host how the terminal is: its devices and parameters, or `report`. Raises as `echo` does.

        A report is text as the dialect writes it, of characters that take one byte each.
        """
        text = report or downloads.status_report(self._performer.journal, self._profile)
        return self._do(Order(kind=Kind.STATUS, report=text))

    def download(self, what: str, *, anew: bool = False) -> Outcome:
        """Fetch "parameters", "ca-keys", "aids" or "blacklist" from the host, or tell it the "status".

        Needs no sign-on. Goes on where it stopped the last time, unless it is to begin `anew`. All of it comes into
        force at its end: returns the host's word on that, or its refusal of a page. Raises as `echo` does, `KeyFault`
        for a public key that fails its check value, `UsageError` for what the dialect does not have.
        """
        journal, clock = self._performer.journal, self._performer.clock
        order = downloads.ordered(what, journal, self._profile, clock.now(), anew=anew)
        outcome = self._do(order)
        while isinstance(outcome, Approved) and not downloads.is_end(order, self._profile.dialect):
            order = downloads.ordered(what, journal, self._profile, clock.now())
            outcome = self._do(order)
        return outcome

    def terminal_data(self) -> TerminalData:
        """Tell what the host has given the terminal to keep: parameters, public keys, applications, card ranges."""
        return downloads.terminal_data(self._performer.journal, self._profile.dialect)

    def balance(self, *, card: Card | None = None) -> Outcome:
        """Ask for a card's balance; `Approved.balance` has it. No money is at stake: silence raises `NoAnswer`."""
        return self._do(Order(kind=Kind.BALANCE), card)

    def sale(
        self,
        amount: Amount,
        *,
        card: Card | None = None,
        key: str | None = None,
        expected: Amount | None = None,
        allow_partial: bool = False,
    ) -> Outcome:
        """Sell: take a card (the reader's, unless one is given) and perhaps a PIN, and ask for `amount`.

        Signs on first when that is due and reverses first what is in doubt. `InDoubt` is reversed before anything else
        is sent. With a `key`, calling again returns the first outcome instead of selling twice. `expected` is what the
        till says is due. With `allow_partial`, the approval may be of less: `Approved.amount` says how much.
        Raises `NotSent` when nothing was sent, `NotSignedOn`, `KeyFault`, `UsageError`, `JournalFault`.
        """
        order = Order(kind=Kind.SALE, amount=amount, key=key, expected=expected, allows_partial=allow_partial)
        return self._do(order, card)

    def void(self, original: OriginalRef, *, card: Card | None = None, key: str | None = None) -> Outcome:
        """Undo an approved sale of this terminal and batch, all of it; `original` is `Approved.reference`.

        The supervisor is asked first, where there is one. Raises as `sale` does.
        """
        return self._do(Order(kind=Kind.VOID, original=original, key=key), card)

    def refund(
        self, amount: Amount, *, original: OriginalRef, card: Card | None = None, key: str | None = None
    ) -> Outcome:
        """Give back all or part of an earlier sale to the card that paid; `original` is `Approved.reference`.

        An answer that stays away leaves the refund `InDoubt`: it is never repeated by itself, and further refunds of
        the same sale are refused until a person has found out what became of it. Raises as `sale` does.
        """
        return self._do(Order(kind=Kind.REFUND, amount=amount, original=original, key=key), card)

    def repeat(
        self, stan: str, *, batch: str | None = None, card: Card | None = None, expected: Amount | None = None
    ) -> Outcome:
        """Repeat a request that the host refused until a sign-on (77, A0, 99), once it has signed on.

        It gets a new STAN, and reader and PIN pad are asked again. Each refusal is repeated once: the same call again
        tells what became of the repeat. `batch` is that of the refused request, by default the one in force;
        `expected` is of a sale, and what the till says is due.
        Raises `UsageError` when `stan` was not refused so, and as `sale` does.
        """
        journal, dialect = self._performer.journal, self._profile.dialect
        order = repeat_order(self._request(stan, batch), journal, dialect)
        if expected is not None and (order.kind is not Kind.SALE or order.amount != expected):
            reason = f"STAN {stan} is a {order.kind.value}, and not a sale of {expected}"
            raise UsageError(reason)
        return self._do(order, card)

    def resolve(
        self, stan: str, *, reason: str, by: str = "", batch: str | None = None, moved: bool | None = None
    ) -> Line:
        """Put on record that a person takes over what is owed for a STAN; returns where that stands then.

        For a reversal that the host did not accept three times: it blocks nothing any more, and is still tried. For a
        refund in doubt: `moved` says what the acquirer says became of the money. The supervisor is asked first.
        Raises `UsageError` when nothing such is owed, `JournalFault`.
        """
        word = Takeover(stan=stan, reason=reason, by=by, batch=batch, moved=moved)
        journal, now = self._performer.journal, self._performer.clock.now()
        finished = self._perform(take_over(word, journal, self._profile, now))
        if finished.record is None:
            raise _blocked(None)
        return line_of(finished.record, journal.acting_on(finished.record.number))

    def outcome(self, key: str) -> Outcome | None:
        """Tell what became of the request with an idempotency key, its repeat included; `None` without one."""
        check_key(key)
        journal = self._performer.journal
        record = journal.find_key(key)
        if record is None:
            return None
        record = latest(record, journal)
        return outcome_of(
            record, self._profile.dialect, journal.acting_on(record.number), journal.last_approved(Kind.RESTORE)
        )

    def explain(self, stan: str, *, batch: str | None = None) -> Explanation:
        """Explain the transaction with a STAN: what happened, why it stands so, what comes next, what to do now.

        `batch` is by default the one in force. Raises `UsageError` when there is no such transaction.
        """
        journal = self._performer.journal
        return explain(self._request(stan, batch), journal, self._profile.dialect)

    def find_sale(self, stan: str, batch: str | None = None) -> OriginalRef | None:
        """Look up a sale of this terminal that was approved, whatever became of it since; by default in this batch."""
        record = self._performer.journal.find_original(batch or self._session().batch, stan)
        outcome = outcome_of(record, self._profile.dialect) if record is not None and record.kind is Kind.SALE else None
        return outcome.reference if isinstance(outcome, Approved) else None

    def _request(self, stan: str, batch: str | None) -> Record:
        record = self._performer.journal.find_original(batch or self._session().batch, stan)
        if record is None or record.kind in NO_REQUESTS:
            reason = f"no transaction has STAN {stan} in this batch" if batch is None else f"no STAN {stan} in {batch}"
            raise UsageError(reason)
        return record

    def tick(self) -> Tick:
        """Do what is due: sign on, reverse, repeat, fetch, destroy card data. Never raises for a dead link.

        With nothing owed, it tries out a quiet connection where that is wanted, and whether a better road can be had
        again.
        """
        self._shred()
        finished = self._run(None)
        self._shred()
        now = self._performer.clock.now()
        duty = plan(self._performer.journal, self._profile, now)
        if duty is None:
            self._look_after_roads()
        outcomes = (outcome_of(record, self._profile.dialect) for record in finished.worked_off)
        done = tuple(outcome for outcome in outcomes if outcome is not None)
        count = sum(1 for _ in owed(self._performer.journal, self._profile, now))
        failed = str(_blocked(finished.blocked_by)) if finished.blocked_by is not None else None
        again_in_s = duty.wait_s if duty is not None else self._idle_for_s()
        return Tick(done, count, again_in_s, failed, idle=duty is None)

    def _look_after_roads(self) -> None:
        """Go back to a better road that can be had again, or give a sign of life over a quiet connection."""
        routes = self._performer.routes
        if not routes.look() and routes.echo_in_s() == 0:
            # Whether it was answered is remembered where roads are.
            self._run(Order(kind=Kind.ECHO))

    def _idle_for_s(self) -> float | None:
        """Return the seconds until something is to be done though nothing is owed."""
        routes = self._performer.routes
        waits = (self._session().renew_in_s, routes.echo_in_s(), routes.return_in_s())
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def status(self, *, recent: int = 5) -> Status:
        """Tell where the terminal stands; nothing is sent and nothing changes."""
        performer = self._performer
        return status_of(performer.journal, self._profile, performer.clock.now(), performer.routes, recent=recent)

    def diagnosis(self) -> Diagnosis | None:
        """Say why the last call failed, where the sign-on or the session is why; `None` otherwise. Sends nothing."""
        journal, session = self._performer.journal, self._session()
        record = self._ended_with
        if record is None and session.sign_on is not None:
            # Nothing was tried, because the host kept demanding a sign-on.
            record = journal.demanded_after(session.sign_on.number)
        found = diagnose(record, self._profile.dialect) if record is not None else None
        return found if found is not None and found.is_session else None

    def sign_on_history(self, *, days: int = 30) -> History:
        """Tell how signing on has gone in the last `days` days, today included; nothing is sent and nothing changes."""
        performer, profile = self._performer, self._profile
        return history_of(performer.journal, profile.dialect, performer.clock.now(), days=days, policy=profile.session)

    def _do(self, order: Order, card: Card | None = None) -> Outcome:
        self._ended_with = None
        finished = self._run(order, card)
        self._ended_with = finished.record or finished.blocked_by
        return self._result(finished)

    def _session(self) -> Session:
        return session_of(self._performer.journal, self._performer.clock.now(), self._profile.session)

    def _run(self, order: Order | None, card: Card | None = None) -> Finished:
        performer = self._performer
        return self._perform(drive(order, performer.journal, self._profile, performer.clock.now()), card)

    def _perform(self, work: Drive, card: Card | None = None) -> Finished:
        performer, reader = self._performer, self._performer.reader
        self._refuse_if_busy()
        self._busy = True
        if card is not None:
            performer.reader = HeldCard(card)
        try:
            return performer.run(work)
        finally:
            performer.reader = reader
            self._busy = False

    def _refuse_if_busy(self) -> None:
        if self._busy:
            reason = "the terminal is in the middle of another call"
            raise UsageError(reason)

    def _shred(self) -> None:
        journal = self._performer.journal
        journal.shred(expendable(journal, self._profile))

    def _result(self, finished: Finished) -> Outcome:
        """Turn the end of a drive into a value or an error, so that an error means: nothing was sent for this call."""
        if finished.record is None:
            raise self._refused(finished.blocked_by)
        record, row = finished.record, self._profile.dialect.kinds[finished.record.kind]
        journal = self._performer.journal
        acting, restored = journal.acting_on(record.number), journal.last_approved(Kind.RESTORE)
        outcome = outcome_of(record, self._profile.dialect, acting, restored)
        if outcome is None:
            raise NotSent(_last_note(record), trouble=record.trouble)
        if record.trouble is Trouble.PUBLIC_KEY:
            raise KeyFault(_last_note(record))
        if isinstance(outcome, InDoubt) and not row.financial:
            raise NoAnswer(_last_note(record), trouble=record.trouble)
        if isinstance(outcome, Declined) and outcome.code.verdict is Verdict.APPROVAL:
            # The host approved the sign-on, but a working key failed its check value: nothing was activated.
            raise KeyFault(_last_note(record))
        return outcome

    def _refused(self, blocked_by: Record | None) -> PosError:
        """Say why an order was not begun."""
        session = self._session()
        if session.state is not SessionState.LOCKED:
            return _blocked(blocked_by)
        wait_s = session.wait_s
        return NotSignedOn(
            f"the host keeps demanding a sign-on; nothing was sent, the next attempt waits {wait_s:.0f} s"
        )


def _last_note(record: Record) -> str:
    return record.notes[-1] if record.notes else record.state.value


def _blocked(record: Record | None) -> PosError:
    """Say what stands in the way: an owed exchange failed, so the one that was ordered was not begun."""
    if record is None:
        return NotSent("more is owed than one call works off; call again")
    if record.kind is Kind.SIGN_ON:
        if record.state is State.DECLINED and not record.keys and record.code == "00":
            return KeyFault(_last_note(record))
        if record.state in {State.DECLINED, State.APPROVED}:
            return NotSignedOn(f"the sign-on was refused with code {record.code}; nothing else was sent")
        return NotSent(f"signing on failed, nothing else was sent: {_last_note(record)}", trouble=record.trouble)
    what = f"the {record.kind.value} of STAN {record.stan} is still owed, nothing else was sent"
    if record.page is not None:
        what = f"the {record.kind.value} was not answered as it should be; it will be asked for again"
    elif record.sent >= limits.UNRESOLVED_ATTEMPTS:
        what = (
            f"the {record.kind.value} of STAN {record.stan} is unresolved after {record.sent} attempts, nothing "
            "else was sent; a supervisor may take it over"
        )
    return NotSent(f"{what}: {_last_note(record)}")
