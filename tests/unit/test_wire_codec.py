"""The first message of a process, read or written: its shapes are compiled then, and it comes out the same."""

from __future__ import annotations

from dataclasses import replace

from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.wire import codec, reference
from pos_engine.wire.message import Message

ECHO = Message("0820", {41: "T0000001", 42: "M00000000000001", 60: "00000001301"})


def test_the_first_message_that_is_read_is_read_by_a_shape() -> None:
    spec = replace(UNIONPAY.spec, name="first read")
    data = reference.encode(ECHO, spec)
    assert not spec.shapes.ready
    assert codec.decode(data, spec) == ECHO
    assert spec.shapes.ready


def test_the_first_message_that_is_written_is_written_by_a_shape() -> None:
    spec = replace(UNIONPAY.spec, name="first written")
    assert not spec.shapes.ready
    assert codec.encode(ECHO, spec) == reference.encode(ECHO, spec)
    assert spec.shapes.ready
