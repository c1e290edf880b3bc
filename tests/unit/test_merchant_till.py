"""A till whose terminal cannot sign on, or is refused: it does what the plan says, asks before it sells, sells once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pos_engine import Amount, Approved, ConfigError, Declined, InDoubt, NotSent, NotSignedOn, UsageError
from pos_engine.dialects.base import Kind
from pos_engine.merchant.till import AFTER_A_REFUSAL, AFTER_A_WAIT, GIVEN_UP, HOLDING, Question, Till
from pos_engine.session.contingency import Act, Contingency, Deed, Step
from pos_engine.session.states import SessionState
from simulators.bench import Bench
from simulators.scenario import parse
from simulators.server import BackgroundServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pos_engine import Terminal
    from pos_engine.values import Text

TOTAL = Amount.cny("12.34")
PLAN = "retry 10 s, hold 60 s, refuse"


@dataclass
class Counter:
    """The people at a counter: a cashier who confirms, a customer who waits, and what happens meanwhile."""

    bench: Bench
    agrees: bool = True
    patience_s: float = 1e9
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    """What happens during the first wait, the second, and so on."""
    shown: list[Text] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    waited_s: float = 0.0

    def show(self, text: Text) -> None:
        self.shown.append(text)

    def confirm(self, question: Question) -> bool:
        self.asked.append(question)
        return self.agrees

    def wait(self, seconds: float) -> bool:
        self.waited_s += seconds
        self.bench.clock.advance(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return self.waited_s <= self.patience_s


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def counter(bench: Bench) -> Counter:
    return Counter(bench)


def till(terminal: Terminal, counter: Counter, text: str = PLAN) -> Till:
    plan = Contingency.parse(text)
    assert plan is not None
    return Till(terminal, counter, plan)


def on_record(bench: Bench, terminal: Terminal) -> list[str]:
    records = bench.journal(terminal).recent(100)
    return [note for each in reversed(records) if each.kind is Kind.NOTE for note in each.notes]


def sold(bench: Bench) -> int:
    """Return what the host has booked for all sales."""
    return sum(1 for event in bench.link.events if event.kind == "sale" and event.effect_minor)


def refuse_sales(bench: Bench, code: str, times: int) -> None:
    action = f'{{ do = "decline", code = "{code}" }}'
    rule = f'[[rule]]\nname = "r"\nmatch = {{ kind = "sale" }}\ntimes = {times}\naction = {action}'
    bench.acquirer.stage(parse(rule, "refusals.toml"))


def test_a_sale_without_trouble_asks_nobody(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    assert isinstance(till(terminal, counter).sale(TOTAL), Approved)
    assert (counter.shown, counter.asked, on_record(bench, terminal)) == ([], [], [])


def test_a_line_that_comes_back_during_a_retry_lets_the_sale_go_on_once_it_is_confirmed(
    bench: Bench, counter: Counter
) -> None:
    terminal = bench.open()
    bench.link.unplug()
    counter.meanwhile = [lambda: None, bench.link.plug_in]
    assert isinstance(till(terminal, counter).sale(TOTAL, goods="two teapots"), Approved)
    assert counter.asked == [Question(AFTER_A_WAIT, "two teapots", TOTAL)]
    assert on_record(bench, terminal) == [
        "the terminal cannot sign on",
        "resumed: goods and amount were confirmed again",
    ]
    assert sold(bench) == 1


def test_a_plan_that_ends_gives_the_sale_up_and_sends_nothing(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    bench.link.unplug()
    with pytest.raises(NotSent):
        till(terminal, counter).sale(TOTAL)
    assert counter.shown[-2:] == [HOLDING, GIVEN_UP]
    assert counter.waited_s == pytest.approx(70)
    assert on_record(bench, terminal) == [
        "the terminal cannot sign on",
        "tried: retry 10 s",
        "tried: hold 60 s",
        "refused: the plan is at its end",
    ]
    assert sold(bench) == 0


def test_whoever_does_not_confirm_is_not_charged(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    bench.link.unplug()
    counter.agrees, counter.meanwhile = False, [bench.link.plug_in]
    with pytest.raises(NotSent, match="not confirmed"):
        till(terminal, counter).sale(TOTAL)
    assert on_record(bench, terminal)[-1] == "given up: goods and amount were not confirmed again"
    assert sold(bench) == 0


def test_whoever_does_not_wait_is_not_charged(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    bench.link.unplug()
    counter.patience_s, counter.meanwhile = 1.0, [bench.link.plug_in]
    with pytest.raises(NotSent, match="did not wait"):
        till(terminal, counter).sale(TOTAL)
    assert on_record(bench, terminal)[-1] == "given up: the customer did not wait"
    assert sold(bench) == 0


@pytest.mark.parametrize("code", ["77", "A0", "99"])
def test_a_refused_sale_is_repeated_once_somebody_says_yes(bench: Bench, counter: Counter, code: str) -> None:
    terminal = bench.open()
    refuse_sales(bench, code, 1)
    outcome = till(terminal, counter).sale(TOTAL, key="order-17")
    assert isinstance(outcome, Approved)
    assert counter.asked == [Question(AFTER_A_REFUSAL, "", TOTAL)]
    assert sold(bench) == 1
    # The till asks again about its order, and hears of the repeat.
    assert till(terminal, counter).sale(TOTAL, key="order-17") == outcome
    assert terminal.outcome("order-17") == outcome
    assert sold(bench) == 1


def test_a_refused_sale_stays_refused_when_nobody_wants_it_repeated(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    refuse_sales(bench, "77", 1)
    counter.agrees = False
    assert isinstance(till(terminal, counter).sale(TOTAL), Declined)
    assert sold(bench) == 0


def test_a_host_that_refuses_every_time_is_offered_the_sale_three_times(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    refuse_sales(bench, "77", 9)
    outcome = till(terminal, counter).sale(TOTAL)
    assert isinstance(outcome, Declined)
    assert [event.kind for event in bench.link.events].count("sale") == 3


def test_a_repeat_whose_answer_is_lost_is_in_doubt_and_not_offered_again(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    terminal.sign_on()
    refuse_sales(bench, "77", 1)
    bench.link.pass_smoothly(2)
    bench.link.lose_answer()
    assert isinstance(till(terminal, counter).sale(TOTAL, key="order-18"), InDoubt)
    terminal.tick()
    assert bench.books.differences(terminal) == []


def test_a_host_that_keeps_demanding_is_left_alone(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    refuse_sales(bench, "77", 99)
    till(terminal, counter).sale(TOTAL)
    with pytest.raises(NotSignedOn, match="keeps demanding"):
        till(terminal, counter, "retry 1 s, refuse").sale(TOTAL)
    assert counter.shown == []
    assert [event.kind for event in bench.link.events].count("sign-on") == 3


def test_a_refused_refund_is_repeated_as_one_and_never_for_a_sale(bench: Bench) -> None:
    terminal = bench.open()
    sale = terminal.sale(TOTAL)
    assert isinstance(sale, Approved)
    action = '{ do = "demand_sign_on", by = "77" }'
    rule = f'[[rule]]\nname = "r"\nmatch = {{ kind = "refund" }}\ntimes = 1\naction = {action}'
    bench.acquirer.stage(parse(rule, "refusals.toml"))
    refused = terminal.refund(TOTAL, original=sale.reference)
    assert isinstance(refused, Declined)
    with pytest.raises(UsageError, match="is a refund, and not a sale"):
        terminal.repeat(refused.stan, batch=refused.batch, expected=TOTAL)
    assert isinstance(terminal.repeat(refused.stan, batch=refused.batch), Approved)
    with pytest.raises(UsageError, match="no STAN 000777 in 000001"):
        terminal.repeat("000777", batch="000001")
    assert bench.books.differences(terminal) == []


def test_an_error_of_the_caller_is_no_case_for_the_plan(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    with pytest.raises(UsageError):
        till(terminal, counter).sale(TOTAL, expected=Amount.cny("1.00"))
    assert on_record(bench, terminal) == []


def test_another_route_leads_to_the_host_while_the_first_is_dead(bench: Bench, counter: Counter) -> None:
    bench.link.unplug()
    terminal = bench.open()
    with BackgroundServer(bench.acquirer) as host:
        plan = f"route tcp://127.0.0.1:{host.port}, refuse"
        assert isinstance(till(terminal, counter, plan).sale(TOTAL), Approved)
        assert [event.kind for event in host.events] == ["sign-on", "sale"]
    bench.link.plug_in()
    assert isinstance(terminal.sale(TOTAL), Approved)
    assert [event.kind for event in bench.link.events] == ["sale"]


def test_notes_neither_lift_a_lock_nor_count_as_exchanges(bench: Bench, counter: Counter) -> None:
    terminal = bench.open({"session.exchanges_max": 10})
    refuse_sales(bench, "77", 99)
    till(terminal, counter).sale(TOTAL)
    for _ in range(60):
        terminal.put_on_record(Deed.REFUSED)
    assert terminal.status().session is SessionState.LOCKED
    # Nothing is done while the host wants to be left alone, so nothing is put on record either.
    notes = len(on_record(bench, terminal))
    with pytest.raises(NotSignedOn):
        till(terminal, counter).sale(TOTAL)
    assert len(on_record(bench, terminal)) == notes


def test_ten_notes_are_no_exchanges(bench: Bench) -> None:
    terminal = bench.open({"session.exchanges_max": 10})
    terminal.sign_on()
    for _ in range(10):
        terminal.put_on_record(Deed.TRIED, Step(Act.RETRY, 5))
    assert terminal.status().session is SessionState.READY


def test_a_host_that_refuses_the_sign_on_is_asked_once_a_step(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    rule = '[[rule]]\nname = "r"\nmatch = { kind = "sign-on" }\naction = { do = "decline", code = "03" }'
    bench.acquirer.stage(parse(rule, "refusals.toml"))
    with pytest.raises(NotSignedOn):
        till(terminal, counter, "retry 600 s, retry 600 s, refuse").sale(TOTAL)
    assert [event.kind for event in bench.link.events].count("sign-on") == 3


def test_a_busy_host_is_asked_again(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    rule = '[[rule]]\nname = "r"\nmatch = { kind = "sign-on" }\ntimes = 3\naction = { do = "decline", code = "91" }'
    bench.acquirer.stage(parse(rule, "busy.toml"))
    assert isinstance(till(terminal, counter, "retry 60 s, refuse").sale(TOTAL), Approved)


def test_a_host_that_serves_no_echo_is_there_all_the_same(bench: Bench, counter: Counter) -> None:
    terminal = bench.open()
    terminal.sign_on()
    rule = '[[rule]]\nname = "r"\nmatch = { kind = "echo" }\naction = { do = "decline", code = "40" }'
    bench.acquirer.stage(parse(rule, "echo.toml"))
    bench.link.unplug()
    counter.meanwhile = [bench.link.plug_in]
    assert isinstance(till(terminal, counter).sale(TOTAL), Approved)


def test_a_road_that_does_not_exist_is_a_step_that_failed(bench: Bench, counter: Counter) -> None:
    bench.link.unplug()
    terminal = bench.open()
    counter.meanwhile = [bench.link.plug_in]
    plan = Contingency((Step(Act.ROUTE, address="tcp://1.2.3.4:0"), Step(Act.HOLD, 5)))
    assert isinstance(Till(terminal, counter, plan).sale(TOTAL), Approved)


@pytest.mark.parametrize("port", ["0", "99999"])
def test_a_route_that_is_no_address_is_a_fault_of_the_configuration(bench: Bench, port: str) -> None:
    with pytest.raises(ConfigError, match="a port is a number"):
        bench.open({"session.contingency": f"route tcp://1.2.3.4:{port}, hold 5 s"})


def test_what_is_due_is_compared_with_a_repeat_that_was_made(bench: Bench) -> None:
    terminal = bench.open()
    refuse_sales(bench, "77", 1)
    first = terminal.sale(TOTAL)
    assert isinstance(terminal.repeat(first.stan, batch=first.batch, expected=TOTAL), Approved)
    with pytest.raises(UsageError, match=r"not a sale of 1\.00"):
        terminal.repeat(first.stan, batch=first.batch, expected=Amount.cny("1.00"))
