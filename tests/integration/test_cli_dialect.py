"""`dialect`: what there is, what is in it, what is wrong with one, and one for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.registry import DIALECTS

if TYPE_CHECKING:
    from tests.support.commands import Shop

OWN = '''
"""An acquirer of one's own, made of UnionPay's parts."""
from dataclasses import replace
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.values import Text
MINE = replace(UNIONPAY, name="mine", title=Text("Mine", "我的"){more})
'''


def test_the_list_names_every_dialect(empty: Shop) -> None:
    assert [each["name"] for each in empty.run("dialect", "list", "--json").json()["dialects"]] == list(DIALECTS)
    listed = empty.run("dialect", "list").out
    assert empty.run("dialect").out == listed
    assert "UnionPay POS" in listed
    assert "银联POS" in empty.run("dialect", "--lang", "zh").out


def test_a_dialect_is_shown_with_fields_kinds_and_codes(empty: Shop) -> None:
    out = empty.run("dialect", "show", "unionpay").out
    for line in (
        r"2         Primary account number",
        "n..19 LLVAR",
        "only 8 11 12 13 14 17",
        "  60.2",
        "reverse",
        "A0",
    ):
        assert line in out
    refused = empty.run("dialect", "show", "esperanto")
    assert (refused.code, refused.out) == (2, "")
    assert "unionpay" in refused.error()


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_comes_with_the_engine_is_sound(empty: Shop, name: str) -> None:
    assert empty.run("dialect", "check", name, "--json").json() == {"schema": 1, "checked": [name], "findings": []}


def test_a_file_of_one_s_own_is_checked(empty: Shop) -> None:
    (empty.folder / "mine.py").write_text(OWN.format(more=""))
    assert "nothing wrong was found" in empty.run("dialect", "check", "mine.py").out
    done = empty.run("dialect", "check", "mine.py", "--json")
    assert (done.code, sorted(done.json()["checked"])) == (0, ["mine", "unionpay"])
    (empty.folder / "bad.py").write_text(OWN.format(more=", echoes=(3, 9), tpdu_default='123'"))
    bad = empty.run("dialect", "check", "bad.py")
    assert bad.code == 9
    assert "names field 9, which is not in the table" in bad.out
    found = empty.run("dialect", "check", "bad.py", "--json").json()["findings"]
    assert [(each["dialect"], each["where"]) for each in found] == [("mine", "echoes"), ("mine", "TPDU")]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "no Dialect"), ("x = 1 +", "SyntaxError"), ("\nraise KeyError('6229990000000012')", "KeyError at line 2")],
)
def test_a_file_that_holds_no_dialect_is_told_in_one_line(empty: Shop, text: str, told: str) -> None:
    (empty.folder / "odd.py").write_text(text)
    done = empty.run("dialect", "check", "odd.py")
    assert (done.code, done.out) == (2, "")
    assert told in done.error()
    assert empty.run("dialect", "check", "nowhere.py").code == 2


def test_the_table_as_json_has_everything_that_is_data(empty: Shop) -> None:
    table = empty.run("dialect", "export", "unionpay").json()
    assert table == empty.run("dialect", "show", "unionpay", "--json").json()
    fields = {field["number"]: field for field in table["fields"]}
    assert sorted(fields) == sorted(DIALECTS["unionpay"].spec.fields)
    assert fields[35]["sensitivity"] == "secret"
    assert fields[60]["columns"][2]["values"]["003"]["zh"] == "签到(双倍长密钥)"
    assert {code["code"] for code in table["codes"]} == set(DIALECTS["unionpay"].codes)
    assert {kind["kind"] for kind in table["kinds"]} == {kind.value for kind in DIALECTS["unionpay"].kinds}


def test_the_dissector_is_a_program_for_the_port(empty: Shop) -> None:
    program = empty.run("dialect", "export", "unionpay", "--format", "wireshark", "--port", "9999").out
    assert "local PORT = 9999" in program
    assert empty.run("dialect", "export", "unionpay", "--format", "wireshark", "--json").json()["program"]
    assert empty.run("dialect", "export", "unionpay", "--port", "0").code == 2
