"""What came and was not the answer: recognised, and kept in bounds. It decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.flow.effects import Answered, Happening, MacState, Save, Silent, Unreadable
from pos_engine.flow.strays import recognise
from pos_engine.journal.record import Record, State, Stray, StraySort, freeze, thaw
from pos_engine.wire.message import Message
from tests.support.exchange import PROFILE, Script, answer, approve, sale, silence, unsent
from tests.support.strays import (
    DIALECT,
    FIRST,
    REVERSAL,
    SALE,
    after,
    came,
    found_before,
    kept,
    met_by_next_sale,
    of_record,
    only,
)

if TYPE_CHECKING:
    from pos_engine.clock import Instant


# What each was.


def test_an_answer_to_a_request_in_doubt_is_late() -> None:
    script = after(silence, approve())
    stray = only(met_by_next_sale(script, of_record(script, SALE)))
    assert (stray.sort, stray.request, stray.differs, stray.proven) == (StraySort.LATE, SALE, (), True)


def test_an_answer_to_a_reversal_whose_end_is_known_is_a_duplicate() -> None:
    script = after(silence, approve())
    stray = only(met_by_next_sale(script, of_record(script, REVERSAL)))
    assert (stray.sort, stray.request) == (StraySort.DUPLICATE, REVERSAL)


@pytest.mark.parametrize("code", ["00", "51"])
def test_the_same_outcome_once_more_is_a_duplicate(code: str) -> None:
    script = after(answer(code))
    stray = only(met_by_next_sale(script, of_record(script, SALE, reply=answer(code))))
    assert (stray.sort, stray.request) == (StraySort.DUPLICATE, SALE)


@pytest.mark.parametrize(("changes", "differs"), [({39: "51"}, ("39",)), ({37: "000000000002"}, ("37",))])
def test_another_outcome_than_the_one_shown_is_foreign_and_names_what_contradicts(
    changes: dict[int, str], differs: tuple[str, ...]
) -> None:
    script = after(approve())
    stray = only(met_by_next_sale(script, of_record(script, SALE, changes)))
    assert (stray.sort, stray.request, stray.differs) == (StraySort.FOREIGN, SALE, differs)


def test_a_proven_approval_of_what_was_declined_is_late_because_it_is_reversed_from_then_on() -> None:
    script = after(answer("51", mac=MacState.ABSENT))
    stray = only(met_by_next_sale(script, of_record(script, SALE)))
    assert (stray.sort, stray.request) == (StraySort.LATE, SALE)
    assert [each.kind for each in script.journal.acting_on(SALE)] == [Kind.REVERSAL]


@pytest.mark.parametrize("mac", [MacState.ABSENT, MacState.WRONG])
def test_an_approval_of_what_was_declined_that_nothing_proves_contradicts(mac: MacState) -> None:
    script = after(answer("51", mac=MacState.ABSENT))
    stray = only(met_by_next_sale(script, of_record(script, SALE, mac=mac)))
    assert (stray.sort, stray.differs) == (StraySort.FOREIGN, ("39",))


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({41: "T0000002"}, ("41",)),
        ({42: "M00000000000002"}, ("42",)),
        ({4: "000000000001"}, ("4",)),
        ({60: "22000009000500"}, ("60.2",)),
    ],
)
def test_an_answer_that_differs_in_one_element_is_foreign_and_names_it(
    changes: dict[int, str], differs: tuple[str, ...]
) -> None:
    script = after(silence, approve())
    # In another batch no request has this number, so the sale that waits is all there is to compare with.
    number = 4 if 60 in changes else SALE
    script.replies = [lambda request, now: _foreign(request, now, script, changes), approve()]
    record = script.run(sale("12.34")).record
    assert record is not None
    stray = only(record.strays)
    assert stray.sort is StraySort.FOREIGN
    assert set(differs) <= set(stray.differs)
    assert stray.request == number


def _foreign(request: Message, now: Instant, script: Script, changes: dict[int, str]) -> Happening:
    if 60 in changes:
        happened = approve(changes)(request, now)
        assert isinstance(happened, Answered)
        return happened
    return replace(of_record(script, SALE, changes), now=now)


@pytest.mark.parametrize("mti", ["0200", "0800", "0420", ""])
def test_what_is_no_answer_at_all_is_unsolicited(mti: str) -> None:
    script = after(approve())
    stray = only(met_by_next_sale(script, Answered(script.clock.now(), Message(mti, {11: FIRST}), MacState.ABSENT)))
    assert (stray.sort, stray.request, stray.proven) == (StraySort.UNSOLICITED, None, None)


def test_a_response_is_never_answered_whatever_it_is() -> None:
    script = after(silence, approve())
    before = len(script.sent)
    hosts = Answered(script.clock.now(), Message("0800", {11: FIRST}), MacState.ABSENT)
    met_by_next_sale(script, of_record(script, SALE), of_record(script, REVERSAL), hosts)
    assert [message.mti for message in script.sent[before:]] == ["0200"]


def test_what_was_never_sent_is_answered_by_nobody() -> None:
    script = after(unsent)
    stray = only(met_by_next_sale(script, of_record(script, SALE)))
    assert (stray.sort, stray.request, stray.differs) == (StraySort.FOREIGN, SALE, ())


def test_what_looks_like_the_answer_and_came_before_the_request_is_foreign() -> None:
    script = after(approve())

    def early(request: Message, now: Instant) -> Happening:
        same = approve()(request, now)
        assert isinstance(same, Answered)
        return Silent(now, "silence", set_aside=(same,))

    script.replies = [early]
    record = script.run(sale("1.00")).record
    assert record is not None
    stray = only(record.strays)
    assert (stray.sort, stray.request, stray.differs, stray.before) == (StraySort.FOREIGN, record.number, (), True)
    assert record.notes[-1].endswith("the nearest message was a 0210 0 s before: it came before the request")


def test_the_answer_to_an_earlier_attempt_is_late() -> None:
    script = after(silence, silence)
    late = of_record(script, REVERSAL)
    script.clock.advance(5)
    script.replies = [found_before(silence, late)]
    script.run(None)
    reversal = kept(script, REVERSAL)
    assert (only(reversal.strays).sort, only(reversal.strays).request) == (StraySort.LATE, REVERSAL)
    assert reversal.notes[-1].endswith("it answers an earlier attempt")


def test_a_decline_that_nothing_proves_is_named_with_its_mac() -> None:
    script = after(approve())
    script.replies = [answer("51", mac=MacState.WRONG), silence]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert (only(record.strays).sort, only(record.strays).proven) == (StraySort.FOREIGN, False)
    assert record.notes[-1] == "silence; the nearest message was a 0210 0 s before: its MAC is wrong"


def test_a_message_without_a_number_is_compared_with_the_newest_requests() -> None:
    script = after(approve())
    plain = approve()(kept(script, SALE).request, script.clock.now())
    assert isinstance(plain, Answered)
    bare = replace(plain, message=plain.message.only(plain.message.keys() - {11}))
    stray = only(met_by_next_sale(script, bare))
    assert (stray.sort, "11" in stray.differs) == (StraySort.FOREIGN, True)


def test_a_message_that_nobody_can_place_is_compared_with_the_request_that_waits() -> None:
    script = after(approve())
    stray = only(met_by_next_sale(script, of_record(script, SALE, {11: "000099"})))
    assert (stray.request, stray.differs) == (3, ("11", "4"))


def test_a_note_of_the_till_answers_nothing() -> None:
    script = after(approve())
    note = Record(
        number=script.journal.next_number(),
        kind=Kind.NOTE,
        state=State.APPROVED,
        stan=script.journal.next_stan(),
        batch=kept(script, SALE).batch,
        request=Message("", {}),
        opened=script.clock.now(),
        changed=script.clock.now(),
    )
    script.journal.save(note)
    stray = only(met_by_next_sale(script, of_record(script, SALE, {11: note.stan})))
    assert stray.request == note.number + 1


# What is kept.


def test_a_stray_keeps_what_tells_answers_apart_and_nothing_else() -> None:
    script = after(silence, approve())
    more = {2: "6229991234567890", 14: "3012", 35: "6229991234567890D3012", 38: "A00001", 54: "1" * 20, 55: "9F2601"}
    stray = only(met_by_next_sale(script, of_record(script, SALE, more | {60: "22000001000500123"})))
    assert set(stray.message) == {3, 4, 11, 12, 13, 37, 39, 41, 42, 49, 60}
    assert stray.message[60] == "22000001000"


def test_where_no_layout_of_field_60_is_known_it_is_kept_as_it_is() -> None:
    script = after(silence)
    profile = replace(PROFILE, dialect=replace(DIALECT, layouts={}))
    seen = of_record(script, SALE)
    stray = recognise(seen, kept(script, 1), script.journal, profile, batch=FIRST, before=True)
    assert stray.message[60] == seen.message[60]
    without = replace(seen, message=seen.message.only(seen.message.keys() - {60}))
    assert 60 not in recognise(without, kept(script, 1), script.journal, PROFILE, batch=FIRST, before=True).message


def test_a_record_with_strays_is_the_same_after_rest() -> None:
    script = after(silence, approve())
    met_by_next_sale(script, of_record(script, SALE), of_record(script, SALE, {41: "T0000002"}, mac=MacState.WRONG))
    record = replace(kept(script, 4), unkept=3, unread=2)
    assert len(record.strays) == 2
    assert thaw(freeze(record, DIALECT.spec).body) == replace(
        record, request=thaw(freeze(record, DIALECT.spec).body).request
    )


def test_card_data_in_a_stray_never_rests() -> None:
    script = after(approve())
    record = kept(script, SALE)
    stray = Stray(
        sort=StraySort.FOREIGN, at=record.changed, message=Message("0210", {2: "6229991234567890", 11: FIRST})
    )
    assert "6229991234567890" not in freeze(replace(record, strays=(stray,)), DIALECT.spec).body


def test_strays_are_kept_with_the_saves_that_happen_anyway() -> None:
    script = after(silence, approve())
    script.effects.clear()
    script.replies = [came(of_record(script, REVERSAL)), came(of_record(script, SALE, {11: "000099"})), approve()]
    script.run(sale("1.00"))
    saves = [effect.record for effect in script.effects if isinstance(effect, Save)]
    assert [(each.state, len(each.strays)) for each in saves] == [(State.PENDING, 0), (State.APPROVED, 2)]


def test_a_flood_grows_no_record() -> None:
    script = after(silence, approve())
    flood = [of_record(script, SALE, {11: f"{number:06d}"}) for number in range(100, 300)]
    script.replies = [*map(came, flood), came(of_record(script, SALE)), approve()]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert len(record.strays) == limits.STRAYS_MAX
    assert record.unkept == len(flood) + 1 - limits.STRAYS_MAX
    assert len(freeze(record, DIALECT.spec).body) < 8192
    # What answers a request of ours is kept, whatever came before it.
    assert StraySort.LATE in {stray.sort for stray in record.strays}


def test_in_a_flood_a_message_of_an_unknown_number_is_not_compared_with_other_requests() -> None:
    script = after(approve())
    other_batch = of_record(script, 1, {60: "00000009003"})
    for unkept, request in ((limits.STRAY_LOOKUPS_MAX - 1, 1), (limits.STRAY_LOOKUPS_MAX, SALE)):
        flooded = replace(kept(script, SALE), unkept=unkept)
        seen = recognise(other_batch, flooded, script.journal, PROFILE, batch=FIRST, before=False)
        assert seen.request == request


def test_of_too_many_the_farthest_go() -> None:
    script = after(approve())
    far = [of_record(script, SALE, {11: f"{number:06d}", 41: "T0000002", 42: "M00000000000002"}) for number in range(9)]
    script.replies = [*map(came, far), approve({42: "M00000000000009"}), approve()]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert [stray.differs for stray in record.strays if stray.differs == ("42",)] == [("42",)]


def test_the_same_again_is_counted() -> None:
    script = after(silence, approve())
    late, other = of_record(script, SALE), of_record(script, SALE, {11: "000099"})
    strays = met_by_next_sale(script, late, other, late, late, other)
    assert [(stray.sort, stray.times) for stray in strays] == [(StraySort.LATE, 3), (StraySort.FOREIGN, 2)]


def test_frames_that_are_no_messages_are_counted() -> None:
    script = after(approve())
    noise = Unreadable(script.clock.now(), "field 4: ends early")
    script.replies = [found_before(approve(), noise, of_record(script, SALE), noise)]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert (record.unread, [stray.sort for stray in record.strays]) == (2, [StraySort.DUPLICATE])


def test_each_attempt_keeps_its_own_and_history_keeps_all() -> None:
    script = after(silence, silence)
    late = of_record(script, SALE, {41: "T0000002"})
    noise = Unreadable(script.clock.now(), "no message")
    script.replies = [found_before(silence, late, noise), approve()]
    for _ in range(2):
        script.clock.advance(4000)
        script.run(None)
    reversal = kept(script, REVERSAL)
    assert (reversal.state, reversal.strays, reversal.unread, reversal.unkept) == (State.APPROVED, (), 0, 0)
    assert [len(form.strays) for form in script.journal.forms(REVERSAL)] == [0, 0, 0, 1, 0, 0]


def test_a_stray_kept_with_a_late_approval_of_the_same_exchange_is_on_both_forms() -> None:
    script = after(silence, silence)
    script.clock.advance(5)
    script.replies = [found_before(answer("25"), of_record(script, SALE))]
    script.run(None)
    reversal = kept(script, REVERSAL)
    assert reversal.approval_proven
    assert only(reversal.strays).request == SALE
