"""Help, completion, colour, and the last border: what the command line looks like whatever the command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pos_engine.cli import HEADINGS
from tests.support.commands import (
    PROGRAM,
    Shop,
    environment,
    on_a_terminal,
)

COMMANDS = [name for names in HEADINGS.values() for name in names]
SUB_COMMANDS = [
    "acquirer cards",
    "config show",
    "config check",
    "doctor match",
    "journal list",
    "journal verify",
    "journal export",
    "journal backup",
    "journal restore",
    "journal resolve",
    "session show",
    "session check",
    "session download",
    "session keys",
    "session keys list",
    "session keys load",
    "session keys zeroise",
]
COMMANDS_MAX = 32
REGISTER = {
    "Start": "demo init config acquirer",
    "Trade": "sale void refund balance adjust preauth settle",
    "Session": "sign-on sign-off echo session",
    "Look": "status health explain journal",
    "Merchant": "deposit points reconcile fleet",
    "Traffic": "decode capture doctor dialect",
    "Run": "serve acquirer swarm prove",
}
"""Every command that is there or planned, under its heading; nothing else is added without making room for it."""


def test_colour_is_for_terminals_that_want_it(empty: Shop) -> None:
    _, plain = on_a_terminal(empty, "acquirer", "cards", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
    assert "\x1b" not in empty.run("acquirer", "cards").out


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), *map(str.split, SUB_COMMANDS)])
def test_every_help_has_an_example(empty: Shop, command: list[str]) -> None:
    done = empty.run(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert re.search(rf"Examples?:\n +pos-engine {' '.join(command)}", done.out)
    if command:
        assert "--json" in done.out
        assert "--lang" in done.out
    assert empty.run(*command, "-h").out == done.out


def test_help_stands_under_the_headings_in_their_order(empty: Shop) -> None:
    out = empty.run().out
    shown = re.findall(r"^([A-Z][a-z]+):$", out, re.MULTILINE)
    assert shown == ["Options", "Start", "Trade", "Session", "Look", "Traffic", "Run"]
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
    assert list(HEADINGS) == ["Start", "Trade", "Session", "Look", "Merchant", "Traffic", "Run"]


def test_the_commands_are_few_and_stand_where_the_register_has_them() -> None:
    assert len(COMMANDS) == len(set(COMMANDS))
    planned = {heading: names.split() for heading, names in REGISTER.items()}
    assert len({name for names in planned.values() for name in names}) <= COMMANDS_MAX
    assert [name for heading, names in HEADINGS.items() for name in names if name not in planned[heading]] == []


def test_an_option_before_a_sub_command_is_refused_and_not_ignored(empty: Shop) -> None:
    misplaced = empty.run("acquirer", "--json", "cards")
    assert (misplaced.code, misplaced.out) == (2, "")
    assert "--json belongs behind the sub-command: cards" in misplaced.error()


def test_the_version_is_told(empty: Shop) -> None:
    assert re.fullmatch(r"pos-engine, version [0-9.]+\n", empty.run("--version").out)


def test_shells_can_complete(empty: Shop) -> None:
    script = "from pos_engine.cli import main; main()"
    for variables, expected in (
        ({"_POS_ENGINE_COMPLETE": "bash_source"}, "_POS_ENGINE_COMPLETE=bash_complete"),
        ({"_POS_ENGINE_COMPLETE": "bash_complete", "COMP_WORDS": "pos-engine s", "COMP_CWORD": "1"}, "plain,sale"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment(empty.folder, **variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in done.stdout
        assert "Traceback" not in done.stderr


def test_a_fault_of_our_own_is_one_line_without_its_text(empty: Shop) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "acquirer", "cards", "--json"],
            cwd=empty.folder,
            env=environment(empty.folder),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"pos-engine: internal error: OSError; .*\n", done.stderr)


def test_help_starts_without_the_heavy_parts(empty: Shop) -> None:
    script = (
        "import sys; from pos_engine.cli import root\n"
        "try: root.main(['--help'], prog_name='pos-engine')\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'rich', 'asyncio', 'construct', 'simulators', 'sqlite3', 'serial', 'dpkt'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(empty.folder), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]"
