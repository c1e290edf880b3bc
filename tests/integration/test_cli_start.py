"""`init` and `acquirer`: from nothing to a terminal and a host."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from pos_engine.crypto.keys import check_value, show
from simulators.acquirer import terminal_master_key
from simulators.cards import CARDS
from tests.support.commands import (
    CARD,
    MERCHANT,
    PROGRAM,
    WAIT_S,
    Done,
    Shop,
    environment,
    new_shop,
    on_a_terminal,
    running_host,
    secrets_of,
)


def test_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = new_shop(tmp_path, 0).run("demo", TMPDIR=str(scratch))
    assert (done.code, done.err) == (0, "")
    assert list(scratch.iterdir()) == []


def test_a_demo_that_is_told_to_end_takes_everything_away(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "demo"],
        cwd=tmp_path,
        env=environment(tmp_path, TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        while not list(scratch.glob("pos-engine-line-*")):
            assert process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (130, "")
    assert list(scratch.iterdir()) == []


def test_init_tells_the_exact_next_commands(empty: Shop) -> None:
    made = empty.run("init", "--simulated", "--json", "--terminal", "T0000001").json()
    assert made["next"] == ["python -m pos_engine acquirer", "python -m pos_engine sale 12.34"]
    assert made["tmk_check_value"] == show(check_value(terminal_master_key("T0000001")))
    assert (Path(made["keystore"]).stat().st_mode & 0o777, Path(made["wrapping_key"]).stat().st_mode & 0o777) == (
        0o600,
        0o400,
    )
    elsewhere = empty.run("init", "--simulated", "--dir", "a folder/b", "--address", "tcp://127.0.0.1:7001")
    assert elsewhere.code == 0
    assert "  python -m pos_engine acquirer --port 7001\n" in elsewhere.out
    config = empty.folder / "a folder" / "b" / "pos-engine.toml"
    assert f"  python -m pos_engine sale 12.34 --config '{config}'\n" in elsewhere.out
    assert empty.run("status", "--config", str(config)).code == 0


def test_two_simulated_terminals_of_one_host_have_ids_of_their_own(empty: Shop) -> None:
    folders = [empty.folder / name for name in ("one", "other")]
    for folder in folders:
        assert empty.run("init", "--simulated", "--dir", str(folder)).code == 0
    first, second = ((folder / "pos-engine.toml").read_text(encoding="utf-8") for folder in folders)
    assert first != second


def test_init_overwrites_nothing(shop: Shop) -> None:
    before = {path.name: path.read_bytes() for path in shop.folder.iterdir()}
    again = shop.run("init", "--simulated")
    assert again.code == 6
    assert "exists already, and is not overwritten" in again.error()
    (shop.folder / "pos-engine.toml").unlink()
    assert "keystore.json: exists already" in shop.run("init", "--simulated").error()
    del before["pos-engine.toml"]
    assert {path.name: path.read_bytes() for path in shop.folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--simulated", "--terminal", "short"],
        ["--simulated", "--merchant", "short"],
        ["--simulated", "--address", "127.0.0.1:9583"],
        ["--terminal", "T0000001"],
        [],
    ],
)
def test_init_checks_before_it_writes(empty: Shop, arguments: list[str]) -> None:
    done = empty.run("init", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.error()
    assert list(empty.folder.iterdir()) == []


def real_init(shop: Shop, stdin: str) -> Done:
    return shop.run(
        *("init", "--terminal", shop.terminal, "--merchant", MERCHANT, "--address", shop.address), stdin=stdin
    )


@pytest.mark.parametrize("parts", [1, 2])
def test_a_real_key_comes_from_standard_input_whole_or_in_parts(tmp_path: Path, port: int, parts: int) -> None:
    shop = new_shop(tmp_path, port)
    key = terminal_master_key(shop.terminal)
    first = bytes(range(16))
    second = bytes(a ^ b for a, b in zip(first, key.reveal(), strict=True))
    lines = [key.reveal().hex()] if parts == 1 else [first.hex(" ").upper(), second.hex()]
    made = real_init(shop, "\n".join(lines) + "\n")
    assert made.code == 0
    assert show(check_value(key)) in made.out
    assert second.hex() not in made.out + made.err
    # The keyboard is reader and PIN pad there; without a terminal both read standard input.
    track = CARD.track2.reveal().replace("D", "=")
    sold = shop.run("sale", "12.34", stdin=f"{track}\n{CARD.pin}\n")
    assert sold.code == 0
    assert sold.out.startswith("APPROVED 12.34 CNY")
    assert sold.err == ""


@pytest.mark.parametrize(
    "stdin",
    [
        "",
        "\n",
        "zz" * 16,
        "00" * 15,
        "0123\n",
        "0123456789ABCDEF\n" * 3,
        "0123456789ABCDEF\n0123456789ABCDEF\n",
        "é" * 16,
    ],
)
def test_a_key_that_cannot_be_is_refused_unseen(empty: Shop, stdin: str) -> None:
    done = real_init(empty, stdin)
    assert done.code == 2
    assert "master key" in done.error()
    assert "0123" not in done.err
    assert list(empty.folder.iterdir()) == []


def test_on_a_terminal_the_key_is_asked_for_and_not_echoed(empty: Shop) -> None:
    first, second = "0123456789ABCDEFFEDCBA9876543210", "11" * 16
    arguments = ("init", "--terminal", empty.terminal, "--merchant", MERCHANT)
    code, shown = on_a_terminal(empty, *arguments, typed=f"{first}\n{second}\n")
    assert code == 0
    assert "Terminal master key in hex" in shown
    assert first not in shown
    assert second not in shown


def test_without_a_terminal_nothing_is_asked(tmp_path: Path, port: int) -> None:
    shop = new_shop(tmp_path, port)
    assert real_init(shop, terminal_master_key(shop.terminal).reveal().hex()).code == 0
    done = shop.run("sale", "12.34")
    assert (done.code, done.out) == (2, "")
    assert "standard input" in done.error()


def test_the_host_streams_what_it_does_masked(tmp_path: Path) -> None:
    with running_host(tmp_path) as (process, first):
        assert (first["schema"], first["event"], first["host"]) == (1, "listening", "127.0.0.1")
        shop = new_shop(tmp_path, first["port"])
        shop.initialise()
        assert shop.run("sale", "12.34").code == 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert err == "pos-engine: interrupted\n"
    signed_on, sold = (json.loads(line) for line in out.splitlines())
    assert (signed_on["what"], sold["what"], sold["schema"]) == ("signed-on", "approved", 1)
    assert (sold["amount_minor"], sold["card"]) == (1234, "622999******0012")
    assert not any(secret.decode("latin-1") in out for secret in secrets_of(shop.terminal))


def test_the_host_talks_to_people_too(tmp_path: Path) -> None:
    command = [*PROGRAM, "acquirer", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        listening = re.fullmatch(
            r"the simulated acquirer listens on 127\.0\.0\.1:([0-9]+)\n", process.stdout.readline()
        )
        assert listening is not None
        shop = new_shop(tmp_path, int(listening[1]))
        shop.initialise()
        shop.run("sale", "9.96")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=WAIT_S)
    assert re.search(r"sale  9\.96 CNY  STAN 000002  terminal T\d{7}  card 622999\*{6}0012  approved 00.*not ans", out)


def test_a_busy_port_is_one_line(empty: Shop, port: int) -> None:
    done = empty.run("acquirer", "--port", str(port))
    assert (done.code, done.out) == (6, "")
    assert f"127.0.0.1:{port}" in done.error()
    assert "already in use" in done.err


def test_the_host_is_exposed_only_on_demand(tmp_path: Path) -> None:
    with running_host(tmp_path, "--host", "0.0.0.0", "--expose") as (_, first):  # noqa: S104 - what is tested
        assert first["host"] == "0.0.0.0"  # noqa: S104 - what is tested


def test_cards_and_triggers_are_listed(empty: Shop) -> None:
    text = empty.run("acquirer", "cards").out
    content = empty.run("acquirer", "cards", "--json").json()
    assert {card["name"] for card in content["cards"]} == set(CARDS)
    for row in (*content["cards"], *content["triggers"]):
        assert row["title"]["en"] in text
    assert re.search(r"^9\.51 +decline", text, re.MULTILINE)
