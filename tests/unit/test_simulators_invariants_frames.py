"""The judge's reader of frames, held against the engine's codec and against pyiso8583."""

from __future__ import annotations

import iso8583
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.base import unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import RemoteProtocolError
from pos_engine.wire.field import Encoding, Justify
from simulators.invariants.frames import KEPT, read
from tests.vectors.messages import SAMPLES

STARTS = {"as captured": 0, "without its length": 2}
PAYLOADS = {f"{each.name}, {title}": each.raw[start:] for each in SAMPLES for title, start in STARTS.items()}


def by_engine(payload: bytes) -> tuple[str, dict[int, str]] | None:
    try:
        message = unpack(UNIONPAY, payload).message
    except RemoteProtocolError:
        return None
    return message.mti, {number: value for number, value in message.items() if number in KEPT}


READABLE = {name: payload for name, payload in PAYLOADS.items() if by_engine(payload)}
FRAMES = list(READABLE.values())


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_the_engine_reads_the_judge_reads_alike(name: str) -> None:
    payload = PAYLOADS[name]
    frame, expected = read(payload), by_engine(payload)
    assert expected is None or (frame is not None and (frame.mti, frame.fields) == expected)


def test_the_vectors_hold_enough_frames() -> None:
    assert len(FRAMES) > 30


def library_spec() -> dict[str, dict[str, object]]:
    """Say the dialect in the words of pyiso8583."""

    def entry(size: int, **more: object) -> dict[str, object]:
        return {"data_enc": "b", "len_enc": "bcd", "len_type": 0, "max_len": size, "desc": ""} | more

    spec = {"h": entry(0), "t": entry(4), "p": entry(16), "1": entry(16)}
    for number, field in UNIONPAY.spec.fields.items():
        is_packed = field.encoding is Encoding.BCD
        spec[str(number)] = entry(
            field.length.size,
            data_enc="latin-1" if field.encoding is Encoding.ASCII else "b",
            len_type=(field.length.prefix + 1) // 2,
            len_count="nibbles" if is_packed else "bytes",
            **{"right_pad" if field.justify is Justify.LEFT else "left_pad": "0"},
        )
    return spec


@pytest.mark.parametrize("name", READABLE)
def test_another_library_reads_the_same(name: str) -> None:
    payload = READABLE[name]
    frame = read(payload)
    assert frame is not None
    decoded, _ = iso8583.decode(payload[11:], library_spec())
    assert {int(key): value for key, value in decoded.items() if key.isdigit() and int(key) in KEPT} == frame.fields
    present = {int(key) for key in decoded if key.isdigit() and key != "1"}
    assert {number for number in range(2, 65) if frame.carries(number)} == present


@given(st.sampled_from(FRAMES), st.data())
def test_what_does_not_fit_to_its_last_byte_is_no_frame(payload: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(payload) - 1))
    assert read(payload[:cut]) is None
    assert read(payload + b"\x00") is None


@given(st.sampled_from(FRAMES), st.data())
def test_a_spoiled_frame_is_read_as_the_engine_reads_it_or_not_at_all(payload: bytes, data: st.DataObject) -> None:
    place, bit = data.draw(st.integers(11, len(payload) - 1)), data.draw(st.integers(0, 7))
    spoiled = bytearray(payload)
    spoiled[place] ^= 1 << bit
    frame, expected = read(bytes(spoiled)), by_engine(bytes(spoiled))
    assert expected is None or (frame is not None and (frame.mti, frame.fields) == expected)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    read(data)
    read(b"\x60" + data)


def test_a_frame_shows_no_value() -> None:
    frame = read(FRAMES[0])
    assert frame is not None
    assert not any(value in repr(frame) for value in frame.fields.values() if len(value) > 4)
