from __future__ import annotations

import json

import pytest

from pos_engine.dialects.base import unpack
from pos_engine.dialects.detect import UNKNOWN_BLOCK_BYTES_MAX, take_apart
from pos_engine.dialects.unionpay import UNIONPAY as DIALECT
from pos_engine.dialects.unionpay.fields import HEADER
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.errors import DecodeError, FrameError
from pos_engine.wire import codec
from pos_engine.wire.message import Message
from tests.support import specs
from tests.vectors.messages import SAMPLES, Sample

TPDU = "6000030000"
HEAD = "603100311812"
SIGN_ON = Message("0800", {11: "000001", 41: "T0000001", 42: "M00000000000001", 60: "00000001003", 63: "001"})
BODY = codec.encode(SIGN_ON, UNIONPAY)


def framed(*parts: str, body: bytes = BODY, length: int | None = None) -> bytes:
    frame = bytes.fromhex("".join(parts)) + body
    return (len(frame) if length is None else length).to_bytes(2) + frame


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if not sample.negative], ids=lambda sample: sample.name
)
def test_a_capture_is_taken_apart(sample: Sample) -> None:
    capture = take_apart(sample.raw, UNIONPAY, HEADER)
    assert capture.error is None
    assert {
        "length": capture.length,
        "tpdu": capture.tpdu,
        "header": capture.header,
        "mti": capture.mti,
        "bitmap": capture.bitmap,
        "fields": {str(number): value for number, value in capture.message.items()},
        "notes": list(capture.notes),
    } == sample.decode
    assert (64 not in capture.message) or not sample.mab


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.negative], ids=lambda sample: sample.name)
def test_a_capture_that_cannot_be_read_gives_one_error_that_says_where(sample: Sample) -> None:
    capture = take_apart(sample.raw, UNIONPAY, HEADER)
    error = capture.error
    assert error is not None
    assert {"field": error.field, "offset": error.offset, "reason": error.reason} == sample.decode["error"]
    assert (capture.mti, dict(capture.message)) == (sample.decode["mti"], sample.fields)
    assert list(capture.notes) == sample.decode["notes"]


def test_there_are_captures_of_both_sorts() -> None:
    assert (len(SAMPLES), sum(sample.negative for sample in SAMPLES), sum(sample.mab for sample in SAMPLES)) == (
        62,
        5,
        6,
    )


def test_captures_hold_test_card_numbers_only() -> None:
    numbers = [
        value.removeprefix("99")
        for sample in SAMPLES
        for number, value in sample.fields.items()
        if number in {2, 35, 36}
    ]
    assert len(numbers) > 20
    assert all(number.startswith("622999") for number in numbers)


@pytest.mark.parametrize("declared", [0, 1, 59, 0x0200, 0xFFFF])
def test_a_wrong_length_is_a_note(declared: int) -> None:
    capture = take_apart(framed(TPDU, HEAD, length=declared), UNIONPAY, HEADER)
    assert (capture.message, capture.error) == (SIGN_ON, None)
    assert (capture.length, capture.tpdu, capture.header, capture.start) == (declared, TPDU, HEAD, 13)
    assert capture.notes == (f"length: declares {declared} bytes, {len(BODY) + 11} follow",)


def test_a_header_of_hex_digits_is_read() -> None:
    capture = take_apart(framed(TPDU, "61320032FFF1"), UNIONPAY, HEADER)
    assert (capture.header, capture.error) == ("61320032FFF1", None)


def test_a_block_of_unknown_meaning_is_skipped_with_a_note() -> None:
    # One byte more than a TPDU would pass for a header.
    for size in (2, 14, UNKNOWN_BLOCK_BYTES_MAX):
        capture = take_apart(framed(TPDU, "FD" * size), UNIONPAY, HEADER)
        assert (capture.message, capture.error, capture.tpdu) == (SIGN_ON, None, TPDU)
        assert capture.notes == (f"{size} bytes of unknown meaning stand before the MTI",)


def test_a_longer_block_of_unknown_meaning_is_not_skipped() -> None:
    capture = take_apart(framed(TPDU, "FD" * (UNKNOWN_BLOCK_BYTES_MAX + 1)), UNIONPAY, HEADER)
    assert isinstance(capture.error, FrameError)


@pytest.mark.parametrize("cut", range(len(framed(TPDU, HEAD))))
def test_a_frame_cut_anywhere_is_an_error_and_what_was_read_is_kept(cut: int) -> None:
    raw = framed(TPDU, HEAD)
    capture = take_apart(raw[:cut], UNIONPAY, HEADER)
    assert capture.error is not None
    assert capture.error.offset is not None
    assert capture.message.items() <= SIGN_ON.items()
    if cut >= 13 + 10:
        assert isinstance(capture.error, DecodeError)
        assert (capture.tpdu, capture.header, capture.mti) == (TPDU, HEAD, "0800")
        assert capture.notes == (f"length: declares {len(raw) - 2} bytes, {cut - 2} follow",)


@pytest.mark.parametrize("raw", [b"", b"\x60", b"\x00\x00", b"\xff" * 200, b"GET / HTTP/1.1\r\n\r\n", bytes(300)])
def test_what_is_no_message_says_so(raw: bytes) -> None:
    capture = take_apart(raw, UNIONPAY, HEADER)
    assert isinstance(capture.error, FrameError)
    assert dict(capture.message) == {}


def test_two_frames_in_one_piece_are_an_error_at_the_second() -> None:
    raw = framed(TPDU, HEAD)
    capture = take_apart(raw + raw, UNIONPAY, HEADER)
    assert capture.error is not None
    assert (capture.error.offset, capture.error.reason) == (len(BODY), f"bytes follow the last field: {len(raw)}")
    assert capture.message == SIGN_ON


def test_a_dialect_without_a_header_is_taken_apart() -> None:
    body = codec.encode(Message("0800", {11: "000001", 102: "account"}), specs.ASCII)
    for parts in ((), (TPDU,)):
        capture = take_apart(framed(*parts, body=body), specs.ASCII)
        assert (capture.error, capture.header, capture.message[102]) == (None, None, "account")
        assert capture.tpdu == (TPDU if parts else None)
    assert take_apart(body, specs.ASCII).start == 0


def test_neither_errors_nor_renderings_show_a_value() -> None:
    pan = "6229990000000004"
    raw = codec.encode(Message("0200", {2: pan, 3: "000000"}), UNIONPAY)[:-1]
    capture = take_apart(raw, UNIONPAY, HEADER)
    assert capture.message[2] == pan
    assert pan not in repr(capture)
    assert pan not in json.dumps([str(capture.error), repr(capture.error), *capture.notes])


def test_the_reading_in_the_dialect_it_was_written_in_is_the_better_one() -> None:
    raw = framed(TPDU, HEAD)
    own = take_apart(raw, UNIONPAY, HEADER)
    foreign = take_apart(raw, specs.ODD)
    assert own.merit > foreign.merit
    assert own.merit[:2] == (True, True)


def test_what_reads_better_has_more_merit() -> None:
    whole = take_apart(framed(TPDU, HEAD), UNIONPAY, HEADER)
    bare = take_apart(BODY, UNIONPAY, HEADER)
    cut = take_apart(framed(TPDU, HEAD)[:-4], UNIONPAY, HEADER)
    nothing = take_apart(b"hello, world", UNIONPAY, HEADER)
    assert isinstance(nothing.error, FrameError)
    assert cut.error is not None
    assert sorted([nothing, whole, cut, bare], key=lambda each: each.merit) == [nothing, cut, bare, whole]


def test_a_packet_names_what_is_in_it_and_shows_no_value() -> None:
    packet = unpack(DIALECT, framed(TPDU, HEAD)[2:])
    assert packet.message == SIGN_ON
    assert "0800" in repr(packet)
    assert HEAD in repr(packet)
    assert "M00000000000001" not in repr(packet)
