"""kill -9 between any two effects of a sale, in another process than the host's: afterwards both books agree."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pos_engine.flow.outcomes import Approved
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.support.shop import Shop, differences

PROGRAM = Path(__file__).with_name("dying_terminal.py")
ROOT = PROGRAM.parents[2]
TRUTHS = {"approved": "12.34", "declined": "9.51", "answer lost": "9.96", "never arrived": "9.94", "forged": "9.95"}
SALE_SENT = 9
"""The effect of a first sale that sends its request: those of the sign-on, taking the card and the save go before."""
EFFECTS_MAX = 40
"""No sale with all that is owed before it has more effects: a loop that gets there is a fault of its own."""


def run(shop: Shop, order: str, where: str = "before", count: int = 0) -> tuple[bool, list[str]]:
    """Return whether the terminal lived to the end, and what it had shown by then."""
    command = [sys.executable, str(PROGRAM), str(shop.path), order, where, str(count)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    shown = done.stdout.splitlines()
    return shown[-1:] == ["alive"], [line for line in shown if line != "alive"]


def recover(shop: Shop) -> None:
    """Start again without a fault; a sale does not wait for the back-off of what is owed, as a tick would."""
    with shop.open() as terminal:
        terminal.tick()
        assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        assert terminal.tick().owed == 0


def check(shop: Shop, host: BackgroundServer, shown: list[str]) -> None:
    """Compare both books, and what the cashier saw with both."""
    records = shop.records()
    assert differences(records, host.ledger()) == []
    assert shop.owed() == 0
    kept = {f"{each.kind.value} {each.batch} {each.stan} {each.state.name}" for each in records}
    for line in shown:
        assert line in kept or not line.endswith("APPROVED"), "what was shown as approved is not approved any more"


def live(folder: Path, order: str, where: str, count: int, *, first: tuple[str, str, int] | None = None) -> bool:
    """Let one terminal live, die and recover against a host of its own; whether it lived to the end."""
    folder.mkdir()
    with BackgroundServer() as host:
        shop = Shop(folder, host.port)
        if first is not None:
            run(shop, *first)
        alive, shown = run(shop, order, where, count)
        recover(shop)
        check(shop, host, shown)
    return alive


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("truth", list(TRUTHS))
def test_a_terminal_killed_at_any_effect_of_a_sale_agrees_with_the_host_afterwards(
    truth: str, where: str, tmp_path: Path
) -> None:
    lives = (live(tmp_path / str(count), TRUTHS[truth], where, count) for count in range(1, EFFECTS_MAX))
    assert any(lives), "the sale never ends"


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("truth", ["approved", "never arrived"])
def test_a_terminal_killed_again_in_its_recovery_agrees_with_the_host_afterwards(
    truth: str, where: str, tmp_path: Path
) -> None:
    # By then the sale's request was sent and answered, and nothing that came of it is saved.
    first = (TRUTHS[truth], "after", SALE_SENT)
    lives = (live(tmp_path / str(count), "tick", where, count, first=first) for count in range(1, EFFECTS_MAX))
    assert any(lives), "the recovery never ends"
