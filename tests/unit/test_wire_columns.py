from __future__ import annotations

import pytest

from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61, HEADER
from pos_engine.errors import DecodeError, LocalProtocolError


def test_reads_every_column_of_a_full_value() -> None:
    assert FIELD_60.read("22000001003501065") == {
        "60.1": "22",
        "60.2": "000001",
        "60.3": "003",
        "60.4": "5",
        "60.5": "0",
        "60.6": "1",
        "60.7": "065",
    }


@pytest.mark.parametrize(
    ("value", "last"),
    [("22000001", "60.2"), ("22000001003", "60.3"), ("220000010035", "60.4"), ("22000001003501", "60.6"), ("", None)],
)
def test_leaves_out_absent_trailing_columns(value: str, last: str | None) -> None:
    assert next(reversed(FIELD_60.read(value)), None) == last


def test_refuses_a_value_that_ends_inside_a_column() -> None:
    with pytest.raises(DecodeError, match=r"field 60: ends inside 60\.7") as caught:
        FIELD_60.read("220000130005050", field=60)
    assert caught.value.field == 60


def test_refuses_a_value_longer_than_its_layout() -> None:
    with pytest.raises(DecodeError, match="has 18 digits, its layout 17"):
        FIELD_60.read("0" * 18)


def test_get_returns_one_column_or_none() -> None:
    assert FIELD_60.get("22000001003", "60.3") == "003"
    assert FIELD_60.get("22000001", "60.3") is None
    assert FIELD_60.get("", "60.1") is None
    with pytest.raises(KeyError):
        FIELD_60.get("22000001", "60.8")


def test_join_is_the_inverse_of_read() -> None:
    value = "00000112233"
    assert FIELD_60.join(FIELD_60.read(value).values()) == value
    assert FIELD_61.join(("000001", "000002")) == "000001000002"


def test_join_refuses_a_part_of_another_width() -> None:
    with pytest.raises(LocalProtocolError, match=r"60\.2 takes 6 digits"):
        FIELD_60.join(("22", "1"))


def test_layouts_have_the_sizes_of_their_fields() -> None:
    assert [sum(column.width for column in layout.columns) for layout in (HEADER, FIELD_60, FIELD_61)] == [12, 17, 29]


def test_header_digit_six_is_the_processing_requirement() -> None:
    assert HEADER.get("603100311812", "request") == "0"
    assert HEADER.get("603103311812", "request") == "3"
