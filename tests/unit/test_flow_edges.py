"""The driver where things go wrong: refusals, answers of the wrong sort, keys that do not open, too much owed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind, KindRow, OriginalRef
from pos_engine.errors import LocalProtocolError, UsageError
from pos_engine.flow import requests
from pos_engine.flow.checks import KEY_CHARACTERS_MAX, UNKNOWN_RRN, Order, check_form, check_history, requested
from pos_engine.flow.effects import (
    Answered,
    Ask,
    Authorise,
    CheckKeys,
    Done,
    Effect,
    Emit,
    Happening,
    KeysChecked,
    Listen,
    MacState,
    NothingSent,
    Presented,
    Save,
    Send,
    Silent,
    TakeCard,
    Unreadable,
)
from pos_engine.flow.plan import Duty, DutyKind, expendable, plan
from pos_engine.flow.states import Cue
from pos_engine.flow.step import Evidence, step
from pos_engine.flow.takeover import WORDS_MAX, Takeover, take_over
from pos_engine.journal.record import Record, State
from pos_engine.session.states import session_of
from pos_engine.values import Amount, Card
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence, unsent

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.drive import Finished
    from pos_engine.journal.memory import MemoryJournal
    from pos_engine.wire.message import Message

DIALECT = PROFILE.dialect
SALE, REVERSAL = 2, 3


def kept(script: Script, number: int = SALE) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


def original(script: Script) -> OriginalRef:
    sold = kept(script)
    return OriginalRef(sold.batch, sold.stan, "0101", "000000000001", None)


def refund(script: Script, amount: str = "1.00") -> Order:
    return Order(kind=Kind.REFUND, amount=Amount.cny(amount), original=original(script))


def after_sale(*replies: Reply) -> Script:
    script = Script(signed_on(), approve(), *replies)
    script.run(sale())
    return script


class Answering(Script):
    """A script in which the first effect of some sort is answered in another way."""

    def __init__(self, journal: MemoryJournal, sort: type, happening: type[Happening] | None, *replies: Reply) -> None:
        super().__init__(*replies, journal=journal)
        self._sort = sort
        self._happening = happening
        self.keys_asked: list[bool] = []
        self.takes_s = 0

    def perform(self, effect: Effect) -> Happening:
        if isinstance(effect, Ask) and isinstance(effect.question, self._sort):
            self.clock.advance(self.takes_s)
            now = self.clock.now()
            if self._happening is Done:
                return Done(now)
            if self.keys_asked:
                return KeysChecked(now, self.keys_asked.pop(0), "the MAC key does not open")
        return super().perform(effect)


@pytest.mark.parametrize("sort", [TakeCard, CheckKeys, Authorise])
def test_a_question_answered_with_something_else_is_a_fault_of_the_performer(sort: type) -> None:
    script = after_sale()
    odd = Answering(script.journal, sort, Done)
    with pytest.raises(AssertionError, match="Done does not answer the effect that was yielded"):
        odd.run(refund(script))
    assert odd.sent == []


def test_the_supervisor_is_told_what_is_to_be_allowed() -> None:
    script = after_sale(approve())
    script.run(refund(script, "2.50"))
    asked = [each.question for each in script.effects if isinstance(each, Ask) and isinstance(each.question, Authorise)]
    assert asked == [Authorise(Kind.REFUND, Amount.cny("2.50"), "000002")]


def test_a_supervisor_who_takes_a_minute_is_waited_for() -> None:
    script = Answering(after_sale().journal, Authorise, None, approve())
    before = script.clock.now()
    script.takes_s = 60
    finished = script.run(refund(script))
    assert finished.record is not None
    assert finished.record.opened.elapsed_s == before.elapsed_s + 60


def test_waiting_on_is_under_the_terms_of_sending() -> None:
    script = Script(signed_on(), approve({11: "000099"}), approve())
    script.run(sale())
    sent = [effect for effect in script.effects if isinstance(effect, Send)][-1]
    (listened,) = [effect for effect in script.effects if isinstance(effect, Listen)]
    assert listened == Listen(sent.deadline_s, sent.seal_key, sent.mac_key)
    assert sent.seal_key is not None
    assert sent.seal_key == sent.mac_key == kept(script, 1).keys[1]
    assert sent.deadline_s == script.clock.now().elapsed_s + PROFILE.answer_timeout_s


def test_a_sign_on_is_sent_without_a_key_and_heard_under_the_one_in_force() -> None:
    script = Script(signed_on(), signed_on())
    for _ in range(2):
        script.run(Order(kind=Kind.SIGN_ON))
    first, second = (effect for effect in script.effects if isinstance(effect, Send))
    assert (first.seal_key, first.mac_key, kept(script, 1).signed_on_by) == (None, None, None)
    assert (second.seal_key, second.mac_key, kept(script).signed_on_by) == (None, kept(script, 1).keys[1], 1)


def test_an_inquiry_is_not_made_when_its_sign_on_fails() -> None:
    script = Script(answer("05"))
    finished = script.run(Order(kind=Kind.BALANCE))
    assert (finished.record, finished.now) == (None, script.clock.now())
    assert finished.blocked_by == kept(script, 1)
    assert [message.mti for message in script.sent] == ["0800"]


def test_an_inquiry_that_signed_on_says_so() -> None:
    script = Script(signed_on(), approve({54: "1002156C000000012345"}))
    finished = script.run(Order(kind=Kind.BALANCE))
    assert [record.kind for record in finished.worked_off] == [Kind.SIGN_ON]
    assert finished.blocked_by is None


@pytest.mark.parametrize("good_again", [True, False])
def test_keys_that_no_longer_open_are_renewed_before_a_card_is_taken(good_again: bool) -> None:  # noqa: FBT001 - a case
    script = after_sale()
    changed = Answering(script.journal, CheckKeys, None, signed_on("000002"), approve())
    changed.keys_asked = [False, good_again]
    finished = changed.run(sale("1.00"))
    kinds = [type(effect.question) for effect in changed.effects if isinstance(effect, Ask)]
    if good_again:
        assert finished.record is not None
        assert (finished.record.state, finished.record.batch) == (State.APPROVED, "000002")
        assert kinds == [CheckKeys, CheckKeys, TakeCard]
        return
    assert finished.record is None
    assert finished.blocked_by is not None
    assert (finished.blocked_by.kind, finished.blocked_by.state) == (Kind.SIGN_ON, State.DECLINED)
    assert finished.blocked_by.notes[-1] == "the MAC key does not open"
    assert kinds == [CheckKeys, CheckKeys]


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (lambda _request, now: NothingSent(now, "the MAC key does not open", keys_failed=True), State.UNSENT),
        (lambda _request, now: Unreadable(now, "cannot be verified", keys_failed=True), State.DOUBTFUL),
    ],
)
def test_a_key_that_fails_in_the_middle_makes_a_sign_on_due(reply: Reply, state: State) -> None:
    script = after_sale(reply)
    record = script.run(sale("1.00")).record
    assert record is not None
    assert (record.state, record.demands_sign_on) == (state, True)
    duty = plan(script.journal, PROFILE, script.clock.now())
    assert duty is not None
    assert duty.kind is DutyKind.SIGN_ON


def test_a_reversal_that_could_not_be_sent_is_still_owed_and_says_why() -> None:
    script = Script(signed_on(), silence, unsent)
    script.run(sale())
    finished = script.run(None)
    assert finished.blocked_by is not None
    assert (finished.blocked_by.state, finished.blocked_by.notes) == (State.DOUBTFUL, ("connection refused",))
    assert script.next_duty() == Duty(DutyKind.REPEAT, kept(script, REVERSAL), limits.BACKOFF_FIRST_S)


def test_one_call_works_off_a_bounded_number_of_duties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DUTIES_PER_CALL_MAX", 2)
    script = Script(signed_on())
    script.run(Order(kind=Kind.SIGN_ON))
    for _ in range(3):
        # Three sales of a terminal that lost its power while it waited.
        journal = script.journal
        session = session_of(journal, script.clock.now(), PROFILE.session)
        presented = Presented(script.clock.now(), script.card)
        drafted = requests.draft(sale(), journal, PROFILE, script.clock.now(), session=session, presented=presented)
        journal.save(replace(drafted, state=State.DOUBTFUL, attempts=1))
    script.replies = [approve(), approve(), approve()]
    finished = script.run(sale("1.00"))
    assert finished.record is None
    assert [record.kind for record in finished.worked_off] == [Kind.REVERSAL] * 2
    assert finished.blocked_by == finished.worked_off[-1]
    duty = script.next_duty()
    assert duty is not None
    assert duty.record == kept(script, 4)


def test_what_a_request_lacks_is_told_before_anything_is_kept() -> None:
    row = replace(DIALECT.kinds[Kind.SALE], needed=DIALECT.kinds[Kind.SALE].needed | {63, 48})
    kinds: dict[Kind, KindRow] = {**DIALECT.kinds, Kind.SALE: row}
    script = Script(signed_on(), profile=replace(PROFILE, dialect=replace(DIALECT, kinds=kinds)))
    with pytest.raises(LocalProtocolError, match="a sale request lacks fields 48, 63"):
        script.run(sale())
    assert script.journal.next_number() == SALE


@pytest.mark.parametrize("kind", [Kind.VOID, Kind.REFUND])
def test_a_void_or_refund_names_its_sale(kind: Kind) -> None:
    with pytest.raises(UsageError, match=f"a {kind.value} names the sale it acts on"):
        check_form(Order(kind=kind, amount=Amount.cny("1.00")), PROFILE)


def test_a_refund_that_names_nothing_is_not_held_against_history() -> None:
    script = after_sale()
    now = script.clock.now()
    session = session_of(script.journal, now, PROFILE.session)
    for order in (Order(kind=Kind.REFUND, amount=Amount.cny("99.00")), replace(refund(script), amount=None)):
        assert check_history(order, script.journal, session, PROFILE, now) == order
    with pytest.raises(UsageError, match="of this terminal"):
        check_history(Order(kind=Kind.VOID), script.journal, session, PROFILE, now)


def test_the_longest_key_is_one() -> None:
    script = Script(signed_on(), approve())
    record = script.run(replace(sale(), key="k" * KEY_CHARACTERS_MAX)).record
    assert record is not None
    assert (record.state, kept(script).key) == (State.APPROVED, "k" * KEY_CHARACTERS_MAX)


def test_what_was_asked_for_is_known_where_there_was_an_amount() -> None:
    script = after_sale()
    assert requested(kept(script)) == Amount.cny("12.34")
    assert requested(kept(script, 1)) is None
    assert requested(replace(kept(script), request=kept(script).request.without(4))) is None
    assert requested(replace(kept(script), amount=None)) is None


def test_a_reversal_is_of_the_same_money_and_card() -> None:
    script = Script(signed_on(), approve({38: "A00001", 13: "0102"}, MacState.WRONG), answer("96"))
    script.card = Card.keyed("6229990000000004", "3012")
    script.run(sale())
    script.clock.advance(5)
    drafted = requests.draft_reversal(kept(script), script.journal, PROFILE, script.clock.now())
    assert drafted == Record(
        number=REVERSAL,
        kind=Kind.REVERSAL,
        state=State.DRAFT,
        stan="000002",
        batch="000001",
        request=drafted.request,
        opened=script.clock.now(),
        changed=script.clock.now(),
        amount=Amount.cny("12.34"),
        card="622999******0004",
        original=SALE,
    )
    assert (drafted.request[38], drafted.request[39]) == ("A00001", "A0")


def test_card_data_is_kept_for_what_may_still_be_owed_and_for_nothing_else() -> None:
    script = Script(signed_on(), approve({54: "1002156C000000012345"}), answer("51"), unsent, approve(), silence)
    script.card = Card.keyed("6229990000000004", "3012")
    script.run(Order(kind=Kind.BALANCE))
    for _ in range(4):
        script.run(sale())
    states = [kept(script, number).state for number in range(2, 7)]
    assert states == [State.APPROVED, State.DECLINED, State.UNSENT, State.APPROVED, State.DOUBTFUL]
    assert expendable(script.journal, PROFILE) == (2, 3, 4)


def unresolved(*, attempts: int = limits.UNRESOLVED_ATTEMPTS) -> Script:
    script = Script(signed_on(), silence, *[answer("96")] * attempts)
    script.run(sale())
    for _ in range(attempts):
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    return script


def word(**changes: Any) -> Takeover:  # noqa: ANN401 - any attribute
    return replace(Takeover(stan="000002", reason="we asked"), **changes)


def test_the_supervisor_is_told_which_duty_is_taken_over() -> None:
    script = unresolved()
    script.play(take_over(word(), script.journal, PROFILE, script.clock.now()))
    asked = [each.question for each in script.effects if isinstance(each, Ask) and isinstance(each.question, Authorise)]
    assert asked == [Authorise(Kind.REVERSAL, Amount.cny("12.34"), "000002")]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reason": "x" * (WORDS_MAX + 1)}, "^a reason has at most 200 printable characters$"),
        ({"by": "x" * (WORDS_MAX + 1)}, "^a name has at most 200 printable characters$"),
        ({"by": "6229990000000004"}, "^the name looks as if"),
        ({"reason": "6229990000000004"}, "^the reason looks as if"),
    ],
)
def test_a_refusal_says_which_words_it_is_about(changes: dict[str, str], complaint: str) -> None:
    script = unresolved()
    with pytest.raises(UsageError, match=complaint):
        script.play(take_over(word(**changes), script.journal, PROFILE, script.clock.now()))


def test_the_longest_words_are_kept() -> None:
    script = unresolved()
    long = "x" * WORDS_MAX
    script.play(take_over(word(reason=long, by=long), script.journal, PROFILE, script.clock.now()))
    resolution = kept(script, REVERSAL).resolution
    assert resolution is not None
    assert (resolution.reason, resolution.by) == (long, long)


def in_two_batches() -> Script:
    """Leave two refunds in doubt under one STAN, each in a batch of its own."""
    script = after_sale(silence)
    script.run(refund(script))
    first = kept(script, 3)
    other = replace(first, number=4, batch="000002", request=first.request.replace({60: "25000002000500"}))
    script.journal.save(replace(other, state=State.DOUBTFUL))
    return script


def test_a_stan_that_owes_in_two_batches_needs_the_batch() -> None:
    script = in_two_batches()

    def settle(**changes: str) -> Finished:
        said = word(stan="000003", moved=False, **changes)
        return script.play(take_over(said, script.journal, PROFILE, script.clock.now()))

    with pytest.raises(UsageError, match="STAN 000003 owes something in several batches: name one"):
        settle()
    with pytest.raises(UsageError, match="nothing is owed for STAN 000003"):
        settle(batch="000009")
    finished = settle(batch="000002")
    assert finished.record == kept(script, 4)
    assert kept(script, 3).resolution is None
    assert settle().record == kept(script, 3)


def test_a_step_that_the_table_lacks_names_kind_state_and_cue() -> None:
    script = after_sale()
    with pytest.raises(LocalProtocolError, match="a sale in state APPROVED cannot meet SILENCE"):
        step(kept(script), Cue.SILENCE, script.clock.now(), Evidence())


def early_approval(changes: dict[int, str | None]) -> Reply:
    """Answer nothing, after an approval of the sale before had lain in the connection; returns the reply."""

    def reply(request: Message, now: Instant) -> Happening:
        happened = approve()(request, now)
        assert isinstance(happened, Answered)
        message = happened.message
        for number, value in changes.items():
            message = message.without(number) if value is None else message.replace({number: value})
        return Silent(now, "silence", set_aside=(replace(happened, message=message),))

    return reply


@pytest.mark.parametrize(
    ("changes", "kept_late"),
    [
        ({}, True),
        ({60: None}, True),
        ({60: "22000001000500"}, True),
        ({60: "22000002000500"}, False),
        ({11: None}, False),
        ({60: "22"}, False),
    ],
)
def test_a_late_approval_is_of_the_batch_it_names_or_else_of_the_one_in_force(
    changes: dict[int, str | None],
    kept_late: bool,  # noqa: FBT001 - a case
) -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[-1]

    def of_the_sale(_request: Message, now: Instant) -> Happening:
        return early_approval(changes)(request, now)

    script.replies = [of_the_sale]
    script.run(None)
    assert (kept(script, REVERSAL).late is not None) is kept_late
    assert kept(script, SALE).late is None


def test_saved_before_shown_even_when_a_stray_is_kept_between() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[-1]
    script.replies = [lambda _request, now: early_approval({})(request, now)]
    before = len(script.effects)
    script.run(None)
    sorts = [
        (type(effect), effect.record.state) for effect in script.effects[before:] if isinstance(effect, Save | Emit)
    ]
    assert sorts == [
        (Save, State.PENDING),
        (Save, State.PENDING),
        (Save, State.DOUBTFUL),
        (Emit, State.DOUBTFUL),
    ]
    assert kept(script, REVERSAL).approval_proven
    assert UNKNOWN_RRN == "0" * 12


def test_a_dialect_is_told_what_a_reversal_may_name() -> None:
    told: list[tuple[str, str | None, str | None]] = []

    def compose(request: Message, reason: str, auth_code: str | None, host_date: str | None) -> Message:
        told.append((reason, auth_code, host_date))
        return DIALECT.compose_reversal(request, reason, auth_code, host_date)

    script = Script(signed_on(), approve({38: "A00001", 13: "0102"}, MacState.WRONG))
    script.run(sale())
    profile = replace(PROFILE, dialect=replace(DIALECT, compose_reversal=compose))
    for known in (kept(script), replace(kept(script), answer=None), replace(kept(script), answer=None, reason=None)):
        requests.draft_reversal(known, script.journal, profile, script.clock.now())
    assert told == [("A0", "A00001", "0102"), ("A0", None, None), ("98", None, None)]
