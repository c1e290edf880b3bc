"""Trading from the command line: outcomes, doubt, exit codes, and what stands in the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pos_engine.journal.lock import WriterLock
from tests.support.commands import (
    CARD,
    PROGRAM,
    WAIT_S,
    Shop,
    closed_port,
    environment,
    new_shop,
    running_host,
    secrets_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_sale_takes_two_commands_and_a_host(shop: Shop) -> None:
    sold = shop.run("sale", "12.34")
    assert (sold.code, sold.err) == (0, "")
    assert re.fullmatch(r"APPROVED 12\.34 CNY  STAN 000002  RRN \w{12}  card 622999\*{6}0012\n", sold.out)
    back = shop.run("refund", "2.34", "--original", "2")
    assert (back.code, back.out[:17]) == (0, "APPROVED 2.34 CNY")
    status = shop.run("status").out
    assert re.search(r"sale  12\.34 CNY  STAN 000002  622999\*{6}0012  approved 00", status)
    assert re.search(r"refund  2\.34 CNY  STAN 000003", status)
    assert re.search(r"owed +nothing", status)


def test_json_mirrors_the_outcome(shop: Shop) -> None:
    approved = shop.run("sale", "12.34", "--json").json()
    assert set(approved) == {
        *("schema", "outcome", "kind", "stan", "batch", "amount", "card", "code"),
        *("rrn", "auth_code", "host_date", "at", "requested", "balance"),
    }
    assert (approved["outcome"], approved["kind"], approved["stan"]) == ("approved", "sale", "000002")
    assert approved["amount"] == approved["requested"] == {"minor": 1234, "currency": "CNY", "text": "12.34"}
    assert approved["card"] == "622999******0012"
    assert approved["code"]["code"] == "00"
    declined = shop.run("sale", "9.51", "--json")
    assert declined.code == 3
    content = declined.json()
    assert (content["outcome"], content["code"]["code"]) == ("declined", "51")
    assert content["code"]["meaning"]["zh"]
    assert content["code"]["action"]["en"]
    status = shop.run("status", "--json").json()
    assert (status["terminal"], status["session"], status["owed"]) == (shop.terminal, "ready", [])
    assert [each["standing"] for each in status["recent"]] == ["declined", "approved", "approved"]
    assert {key["usage"] for key in status["keys"]} == {"PIN key", "MAC key"}


def test_a_decline_says_why_and_what_to_do(shop: Shop) -> None:
    declined = shop.run("sale", "9.51")
    assert declined.code == 3
    first, second = declined.out.splitlines()
    assert first.startswith("DECLINED 9.51 CNY  51 insufficient funds  STAN 000002")
    assert second == "ask for another card"


def test_doubt_is_told_kept_and_worked_off(shop: Shop) -> None:
    lost = shop.run("sale", "9.96")
    assert (lost.code, lost.err) == (4, "")
    assert lost.out.splitlines() == [
        "IN DOUBT 9.96 CNY  STAN 000002  card 622999******0012",
        "no answer arrived; it will be reversed before anything else is sent",
    ]
    (owed,) = shop.run("status", "--json").json()["owed"]
    assert (owed["kind"], owed["stan"], owed["duty"]["en"]) == ("sale", "000002", "reverse")
    assert re.search(r"owed +reverse  sale  9\.96 CNY  STAN 000002", shop.run("status").out)
    assert shop.run("sale", "1.00").code == 0
    status = shop.run("status", "--json").json()
    assert status["owed"] == []
    assert "reversed" in [each["standing"] for each in status["recent"]]


def test_a_refund_in_doubt_is_not_repeated(shop: Shop) -> None:
    assert shop.run("sale", "20.00").code == 0
    lost = shop.run("refund", "9.96", "--original", "000002", "--batch", "000001", "--json")
    assert lost.code == 4
    content = lost.json()
    assert content["outcome"] == "in-doubt"
    assert "not repeated" in content["duty"]["en"]


def test_sign_on_shows_batch_and_check_values(shop: Shop) -> None:
    done = shop.run("sign-on")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "SIGNED ON  batch 000001"
    assert all(re.fullmatch(r"(PIN|MAC) key: check value [0-9A-F]{6}", line) for line in lines[1:])
    content = shop.run("sign-on", "--json").json()
    assert (content["kind"], content["batch"], len(content["keys"])) == ("sign-on", "000001", 2)


def test_texts_come_in_chinese_too(shop: Shop) -> None:
    assert shop.run("sale", "1.00", "--lang", "zh").out.startswith("批准 1.00 CNY  流水号 000002")
    assert "终端" in shop.run("status", LANG="zh_CN.UTF-8").out
    assert "terminal" in shop.run("status", "--lang", "en", LANG="zh_CN.UTF-8").out


def test_a_terminal_that_lacks_the_characters_still_gets_its_outcome(shop: Shop) -> None:
    done = shop.run("sale", "1.00", "--lang", "zh", PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert "1.00 CNY" in done.out


def test_verbose_shows_masked_messages_beside_the_data(shop: Shop) -> None:
    done = shop.run("sale", "1.00", "--json", "-vv")
    assert done.json()["outcome"] == "approved"
    assert re.search(r"^-> 0200 financial request, 1\.00 CNY", done.err, re.MULTILINE)
    assert re.search(r"^<- 0210 financial answer", done.err, re.MULTILINE)
    assert re.search(r"35  Track 2 data: \*\*\*", done.err)


def test_flags_beat_the_environment_which_beats_the_file(shop: Shop) -> None:
    nowhere = f"tcp://127.0.0.1:{closed_port()}"
    assert shop.run("sale", "1.00", POS_ENGINE_ACQUIRER_ADDRESS=nowhere).code == 5
    flag = f"acquirer.address={shop.address}"
    assert shop.run("sale", "1.00", "--set", flag, POS_ENGINE_ACQUIRER_ADDRESS=nowhere).code == 0


def test_another_simulated_card_is_one_flag_away(shop: Shop) -> None:
    poor = shop.run("sale", "5.00", "--card", "poor")
    assert poor.code == 3
    assert "card 622999******0020" in poor.out
    unknown = shop.run("sale", "5.00", "--card", "gold")
    assert unknown.code == 6
    assert "everyday" in unknown.error()


def test_nothing_in_the_folder_holds_a_secret(shop: Shop) -> None:
    for amount in ("12.34", "9.51", "9.96", "1.00"):
        shop.run("sale", amount)
    shop.run("refund", "1.00", "--original", "000002")
    files = [path for path in shop.folder.rglob("*") if path.is_file()]
    assert shop.journal in files
    for path in files:
        content = path.read_bytes()
        assert [secret for secret in secrets_of(shop.terminal) if secret in content] == []
    assert CARD.pin is not None
    assert CARD.pin.encode() not in (shop.folder / "pos-engine.toml").read_bytes()


def test_status_needs_no_journal_and_makes_none(shop: Shop) -> None:
    seen = shop.run("status", "--json")
    assert (seen.code, seen.json()["session"]) == (0, "signed-out")
    assert not shop.journal.exists()


def test_a_journal_that_another_process_holds_can_be_read_and_not_used(shop: Shop) -> None:
    assert shop.run("sale", "1.00").code == 0
    lock = WriterLock.acquire(shop.journal)
    try:
        held = shop.run("sale", "1.00")
        assert (held.code, held.out) == (8, "")
        assert f"held by pid {os.getpid()}" in held.error()
        assert "APPROVED" not in shop.run("sale", "1.00").out
        assert shop.run("status", "--json").json()["recent"][0]["standing"] == "approved"
    finally:
        lock.release()
    assert shop.run("sale", "1.00").code == 0


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to be looked at", b"\0" * 8192])
def test_a_damaged_journal_is_refused(shop: Shop, damage: bytes) -> None:
    assert shop.run("sale", "1.00").code == 0
    shop.journal.write_bytes(damage)
    for command in (["sale", "1.00"], ["status"], ["sign-on"]):
        refused = shop.run(*command)
        assert (refused.code, refused.out) == (8, "")
        assert str(shop.journal) in refused.error()


def test_an_edited_journal_is_refused(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    content = shop.journal.read_bytes()
    assert content.count(b"000000001234") > 0
    shop.journal.write_bytes(content.replace(b"000000001234", b"000000009999"))
    refused = shop.run("sale", "1.00")
    assert refused.code == 8
    assert "damaged" in refused.error()


@pytest.mark.parametrize("command", [["sale", "1.00"], ["refund", "1.00", "--original", "2"], ["sign-on"], ["status"]])
def test_without_a_configuration_the_way_to_one_is_named(empty: Shop, command: list[str]) -> None:
    done = empty.run(*command)
    assert (done.code, done.out) == (6, "")
    assert "pos-engine init --simulated" in done.error()
    assert list(empty.folder.iterdir()) == []


def test_a_wrong_configuration_is_named_by_file_key_and_range(shop: Shop) -> None:
    path = shop.folder / "pos-engine.toml"
    path.write_text(path.read_text() + "\n[session]\n")
    assert "is not TOML" in shop.run("status").error()
    path.write_text('[terminal]\nid = "T0000001"\nmerchant = "M00000000000001"\ntmk = "0123456789ABCDEF"\n')
    unknown = shop.run("status")
    assert unknown.code == 6
    assert f"{path}: unknown key 'terminal.tmk'" in unknown.error()
    assert "0123456789ABCDEF" not in unknown.err
    path.write_text('[terminal]\nid = "T0000001"\nmerchant = "M00000000000001"\n')
    wrong = shop.run("status", "--set", "acquirer.answer_timeout_s=0")
    assert "0.1 to 300 seconds" in wrong.error()


def test_missing_keys_are_not_ready(shop: Shop) -> None:
    (shop.folder / "wrapping.key").unlink()
    done = shop.run("sale", "1.00")
    assert done.code == 6
    assert "wrapping.key" in done.error()


def test_a_host_that_is_not_there_is_no_answer_and_nothing_is_owed(shop: Shop) -> None:
    for command in (["sale", "1.00"], ["sign-on"]):
        done = shop.run(*command, "--set", f"acquirer.address=tcp://127.0.0.1:{closed_port()}")
        assert (done.code, done.out) == (5, "")
        assert "connection refused" in done.error()
        assert "pos-engine acquirer" in done.err
    assert shop.run("status", "--json").json()["owed"] == []


def test_an_unknown_original_is_not_found(shop: Shop) -> None:
    shop.run("sale", "1.00")
    missing = shop.run("refund", "1.00", "--original", "999", "--batch", "1")
    assert missing.code == 9
    assert missing.error() == "no approved sale with STAN 000999 in batch 000001"
    sign_on = shop.run("refund", "1.00", "--original", "1")
    assert sign_on.code == 9


@pytest.mark.parametrize(
    "command",
    [
        ["sale"],
        ["sale", "abc"],
        ["sale", "0"],
        ["sale", "0.00"],
        ["sale", "1.234"],
        ["sale", "-1"],
        ["sale", "１"],
        ["sale", "1.00", "6229990000000012"],
        ["sale", "1.00", "--set", "nothing"],
        ["sale", "1.00", "--lang", "fr"],
        ["refund", "1.00"],
        ["refund", "1.00", "--original", "x"],
        ["refund", "1.00", "--original", "1", "--batch", "1234567"],
        ["acquirer", "--port", "70000"],
        ["acquirer", "--host", "0.0.0.0"],  # noqa: S104 - what is refused
        ["acquirer", "--host", "pos.example"],
        ["buy"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_is_one_line(shop: Shop, command: list[str]) -> None:
    done = shop.run(*command)
    assert (done.code, done.out) == (2, "")
    assert done.error()
    assert not shop.journal.exists()


def test_an_interrupted_sale_is_in_doubt_and_reversed_by_the_next_command(tmp_path: Path) -> None:
    with running_host(tmp_path) as (host, first):
        assert host.stdout is not None
        shop = new_shop(tmp_path, first["port"])
        shop.initialise()
        with subprocess.Popen(
            [*PROGRAM, "sale", "9.97"],
            cwd=shop.folder,
            env=environment(shop.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as sale:
            # The host has booked it and keeps silent, so the sale is waiting now.
            told = [json.loads(host.stdout.readline()) for _ in range(2)]
            assert (told[1]["what"], told[1]["fate"]) == ("approved", "silent")
            sale.send_signal(signal.SIGINT)
            out, err = sale.communicate(timeout=WAIT_S)
        assert (sale.returncode, out, err) == (130, "", "pos-engine: interrupted\n")
        (owed,) = shop.run("status", "--json").json()["owed"]
        assert owed["stan"] == told[1]["stan"]
        assert shop.run("sale", "1.00").code == 0
        assert shop.run("status", "--json").json()["owed"] == []
        reversal = json.loads(host.stdout.readline())
        assert (reversal["what"], reversal["stan"]) == ("reversed", owed["stan"])


def test_a_refused_sign_on_is_a_decline_and_keeps_a_sale_from_being_sent(shop: Shop) -> None:
    assert shop.run("sign-on").code == 0
    rival = Shop(shop.folder / "rival", shop.terminal, shop.address)
    rival.folder.mkdir()
    ids = ("--terminal", shop.terminal, "--merchant", "M00000000000002", "--address", shop.address)
    assert rival.run("init", "--simulated", *ids).code == 0
    assert rival.run("sign-on").code == 3
    sale = rival.run("sale", "1.00")
    assert (sale.code, sale.out) == (6, "")
    assert "the sign-on was refused" in sale.error()
