"""A disk that is really full, and one that cannot be written: no sale without room for its outcome; none is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulators.server import BackgroundServer
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("full_disk_terminal.py")
ROOT = PROGRAM.parents[2]
NAMESPACE = ("unshare", "-rm")
APPROVED = "12.34"
ANSWER_LOST = "9.96"
ROOMS = (0, 4096, 8192, 12288, 20480, 32768, 65536, 131_072)
"""Bytes left on the disk: less than one write needs, and enough for some of them."""
JOURNAL = 8
"""The exit code of a journal that cannot be written."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A host, a terminal's folder, and the same folder after its time on the small disk."""

    host: BackgroundServer
    shop: Shop
    after: Path

    def run(self, when: str, amount: str, *rooms: int) -> list[dict[str, Any]]:
        """Let the terminal live on the small disk; returns what it told."""
        words = (when, amount, *map(str, rooms))
        done = subprocess.run(
            [*NAMESPACE, sys.executable, str(PROGRAM), str(self.shop.folder), str(self.after), *words],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check(self) -> None:
        """Compare both books."""
        shop = Shop(self.after, self.host.port)
        assert differences(shop.records(), self.host.ledger()) == []
        assert shop.owed() == 0


@pytest.fixture(scope="module", autouse=True)
def _small_disks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where nobody may mount a disk: that is for the system to allow, and no program to install."""
    folder = str(tmp_path_factory.mktemp("probe"))
    try:
        probe = subprocess.run(
            [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if probe.returncode != 0:
        pytest.skip("needs the right to mount a disk in a namespace of its own")


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    folder = tmp_path / "shop"
    folder.mkdir()
    with BackgroundServer() as host:
        shop = Shop(folder, host.port, answer_timeout_s=0.2)
        with shop.open() as terminal:
            terminal.sign_on()
        yield Stand(host, shop, tmp_path / "after")


def test_on_a_full_disk_no_sale_is_sent_whose_intent_is_not_kept(stand: Stand) -> None:
    lives = stand.run("intent", APPROVED, *ROOMS)
    refused = [each for each in lives if "Approved" not in each["outcome"]]
    assert [each for each in refused if each["sent"]] == []
    assert [each for each in refused if "the disk is full" not in each["outcome"]] == []
    assert refused
    assert [each for each in lives if each["owed"]] == []
    stand.check()


def test_the_outcome_of_a_sale_is_kept_on_a_disk_that_has_become_full(stand: Stand) -> None:
    lives = stand.run("outcome", APPROVED, *ROOMS)
    assert [each for each in lives if not each["outcome"].startswith("Approved, owed 0")] == []
    assert [each for each in lives if each["owed"]] == []
    stand.check()


def test_while_the_disk_is_full_no_further_sale_is_sent(stand: Stand) -> None:
    (life,) = stand.run("outcome", APPROVED, 0)
    assert life["sent_again"] == 0
    assert "the disk is full" in life["again"]
    stand.check()


def test_a_reversal_is_made_on_a_disk_that_has_become_full(stand: Stand) -> None:
    lives = stand.run("outcome", ANSWER_LOST, *ROOMS)
    assert [each for each in lives if not each["outcome"].startswith("InDoubt, owed 0")] == []
    assert [each for each in lives if each["owed"]] == []
    stand.check()


def test_a_disk_that_cannot_be_written_refuses_the_terminal_and_nothing_is_sent(stand: Stand) -> None:
    booked = len(stand.host.ledger().transactions)
    (told,) = stand.run("read-only", APPROVED)
    assert told["code"] == JOURNAL
    assert "journal.db" in told["error"]
    assert "Traceback" not in told["error"]
    assert len(stand.host.ledger().transactions) == booked
    stand.check()
