"""The real process, struck at every system call of a sale that writes, names, connects, sends or receives.

strace kills it on entering the n-th call of a kind, or lets that call fail, for n = 1, 2, ... until a life passes
untouched. Counting begins with the life of the terminal: its process was forked before (`forking_terminal.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.flow.outcomes import InDoubt
from pos_engine.values import Amount
from simulators.server import BackgroundServer
from tests.anomaly.forking_terminal import REFUSED
from tests.support.forked_terminal import Forked, Life
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("strace")

APPROVED = "12.34"
ANSWER_LOST = "9.96"
"""The test host books this amount and does not answer, so that the terminal reverses it in the same life."""
CALLS_MAX = 200
"""No sale makes more calls of one kind: a loop that gets there is a fault of its own."""
SEEN_IN_EVERY_SALE = {"pwrite64", "fdatasync", "openat", "close", "connect", "sendto", "recvfrom"}
WATCHED = "openat,pwrite64,fdatasync,fsync,ftruncate,fallocate,unlink,rename,sendto"


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    with Forked() as process:
        yield process


@pytest.fixture
def host() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, host: BackgroundServer) -> Shop:
    shop = Shop(tmp_path, host.port)
    with shop.open() as terminal:
        terminal.sign_on()
    return shop


@pytest.fixture
def hasty(shop: Shop, host: BackgroundServer) -> Shop:
    """Make the terminal one that does not wait long for answers that are lost."""
    return Shop(shop.folder, host.port, answer_timeout_s=0.5)


def recover(shop: Shop) -> None:
    """Start again without a fault, and do what is owed."""
    with shop.open() as terminal:
        for _ in range(3):
            if terminal.tick().owed == 0:
                return
    pytest.fail("what is owed is not done")


def check(shop: Shop, host: BackgroundServer, life: Life) -> None:
    """Compare both books, and what the cashier saw with both."""
    records = shop.records()
    assert differences(records, host.ledger()) == [], life
    assert shop.owed() == 0
    kept = {f"{each.kind.value} {each.batch} {each.stan} {each.state.name}" for each in records}
    assert [line for line in life.shown if line.endswith("APPROVED") and line not in kept] == [], life


def lives(forked: Forked, shop: Shop, amount: str, fault: str) -> Iterator[Life]:
    """Strike at the first call, at the second and so on, until a life passes untouched; yields those struck."""
    for count in range(1, CALLS_MAX):
        life = forked.live(shop, amount, f"{fault}:when={count}", trace=f"{WATCHED},{fault.partition(':')[0]}")
        if not life.struck:
            assert life.ended == 0
            assert life.shown
            return
        yield life
    pytest.fail("the sale never ends")


@pytest.mark.parametrize("call", [*WATCHED.split(","), "close", "socket", "connect", "recvfrom", "poll"])
def test_a_terminal_killed_at_any_system_call_of_a_sale_agrees_with_the_host_afterwards(
    call: str, shop: Shop, host: BackgroundServer, forked: Forked
) -> None:
    struck = 0
    for life in lives(forked, shop, APPROVED, f"{call}:signal=SIGKILL"):
        struck += 1
        recover(shop)
        check(shop, host, life)
    assert struck > 0 or call not in SEEN_IN_EVERY_SALE


@pytest.mark.parametrize("call", ["fdatasync", "sendto", "recvfrom"])
def test_a_terminal_killed_at_any_system_call_of_a_reversal_agrees_with_the_host_afterwards(
    call: str, hasty: Shop, host: BackgroundServer, forked: Forked
) -> None:
    struck = 0
    for life in lives(forked, hasty, ANSWER_LOST, f"{call}:signal=SIGKILL"):
        struck += 1
        recover(hasty)
        check(hasty, host, life)
    assert struck > 1


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "fsync", "ftruncate"])
def test_after_a_disk_error_nothing_more_is_sent_and_a_restart_makes_the_books_agree(
    call: str, shop: Shop, host: BackgroundServer, forked: Forked
) -> None:
    struck = 0
    for life in lives(forked, shop, APPROVED, f"{call}:error=EIO"):
        struck += 1
        if life.failed_on(shop.folder):
            # SQLite passes over this one: names must be durable before it comes to that.
            assert life.sent_after_the_fault() == [] or life.flushed_names_in_time(shop.folder), life
        else:
            assert life.sent_after_the_fault() == [], life
        # Closing the journal copies its log; an error then loses nothing that was committed, and is not reported.
        assert life.ended == REFUSED or life.shown, life
        recover(shop)
        check(shop, host, life)
    assert struck > 0 or call not in SEEN_IN_EVERY_SALE


def test_no_reversal_is_sent_while_the_log_that_holds_its_intent_has_no_durable_name(
    hasty: Shop, host: BackgroundServer, forked: Forked
) -> None:
    struck = 0
    for count in range(1, CALLS_MAX):
        with hasty.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny(ANSWER_LOST)), InDoubt)
        life = forked.live(hasty, APPROVED, f"fdatasync:error=EIO:when={count}", trace=WATCHED)
        if life.failed_on(hasty.folder):
            struck += 1
            assert life.sent_after_the_fault() == [] or life.flushed_names_in_time(hasty.folder), life
        recover(hasty)
        check(hasty, host, life)
        if struck or not life.struck:
            break
    assert struck
