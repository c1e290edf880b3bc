"""The message that came nearest to an answer that did not come: what differs, and what silence says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.dialects.iso87 import ISO87
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.responses import BATCH, MTI, Compared, apart_s, differences, mismatch, name_of, nearest
from pos_engine.flow.strays import with_nearest
from pos_engine.journal.record import Stray, StraySort
from pos_engine.wire.message import Message
from tests.support.exchange import Script, approve, sale, silence
from tests.support.strays import (
    DIALECT,
    SALE,
    after,
    came,
    kept,
    met_by_next_sale,
    of_record,
)

if TYPE_CHECKING:
    from pos_engine.clock import Instant


# What came nearest.


def test_all_differences_are_named_and_the_first_is_what_mismatch_says() -> None:
    script = after(silence, approve())
    request, row = kept(script, SALE).request, DIALECT.kinds[Kind.SALE]
    good = of_record(script, SALE).message
    assert differences(request, good, row, DIALECT) == ()
    assert mismatch(request, good, row, DIALECT) == ""
    changed = good.replace({4: "000000000001", 11: "000099", 41: "T0000002", 60: "22000009000500"})
    found = differences(request, Message("0410", dict(changed.items())), row, DIALECT)
    assert [str(each) for each in found] == [
        "MTI differs",
        "field 11 differs",
        "field 41 differs",
        "field 4 differs",
        "field 60.2 differs",
    ]
    missing = differences(request, good.only(good.keys() - {11}), row, DIALECT)
    assert missing == (Compared("11", agrees=False, is_missing=True),)


def test_elements_have_the_names_of_the_dialect() -> None:
    assert name_of("11", DIALECT).en == "Systems trace audit number"
    assert name_of(BATCH, DIALECT).en == DIALECT.layouts[60].columns[1].name.en
    assert name_of(BATCH, replace(DIALECT, layouts={})) == DIALECT.spec.fields[60].name
    assert name_of(MTI, DIALECT) == name_of("999", DIALECT)
    assert name_of("11", ISO87).zh


def nearest_to(script: Script, number: int, *strays: Stray, moment: Instant | None = None) -> Stray | None:
    row = DIALECT.kinds[kept(script, number).kind]
    found = nearest(kept(script, number).request, row, strays, DIALECT, moment or script.clock.now())
    return found.stray if found is not None else None


def stray_of(script: Script, changes: dict[int, str], sort: StraySort = StraySort.FOREIGN, mti: str = "0210") -> Stray:
    message = Message(mti, dict(of_record(script, SALE, changes).message.items()))
    return Stray(sort=sort, at=script.clock.now(), message=message)


def test_the_nearest_differs_in_the_fewest_elements() -> None:
    script = after(silence)
    one, two = stray_of(script, {11: "000099"}), stray_of(script, {11: "000098", 4: "000000000001"})
    other_kind = stray_of(script, {}, mti="0810")
    assert nearest_to(script, SALE, other_kind, two, one) is one
    assert nearest_to(script, SALE, other_kind, two) is two
    assert nearest_to(script, SALE) is None


def test_of_two_as_near_the_one_that_answers_nothing_else_and_then_the_one_in_time() -> None:
    script = after(silence)
    late = stray_of(script, {11: "000099"}, StraySort.LATE)
    early = stray_of(script, {11: "000098"})
    script.clock.advance(10)
    near = stray_of(script, {11: "000097"})
    assert nearest_to(script, SALE, late, early) is early
    assert nearest_to(script, SALE, early, near) is near


def test_only_the_last_minutes_of_one_boot_count() -> None:
    script = after(silence)
    stray = stray_of(script, {11: "000099"})
    moment = script.clock.now()
    script.clock.advance(limits.NEAREST_S)
    assert nearest_to(script, SALE, stray) is stray
    script.clock.advance(1)
    assert nearest_to(script, SALE, stray) is None
    after_it = replace(stray, at=script.clock.now())
    assert nearest_to(script, SALE, replace(after_it, at=moment), moment=moment) is not None
    assert nearest_to(script, SALE, after_it, moment=moment) is None
    script.clock.reboot("boot-2")
    assert nearest_to(script, SALE, stray) is None
    assert apart_s(moment, after_it.at) == limits.NEAREST_S + 1
    assert apart_s(after_it.at, moment) == -limits.NEAREST_S - 1
    assert apart_s(script.clock.now(), moment) is None


def test_silence_names_the_message_that_came_nearest_and_what_differs() -> None:
    script = after(approve())
    script.replies = [came(of_record(script, SALE, {4: "000000000100", 11: "000099"})), silence]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert record.notes[-1] == (
        "silence; the nearest message was a 0210 0 s before: field 11 Systems trace audit number differs (000099)"
    )


def test_silence_names_what_earlier_exchanges_met_for_some_minutes() -> None:
    script = after(approve())
    met_by_next_sale(script, of_record(script, SALE, {41: "T0000002", 42: "M00000000000002"}))
    script.clock.advance(7)
    script.replies = [silence]
    record = script.run(sale("12.34")).record
    assert record is not None
    assert "the nearest message was a 0210 7 s before: " in record.notes[-1]
    assert "field 41 Card acceptor terminal identification differs" in record.notes[-1]
    assert "T0000002" not in record.notes[-1]
    script.clock.advance(limits.NEAREST_S + 1)
    script.replies = [approve(), silence]
    last = script.run(sale("12.34")).record
    assert last is not None
    assert last.notes == ("silence",)


def test_a_note_names_few_elements_and_counts_the_rest() -> None:
    script = after(approve())
    hosts = Message("0800", {11: "000099", 42: "M00000000000002", 49: "840", 4: "000000000001"})
    script.replies = [came(Answered(script.clock.now(), hosts, MacState.ABSENT)), silence]
    record = script.run(sale("1.00")).record
    assert record is not None
    told = record.notes[-1].partition("the nearest message was a 0800 0 s before: ")[2]
    assert told.startswith("MTI differs, field 11 Systems trace audit number differs (000099), field 41 ")
    assert told.endswith("is missing, 3 more")


def test_a_message_without_the_number_is_named_without_it() -> None:
    script = after(approve())
    plain = of_record(script, SALE).message
    bare = Answered(script.clock.now(), plain.only(plain.keys() - {11}), MacState.VALID)
    script.replies = [came(bare), silence]
    record = script.run(sale()).record
    assert record is not None
    assert record.notes[-1].endswith("field 11 Systems trace audit number is missing")


def test_what_was_passed_over_for_its_content_is_named_so() -> None:
    script = after(silence)
    record = kept(script, SALE)
    twin = Stray(sort=StraySort.FOREIGN, at=record.changed, message=of_record(script, SALE).message, proven=True)
    told = with_nearest("silence", replace(record, strays=(twin,)), script.journal, DIALECT, script.clock.now())
    assert told.endswith("what it brings answers something else")
