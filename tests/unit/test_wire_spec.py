from __future__ import annotations

import pytest

from pos_engine.errors import LocalProtocolError
from pos_engine.values import Text
from pos_engine.wire.field import Content, Encoding, FieldSpec, Length
from pos_engine.wire.spec import MessageSpec, table
from tests.support.specs import field

GOOD = field(3, Content.N, Length(6), Encoding.BCD)


def spec(*, bitmaps: int = 1, **fields: FieldSpec) -> MessageSpec:
    numbered = {int(key.removeprefix("f")): listed for key, listed in fields.items()}
    return MessageSpec("test", Encoding.BCD, Encoding.BINARY, bitmaps, numbered)


@pytest.mark.parametrize("bitmaps", [0, 4])
def test_a_message_has_one_to_three_bitmaps(bitmaps: int) -> None:
    with pytest.raises(LocalProtocolError, match="1 to 3 bitmaps"):
        spec(bitmaps=bitmaps)


@pytest.mark.parametrize(("number", "bitmaps"), [(1, 1), (65, 1), (65, 2), (129, 2), (193, 3), (0, 1)])
def test_a_field_has_a_bit_of_its_own(number: int, bitmaps: int) -> None:
    with pytest.raises(LocalProtocolError, match="outside the bitmaps") as caught:
        spec(bitmaps=bitmaps, **{f"f{number}": field(number, Content.N, Length(6), Encoding.BCD)})
    assert caught.value.field == number


def test_a_field_stands_under_its_own_number() -> None:
    with pytest.raises(LocalProtocolError, match="another number"):
        spec(f4=GOOD)


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (Content.B, Encoding.BCD, "go together"),
        (Content.N, Encoding.BINARY, "go together"),
        (Content.AN, Encoding.BCD, "only digits and tracks"),
    ],
)
def test_content_and_encoding_fit_each_other(content: Content, encoding: Encoding, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        spec(f3=FieldSpec(3, Text("", ""), content, Length(6), encoding))


def test_the_longest_value_fits_its_length_prefix() -> None:
    spec(f3=field(3, Content.N, Length(99, 2), Encoding.BCD))
    with pytest.raises(LocalProtocolError, match="does not fit its length prefix"):
        spec(f3=field(3, Content.N, Length(100, 2), Encoding.BCD))


def test_a_field_is_listed_once() -> None:
    assert table(GOOD) == {3: GOOD}
    with pytest.raises(LocalProtocolError, match="twice"):
        table(GOOD, GOOD)
