from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.wire import codec, describe
from pos_engine.wire.composite import by_columns
from pos_engine.wire.describe import Row, shown
from pos_engine.wire.field import Sensitivity
from pos_engine.wire.message import Message
from tests.support.specs import ASCII, ODD
from tests.vectors.messages import SAMPLES, Sample

PAN = "6229990000000004"
LAYOUTS = by_columns({60: FIELD_60, 61: FIELD_61})
CLOSED = frozenset(number for number, field in UNIONPAY.fields.items() if field.sensitivity is not Sensitivity.OPEN)


def field_2(value: str, *, unmask_pan: bool = False) -> str:
    return shown(UNIONPAY.fields[2], value, unmask_pan=unmask_pan)


def test_what_is_hidden_is_what_a_card_a_key_or_a_pin_could_be_in() -> None:
    assert {2, 14, 35, 36, 48, 52, 54, 55, 58, 59, 62} == CLOSED


def test_a_card_number_shows_its_first_six_and_last_four_digits() -> None:
    assert field_2(PAN) == "622999******0004"
    assert field_2(PAN, unmask_pan=True) == PAN


@pytest.mark.parametrize(
    "value", ["", "6", "622999000004", "D229990000000004", "622999=000000004", "６２２９９９００００００００"]
)
def test_what_is_no_card_number_shows_nothing_masked_or_not(value: str) -> None:
    assert field_2(value) == "***"


@pytest.mark.parametrize("value", ["6229990000000004D2512", "=6229990000000004", "６２２９９９００００００００"])
def test_unmasking_shows_card_numbers_only(value: str) -> None:
    assert field_2(value, unmask_pan=True) == "***"


@pytest.mark.parametrize("number", sorted(CLOSED - {2}))
def test_nothing_unmasks_the_other_hidden_fields(number: int) -> None:
    for unmask_pan in (False, True):
        text = shown(UNIONPAY.fields[number], "1234567890123456", unmask_pan=unmask_pan)
        assert text in {"***", "*** (8 bytes)"}


def test_the_size_of_hidden_bytes_is_told() -> None:
    assert shown(UNIONPAY.fields[55], "9F3602" * 23) == "*** (69 bytes)"
    assert shown(UNIONPAY.fields[62], "") == "*** (0 bytes)"
    assert shown(UNIONPAY.fields[52], "0123456789ABCDEF") == "***"


def test_a_field_the_dialect_does_not_list_is_hidden() -> None:
    assert shown(None, PAN, unmask_pan=True) == "***"
    (row,) = describe.rows(Message("0200", {9: PAN}), UNIONPAY, LAYOUTS)
    assert row == Row("9", "not an element of this dialect", "***")


def test_control_characters_cannot_reach_a_screen() -> None:
    assert shown(UNIONPAY.fields[41], "\x1b[2J\x00\x9b\x7fT") == r"\x1B[2J\x00\x9B\x7FT"


def test_rows_name_elements_and_parts_in_both_languages() -> None:
    message = Message("0200", {2: PAN, 60: "22000001003"})
    english = describe.rows(message, UNIONPAY, LAYOUTS)
    assert english[0] == Row("2", "Primary account number", "622999******0004")
    assert english[1] == Row(
        "60",
        "Reserved private: transaction type",
        "22000001003",
        (
            Row("60.1", "Message type code", "22"),
            Row("60.2", "Batch number", "000001"),
            Row("60.3", "Network management code", "003"),
        ),
    )
    chinese = describe.rows(message, UNIONPAY, LAYOUTS, "zh")
    assert chinese[0].name == "主账号"
    assert [part.name for part in chinese[1].children] == ["消息类型码", "批次号", "网络管理信息码"]


def test_a_field_that_ends_inside_a_part_shows_the_whole_ones() -> None:
    (row,) = describe.rows(Message("0200", {60: "220000130005050"}), UNIONPAY, LAYOUTS)
    assert row.shown == "220000130005050"
    assert [part.key for part in row.children] == ["60.1", "60.2", "60.3", "60.4", "60.5", "60.6"]


def test_a_hidden_field_with_a_layout_shows_no_parts() -> None:
    (row,) = describe.rows(Message("0200", {48: "1" * 17}), UNIONPAY, by_columns({48: FIELD_60}))
    assert row == Row("48", "Additional data, private", "***")


def test_masked_values_are_keyed_by_number_as_text() -> None:
    message = Message("0200", {2: PAN, 3: "000000", 52: "0123456789ABCDEF", 64: "3030303030303030"})
    assert describe.masked(message, UNIONPAY) == {
        "2": "622999******0004",
        "3": "000000",
        "52": "***",
        "64": "3030303030303030",
    }
    assert describe.masked(message, UNIONPAY, unmask_pan=True)["2"] == PAN


def test_a_summary_says_what_it_is_in_one_line() -> None:
    message = Message("0210", {2: PAN, 3: "000000", 4: "000000001234", 11: "000007", 39: "00", 49: "156"})
    assert describe.summary(message, UNIONPAY) == (
        "0210 financial answer, 12.34 CNY, card 622999******0004, processing code 000000, STAN 000007, response 00"
    )
    assert describe.summary(message, UNIONPAY, "zh") == (
        "0210 金融 应答, 12.34 CNY, 卡号 622999******0004, 处理码 000000, 流水号 000007, 应答码 00"
    )


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({4: "000000000100"}, "000000000100"),
        ({4: "000000000100", 49: "999"}, "000000000100"),
        ({4: "00000000010A", 49: "156"}, "00000000010A"),
        ({4: "9" * 13, 49: "156"}, "9" * 13),
        ({4: "000000000100", 49: "392"}, "100 JPY"),
    ],
)
def test_an_amount_that_cannot_be_read_is_shown_as_it_stands(fields: dict[int, str], amount: str) -> None:
    assert describe.summary(Message("0200", fields), UNIONPAY) == f"0200 financial request, {amount}"


def test_a_message_of_an_unknown_kind_or_without_fields_has_a_summary() -> None:
    assert describe.summary(Message("9999", {}), UNIONPAY) == "9999"
    assert describe.summary(Message("", {}), UNIONPAY) == ""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_no_description_of_a_capture_shows_what_is_hidden(sample: Sample) -> None:
    message = Message("0200", sample.fields)
    text = describe.summary(message, UNIONPAY) + str(describe.masked(message, UNIONPAY))
    text += str(describe.rows(message, UNIONPAY, LAYOUTS))
    for number in CLOSED & set(message):
        assert len(message[number]) < 8 or message[number] not in text, number


@given(number=st.sampled_from(sorted(CLOSED)), value=st.text(min_size=1), unmask_pan=st.booleans())
def test_hidden_fields_show_at_most_ten_digits_of_anything(number: int, value: str, *, unmask_pan: bool) -> None:
    text = shown(UNIONPAY.fields[number], value, unmask_pan=unmask_pan)
    if number == 2 and value.isascii() and value.isdigit():
        assert unmask_pan or sum(character.isdigit() for character in text) <= 10
    else:
        assert text == "***" or text == f"*** ({len(value) // 2} bytes)"


@pytest.mark.parametrize(
    ("number", "value", "told"),
    [
        (3, "000000", "000000"),
        (2, PAN, "16" + "622999******0004"),
        (2, PAN + "1", "17" + "622999*******0041" + "0"),
        (35, PAN + "D2512", "21" + "*" * 22),
        (52, "0123456789ABCDEF", "*" * 16),
        (55, "9F3602", "0003" + "*" * 6),
        (63, "01 ", "0003303120"),
    ],
)
def test_the_bytes_of_a_hidden_element_are_stars_and_its_length_is_told(number: int, value: str, told: str) -> None:
    field, raw = UNIONPAY.fields[number], codec.encode(Message("0200", {number: value}), UNIONPAY)[10:]
    assert describe.bytes_shown(field, raw, value, shown(field, value)) == told


def test_the_bytes_of_a_card_number_in_characters_are_masked_one_by_one() -> None:
    field = replace(ASCII.fields[2], sensitivity=Sensitivity.PAN)
    raw = b"16" + PAN.encode()
    told = describe.bytes_shown(field, raw, PAN, shown(field, PAN))
    assert told == "3136" + "363232393939" + "**" * 6 + "30303034"


def test_the_pad_of_a_right_justified_card_number_stands_before_it() -> None:
    field = replace(ODD.fields[2], sensitivity=Sensitivity.PAN)
    raw = bytes.fromhex("11" + "0" + PAN + "4")
    assert describe.bytes_shown(field, raw, PAN + "4", shown(field, PAN + "4")) == "11" + "0" + "622999*******0044"


def test_the_bytes_of_an_element_that_nobody_lists_are_stars() -> None:
    assert describe.bytes_shown(None, b"\x01\x02\x03", "010203", "***") == "******"
