"""What a failed sign-on is put down to: by type and by code, for every one of them, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind, Verdict
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import Trouble
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import MacState, Unreadable
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.session.diagnosis import (
    ABOUT_SESSION,
    ADVICE,
    CODES,
    TROUBLES,
    Cause,
    Diagnosis,
    diagnose,
    last_diagnosis,
)
from pos_engine.values import Text
from tests.support.exchange import Script, answer, approve, sale, signed_on, silence, unsent
from tests.support.records import KEYED, PAN, SPEC, answered, new_record

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Happening
    from pos_engine.wire.message import Message
    from tests.support.exchange import Reply

PAGE = Path(__file__).parents[2] / "docs/how-to-sign-on.md"
SIGN_ON = Order(kind=Kind.SIGN_ON)


def failed(
    kind: Kind = Kind.SIGN_ON, code: str | None = None, trouble: Trouble | None = None, state: State = State.DOUBTFUL
) -> Record:
    record = new_record(MemoryJournal(SPEC), kind)
    record = replace(record, state=state) if code is None else answered(record, State.DECLINED, code)
    return replace(record, trouble=trouble)


def cause_of(record: Record | None) -> Cause | None:
    assert record is not None
    found = diagnose(record, UNIONPAY)
    return found.cause if found is not None else None


@pytest.mark.parametrize("code", sorted(UNIONPAY.codes))
def test_every_code_of_the_table_is_put_down_to_something(code: str) -> None:
    meaning = UNIONPAY.meaning(code)
    if meaning.verdict is Verdict.APPROVAL:
        assert code not in CODES
        return
    of_sign_on, of_sale = cause_of(failed(code=code)), cause_of(failed(Kind.SALE, code))
    if CODES[code] is Cause.NOT_SESSION:
        assert (of_sign_on, of_sale) == (Cause.HOST_REFUSAL, Cause.NOT_SESSION)
    else:
        assert of_sign_on is CODES[code]
        assert of_sale is (of_sign_on if of_sign_on in ABOUT_SESSION else Cause.NOT_SESSION)
    if meaning.verdict is Verdict.SIGN_ON:
        assert of_sale in ABOUT_SESSION


def test_no_code_is_mapped_that_the_table_lacks() -> None:
    assert CODES.keys() <= UNIONPAY.codes.keys()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("97", Cause.TERMINAL),
        ("03", Cause.MERCHANT),
        ("77", Cause.BATCH),
        ("99", Cause.MAC),
        ("A0", Cause.MAC),
        ("51", Cause.NOT_SESSION),
        ("54", Cause.NOT_SESSION),
        ("55", Cause.NOT_SESSION),
        ("91", Cause.NOT_SESSION),
        ("ZZ", Cause.NOT_SESSION),
    ],
)
def test_a_refused_sale_is_a_matter_of_the_session_or_it_is_not(code: str, cause: Cause) -> None:
    found = diagnose(failed(Kind.SALE, code), UNIONPAY)
    assert found is not None
    assert found.cause is cause
    assert found.is_session is (cause is not Cause.NOT_SESSION)


@pytest.mark.parametrize("code", ["90", "91", "96"])
def test_a_host_that_cannot_just_now_is_busy(code: str) -> None:
    assert cause_of(failed(code=code)) is Cause.BUSY


def test_the_refused_password_of_an_operator_is_the_operators() -> None:
    assert cause_of(failed(code="55")) is Cause.OPERATOR


def test_a_code_that_nobody_lists_is_the_hosts_own() -> None:
    assert cause_of(failed(code="ZZ")) is Cause.HOST_REFUSAL


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_is_put_down_to_something_and_survives_the_journal(trouble: Trouble) -> None:
    record = failed(trouble=trouble)
    assert thaw(freeze(record, SPEC).body).trouble is trouble
    cause, text = TROUBLES[trouble]
    assert cause_of(record) is cause
    assert text.en == trouble.value
    assert text.zh


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_advice_in_both_languages_and_leads_from_somewhere(cause: Cause) -> None:
    advice = ADVICE[cause]
    for text in (advice.meaning, advice.engine, advice.merchant, advice.call):
        assert text.en.isascii()
        assert re.search(r"[\u4e00-\u9fff]", text.zh)
    reached = {*CODES.values(), *(each for each, _ in TROUBLES.values()), Cause.HOST_REFUSAL}
    assert cause in reached


def test_what_succeeded_has_no_diagnosis() -> None:
    assert cause_of(answered(new_record(MemoryJournal(SPEC), Kind.SIGN_ON), State.APPROVED)) is None


@pytest.mark.parametrize("trouble", [Trouble.TIMEOUT, Trouble.REFUSED, Trouble.INCOMPLETE, None])
def test_a_sale_that_the_line_lost_is_no_matter_of_the_session(trouble: Trouble | None) -> None:
    assert cause_of(failed(Kind.SALE, trouble=trouble)) is None


@pytest.mark.parametrize("trouble", [Trouble.BAD_MAC, Trouble.KEY])
def test_a_sale_whose_keys_differ_is_one(trouble: Trouble) -> None:
    assert cause_of(failed(Kind.SALE, trouble=trouble)) is Cause.MAC


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (State.UNSENT, Cause.NO_CONNECTION),
        (State.DOUBTFUL, Cause.TIMEOUT),
        (State.PENDING, Cause.INTERRUPTED),
    ],
)
def test_records_without_a_trouble_are_read_by_their_state(state: State, cause: Cause) -> None:
    assert cause_of(failed(state=state)) is cause


def test_a_wrong_check_value_without_a_trouble_is_read_by_its_code() -> None:
    assert cause_of(failed(code="00")) is Cause.KEYS


@pytest.mark.parametrize(
    ("host", "code", "cause"),
    [
        ("0102", "05", Cause.HOST_REFUSAL),
        ("0101", "05", Cause.HOST_REFUSAL),
        ("0104", "05", Cause.CLOCK),
        ("1231", "30", Cause.CLOCK),
        ("0104", "97", Cause.TERMINAL),
        ("0230", "05", Cause.HOST_REFUSAL),
        ("ABCD", "05", Cause.HOST_REFUSAL),
    ],
)
def test_a_date_that_no_time_zone_explains_is_the_terminals_clock(host: str, code: str, cause: Cause) -> None:
    record = failed(code=code)
    assert record.answer is not None
    record = replace(record, answer=record.answer.replace({13: host}))
    found = diagnose(record, UNIONPAY)
    assert found is not None
    assert found.cause is cause
    assert any("MMDD" in fact.en for fact in found.evidence) is (host in {"0104", "1231"})


def test_the_evidence_is_the_facts_of_the_record_and_no_card() -> None:
    record = replace(failed(code="97"), attempts=3, notes=("first", "127.0.0.1:1: something"))
    found = diagnose(record, UNIONPAY)
    assert found is not None
    assert [fact.en for fact in found.evidence] == [
        "the host answered 97: terminal unknown",
        "noted: 127.0.0.1:1: something",
        "attempts: 3",
        "at 2026-01-02 03:04:05+00:00 by the terminal's clock",
        "batch 000001, STAN 000001",
    ]
    assert found.evidence[0].zh == "主机应答 97: 终端未登记"
    with_card = replace(answered(new_record(MemoryJournal(SPEC), card=KEYED), State.DECLINED, "A0"), trouble=None)
    told = diagnose(with_card, UNIONPAY)
    assert told is not None
    assert PAN not in repr(told)


# What the flow makes of what happens.


def strange(_request: Message, now: Instant) -> Happening:
    return answer("00", {11: "999999"}, MacState.ABSENT)(_request, now)


def unreadable(_request: Message, now: Instant) -> Happening:
    return Unreadable(now, "field 4: not digits")


@pytest.mark.parametrize(
    ("replies", "trouble", "cause"),
    [
        ([silence], Trouble.TIMEOUT, Cause.TIMEOUT),
        ([unsent], Trouble.NO_CONNECTION, Cause.NO_CONNECTION),
        ([unreadable], Trouble.BAD_MESSAGE, Cause.HOST_DEFECT),
        ([strange, silence], Trouble.FOREIGN, Cause.FOREIGN),
        ([strange, unreadable], Trouble.BAD_MESSAGE, Cause.HOST_DEFECT),
        ([approve(mac=MacState.ABSENT)], Trouble.INCOMPLETE, Cause.HOST_DEFECT),
        ([approve({60: "00000001003", 62: "00"}, MacState.ABSENT)], Trouble.BAD_MESSAGE, Cause.HOST_DEFECT),
        ([answer("97", mac=MacState.ABSENT)], None, Cause.TERMINAL),
        ([strange, answer("97", mac=MacState.ABSENT)], None, Cause.TERMINAL),
    ],
)
def test_what_went_wrong_is_kept_on_the_record(replies: list[Reply], trouble: Trouble | None, cause: Cause) -> None:
    script = Script(*replies)
    script.run(SIGN_ON)
    (record,) = script.journal.recent(9)
    assert (record.trouble, cause_of(record)) == (trouble, cause)
    found = last_diagnosis(script.journal, UNIONPAY)
    assert isinstance(found, Diagnosis)
    assert found.cause is cause


def test_a_wrong_check_value_is_the_keys() -> None:
    script = Script(signed_on(), keys_good=False)
    script.run(SIGN_ON)
    (record,) = script.journal.recent(9)
    assert (record.trouble, record.code, cause_of(record)) == (Trouble.CHECK_VALUE, "00", Cause.KEYS)


def test_a_stranger_before_a_success_leaves_no_trouble() -> None:
    script = Script(strange, signed_on())
    script.run(SIGN_ON)
    (record,) = script.journal.recent(9)
    assert (record.state, record.trouble) == (State.APPROVED, None)
    assert last_diagnosis(script.journal, UNIONPAY) is None


def test_an_approval_whose_mac_is_wrong_is_the_keys_and_its_reversal_forgets_its_own_trouble() -> None:
    script = Script(signed_on(), approve(mac=MacState.WRONG), silence, unsent, approve())
    script.run(sale())
    record = script.journal.find(2)
    assert record is not None
    assert (record.trouble, cause_of(record)) == (Trouble.BAD_MAC, Cause.MAC)
    for trouble in (Trouble.TIMEOUT, Trouble.NO_CONNECTION, None):
        script.clock.advance(4000)
        script.run(None)
        reversal = script.journal.find(3)
        assert reversal is not None
        assert reversal.trouble is trouble


def test_the_last_failure_counts_until_a_sign_on_succeeds() -> None:
    script = Script(silence, answer("91", mac=MacState.ABSENT), signed_on())
    causes = []
    for _ in range(3):
        script.clock.advance(4000)
        script.run(SIGN_ON)
        found = last_diagnosis(script.journal, UNIONPAY)
        causes.append(found.cause if found is not None else None)
    assert causes == [Cause.TIMEOUT, Cause.BUSY, None]


def rows(language: str) -> list[str]:
    """The table of the page, one row for each cause."""
    lines = []
    for cause, advice in ADVICE.items():
        texts = (advice.meaning, advice.engine, advice.merchant, advice.call)
        cells = [text.zh if language == "zh" else text.en for text in texts]
        lines.append(" | ".join((f"| `{cause.value}`", *cells)) + " |")
    return lines


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_about_signing_on_has_the_table(language: str) -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in rows(language) if line not in page] == []


def test_a_diagnosis_has_the_advice_of_its_cause() -> None:
    found = diagnose(failed(code="97"), UNIONPAY)
    assert found is not None
    assert found.advice is ADVICE[Cause.TERMINAL]


@pytest.mark.parametrize(
    ("code", "may_pass"), [("91", True), ("96", True), ("97", False), ("55", False), ("05", False), ("ZZ", False)]
)
def test_trying_again_may_help_where_a_host_is_busy_and_not_where_it_has_answered(code: str, may_pass: bool) -> None:  # noqa: FBT001 - a column of the table
    found = diagnose(failed(code=code), UNIONPAY)
    assert found is not None
    assert found.may_pass is may_pass


def test_a_sale_that_the_host_approved_has_no_diagnosis_whatever_became_of_it() -> None:
    assert cause_of(failed(Kind.SALE, "00")) is None


def test_a_code_by_which_a_dialect_demands_a_sign_on_is_the_batch_where_nobody_lists_it() -> None:
    demand = replace(UNIONPAY.meaning("77"), code="ZZ")
    dialect = replace(UNIONPAY, codes={**UNIONPAY.codes, "ZZ": demand})
    for kind in (Kind.SIGN_ON, Kind.SALE):
        found = diagnose(failed(kind, "ZZ"), dialect)
        assert found is not None
        assert found.cause is Cause.BATCH


def test_the_evidence_is_told_in_both_languages_to_the_second() -> None:
    record = replace(failed(code="05", trouble=Trouble.INCOMPLETE), attempts=2, notes=("first", "second", "last"))
    assert record.answer is not None
    wall = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    record = replace(record, answer=record.answer.replace({13: "0104"}), changed=replace(record.changed, wall=wall))
    found = diagnose(record, UNIONPAY)
    assert found is not None
    assert list(found.evidence[1:]) == [
        Text(f"the terminal saw: {Trouble.INCOMPLETE.value}", "终端检测: 应答内容不全或未经请求"),
        Text("noted: last", "记录: last"),
        Text("the host's date is 0104, the terminal's 0102 (MMDD)", "主机日期 0104, 终端日期 0102 (月日)"),
        Text("attempts: 2", "尝试次数: 2"),
        Text("at 2026-01-02 03:04:05+00:00 by the terminal's clock", "终端时间 2026-01-02 03:04:05+00:00"),
        Text("batch 000001, STAN 000001", "批次号 000001, 流水号 000001"),
    ]


def test_a_single_note_is_told_too() -> None:
    found = diagnose(replace(failed(code="97"), notes=("only",)), UNIONPAY)
    assert found is not None
    assert Text("noted: only", "记录: only") in found.evidence


@pytest.mark.parametrize(
    ("own", "host", "cause"),
    [
        ((2026, 1, 1), "1231", Cause.HOST_REFUSAL),
        ((2026, 12, 31), "0101", Cause.HOST_REFUSAL),
        ((2026, 12, 31), "0102", Cause.CLOCK),
        ((2026, 1, 15), "0115", Cause.HOST_REFUSAL),
        ((2026, 1, 15), "0105", Cause.CLOCK),
        ((2026, 1, 15), None, Cause.HOST_REFUSAL),
    ],
)
def test_the_hosts_date_is_of_the_nearest_year(own: tuple[int, int, int], host: str | None, cause: Cause) -> None:
    record = failed(code="05")
    assert record.answer is not None
    answer = record.answer.without(13) if host is None else record.answer.replace({13: host})
    changed = replace(record.changed, wall=datetime(*own, tzinfo=UTC))
    assert cause_of(replace(record, answer=answer, changed=changed)) is cause
