"""A dialect for other programs: its table as JSON has it, and a dissector for Wireshark."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.registry import DIALECTS
from pos_engine.dialects.table import as_table
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.wireshark import dissector
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect

BOTH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


@BOTH
def test_the_table_holds_every_field_kind_and_code_and_is_json(dialect: Dialect) -> None:
    table = as_table(dialect)
    assert json.loads(json.dumps(table)) == table
    assert [each["number"] for each in table["fields"]] == sorted(dialect.spec.fields)
    assert [each["kind"] for each in table["kinds"]] == [kind.value for kind in dialect.kinds]
    assert [each["code"] for each in table["codes"]] == list(dialect.codes)
    assert (table["header"] is None, table["mac"] is None) == (dialect.header is None, dialect.mac is None)


def test_the_table_says_how_a_field_is_written() -> None:
    fields = {each["number"]: each for each in as_table(UNIONPAY)["fields"]}
    pan, amount, private = fields[2], fields[4], fields[60]
    assert (pan["sensitivity"], pan["encoding"], pan["length_digits"], pan["length_encoding"]) == (
        "pan",
        "BCD",
        2,
        "BCD",
    )
    assert (amount["size"], amount["length_encoding"], amount["columns"]) == (12, None, [])
    assert private["columns"][0]["key"] == "60.1"
    assert private["columns"][2]["values"]["003"]["zh"] == "签到(双倍长密钥)"


@BOTH
def test_the_dissector_knows_every_field_and_leaves_no_placeholder(dialect: Dialect) -> None:
    program = dissector(dialect, 9583)
    assert re.findall(r"@[A-Z_]+@", program) == []
    assert "local PORT = 9583" in program
    listed = program.partition("local FIELDS = ")[2].partition("local CODES")[0]
    assert [int(number) for number in re.findall(r"^  \[(\d+)\] = ", listed, re.MULTILINE)] == sorted(
        dialect.spec.fields
    )


def test_the_dissector_masks_what_a_log_masks() -> None:
    shown = dict(re.findall(r"^  \[(\d+)\] = .*? show = \"(\w+)\"", dissector(UNIONPAY, 1), re.MULTILINE))
    assert {number: shown[number] for number in ("2", "3", "35", "52", "55")} == {
        "2": "pan",
        "3": "open",
        "35": "hidden",
        "52": "hidden",
        "55": "sized",
    }


def test_a_name_cannot_break_out_of_the_program() -> None:
    odd = replace(UNIONPAY, name="my-dialect", title=Text('a "b" \\ c\nos.exit()', "甲"))
    program = dissector(odd, 1)
    assert 'Proto("pos_my_dialect", "a \\"b\\" \\\\ cos.exit()")' in program
    assert 'Proto("pos_my_dialect", "甲")' in dissector(odd, 1, "zh")
