from __future__ import annotations

import pytest

from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.wire import codec, lenient
from pos_engine.wire.message import Message
from tests.support import specs

MAC_INPUT = "bit 64 is set but the MAC is absent: this looks like MAC input"


def wire(bitmap: str, data: str, mti: str = "0200") -> bytes:
    return bytes.fromhex(mti + bitmap + data)


def test_a_sound_message_gives_its_fields_bitmap_and_spans() -> None:
    message = Message("0200", {2: "6229990000000004", 3: "000000", 22: "021", 63: "01 "})
    raw = codec.encode(message, UNIONPAY)
    reading = lenient.read(raw, UNIONPAY)
    assert reading.message == message
    assert reading.bitmap == raw[2:10].hex().upper()
    assert (reading.notes, reading.error, reading.end) == ((), None, len(raw))
    assert reading.spans == {2: (10, 19), 3: (19, 22), 22: (22, 24), 63: (24, 29)}


def test_a_second_bitmap_is_part_of_the_shown_bitmap() -> None:
    raw = codec.encode(Message("0800", {11: "000001", 66: "1"}), specs.ASCII)
    reading = lenient.read(raw, specs.ASCII)
    assert reading.bitmap == raw[4:36].decode()
    assert reading.spans == {11: (36, 42), 66: (42, 43)}


@pytest.mark.parametrize("pad", "123456789ABCDEF")
def test_any_pad_nibble_is_accepted_with_a_note(pad: str) -> None:
    track = lenient.read(wire("0000000020000000", "0312D" + pad), UNIONPAY)
    assert (dict(track.message), track.error) == ({35: "12D"}, None)
    assert track.notes == ("field 35: its pad nibble is not 0",)
    sequence = lenient.read(wire("0000020000000000", pad + "001"), UNIONPAY)
    assert (dict(sequence.message), sequence.notes) == ({23: "001"}, ("field 23: its pad nibble is not 0",))


@pytest.mark.parametrize("digits", [0, 1, 9, 10, 15, 16])
def test_field_60_of_another_length_is_accepted_with_a_note(digits: int) -> None:
    value = "0" * digits
    reading = lenient.read(wire("0000000000000010", f"{digits:04d}{value}{'0' * (digits % 2)}"), UNIONPAY)
    assert (dict(reading.message), reading.error) == ({60: value}, None)
    assert reading.notes == (f"field 60: has {digits} digits, a length this dialect does not use",)


def test_mac_input_is_recognised() -> None:
    raw = codec.encode(Message("0200", {3: "000000", 64: "00" * 8}), UNIONPAY)
    reading = lenient.read(raw[:-8], UNIONPAY)
    assert (dict(reading.message), reading.notes, reading.error) == ({3: "000000"}, (MAC_INPUT,), None)


@pytest.mark.parametrize("left", range(1, 8))
def test_a_mac_cut_short_is_an_error(left: int) -> None:
    raw = codec.encode(Message("0200", {3: "000000", 64: "00" * 8}), UNIONPAY)
    reading = lenient.read(raw[: -8 + left], UNIONPAY)
    assert reading.error is not None
    assert (reading.error.field, reading.error.offset, reading.notes) == (64, 13, ())


def test_another_last_field_that_is_absent_is_an_error() -> None:
    reading = lenient.read(wire("2000000000001000", "000000"), UNIONPAY)
    assert reading.error is not None
    assert (reading.error.field, reading.error.reason) == (52, "needs 8 bytes, 0 are left")


def test_the_mac_of_a_second_bitmap_may_be_absent_too() -> None:
    raw = codec.encode(Message("0200", {11: "000001", 128: "00" * 8}), specs.ASCII)
    assert lenient.read(raw[:-8], specs.ASCII).notes == (MAC_INPUT.replace("64", "128"),)


def test_unprintable_text_is_kept_with_a_note() -> None:
    reading = lenient.read(wire("0000000000800000", "5400000000000000"), UNIONPAY)
    assert (reading.message[41], reading.error) == ("T" + "\x00" * 7, None)
    assert reading.notes[0].startswith("field 41: holds something other than any printable character")


def test_an_announced_bitmap_that_is_empty_is_a_note() -> None:
    raw = b"0800" + b"8020000000000000" + b"0" * 16 + b"000001"
    reading = lenient.read(raw, specs.ASCII)
    assert (dict(reading.message), reading.error) == ({11: "000001"}, None)
    assert reading.notes == ("bitmap: announces another bitmap that is empty",)


def test_digits_that_are_none_end_the_reading() -> None:
    reading = lenient.read(wire("3000000000000000", "000000" + "00000000000A"), UNIONPAY)
    assert reading.error is not None
    assert (reading.error.field, reading.error.offset) == (4, 13)
    assert dict(reading.message) == {3: "000000"}


def test_trailing_bytes_are_an_error_after_a_whole_message() -> None:
    reading = lenient.read(wire("2000000000000000", "000000" + "AC"), UNIONPAY)
    assert reading.error is not None
    assert (reading.error.field, reading.error.offset) == (None, 13)
    assert reading.error.reason == "bytes follow the last field: 1"
    assert dict(reading.error.decoded) == dict(reading.message) == {3: "000000"}


def test_a_field_outside_the_table_ends_the_reading_where_it_stands() -> None:
    reading = lenient.read(wire("3040000000000000", "000000" + "000000000001" + "1234"), UNIONPAY)
    assert reading.error is not None
    assert (reading.error.field, reading.error.offset, reading.end) == (10, 19, 19)
    assert set(reading.message) == {3, 4}


@pytest.mark.parametrize("size", range(10))
def test_an_incomplete_head_is_an_error_and_no_exception(size: int) -> None:
    reading = lenient.read(wire("2000000000000000", "")[:size], UNIONPAY)
    assert reading.error is not None
    assert reading.error.field == (0 if size < 2 else 1)
    assert reading.message.mti == ("" if size < 2 else "0200")
    assert (reading.bitmap, dict(reading.spans)) == ("", {})


def test_neither_notes_nor_renderings_show_a_value() -> None:
    pan = "6229990000000000007"
    raw = codec.encode(Message("0200", {2: pan}), UNIONPAY)
    reading = lenient.read(raw[:-1] + b"\x7f", UNIONPAY)
    assert (dict(reading.message), reading.notes) == ({2: pan}, ("field 2: its pad nibble is not 0",))
    assert pan not in repr(reading)
