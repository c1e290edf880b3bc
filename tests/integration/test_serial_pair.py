"""The fixtures of real lines that fail on demand, `serial_pair` and `tcp_line`, as a user's project meets them."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# Loaded here, so that a pytest inside this one finds it and does not load it a second time.
import simulators.bench
import simulators.faults
import simulators.server  # noqa: F401 - loaded for the plugin

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = [] if entry_points(group="pytest11", name="pos_engine") else ["-p", "simulators.pytest_plugin"]

DEVICES = """
import os, selectors
from pathlib import Path
import pytest

FOLDERS = []

def take(fd, count):
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while len(data) < count and selector.select(10):
            data += os.read(fd, count - len(data))
    return data

@pytest.fixture
def ends(serial_pair):
    FOLDERS.append(Path(serial_pair.terminal_device).parent)
    fds = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in (serial_pair.terminal_device, serial_pair.host_device)]
    yield fds
    for fd in fds:
        os.close(fd)

def test_it_is_smooth_and_fails_on_demand(serial_pair, ends):
    terminal, host = ends
    os.write(terminal, bytes(range(256)))
    assert take(host, 256) == bytes(range(256))
    serial_pair.fail("flip to-terminal at 1.0")
    os.write(host, b"abc")
    assert take(terminal, 3) == b"acc"
    assert [fault.at for fault in serial_pair.passed.faults] == [1]

def test_each_test_has_its_own(serial_pair, ends):
    terminal, host = ends
    os.write(host, b"abc")
    assert take(terminal, 3) == b"abc"
    assert len(set(FOLDERS)) == 2
    assert not FOLDERS[0].exists()

def test_what_chance_decides_is_repeated(serial_pair, ends):
    terminal, host = ends
    serial_pair.fail("flip to-host 10%")
    os.write(terminal, bytes(200))
    came = take(host, 200)
    assert came != bytes(200)
    with Path(os.environ["SEEN"]).open("a") as seen:
        seen.write(came.hex() + "\\n")
"""

TERMINALS = """
import pytest
from pos_engine import Amount, Approved, InDoubt, NotSent
from simulators.server import BackgroundServer

TOTAL = Amount.cny("12.34")

def test_a_serial_line_that_is_pulled_out(open_terminal, acquirer, serial_pair, ledger):
    with BackgroundServer(acquirer, listen=f"serial://{serial_pair.host_device}"):
        with open_terminal({"acquirer.address": f"serial://{serial_pair.terminal_device}"}) as terminal:
            assert isinstance(terminal.sale(TOTAL), Approved)
            serial_pair.unplug()
            with pytest.raises(NotSent):
                terminal.sale(TOTAL)
            serial_pair.replug()
            assert isinstance(terminal.sale(TOTAL), Approved)
            assert ledger.differences(terminal) == []

def test_a_connection_that_stalls(open_terminal, tcp_line, ledger):
    settings = {"acquirer.address": tcp_line.url, "acquirer.answer_timeout_s": 0.3}
    with open_terminal(settings) as terminal:
        tcp_line.fail("stall to-terminal at 20 times 1")
        assert isinstance(terminal.sale(TOTAL), InDoubt)
        tcp_line.smooth()
        assert isinstance(terminal.sale(TOTAL), Approved)
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


def test_a_pair_of_devices_is_smooth_until_it_is_told_to_fail(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    monkeypatch.setenv("SEEN", str(seen))
    for seed in ("7", "7", "8"):
        run(pytester, DEVICES, "--pos-seed", seed).assert_outcomes(passed=3)
    first, second, other = seen.read_text().splitlines()
    assert first == second != other


def test_a_terminal_trades_over_lines_that_fail(pytester: pytest.Pytester) -> None:
    run(pytester, TERMINALS).assert_outcomes(passed=2)
