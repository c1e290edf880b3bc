from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import FrameError
from pos_engine.framing.length import FRAMINGS, LengthFramer, LengthFraming
from pos_engine.framing.tpdu import TPDU_BYTES, Tpdu

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 40
# Long enough for every framing: one that leaves the TPDU out has no frame without anything behind it.
PAYLOADS = st.lists(st.binary(min_size=TPDU_BYTES + 1, max_size=LIMIT), max_size=6)
LENGTHS = st.sampled_from(list(FRAMINGS.values()))
# Noise that is likelier to be nearly a length than random bytes are.
NOISE = st.binary(max_size=60) | st.text("0123456789ABCDEFabcdef+-_ x\n\u00b2", max_size=60).map(str.encode)


def feed(framing: LengthFraming, chunks: Iterable[bytes]) -> tuple[list[bytes], int, str | None]:
    """All frames of `chunks`, what is pending at the end, and the fault if there was one."""
    framer = LengthFramer(framing, limit=LIMIT)
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


@given(LENGTHS, PAYLOADS, st.lists(st.integers(0, 300)))
def test_any_chunking_gives_the_frames_that_were_sent(
    framing: LengthFraming, payloads: list[bytes], cuts: list[int]
) -> None:
    sender = LengthFramer(framing, limit=LIMIT)
    data = b"".join(sender.send(payload) for payload in payloads)
    assert feed(framing, pieces(data, cuts)) == (payloads, 0, None)
    assert feed(framing, (bytes([byte]) for byte in data)) == (payloads, 0, None)


@given(LENGTHS, PAYLOADS, NOISE, st.lists(st.integers(0, 300)))
def test_noise_after_frames_fares_the_same_in_any_chunking(
    framing: LengthFraming, payloads: list[bytes], noise: bytes, cuts: list[int]
) -> None:
    sender = LengthFramer(framing, limit=LIMIT)
    data = b"".join(sender.send(payload) for payload in payloads) + noise
    at_once = feed(framing, [data])
    assert feed(framing, pieces(data, cuts)) == at_once
    assert feed(framing, (bytes([byte]) for byte in data)) == at_once
    assert at_once[0][: len(payloads)] == payloads


@given(LENGTHS, st.lists(NOISE))
def test_random_bytes_raise_nothing_but_frame_errors_and_never_pile_up(
    framing: LengthFraming, chunks: list[bytes]
) -> None:
    framer = LengthFramer(framing)
    for chunk in chunks:
        try:
            framer.receive(chunk, 0.0)
        except FrameError as error:
            assert error.offset == 0  # noqa: PT017 - most inputs raise nothing, which is right too
        assert framer.pending <= limits.FRAME_BYTES_MAX + framing.size


@given(LENGTHS, st.binary(min_size=4, max_size=4) | st.text("0123456789ABCDEFabcdef+-_ x", min_size=4).map(str.encode))
def test_what_reads_as_a_length_is_one_that_could_have_been_written(framing: LengthFraming, data: bytes) -> None:
    length = data[: framing.size]
    number = framing.read(length)
    assert number == framing.read(bytearray(length))
    if number is not None:
        assert 0 <= number <= framing.most
        assert framing.write(number) == length.upper() if framing.name.startswith("hex4") else length


@given(LENGTHS, st.integers(0, 0xFFFF_FFFF))
def test_every_number_up_to_the_most_reads_as_it_was_written(framing: LengthFraming, number: int) -> None:
    number %= framing.most + 1
    written = framing.write(number)
    assert len(written) == framing.size
    assert framing.read(written) == number


@given(st.binary(max_size=8) | st.binary(min_size=5, max_size=5).map(lambda data: b"\x60" + data[1:]))
def test_any_bytes_are_a_tpdu_or_a_frame_error(data: bytes) -> None:
    try:
        tpdu = Tpdu.decode(data)
    except FrameError as error:
        assert error.offset is not None  # noqa: PT017 - either outcome is right
        return
    assert tpdu.encode() == data
    assert Tpdu.parse(str(tpdu)) == tpdu
