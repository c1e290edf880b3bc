"""A sale that the session gets in the way of, from the command line: what is asked, what is confirmed, what is sold."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import PROGRAM, Shop, closed_port, environment, new_shop, on_a_terminal, running_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSES_ONCE = """
[[rule]]
name = "once"
match = { kind = "sale" }
times = 1
action = { do = "demand_sign_on", by = "77" }
"""
SOLD = "APPROVED 12.34 CNY"


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Shop]:
    """Make a terminal whose host refuses its first sale until a sign-on."""
    scenario = tmp_path / "refusal.toml"
    scenario.write_text(REFUSES_ONCE)
    with running_host(tmp_path, "--scenario", str(scenario)) as (_, ready):
        shop = new_shop(tmp_path, int(ready["port"]))
        shop.initialise()
        yield shop


def standings(shop: Shop) -> list[tuple[str, str]]:
    records = shop.run("journal", "list", "--all", "--json").json()["records"]
    return [(each["kind"], each["standing"]) for each in records]


def test_a_person_is_offered_the_repeat(refused: Shop) -> None:
    code, screen = on_a_terminal(refused, "sale", "12.34", "--goods", "two teapots", typed="y\n")
    assert code == 0, screen
    assert "repeat the sale? two teapots, 12.34 CNY [y/N]:" in screen
    assert SOLD in screen
    assert standings(refused) == [
        ("sign-on", "approved"),
        ("sale", "declined"),
        ("sign-on", "approved"),
        ("sale", "approved"),
    ]


def test_a_program_confirms_beforehand(refused: Shop) -> None:
    done = refused.run("sale", "12.34", "--key", "order-17", "--yes")
    assert (done.code, done.out.startswith(SOLD)) == (0, True)
    assert refused.run("sale", "12.34", "--key", "order-17").out == done.out
    assert refused.run("status", "--key", "order-17").out == done.out


def test_without_a_person_the_refusal_stands_and_the_repeat_is_named(refused: Shop) -> None:
    done = refused.run("sale", "12.34")
    assert done.code == 3
    hint = done.err.splitlines()[-1]
    assert "sale 12.34 --repeat 000002 --batch 000001" in hint
    other = refused.run("sale", "1.00", "--repeat", "2", "--batch", "1")
    assert (other.code, "not a sale of 1.00" in other.error()) == (2, True)
    again = refused.run("sale", "12.34", "--repeat", "2", "--batch", "1")
    assert (again.code, again.out.startswith(SOLD)) == (0, True)
    # Asked for once more it tells the same, and sells nothing.
    assert refused.run("sale", "12.34", "--repeat", "2", "--batch", "1").out == again.out
    assert [kind for kind, _ in standings(refused)].count("sale") == 2


def test_what_was_not_refused_is_not_repeated(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    refused = shop.run("sale", "12.34", "--repeat", "2")
    assert (refused.code, "was not refused until a sign-on" in refused.error()) == (2, True)


def test_while_the_host_is_away_the_plan_is_followed_and_its_steps_are_kept(shop: Shop) -> None:
    nowhere = f"acquirer.address=tcp://127.0.0.1:{closed_port()}"
    plan = f"session.contingency=retry 1 s, route {shop.address}, refuse"
    done = shop.run("sale", "12.34", "--yes", "--set", nowhere, "--set", plan)
    assert (done.code, done.out.startswith(SOLD)) == (0, True)
    assert "Are goods and amount still right?" in done.err or "goods and amount still right?" in done.err
    assert ("note", "approved") in standings(shop)


def test_a_plan_at_its_end_sends_nothing(shop: Shop) -> None:
    nowhere = f"acquirer.address=tcp://127.0.0.1:{closed_port()}"
    done = shop.run("sale", "12.34", "--set", nowhere, "--set", "session.contingency=hold 1 s")
    assert done.code == 5
    assert "Take cash, or try again later" in done.err
    assert "sale" not in [kind for kind, _ in standings(shop)]


@pytest.mark.parametrize("plan", ["", "wait 10 s", "retry 0 s", "hold 999 s", "refuse, hold 1 s"])
def test_what_is_no_plan_is_refused(shop: Shop, plan: str) -> None:
    done = shop.run("sale", "12.34", "--set", f"session.contingency={plan}")
    assert (done.code, "session.contingency" in done.error()) == (6, True)


def test_a_repeat_is_as_it_was_ordered(refused: Shop) -> None:
    assert refused.run("sale", "12.34").code == 3
    for option in (("--key", "order-17"), ("--expected", "12.34"), ("--yes",), ("--goods", "x"), ("--allow-partial",)):
        done = refused.run("sale", "12.34", "--repeat", "2", "--batch", "1", *option)
        assert (done.code, "and nothing else" in done.error()) == (2, True)
    assert refused.run("sale", "12.34", "--repeat", "2", "--batch", "1").code == 0
    assert refused.run("sale", "1.00", "--repeat", "2", "--batch", "1").code == 2
    assert "it was repeated as STAN 000004" in refused.run("explain", "2").out


def test_a_batch_without_a_repeat_is_refused(shop: Shop) -> None:
    assert shop.run("sale", "12.34", "--batch", "9").error() == "--batch goes with --repeat"


def test_without_any_input_the_refusal_is_told(refused: Shop) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "sale", "12.34"]
    done = subprocess.run(
        command, cwd=refused.folder, env=environment(refused.folder), capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout[:8]) == (3, "DECLINED")


def test_whoever_walks_away_from_the_question_has_not_said_yes(refused: Shop) -> None:
    code, screen = on_a_terminal(refused, "sale", "12.34", typed="\x04\n")
    assert (code, "DECLINED" in screen) == (3, True)
