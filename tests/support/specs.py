"""Message formats for tests of the wire layer, deliberately unlike UnionPay's, and messages to fit any format."""

from __future__ import annotations

import string
from typing import Final

from hypothesis import strategies as st

from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.values import Text
from pos_engine.wire.field import Content, Encoding, FieldSpec, Justify, Length
from pos_engine.wire.message import Message
from pos_engine.wire.spec import MessageSpec, combine, table


def field(
    number: int,
    content: Content,
    length: Length,
    encoding: Encoding,
    prefix: Encoding = Encoding.BCD,
    *,
    justify: Justify = Justify.LEFT,
    sizes: frozenset[int] | None = None,
) -> FieldSpec:
    """Make a field whose name does not matter."""
    name = Text(f"Field {number}", f"第{number}域")
    return FieldSpec(number, name, content, length, encoding, prefix, justify, sizes=sizes)


ASCII: Final = MessageSpec(
    "ascii",
    mti=Encoding.ASCII,
    bitmap=Encoding.ASCII,
    bitmaps=2,
    fields=table(
        field(2, Content.N, Length(19, 2), Encoding.ASCII, Encoding.ASCII),
        field(4, Content.N, Length(12), Encoding.ASCII),
        field(11, Content.N, Length(6), Encoding.ASCII),
        field(35, Content.Z, Length(37, 2), Encoding.ASCII, Encoding.ASCII),
        field(48, Content.ANS, Length(999, 3), Encoding.ASCII, Encoding.ASCII),
        field(55, Content.B, Length(255, 3), Encoding.BINARY, Encoding.ASCII),
        field(66, Content.N, Length(1), Encoding.ASCII),
        field(102, Content.ANS, Length(28, 2), Encoding.ASCII, Encoding.ASCII),
        field(128, Content.B, Length(8), Encoding.BINARY),
    ),
)

ODD: Final = MessageSpec(
    "odd",
    mti=Encoding.EBCDIC,
    bitmap=Encoding.BINARY,
    bitmaps=3,
    fields=table(
        field(2, Content.N, Length(19, 2), Encoding.BCD, Encoding.BINARY, justify=Justify.RIGHT),
        field(3, Content.N, Length(5), Encoding.BCD, justify=Justify.RIGHT),
        field(7, Content.N, Length(5), Encoding.BCD),
        field(37, Content.AN, Length(12), Encoding.EBCDIC),
        field(43, Content.ANS, Length(99, 2), Encoding.EBCDIC, Encoding.EBCDIC),
        field(60, Content.N, Length(17, 3), Encoding.BCD, Encoding.BCD, sizes=frozenset({0, 8, 11})),
        field(64, Content.B, Length(8), Encoding.BINARY),
        field(70, Content.N, Length(3), Encoding.EBCDIC),
        field(129, Content.B, Length(300, 3), Encoding.BINARY, Encoding.BINARY),
        field(192, Content.ANS, Length(9, 1), Encoding.ASCII, Encoding.BCD),
    ),
    # Every set of its elements that has a 2 or a 3, so that all neighbourhoods and all three bitmaps occur.
    catalogue=combine(
        [frozenset({2}), frozenset({3}), frozenset({2, 3})],
        *((frozenset(), frozenset({number})) for number in (7, 37, 43, 60)),
        *((frozenset(), frozenset({number})) for number in (64, 129, 192)),
    )
    | combine(
        [frozenset({37, 70}), frozenset({43, 70, 129})],
        *((frozenset(), frozenset({number})) for number in (2, 60, 192)),
    )
    | {frozenset()},
)

ALL: Final = (UNIONPAY, ASCII, ODD)

_ALPHABETS: Final = {
    Content.N: string.digits,
    Content.Z: string.digits + "D",
    Content.H: string.digits + "ABCDEF",
    Content.AN: string.ascii_letters + string.digits + " ",
    Content.ANS: "".join(map(chr, [*range(0x20, 0x7F), *range(0x80, 0x100)])),
}


def values(listed: FieldSpec) -> st.SearchStrategy[str]:
    """Values that a field may hold."""
    least = listed.length.size if listed.length.fixed else 0
    if listed.content is Content.B:
        return st.binary(min_size=least, max_size=listed.length.size).map(lambda raw: raw.hex().upper())
    sizes = st.sampled_from(sorted(listed.sizes)) if listed.sizes else st.integers(least, listed.length.size)
    return sizes.flatmap(lambda size: st.text(_ALPHABETS[listed.content], min_size=size, max_size=size))


def messages(spec: MessageSpec) -> st.SearchStrategy[Message]:
    """Messages that a format allows."""
    mtis = st.text(string.digits, min_size=4, max_size=4)
    optional = {number: values(listed) for number, listed in spec.fields.items()}
    return st.builds(Message, mtis, st.fixed_dictionaries({}, optional=optional))
