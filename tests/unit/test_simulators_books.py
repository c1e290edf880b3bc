"""What the ledger knows beside entries: holds, batches, moments to go back to, and the story of a trace number."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.base import Kind
from pos_engine.errors import UsageError
from simulators.acquirer import What
from simulators.cards import CARDS
from simulators.ledger import (
    Booked,
    HoldState,
    Key,
    Ledger,
    Standing,
    Sum,
    card_account,
    merchant_account,
    state,
)
from simulators.ledger.text import TYPES, dump, load
from tests.support.host_client import MID, TID, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from simulators.ledger import Change

FIRST, SECOND = Key(TID, "000001", "000001"), Key(TID, "000001", "000002")
CARD, SHOP = card_account("everyday"), merchant_account(MID)


def books() -> Ledger:
    ledger = Ledger()
    ledger.open_account(CARD, 1_000)
    return ledger


def a_busy_host() -> Bench:
    """A host on which everything has happened once."""
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    client.ask(client.void(1_000, client.original(sale, answer)))
    client.ask(client.reversal(client.sale(5)))
    client.ask(client.sale(1_500, CARDS["gift"], pin=None, partial=True))
    ledger = bench.acquirer.ledger
    ledger.place_hold(Key(TID, "000001", "000800"), "no-pin", MID, 500)
    undone = client.sale(700)
    assert [client.ask(undone), client.ask(client.reversal(undone))] == ["00", "00"]
    client.ask(client.sale(1_000, pin="111111"))
    ledger.close_batch(TID)
    return bench


# Holds.


def test_a_hold_takes_nothing_but_what_can_be_spent() -> None:
    ledger = books()
    hold = ledger.place_hold(FIRST, "everyday", MID, 600)
    assert (ledger.balance(CARD), ledger.available(CARD)) == (1_000, 400)
    assert ledger.find_hold(FIRST) == hold == ledger.holds[0]
    assert ledger.release_hold(FIRST).state is HoldState.RELEASED
    assert ledger.available(CARD) == 1_000
    assert ledger.find_hold(SECOND) is None


def test_a_capture_moves_the_money_and_lets_the_rest_of_the_hold_go() -> None:
    ledger = books()
    ledger.place_hold(FIRST, "everyday", MID, 600)
    entry = ledger.capture_hold(FIRST, 450, by=SECOND, kind=Kind.SALE)
    assert (entry.moved(), ledger.effects_of(*SECOND), ledger.effects_of(*FIRST)) == (450, 450, 0)
    assert (ledger.balance(CARD), ledger.available(CARD), ledger.balance(SHOP)) == (550, 550, 450)
    assert ledger.reopen_hold(FIRST).state is HoldState.OPEN
    assert ledger.available(CARD) == -50
    assert sum(ledger.balances().values()) == 0


def test_a_hold_is_placed_once_and_ends_once() -> None:
    ledger = books()
    with pytest.raises(UsageError, match="holds nothing"):
        ledger.place_hold(FIRST, "everyday", MID, 0)
    ledger.place_hold(FIRST, "everyday", MID, 600)
    with pytest.raises(UsageError, match="has a hold already"):
        ledger.place_hold(FIRST, "everyday", MID, 1)
    with pytest.raises(UsageError, match="no hold that has ended"):
        ledger.reopen_hold(FIRST)
    ledger.release_hold(FIRST)
    for again in (ledger.release_hold, lambda key: ledger.capture_hold(key, 1, by=SECOND, kind=Kind.SALE)):
        with pytest.raises(UsageError, match="no open hold"):
            again(FIRST)
    with pytest.raises(UsageError, match="no hold that has ended"):
        ledger.reopen_hold(SECOND)


STEPS = st.lists(
    st.tuples(st.sampled_from(["place", "release", "capture", "reopen"]), st.integers(1, 4), st.integers(1, 50))
)


@given(STEPS)
def test_whatever_happens_to_holds_money_is_conserved_and_what_is_held_cannot_be_spent(
    steps: list[tuple[str, int, int]],
) -> None:
    ledger = books()
    for number, (step, place, amount) in enumerate(steps):
        key = Key(TID, "000001", f"{place:06d}")
        by = Key(TID, "000002", f"{number:06d}")
        actions: dict[str, Callable[[], object]] = {
            "place": partial(ledger.place_hold, key, "everyday", MID, amount),
            "release": partial(ledger.release_hold, key),
            "capture": partial(ledger.capture_hold, key, amount, by=by, kind=Kind.SALE),
            "reopen": partial(ledger.reopen_hold, key),
        }
        before = ledger.snapshot()
        try:
            actions[step]()
        except UsageError:
            assert ledger.snapshot() == before
        held = sum(hold.amount_minor for hold in ledger.holds if hold.state is HoldState.OPEN)
        assert ledger.available(CARD) == ledger.balance(CARD) - held
        assert sum(ledger.balances().values()) == 0
    assert Ledger(ledger.changes).balances() == ledger.balances()


# Refunds.


def test_a_refund_that_is_reversed_gives_nothing_back() -> None:
    ledger = books()
    sale = Booked(FIRST, Kind.SALE, MID, "everyday", 500, "010100000001", "0101", "00", Standing.APPROVED)
    ledger.record(sale)
    for stan, amount in (("000002", 200), ("000003", 300)):
        key, rrn = Key(TID, "000001", stan), f"010100{stan}"
        refund = dataclasses.replace(sale, key=key, kind=Kind.REFUND, amount_minor=amount, rrn=rrn, original=FIRST)
        ledger.record(refund)
    ledger.mark_reversed(SECOND)
    assert ledger.refunded(FIRST) == 300
    assert ledger.totals(TID, "000001").credit == Sum(1, 300)


# Batches.


def test_a_batch_counts_as_settlement_does() -> None:
    bench = Bench()
    client = bench.signed_on()
    answers = []
    for amount in (1_000, 2_000, 3_000, 4_000):
        sale = client.sale(amount)
        answer = client.send(sale)
        assert answer is not None
        answers.append((sale, client.original(sale, answer)))
    client.ask(client.sale(500, pin="111111"))
    client.ask(client.reversal(answers[0][0]))
    void = client.void(2_000, answers[1][1])
    client.ask(void)
    client.ask(client.refund(300, answers[2][1]))
    ledger = bench.acquirer.ledger
    totals = ledger.totals(TID, "000001")
    assert (totals.debit, totals.credit) == (Sum(3, 9_000), Sum(2, 2_300))
    assert totals.by_kind == {Kind.SALE: Sum(3, 9_000), Kind.VOID: Sum(1, 2_000), Kind.REFUND: Sum(1, 300)}
    assert totals.debit.amount_minor - totals.credit.amount_minor == ledger.balance(SHOP)
    client.ask(client.reversal(void))
    assert ledger.totals(TID, "000001").credit == Sum(1, 300)
    assert ledger.totals(TID, "000002").by_kind == {}


def test_batches_follow_each_other_and_come_round() -> None:
    ledger = Ledger()
    assert (ledger.batch(TID), ledger.close_batch(TID), ledger.batch(TID)) == ("000001", "000002", "000002")
    assert ledger.batch("T0000002") == "000001"
    wrapping = Ledger([load('["batch", {"terminal": "T0000001", "number": "999998"}]')])
    assert wrapping.close_batch(TID) == "000001"


# Moments.


def test_the_books_go_back_to_a_moment_as_if_what_came_after_had_never_been() -> None:
    bench = a_busy_host()
    ledger = bench.acquirer.ledger
    moment = ledger.snapshot()
    before = (ledger.changes, ledger.balances(), ledger.transactions, ledger.holds, ledger.totals(TID, "000001"))
    client = bench.signed_on()
    sale = client.sale(700, stan="000700")
    assert client.ask(sale) == "00"
    assert ledger.snapshot() != moment
    ledger.restore(moment)
    assert ledger.snapshot() == moment
    assert hash(ledger.snapshot()) == hash(moment)
    assert (
        ledger.changes,
        ledger.balances(),
        ledger.transactions,
        ledger.holds,
        ledger.totals(TID, "000001"),
    ) == before
    assert client.ask(client.reversal(sale)) == "25"
    ledger.restore(moment)
    assert client.ask(sale) == "00"


def test_the_changes_alone_make_the_same_books() -> None:
    ledger = a_busy_host().acquirer.ledger
    twin = Ledger(ledger.changes)
    assert (twin.balances(), twin.transactions, twin.holds) == (ledger.balances(), ledger.transactions, ledger.holds)
    for booked in ledger.transactions:
        assert twin.story(*booked.key) == ledger.story(*booked.key)
        assert twin.refunded(booked.key) == ledger.refunded(booked.key)
        assert twin.voided_by(booked.key) == ledger.voided_by(booked.key)
    assert twin.wrong_pins("everyday") == ledger.wrong_pins("everyday") == 1
    assert twin.batch(TID) == "000002"
    assert twin.next_rrn(ledger_at(ledger)) not in {booked.rrn for booked in ledger.transactions}


def ledger_at(ledger: Ledger) -> datetime:
    """The time of the last message."""
    return ledger.story(*ledger.transactions[0].key).messages[0].at


@dataclasses.dataclass
class Notebook:
    """A follower that keeps everything in memory."""

    kept: list[Change] = dataclasses.field(default_factory=list)

    def rewind(self, count: int) -> None:
        """Forget."""
        del self.kept[count:]

    def append(self, changes: Sequence[Change]) -> None:
        """Keep."""
        self.kept += changes


def test_who_follows_knows_what_the_books_know_after_every_request() -> None:
    bench = Bench()
    ledger, early, late = bench.acquirer.ledger, Notebook(), Notebook()
    ledger.follow(early)
    client = bench.signed_on()
    assert tuple(early.kept) == ledger.changes
    moment = ledger.snapshot()
    client.ask(client.sale(1_000))
    ledger.follow(late)
    client.ask(client.sale(2_000))
    assert tuple(early.kept) == tuple(late.kept) == ledger.changes
    ledger.restore(moment)
    assert tuple(early.kept) == tuple(late.kept) == ledger.changes
    other = books()
    ledger.restore(other.snapshot())
    assert tuple(early.kept) == tuple(late.kept) == other.changes


def test_a_host_that_forgets_everything_begins_anew() -> None:
    bench = a_busy_host()
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(sale) == "00"
    bench.acquirer.forget_everything()
    assert client.ask(client.reversal(sale)) == "77"
    client.sign_on()
    assert client.batch == "000001"
    assert client.ask(client.reversal(sale)) == "25"
    assert client.ask(client.sale(10_000_000)) == "00"


# Stories.


def test_a_story_tells_every_message_in_order_and_what_they_come_to() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_996)
    client.send(sale)
    client.ask(client.reversal(sale))
    client.ask(client.reversal(sale))
    story = bench.acquirer.ledger.story(TID, "000001", sale[11])
    assert [
        (line.mti, line.kind, line.what, line.code, line.effect_minor, line.answered) for line in story.messages
    ] == [
        ("0200", Kind.SALE, What.APPROVED, "00", 1_996, False),
        ("0400", Kind.REVERSAL, What.REVERSED, "00", -1_996, True),
        ("0400", Kind.REVERSAL, What.REVERSED_BEFORE, "00", 0, True),
    ]
    assert (story.net_effect_minor, story.standing, story.complete) == (0, Standing.REVERSED, True)
    assert story.summary.en == (
        "sale: approved 00, not answered; reversal: took it back 00; "
        "reversal: came again, taken back before 00; no money has moved"
    )
    assert "已批准 00, 未应答" in story.summary.zh


def test_a_story_names_what_others_did_to_it() -> None:
    bench = Bench()
    client = bench.signed_on()
    stans = []
    for act in (client.void, client.refund):
        sale = client.sale(1_000)
        answer = client.send(sale)
        assert answer is not None
        client.ask(act(1_000, client.original(sale, answer)))
        stans.append(sale[11])
    ledger = bench.acquirer.ledger
    voided, refunded = (ledger.story(TID, "000001", stan) for stan in stans)
    assert voided.summary.en.endswith("the merchant has 10.00 CNY of it; voided by STAN 000003")
    assert refunded.summary.en.endswith("refunds have given back 10.00 CNY")
    assert (voided.voided_by, refunded.refunded_minor) == (Key(TID, "000001", "000003"), 1_000)
    assert "the card has 10.00 CNY of it" in ledger.story(TID, "000001", "000003").summary.en


def test_a_trace_number_nobody_used_has_a_story_too() -> None:
    story = Ledger().story(TID, "000001", "000009")
    assert (story.messages, story.standing, story.net_effect_minor) == ((), None, 0)
    assert story.summary.en == "no message came under this trace number; no money has moved"
    assert story.summary.zh


def test_what_a_stranger_tried_is_told_but_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "UNPROVEN_LINES_MAX", 3)
    bench = Bench()
    stranger = bench.client("T0000009")
    for stan in range(1, 6):
        stranger.send(stranger.sale(1_000, stan=f"{stan:06d}"))
    ledger = bench.acquirer.ledger
    told = [len(ledger.story("T0000009", "000001", f"{stan:06d}").messages) for stan in range(1, 6)]
    assert told == [1, 1, 1, 0, 0]
    assert ledger.story("T0000009", "000001", "000001").summary.en == "sale: refused 77; no money has moved"


def test_a_request_that_comes_for_ever_is_told_so_often_and_not_more() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    for _ in range(state.LINES_PER_STAN_MAX + 5):
        client.ask(sale)
    story = bench.acquirer.ledger.story(TID, "000001", sale[11])
    assert (len(story.messages), story.complete) == (state.LINES_PER_STAN_MAX, False)
    assert story.net_effect_minor == 1_000


@pytest.mark.parametrize("what", What)
def test_every_thing_that_can_happen_has_words(what: What) -> None:
    bench = a_busy_host()
    line = bench.acquirer.ledger.story(TID, "000001", "000002").messages[0]
    for kind in (*Kind, None):
        ledger = Ledger([dataclasses.replace(line, what=what, kind=kind)])
        summary = ledger.story(*line.key).summary
        assert summary.en
        assert summary.zh


# Changes as text.


def test_every_change_comes_back_from_its_line() -> None:
    ledger = a_busy_host().acquirer.ledger
    changes = ledger.changes
    assert {type(change) for change in changes} == set(TYPES.values())
    assert tuple(load(dump(change)) for change in changes) == changes
    assert all(dump(change).isascii() for change in changes)
    everything = "".join(map(dump, changes))
    assert not any(card.pan.reveal() in everything for card in CARDS.values())


SOUND = dump(books().changes[0])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "null",
        '["entry"]',
        '["entry", {}]',
        '["nothing", {}]',
        '["batch", []]',
        '["batch", {"terminal": 1, "number": "000002"}]',
        '["batch", {"terminal": "T", "number": "000002", "more": "x"}]',
        '["entry", {"postings": [["card", "everyday", 1]], "key": null, "kind": null}]',
        '["entry", {"postings": [["card", "everyday", true], ["card", "everyday", -1]], "key": null, "kind": null}]',
        '["entry", {"postings": [["purse", "everyday", 0]], "key": null, "kind": null}]',
        '["entry", {"postings": [["card", 1, 0]], "key": null, "kind": null}]',
        '["reversed", {"key": ["a", "b"]}]',
        '["reversed", {"key": ["a", "b", 1]}]',
        '["handled", {"key": ["a", "b", "c"], "at": "2026-01-01", "what": "lost", "answered": 1}]',
        '["pin-tries", {"card": "everyday", "wrong": "1"}]',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_change_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="is not a change of a ledger") as caught:
        load(line)
    assert caught.value.__context__ is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["key", "kind", "postings", "at", "what"]), inner)
        ),
    ),
    st.sampled_from(sorted(TYPES)),
)
def test_no_line_raises_anything_else(content: object, name: str) -> None:
    for line in (json.dumps([name, content]), json.dumps(content), SOUND.replace("everyday", str(content))):
        try:
            load(line)
        except UsageError:
            continue


def test_changes_that_contradict_each_other_open_no_books() -> None:
    ledger = a_busy_host().acquirer.ledger
    with pytest.raises(UsageError, match="filed already"):
        Ledger((*ledger.changes, *ledger.changes))
    with pytest.raises(UsageError, match="does not stand approved"):
        Ledger([load('["reversed", {"key": ["a", "b", "c"]}]')])
