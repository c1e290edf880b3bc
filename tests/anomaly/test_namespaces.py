"""Terminal and host in two networks of their own, joined by one cable, which is pulled at every moment that matters.

Nothing says goodbye when a cable is pulled: no end and no reset, bytes are taken by the kernel and never arrive. Each
call still ends within its deadline and a second, in a definite state, and when the cable is back the books agree.

The networks are namespaces of this machine's kernel; nothing leaves them. Where making one is not permitted, the tests
are skipped.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, Self

import pytest

from simulators.store import LedgerFile
from tests.support.commands import PROGRAM, ROOT, WAIT_S, environment
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("ip")

TERMINAL: Final = ROOT / "tests/anomaly/obedient_terminal.py"
NUMBERS: Final = itertools.count(1)
HOST: Final = "10.213.7.1"
PORT: Final = 9583
DEADLINE_S: Final = 1.0
GRACE_S: Final = 1.0
ATTEMPTS_MAX: Final = 15
"""After the cable is back: the kernel may first have to find out who has the address."""
SCENARIO: Final = """
[[rule]]
name = "answers a sale late"
match = { kind = "sale", amount_suffix = "003" }
action = { do = "delay", seconds = 3 }

[[rule]]
name = "loses the answer to a sale"
match = { kind = "sale", amount_suffix = "004" }
action = { do = "close" }

[[rule]]
name = "answers the first reversal late"
match = { kind = "reversal", amount_suffix = "004" }
action = { do = "delay", seconds = 3 }
then = ["usual"]
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=WAIT_S)


class Cable:
    """Two networks and the cable between them: a context manager that takes all of it away again."""

    def __init__(self) -> None:
        """Choose names that no other process uses; interfaces have at most fifteen characters."""
        number = f"{os.getpid()}{next(NUMBERS)}"
        self.host, self.terminal = f"pos-h{number}", f"pos-t{number}"

    def __enter__(self) -> Self:
        """Make the networks; `CalledProcessError` where that is not permitted."""
        try:
            for name in (self.host, self.terminal):
                ip("netns", "add", name)
            ip("-n", self.host, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.terminal)
            for name, address in ((self.host, HOST), (self.terminal, "10.213.7.2")):
                ip("-n", name, "address", "add", f"{address}/30", "dev", "wire")
                ip("-n", name, "link", "set", "wire", "up")
        except subprocess.SubprocessError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take both networks away, and with them the cable."""
        for name in (self.host, self.terminal):
            with contextlib.suppress(subprocess.SubprocessError):
                ip("netns", "delete", name)

    def pull(self, end: str) -> None:
        """Pull the plug at the host's or at the terminal's end."""
        ip("-n", getattr(self, end), "link", "set", "wire", "down")

    def plug(self, end: str) -> None:
        """Put it back."""
        ip("-n", getattr(self, end), "link", "set", "wire", "up")


@contextlib.contextmanager
def running(network: str, folder: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a network until it is no longer needed."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", network, *command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> dict[str, Any]:
    assert stream is not None
    told: dict[str, Any] = json.loads(stream.readline())
    return told


@dataclass
class Scene:
    """A terminal that is signed on, its host, and the cable."""

    cable: Cable
    shop: Shop
    host: subprocess.Popen[str]
    terminal: subprocess.Popen[str]

    def order(self, order: str) -> None:
        """Tell the terminal what to do, and do not wait for it."""
        assert self.terminal.stdin is not None
        self.terminal.stdin.write(order + "\n")
        self.terminal.stdin.flush()

    def came(self) -> str:
        """Wait for what came of it: in time, whatever it is."""
        told = line_of(self.terminal.stdout)
        assert told["seconds"] < DEADLINE_S + GRACE_S, told
        return str(told["came"])

    def do(self, order: str) -> str:
        """Order, and wait."""
        self.order(order)
        return self.came()

    def wait_for(self, kind: str) -> None:
        """Wait until the host has handled a request of that kind."""
        while line_of(self.host.stdout).get("kind") != kind:
            pass

    def all_is_well(self) -> None:
        """Sell until a sale is approved, which first does what is owed; then compare the books."""
        for _ in range(ATTEMPTS_MAX):
            if self.do("10.00") == "Approved":
                break
        else:
            pytest.fail("the terminal did not recover")
        self.terminal.communicate(timeout=WAIT_S)
        # The books are on disk before any answer leaves.
        self.host.kill()
        self.host.wait(WAIT_S)
        assert self.shop.owed() == 0
        with LedgerFile(self.shop.folder / "books.db") as file:
            assert differences(self.shop.records(), file.ledger) == []


@pytest.fixture(name="cable")
def _cable() -> Iterator[Cable]:
    try:
        cable = Cable().__enter__()
    except subprocess.SubprocessError as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        pytest.skip(f"a network namespace cannot be made here: {reason}")
    with contextlib.ExitStack() as cleanup:
        cleanup.push(cable.__exit__)
        yield cable


@pytest.fixture(name="scene")
def _scene(cable: Cable, tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    shop = Shop(tmp_path, PORT, answer_timeout_s=DEADLINE_S)
    shop.path.write_text(shop.path.read_text().replace("127.0.0.1", HOST))
    acquirer = ("--host", HOST, "--expose", "--ledger", "books.db", "--scenario", "scenario.toml", "--json")
    with (
        running(cable.host, tmp_path, *PROGRAM, "acquirer", *acquirer) as host,
        running(cable.terminal, tmp_path, sys.executable, "-W", "error", str(TERMINAL), str(shop.path)) as terminal,
    ):
        assert line_of(host.stdout)["event"] == "listening"
        scene = Scene(cable, shop, host, terminal)
        assert scene.do("sign-on") == "Approved"
        assert scene.do("5.00") == "Approved"
        yield scene


ENDS = pytest.mark.parametrize("end", ["host", "terminal"])


@ENDS
def test_a_cable_that_is_out_before_there_is_a_connection(scene: Scene, end: str) -> None:
    # A connection that failed is not kept, so that the next sale has to make one.
    assert scene.do("0.04") == "InDoubt"
    scene.cable.pull(end)
    assert scene.do("12.00") in {"NotSent", "InDoubt"}
    scene.cable.plug(end)
    scene.all_is_well()


@ENDS
def test_a_cable_that_is_pulled_while_a_connection_is_kept(scene: Scene, end: str) -> None:
    scene.cable.pull(end)
    assert scene.do("12.00") in {"NotSent", "InDoubt"}
    scene.cable.plug(end)
    scene.all_is_well()


@ENDS
def test_a_cable_that_is_pulled_while_an_answer_is_awaited(scene: Scene, end: str) -> None:
    scene.order("0.03")
    for _ in range(2):
        scene.wait_for("sale")
    scene.cable.pull(end)
    assert scene.came() == "InDoubt"
    assert scene.do("12.00") in {"NotSent", "InDoubt", "LinkError"}
    scene.cable.plug(end)
    scene.all_is_well()


@ENDS
def test_a_cable_that_is_pulled_behind_an_answer(scene: Scene, end: str) -> None:
    assert scene.do("7.00") == "Approved"
    scene.cable.pull(end)
    assert scene.do("tick") in {"idle", "owing"}
    scene.cable.plug(end)
    scene.all_is_well()


@ENDS
def test_a_cable_that_is_pulled_while_a_reversal_is_under_way(scene: Scene, end: str) -> None:
    assert scene.do("0.04") == "InDoubt"
    scene.order("tick")
    scene.wait_for("reversal")
    scene.cable.pull(end)
    assert scene.came() == "owing"
    scene.cable.plug(end)
    scene.all_is_well()


def test_a_cable_that_is_pulled_and_put_back_within_the_deadline_costs_nothing(scene: Scene) -> None:
    scene.cable.pull("host")
    scene.order("12.00")
    scene.cable.plug("host")
    assert scene.came() in {"Approved", "InDoubt", "NotSent"}
    scene.all_is_well()
