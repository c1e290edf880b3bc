from __future__ import annotations

import pytest

from pos_engine.errors import FrameError, UsageError
from pos_engine.framing.tpdu import Tpdu


def test_ten_digits_pack_into_five_bytes_and_back() -> None:
    tpdu = Tpdu.parse("6000060000")
    assert tpdu == Tpdu(destination="0006", source="0000")
    assert tpdu.encode() == bytes.fromhex("6000060000")
    assert Tpdu.decode(tpdu.encode()) == tpdu
    assert str(tpdu) == "6000060000"


def test_the_answer_swaps_the_addresses() -> None:
    assert str(Tpdu.parse("6006010000").swapped()) == "6000000601"
    assert Tpdu.parse("6006010000").swapped().swapped() == Tpdu.parse("6006010000")


@pytest.mark.parametrize(
    "text", ["", "600006000", "60000600000", "6100060000", "60000600 0", "600006000A", "٦٠٠٠٠٦٠٠٠٠"]
)
def test_text_that_is_no_tpdu_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ten digits"):
        Tpdu.parse(text)


@pytest.mark.parametrize(("destination", "source"), [("006", "0000"), ("0006", "00000"), ("000A", "0000"), ("", "")])
def test_addresses_have_four_digits(destination: str, source: str) -> None:
    with pytest.raises(UsageError, match="four digits"):
        Tpdu(destination, source)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        ("", 0),
        ("60000600", 4),
        ("600006000000", 5),
        ("6100060000", 0),
        ("A000060000", 0),
        ("60000A0000", 2),
        ("60000600F0", 4),
    ],
)
def test_bytes_that_are_no_tpdu_name_the_offset(data: str, offset: int) -> None:
    with pytest.raises(FrameError) as caught:
        Tpdu.decode(bytes.fromhex(data))
    assert caught.value.offset == offset
