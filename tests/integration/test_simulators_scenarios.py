"""Every action of a scenario as a real terminal meets it over TCP: what the cashier sees, and both books afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind
from pos_engine.errors import NotSent
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, Outcome
from pos_engine.system import entropy
from pos_engine.values import Amount, Card
from simulators.acquirer import Acquirer, Event
from simulators.cards import CARDS
from simulators.scenario import AMOUNTS, Do, Scenario, parse
from simulators.scenario_files import read_scenario
from simulators.server import BackgroundServer
from tests.support.shop import Shop, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pos_engine.terminal import Terminal

SILENCE_S = 0.3
"""How long a terminal waits for an answer that will not come; every other one is waited for as long as it takes."""


class Meeting(NamedTuple):
    """A ready-made scenario's rule, what sets it off, and what comes of it."""

    scenario: str
    rule: str
    amount: str
    outcome: type[Outcome]
    code: str = "00"
    card: str = "everyday"
    booked: bool = True
    """Whether the host moves money because of the sale itself."""
    silent: bool = False
    """Whether the terminal ends the wait, because nothing comes that belongs to its request."""


MEETINGS = [
    Meeting("approve", "generous", "12.34", Approved, card="poor"),
    Meeting("approve", "with a note", "10.11", Approved, "11"),
    Meeting("decline", "too much", "500.00", Declined, "61", booked=False),
    Meeting("decline", "exception", "500.00", Approved, card="no-pin"),
    Meeting("partial", "half", "10.10", InDoubt),
    Meeting("partial", "five", "10.11", InDoubt),
    Meeting("demand-sign-on", "by code 77", "10.77", Declined, "77", booked=False),
    Meeting("demand-sign-on", "by code 99", "10.99", Declined, "99", booked=False),
    Meeting("demand-sign-on", "by code A0", "11.00", Declined, "A0", booked=False),
    Meeting("demand-sign-on", "by header", "10.03", Approved),
    Meeting("demand-download", "parameters", "10.01", Approved),
    Meeting("demand-download", "status", "10.02", Approved),
    Meeting("demand-download", "public keys", "10.04", Approved),
    Meeting("demand-download", "something else", "10.06", Approved),
    Meeting("wrong-answer", "wrong MAC", "10.64", InDoubt),
    Meeting("wrong-answer", "wrong STAN", "10.11", InDoubt, silent=True),
    Meeting("wrong-answer", "wrong amount", "10.04", InDoubt, silent=True),
    Meeting("wrong-answer", "booked by nobody", "10.65", InDoubt, booked=False),
    Meeting("malformed", "truncated", "10.01", InDoubt),
    Meeting("malformed", "garbage", "10.02", InDoubt),
    Meeting("slow", "slow", "10.03", Approved),
    Meeting("slow", "slow refusal", "10.04", Declined, "91", booked=False),
    Meeting("slow", "late", "10.60", InDoubt, silent=True),
    Meeting("silence", "dropped after booking", "10.01", InDoubt, silent=True),
    Meeting("silence", "dropped before booking", "10.02", InDoubt, booked=False, silent=True),
    Meeting("silence", "closed after booking", "10.03", InDoubt),
    Meeting("silence", "closed before booking", "10.04", InDoubt, booked=False),
    Meeting("duplicate", "thrice", "12.34", Approved),
    Meeting("bad-minute", "issuer away", "10.91", Declined, "91", booked=False),
]


class Stage:
    """A host that plays a scenario by a clock moved by hand, and a shop that sells at it."""

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        self.clock = ManualClock()
        self.passes_s: Callable[[Event], float] = lambda _event: 0.0
        """Seconds that pass on the host's clock while it handles a request."""
        acquirer = Acquirer(entropy=entropy, scenario=scenario)
        self.host = BackgroundServer(acquirer, clock=self.clock, on_event=self._let_time_pass)
        self._folder = folder

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        """Run the host."""
        with self.host:
            shop = self.visit()
            with shop.open() as terminal:
                terminal.sign_on()
            yield shop

    def visit(self, answer_timeout_s: float = 30.0) -> Shop:
        """Return the shop as one whose terminal waits so long for an answer."""
        return Shop(self._folder, self.host.port, answer_timeout_s=answer_timeout_s)

    def sell_in_vain(self, amount: str) -> None:
        """Sell where no answer comes."""
        with self.visit(SILENCE_S).open() as terminal:
            assert isinstance(sell(terminal, amount), InDoubt)
        self.visit()

    def sales(self) -> list[Event]:
        """What the host has told about sales."""
        return [event for event in self.host.events if event.kind == Kind.SALE.value]

    def _let_time_pass(self, event: Event) -> None:
        self.clock.advance(self.passes_s(event))


def sell(terminal: Terminal, amount: str, card: str = "everyday") -> Outcome:
    return terminal.sale(Amount.cny(amount), card=CARDS[card].card)


def settle(shop: Shop) -> None:
    """Let what is owed be done, in a process of its own."""
    with shop.open() as terminal:
        for _ in range(4):
            terminal.tick()


def assert_both_books_agree(shop: Shop, host: BackgroundServer) -> None:
    assert shop.owed() == 0
    assert differences(shop.records(), host.ledger()) == []


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda meeting: f"{meeting.scenario}: {meeting.rule}")
def test_a_terminal_meets_a_rule_and_both_books_agree_afterwards(meeting: Meeting, tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario(meeting.scenario))
    stage.passes_s = lambda event: 3.0 if event.kind == Kind.SALE.value else 0.0
    with stage.shop() as shop:
        with stage.visit(SILENCE_S if meeting.silent else 30.0).open() as terminal:
            outcome = sell(terminal, meeting.amount, meeting.card)
        stage.visit()
        (event,) = stage.sales()
        assert (event.rule, event.effect_minor != 0) == (meeting.rule, meeting.booked)
        assert type(outcome) is meeting.outcome
        if isinstance(outcome, Approved | Declined):
            assert outcome.code.code == event.code == meeting.code
        settle(shop)
        assert_both_books_agree(shop, stage.host)
        # The host is well again for what meets no rule.
        with shop.open() as terminal:
            assert isinstance(sell(terminal, "1.23"), Approved)


def test_the_ready_made_scenarios_are_all_met_here() -> None:
    met = {(meeting.scenario, meeting.rule) for meeting in MEETINGS}
    scenarios = {name: read_scenario(name) for name, _ in met}
    actions = {
        action.do
        for name, rule in met
        for each in scenarios[name].rules
        if each.name == rule
        for step in each.steps
        for action in step
    }
    assert actions == set(Do)


def test_a_terminal_that_takes_a_part_is_told_which_part_it_got(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("partial"))
    with stage.shop() as shop:
        with shop.open() as terminal:
            outcomes = [terminal.sale(Amount.cny(asked), allow_partial=True) for asked in ("10.10", "10.11")]
        approved = [(each.code.code, str(each.amount)) for each in outcomes if isinstance(each, Approved)]
        assert approved == [("10", "5.05 CNY"), ("10", "5.00 CNY")]
        assert_both_books_agree(shop, stage.host)


@pytest.mark.parametrize("digits", [rule.name for rule in AMOUNTS.rules])
def test_every_amount_that_does_something_leaves_both_books_in_agreement(digits: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, AMOUNTS)
    with stage.shop() as shop:
        with stage.visit(SILENCE_S if digits == "997" else 30.0).open() as terminal:
            sell(terminal, f"1{digits[0]}.{digits[1:]}")
        stage.visit()
        settle(shop)
        assert_both_books_agree(shop, stage.host)


def test_a_demand_makes_the_terminal_sign_on_again(tmp_path: Path) -> None:
    for amount in ("10.77", "10.99", "11.00", "10.03"):
        folder = tmp_path / amount
        folder.mkdir()
        stage = Stage(folder, read_scenario("demand-sign-on"))
        with stage.shop() as shop:
            with shop.open() as terminal:
                sell(terminal, amount)
                sell(terminal, "1.23")
            kinds = [event.kind for event in stage.host.events]
        assert kinds == ["sign-on", "sale", "sign-on", "sale"]


def test_a_delayed_answer_that_comes_too_late_is_not_sent_any_more(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("slow"))
    with stage.shop() as shop:
        stage.sell_in_vain("10.03")
        stage.clock.advance(3)
        stage.host.send_due()
        settle(shop)
        assert_both_books_agree(shop, stage.host)


def test_a_late_approval_crosses_its_reversal_on_the_terminals_next_connection(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("slow"))
    stage.passes_s = lambda event: 61.0 if event.kind == Kind.REVERSAL.value else 0.0
    with stage.shop() as shop:
        stage.sell_in_vain("10.60")
        settle(shop)
        (reversal,) = [record for record in shop.records() if record.kind is Kind.REVERSAL]
        assert reversal.late is not None
        assert_both_books_agree(shop, stage.host)


def test_a_late_answer_that_finds_its_terminal_nowhere_is_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("slow"))
    with stage.shop() as shop:
        stage.sell_in_vain("10.60")
        stage.clock.advance(60)
        stage.host.send_due()
        settle(shop)
        assert_both_books_agree(shop, stage.host)


def test_answers_sent_several_times_are_taken_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("duplicate"))
    with stage.shop() as shop:
        with shop.open() as terminal:
            outcomes = [sell(terminal, amount) for amount in ("1.00", "2.00", "3.00")]
        assert all(isinstance(outcome, Approved) for outcome in outcomes)
        assert_both_books_agree(shop, stage.host)


def test_a_sequence_is_met_step_by_step_and_a_reversal_is_tried_until_it_is_answered(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("bad-minute"))
    stage.passes_s = lambda event: 2.0 if event.kind == Kind.SALE.value else 0.0
    outcomes: list[type] = []
    with stage.shop() as shop:
        stage.sell_in_vain("10.00")
        with shop.open() as terminal:
            for _ in range(5):
                try:
                    outcomes.append(type(sell(terminal, "10.00")))
                except NotSent as owed:
                    outcomes.append(type(owed))
        assert_both_books_agree(shop, stage.host)
    assert outcomes == [NotSent, NotSent, Approved, Declined, Approved]
    reversals = [event.rule for event in stage.host.events if event.kind == Kind.REVERSAL.value]
    assert reversals == ["reversals fail twice", "reversals fail twice", ""]


def test_a_rule_with_a_time_ends_by_itself(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("bad-minute"))
    with stage.shop() as shop, shop.open() as terminal:
        outcomes = []
        for seconds in (59, 1, 0):
            outcomes.append(type(sell(terminal, "10.91")))
            stage.clock.advance(seconds)
    assert outcomes == [Declined, Declined, Approved]


def test_what_a_terminal_does_unexpectedly_is_on_record_with_the_host(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read_scenario("expectations"))
    everyday = CARDS["everyday"]
    with stage.shop() as shop, shop.open() as terminal:
        assert isinstance(sell(terminal, "1.00"), Approved)
        assert stage.host.acquirer.play.failures() == ()
        keyed = Card.keyed(everyday.pan.reveal(), everyday.expiry)
        assert isinstance(terminal.sale(Amount.cny("1.00"), card=keyed), Approved)
    (failure,) = stage.host.acquirer.play.failures()
    assert (failure.rule, failure.parts) == ("sales", ("22", "35"))
    assert stage.sales()[-1].as_dict()["failed"] == ("22", "35")


def test_a_host_that_approves_and_books_nothing_is_found_by_comparing_books(tmp_path: Path) -> None:
    scenario = parse('[[rule]]\nname = "liar"\naction = { do = "usual", book = false }\ntimes = 3\n', "liar.toml")
    stage = Stage(tmp_path, scenario)
    with stage.shop() as shop:
        with shop.open() as terminal:
            outcomes = [sell(terminal, "1.00"), sell(terminal, "2.00"), sell(terminal, "3.00")]
        assert all(isinstance(outcome, Approved) for outcome in outcomes)
        assert len({outcome.rrn for outcome in outcomes if isinstance(outcome, Approved)}) == 3
        assert len(differences(shop.records(), stage.host.ledger())) == 2


def test_another_scenario_may_take_the_place_of_the_one_being_played(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Scenario())
    with stage.shop() as shop, shop.open() as terminal:
        assert isinstance(sell(terminal, "9.51"), Approved)
        stage.host.call(lambda: stage.host.acquirer.stage(AMOUNTS))
        assert isinstance(sell(terminal, "9.51"), Declined)
