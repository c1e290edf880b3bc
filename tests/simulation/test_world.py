"""The world: what it repeats, what it may show, and that it sees what must not be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, NotSent
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.journal.memory import MemoryJournal
from pos_engine.values import Amount
from simulators.acquirer.reversals import effect
from simulators.cards import CARDS
from simulators.invariants import judge
from simulators.scenario import Action, Do
from simulators.world import World
from simulators.world.disk import Ailment, DiskFault
from simulators.world.life import RandomLife
from simulators.world.mishaps import Break, Deed, Follows, Mishap, Passage

TELL = "import sys; from simulators.prove.lives import LIVES; sys.stdout.write(LIVES.repeat('seed 20903', 0))"


def sell(world: World, key: str = "key", fen: int = 1_200) -> object:
    amount = Amount(fen)
    return world.call("sale", lambda terminal: terminal.sale(amount, key=key), amount_minor=fen, key=key)


def violations(world: World) -> set[str]:
    rests = world.settle()
    return {each.invariant for each in judge(world.life(at_rest=rests))} | set(world.faults)


def told(seed: int, hash_seed: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", TELL.replace("20903", str(seed))],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


@pytest.mark.parametrize("seed", [7, 20903, 2748])
def test_the_same_seed_is_the_same_history_byte_for_byte_in_any_process(seed: int) -> None:
    life = RandomLife(seed, tells=True)
    life.live()
    assert life.world.history().count("\n") > 50
    assert told(seed, "1") == told(seed, "2") == life.world.history()


@pytest.mark.parametrize("seed", range(3))
def test_what_happens_does_not_depend_on_whether_it_is_told(seed: int) -> None:
    lives = [RandomLife(seed, tells=tells) for tells in (False, True)]
    for life in lives:
        life.live()
    assert lives[0].world.chronicle.seen == lives[1].world.chronicle.seen
    assert lives[0].world.history() == ""


def test_no_history_shows_a_card_or_a_pin() -> None:
    text = ""
    for seed in range(30):
        life = RandomLife(seed, tells=True)
        life.live()
        text += life.world.history()
    assert "622999******" in text
    for card in CARDS.values():
        assert card.pan.reveal() not in text
        assert card.track2.reveal() not in text
        assert card.expiry + "2010" not in text


@pytest.mark.parametrize(
    ("mishap", "outcome"),
    [
        (Mishap(request=Passage(lost=True)), InDoubt),
        (Mishap(answer=Passage(lost=True)), InDoubt),
        (Mishap(answer=Passage(delay_s=59.0)), Approved),
        (Mishap(answer=Passage(delay_s=61.0, follows=Follows.BEHIND)), InDoubt),
        (Mishap(answer=Passage(strays=True, follows=Follows.FIRST)), InDoubt),
        (Mishap(answer=Passage(copies=3)), Approved),
        (Mishap(answer=Passage(again=Follows.FIRST)), Approved),
        (Mishap(request=Passage(at=0)), NotSent),
        (Mishap(request=Passage(at=9, breaks=Break.RST)), InDoubt),
        (Mishap(request=Passage(at=9, breaks=Break.STALL)), InDoubt),
        (Mishap(request=Passage(at=9, breaks=Break.RESUME)), InDoubt),
        (Mishap(request=Passage(at=0, breaks=Break.DUPLICATE)), Approved),
        (Mishap(answer=Passage(at=9, breaks=Break.FIN)), InDoubt),
        (Mishap(answer=Passage(at=9, breaks=Break.RESUME)), InDoubt),
        (Mishap(answer=Passage(flips=400)), InDoubt),
        (Mishap(half_open=True), InDoubt),
        (Mishap(deed=Deed.DIE), InDoubt),
        (Mishap(deed=Deed.TAKE_BACK), InDoubt),
        (Mishap(actions=(Action(do=Do.DECLINE, code="51"),)), Declined),
        (Mishap(actions=(Action(do=Do.WRONG_MAC),)), InDoubt),
    ],
    ids=str,
)
def test_every_mishap_is_what_it_says_and_ends_well(mishap: Mishap, outcome: type) -> None:
    world = World("mishaps")
    world.call("sign-on", lambda terminal: terminal.sign_on())
    world.line.mishaps.append(mishap)
    assert isinstance(sell(world), outcome)
    assert isinstance(sell(world, "next"), Approved | NotSent)
    assert violations(world) == set()


def test_an_answer_that_strays_comes_while_its_reversal_waits_for_one() -> None:
    world = World("strays")
    world.call("sign-on", lambda terminal: terminal.sign_on())
    world.line.mishaps.append(Mishap(answer=Passage(strays=True, follows=Follows.BEHIND)))
    sell(world)
    world.call("tick", lambda terminal: terminal.tick())
    assert world.chronicle.counts["an old answer comes before the new one"] == 1
    assert any(form.late is not None for form in map(world.disk.contents.find, range(1, 4)) if form is not None)
    assert violations(world) == set()


def test_power_goes_at_the_chosen_moment_and_the_journal_is_what_it_was() -> None:
    world = World("power")
    world.call("sign-on", lambda terminal: terminal.sign_on())
    world.power.left = 5
    assert sell(world) is None
    assert world.chronicle.counts == {"power cut after Save": 1}
    assert world.clock.now().boot == "boot-2"
    assert world.disk.contents.find_key("key") is not None
    assert violations(world) == set()


@pytest.mark.parametrize("ailment", list(Ailment))
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("saves", [0, 1, 2])
def test_a_save_that_fails_may_have_kept_its_form_or_not(ailment: Ailment, *, kept: bool, saves: int) -> None:
    world = World("disk")
    world.call("sign-on", lambda terminal: terminal.sign_on())
    world.disk.faults.extend([*[None] * saves, DiskFault(ailment, kept)])
    failed = isinstance(sell(world), JournalFault)
    assert failed == (saves < 2)
    assert violations(world) == set()


def test_a_host_that_books_twice_is_seen() -> None:
    world = World("twice")
    sell(world)
    ledger = world.host.acquirer.ledger
    booked = ledger.transactions[0]
    ledger.post(effect(booked, booked.kind))
    assert violations(world) == {"I3"}


def test_an_approval_that_the_host_takes_back_is_seen() -> None:
    world = World("back")
    sell(world)
    ledger = world.host.acquirer.ledger
    booked = ledger.transactions[0]
    ledger.mark_reversed(booked.key)
    ledger.post(effect(booked, Kind.REVERSAL))
    assert violations(world) == {"I3"}


def test_a_disk_that_forgets_what_it_acknowledged_is_seen() -> None:
    world = World("forgets")
    sell(world)
    world.disk.contents = MemoryJournal(world.profile.dialect.spec)
    assert "I15" in violations(world)


def test_a_call_that_raises_what_none_may_raise_is_seen() -> None:
    def broken(_terminal: object) -> object:
        raise ZeroDivisionError

    world = World("broken")
    world.call("sale", broken)
    assert violations(world) == {"sale raised ZeroDivisionError"}
