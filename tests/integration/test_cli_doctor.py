"""`doctor match` and `explain` at the command line: what came, why it was not the answer, and what that points to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import pack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.framing.tpdu import Tpdu
from pos_engine.wire.message import Message
from tests.support.commands import CARD, Shop, new_shop, running_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIXED_UP = "7.77"
CONFUSED = """
[[rule]]
name = "twice"
match = { kind = "sign-on" }
action = "duplicate"

[[rule]]
name = "mixed up"
match = { kind = "sale", amount_suffix = "777" }
action = "wrong_stan"
"""
"""A host that answers sign-ons twice, and some sales under another number."""

REQUEST = Message(
    "0200",
    {
        3: "000000",
        4: "000000001234",
        11: "000007",
        22: "012",
        25: "00",
        41: "T0000001",
        42: "M00000000000001",
        49: "156",
        60: "22000001000500",
    },
)
ANSWER = Message("0210", {**dict(REQUEST.only({3, 4, 11, 25, 41, 42, 49, 60}).items()), 37: "000000000001", 39: "00"})


@pytest.fixture
def confused(tmp_path: Path) -> Iterator[Shop]:
    scenario = tmp_path / "confused.toml"
    scenario.write_text(CONFUSED, encoding="utf-8")
    with running_host(tmp_path, "--scenario", str(scenario)) as (_, first):
        shop = new_shop(tmp_path, int(first["port"]))
        shop.initialise()
        yield shop


def timed_out(shop: Shop) -> None:
    assert shop.run("sale", MIXED_UP, "--set", "acquirer.answer_timeout_s=1").code == 4


def written(message: Message) -> str:
    packet = pack(UNIONPAY, message, tpdu=Tpdu.parse("6000000000"), header="603100310000", mac=None)
    return packet.encode().hex()


def test_a_sale_that_timed_out_names_the_answer_that_came_instead(confused: Shop) -> None:
    timed_out(confused)
    told = confused.run("explain", "2")
    assert re.search(
        r"the nearest message was a 0210 \d s before: field 11 Systems trace audit number differs", told.out
    )
    assert "the message nearest to its answer was a 0210, read" in told.out
    assert "an answer to another request came instead" in told.out
    assert "应答错位或滞后" in confused.run("explain", "2", "--lang", "zh").out
    (arrival,) = confused.run("explain", "2", "--json").json()["arrivals"]
    assert (arrival["sort"], arrival["matches"], arrival["mac"]) == ("foreign", False, "valid")
    assert arrival["differs"] == [{"element": "11", "missing": False}]
    assert arrival["means"]["zh"]


def test_what_the_journal_met_is_listed_with_what_differs(confused: Shop) -> None:
    timed_out(confused)
    found = confused.run("doctor", "match", "2")
    assert found.code == 9
    assert re.search(r"sale +7\.77 CNY +STAN 000002 +\d{6} +no answer to it arrived in time", found.out)
    assert re.search(r"0210 +00 +\d{6} +foreign +sale 000002 +field 11 Systems trace audit number", found.out)
    content = confused.run("doctor", "match", "2", "--json").json()
    assert (content["answered"], content["matched"]) == (False, False)
    assert [each["sort"] for each in content["candidates"]][:1] == ["foreign"]
    (record,) = (
        each for each in map(str.strip, confused.run("journal", "export").out.splitlines()) if '"number": 2' in each
    )
    assert '"sort": "foreign"' in record


def test_an_answer_that_came_twice_is_a_duplicate(confused: Shop) -> None:
    assert confused.run("sale", "1.00").code == 0
    found = confused.run("doctor", "match", "1", "--batch", "000000", "--json")
    if found.code == 9:
        # The host has named the batch by then under which its first sign-on went out.
        found = confused.run("doctor", "match", "1", "--json")
    assert found.code == 0
    content = found.json()
    assert content["answered"]
    assert [each["sort"] for each in content["candidates"] if each["matches"]] == ["duplicate"]


def test_an_approved_sale_has_its_answer_and_nothing_else(shop: Shop) -> None:
    assert shop.run("sale", "1.00").code == 0
    found = shop.run("doctor", "match", "2")
    assert found.code == 0
    assert "its answer arrived, code 00" in found.out
    assert found.err.strip() == "nothing else came that could be its answer"


def test_a_transaction_that_is_not_there(shop: Shop) -> None:
    missing = shop.run("doctor", "match", "77")
    assert (missing.code, missing.error()) == (9, "no transaction has STAN 000077 in this batch")
    assert shop.run("sale", "1.00").code == 0
    assert "in 000009" in shop.run("doctor", "match", "2", "--batch", "000009").error()


def test_given_messages_are_compared_without_any_configuration(empty: Shop) -> None:
    other = written(ANSWER.replace({4: "000000000001", 41: "T0000002"}))
    (empty.folder / "answer.hex").write_text(written(ANSWER), encoding="utf-8")
    request = written(REQUEST)
    found = empty.run("doctor", "match", "--request", request, "--answer", other, "--answer", "answer.hex")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0].startswith("answer 2: a 0210 that answers this 0200 (")
    assert any(re.fullmatch(r"4 +Amount, transaction +differs", line.strip()) for line in lines)
    assert any(re.fullmatch(r"41 +Card acceptor terminal identification +differs", line.strip()) for line in lines)
    assert "the MAC is not checked here" in found.err
    alone = empty.run("doctor", "match", "--request", "-", "--answer", other, "--json", stdin=request)
    assert alone.code == 9
    content = alone.json()
    assert (content["dialect"], content["kind"], content["matched"]) == ("unionpay", "sale", False)
    differs = [each["element"] for each in content["answers"][0]["elements"] if each["verdict"] != "agrees"]
    assert differs == ["41", "4"]
    chinese = empty.run("doctor", "match", "--request", request, "--answer", other, "--lang", "zh").out
    assert "不匹配" in chinese
    assert "交易金额" in chinese


def test_card_data_of_given_messages_is_never_shown(empty: Shop) -> None:
    with_card = written(REQUEST.replace({2: CARD.pan.reveal()}))
    found = empty.run("doctor", "match", "--request", with_card, "--answer", written(ANSWER))
    assert found.code == 0
    assert "command line is kept in the shell's history" in found.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["match"],
        ["match", "2", "--request", "00"],
        ["match", "--request", "00"],
        ["match", "--answer", "00"],
        ["match", "--request", "00", "--answer", "00", "--batch", "000001"],
        ["match", "2", "--dialect", "unionpay"],
    ],
)
def test_a_stan_or_messages_but_not_both(empty: Shop, arguments: list[str]) -> None:
    refused = empty.run("doctor", *arguments)
    assert refused.code == 2
    assert "give a STAN, for what is in the journal, or else --request and --answer" in refused.error()


def test_what_cannot_be_compared_is_refused(empty: Shop) -> None:
    request, answer = written(REQUEST), written(ANSWER)
    (empty.folder / "two.hex").write_text(f"{request}\n{request}\n", encoding="utf-8")
    assert empty.run("doctor", "match", "--request", "two.hex", "--answer", answer).code == 2
    assert empty.run("doctor", "match", "--request", answer, "--answer", request).code == 2
    assert empty.run("doctor", "match", "--request", request, "--answer", answer[:-8]).code == 7
    assert empty.run("doctor", "match", "--request", request, "--answer", answer, "--dialect", "none").code == 2


def test_doctor_alone_lists_what_it_can_find_out(empty: Shop) -> None:
    told = empty.run("doctor")
    assert told.code == 0
    assert "match" in told.out
