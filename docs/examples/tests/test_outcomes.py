"""Every kind of request against everything that may become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine import Amount, NoAnswer, NotSent, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from counter import Counter
    from till import Slip

    from simulators.bench import Books, MemoryLink
    from simulators.pytest_plugin import PlayScenario

MONEY = ["sale", "void", "refund"]
CODES = ["05", "51", "91"]


@pytest.fixture
def act(counter: Counter) -> Callable[[str], Slip]:
    """Do a request of a kind; what has to be there before it must have been done by `prepare`."""
    half = Amount.cny("6.00")
    acts = {
        "sale": lambda: counter.till.checkout("order 2", Amount.cny("20.00")),
        "void": lambda: counter.till.cancel("order 1"),
        "refund": lambda: counter.till.give_back("order 1", half),
    }
    counter.sell("order 1")
    return lambda kind: acts[kind]()


def misbehave(kind: str, action: str) -> str:
    return f'[[rule]]\nname = "on purpose"\nmatch = {{ kind = "{kind}" }}\naction = {{ {action} }}\ntimes = 1\n'


@pytest.mark.parametrize("kind", MONEY)
def test_approved(act: Callable[[str], Slip], kind: str, books_agree: Callable[[], bool]) -> None:
    assert act(kind).lines[-1] == "APPROVED"
    assert books_agree()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kind", MONEY)
def test_declined(
    act: Callable[[str], Slip], kind: str, code: str, scenario: PlayScenario, books_agree: Callable[[], bool]
) -> None:
    scenario(misbehave(kind, f'do = "decline", code = "{code}"'))
    slip = act(kind)
    assert not slip.paid
    assert f"DECLINED {code}" in slip.lines
    assert books_agree()


@pytest.mark.parametrize("kind", ["sale", "void"])
@pytest.mark.parametrize("lost", ["request", "answer"])
def test_silence_is_taken_back(
    act: Callable[[str], Slip], kind: str, lost: str, memory_link: MemoryLink, books_agree: Callable[[], bool]
) -> None:
    (memory_link.lose_request if lost == "request" else memory_link.lose_answer)()
    slip = act(kind)
    assert not slip.paid
    assert "NOT CONFIRMED - do not hand out the goods" in slip.lines
    assert books_agree()


def test_a_refund_without_an_answer_waits_for_a_person(
    act: Callable[[str], Slip], memory_link: MemoryLink, counter: Counter
) -> None:
    memory_link.lose_answer()
    assert "NOT CONFIRMED - do not hand out the goods" in act("refund").lines
    counter.till.idle()
    [owed] = counter.terminal.status().owed
    assert owed.duty.en == "ask the acquirer what became of it"
    with pytest.raises(UsageError, match="in doubt"):
        counter.till.give_back("order 1", Amount.cny("1.00"), slip_number=2)


@pytest.mark.parametrize("kind", ["sale", "void"])
def test_an_approval_with_a_wrong_mac_is_taken_back(
    act: Callable[[str], Slip], kind: str, scenario: PlayScenario, books_agree: Callable[[], bool]
) -> None:
    scenario(misbehave(kind, 'do = "wrong_mac"'))
    assert not act(kind).paid
    assert books_agree()


@pytest.mark.parametrize("deed", ["wrong_stan", "wrong_amount", "malformed"])
@pytest.mark.parametrize("kind", ["sale", "void"])
def test_an_answer_that_is_none_is_taken_back(
    act: Callable[[str], Slip], kind: str, deed: str, scenario: PlayScenario, books_agree: Callable[[], bool]
) -> None:
    scenario(misbehave(kind, f'do = "{deed}"'))
    assert not act(kind).paid
    assert books_agree()


@pytest.mark.parametrize("kind", MONEY)
def test_asking_again_tells_the_first_outcome(act: Callable[[str], Slip], kind: str, ledger: Books) -> None:
    first = act(kind)
    booked = len(ledger.transactions)
    assert act(kind) == first
    assert len(ledger.transactions) == booked


@pytest.mark.parametrize("kind", MONEY)
def test_asking_again_after_a_decline_does_not_try_again(
    act: Callable[[str], Slip], kind: str, scenario: PlayScenario
) -> None:
    play = scenario(misbehave(kind, 'do = "decline", code = "51"'))
    assert act(kind) == act(kind)
    assert play.met("on purpose") == 1


@pytest.mark.parametrize("kind", ["sale", "void"])
def test_asking_again_after_silence_does_not_charge(
    act: Callable[[str], Slip], kind: str, memory_link: MemoryLink, books_agree: Callable[[], bool]
) -> None:
    memory_link.lose_answer()
    first, again = act(kind), act(kind)
    # Asking again takes what is owed in hand first, so only the line about that may have changed.
    assert again.lines[:-1] == first.lines[:-1]
    assert not again.paid
    assert books_agree()


@pytest.mark.parametrize("kind", MONEY)
def test_nothing_is_sent_over_a_line_that_is_unplugged(
    act: Callable[[str], Slip], kind: str, memory_link: MemoryLink, books_agree: Callable[[], bool]
) -> None:
    memory_link.unplug()
    with pytest.raises(NotSent):
        act(kind)
    memory_link.plug_in()
    assert books_agree()
    assert act(kind).paid


def test_a_balance_is_told(till_balance: Callable[[], str]) -> None:
    assert till_balance() == "100000.00 CNY"


@pytest.mark.parametrize("code", CODES)
def test_a_balance_is_declined(till_balance: Callable[[], str], code: str, scenario: PlayScenario) -> None:
    scenario(misbehave("balance", f'do = "decline", code = "{code}"'))
    assert till_balance() not in {"unknown", "100000.00 CNY"}


@pytest.mark.parametrize("action", ['do = "drop"', 'do = "wrong_mac"'])
def test_a_balance_nobody_can_trust_is_no_balance(
    till_balance: Callable[[], str], action: str, scenario: PlayScenario, counter: Counter
) -> None:
    scenario(misbehave("balance", action))
    with pytest.raises(NoAnswer):
        till_balance()
    assert counter.terminal.status().owed == ()


@pytest.fixture
def till_balance(counter: Counter) -> Callable[[], str]:
    """Ask for the balance of the card in the reader."""
    return counter.till.balance
