"""The simulated host's options: books in a file, a roster, several ports."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from simulators.cards import CARDS
from simulators.ledger import card_account
from simulators.store import LedgerFile
from tests.support.commands import MERCHANT, PROGRAM, WAIT_S, Shop, environment, new_shop, running_host

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="empty")
def _empty(tmp_path: Path) -> Shop:
    return Shop(tmp_path, "T0000001")


def ended(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=WAIT_S)
    return [json.loads(line) for line in out.splitlines()]


def test_a_host_with_a_ledger_file_knows_after_a_restart_what_it_knew(tmp_path: Path) -> None:
    shop = new_shop(tmp_path / "shop", 9583)
    shop.folder.mkdir()
    shop.initialise()
    for amount in ("12.34", "1.66"):
        with running_host(tmp_path, "--ledger", "books.db") as (process, first):
            address = f"acquirer.address=tcp://127.0.0.1:{first['port']}"
            # The keys of a session end with the host's process, the books do not.
            assert shop.run("sign-on", "--set", address).code == 0
            assert shop.run("sale", amount, "--set", address).code == 0
            ended(process)
    with LedgerFile(tmp_path / "books.db") as file:
        assert CARDS["everyday"].balance_minor - file.ledger.balance(card_account("everyday")) == 1_400


def test_a_host_with_a_roster_serves_its_terminals_only(tmp_path: Path) -> None:
    shop = new_shop(tmp_path, 9583)
    roster = f'[[terminal]]\nid = "{shop.terminal}"\nmerchant = "{MERCHANT}"\ntmk = "derived"\n'
    (tmp_path / "terminals.toml").write_text(roster)
    with running_host(tmp_path, "--enrol", "terminals.toml") as (process, first):
        codes = []
        for each in (shop, new_shop(tmp_path, 9583)):
            folder = tmp_path / each.terminal
            folder.mkdir()
            here = Shop(folder, each.terminal, f"tcp://127.0.0.1:{first['port']}")
            here.initialise()
            codes.append(here.run("sign-on").code)
        events = ended(process)
    assert codes[0] == 0
    assert codes[1] != 0
    assert [event["code"] for event in events] == ["00", "97"]


def test_several_ports_tell_their_names_and_then_that_all_are_ready(tmp_path: Path) -> None:
    rows = [f'[[port]]\nname = "{name}"\nport = 0\nledger = "books.db"\n' for name in ("till", "web")]
    (tmp_path / "host.toml").write_text("".join(rows))
    command = [*PROGRAM, "acquirer", "--config", "host.toml", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        till, web, ready = (json.loads(process.stdout.readline()) for _ in range(3))
        assert (till["event"], till["name"], web["name"], till["dialect"]) == ("listening", "till", "web", "unionpay")
        assert (ready["event"], ready["ports"]) == ("ready", 2)
        shop = new_shop(tmp_path, web["port"])
        shop.initialise()
        assert shop.run("sale", "1.00").code == 0
        assert [(event["port"], event["what"]) for event in ended(process)] == [
            ("web", "signed-on"),
            ("web", "approved"),
        ]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--config", "host.toml", "--port", "1"], 2, "--config says for each port"),
        (["--config", "host.toml", "--ledger", "a"], 2, "--config says for each port"),
        (["--config", "host.toml"], 6, "host.toml: cannot be read: no such file"),
        (["--enrol", "terminals.toml"], 6, "terminals.toml: cannot be read: no such file"),
        (["--ledger", "no/books.db"], 8, "no/books.db: no such file or directory"),
        (["--ledger", "."], 8, "is a directory"),
    ],
)
def test_what_cannot_be_opened_is_one_line(empty: Shop, arguments: list[str], code: int, why: str) -> None:
    done = empty.run("acquirer", *arguments)
    assert (done.code, done.out) == (code, "")
    assert why in done.error()


def test_the_amounts_approved_in_part_are_listed(empty: Shop) -> None:
    rows = empty.run("acquirer", "cards", "--json").json()["triggers"]
    assert "910" in {row["digits"] for row in rows}
    assert "9.10" in empty.run("acquirer", "cards").out
