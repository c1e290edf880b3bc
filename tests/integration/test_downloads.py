"""Downloads over real sockets: a link that closes at every page, a process that is killed at every page."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import NoAnswer
from pos_engine.flow.downloads import TerminalData
from pos_engine.flow.outcomes import Approved
from pos_engine.journal.record import State
from pos_engine.system import entropy
from pos_engine.values import Amount
from simulators.acquirer import Acquirer, Fate
from simulators.scenario import Scenario, parse
from simulators.server import BackgroundServer
from tests.support.shop import IDENTITY, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[1] / "anomaly" / "dying_terminal.py"
ROOT = PROGRAM.parents[2]
PAGES = {
    "parameters": [("parameters", 1), ("parameters-end", 1)],
    "ca-keys": [
        *(("ca-key-list", 1), ("ca-key-list", 2)),
        *(("ca-key", 1), ("ca-key", 2), ("ca-key", 3)),
        ("ca-keys-end", 1),
    ],
    "aids": [("aid-list", 1), ("aid", 1), ("aid", 2), ("aids-end", 1)],
    "blacklist": [("blacklist", 1), ("blacklist", 2), ("blacklist-end", 1)],
}
"""The exchanges of each download: the kind, and which of that kind it is."""
CUTS = [(name, *cut) for name, pages in PAGES.items() for cut in pages]
EFFECTS_PER_PAGE = 4
"""Save, send, save, show."""
SENT = 2


@contextmanager
def running() -> Iterator[tuple[Acquirer, BackgroundServer]]:
    acquirer = Acquirer(entropy=entropy, scenario=Scenario())
    with BackgroundServer(acquirer) as host:
        yield acquirer, host


def content(data: TerminalData) -> TerminalData:
    """Return what is in force without when it came."""
    return replace(data, completed=())


def expected(folder: Path, name: str) -> TerminalData:
    """Fetch it without a fault."""
    folder.mkdir()
    with running() as (_, host), Shop(folder, host.port).open() as terminal:
        assert isinstance(terminal.download(name), Approved)
        return content(terminal.terminal_data())


def came(shop: Shop) -> list[str]:
    """Name the pages that came, in order."""
    return [each.kind.value for each in shop.records() if each.page is not None and each.state is State.APPROVED]


@pytest.mark.parametrize(("name", "kind", "place"), CUTS)
def test_a_link_that_closes_at_any_page_costs_that_page_and_no_other(
    tmp_path: Path, name: str, kind: str, place: int
) -> None:
    first, *then = ['"usual"'] * (place - 1) + ['"close"']
    rest = f"then = [{', '.join(then)}]\n" if then else ""
    rule = f'[[rule]]\nname = "cut"\nmatch = {{ kind = "{kind}" }}\naction = {first}\n{rest}times = 1\n'
    with running() as (acquirer, host):
        shop = Shop(tmp_path, host.port)
        host.call(lambda: acquirer.stage(parse(rule, "cut")))
        with shop.open() as terminal, pytest.raises(NoAnswer):
            terminal.download(name)
        with shop.open() as terminal:
            assert terminal.terminal_data() == TerminalData()
            assert isinstance(terminal.download(name), Approved)
            got = content(terminal.terminal_data())
        answered = [event.kind for event in host.events if event.fate is Fate.SEND]
    assert answered == [each for each, _ in PAGES[name]]
    assert came(shop) == answered
    assert got == expected(tmp_path / "whole", name)


@pytest.mark.parametrize("name", ["parameters", "aids"])
def test_a_terminal_killed_at_any_page_goes_on_with_the_one_that_is_missing(tmp_path: Path, name: str) -> None:
    whole = expected(tmp_path / "whole", name)
    pages = [kind for kind, _ in PAGES[name]]
    for place in range(len(pages)):
        for where, effect in (("after", 1), ("after", SENT), ("after", SENT + 1)):
            folder = tmp_path / f"{place} {effect}"
            folder.mkdir()
            with running() as (_, host):
                shop = Shop(folder, host.port)
                count = place * EFFECTS_PER_PAGE + effect
                command = [sys.executable, str(PROGRAM), str(shop.path), f"download {name}", where, str(count)]
                died = subprocess.run(command, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
                assert died.returncode == -9
                before = came(shop)
                assert before == pages[: place + (effect > SENT)]
                with shop.open() as terminal:
                    assert (content(terminal.terminal_data()) == whole) == (before == pages)
                    if before != pages:
                        terminal.download(name)
                    assert content(terminal.terminal_data()) == whole
                assert came(shop) == pages


def test_what_a_host_demands_is_fetched_in_quiet_moments_and_survives_a_restart(tmp_path: Path) -> None:
    with running() as (acquirer, host):
        shop = Shop(tmp_path, host.port)
        host.call(lambda: acquirer.demand(IDENTITY.terminal, "4"))
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("12.34")), Approved)
            assert [each.kind.value for each in terminal.tick().done] == ["ca-key-list"]
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        with shop.open() as terminal:
            for _ in range(20):
                if terminal.tick().idle:
                    break
            assert [each.demanded for each in terminal.terminal_data().completed] == [True]
        assert host.call(lambda: acquirer.downloads.demanded(IDENTITY.terminal)) == ()
    assert came(shop) == [kind for kind, _ in PAGES["ca-keys"]]
