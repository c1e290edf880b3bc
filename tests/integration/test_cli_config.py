"""The configuration from the command line: what is in force, where it came from, and whether it will do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pos_engine.config.keys import KEYS

if TYPE_CHECKING:
    from tests.support.commands import Shop


def test_every_key_is_shown_with_its_value(shop: Shop) -> None:
    shown = shop.run("config", "show")
    assert (shown.code, shown.err) == (0, "")
    rows = [line.split(maxsplit=1) for line in shown.out.splitlines()[1:]]
    assert [row[0] for row in rows] == [key.name for key in KEYS]
    values = dict(rows)
    assert values["terminal.id"] == shop.terminal
    assert values["terminal.production"] == "false"
    assert values["acquirer.answer_timeout_s"] == "60"
    assert values["limits.day"] == "-"
    assert values["storage.journal"] == str(shop.journal)
    assert shop.run("config").out == shown.out
    assert not shop.journal.exists()


def test_every_origin_is_told(shop: Shop) -> None:
    variables = {"POS_ENGINE_TERMINAL_OPERATOR": "07"}
    shown = shop.run("config", "show", "--origin", "--set", "acquirer.answer_timeout_s=5", **variables)
    origins = {line.split()[0]: re.split(r" {2,}", line)[2] for line in shown.out.splitlines()[1:]}
    assert origins["acquirer.answer_timeout_s"] == "flag"
    assert origins["terminal.operator"] == "POS_ENGINE_TERMINAL_OPERATOR"
    assert origins["terminal.id"] == str(shop.folder / "pos-engine.toml")
    assert origins["limits.day"] == "default"


def test_json_has_value_origin_default_and_range(shop: Shop) -> None:
    keys = {each["key"]: each for each in shop.run("config", "show", "--json").json()["keys"]}
    assert list(keys) == [key.name for key in KEYS]
    timeout = keys["acquirer.answer_timeout_s"]
    assert (timeout["value"], timeout["default"], timeout["origin"]) == (60.0, 60.0, "default")
    assert timeout["allowed"] == "0.1 to 300 seconds"
    assert timeout["about"]["zh"]
    assert keys["storage.keystore"]["value"] == str(shop.folder / "keystore.json")
    assert keys["terminal.id"]["required"] is True


def test_a_good_configuration_will_do(shop: Shop) -> None:
    checked = shop.run("config", "check")
    assert (checked.code, checked.err) == (0, "")
    *table, held, scheme, verdict = checked.out.splitlines()
    assert len(table) == 1 + len(KEYS)
    assert any("0.1 to 300 seconds" in line for line in table)
    assert re.fullmatch(r"the keystore opens: terminal master key check value [0-9A-F]{6}.*", held)
    assert scheme == "key scheme: 3des, double-length keys: 3DES"
    assert verdict == "the configuration will do"
    content = shop.run("config", "check", "--json").json()
    assert (content["sound"], len(content["keys"])) == (True, len(KEYS))
    assert content["keystore"][0]["check_value"] in held
    assert not shop.journal.exists()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("acquirer.answer_timeout_s=0", "flag: acquirer.answer_timeout_s: allowed: 0.1 to 300 seconds"),
        ("acquirer.port=9", "flag: unknown key 'acquirer.port'"),
        ("peripherals.card=gold", "flag: peripherals.card: one of everyday"),
        ("terminal.production=true", "flag: terminal.production: true is refused"),
        ("storage.keystore=nowhere.json", "nowhere.json"),
    ],
)
def test_what_is_wrong_is_one_line_with_place_key_and_range(shop: Shop, setting: str, expected: str) -> None:
    refused = shop.run("config", "check", "--set", setting)
    assert (refused.code, refused.out) == (6, "")
    assert expected in refused.error()


def test_a_keystore_under_another_wrapping_key_is_refused(shop: Shop) -> None:
    (shop.folder / "wrapping.key").write_bytes(bytes(32))
    assert shop.run("config", "show").code == 0
    refused = shop.run("config", "check", "--json")
    assert (refused.code, refused.out) == (6, "")
    assert refused.error()


def test_without_a_configuration_the_way_to_one_is_named(empty: Shop) -> None:
    for command in (["config"], ["config", "show"], ["config", "check"]):
        done = empty.run(*command)
        assert (done.code, done.out) == (6, "")
        assert "pos-engine init --simulated" in done.error()
