"""`acquirer --scenario` and `acquirer faults`: what a host does on purpose, as its users ask for it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from simulators.scenario import ACTIONS
from simulators.scenario_files import ready_made
from tests.support.commands import WAIT_S, Shop, new_shop, running_host

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

RULE = '[[rule]]\nname = "dear"\nmatch = { kind = "sale", "4" = { from = "5.00" } }\naction = "decline"\n'


@pytest.fixture(name="empty")
def _empty(tmp_path: Path) -> Shop:
    return Shop(tmp_path, "T0000001")


def sales(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What the host told of sales until it was ended."""
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=WAIT_S)
    return [event for line in out.splitlines() if (event := json.loads(line)).get("kind") == "sale"]


@pytest.mark.parametrize("name", ["mine.toml", "expectations"])
def test_a_host_plays_a_scenario_by_its_file_or_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.toml").write_text(RULE)
    with running_host(tmp_path, "--scenario", name) as (process, first):
        shop = new_shop(tmp_path, first["port"])
        shop.initialise()
        codes = [shop.run("sale", amount).code for amount in ("4.99", "5.00")]
        rules = [event.get("rule") for event in sales(process)]
    assert codes == ([0, 3] if name == "mine.toml" else [0, 0])
    assert rules == ([None, "dear"] if name == "mine.toml" else ["sales", "sales"])


def test_each_port_plays_its_own_scenario(tmp_path: Path, empty: Shop) -> None:
    (tmp_path / "mine.toml").write_text(f"{RULE}tims = 2\n")
    (tmp_path / "host.toml").write_text('[[port]]\nname = "till"\nport = 0\nscenario = "mine.toml"\n')
    done = empty.run("acquirer", "--config", "host.toml")
    assert done.code == 6
    assert done.error().endswith('mine.toml:5: rule "dear": tims: no such key; did you mean times?')


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--scenario", "slov"], 6, "slov: cannot be read: no such file or directory; ready-made are approve, "),
        (["--scenario", "bad.toml"], 6, "bad.toml: is not TOML: "),
        (["--scenario", "slow", "--config", "host.toml"], 2, "--config says for each port"),
    ],
)
def test_a_scenario_that_cannot_be_played_is_one_line(empty: Shop, arguments: list[str], code: int, why: str) -> None:
    (empty.folder / "bad.toml").write_text("[[rule]\n")
    done = empty.run("acquirer", *arguments)
    assert (done.code, done.out) == (code, "")
    assert why in done.error()


def test_what_a_scenario_can_do_is_listed_in_both_languages(empty: Shop) -> None:
    listed = empty.run("acquirer", "faults", "--json").json()
    assert [row["do"] for row in listed["actions"]] == [do.value for do in ACTIONS]
    assert [row["name"] for row in listed["scenarios"]] == list(ready_made())
    english, chinese = empty.run("acquirer", "faults").out, empty.run("acquirer", "faults", "--lang", "zh").out
    for row in (*listed["actions"], *listed["scenarios"]):
        assert row["title"]["en"] in english
        assert row["title"]["zh"] in chinese
