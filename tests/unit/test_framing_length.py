from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, UsageError
from pos_engine.framing.base import Framer, Received
from pos_engine.framing.length import BE2, FRAMINGS, LengthFramer, LengthFraming, parse

ENCODINGS = ("be2", "le2", "be4", "bcd2", "ascii4", "hex4")
TPDU = bytes.fromhex("6000060000")
ALL = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)


def limit_of(framing: LengthFraming) -> int:
    """The largest payload of a framing under the project's own limit."""
    return min(limits.FRAME_BYTES_MAX, framing.most - framing.surplus)


def test_a_payload_is_preceded_by_its_own_length() -> None:
    assert LengthFramer().send(b"abc") == b"\x00\x03abc"
    assert LengthFramer(BE2).send(b"abc") == b"\x00\x03abc"


@pytest.mark.parametrize(
    ("name", "plain", "with_itself", "without_tpdu", "both"),
    [
        ("be2", "0014", "0016", "000F", "0011"),
        ("le2", "1400", "1600", "0F00", "1100"),
        ("be4", "00000014", "00000018", "0000000F", "00000013"),
        ("bcd2", "0020", "0022", "0015", "0017"),
        ("ascii4", b"0020".hex(), b"0024".hex(), b"0015".hex(), b"0019".hex()),
        ("hex4", b"0014".hex(), b"0018".hex(), b"000F".hex(), b"0013".hex()),
    ],
)
def test_the_length_of_20_bytes_in_every_framing(
    name: str, plain: str, with_itself: str, without_tpdu: str, both: str
) -> None:
    payload = TPDU + b"x" * 15
    written = {"": plain, "+self": with_itself, "-tpdu": without_tpdu, "+self-tpdu": both}
    for suffix, expected in written.items():
        framer = LengthFramer(parse(name + suffix))
        data = framer.send(payload)
        assert data.hex() == expected.lower() + payload.hex()
        assert framer.receive(data, 0.0).frames == (payload,)


def test_the_table_names_every_framing_in_both_languages() -> None:
    assert set(FRAMINGS) == {name + suffix for name in ENCODINGS for suffix in ("", "+self", "-tpdu", "+self-tpdu")}
    for name, framing in FRAMINGS.items():
        assert framing.name == name
        assert parse(name) is framing
    for language in ("en", "zh"):
        assert len({framing.title.say(language) for framing in FRAMINGS.values()}) == len(FRAMINGS)


@pytest.mark.parametrize(
    "text",
    ["", "be", "BE2", " be2", "be2 ", "be2\n", "be3", "be2-tpdu+self", "be2+self+self", "be2-tpdu-tpdu", "+self"],
)
def test_another_name_is_refused_with_the_names_there_are(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert all(name in str(caught.value) for name in (*ENCODINGS, "+self", "-tpdu"))


def test_two_frames_in_one_piece_and_one_frame_in_two() -> None:
    framer: Framer = LengthFramer()
    assert framer.receive(b"\x00\x01a\x00\x02b", 0.0) == Received(frames=(b"a",))
    assert framer.pending == 3
    assert framer.receive(b"c", 0.0) == Received(frames=(b"bc",))
    assert framer.pending == 0


@ALL
def test_a_length_alone_is_pending(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    data = framer.send(TPDU + b"x")
    for count in range(1, framing.size + 1):
        assert framer.receive(data[count - 1 : count], 0.0) == Received()
        assert framer.pending == count


@ALL
def test_the_limit_holds_at_its_value_and_breaks_above_it(framing: LengthFraming) -> None:
    most = b"x" * limit_of(framing)
    framer = LengthFramer(framing)
    assert framer.receive(LengthFramer(framing).send(most), 0.0).frames == (most,)
    with pytest.raises(FrameError) as caught:
        framer.receive(framing.write(len(most) + 1 + framing.surplus), 0.0)
    assert caught.value.offset == 0
    with pytest.raises(LocalProtocolError, match="2049 bytes"):
        LengthFramer(framing).send(most + b"x")


@ALL
@pytest.mark.parametrize("limit", [6, 7, 100])
def test_a_limit_of_the_caller_s_own_holds_at_its_value_and_breaks_above_it(framing: LengthFraming, limit: int) -> None:
    most = b"x" * limit
    data = LengthFramer(framing, limit=limit).send(most)
    assert LengthFramer(framing, limit=limit).receive(data, 0.0).frames == (most,)
    more = LengthFramer(framing).send(most + b"x")
    with pytest.raises(FrameError, match=f"{limit + 1} bytes, {limit} are allowed"):
        LengthFramer(framing, limit=limit).receive(more, 0.0)
    with pytest.raises(LocalProtocolError, match=f"{limit + 1} bytes, {limit} are allowed"):
        LengthFramer(framing, limit=limit).send(most + b"x")


@pytest.mark.parametrize("framing", [row for row in FRAMINGS.values() if row.size == 2 or row.most < 0x10000])
def test_a_limit_that_the_length_cannot_express_is_lowered(framing: LengthFraming) -> None:
    framer = LengthFramer(framing, limit=1_000_000)
    most = b"x" * (framing.most - framing.surplus)
    data = framer.send(most)
    assert framing.read(data[: framing.size]) == framing.most
    assert framer.receive(data, 0.0).frames == (most,)
    with pytest.raises(LocalProtocolError):
        framer.send(most + b"x")


@ALL
def test_an_empty_frame_is_refused_in_both_directions(framing: LengthFraming) -> None:
    for size in range(framing.uncounted + 1):
        with pytest.raises(LocalProtocolError, match="empty"):
            LengthFramer(framing).send(b"x" * size)
    # Every number up to that of an empty frame; where the length counts itself, most of them are impossible anyway.
    for number in range(framing.surplus + framing.uncounted + 1):
        with pytest.raises(FrameError, match="empty"):
            LengthFramer(framing).receive(framing.write(number), 0.0)


@ALL
def test_a_flood_of_empty_frames_ends_at_the_first(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    with pytest.raises(FrameError, match="empty"):
        framer.receive(framing.write(0) * 10_000, 0.0)
    assert framer.pending == 0


@ALL
def test_a_giant_length_is_refused_before_any_of_it_comes(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    with pytest.raises(FrameError, match="are allowed"):
        framer.receive(framing.write(framing.most), 0.0)
    for _ in range(3):
        with pytest.raises(FrameError, match="are allowed"):
            framer.receive(b"\xff" * 4096, 0.0)
        assert framer.pending == 0


@ALL
def test_a_dribble_holds_no_more_than_one_frame(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    data = framer.send(b"x" * limit_of(framing)) * 2
    frames = 0
    for position in range(len(data)):
        frames += len(framer.receive(data[position : position + 1], float(position)).frames)
        assert framer.pending < limit_of(framing) + framing.size
    assert frames == 2


NOT_PACKED = [
    bytes([high, low]) for high, low in [(0x0A, 0x12), (0x00, 0x1F), (0xA0, 0x00), (0xFF, 0xFF), (0x00, 0xD5)]
]
NOT_DECIMAL = ["-001", "+001", "-123", "1.00", "0x12", "1_00", "12", "001A", "1e02", " 012", "012 ", "12\n3", "    "]
NOT_DECIMAL += ["\0\0\0\x01", "00\u00b2", "00\u00b3", "000\u00b9", "00\u00bd1"]
NOT_HEX = ["-00F", "+00F", "0x0F", "0_0F", " 00F", "00F ", "00FG", "00F\n", "\0\0\0\x01", "00\u00b2F"]


@pytest.mark.parametrize("suffix", ["", "+self", "-tpdu", "+self-tpdu"])
@pytest.mark.parametrize(
    ("name", "length"),
    [("bcd2", data) for data in NOT_PACKED]
    + [("ascii4", text.encode("latin-1").ljust(4, b"x")) for text in NOT_DECIMAL]
    + [("hex4", text.encode("latin-1").ljust(4, b"x")) for text in NOT_HEX],
)
def test_only_digits_are_a_number(name: str, suffix: str, length: bytes) -> None:
    for chunks in ([length + b"x" * 200], [length[place : place + 1] for place in range(len(length))]):
        framer = LengthFramer(parse(name + suffix))
        for chunk in chunks[:-1]:
            assert framer.receive(chunk, 0.0) == Received()
        with pytest.raises(FrameError) as caught:
            framer.receive(chunks[-1], 0.0)
        assert str(caught.value) == "a length that is no number (offset 0)"
        assert framer.pending == 0


@pytest.mark.parametrize("digits", ["\u0660\u0661", "\uff10\uff13", "\u0966\u0967"])
def test_digits_of_other_scripts_are_no_digits(digits: str) -> None:
    with pytest.raises(FrameError, match="no number"):
        LengthFramer(parse("ascii4")).receive(digits.encode(), 0.0)


def test_hexadecimal_characters_are_read_in_both_cases_and_written_in_upper() -> None:
    payload = b"x" * 0x1AB
    assert LengthFramer(parse("hex4")).send(payload)[:4] == b"01AB"
    for length in (b"01AB", b"01ab", b"01aB"):
        assert LengthFramer(parse("hex4")).receive(length + payload, 0.0).frames == (payload,)


@ALL
def test_a_failed_framer_stays_failed(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    good = framer.send(TPDU + b"a")
    with pytest.raises(FrameError):
        framer.receive(b"\xff\xff\xff\xff", 0.0)
    for data in (b"", good):
        with pytest.raises(FrameError):
            framer.receive(data, 0.0)
    assert framer.pending == 0


@ALL
def test_frames_before_a_fault_are_handed_out_before_it_is_raised(framing: LengthFraming) -> None:
    framer = LengthFramer(framing)
    good = framer.send(TPDU + b"a")
    assert framer.receive(good + b"\xff\xff\xff\xff", 0.0).frames == (TPDU + b"a",)
    with pytest.raises(FrameError):
        framer.receive(b"", 0.0)


@pytest.mark.parametrize(
    ("name", "limit"), [("be2", 0), ("be2", -1), ("be2-tpdu", 0), ("be2-tpdu", 5), ("ascii4+self-tpdu", 5)]
)
def test_a_limit_without_room_for_a_payload_is_refused(name: str, limit: int) -> None:
    with pytest.raises(UsageError, match="limit"):
        LengthFramer(parse(name), limit=limit)


def test_an_acquirer_s_own_framing_is_one_more_value() -> None:
    one_byte = replace(BE2, name="be1", size=1, most=0xFF, write=lambda number: number.to_bytes(1))
    assert LengthFramer(one_byte).send(b"ab") == b"\x02ab"
    assert len(LengthFramer(one_byte).send(b"x" * 255)) == 256
    with pytest.raises(LocalProtocolError):
        LengthFramer(one_byte).send(b"x" * 256)
