from __future__ import annotations

import traceback

import iso8583
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.detect import take_apart
from pos_engine.dialects.unionpay.fields import HEADER
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.values import Text
from pos_engine.wire import codec, reference
from pos_engine.wire.field import Content, Encoding, FieldSpec, Length
from pos_engine.wire.message import Message
from pos_engine.wire.spec import MessageSpec, table
from tests.support import specs
from tests.vectors.messages import SAMPLES, Sample

PAN = "6229990000000004"
BITMAP_2 = "4000000000000000"


def ascii_message(bitmap: str, *fields: str) -> bytes:
    return ("0200" + bitmap + "".join(fields)).encode("latin-1")


def refusal(data: bytes, spec: MessageSpec = UNIONPAY) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        codec.decode(data, spec)
    return caught.value


def body(sample: Sample) -> bytes:
    return sample.raw[take_apart(sample.raw, UNIONPAY, HEADER).start :]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_captures_decode_to_their_fields_or_are_refused(sample: Sample) -> None:
    odd = sample.negative or sample.decode["notes"]
    if odd:
        error = refusal(body(sample))
        assert error.field is not None or error.offset is not None
    else:
        message = codec.decode(body(sample), UNIONPAY)
        assert (message.mti, dict(message)) == (sample.decode["mti"], sample.fields)
        assert codec.encode(message, UNIONPAY) == body(sample)


# Lengths: int() takes signs, blanks, underscores and foreign digits; a length takes digits.


@pytest.mark.parametrize("prefix", ["+4", " 4", "4 ", "-3", "-1", "1_", "_1", "\xb24", "4\xb2", "0x", "4.", "\x004"])
def test_ascii_length_of_anything_but_digits_is_refused(prefix: str) -> None:
    error = refusal(ascii_message(BITMAP_2, prefix, "1234"), specs.ASCII)
    assert (error.field, error.offset) == (2, 20)
    assert "length prefix is not decimal digits" in error.reason


@pytest.mark.parametrize("prefix", ["1_0", "+10", " 10", "-07", "1\xb90", "10 "])
def test_three_digit_ascii_length_of_anything_but_digits_is_refused(prefix: str) -> None:
    error = refusal(ascii_message("0000000000010000", prefix, "A" * 10), specs.ASCII)
    assert (error.field, error.offset) == (48, 20)


@pytest.mark.parametrize("prefix", [prefix for prefix in range(256) if prefix % 16 > 9 or prefix // 16 > 9])
def test_packed_length_with_a_nibble_above_nine_is_refused(prefix: int) -> None:
    error = refusal(bytes.fromhex("0200" + BITMAP_2) + bytes([prefix]) + bytes(20))
    assert (error.field, error.offset) == (2, 10)


@pytest.mark.parametrize(
    ("digits", "reason"),
    [("19", "needs 10 bytes, 9 are left"), ("20", "at most 19 are allowed"), ("99", "at most 19 are allowed")],
)
def test_length_past_the_end_or_the_maximum_is_refused(digits: str, reason: str) -> None:
    error = refusal(bytes.fromhex("0200" + BITMAP_2 + digits) + bytes(9))
    assert (error.field, error.mti, dict(error.decoded)) == (2, "0200", {})
    assert reason in error.reason


def test_length_limits_hold_at_n_and_n_plus_one() -> None:
    codec.encode(Message("0200", {2: "1" * 19, 55: "00" * 255, 61: "1" * 29}), UNIONPAY)
    for number, value in ((2, "1" * 20), (55, "00" * 256), (61, "1" * 30), (3, "1" * 7), (3, "1" * 5), (52, "00" * 7)):
        with pytest.raises(LocalProtocolError) as caught:
            codec.encode(Message("0200", {number: value}), UNIONPAY)
        assert caught.value.field == number


def test_an_empty_variable_field_is_allowed() -> None:
    message = Message("0200", {48: ""})
    assert codec.decode(codec.encode(message, UNIONPAY), UNIONPAY) == message


# Contents.


@pytest.mark.parametrize("amount", ["-00000000100", "+00000000100", " 00000000100", "0000000001.0", "1_0000000000"])
def test_ascii_amount_of_anything_but_digits_is_refused(amount: str) -> None:
    error = refusal(ascii_message("1000000000000000", amount), specs.ASCII)
    assert (error.field, error.offset) == (4, 20)


@pytest.mark.parametrize("stan", ["\x00\x00\x00\x00\x00\x00", "00001\x00", "00001\xb2", "00001\n"])
def test_nul_and_foreign_digits_in_field_11_are_refused(stan: str) -> None:
    assert refusal(ascii_message("0020000000000000", stan), specs.ASCII).field == 11


@pytest.mark.parametrize("nibble", "ABCDEF")
def test_a_packed_digit_above_nine_is_refused(nibble: str) -> None:
    assert refusal(bytes.fromhex("0200" + "2000000000000000" + "00000" + nibble)).field == 3


@pytest.mark.parametrize("nibble", "ABCEF")
def test_track_data_take_digits_and_separators_only(nibble: str) -> None:
    error = refusal(bytes.fromhex("0200" + "0000000020000000" + "04" + "12" + nibble + "4"))
    assert (error.field, error.offset) == (35, 11)


@pytest.mark.parametrize(
    ("bitmap", "data", "field"),
    [
        ("0000000020000000", "0312DF", 35),
        ("0000040000000000", "0211", 22),
        ("0000020000000000", "1001", 23),
        ("0000020000000000", "F001", 23),
    ],
)
def test_a_pad_nibble_other_than_zero_is_refused(bitmap: str, data: str, field: int) -> None:
    error = refusal(bytes.fromhex("0200" + bitmap + data))
    assert (error.field, error.reason) == (field, "its pad nibble is not 0")


def test_odd_digits_are_padded_on_the_side_their_field_says() -> None:
    raw = codec.encode(Message("0200", {22: "021", 23: "001"}), UNIONPAY)
    assert raw.hex() == "0200" + "0000060000000000" + "0210" + "0001"
    assert dict(codec.decode(raw, UNIONPAY)) == {22: "021", 23: "001"}


@pytest.mark.parametrize("text", ["T000000\x00", "T000000\n", "\x7f0000000"])
def test_control_characters_in_text_are_refused(text: str) -> None:
    assert refusal(bytes.fromhex("02000000000000800000") + text.encode("latin-1")).field == 41


def test_national_text_travels_byte_by_byte() -> None:
    value = "银联".encode("gbk").decode("latin-1")
    raw = codec.encode(Message("0200", {63: value}), UNIONPAY)
    assert raw.endswith("银联".encode("gbk"))
    assert codec.decode(raw, UNIONPAY)[63] == value


@pytest.mark.parametrize("digits", sorted(set(range(18)) - {8, 11, 12, 13, 14, 17}))
def test_field_60_of_a_length_the_dialect_does_not_use_is_refused_both_ways(digits: int) -> None:
    raw = bytes.fromhex(f"0200{16:016X}{digits:04d}" + "00" * ((digits + 1) // 2))
    assert refusal(raw).field == 60
    with pytest.raises(LocalProtocolError, match="a length this dialect does not use"):
        codec.encode(Message("0200", {60: "0" * digits}), UNIONPAY)


@pytest.mark.parametrize("digits", [8, 11, 12, 13, 14, 17])
def test_field_60_of_a_known_length_is_accepted_both_ways(digits: int) -> None:
    message = Message("0200", {60: "1" * digits})
    assert codec.decode(codec.encode(message, UNIONPAY), UNIONPAY) == message


# Heads.


@pytest.mark.parametrize("size", range(10))
def test_a_message_too_short_for_its_head_is_refused(size: int) -> None:
    error = refusal(bytes.fromhex("02006000000000000000")[:size])
    assert (error.field, error.offset) == ((0, 0) if size < 2 else (1, 2))


@pytest.mark.parametrize("mti", ["02A0", "FFFF", "D200"])
def test_a_packed_mti_has_digits(mti: str) -> None:
    assert refusal(bytes.fromhex(mti + "0" * 16)).field == 0


@pytest.mark.parametrize("mti", ["+200", " 200", "02 0", "02\xb20", "2_00"])
def test_an_ascii_mti_has_digits(mti: str) -> None:
    assert refusal(mti.encode("latin-1") + b"0" * 16, specs.ASCII).field == 0


@pytest.mark.parametrize("bitmap", ["40000000 0000000", "400000000000000g", "4000_00000000000", "00000000000c0000"])
def test_a_hex_bitmap_has_upper_case_hex_digits(bitmap: str) -> None:
    assert refusal(ascii_message(bitmap, "04", "1234"), specs.ASCII).field == 1


def test_an_empty_bitmap_is_a_message_without_fields() -> None:
    assert codec.decode(bytes.fromhex("0800" + "0" * 16), UNIONPAY) == Message("0800", {})


def test_bit_one_is_refused_where_there_is_one_bitmap() -> None:
    error = refusal(bytes.fromhex("0200" + "8000000000000000" * 2))
    assert (error.field, error.offset, error.reason) == (1, 2, "announces another bitmap, this dialect has 1")


def test_bit_sixty_five_is_refused_where_there_are_two_bitmaps() -> None:
    error = refusal(ascii_message("8000000000000000" * 2, "0" * 16), specs.ASCII)
    assert (error.field, error.offset) == (1, 20)


@pytest.mark.parametrize("bitmaps", ["8000000000000000" + "0" * 16, "8000000000000000" * 2 + "0" * 16])
def test_an_announced_bitmap_that_is_empty_is_refused(bitmaps: str) -> None:
    error = refusal("0200".encode("cp500") + bytes.fromhex(bitmaps), specs.ODD)
    assert (error.field, error.reason) == (1, "announces another bitmap that is empty")


@pytest.mark.parametrize("number", sorted(set(range(2, 65)) - set(UNIONPAY.fields)))
def test_a_field_outside_the_table_is_refused_at_its_bit(number: int) -> None:
    error = refusal(bytes.fromhex(f"0200{1 << 64 - number:016X}") + bytes(40))
    assert (error.field, error.offset) == (number, 2 + (number - 1) // 8)


@pytest.mark.parametrize("number", [68, 130, 191])
def test_a_field_outside_the_table_of_later_bitmaps_is_refused(number: int) -> None:
    bits = f"{1 << 191 | 1 << 127 | 1 << 192 - number:048X}"
    assert refusal("0200".encode("cp500") + bytes.fromhex(bits) + bytes(99), specs.ODD).field == number


def test_a_bitmap_that_claims_everything_is_refused() -> None:
    assert refusal(b"\x02\x00" + b"\xff" * 8 + bytes(4096)).field == 1


# Errors: they carry what was read, and never quote it.


def test_an_error_keeps_the_fields_before_it() -> None:
    raw = codec.encode(Message("0200", {2: PAN, 3: "000000", 11: "000001"}), UNIONPAY)
    error = refusal(raw[:-1])
    assert (error.field, error.offset, error.mti) == (11, len(raw) - 3, "0200")
    assert dict(error.decoded) == {2: PAN, 3: "000000"}


@pytest.mark.parametrize("cut", [15, 17, 19])
def test_no_error_text_or_traceback_shows_a_value_and_no_library_error_rides_along(cut: int) -> None:
    raw = codec.encode(Message("0200", {2: PAN, 3: "314159"}), UNIONPAY)[:cut]
    error = refusal(raw)
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.args)
    assert PAN not in shown
    assert raw.hex() not in shown
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_refused_value_is_not_quoted() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        codec.encode(Message("0200", {2: PAN + "D"}), UNIONPAY)
    assert (str(caught.value), caught.value.__context__) == ("field 2: holds something other than digits", None)


# Encoding.


@pytest.mark.parametrize("mti", ["", "020", "02000", "020A", "02\u0663\u0660", "²000"])
def test_an_mti_to_send_has_four_ascii_digits(mti: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        codec.encode(Message(mti, {}), UNIONPAY)
    assert caught.value.field == 0


@pytest.mark.parametrize("number", [0, 1, 5, 65, 128, -1])
def test_a_field_to_send_is_in_the_table(number: int) -> None:
    with pytest.raises(LocalProtocolError, match="is not an element of this dialect") as caught:
        codec.encode(Message("0200", {number: "0"}), UNIONPAY)
    assert caught.value.field == number


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (3, "00000²"),
        (3, "00000٣"),
        (3, "00000\n"),
        (35, "6229990000000004=2512"),
        (37, "12345678901-"),
        (41, "T00银联00"),
        (52, "0123456789abcdef"),
        (52, "0123456789ABCDE"),
        (62, "ABC"),
    ],
)
def test_a_value_to_send_has_the_characters_of_its_field(number: int, value: str) -> None:
    with pytest.raises(LocalProtocolError, match="holds something other than") as caught:
        codec.encode(Message("0200", {number: value}), UNIONPAY)
    assert caught.value.field == number


def test_a_value_to_send_is_text() -> None:
    with pytest.raises(LocalProtocolError, match="field 3: is not text"):
        codec.encode(Message("0200", {3: 314159}), UNIONPAY)  # type: ignore[dict-item]  # what a caller may do


def test_what_the_library_cannot_encode_is_an_error_without_the_value() -> None:
    listed = FieldSpec(48, Text("Data", "数据"), Content.ANS, Length(99, 2), Encoding.ASCII)
    fields = table(listed)
    spec = MessageSpec("changed later", Encoding.BCD, Encoding.BINARY, 1, fields)
    # A table that is changed after it was checked: the length no longer fits its prefix.
    fields[48] = FieldSpec(48, listed.name, Content.ANS, Length(999, 2), Encoding.ASCII)
    with pytest.raises(LocalProtocolError, match="does not fit") as caught:
        codec.encode(Message("0200", {48: PAN * 10}), spec)
    assert (caught.value.field, caught.value.__context__) == (48, None)
    assert PAN not in "".join(traceback.format_exception(caught.value))


def test_many_specs_do_not_fill_memory() -> None:
    for count in range(2 * reference.SPECS_MAX):
        listed = FieldSpec(3, Text("Code", "码"), Content.N, Length(6), Encoding.BCD)
        spec = MessageSpec(f"spec {count}", Encoding.BCD, Encoding.BINARY, 1, table(listed))
        assert codec.encode(Message("0800", {3: "000000"}), spec).hex() == "0800" + "2000000000000000" + "000000"
    assert reference._table.cache_info().currsize <= reference.SPECS_MAX  # noqa: SLF001 - the bound is the point


# pyiso8583 by itself, with a spec written by hand, as a second opinion.

ORACLE = {
    "h": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 0, "desc": ""},
    "t": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 2, "desc": ""},
    "p": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": ""},
    "1": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": ""},
    "2": {"data_enc": "b", "len_enc": "bcd", "len_type": 1, "max_len": 19, "len_count": "nibbles", "right_pad": "0"},
    "3": {"data_enc": "b", "len_enc": "bcd", "len_type": 0, "max_len": 3},
    "4": {"data_enc": "b", "len_enc": "bcd", "len_type": 0, "max_len": 6},
    "22": {"data_enc": "b", "len_enc": "bcd", "len_type": 0, "max_len": 3, "len_count": "nibbles", "right_pad": "0"},
    "23": {"data_enc": "b", "len_enc": "bcd", "len_type": 0, "max_len": 3, "len_count": "nibbles", "left_pad": "0"},
    "41": {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 8},
    "55": {"data_enc": "b", "len_enc": "bcd", "len_type": 2, "max_len": 255},
}


@given(
    fields=st.fixed_dictionaries(
        {}, optional={int(key): specs.values(UNIONPAY.fields[int(key)]) for key in ORACLE if key not in "htp1"}
    )
)
def test_the_bytes_are_those_of_pyiso8583_alone(fields: dict[int, str]) -> None:
    fields = {number: value for number, value in fields.items() if number != 41 or value.isascii()}
    keyed = {"t": "0200", **{str(number): value for number, value in fields.items()}}
    assert codec.encode(Message("0200", fields), UNIONPAY) == bytes(iso8583.encode(keyed, ORACLE)[0])
