"""What a person reads of UnionPay's compound fields: the right form of each, and nothing that is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.unionpay import UNIONPAY, private, terminal_data
from pos_engine.dialects.unionpay.balance import read_balance
from pos_engine.dialects.unionpay.censor import chip_data
from pos_engine.dialects.unionpay.tags import TAGS
from pos_engine.dialects.unionpay.terminal_data import Page
from pos_engine.errors import DecodeError
from pos_engine.values import Amount, Pan
from pos_engine.wire import describe, tlv
from pos_engine.wire.describe import Row
from pos_engine.wire.field import Sensitivity
from pos_engine.wire.message import Message
from tests.vectors.messages import SAMPLES, Sample

if TYPE_CHECKING:
    from pos_engine.wire.composite import Part

PAN = "6229990000000004"
TRACK = "57" + "13" + "6229990000000004D35010110593158700000F"


def parts(mti: str, fields: dict[int, str], number: int) -> tuple[Part, ...]:
    return UNIONPAY.cut(Message(mti, fields), number)


def rows(mti: str, fields: dict[int, str], *, capture: bool = True) -> dict[str, Row]:
    described = describe.rows(
        Message(mti, fields), UNIONPAY.spec, UNIONPAY.cut, explain=UNIONPAY.explain, capture=capture
    )
    return {row.key: row for row in described}


def said(found: tuple[Part, ...]) -> list[tuple[str, str, str | None]]:
    return [(part.key, part.value, part.meaning.en if part.meaning else None) for part in found]


def test_entry_mode_and_security_information_are_said_in_words() -> None:
    assert said(parts("0200", {22: "071"}, 22)) == [("22.1", "07", "contactless"), ("22.2", "1", "PIN entered")]
    assert said(parts("0200", {53: "2610000000000000"}, 53))[:3] == [
        ("53.1", "2", "with the card number"),
        ("53.2", "6", "3DES, double length"),
        ("53.3", "1", "yes"),
    ]


def test_the_form_of_field_48_follows_mti_and_length() -> None:
    totals = "0" * 62
    assert len(parts("0500", {48: totals}, 48)) == 10
    assert len(parts("0200", {48: totals}, 48)) == 0
    assert said(parts("0330", {48: "0012"}, 48)) == [("48.1", "0012", None)]
    assert said(parts("0220", {48: "000000000100"}, 48)) == [("48.1", "000000000100", None)]
    assert parts("0200", {48: "0520"}, 48) == ()


def test_batch_details_show_masked_card_numbers() -> None:
    detail = private.Detail("01", "000007", Pan(PAN), Amount(1234))
    value = private.write_details([detail, detail])
    row = rows("0320", {48: value})["48"]
    assert PAN not in str(row)
    assert [child.shown for child in row.children] == ["02", *["01", "000007", "622999******0004", "000000001234"] * 2]
    assert rows("0320", {48: value}, capture=False)["48"].children == ()


def test_balances_institutions_and_texts() -> None:
    (balance,) = parts("0210", {54: "3002156D900000100000"}, 54)
    assert balance.meaning is not None
    assert balance.meaning.en == "credit account, available balance, debit, 9000001000.00 CNY"
    assert [part.value for part in parts("0210", {44: "03080000   48025800   "}, 44)] == ["03080000   ", "48025800   "]
    chinese = "CUP" + "交易成功".encode("gb18030").decode("latin-1").ljust(20)
    assert said(parts("0210", {63: chinese}, 63))[1][2] == "交易成功"


def test_scan_tags_keep_a_pay_code_from_logs() -> None:
    fields = {59: "A3019" + "6211111111111111111" + "ZZ001x"}
    row = rows("0200", fields)["59"]
    assert [(child.key, child.shown) for child in row.children] == [("A3", "6211111111111111111"), ("ZZ", "***")]
    assert rows("0200", fields, capture=False)["59"] == Row("59", "Reserved, scan-to-pay", "***")


@pytest.mark.parametrize(
    ("mti", "code", "data", "keys"),
    [
        ("0800", "003", b"Sequence No12306022003600", ["62.1"]),
        ("0810", "360", b"1260133", ["12", "13"]),
        ("0820", "362", b"011021", ["01", "02"]),
        ("0820", "372", terminal_data.write_query(7), ["62.1"]),
        ("0830", "372", terminal_data.write_page(Page.MORE, [tlv.Item("9F22", b"\x08")]), ["62.1", "9F22"]),
        ("0800", "370", tlv.encode([tlv.Item("9F06", b"\xa0"), tlv.Item("9F22", b"\x08")]), ["9F06", "9F22"]),
        ("0810", "003", bytes(40), ["62.1", "62.1", "62.2", "62.2"]),
        ("0810", "004", bytes(56), ["62.1", "62.1", "62.2", "62.2", "62.3"]),
        ("0810", "003", bytes(41), []),
        ("0830", "372", b"7", []),
        ("0200", "000", b"ACTN", []),
    ],
)
def test_the_form_of_field_62_follows_mti_and_network_code(mti: str, code: str, data: bytes, keys: list[str]) -> None:
    found = parts(mti, {60: f"00000001{code}", 62: data.hex().upper()}, 62)
    assert [part.key for part in found] == keys


def test_check_values_are_shown_with_three_bytes() -> None:
    raw = bytes(range(40)).hex().upper()
    found = parts("0810", {60: "00000001003", 62: raw}, 62)
    assert [part.value for part in found][1::2] == ["101112", "242526"]


def test_verification_values_have_no_way_out() -> None:
    for mark in (b"90", b"91"):
        value = (mark + b"13800000000" + b"123456").hex().upper()
        row = rows("0200", {60: "22000001000", 62: value})["62"]
        assert (row.shown, row.children) == ("***", ())


def test_chip_data_hides_what_names_a_card_at_any_depth_and_what_nobody_listed() -> None:
    value = f"9F360200015A08{PAN}7015{TRACK}" + "9F7F02ABCD" + "8200"
    shown = chip_data(value)
    assert shown == "9F360200015A08" + "*" * 16 + "70155713" + "*" * 38 + "9F7F02****" + "8200"
    row = rows("0200", {55: value})["55"]
    assert PAN not in str(row)
    assert [(child.key, child.shown) for child in row.children] == [
        ("9F36", "0001"),
        ("5A", "***"),
        ("70", ""),
        ("9F7F", "***"),
        ("82", ""),
    ]
    assert [child.shown for child in row.children[2].children] == ["***"]


@pytest.mark.parametrize("value", ["5A", "FF", "5A09" + PAN, "7003" + "5A08" + "62"])
def test_chip_data_that_cannot_be_read_is_hidden_whole(value: str) -> None:
    assert chip_data(value) == "***"
    row = rows("0200", {55: value})["55"]
    assert (row.shown, row.children) == ("***", ())


def test_every_tag_has_both_names() -> None:
    assert [tag for tag, known in TAGS.items() if not known.name.en or not known.name.zh] == []
    assert [tag for tag in TAGS if tlv.Item(tag).tag != tag] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_no_capture_breaks_the_parts_and_none_shows_a_secret(sample: Sample) -> None:
    fields = sample.fields
    described = rows(sample.decode["mti"] or "0200", fields)
    text = str(described)
    for number in {2, 35, 36, 52} & fields.keys():
        assert fields[number] not in text
    if 55 in fields and not sample.negative:
        assert described["55"].children


def test_the_filling_between_tags_is_named_and_empty() -> None:
    row = rows("0200", {55: "9F36020001" + "00" + "8200"})["55"]
    assert [(child.key, child.shown) for child in row.children] == [("9F36", "0001"), ("00", ""), ("82", "")]
    assert row.children[1].name == "filling"


def test_a_serial_number_is_told() -> None:
    value = terminal_data.write_serial(b"N3000123").hex().upper()
    assert said(parts("0800", {60: "00000001003", 62: value}, 62)) == [("62.1", "N3000123", None)]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "count"),
        ("0A", "digits"),
        ("02" + "0" * 40, "count"),
        ("01" + "0" * 39, r"ends inside 48\.5"),
        ("01" + "00" + "000007" + "0" * 20 + "0" * 12, "card number"),
    ],
)
def test_batch_details_that_are_none_are_refused(value: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as raised:
        private.read_details(value)
    assert raised.value.field == 48


SAVINGS, CREDIT, FOREIGN = "1001156C000000010000", "3002156D000000012345", "1002999C000000000001"


@pytest.mark.parametrize(
    ("value", "balance"),
    [
        (SAVINGS + CREDIT, "-123.45 CNY"),
        (SAVINGS, "100.00 CNY"),
        (FOREIGN + SAVINGS, "100.00 CNY"),
        (FOREIGN, "None"),
        ("", "None"),
        ("10", "None"),
        (SAVINGS[:-1] + "X", "None"),
    ],
)
def test_the_balance_is_what_is_available_or_the_first_that_is_told(value: str, balance: str) -> None:
    assert str(read_balance(Message("0210", {54: value}))) == balance
    assert read_balance(Message("0210", {})) is None


@pytest.mark.parametrize(
    ("mti", "fields", "number", "meaning"),
    [
        ("0200", {4: "000000001234", 49: "156"}, 4, "12.34 CNY"),
        ("0200", {4: "000000001234", 49: "999"}, 4, None),
        ("0200", {4: "000000001234"}, 4, None),
        ("0200", {4: "00000000123A", 49: "156"}, 4, None),
        ("0200", {4: "1000000000000", 49: "156"}, 4, None),
        ("0200", {22: "021"}, 22, "magnetic stripe, PIN entered"),
        ("0200", {22: "02"}, 22, "magnetic stripe"),
        ("0200", {22: "771"}, 22, "PIN entered"),
        ("0200", {22: "77"}, 22, None),
        ("0200", {22: "777"}, 22, None),
        ("0400", {39: "98"}, 39, "no answer arrived"),
        ("0210", {39: "98"}, 39, "no answer from the issuer"),
        ("0200", {35: "0"}, 35, "the magnetic stripe, never shown"),
        ("0200", {9: "1"}, 9, None),
        ("0200", {}, 4, None),
    ],
)
def test_a_value_is_said_in_words_where_it_has_some(
    mti: str, fields: dict[int, str], number: int, meaning: str | None
) -> None:
    found = UNIONPAY.explain(Message(mti, fields), number)
    assert (found.en if found is not None else None) == meaning


@pytest.mark.parametrize(("value", "hidden"), [("3930" + "31" * 20, True), ("3931" + "31" * 20, True), ("3932", False)])
def test_verification_data_is_named_and_never_shown(value: str, hidden: bool) -> None:  # noqa: FBT001 - a case
    found = parts("0200", {60: "22000001000500", 62: value}, 62)
    assert [(part.key, part.value, part.sensitivity) for part in found] == [("62.1", "", Sensitivity.SECRET)] * hidden
