"""What the terminal refuses by itself: limits, refunds that are too large, voids of what is no longer there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from till import Till

from pos_engine import Amount, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from counter import Counter

    from pos_engine import ManualClock
    from simulators.bench import Books, MemoryLink
    from simulators.pytest_plugin import OpenTerminal

DAY_S = 24 * 3600


@pytest.mark.parametrize(
    ("limit", "total", "is_sold"),
    [
        ("transaction", "50.00", True),
        ("transaction", "50.01", False),
        ("day", "50.01", False),
        ("card_day", "50.00", True),
    ],
)
def test_a_limit_is_exact(new_counter: Callable[..., Counter], limit: str, total: str, *, is_sold: bool) -> None:
    till = new_counter(**{limit: "50.00"}).till
    if is_sold:
        assert till.checkout("order 1", Amount.cny(total)).paid
    else:
        with pytest.raises(UsageError, match="limit"):
            till.checkout("order 1", Amount.cny(total))


def test_a_day_s_limit_begins_again_the_next_day(
    new_counter: Callable[..., Counter], manual_clock: ManualClock
) -> None:
    till = new_counter(day="50.00").till
    assert till.checkout("order 1", Amount.cny("40.00")).paid
    with pytest.raises(UsageError):
        till.checkout("order 2", Amount.cny("40.00"))
    manual_clock.advance(DAY_S)
    assert till.checkout("order 2", Amount.cny("40.00")).paid


def test_one_card_s_limit_is_not_another_s(new_counter: Callable[..., Counter]) -> None:
    counter = new_counter(card_day="50.00")
    counter.sell("order 1", "40.00")
    with pytest.raises(UsageError, match="one card"):
        counter.till.checkout("order 2", Amount.cny("40.00"))
    counter.present("no-pin")
    assert counter.till.checkout("order 3", Amount.cny("40.00")).paid


def test_what_was_taken_back_does_not_count(new_counter: Callable[..., Counter], memory_link: MemoryLink) -> None:
    counter = new_counter(day="50.00")
    memory_link.lose_answer()
    counter.till.checkout("order 1", Amount.cny("40.00"))
    counter.till.idle()
    counter.sell("order 2", "40.00")
    counter.till.cancel("order 2")
    counter.sell("order 3", "40.00")


def test_a_sale_is_refunded_in_parts_up_to_its_amount(counter: Counter, ledger: Books) -> None:
    counter.sell("order 1", "12.34")
    assert counter.till.give_back("order 1", Amount.cny("10.00"), slip_number=1).paid
    with pytest.raises(UsageError, match="exceed"):
        counter.till.give_back("order 1", Amount.cny("2.35"), slip_number=2)
    assert counter.till.give_back("order 1", Amount.cny("2.34"), slip_number=3).paid
    assert str(ledger.balance("everyday")) == "100000.00 CNY"


@pytest.mark.parametrize("first", ["void", "refund"])
@pytest.mark.parametrize("second", ["void", "refund"])
def test_what_was_given_back_whole_is_not_given_back_again(counter: Counter, first: str, second: str) -> None:
    total = Amount.cny("12.34")
    reference = counter.terminal.find_sale(counter.sell("order 1", "12.34"))
    assert reference is not None
    if first == "void":
        assert counter.till.cancel("order 1").paid
    else:
        assert counter.till.give_back("order 1", total).paid
    again = {
        "void": partial(counter.terminal.void, reference),
        "refund": partial(counter.terminal.refund, total, original=reference),
    }
    with pytest.raises(UsageError):
        again[second]()


def test_another_card_gets_nothing_back(counter: Counter, books_agree: Callable[[], bool]) -> None:
    counter.sell("order 1")
    counter.present("no-pin")
    with pytest.raises(UsageError, match="another card"):
        counter.till.give_back("order 1", Amount.cny("1.00"))
    assert books_agree()


def test_an_order_that_was_not_paid_is_not_given_back(till: Till) -> None:
    with pytest.raises(UsageError, match="not paid"):
        till.cancel("order 7")


def test_one_order_has_one_total(till: Till) -> None:
    till.checkout("order 1", Amount.cny("12.34"))
    with pytest.raises(UsageError, match="used before"):
        till.checkout("order 1", Amount.cny("43.21"))


def test_without_a_card_nothing_happens(counter: Counter, ledger: Books) -> None:
    counter.reader.card = None
    with pytest.raises(UsageError, match="no card"):
        counter.till.checkout("order 1", Amount.cny("12.34"))
    assert ledger.transactions == ()


def test_a_supervisor_says_no(counter: Counter, open_terminal: OpenTerminal) -> None:
    counter.sell("order 1")
    counter.terminal.close()
    guarded = Till(open_terminal(supervisor=_Never()))
    with pytest.raises(UsageError, match="supervisor"):
        guarded.cancel("order 1")


class _Never:
    """A supervisor who is on the telephone."""

    def allows(self, kind: object, amount: object, stan: str) -> bool:
        """Refuse."""
        del kind, amount, stan
        return False
