"""A counter for every test: the till's own reader and PIN pad on a terminal that speaks to the simulated host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from counter import Counter
from till import CounterPad, StripeReader, Till

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.bench import Bench, Books
    from simulators.pytest_plugin import OpenTerminal


@pytest.fixture
def new_counter(open_terminal: OpenTerminal, pos_bench: Bench) -> Callable[..., Counter]:
    """Set a counter up; a second time, it is the same terminal after a restart."""

    def opened(**limits: str) -> Counter:
        reader, pad = StripeReader(), CounterPad(pos_bench.keystore())
        settings = {f"limits.{name}": amount for name, amount in limits.items()}
        terminal = open_terminal(settings, reader=reader, pin_pad=pad)
        counter = Counter(Till(terminal), terminal, reader, pad)
        counter.present("everyday")
        return counter

    return opened


@pytest.fixture
def counter(new_counter: Callable[..., Counter]) -> Counter:
    """A counter with an everyday card in the reader."""
    return new_counter()


@pytest.fixture
def till(counter: Counter) -> Till:
    """The till of that counter."""
    return counter.till


@pytest.fixture
def books_agree(counter: Counter, ledger: Books) -> Callable[[], bool]:
    """Tell whether, once the till has done what it owes, host and terminal have the same in their books."""

    def agree() -> bool:
        while counter.till.idle() == 0:
            pass
        return ledger.differences(counter.terminal) == []

    return agree
