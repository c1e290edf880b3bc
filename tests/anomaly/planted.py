"""Bugs that terminals are known to have had, or could have: each is planted in the engine, and has to be found.

A bug is a change of one decision, made while a test runs. Who finds it is a campaign of the proof, run until its first
finding; the order in which they are asked is that of the list.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pos_engine.dialects.base import Kind, OnSilence
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import JournalFault, NoAnswer, NotSent
from pos_engine.flow import checks, drive, late, plan, requests, responses, states, step
from pos_engine.flow.effects import Emit, MacState, Save
from pos_engine.flow.states import Action, Cue
from pos_engine.journal import audit, mark, memory, record
from pos_engine.journal.record import State
from pos_engine.journal.sealing import GENESIS, Sealing
from pos_engine.link import Link
from pos_engine.performer import Performer
from pos_engine.session import states as session_states
from pos_engine.wire.field import Sensitivity
from simulators.world.disk import DiskJournal
from tests.unit import test_flow_doubt, test_flow_drive, test_flow_everyday, test_flow_late

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

LIVES: Final = "lives"
CRASHES: Final = "crashes"
CUTS: Final = "cuts"
SECRETS: Final = "secrets"
ROT: Final = "rot"
ANSWERS: Final = "answers"
FORGERIES: Final = "forgeries"


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug: what is wrong, how it is planted, and the campaign, or else the test, that finds it."""

    name: str
    plant: Callable[[pytest.MonkeyPatch], None]
    found_by: str | Callable[[], None]

    @property
    def finder(self) -> str:
        """The name of what finds it."""
        return self.found_by if isinstance(self.found_by, str) else self.found_by.__name__


BUGS: Final[list[Bug]] = []


def bug(
    name: str, found_by: str | Callable[[], None] = LIVES
) -> Callable[[Callable[[pytest.MonkeyPatch], None]], None]:
    """Put a bug on the list."""

    def enlist(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
        BUGS.append(Bug(name, plant, found_by))

    return enlist


def _transition(patch: pytest.MonkeyPatch, state: State, cue: Cue, to: State, action: Action) -> None:
    patch.setattr(step, "TRANSITIONS", {**states.TRANSITIONS, (state, cue): (to, action)})


def _without_echo(patch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Let answers differ from their requests in some elements."""
    honest = responses.mismatch

    def careless(request: Any, answer: Any, row: Any, dialect: Any) -> str:
        echoed = {number: request[number] for number in numbers if number in request}
        return honest(request, answer.replace(echoed), row, dialect)

    patch.setattr(responses, "mismatch", careless)
    patch.setattr(late, "mismatch", careless)


@bug("a request is sent before its intent is saved", CRASHES)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = step._begin
    patch.setattr(step, "_ACTIONS", {**step._ACTIONS, Action.BEGIN: lambda *given: _swapped(*honest(*given))})


def _swapped(moved: Any, effects: Any) -> Any:
    return moved, tuple(reversed(effects))


@bug("an outcome is shown before it is saved", CRASHES)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = step._conclude
    patch.setattr(step, "_ACTIONS", {**step._ACTIONS, Action.CONCLUDE: lambda *given: _swapped(*honest(*given))})


@bug("a doubt is shown before it is saved", CRASHES)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = step._doubt
    patch.setattr(step, "_ACTIONS", {**step._ACTIONS, Action.DOUBT: lambda *given: _swapped(*honest(*given))})


@bug("silence counts as a decline")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.SILENCE, State.DECLINED, Action.CONCLUDE)


@bug("silence counts as not sent")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.SILENCE, State.UNSENT, Action.CONCLUDE)


@bug("what a restart cut short is forgotten")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = plan._duty_of
    patch.setattr(plan, "_duty_of", lambda kept, *rest: None if kept.state is State.PENDING else honest(kept, *rest))


@bug("bytes that are no message count as a decline")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.UNREADABLE, State.DECLINED, Action.CONCLUDE)


@bug("an approval that cannot be used counts as a decline")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.UNWANTED, State.DECLINED, Action.CONCLUDE)


@bug("an approval with a wrong MAC counts as a decline")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.UNPROVEN, State.DECLINED, Action.CONCLUDE)


@bug("an approval with a wrong MAC is accepted", ANSWERS)
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.PENDING, Cue.UNPROVEN, State.APPROVED, Action.CONCLUDE)


@bug("working keys with wrong check values are taken")
def _(patch: pytest.MonkeyPatch) -> None:
    _transition(patch, State.CHECKING, Cue.KEYS_BAD, State.APPROVED, Action.CONCLUDE)
    honest = step._conclude
    swapped = {**step._ACTIONS, Action.CONCLUDE: lambda one, _cue, evidence: honest(one, Cue.KEYS_GOOD, evidence)}
    patch.setattr(step, "_ACTIONS", swapped)


@bug("an answer is matched without its STAN")
def _(patch: pytest.MonkeyPatch) -> None:
    _without_echo(patch, 11)


@bug("an answer is matched without its amount", FORGERIES)
def _(patch: pytest.MonkeyPatch) -> None:
    _without_echo(patch, 4)


@bug("an answer is matched without its terminal", FORGERIES)
def _(patch: pytest.MonkeyPatch) -> None:
    _without_echo(patch, 41)


@bug("an answer is matched without its batch", FORGERIES)
def _(patch: pytest.MonkeyPatch) -> None:
    _without_echo(patch, 60)


@bug("an answer is matched without its processing code", FORGERIES)
def _(patch: pytest.MonkeyPatch) -> None:
    _without_echo(patch, 3)


@bug("a decline with a wrong MAC counts", test_flow_drive.test_a_decline_with_a_wrong_mac_does_not_count)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = responses._of_decline
    patch.setattr(responses, "_of_decline", lambda verdict, _mac, *rest: honest(verdict, MacState.VALID, *rest))


@bug("a reversal ends with any answer")
def _(patch: pytest.MonkeyPatch) -> None:
    every = frozenset(f"{number:02d}" for number in range(100))
    patch.setattr(responses, "REVERSAL_ENDS", every)


def empty_code() -> None:
    """Answer a reversal without a response code."""
    test_flow_drive.test_a_reversal_does_not_end_with_any_other_code("")


@bug("a reversal ends with an answer without a response code", empty_code)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses, "REVERSAL_ENDS", responses.REVERSAL_ENDS | {""})


@bug("the codes that end a reversal are searched as one text")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses, "REVERSAL_ENDS", "00,12,25,68,96")


@bug("a reversal ends although its answer's MAC is wrong")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = responses._of_repeated
    patch.setattr(
        responses,
        "_of_repeated",
        lambda kept, answer, *rest: honest(kept, replace(answer, mac=MacState.VALID), *rest),
    )


def approved_and_forgotten() -> None:
    """Approve late, and then not know the sale."""
    test_flow_doubt.test_a_host_that_approved_late_cannot_end_the_reversal_by_not_knowing_the_sale("00", "25")


@bug("a host that approved may end the reversal by not knowing the request", approved_and_forgotten)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = responses._of_repeated
    patch.setattr(responses, "_of_repeated", lambda kept, *rest: honest(replace(kept, approval_proven=False), *rest))


def approved_after_the_end() -> None:
    """Approve when the reversal is closed."""
    late_test = test_flow_late.test_a_late_approval_after_the_reversal_was_closed_reopens_it_under_the_same_stan
    late_test("25", "waiting")


@bug("a late approval re-opens nothing", approved_after_the_end)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(drive, "belated", lambda *_given, **_named: None)


@bug("a reversal is given up after three attempts")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = plan._duty_of

    def tired(kept: Any, *rest: Any) -> Any:
        duty = honest(kept, *rest)
        return None if kept.kind is Kind.REVERSAL and kept.attempts >= 3 else duty

    patch.setattr(plan, "_duty_of", tired)


@bug("a duty expires by the wall clock")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = plan._duty_of

    def expiring(kept: Any, acting: Any, profile: Any, now: Any) -> Any:
        age_s = (now.wall - kept.opened.wall).total_seconds()
        return None if age_s > 3600 else honest(kept, acting, profile, now)

    patch.setattr(plan, "_duty_of", expiring)


@bug("a new sale does not wait for what is owed")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._comes_after_duties
    patch.setattr(
        drive, "_comes_after_duties", lambda order, profile: order.kind is not Kind.SALE and honest(order, profile)
    )


@bug("what failed to be reversed does not stop a new sale")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._work_off

    def hasty(*given: Any) -> Any:
        done = yield from honest(*given)
        blocked = done.blocked_by
        return done if blocked is None or blocked.kind is Kind.SIGN_ON else replace(done, blocked_by=None)

    patch.setattr(drive, "_work_off", hasty)


def _on_silence(patch: pytest.MonkeyPatch, kind: Kind, silence: OnSilence) -> None:
    rows = {**UNIONPAY.kinds, kind: replace(UNIONPAY.kinds[kind], on_silence=silence)}
    dialect = replace(UNIONPAY, kinds=rows)
    patch.setattr("simulators.world.world.UNIONPAY", dialect)


@bug("a void in doubt is not reversed")
def _(patch: pytest.MonkeyPatch) -> None:
    _on_silence(patch, Kind.VOID, OnSilence.FORGET)


@bug("a refund in doubt is repeated by itself")
def _(patch: pytest.MonkeyPatch) -> None:
    _on_silence(patch, Kind.REFUND, OnSilence.REPEAT)


@bug("a refund in doubt is reversed")
def _(patch: pytest.MonkeyPatch) -> None:
    _on_silence(patch, Kind.REFUND, OnSilence.REVERSE)


@bug("a reversal gets a STAN of its own")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = requests.draft_reversal

    def renumbered(original: Any, journal: Any, profile: Any, now: Any) -> Any:
        drafted = honest(original, journal, profile, now)
        stan = journal.next_stan()
        return replace(drafted, stan=stan, request=drafted.request.replace({11: stan}))

    patch.setattr(requests, "draft_reversal", renumbered)


@bug("a reversal always says that no answer came")
def _(patch: pytest.MonkeyPatch) -> None:
    _reversal_with(patch, {39: "XX"})


@bug("a reversal names another amount")
def _(patch: pytest.MonkeyPatch) -> None:
    _reversal_with(patch, {4: "000000000001"})


@bug("a reversal carries the PIN block")
def _(patch: pytest.MonkeyPatch) -> None:
    _reversal_with(patch, {52: "0123456789ABCDEF"})


def _reversal_with(patch: pytest.MonkeyPatch, fields: dict[int, str]) -> None:
    honest = requests.draft_reversal

    def spoiled(*given: Any) -> Any:
        drafted = honest(*given)
        return replace(drafted, request=drafted.request.replace(fields))

    patch.setattr(requests, "draft_reversal", spoiled)


@bug("the STAN begins anew with each start")
def _(patch: pytest.MonkeyPatch) -> None:
    def forgetful(last: str | None, is_used: Any) -> str:
        del last, is_used
        return "000007"

    patch.setattr(memory, "following_stan", forgetful)
    patch.setattr(memory, "admit", lambda *_given: None)


@bug("an idempotency key is ignored")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(drive, "check_repeat", lambda *_given: None)


@bug(
    "a key whose request is in doubt may sell again",
    test_flow_everyday.test_a_sale_in_doubt_is_reversed_and_its_key_does_not_sell_again,
)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = checks.check_repeat

    def impatient(order: Any, journal: Any) -> Any:
        first = honest(order, journal)
        return None if first is not None and first.state is State.DOUBTFUL else first

    patch.setattr(drive, "check_repeat", impatient)


@bug("a partial approval is taken for all of it")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = step._conclude

    def whole(kept: Any, cue: Any, evidence: Any) -> Any:
        moved = replace(honest(kept, cue, evidence)[0], amount=kept.amount)
        return moved, (Save(moved), Emit(moved))

    patch.setattr(step, "_ACTIONS", {**step._ACTIONS, Action.CONCLUDE: whole})


def unasked() -> None:
    """Approve a part that nobody asked for."""
    test_flow_doubt.test_a_partial_approval_is_known_at_once_and_reversed_in_full("000000000001")


@bug("a partial approval counts although nobody asked for one", unasked)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses, "allows_partial", lambda *_given: True)


@bug("a link that broke while sending says that nothing left", CUTS)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = Link.send

    def optimistic(self: Link, payload: bytes, deadline: float) -> None:
        try:
            honest(self, payload, deadline)
        except NoAnswer as error:
            raise NotSent(str(error)) from error

    patch.setattr(Link, "send", optimistic)


@bug("what comes after the deadline is taken for the answer")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = Performer._receive
    patch.setattr(
        Performer, "_receive", lambda self, wait: honest(self, replace(wait, deadline_s=wait.deadline_s + 600))
    )


@bug("an owed message is sealed with the key it was first sealed with")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = drive._terms
    first: dict[int, Any] = {}

    def stuck(kept: Any, session: Any, journal: Any, profile: Any, now: Any) -> Any:
        terms = honest(kept, session, journal, profile, now)
        key = first.setdefault(kept.original or kept.number, terms.seal_key)
        return replace(terms, seal_key=key) if terms.seal_key is not None and kept.kind is Kind.REVERSAL else terms

    patch.setattr(drive, "_terms", stuck)


@bug("a sign-on never expires", test_flow_drive.test_a_new_boot_makes_a_sign_on_due)
def _(patch: pytest.MonkeyPatch) -> None:
    expired = session_states.SessionState.EXPIRED
    patch.setattr(session_states, "RULES", tuple(rule for rule in session_states.RULES if rule[0] is not expired))


@bug("refunds may exceed the sale", test_flow_drive.test_refunds_stay_within_the_sale)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checks, "_check_refund", lambda *_given: None)


@bug("the journal goes on after a failed write")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = DiskJournal.save

    def careless(self: Any, kept: Any) -> None:
        with suppress(JournalFault):
            honest(self, kept)

    patch.setattr(DiskJournal, "save", careless)


@bug("the PIN block stays in the journal", SECRETS)
def _(patch: pytest.MonkeyPatch) -> None:
    _kept_open(patch, 52)


@bug("the card number stays in clear in the journal", SECRETS)
def _(patch: pytest.MonkeyPatch) -> None:
    _kept_open(patch, 2)


@bug("the track stays in the journal", SECRETS)
def _(patch: pytest.MonkeyPatch) -> None:
    _kept_open(patch, 35)


def _kept_open(patch: pytest.MonkeyPatch, number: int) -> None:
    honest = record._of_levels

    def careless(spec: Any, levels: Any) -> Any:
        return honest(spec, levels) | {number} if Sensitivity.OPEN in levels else honest(spec, levels) - {number}

    patch.setattr(record, "_of_levels", careless)


@bug(
    "card data is never destroyed",
    test_flow_drive.test_a_keyed_sale_keeps_its_card_for_the_reversal_and_loses_it_afterwards,
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "_needs_card", lambda *_given: True)


@bug("the chain of entries is not verified", ROT)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sealing, "holds", lambda *_given, **_named: True)


@bug("the high-water mark is not compared", ROT)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = mark.highest
    patch.setattr(audit, "highest", lambda *given: honest(*given)._replace(entries=0, digest=GENESIS))
