"""What every answer means: one table of answers and of the cue, with its remark, that each must give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.responses import classify, mismatch, verdict_of
from pos_engine.flow.states import Cue
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, State
from pos_engine.wire.message import Message
from tests.support.exchange import KEYS, PROFILE
from tests.support.records import NOW, new_record, reversal

STRICT = replace(PROFILE, accepts_unsigned_declines=False, accepts_unsigned_reversals=False)
VALID, WRONG, ABSENT = MacState.VALID, MacState.WRONG, MacState.ABSENT
ECHOED = (3, 4, 11, 41, 42, 49, 60)
PARTIAL_ASKED = "22000001000501"


def pending(kind: Kind) -> Record:
    """Make the first record of a kind; a reversal is of a sale."""
    journal = MemoryJournal(UNIONPAY.spec)
    if kind is Kind.REVERSAL:
        sale = new_record(journal)
        journal.save(sale)
        return reversal(journal, sale)
    return new_record(journal, kind)


def read(
    record: Record,
    code: str | None,
    mac: MacState = VALID,
    changes: dict[int, str | None] | None = None,
    *,
    mti: str | None = None,
    strict: bool = False,
) -> tuple[Cue, str]:
    """Classify an approval of a record with another code, changed elements, or without those changed to `None`."""
    row = UNIONPAY.kinds[record.kind]
    fields: dict[int, str | None] = {n: record.request[n] for n in ECHOED if n in record.request}
    fields |= {12: "120000", 13: "0102", 37: "000000000001", 39: code, **(changes or {})}
    message = Message(mti or row.answer_mti, {n: value for n, value in fields.items() if value is not None})
    return classify(record, Answered(NOW, message, mac), STRICT if strict else PROFILE)


@pytest.mark.parametrize(
    ("code", "mac", "changes", "expected"),
    [
        ("00", VALID, {}, (Cue.APPROVAL, "")),
        ("A2", VALID, {}, (Cue.APPROVAL, "")),
        ("00", ABSENT, {}, (Cue.UNPROVEN, "an approval whose MAC is absent")),
        ("00", WRONG, {}, (Cue.UNPROVEN, "an approval whose MAC is wrong")),
        ("00", VALID, {37: None, 13: None}, (Cue.UNWANTED, "an approval without fields 13, 37")),
        ("00", VALID, {4: None}, (Cue.UNWANTED, "an approval without fields 4")),
        ("10", VALID, {}, (Cue.UNWANTED, "a partial approval that was not asked for")),
        ("10", VALID, {4: "000000000001"}, (Cue.UNWANTED, "a partial approval that was not asked for")),
        ("10", VALID, {4: "000000001235"}, (Cue.STRANGER, "passed over 0210: field 4 differs")),
        ("10", VALID, {4: "000000000000"}, (Cue.STRANGER, "passed over 0210: field 4 differs")),
        ("00", VALID, {4: "000000000001"}, (Cue.STRANGER, "passed over 0210: field 4 differs")),
        ("10", VALID, {3: "200000"}, (Cue.STRANGER, "passed over 0210: field 3 differs")),
        ("10", VALID, {4: "000000000001", 42: "M"}, (Cue.STRANGER, "passed over 0210: field 42 differs")),
        ("00", VALID, {11: "000099"}, (Cue.STRANGER, "passed over 0210: field 11 differs")),
        ("00", VALID, {11: None}, (Cue.STRANGER, "passed over 0210: field 11 differs")),
        ("00", VALID, {41: "T0000002"}, (Cue.STRANGER, "passed over 0210: field 41 differs")),
        ("00", VALID, {41: None}, (Cue.STRANGER, "passed over 0210: field 41 differs")),
        ("00", VALID, {49: "840"}, (Cue.STRANGER, "passed over 0210: field 49 differs")),
        ("00", VALID, {60: "22000009000500"}, (Cue.STRANGER, "passed over 0210: field 60.2 differs")),
        ("00", VALID, {60: "22000001999500"}, (Cue.APPROVAL, "")),
        ("05", VALID, {60: None}, (Cue.DECLINE, "")),
        ("05", ABSENT, {}, (Cue.DECLINE, "")),
        ("05", VALID, {12: None, 13: None, 37: None, 42: None}, (Cue.DECLINE, "")),
        ("05", WRONG, {}, (Cue.STRANGER, "passed over a decline whose MAC is wrong")),
        ("77", VALID, {}, (Cue.DEMAND, "")),
        ("77", ABSENT, {}, (Cue.DEMAND, "")),
        ("77", WRONG, {}, (Cue.NOT_ACCEPTED_DEMAND, "a demand to sign on whose MAC is wrong")),
        (
            "77",
            VALID,
            {60: "22000009000500"},
            (Cue.NOT_ACCEPTED_DEMAND, "a demand to sign on, under another batch"),
        ),
        (None, VALID, {}, (Cue.UNREADABLE, "an answer without a response code")),
        (None, WRONG, {}, (Cue.UNREADABLE, "an answer without a response code")),
    ],
)
def test_an_answer_to_a_sale(
    code: str | None, mac: MacState, changes: dict[int, str | None], expected: tuple[Cue, str]
) -> None:
    assert read(pending(Kind.SALE), code, mac, changes) == expected


@pytest.mark.parametrize(
    ("code", "mac", "expected"),
    [
        ("05", VALID, (Cue.DECLINE, "")),
        ("05", ABSENT, (Cue.UNSIGNED, "a decline without a MAC, which this profile does not accept")),
        ("05", WRONG, (Cue.STRANGER, "passed over a decline whose MAC is wrong")),
        ("77", VALID, (Cue.DEMAND, "")),
        ("77", ABSENT, (Cue.NOT_ACCEPTED_DEMAND, "a demand to sign on whose MAC is absent")),
    ],
)
def test_a_decline_where_declines_are_signed(code: str, mac: MacState, expected: tuple[Cue, str]) -> None:
    assert read(pending(Kind.SALE), code, mac, strict=True) == expected


def test_a_partial_approval_counts_where_it_was_asked_for() -> None:
    sale = pending(Kind.SALE)
    asked = replace(sale, request=sale.request.replace({60: PARTIAL_ASKED}))
    assert read(asked, "10", changes={4: "000000001233"}) == (Cue.APPROVAL, "")
    assert read(asked, "10", changes={4: "000000001234"}) == (Cue.APPROVAL, "")
    assert read(asked, "10", changes={60: PARTIAL_ASKED[:-1] + "0"}) == (Cue.APPROVAL, "")
    unasked = replace(sale, request=sale.request.without(60))
    assert read(unasked, "10", changes={60: PARTIAL_ASKED})[0] is Cue.UNWANTED


@pytest.mark.parametrize(
    ("code", "mac", "changes", "expected"),
    [
        ("00", VALID, {}, (Cue.APPROVAL, "")),
        ("00", ABSENT, {}, (Cue.APPROVAL, "")),
        ("00", WRONG, {}, (Cue.NOT_ACCEPTED, "not accepted: the MAC is wrong")),
        ("00", VALID, {3: None, 42: None}, (Cue.NOT_ACCEPTED, "not accepted: without fields 3, 42")),
        ("12", VALID, {3: None, 42: None}, (Cue.APPROVAL, "")),
        ("25", VALID, {}, (Cue.APPROVAL, "")),
        ("05", VALID, {}, (Cue.NOT_ACCEPTED, "not accepted")),
        ("A2", VALID, {}, (Cue.NOT_ACCEPTED, "not accepted")),
        (None, VALID, {}, (Cue.NOT_ACCEPTED, "not accepted")),
        ("77", VALID, {}, (Cue.NOT_ACCEPTED_DEMAND, "not accepted: 77")),
        ("00", VALID, {11: "000099"}, (Cue.STRANGER, "passed over 0410: field 11 differs")),
    ],
)
def test_an_answer_to_a_reversal(
    code: str | None, mac: MacState, changes: dict[int, str | None], expected: tuple[Cue, str]
) -> None:
    assert read(pending(Kind.REVERSAL), code, mac, changes) == expected


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        (VALID, (Cue.APPROVAL, "")),
        (ABSENT, (Cue.NOT_ACCEPTED, "not accepted: without a MAC, which this profile demands")),
        (WRONG, (Cue.NOT_ACCEPTED, "not accepted: the MAC is wrong")),
    ],
)
@pytest.mark.parametrize("code", ["00", "12", "25"])
def test_the_end_of_a_reversal_where_it_has_to_be_signed(code: str, mac: MacState, expected: tuple[Cue, str]) -> None:
    assert read(pending(Kind.REVERSAL), code, mac, strict=True) == expected


@pytest.mark.parametrize("code", ["12", "25"])
def test_a_host_that_approved_the_sale_ends_its_reversal_by_acceptance_alone(code: str) -> None:
    proven = replace(pending(Kind.REVERSAL), approval_proven=True)
    unknown = "not accepted: the host does not know what it approved"
    assert read(proven, code) == (Cue.NOT_ACCEPTED, unknown)
    assert read(proven, "00") == (Cue.APPROVAL, "")


@pytest.mark.parametrize(
    ("code", "changes", "mti", "expected"),
    [
        ("00", {62: KEYS}, "0810", (Cue.KEYS_OFFERED, "")),
        ("00", {}, "0810", (Cue.UNWANTED, "an approval without fields 62")),
        ("05", {}, "0810", (Cue.DECLINE, "")),
        ("77", {}, "0810", (Cue.DEMAND, "")),
        ("00", {62: KEYS}, "0830", (Cue.STRANGER, "passed over 0830: MTI differs")),
        ("00", {60: "00000001301"}, "0810", (Cue.STRANGER, "passed over 0810: field 60.3 differs")),
        ("00", {60: "00000009003", 62: KEYS}, "0810", (Cue.KEYS_OFFERED, "")),
    ],
)
@pytest.mark.parametrize("mac", list(MacState))
def test_an_answer_to_a_sign_on(
    code: str, changes: dict[int, str | None], mti: str, expected: tuple[Cue, str], mac: MacState
) -> None:
    assert read(pending(Kind.SIGN_ON), code, mac, changes, mti=mti, strict=True) == expected


def test_a_message_without_stan_is_matched_by_the_rest() -> None:
    echo = replace(pending(Kind.SIGN_ON), kind=Kind.ECHO)
    echo = replace(echo, request=Message("0820", {41: "T0000001", 42: "M00000000000001", 60: "00000001301"}))
    assert read(echo, "00", ABSENT, {11: "000099", 62: None}) == (Cue.APPROVAL, "")
    assert read(echo, "00", ABSENT, {41: "T0000002"})[0] is Cue.STRANGER


@pytest.mark.parametrize("code", ["", " ", "0 ", "a0", "0\u00b2", "\u0660\u0660"])
def test_what_no_host_sends_is_no_response_code(code: str) -> None:
    assert verdict_of(Message("0210", {39: code}), UNIONPAY) is None
    assert verdict_of(Message("0210", {}), UNIONPAY) is None


def test_without_a_layout_of_field_60_only_the_open_elements_are_compared() -> None:
    sale = pending(Kind.SALE)
    plain = replace(UNIONPAY, layouts={})
    row = UNIONPAY.kinds[Kind.SALE]
    other_batch = Message("0210", {n: sale.request[n] for n in ECHOED} | {60: "22000009000500"})
    assert mismatch(sale.request, other_batch, row, plain) == ""
    assert mismatch(sale.request, other_batch, row, UNIONPAY) == "field 60.2 differs"
    assert sale.state is State.PENDING
