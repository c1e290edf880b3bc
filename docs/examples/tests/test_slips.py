"""What is printed, and what must never be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine import Amount
from simulators.cards import CARDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from counter import Counter
    from till import Till

    from simulators.bench import MemoryLink

TOTAL = Amount.cny("12.34")


def test_an_approved_slip_names_amount_card_and_reference(till: Till) -> None:
    slip = till.checkout("order 1", TOTAL)
    assert slip.lines[:3] == ("SALE", "amount  12.34 CNY", "card    622999******0012")
    assert [line.split()[0] for line in slip.lines[3:]] == ["STAN", "RRN", "auth", "APPROVED"]


@pytest.mark.parametrize("name", ["everyday", "no-pin", "long", "lost"])
@pytest.mark.parametrize("is_answered", [True, False])
def test_no_slip_shows_a_card_number(
    counter: Counter, memory_link: MemoryLink, name: str, *, is_answered: bool
) -> None:
    counter.present(name)
    if not is_answered:
        memory_link.lose_answer()
    slip = str(counter.till.checkout("order 1", TOTAL))
    assert CARDS[name].pan.masked in slip
    assert CARDS[name].pan.reveal() not in slip


@pytest.mark.parametrize(
    ("name", "code"), [("lost", "41"), ("expired", "54"), ("poor", "51")], ids=["lost", "expired", "poor"]
)
def test_a_card_the_issuer_refuses(counter: Counter, name: str, code: str) -> None:
    counter.present(name)
    slip = counter.till.checkout("order 1", TOTAL)
    assert f"DECLINED {code}" in slip.lines


def test_a_wrong_pin_is_declined_and_the_right_one_accepted(counter: Counter) -> None:
    counter.pad.typed = "999999"
    assert "DECLINED 55" in counter.till.checkout("order 1", TOTAL).lines
    counter.pad.typed = CARDS["everyday"].pin
    assert counter.till.checkout("order 2", TOTAL).paid


def test_the_cardholder_sees_the_amount_on_the_pad(counter: Counter) -> None:
    counter.till.checkout("order 1", TOTAL)
    counter.till.balance()
    assert counter.pad.displayed == ["12.34 CNY", "balance"]


def test_the_slip_of_a_void_has_the_amount_of_the_sale(counter: Counter, books_agree: Callable[[], bool]) -> None:
    counter.sell("order 1")
    assert "amount  12.34 CNY" in counter.till.cancel("order 1").lines
    assert books_agree()
