from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import FrameError
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.tpdu import Tpdu

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 40
PAYLOADS = st.lists(st.binary(min_size=1, max_size=LIMIT), max_size=6)


def feed(chunks: Iterable[bytes]) -> tuple[list[bytes], int, str | None]:
    """All frames of `chunks`, what is pending at the end, and the fault if there was one."""
    framer = LengthFramer(limit=LIMIT)
    frames: list[bytes] = []
    try:
        for chunk in (*chunks, b""):
            frames += framer.receive(chunk, 0.0).frames
    except FrameError as error:
        return frames, framer.pending, str(error)
    return frames, framer.pending, None


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(PAYLOADS, st.lists(st.integers(0, 300)))
def test_any_chunking_gives_the_frames_that_were_sent(payloads: list[bytes], cuts: list[int]) -> None:
    sender = LengthFramer(limit=LIMIT)
    data = b"".join(sender.send(payload) for payload in payloads)
    assert feed(pieces(data, cuts)) == (payloads, 0, None)
    assert feed(bytes([byte]) for byte in data) == (payloads, 0, None)


@given(PAYLOADS, st.binary(max_size=60), st.lists(st.integers(0, 300)))
def test_noise_after_frames_fares_the_same_in_any_chunking(
    payloads: list[bytes], noise: bytes, cuts: list[int]
) -> None:
    sender = LengthFramer(limit=LIMIT)
    data = b"".join(sender.send(payload) for payload in payloads) + noise
    at_once = feed([data])
    assert feed(pieces(data, cuts)) == at_once
    assert feed(bytes([byte]) for byte in data) == at_once
    assert at_once[0][: len(payloads)] == payloads


@given(st.lists(st.binary(max_size=100)))
def test_random_bytes_raise_nothing_but_frame_errors_and_never_pile_up(chunks: list[bytes]) -> None:
    framer = LengthFramer()
    for chunk in chunks:
        try:
            framer.receive(chunk, 0.0)
        except FrameError as error:
            assert error.offset == 0  # noqa: PT017 - most inputs raise nothing, which is right too
        assert framer.pending <= limits.FRAME_BYTES_MAX + 2


@given(st.binary(max_size=8) | st.binary(min_size=5, max_size=5).map(lambda data: b"\x60" + data[1:]))
def test_any_bytes_are_a_tpdu_or_a_frame_error(data: bytes) -> None:
    try:
        tpdu = Tpdu.decode(data)
    except FrameError as error:
        assert error.offset is not None  # noqa: PT017 - either outcome is right
        return
    assert tpdu.encode() == data
    assert Tpdu.parse(str(tpdu)) == tpdu
