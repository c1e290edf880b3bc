from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.base import Kind
from pos_engine.errors import UsageError
from simulators.ledger import (
    FUNDS,
    Booked,
    Entry,
    Key,
    Ledger,
    Posting,
    Standing,
    card_account,
    merchant_account,
    transfer,
)

KEY = Key("T0000001", "000001", "000001")
CARD, SHOP = card_account("everyday"), merchant_account("M1")
SALE = Booked(
    key=KEY,
    kind=Kind.SALE,
    merchant="M1",
    card="everyday",
    amount_minor=500,
    rrn="010100000001",
    date="0101",
    code="00",
    standing=Standing.APPROVED,
)


def books() -> Ledger:
    ledger = Ledger()
    ledger.open_account(CARD, 1_000)
    return ledger


def test_an_opening_balance_comes_from_the_issuers_funds() -> None:
    ledger = books()
    assert ledger.balances() == {FUNDS: -1_000, CARD: 1_000}
    with pytest.raises(UsageError, match="card/everyday is open already"):
        ledger.open_account(CARD, 1)


def test_an_entry_must_balance() -> None:
    with pytest.raises(UsageError, match="sum to zero"):
        Entry((Posting(CARD, -1), Posting(SHOP, 2)))


def test_a_transfer_moves_money_and_leaves_an_effect_under_its_key() -> None:
    ledger = books()
    ledger.post(transfer(CARD, SHOP, 500, key=KEY, kind=Kind.SALE))
    assert (ledger.balance(CARD), ledger.balance(SHOP), ledger.effects_of(*KEY)) == (500, 500, 500)
    ledger.post(transfer(SHOP, CARD, 500, key=KEY, kind=Kind.REVERSAL))
    assert (ledger.balance(CARD), ledger.balance(SHOP), ledger.effects_of(*KEY)) == (1_000, 0, 0)
    assert [entry.kind for entry in ledger.entries] == [None, Kind.SALE, Kind.REVERSAL]


def test_what_was_never_used_holds_nothing() -> None:
    ledger = Ledger()
    assert (ledger.balance(CARD), ledger.effects_of(*KEY), ledger.refunded(KEY)) == (0, 0, 0)
    assert (ledger.find(KEY), ledger.find_rrn("0"), ledger.balances()) == (None, None, {})


def test_a_transaction_is_found_by_key_and_by_reference_and_filed_once() -> None:
    ledger = books()
    ledger.record(SALE)
    assert ledger.find(KEY) == ledger.find_rrn(SALE.rrn) == SALE
    other_key = dataclasses.replace(SALE, key=Key("T0000001", "000001", "000002"))
    for again in (dataclasses.replace(SALE, rrn="010100000002"), other_key):
        with pytest.raises(UsageError, match="filed already"):
            ledger.record(again)
    assert ledger.transactions == (SALE,)


def test_only_what_stands_approved_can_be_marked_reversed() -> None:
    ledger = books()
    with pytest.raises(UsageError, match="does not stand approved"):
        ledger.mark_reversed(KEY)
    ledger.record(SALE)
    ledger.mark_reversed(KEY)
    assert ledger.transactions[0].standing is Standing.REVERSED
    with pytest.raises(UsageError, match="does not stand approved"):
        ledger.mark_reversed(KEY)


def test_only_approved_refunds_count_against_their_sale() -> None:
    ledger = books()
    for number, standing in enumerate((Standing.APPROVED, Standing.DECLINED, Standing.APPROVED), 2):
        stan, rrn = f"{number:06d}", f"{number:012d}"
        refund = dataclasses.replace(SALE, kind=Kind.REFUND, amount_minor=number, standing=standing, original=KEY)
        ledger.record(dataclasses.replace(refund, key=Key("T0000001", "000001", stan), rrn=rrn))
    assert ledger.refunded(KEY) == 2 + 4


def test_a_copy_has_a_life_of_its_own() -> None:
    ledger = books()
    ledger.record(SALE)
    twin = ledger.copy()
    ledger.post(transfer(CARD, SHOP, 500, key=KEY, kind=Kind.SALE))
    ledger.mark_reversed(KEY)
    assert (twin.balance(CARD), twin.effects_of(*KEY), twin.find(KEY)) == (1_000, 0, SALE)
    assert (len(twin.entries), twin.find_rrn(SALE.rrn), twin.refunded(KEY)) == (1, SALE, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 10**12))))
def test_no_transfer_makes_or_destroys_money(moves: list[tuple[int, int, int]]) -> None:
    ledger, accounts = Ledger(), [card_account("a"), card_account("b"), merchant_account("c"), FUNDS]
    for source, target, amount in moves:
        ledger.post(transfer(accounts[source], accounts[target], amount, key=KEY, kind=Kind.SALE))
    assert sum(ledger.balances().values()) == 0
