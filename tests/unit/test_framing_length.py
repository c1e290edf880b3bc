from __future__ import annotations

from typing import Literal

import pytest

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, UsageError
from pos_engine.framing.base import Framer, Received
from pos_engine.framing.length import LengthFramer


def test_a_payload_is_preceded_by_its_own_length() -> None:
    assert LengthFramer().send(b"abc") == b"\x00\x03abc"


@pytest.mark.parametrize(
    ("size", "byteorder", "expected"), [(1, "big", "02"), (2, "little", "0200"), (4, "big", "00000002")]
)
def test_size_and_byte_order_are_the_links_choice(
    size: int, byteorder: Literal["big", "little"], expected: str
) -> None:
    framer = LengthFramer(size, byteorder)
    data = framer.send(b"ab")
    assert data == bytes.fromhex(expected) + b"ab"
    assert framer.receive(data, 0.0).frames == (b"ab",)


def test_two_frames_in_one_piece_and_one_frame_in_two() -> None:
    framer: Framer = LengthFramer()
    assert framer.receive(b"\x00\x01a\x00\x02b", 0.0) == Received(frames=(b"a",))
    assert framer.pending == 3
    assert framer.receive(b"c", 0.0) == Received(frames=(b"bc",))
    assert framer.pending == 0


def test_a_length_alone_is_pending() -> None:
    framer = LengthFramer()
    assert framer.receive(b"\x00", 0.0) == Received()
    assert framer.pending == 1


def test_the_limit_holds_at_its_value_and_breaks_above_it() -> None:
    most = b"x" * limits.FRAME_BYTES_MAX
    framer = LengthFramer()
    assert framer.receive(LengthFramer().send(most), 0.0).frames == (most,)
    with pytest.raises(FrameError) as caught:
        framer.receive((limits.FRAME_BYTES_MAX + 1).to_bytes(2), 0.0)
    assert caught.value.offset == 0
    with pytest.raises(LocalProtocolError, match="2049 bytes"):
        LengthFramer().send(most + b"x")


def test_a_limit_that_the_length_cannot_express_is_lowered() -> None:
    assert len(LengthFramer(1).send(b"x" * 255)) == 256
    with pytest.raises(LocalProtocolError):
        LengthFramer(1).send(b"x" * 256)


def test_an_empty_frame_is_refused_in_both_directions() -> None:
    with pytest.raises(LocalProtocolError, match="empty"):
        LengthFramer().send(b"")
    with pytest.raises(FrameError, match="empty"):
        LengthFramer().receive(b"\x00\x00", 0.0)


def test_a_failed_framer_stays_failed() -> None:
    framer = LengthFramer()
    with pytest.raises(FrameError):
        framer.receive(b"\xff\xff", 0.0)
    for data in (b"", b"\x00\x01a"):
        with pytest.raises(FrameError):
            framer.receive(data, 0.0)
    assert framer.pending == 0


def test_frames_before_a_fault_are_handed_out_before_it_is_raised() -> None:
    framer = LengthFramer()
    assert framer.receive(b"\x00\x01a\xff\xff", 0.0).frames == (b"a",)
    with pytest.raises(FrameError):
        framer.receive(b"", 0.0)


@pytest.mark.parametrize(("size", "limit"), [(0, 10), (5, 10), (2, 0)])
def test_impossible_settings_are_refused(size: int, limit: int) -> None:
    with pytest.raises(UsageError):
        LengthFramer(size, limit=limit)
