"""What the till tells of a transaction that went wrong, and the supervisor's word on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Shop, new_shop, running_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOST = "9.96"
"""An amount whose answer the host loses."""
STUBBORN = """
[[rule]]
name = "lost"
match = { kind = "sale", amount_suffix = "996" }
action = "close"

[[rule]]
name = "stubborn"
match = { kind = "reversal" }
action = { do = "decline", code = "96" }
times = 4
"""
"""A host that books a sale, loses its answer, and refuses the reversal four times."""


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Shop]:
    scenario = tmp_path / "stubborn.toml"
    scenario.write_text(STUBBORN, encoding="utf-8")
    with running_host(tmp_path, "--scenario", str(scenario)) as (_, first):
        shop = new_shop(tmp_path, int(first["port"]))
        shop.initialise()
        yield shop


def in_doubt(shop: Shop) -> None:
    assert shop.run("sale", LOST, "--set", "acquirer.answer_timeout_s=1").code == 4


def unresolved(shop: Shop) -> None:
    in_doubt(shop)
    for _ in range(3):
        assert shop.run("sale", "1.00").code == 5


def test_an_approved_sale_is_explained(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    told = shop.run("explain", "2")
    assert (told.code, told.err) == (0, "")
    assert re.search(r"stands +sale  12\.34 CNY  STAN 000002  \d{6}  622999\*{6}0012  approved", told.out)
    assert "sale: kept in the journal, then sent" in told.out
    assert "sale: the host answered 00: approved" in told.out
    assert re.search(r"next +nothing: it is settled", told.out)


def test_a_doubt_and_its_reversal_are_explained_in_both_languages(shop: Shop) -> None:
    in_doubt(shop)
    doubt = shop.run("explain", "2")
    assert "sale: in doubt: no answer arrived (link lost: " in doubt.out
    assert re.search(r"next +it will be reversed before anything else is sent", doubt.out)
    assert re.search(r"now +do not take it for paid", doubt.out)
    assert shop.run("sale", "1.00").code == 0
    told = shop.run("explain", "000002", "--lang", "zh").out
    assert "sale  9.96 CNY  STAN 000002" in told
    assert "已冲正" in told
    assert "reversal: 主机应答00" in told
    assert "未扣款" in told


def test_an_explanation_in_json(shop: Shop) -> None:
    in_doubt(shop)
    content = shop.run("explain", "2", "--json").json()
    assert (content["kind"], content["standing"]) == ("sale", "in-doubt")
    assert [each["what"]["en"] for each in content["history"]] == [
        "kept in the journal, then sent",
        "in doubt: no answer arrived",
    ]
    assert content["why"] == {"en": "no answer arrived", "zh": "未收到应答"}
    assert set(content["advice"]) == set(content["next"]) == {"en", "zh"}


def test_what_is_not_there_cannot_be_explained(shop: Shop) -> None:
    assert (shop.run("explain", "2").code, shop.run("explain", "x").code) == (9, 2)
    shop.run("sign-on")
    missing = shop.run("explain", "777")
    assert (missing.code, missing.error()) == (9, "no transaction has STAN 000777 in this batch")
    assert shop.run("explain", "1234567").code == 2


def test_a_supervisor_takes_an_unresolved_reversal_over(stubborn: Shop) -> None:
    shop = stubborn
    unresolved(shop)
    blocked = shop.run("sale", "1.00")
    assert "is unresolved after 4 attempts, nothing else was sent; a supervisor may take it over" in blocked.error()
    assert "unresolved: blocks new transactions until a supervisor resolves it" in shop.run("status").out
    assert "call the acquirer" in shop.run("explain", "2").out
    taken = shop.run("journal", "resolve", "2", "--reason", "they will look at it", "--by", "Li")
    assert (taken.code, taken.err) == (0, "")
    assert taken.out.startswith("on record  reversal  STAN 000002  9.96 CNY")
    (owed,) = shop.run("status", "--json").json()["owed"]
    assert (owed["unresolved"], owed["taken_over"]) == (False, "they will look at it")
    assert "Li took it over: they will look at it" in shop.run("explain", "2").out
    # Nothing waits for it any more.
    assert shop.run("sale", "1.00").code == 0
    exported = [line for line in shop.run("journal", "export").out.splitlines() if '"they will look at it"' in line]
    assert len(exported) == 1


def test_what_a_supervisor_cannot_say(shop: Shop) -> None:
    in_doubt(shop)
    early = shop.run("journal", "resolve", "2", "--reason", "x")
    assert (early.code, early.error()) == (2, "the terminal still works on it by itself: 0 of 3 attempts")
    card = shop.run("journal", "resolve", "2", "--reason", "card 6229990000000012")
    assert card.code == 2
    assert "card number" in card.error()
    assert shop.run("journal", "resolve", "3", "--reason", "x").error() == "nothing is owed for STAN 000003"


def test_a_refund_in_doubt_is_settled_by_the_acquirers_word(shop: Shop) -> None:
    assert shop.run("sale", "20.00").code == 0
    doubt = shop.run("refund", LOST, "--original", "2", "--set", "acquirer.answer_timeout_s=1")
    assert doubt.code == 4
    assert "ask the acquirer" in shop.run("explain", "3").out
    assert shop.run("journal", "resolve", "3", "--reason", "asked").code == 2
    settled = shop.run("journal", "resolve", "3", "--reason", "it is in their list", "--moved", "yes", "--json").json()
    assert (settled["standing"], settled["reason"]) == ("settled", "it is in their list")
    assert shop.run("refund", "15.00", "--original", "2").error() == "refunds of STAN 000002 would exceed the sale"
    assert shop.run("refund", "10.04", "--original", "2").code == 0
