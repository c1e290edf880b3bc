from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind, OriginalRef
from simulators.acquirer import Fate
from simulators.cards import CARDS
from simulators.ledger import AccountType, Standing, merchant_account
from tests.support.host_client import HEADER, MID, TPDU, Bench, HostClient

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

HEAD = TPDU.encode() + bytes.fromhex(HEADER)
TIDS = ("T0000001", "T0000002")
NAMES = ("everyday", "poor", "no-pin")


class Step(NamedTuple):
    """One thing a terminal does: `stan` is new, or one that was used."""

    kind: Kind
    terminal: int
    stan: int
    amount: int
    card: str
    pin: str | None


STANS = st.integers(1, 6)
# Amounts around what the cards hold, and all amounts that set something off.
AMOUNTS = st.integers(0, 120) | st.sampled_from([905, 951, 960, 977, 991, 994, 995, 996, 997, 10_000_000])
STEPS = st.builds(
    Step,
    kind=st.sampled_from([Kind.SALE, Kind.REFUND, Kind.REVERSAL]),
    terminal=st.integers(0, 1),
    stan=STANS,
    amount=AMOUNTS,
    card=st.sampled_from(NAMES),
    pin=st.sampled_from(["123456", "123456", "111111", None]),
)


def compose(step: Step, client: HostClient, bench: Bench) -> Message:
    """Turn a step into a request, with a sale that exists as its original where there is one."""
    stan, card = f"{step.stan:06d}", CARDS[step.card]
    sale = client.sale(step.amount, card, pin=step.pin, stan=stan)
    if step.kind is Kind.REVERSAL:
        return client.reversal(sale)
    if step.kind is Kind.SALE:
        return sale
    sales = [booked for booked in bench.acquirer.ledger.transactions if booked.kind is Kind.SALE]
    found = sales[step.amount % len(sales)] if sales else None
    original = (
        OriginalRef(found.key.batch, found.key.stan, found.date, found.rrn)
        if found is not None
        else OriginalRef("000001", "000001", "0000")
    )
    return client.refund(step.amount, original, card, stan=stan)


@given(st.lists(STEPS, max_size=40), st.booleans())
def test_whatever_terminals_do_money_is_neither_made_nor_lost(steps: list[Step], remembers: bool) -> None:  # noqa: FBT001 - drawn
    bench = Bench(remembers=remembers)
    clients = [bench.signed_on(tid) for tid in TIDS]
    ledger = bench.acquirer.ledger
    for step in steps:
        client = clients[step.terminal]
        before = dict(ledger.balances())
        answer = client.send(compose(step, client, bench))
        event = bench.replies[-1].event
        assert (answer is None) == (bench.replies[-1].fate is not Fate.SEND)
        moved = ledger.balance(merchant_account(MID)) - before.get(merchant_account(MID), 0)
        assert moved == event.effect_minor
        assert sum(ledger.balances().values()) == 0
        assert all(balance >= 0 for account, balance in ledger.balances().items() if account.type is AccountType.CARD)
    for booked in ledger.transactions:
        sign = 1 if booked.kind is Kind.SALE else -1
        standing = sign * booked.amount_minor if booked.standing is Standing.APPROVED else 0
        assert ledger.effects_of(*booked.key) == standing
        assert ledger.refunded(booked.key) <= booked.amount_minor
        if booked.standing is Standing.REVERSED:
            assert ledger.refunded(booked.key) == 0
    effects = sum(ledger.effects_of(*booked.key) for booked in ledger.transactions)
    assert effects == ledger.balance(merchant_account(MID))


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_out_of_the_host(data: bytes, headed: bool) -> None:  # noqa: FBT001 - drawn
    bench = Bench()
    payload = HEAD + data if headed else data
    reply = bench.acquirer.handle(payload, ManualClock().now())
    assert (reply.data is None) == (reply.fate is not Fate.SEND)


@given(st.data())
def test_no_change_to_a_request_raises_or_books_more_than_the_request(data: st.DataObject) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    requests = [sale, client.reversal(sale), client.refund(10, OriginalRef("000001", sale[11], "0000"))]
    payload = bytearray(client.payload(data.draw(st.sampled_from(requests))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1))
        action = data.draw(st.sampled_from(["change", "cut", "double", "drop"]))
        if action == "change":
            payload[place] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del payload[max(place, 1) :]
        elif action == "double":
            payload[place:place] = payload[place : place + 8]
        elif len(payload) > 1:
            del payload[place]
    bench.exchange(bytes(payload))
    # The linear MAC lets some changes pass; what it lets pass is still balanced and still one transaction.
    ledger = bench.acquirer.ledger
    assert sum(ledger.balances().values()) == 0
    assert len(ledger.transactions) <= 1
