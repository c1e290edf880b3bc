from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.detect import take_apart
from pos_engine.dialects.unionpay.fields import HEADER
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.errors import DecodeError
from pos_engine.wire import codec, lenient
from tests.support import specs
from tests.vectors.messages import SAMPLES, Sample

if TYPE_CHECKING:
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import MessageSpec

each_spec = pytest.mark.parametrize("spec", specs.ALL, ids=lambda spec: spec.name)


def decoded(data: bytes, spec: MessageSpec) -> Message | None:
    """Decode, or `None` for a `DecodeError`; any other exception fails the test."""
    try:
        return codec.decode(data, spec)
    except DecodeError:
        return None


def check(data: bytes, spec: MessageSpec) -> None:
    """What must hold of any bytes: one kind of error, the same bytes back, and both readers of one mind."""
    message, reading = decoded(data, spec), lenient.read(data, spec)
    assert (message is not None) == (reading.error is None and not reading.notes)
    if message is not None:
        assert codec.encode(message, spec) == data
        assert reading.message == message
        assert reading.end == len(data)


def any_message() -> st.SearchStrategy[tuple[MessageSpec, Message]]:
    return st.sampled_from(specs.ALL).flatmap(lambda spec: st.tuples(st.just(spec), specs.messages(spec)))


@each_spec
@given(data=st.data())
def test_encode_then_decode_gives_the_same_message(spec: MessageSpec, data: st.DataObject) -> None:
    message = data.draw(specs.messages(spec))
    raw = codec.encode(message, spec)
    assert codec.decode(raw, spec) == message
    check(raw, spec)


@each_spec
@given(raw=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_decode_error(spec: MessageSpec, raw: bytes) -> None:
    check(raw, spec)


@given(drawn=any_message(), data=st.data())
def test_a_changed_byte_is_refused_or_survives_the_round_trip(
    drawn: tuple[MessageSpec, Message], data: st.DataObject
) -> None:
    spec, message = drawn
    raw = bytearray(codec.encode(message, spec))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw), spec)


@given(drawn=any_message(), tail=st.binary(min_size=1, max_size=40))
def test_whatever_follows_a_message_is_refused(drawn: tuple[MessageSpec, Message], tail: bytes) -> None:
    spec, message = drawn
    raw = codec.encode(message, spec)
    with pytest.raises(DecodeError, match="bytes follow the last field") as caught:
        codec.decode(raw + tail, spec)
    assert caught.value.offset == len(raw)
    assert caught.value.decoded == dict(message)


@given(drawn=any_message(), data=st.data())
def test_a_cut_message_keeps_what_stood_before_the_cut(drawn: tuple[MessageSpec, Message], data: st.DataObject) -> None:
    spec, message = drawn
    raw = codec.encode(message, spec)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DecodeError) as caught:
        codec.decode(raw[:cut], spec)
    assert caught.value.decoded.items() <= dict(message).items()
    assert caught.value.offset is not None
    assert 0 <= caught.value.offset <= cut


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_cut_and_every_flipped_bit_of_a_capture_is_handled(sample: Sample) -> None:
    start = take_apart(sample.raw, UNIONPAY, HEADER).start
    raw = sample.raw[start:]
    for cut in range(len(raw)):
        check(raw[:cut], UNIONPAY)
        for bit in range(8):
            check(raw[:cut] + bytes([raw[cut] ^ 1 << bit]) + raw[cut + 1 :], UNIONPAY)


@given(raw=st.binary(max_size=120), head=st.sampled_from((b"", b"\x00\x3c", b"\x60\x00\x03\x00\x00", b"\x60" * 11)))
def test_detection_never_raises(raw: bytes, head: bytes) -> None:
    capture = take_apart(head + raw, UNIONPAY, HEADER)
    assert 0 <= capture.start <= len(head + raw)


@given(
    message=specs.messages(UNIONPAY).map(lambda message: message.replace({11: "000001", 41: "T0000001"}, mti="0200")),
    length=st.booleans(),
    tpdu=st.booleans(),
    header=st.booleans(),
)
def test_detection_finds_what_was_put_before_a_message(
    message: Message, *, length: bool, tpdu: bool, header: bool
) -> None:
    body = codec.encode(message, UNIONPAY)
    frame = bytes.fromhex("6000030000") * tpdu + bytes.fromhex("603100311812") * header + body
    capture = take_apart(len(frame).to_bytes(2) * length + frame, UNIONPAY, HEADER)
    assert capture.error is None
    assert capture.message == message
    assert capture.notes == ()
    assert (capture.length is not None, capture.tpdu is not None, capture.header is not None) == (length, tpdu, header)
