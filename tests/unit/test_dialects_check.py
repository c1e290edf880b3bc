"""Each thing a new dialect can get wrong is found, and named by where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine.dialects.base import Dialect, Kind, MacRule
from pos_engine.dialects.check import findings
from pos_engine.dialects.registry import DIALECTS
from pos_engine.dialects.table import encoding_of, type_of
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.values import Text
from pos_engine.wire.columns import Column, Columns
from pos_engine.wire.field import Content, Encoding, Length, Sensitivity
from pos_engine.wire.spec import MessageSpec
from tests.support import specs

if TYPE_CHECKING:
    from pos_engine.dialects.base import Draft, KindRow

SALE = UNIONPAY.kinds[Kind.SALE]
FIELDS = UNIONPAY.spec.fields


def with_field(number: int, **changes: Any) -> Dialect:  # noqa: ANN401 - any attribute
    listed = {**FIELDS, number: replace(FIELDS[number], **changes)}
    return replace(UNIONPAY, spec=replace(UNIONPAY.spec, fields=listed))


def without_fields(*numbers: int) -> Dialect:
    kept = {number: field for number, field in FIELDS.items() if number not in numbers}
    return replace(UNIONPAY, spec=MessageSpec("short", Encoding.BCD, Encoding.BINARY, 1, kept))


def with_kind(**changes: Any) -> Dialect:  # noqa: ANN401 - any attribute
    return replace(UNIONPAY, kinds={**UNIONPAY.kinds, Kind.SALE: replace(SALE, **changes)})


def forgetful(draft: Draft) -> dict[int, str]:
    return {number: value for number, value in UNIONPAY.compose(draft).items() if number != 41}


def careless(draft: Draft) -> dict[int, str]:
    return {**UNIONPAY.compose(draft), 41: "short"}


def talkative(draft: Draft) -> dict[int, str]:
    return {**UNIONPAY.compose(draft), 70: "301"}


def broken(draft: Draft) -> dict[int, str]:
    raise KeyError(draft.stan)


def columns(*widths: int, key: str = "") -> Columns:
    return Columns(tuple(Column(key or f"x{place}", Text("a", "甲"), width) for place, width in enumerate(widths)))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_what_comes_with_the_engine_is_sound(dialect: Dialect) -> None:
    assert findings(dialect) == ()


@pytest.mark.parametrize(
    ("dialect", "where", "why"),
    [
        (replace(UNIONPAY, name="My Bank"), "name", "lower-case"),
        (replace(UNIONPAY, title=Text("Mine", "")), "title", "languages"),
        (with_field(3, name=Text("", "处理码")), "field 3", "languages"),
        (with_field(35, sensitivity=Sensitivity.OPEN), "field 35", "SECRET"),
        (with_field(2, sensitivity=Sensitivity.CARD), "field 2", "PAN"),
        (replace(UNIONPAY, kept=UNIONPAY.kept | {52}), "field 52", "kept"),
        (replace(UNIONPAY, kept=UNIONPAY.kept | {9}), "kept", "field 9"),
        (replace(UNIONPAY, echoes=(3, 8)), "echoes", "field 8"),
        (with_kind(kind=Kind.REFUND), "kind sale", "another kind"),
        (with_kind(mti="0210"), "kind sale", "not a request"),
        (with_kind(needed=SALE.needed | {9}), "kind sale", "field 9"),
        (with_kind(answered_with=SALE.answered_with - {39}), "kind sale", "39"),
        (with_kind(processing_code="310000", message_type="01"), "kind sale", "told from balance"),
        (
            replace(UNIONPAY, kinds={kind: row for kind, row in UNIONPAY.kinds.items() if kind is not Kind.REVERSAL}),
            "kind sale",
            "no reversal",
        ),
        (replace(UNIONPAY, mac=MacRule(62, "unionpay-ecb")), "field 62", "has 8 bytes"),
        (replace(UNIONPAY, mac=MacRule(52, "unionpay-ecb")), "field 52", "last"),
        (replace(UNIONPAY, mac=MacRule(64, "rot13")), "MAC", "algorithm"),
        (without_fields(64), "MAC", "field 64"),
        (replace(UNIONPAY, scheme=SCHEMES["sm4"]), "field 52", "wants 16 bytes"),
        (replace(UNIONPAY, scheme=SCHEMES["des"]), "kind sign-on", "other keys"),
        (replace(UNIONPAY, scheme=replace(SCHEMES["3des"], pin_format="iso-9")), "key scheme", "format"),
        (replace(UNIONPAY, layouts={**UNIONPAY.layouts, 9: columns(1)}), "layouts", "field 9"),
        (replace(UNIONPAY, layouts={**UNIONPAY.layouts, 22: columns(2, 2)}), "field 22", "wider"),
        (replace(UNIONPAY, layouts={**UNIONPAY.layouts, 53: columns(2, 2)}), "field 53", "inside a column"),
        (replace(UNIONPAY, layouts={**UNIONPAY.layouts, 60: columns(9, 8)}), "field 60", "length of 8"),
        (replace(UNIONPAY, layouts={**UNIONPAY.layouts, 61: columns(6, 6, key="x")}), "field 61", "one key"),
        (replace(UNIONPAY, codes={**UNIONPAY.codes, "XYZ": UNIONPAY.codes["05"]}), "code XYZ", "2 characters"),
        (replace(UNIONPAY, codes={}), "code 00", "approval"),
        (replace(UNIONPAY, header_default="6032"), "header", "12 digits"),
        (replace(UNIONPAY, tpdu_default="00"), "TPDU", "not a TPDU"),
        (replace(UNIONPAY, compose=forgetful), "kind sale", "lacks field 41"),
        (replace(UNIONPAY, compose=careless), "kind sale", "cannot be written"),
        (replace(UNIONPAY, compose=talkative), "kind sale", "field 70 of a composed request stands behind the MAC"),
        (replace(UNIONPAY, compose=broken), "kind sale", "KeyError"),
    ],
)
def test_a_fault_is_found_where_it_is(dialect: Dialect, where: str, why: str) -> None:
    found = findings(dialect)
    assert any(finding.where == where and why in finding.why.en for finding in found), found
    assert all(finding.why.zh for finding in found)


def test_a_dialect_without_mac_header_and_tpdu_can_be_sound() -> None:
    plain = replace(UNIONPAY, mac=None, header=None, header_default="", tpdu_default=None)
    assert findings(plain) == ()
    assert findings(replace(plain, scheme=None)) == ()


def test_without_a_sign_on_or_a_pin_there_is_nothing_to_disagree_with_the_keys() -> None:
    kinds: dict[Kind, KindRow] = {Kind.ECHO: UNIONPAY.kinds[Kind.ECHO]}
    fields = {number: listed for number, listed in FIELDS.items() if number != 52}
    spec = MessageSpec("bare", Encoding.BCD, Encoding.BINARY, 1, fields)
    assert findings(replace(UNIONPAY, kinds=kinds, spec=spec, kept=frozenset())) == ()


def test_types_are_written_as_the_standard_writes_them() -> None:
    assert [type_of(FIELDS[number]) for number in (2, 3, 35, 37, 41, 48, 52, 55)] == [
        "n..19 LLVAR",
        "n 6",
        "z..37 LLVAR",
        "an 12",
        "ans 8",
        "n..322 LLLVAR",
        "b 8",
        "b..255 LLLVAR",
    ]
    assert encoding_of(FIELDS[23]) == "BCD, right-justified"
    assert encoding_of(FIELDS[60]) == "BCD, length BCD in digits, only 8 11 12 13 14 17"
    ebcdic = specs.field(43, Content.ANS, Length(99, 2), Encoding.EBCDIC, Encoding.EBCDIC)
    assert encoding_of(ebcdic) == "EBCDIC, length EBCDIC in characters"
