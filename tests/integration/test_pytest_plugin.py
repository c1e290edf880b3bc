"""The pytest plugin as its users meet it: a project of their own, run by pytest itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

# Loaded here, so that a pytest inside this one finds it and does not load it a second time.
import simulators.bench
import simulators.server  # noqa: F401 - loaded for the plugin
from tests.quality.snippets import blocks

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
# Where the package is installed, pytest finds the plugin by itself.
PLUGIN = [] if entry_points(group="pytest11", name="pos_engine") else ["-p", "simulators.pytest_plugin"]
LOST_ANSWER = """
from pos_engine import Amount, InDoubt

def test_a_lost_answer(terminal, memory_link, ledger):
    memory_link.lose_answer()
    assert isinstance(terminal.sale(Amount.cny("12.34")), InDoubt)
    terminal.tick()
    assert ledger.differences(terminal) == []
"""


@pytest.fixture(autouse=True)
def _finds_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    """Run a project of one file within this process."""
    pytester.makepyfile(text)
    return pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider", "-W", "error", *arguments)


def test_the_plugin_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"pos_engine": "simulators.pytest_plugin"}
    assert find_spec(declared["pos_engine"]) is not None


def test_a_sale_with_a_lost_answer_is_five_lines(pytester: pytest.Pytester) -> None:
    run(pytester, LOST_ANSWER).assert_outcomes(passed=1)
    assert len(LOST_ANSWER.partition("def ")[2].splitlines()) == 5


def test_it_loads_nothing_until_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(
        """
import json, sys

def test_light(capsys):
    with capsys.disabled():
        print(json.dumps(sorted(name for name in sys.modules)))
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGIN, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("[")]
    loaded = set(json.loads(line.partition("]")[0] + "]"))
    assert "simulators.pytest_plugin" in loaded
    heavy = ("pos_engine", "cryptography", "iso8583", "construct", "sqlite3", "asyncio", "simulators.")
    assert [name for name in sorted(loaded - {"simulators.pytest_plugin"}) if name.startswith(heavy)] == []


@pytest.mark.parametrize("cacheprovider", [[], ["-p", "no:cacheprovider"]])
def test_it_works_under_xdist(pytester: pytest.Pytester, cacheprovider: list[str]) -> None:
    pytester.makepyfile(
        test_a=LOST_ANSWER,
        test_b="""
import pytest

@pytest.mark.parametrize("number", range(4))
def test_every_worker_has_the_seed(pytestconfig, number):
    assert pytestconfig.option.pos_seed == 42
""",
    )
    result = pytester.runpytest_subprocess(*PLUGIN, *cacheprovider, "-n", "2", "--pos-seed", "42")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["pos_engine: --pos-seed 42, journal in memory"])


def test_without_a_seed_all_workers_get_the_same_new_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_seed(pytestconfig, number):
    open(f"seed{number}", "w").write(str(pytestconfig.option.pos_seed))
"""
    )
    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "2")
    result.assert_outcomes(passed=4)
    [told] = set(re.findall(r"--pos-seed (\d+)", result.stdout.str()))
    assert {path.read_text() for path in pytester.path.glob("seed*")} == {told}


KEYS = """
def test_keys(terminal, pos_bench):
    with open("keys", "a") as file:
        print(terminal.status().keys, pos_bench.random.random(), file=file)
"""


def test_the_seed_makes_keys_and_choices_repeatable(pytester: pytest.Pytester) -> None:
    for seed in ("1", "1", "2"):
        run(pytester, KEYS, "--pos-seed", seed).assert_outcomes(passed=1)
    first, second, other = (pytester.path / "keys").read_text().splitlines()
    assert first == second != other


def test_a_failed_test_shows_the_conversation_masked(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from pos_engine import Amount

def test_fails(terminal, memory_link):
    memory_link.lose_answer()
    terminal.sale(Amount.cny("12.34"))
    terminal.tick()
    assert False
""",
        "--pos-seed",
        "7",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*pos_engine conversation (--pos-seed 7)*",
            "* T0000001 -> 0800 network management request, STAN 000001, terminal T0000001",
            "* T0000001 -> 0200 financial request, 12.34 CNY, *",
            "*35  Track 2 data: [*][*][*]",
            "*(the answer to this request is lost)",
            "*T0000001    (silence: *)",
            "* T0000001 <- 0410 reversal answer, 12.34 CNY, card 622999[*][*][*][*][*][*]0012, *",
        ]
    )
    shown = result.stdout.str()
    assert re.search(r"622999\d", shown) is None


def test_a_test_that_passes_shows_nothing(pytester: pytest.Pytester) -> None:
    result = run(pytester, LOST_ANSWER, "-rA")
    result.assert_outcomes(passed=1)
    assert "conversation" not in result.stdout.str()


def test_the_journal_may_be_a_file(pytester: pytest.Pytester) -> None:
    text = (
        LOST_ANSWER
        + """
    terminal.close()
    assert [path.name for path in tmp_path.glob("*.db")] == ["T0000001.db"]
"""
    )
    text = text.replace("terminal, memory_link", "terminal, tmp_path, memory_link")
    run(pytester, text, "-o", "pos_journal=file").assert_outcomes(passed=1)


def test_a_journal_of_another_kind_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, LOST_ANSWER, "-o", "pos_journal=paper")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pos_journal is memory or file"])


def test_a_scenario_is_text_a_name_a_path_or_rules(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        '''
from pathlib import Path

import pytest
from pos_engine import Amount
from simulators.scenario import Scenario, parse

RULES = """
[[rule]]
name = "refused"
match = { kind = "sale" }
action = { do = "decline", code = "61" }
"""

@pytest.mark.parametrize("make", [
    lambda path: RULES,
    lambda path: parse(RULES, "rules"),
    lambda path: parse(RULES, "rules").rules[0],
    lambda path: parse(RULES, "rules").rules,
    lambda path: path,
])
def test_every_form(terminal, scenario, tmp_path, make):
    (tmp_path / "rules.toml").write_text(RULES)
    play = scenario(make(tmp_path / "rules.toml"))
    assert terminal.sale(Amount.cny("12.34")).code.code == "61"
    assert play.met("refused") == 1

def test_a_ready_made_one(terminal, scenario):
    play = scenario("silence")
    terminal.sale(Amount.cny("10.01"))
    assert play.met("dropped after booking") == 1
''',
    ).assert_outcomes(passed=6)


def test_what_a_scenario_expects_in_vain_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        '''
from pos_engine import Amount

def test_sale(terminal, scenario):
    scenario("""
[[rule]]
name = "chip only"
match = { kind = "sale" }
expect = { "22" = { prefix = "05" } }
""")
    terminal.sale(Amount.cny("12.34"))
''',
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(['*rule "chip only": STAN 000002 of terminal T0000001: not as expected: 22'])


def test_a_terminal_reaches_the_same_host_over_a_real_port(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
from pos_engine import Amount, Approved

def test_sale(open_terminal, acquirer_address, acquirer, ledger):
    assert acquirer_address.startswith("tcp://127.0.0.1:")
    terminal = open_terminal({"acquirer.address": acquirer_address})
    assert isinstance(terminal.sale(Amount.cny("12.34")), Approved)
    assert len(acquirer.ledger.transactions) == 1
    assert ledger.differences(terminal) == []
    terminal.close()
""",
    ).assert_outcomes(passed=1)


def test_a_terminal_may_be_opened_without_a_sign_on(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
def test_fresh(open_terminal, memory_link, manual_clock):
    terminal = open_terminal(sign_on=False)
    assert terminal.status().signed_on_at is None
    assert list(memory_link.events) == []
    terminal.tick()
    assert terminal.status().signed_on_at == manual_clock.now().wall
""",
    ).assert_outcomes(passed=1)


def test_every_block_of_the_page_is_a_test_file_that_passes(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs/how-to-test-with-pytest.md").read_text()
    files = [block.text for block in blocks(page) if block.language == "python"]
    pytester.makepyfile(**{f"test_block_{number}": text for number, text in enumerate(files)})
    result = pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider", "-W", "error")
    assert result.ret == pytest.ExitCode.OK
    assert len(files) > 1


def test_the_example_project_passes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "docs/examples", *PLUGIN, "-q", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(tmp_path / "base")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stdout[-5_000:], pytrace=False)
    [summary] = re.findall(r"^(\d+) passed in [\d.]+s$", done.stdout, re.MULTILINE)
    assert int(summary) >= 50


@pytest.mark.parametrize("name", ["des", "3des", "3des-track", "sm4"])
def test_a_project_may_test_with_another_key_scheme(pytester: pytest.Pytester, name: str) -> None:
    override = f"""
import pytest

@pytest.fixture
def key_scheme():
    return "{name}"
"""
    run(pytester, override + LOST_ANSWER).assert_outcomes(passed=1)
