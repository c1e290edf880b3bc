"""Lines that break, hosts that restart, power that goes, clocks that pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine import Amount, InDoubt

if TYPE_CHECKING:
    from collections.abc import Callable

    from counter import Counter

    from pos_engine import ManualClock, Terminal
    from simulators.acquirer import Acquirer
    from simulators.bench import Bench, Books, MemoryLink

TOTAL = Amount.cny("12.34")


def test_a_lost_answer(terminal: Terminal, memory_link: MemoryLink, ledger: Books) -> None:
    memory_link.lose_answer()
    assert isinstance(terminal.sale(Amount.cny("12.34")), InDoubt)
    terminal.tick()
    assert ledger.differences(terminal) == []


@pytest.mark.parametrize("count", [0, 1, 2, 60, 100])
@pytest.mark.parametrize("of", ["answer", "request"])
def test_a_connection_that_breaks_anywhere(
    counter: Counter, memory_link: MemoryLink, of: str, count: int, books_agree: Callable[[], bool]
) -> None:
    memory_link.cut_after(count, of="answer" if of == "answer" else "request")
    try:
        assert not counter.till.checkout("order 1", TOTAL).paid
    except OSError:
        # Not a byte had left, so the sale was never begun.
        assert (of, count) == ("request", 0)
    assert books_agree()
    assert counter.till.checkout("order 2", TOTAL).paid


@pytest.mark.parametrize(("seconds", "is_paid"), [(59.0, True), (61.0, False)])
def test_a_slow_answer(
    counter: Counter, memory_link: MemoryLink, seconds: float, books_agree: Callable[[], bool], *, is_paid: bool
) -> None:
    memory_link.delay(seconds)
    assert counter.till.checkout("order 1", TOTAL).paid == is_paid
    assert books_agree()


def test_an_answer_that_comes_twice_counts_once(
    counter: Counter, memory_link: MemoryLink, books_agree: Callable[[], bool]
) -> None:
    memory_link.duplicate()
    assert counter.till.checkout("order 1", TOTAL).paid
    assert counter.till.checkout("order 2", Amount.cny("1.00")).paid
    assert books_agree()


def test_a_host_that_forgets_its_keys_is_signed_on_to_again(counter: Counter, acquirer: Acquirer) -> None:
    acquirer.forget_sessions()
    assert not counter.till.checkout("order 1", TOTAL).paid
    assert counter.till.checkout("order 2", TOTAL).paid


def test_a_day_later_the_keys_are_renewed(counter: Counter, manual_clock: ManualClock) -> None:
    before = counter.terminal.status().keys
    manual_clock.advance(24 * 3600)
    # It comes back half an hour before they are a day old again.
    assert counter.till.idle() == 23.5 * 3600
    assert counter.terminal.status().keys != before


@pytest.mark.parametrize("is_rebooted", [True, False])
def test_power_that_goes_before_the_reversal(
    new_counter: Callable[..., Counter],
    pos_bench: Bench,
    ledger: Books,
    *,
    is_rebooted: bool,
) -> None:
    counter = new_counter()
    pos_bench.link.lose_answer()
    first = counter.till.checkout("order 1", TOTAL)
    pos_bench.cut_power(counter.terminal)
    if is_rebooted:
        pos_bench.clock.reboot("after the cut")
    again = new_counter()
    again.till.idle()
    assert ledger.differences(again.terminal) == []
    told = again.till.checkout("order 1", TOTAL)
    # The same doubt as before, and by now also what became of it.
    assert told.lines[:-1] == first.lines[:-1]
    assert told.lines[-1] == "it was reversed since: nothing was charged"


def test_a_terminal_that_was_closed_up_opens_by_itself(counter: Counter) -> None:
    counter.till.close_up()
    assert counter.till.idle() is None
    assert counter.terminal.status().why.en == "the terminal was signed off"
    assert counter.till.checkout("order 1", TOTAL).paid


def test_two_terminals_share_a_host_and_nothing_else(open_terminal: Callable[..., Terminal], ledger: Books) -> None:
    pair = [open_terminal({"terminal.id": name}) for name in ("T0000001", "T0000002")]
    for terminal in pair:
        terminal.sale(TOTAL)
    assert [ledger.differences(terminal) for terminal in pair] == [[], []]
    assert {each.key.terminal for each in ledger.transactions} == {"T0000001", "T0000002"}
