"""BER-TLV: what is read is written back byte for byte, bounds hold at N and N + 1, one kind of error comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.wire import tlv
from pos_engine.wire.tlv import Item

# Tags of one to three bytes, as their bits say; even classes are primitive, 71, BF0C and E1 hold items.
PRIMITIVE = ("5A", "82", "9F26", "9F8101", "DF31", "40")
CONSTRUCTED = ("71", "BF0C", "E1", "FF8102")


def items(depth: int = limits.TLV_DEPTH_MAX) -> st.SearchStrategy[list[Item]]:
    leaf = st.builds(Item, st.sampled_from(PRIMITIVE), st.binary(max_size=150), length_bytes=st.sampled_from((0, 2, 3)))
    each = leaf | st.just(Item(tlv.FILLING))
    if depth > 1:
        inner = items(depth - 1).map(tuple)
        each |= st.builds(lambda tag, children: Item(tag, children=children), st.sampled_from(CONSTRUCTED), inner)
    return st.lists(each, max_size=3)


def read_or_refused(data: bytes) -> tuple[Item, ...] | DecodeError:
    try:
        return tlv.decode(data)
    except DecodeError as error:
        return error


@given(items=items())
def test_what_is_written_is_read_as_it_was_and_written_again_byte_for_byte(items: list[Item]) -> None:
    data = tlv.encode(items)
    read = tlv.decode(data)
    assert tlv.encode(read) == data
    assert [(item.tag, item.content) for item in read] == [(item.tag, item.content) for item in items]


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_and_written_back_or_refused_with_an_offset(data: bytes) -> None:
    read = read_or_refused(data)
    if isinstance(read, DecodeError):
        assert read.offset is not None
        assert 0 <= read.offset <= len(data)
    else:
        assert tlv.encode(read) == data


@given(items=items(), cut=st.integers(min_value=1, max_value=20))
def test_a_block_that_is_cut_is_refused_or_a_whole_number_of_items(items: list[Item], cut: int) -> None:
    data = tlv.encode(items)[:-cut]
    read = read_or_refused(data)
    assert isinstance(read, DecodeError) or tlv.encode(read) == data


def test_order_and_repeats_are_kept() -> None:
    read = tlv.decode(bytes.fromhex("9F0602A0019F0602A0029F0602A001"))
    assert [item.value.hex() for item in tlv.find_all(read, "9F06")] == ["a001", "a002", "a001"]
    first = tlv.find(read, "9F06")
    assert first is not None
    assert (first.value.hex(), first.offset) == ("a001", 0)
    assert tlv.find(read, "5A") is None


def test_templates_are_read_through_and_offsets_count_from_the_first_byte() -> None:
    outer, after = tlv.decode(bytes.fromhex("71099F1804010203048600" + "9F3600"))
    assert [(item.tag, item.offset) for item in (*outer.children, after)] == [("9F18", 2), ("86", 9), ("9F36", 11)]
    assert outer.content == bytes.fromhex("9F1804010203048600")


def test_a_length_written_long_stays_long_and_filling_stays() -> None:
    data = bytes.fromhex("00" + "9F36810100" + "00" + "828200023C00" + "00")
    read = tlv.decode(data)
    assert tlv.encode(read) == data
    assert [item.tag for item in read] == ["00", "9F36", "00", "82", "00"]
    assert [item.length_bytes for item in read] == [0, 2, 0, 3, 0]


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        ("9F", 0),
        ("9F81", 0),
        ("9F818101", 0),
        ("9F8181810100", 0),
        ("5A", 1),
        ("5A02FF", 1),
        ("5A80", 1),
        ("5A81", 1),
        ("5A83000001FF", 1),
        ("82013C5A", 4),
        ("9F3601075A", 5),
        ("71025A01", 3),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(data: str, offset: int) -> None:
    with pytest.raises(DecodeError) as raised:
        tlv.decode(bytes.fromhex(data))
    assert raised.value.offset == offset


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = b"\x71" + bytes([len(data)]) + data
    return data


def test_nesting_is_bounded() -> None:
    # The innermost template is empty, so the depth counts templates.
    assert tlv.encode(tlv.decode(nested(limits.TLV_DEPTH_MAX - 1))) == nested(limits.TLV_DEPTH_MAX - 1)
    with pytest.raises(DecodeError, match="deep") as raised:
        tlv.decode(nested(limits.TLV_DEPTH_MAX))
    assert raised.value.offset == 2 * (limits.TLV_DEPTH_MAX - 1)


@pytest.mark.parametrize("template", [False, True])
def test_the_number_of_items_is_bounded_nested_ones_included(template: bool) -> None:  # noqa: FBT001 - a case of a table
    head = bytes.fromhex("7182") if template else b""
    room = limits.TLV_ITEMS_MAX - template

    def block(count: int) -> bytes:
        body = b"\x82\x00" * count
        return head + len(body).to_bytes(2) + body if template else body

    assert len(list(tlv.find_all(tlv.decode(block(room)), "82"))) == room
    with pytest.raises(DecodeError, match="items"):
        tlv.decode(block(room + 1))


def test_the_size_of_a_block_and_of_an_item_is_bounded() -> None:
    size = limits.TLV_BYTES_MAX - 4
    data = b"\x82\x82" + size.to_bytes(2) + bytes(size)
    assert tlv.encode(tlv.decode(data)) == data
    with pytest.raises(DecodeError, match="at most"):
        tlv.decode(data + b"\x00")
    assert len(tlv.encode([Item("82", bytes(limits.TLV_BYTES_MAX))])) == limits.TLV_BYTES_MAX + 4
    with pytest.raises(LocalProtocolError):
        tlv.encode([Item("82", bytes(limits.TLV_BYTES_MAX + 1))])


def test_a_value_is_replaced_at_any_depth_or_appended() -> None:
    read = tlv.decode(bytes.fromhex("9F360100" + "71049F360101" + "9F36810102"))
    put = tlv.put(read, "9F36", b"\xff\xff")
    assert tlv.encode(put).hex().upper() == "9F3602FFFF" + "71059F3602FFFF" + "9F3602FFFF"
    assert tlv.encode(tlv.put(read[:1], "95", b"\x00")).hex().upper() == "9F360100950100"
    with pytest.raises(LocalProtocolError):
        tlv.put(read, "71", b"\x00")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Item("5a", b""),
        lambda: Item("", b""),
        lambda: Item("9F", b""),
        lambda: Item("5A5A", b""),
        lambda: Item("zz", b""),
        lambda: Item("0001", b""),
        lambda: Item("71", b"\x00"),
        lambda: Item("5A", b"", (Item("82"),)),
        lambda: Item(tlv.FILLING, b"\x00"),
    ],
)
def test_an_item_that_would_not_be_read_back_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(LocalProtocolError):
        make()


def test_a_value_is_not_in_a_repr() -> None:
    assert "6229" not in repr(Item("5A", bytes.fromhex("6229990000000004")))
