"""Everyday business from the command line: voids, balances, idempotency keys, partial approvals, and the session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import closed_port

if TYPE_CHECKING:
    from tests.support.commands import Shop


def nowhere() -> tuple[str, str]:
    return "--set", f"acquirer.address=tcp://127.0.0.1:{closed_port()}"


def records(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.run("journal", "list", "--all", "--json").json()["records"]
    return found


def test_a_void_undoes_a_sale_once(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    voided = shop.run("void", "2")
    assert (voided.code, voided.err) == (0, "")
    assert re.fullmatch(r"VOIDED 12\.34 CNY  STAN 000003  RRN \w{12}  card 622999\*{6}0012\n", voided.out)
    assert re.search(r"sale  12\.34 CNY  STAN 000002  622999\*{6}0012  voided 00", shop.run("status").out)
    for command in (["void", "2"], ["refund", "1.00", "--original", "2"]):
        refused = shop.run(*command)
        assert (refused.code, refused.out) == (2, "")
        assert refused.error() == "STAN 000002 was voided"


def test_a_void_in_json_and_in_chinese(shop: Shop) -> None:
    shop.run("sale", "1.00")
    shop.run("sale", "2.00")
    void = shop.run("void", "000002", "--batch", "1", "--json").json()
    assert (void["outcome"], void["kind"], void["amount"]["minor"]) == ("approved", "void", 100)
    assert shop.run("void", "3", "--lang", "zh").out.startswith("已撤销 2.00 CNY  流水号 000005")


def test_what_cannot_be_voided_says_why(shop: Shop) -> None:
    shop.run("sale", "10.00")
    shop.run("refund", "1.00", "--original", "2")
    assert shop.run("void", "2").error() == "STAN 000002 was refunded in part and cannot be voided"
    missing = shop.run("void", "777")
    assert (missing.code, missing.error()) == (9, "no approved sale with STAN 000777 in the present batch")
    shop.run("sale", "5.00")
    other = shop.run("void", "4", "--card", "no-pin")
    assert (other.code, other.error()) == (2, "STAN 000004 was paid with another card")


def test_a_void_that_was_not_sent_leaves_the_sale_as_it_was(shop: Shop) -> None:
    shop.run("sale", "10.00")
    assert shop.run("void", "2", *nowhere()).code == 5
    assert [(each["kind"], each["standing"]) for each in records(shop)[1:]] == [
        ("sale", "approved"),
        ("void", "unsent"),
    ]
    assert shop.run("void", "2").code == 0


def test_a_balance_is_told_and_moves_nothing(shop: Shop) -> None:
    asked = shop.run("balance", "--card", "poor")
    assert (asked.code, asked.err) == (0, "")
    assert re.match(r"BALANCE 1\.00 CNY  STAN 000002  RRN \w{12}  card 622999\*{6}0020\n", asked.out)
    content = shop.run("balance", "--card", "poor", "--json").json()
    assert content["balance"] == {"minor": 100, "currency": "CNY", "text": "1.00"}
    assert content["amount"] is None
    assert shop.run("balance", "--card", "lost").code == 3


def test_a_balance_without_an_answer_owes_nothing(shop: Shop) -> None:
    assert shop.run("sign-on").code == 0
    unanswered = shop.run("balance", *nowhere())
    assert (unanswered.code, unanswered.out) == (5, "")
    assert shop.run("status", "--json").json()["owed"] == []


def test_a_terminal_that_was_signed_off_signs_on_when_it_is_used(shop: Shop) -> None:
    assert shop.run("sale", "1.00").code == 0
    off = shop.run("sign-off")
    assert (off.code, off.out.partition("  ")[0]) == (0, "SIGNED OFF")
    assert shop.run("status", "--json").json()["session"] == "signed-off"
    assert shop.run("sale", "1.00").code == 0
    assert [each["kind"] for each in records(shop)] == ["sign-on", "sale", "sign-off", "sign-on", "sale"]


def test_an_echo_needs_no_sign_on_but_a_host(shop: Shop) -> None:
    assert shop.run("echo").out == "ANSWERED\n"
    assert shop.run("echo", "--json").json()["outcome"] == "approved"
    assert [each["kind"] for each in records(shop)] == ["echo", "echo"]
    silent = shop.run("echo", *nowhere())
    assert (silent.code, silent.out) == (5, "")


def test_the_same_key_sells_once_and_tells_the_first_outcome(shop: Shop) -> None:
    first = shop.run("sale", "12.34", "--key", "order 17")
    assert first.code == 0
    assert shop.run("sale", "12.34", "--key", "order 17").out == first.out
    assert shop.run("status", "--key", "order 17").out == first.out
    assert [each["kind"] for each in records(shop)] == ["sign-on", "sale"]
    other = shop.run("sale", "12.35", "--key", "order 17")
    assert other.code == 2
    assert "key was used before" in other.error()


def test_a_key_names_one_original(shop: Shop) -> None:
    for _ in range(2):
        shop.run("sale", "10.00")
    assert shop.run("void", "2", "--key", "undo").code == 0
    assert shop.run("void", "2", "--key", "undo").code == 0
    assert shop.run("void", "3", "--key", "undo").code == 2
    assert shop.run("refund", "4.00", "--original", "3", "--key", "back").code == 0
    assert shop.run("refund", "4.00", "--original", "3", "--key", "back").code == 0
    assert [each["kind"] for each in records(shop)] == ["sign-on", "sale", "sale", "void", "refund"]
    assert shop.run("status", "--key", "undo", "--json").json()["kind"] == "void"


def test_a_key_tells_what_became_of_its_request(shop: Shop) -> None:
    assert shop.run("sale", "9.51", "--key", "poor").code == 3
    declined = shop.run("status", "--key", "poor", "--json")
    assert (declined.code, declined.json()["outcome"], declined.json()["standing"]) == (3, "declined", "declined")
    assert shop.run("sale", "9.96", "--key", "lost").code == 4
    doubtful = shop.run("status", "--key", "lost")
    assert (doubtful.code, doubtful.out.splitlines()[1]) == (
        4,
        "no answer arrived; it will be reversed before anything else is sent",
    )
    assert shop.run("sale", "1.00", "--key", "good").code == 0
    since = shop.run("status", "--key", "lost")
    assert (since.code, since.out.splitlines()[1]) == (4, "by now: reversed")
    assert shop.run("status", "--key", "lost", "--json").json()["standing"] == "reversed"


def test_a_key_under_which_nothing_was_sent_is_free(shop: Shop) -> None:
    empty = shop.run("status", "--key", "order")
    assert (empty.code, empty.error()) == (9, "nothing was sent under that key")
    assert not shop.journal.exists()
    shop.run("sign-on")
    assert shop.run("sale", "1.00", "--key", "order", *nowhere()).code == 5
    assert shop.run("status", "--key", "order", "--json").code == 9
    assert shop.run("sale", "2.00", "--key", "order").code == 0
    assert shop.run("status", "--key", "order", "--json").json()["amount"]["minor"] == 200


@pytest.mark.parametrize("key", ["", "x" * 65, "a\nb", "\udcff"])
def test_what_cannot_be_a_key_is_wrong_usage(shop: Shop, key: str) -> None:
    for command in (["sale", "1.00", "--key", key], ["status", "--key", key]):
        refused = shop.run(*command)
        assert (refused.code, refused.out) == (2, "")
        assert "idempotency key" in refused.error()
    assert records(shop) == []


def test_an_amount_that_the_till_does_not_expect_is_refused(shop: Shop) -> None:
    refused = shop.run("sale", "10.00", "--expected", "100.00")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error() == "10.00 CNY is not the 100.00 CNY that the till says is due"
    assert shop.run("sale", "10.00", "--expected", "10").code == 0
    assert shop.run("sale", "10.00", "--expected", "ten").code == 2


def test_a_sale_above_a_limit_is_refused(shop: Shop) -> None:
    refused = shop.run("sale", "5.01", "--set", "limits.transaction=5.00")
    assert (refused.code, refused.error()) == (2, "the amount is above the limit for one transaction")
    assert shop.run("sale", "5.00", "--set", "limits.transaction=5.00").code == 0
    assert shop.run("sale", "0.01", "--set", "limits.day=5.00").code == 2


def test_a_partial_approval_is_done_only_where_it_was_asked_for(shop: Shop) -> None:
    whole = shop.run("sale", "9.10")
    assert (whole.code, whole.out[:17]) == (0, "APPROVED 9.10 CNY")
    part = shop.run("sale", "9.10", "--allow-partial", "--key", "part")
    assert (part.code, part.err) == (0, "")
    line, rest = part.out.splitlines()
    assert line.startswith("APPROVED 4.55 CNY of 9.10 CNY  STAN 000003")
    assert rest == "approved in part: 4.55 CNY is still due"
    again = shop.run("sale", "9.10", "--key", "part", "--json")
    assert (again.code, again.json()["amount"]["minor"], again.json()["requested"]["minor"]) == (9, 455, 910)
    assert shop.run("status", "--key", "part").code == 0
    assert shop.run("void", "3", "--json").json()["amount"]["minor"] == 455


@pytest.mark.parametrize(
    "command",
    [
        ["void"],
        ["void", "x"],
        ["void", "1234567"],
        ["void", "2", "--batch", "one"],
        ["void", "2", "--yes"],
        ["balance", "10.00"],
        ["refund", "1.00", "--original", "2", "--allow-partial"],
        ["journal", "list", "--limit", "0"],
        ["journal", "--json", "list"],
        ["config", "--lang", "zh", "check"],
    ],
)
def test_wrong_usage_is_one_line(shop: Shop, command: list[str]) -> None:
    done = shop.run(*command)
    assert (done.code, done.out) == (2, "")
    assert done.error()
    assert not shop.journal.exists()
