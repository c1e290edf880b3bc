from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind, OriginalRef
from simulators.acquirer import Fate, What
from simulators.cards import CARDS
from simulators.ledger import AccountType, Key, Ledger, Standing, merchant_account
from simulators.ledger.text import dump, load
from tests.support.host_client import HEADER, MID, TPDU, Bench, HostClient

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

HEAD = TPDU.encode() + bytes.fromhex(HEADER)
TIDS = ("T0000001", "T0000002")
NAMES = ("everyday", "poor", "no-pin", "gift")


class Step(NamedTuple):
    """One thing a terminal does: `stan` is new, or one that was used."""

    kind: Kind
    terminal: int
    stan: int
    amount: int
    card: str
    pin: str | None
    partial: bool


STANS = st.integers(1, 6)
# Amounts around what the cards hold, and all amounts that set something off.
AMOUNTS = st.integers(0, 120) | st.sampled_from([905, 910, 951, 960, 977, 991, 994, 995, 996, 997, 1_500, 10_000_000])
STEPS = st.builds(
    Step,
    kind=st.sampled_from([Kind.SALE, Kind.VOID, Kind.REFUND, Kind.REVERSAL, Kind.BALANCE]),
    terminal=st.integers(0, 1),
    stan=STANS,
    amount=AMOUNTS,
    card=st.sampled_from(NAMES),
    pin=st.sampled_from(["123456", "123456", "111111", None]),
    partial=st.booleans(),
)


def compose(step: Step, client: HostClient, bench: Bench) -> Message:
    """Turn a step into a request, with a sale that exists as its original where there is one."""
    stan, card = f"{step.stan:06d}", CARDS[step.card]
    sale = client.sale(step.amount, card, pin=step.pin, stan=stan, partial=step.partial)
    if step.kind is Kind.REVERSAL:
        return client.reversal(booked_request(client, bench, stan) or sale)
    if step.kind is Kind.SALE:
        return sale
    if step.kind is Kind.BALANCE:
        return client.balance(card, pin=step.pin, stan=stan)
    sales = [booked for booked in bench.acquirer.ledger.transactions if booked.kind is Kind.SALE]
    found = sales[step.amount % len(sales)] if sales else None
    original = (
        OriginalRef(found.key.batch, found.key.stan, found.date, found.rrn)
        if found is not None
        else OriginalRef("000001", "000001", "0000")
    )
    if step.kind is Kind.VOID:
        whole = found.amount_minor if found is not None and step.partial else step.amount
        return client.void(whole, original, CARDS[found.card] if found is not None and found.card else None, stan=stan)
    return client.refund(step.amount, original, card, stan=stan)


def booked_request(client: HostClient, bench: Bench, stan: str) -> Message | None:
    """Compose again what was booked under a trace number, as its reversal is made of it."""
    booked = bench.acquirer.ledger.find(Key(client.identity.terminal, client.batch, stan))
    if booked is None or booked.kind is Kind.REFUND or not booked.card:
        return None
    if booked.kind is Kind.SALE:
        return client.sale(booked.asked_minor, CARDS[booked.card], stan=stan)
    return client.void(booked.amount_minor, OriginalRef(client.batch, "000001", "0000"), CARDS[booked.card], stan=stan)


@given(st.lists(STEPS, max_size=40), st.booleans())
def test_whatever_terminals_do_money_is_neither_made_nor_lost(steps: list[Step], remembers: bool) -> None:  # noqa: FBT001 - drawn
    bench = Bench(remembers=remembers)
    clients = [bench.signed_on(tid) for tid in TIDS]
    ledger = bench.acquirer.ledger
    unvoided = 0
    for step in steps:
        client = clients[step.terminal]
        before = dict(ledger.balances())
        answer = client.send(compose(step, client, bench))
        event = bench.replies[-1].event
        assert (answer is None) == (bench.replies[-1].fate is not Fate.SEND)
        moved = ledger.balance(merchant_account(MID)) - before.get(merchant_account(MID), 0)
        assert moved == event.effect_minor
        assert sum(ledger.balances().values()) == 0
        # Only the reversal of a void takes from a card without asking what it has.
        unvoided += event.effect_minor if event.what is What.REVERSED and event.effect_minor > 0 else 0
        cards = [balance for account, balance in ledger.balances().items() if account.type is AccountType.CARD]
        assert all(balance >= -unvoided for balance in cards)
    check(ledger)


def check(ledger: Ledger) -> None:
    """Hold the transactions against the entries, the totals and the stories."""
    for booked in ledger.transactions:
        standing = booked.amount_minor if booked.standing is Standing.APPROVED else 0
        assert ledger.effects_of(*booked.key) == (standing if booked.is_debit else -standing)
        assert ledger.refunded(booked.key) <= booked.amount_minor <= booked.asked_minor
        voided = ledger.voided_by(booked.key) is not None
        assert not (voided and ledger.refunded(booked.key))
        if booked.standing is Standing.REVERSED:
            assert ledger.refunded(booked.key) == 0
            assert not voided
        story = ledger.story(*booked.key)
        assert story.net_effect_minor == sum(line.effect_minor for line in story.messages)
    effects = sum(ledger.effects_of(*booked.key) for booked in ledger.transactions)
    assert effects == ledger.balance(merchant_account(MID))
    totals = [ledger.totals(tid, "000001") for tid in TIDS]
    assert sum(each.debit.amount_minor - each.credit.amount_minor for each in totals) == effects
    twin = Ledger(map(load, map(dump, ledger.changes)))
    assert (twin.balances(), twin.transactions) == (ledger.balances(), ledger.transactions)


@given(st.lists(STEPS, max_size=15), st.lists(STEPS, max_size=15))
def test_books_that_went_back_decide_as_if_nothing_had_come_after(first: list[Step], second: list[Step]) -> None:
    bench = Bench()
    clients = [bench.signed_on(tid) for tid in TIDS]
    ledger = bench.acquirer.ledger

    def play(steps: list[Step]) -> list[str | None]:
        answers = [clients[step.terminal].send(compose(step, clients[step.terminal], bench)) for step in steps]
        return [None if answer is None else answer[39] for answer in answers]

    play(first)
    moment = ledger.snapshot()
    once = play(second), ledger.balances(), ledger.changes
    ledger.restore(moment)
    assert ledger.snapshot() == moment
    assert (play(second), ledger.balances(), ledger.changes) == once
    check(ledger)


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
    original = OriginalRef("000001", sale[11], "0000")
    unproven = [client.sign_off(), client.echo(), client.status()]
    requests = [
        sale,
        client.reversal(sale),
        client.refund(10, original),
        client.void(1_000, original),
        client.balance(),
        *unproven,
    ]
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
