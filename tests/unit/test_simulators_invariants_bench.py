"""Lives of real terminals, as an observer sees them: nothing is found in them, whatever is lost, late or cut off."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import pytest

from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import JournalFault, PosError
from pos_engine.flow.effects import Emit, Save
from pos_engine.flow.outcomes import Approved
from pos_engine.journal.record import Record, State, freeze
from pos_engine.values import Amount, Text
from simulators.bench import IDENTITY, Bench
from simulators.invariants import judge
from simulators.invariants.observations import (
    Arrived,
    Attempted,
    Effect,
    Ended,
    Left,
    Life,
    Ordered,
    Restarted,
    Shown,
    Synced,
)
from simulators.ledger import Standing
from simulators.scenario import Action, Condition, Do, Play, Rule, Scenario
from simulators.scenario.conditions import KIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.dialects.base import OriginalRef, Packet
    from pos_engine.flow.effects import Effect as Step
    from pos_engine.flow.effects import Happening
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.terminal import Terminal
    from simulators.ledger import Booked

SPEC: Final = UNIONPAY.spec
EVERYTHING: Final = 100_000
SHOWN: Final = {
    State.APPROVED: "approved",
    State.DECLINED: "declined",
    State.DOUBTFUL: "in doubt",
    State.UNSENT: "not sent",
}
SIGNS: Final = {Kind.SALE: 1, Kind.VOID: -1, Kind.REFUND: -1}
_Result = TypeVar("_Result")
CALL_MAX_S: Final = 6 * 60.0
"""Six exchanges, each as long as its answer may take."""
ROUNDS_MAX: Final = 40
A_MOMENT_S: Final = 0.001


class PowerCut(Exception):  # noqa: N818 - it is no error of anybody's
    """The power goes."""


@dataclass(slots=True)
class Recorder:
    """A trace that writes down what could be seen, and cuts the power where it is told to."""

    bench: Bench
    seen: list[Any] = field(default_factory=list)
    sign_on: Record | None = None
    power_for: int | None = None

    def before(self, effect: Step) -> None:
        self._moment()
        if isinstance(effect, Save):
            self.seen.append(Attempted(freeze(effect.record, SPEC).body))

    def after(self, effect: Step, happened: Happening) -> None:
        del happened
        if isinstance(effect, Save):
            self.seen.append(Synced(freeze(effect.record, SPEC).body))
            if effect.record.kind is Kind.SIGN_ON and effect.record.state is State.APPROVED:
                self.sign_on = effect.record
        if isinstance(effect, Emit):
            self.seen.append(shown(effect.record))
        self._moment()

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        data = packet.encode()
        self.seen.append(Left(data) if direction == "sent" else Arrived(data, self._is_authentic(packet)))

    def _is_authentic(self, packet: Packet) -> bool:
        mac = packet.message.get(64)
        if mac is None or self.sign_on is None:
            return True
        key = next(key for key in self.sign_on.keys if key.usage is KeyUsage.MAC)
        keystore = self.bench.keystore()
        return keystore.mac(key, "unionpay-ecb", packet.mac_input()).hex().upper() == mac

    def _moment(self) -> None:
        if self.power_for is None:
            return
        if self.power_for == 0:
            self.power_for = None
            raise PowerCut
        self.power_for -= 1


def shown(record: Record) -> Shown:
    amount = record.amount.minor if record.amount is not None else None
    return Shown(record.number, SHOWN[record.state], amount)


class Shop:
    """One terminal and its host, watched from outside."""

    def __init__(self, seed: int = 0) -> None:
        self.bench = Bench(seed=seed)
        self.random = Random(seed)
        self.recorder = Recorder(self.bench)
        self.boots = 1
        self.sales: list[Approved] = []
        self.behave()
        self.terminal = self.bench.open(trace=self.recorder)

    def behave(self, scenario: Scenario | None = None) -> None:
        self.bench.acquirer.play = Play(scenario or Scenario())

    def call(self, kind: str, what: Callable[[Terminal], _Result], amount: int | None = None) -> _Result | None:
        seen, clock = self.recorder.seen, self.bench.clock
        seen.append(Ordered(kind, amount))
        began, how = clock.now().elapsed_s, "value"
        result = None
        try:
            result = what(self.terminal)
        except PowerCut:
            how = "power cut"
        except JournalFault:
            raise
        except PosError as error:
            how = type(error).__name__
        finally:
            self.recorder.power_for = None
        seen.append(Ended(how, clock.now().elapsed_s - began, CALL_MAX_S))
        if how == "power cut":
            self.restart()
        return result

    def restart(self, *, reboot: bool = False) -> None:
        self.bench.cut_power(self.terminal)
        if reboot:
            self.boots += 1
            self.bench.clock.reboot(f"boot-{self.boots}")
        self.recorder.seen.append(Restarted())
        self.terminal = self.bench.open(trace=self.recorder)

    def sell(self, minor: int = 1234, *, partly: bool = False, key: str | None = None) -> Outcome | None:
        sale = partial(sold, amount=Amount(minor), key=key, partly=partly)
        outcome = self.call("sale", sale, minor)
        if isinstance(outcome, Approved):
            self.sales.append(outcome)
        return outcome

    def void(self, original: OriginalRef) -> object:
        return self.call("void", lambda terminal: terminal.void(original))

    def refund(self, original: OriginalRef, minor: int) -> object:
        return self.call("refund", lambda terminal: terminal.refund(Amount(minor), original=original), minor)

    def settle_down(self) -> None:
        self.bench.link.heal()
        self.behave()
        for _ in range(ROUNDS_MAX):
            tick = self.terminal.tick()
            if tick.idle and tick.failed is None:
                return
            # A wait below what the sum of seconds can hold would move nothing.
            self.bench.clock.advance(max(tick.again_in_s or 0.0, A_MOMENT_S))

    def life(self, *, at_rest: bool = True) -> Life:
        return Life(tuple(self.recorder.seen), self.books(), self.journal(), at_rest=at_rest)

    def books(self) -> tuple[Effect, ...]:
        return tuple(map(self._effect, self.bench.acquirer.ledger.transactions))

    def _effect(self, booked: Booked) -> Effect:
        ledger, key = self.bench.acquirer.ledger, booked.key
        happened = booked.standing in {Standing.APPROVED, Standing.REVERSED}
        return Effect(
            terminal=key.terminal,
            batch=key.batch,
            stan=key.stan,
            kind=booked.kind.value,
            moved_minor=SIGNS[booked.kind] * booked.amount_minor if happened else 0,
            net_minor=ledger.effects_of(*key),
            reversals=sum(each.key == key and each.kind is Kind.REVERSAL for each in ledger.entries),
        )

    def journal(self) -> tuple[str, ...]:
        journal = self.bench._journals[IDENTITY.terminal]  # noqa: SLF001 - what it reads back is judged
        return tuple(freeze(record, SPEC).body for record in journal.recent(EVERYTHING))[::-1]


def sold(terminal: Terminal, *, amount: Amount, key: str | None, partly: bool) -> Outcome:
    return terminal.sale(amount, key=key, allow_partial=partly)


def found(shop: Shop, *, at_rest: bool = True) -> list[tuple[str, str]]:
    return [(each.invariant, each.what) for each in judge(shop.life(at_rest=at_rest))]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_quiet_day_is_judged_clean(shop: Shop) -> None:
    first, second = shop.sell(1000), shop.sell(2000)
    assert isinstance(first, Approved)
    assert isinstance(second, Approved)
    shop.void(first.reference)
    shop.refund(second.reference, 500)
    shop.call("balance", lambda terminal: terminal.balance())
    shop.call("echo", lambda terminal: terminal.echo())
    shop.call("status", lambda terminal: terminal.upload_status("011021"))
    shop.call("sign-off", lambda terminal: terminal.sign_off())
    assert found(shop) == []
    assert {effect.kind: effect.net_minor for effect in shop.books()} == {"sale": 2000, "void": -1000, "refund": -500}


@pytest.mark.parametrize("fault", ["lose_request", "lose_answer"])
@pytest.mark.parametrize("order", ["sale", "void", "refund"])
def test_a_lost_message_of_every_order_is_judged_clean(shop: Shop, order: str, fault: str) -> None:
    outcome = shop.sell()
    assert isinstance(outcome, Approved)
    getattr(shop.bench.link, fault)(2)
    if order == "sale":
        shop.sell()
    elif order == "void":
        shop.void(outcome.reference)
    else:
        shop.refund(outcome.reference, 100)
    shop.settle_down()
    shop.sell()
    assert found(shop) == []


def test_a_partial_approval_is_judged_clean(shop: Shop) -> None:
    rule = rule_for("sale", (Action(do=Do.PARTIAL, amount_minor=400),))
    shop.behave(Scenario((rule,)))
    outcome = shop.sell(partly=True)
    assert isinstance(outcome, Approved)
    assert outcome.amount == Amount(400)
    assert found(shop) == []


@pytest.mark.parametrize("lost", [False, True])
def test_power_that_goes_at_any_moment_of_a_sale_is_judged_clean(*, lost: bool) -> None:
    moments = 0
    while True:
        shop = Shop()
        shop.call("sign-on", lambda terminal: terminal.sign_on())
        if lost:
            shop.bench.link.lose_answer()
        shop.recorder.power_for = moments
        shop.sell(key="one")
        cut = any(isinstance(each, Restarted) for each in shop.recorder.seen)
        shop.sell(key="one")
        assert found(shop, at_rest=False) == []
        shop.settle_down()
        assert found(shop) == []
        if not cut:
            break
        moments += 1
    assert moments > 5


def rule_for(kind: str, deed: tuple[Action, ...], times: int = 1) -> Rule:
    condition = Condition(part=KIND, one_of=(kind,))
    return Rule(name="x", title=Text("x", "x"), conditions=(condition,), steps=(deed,), times=times)


DEEDS: Final = (
    (Action(do=Do.WRONG_MAC),),
    (Action(do=Do.WRONG_STAN),),
    (Action(do=Do.DECLINE, code="05"),),
    (Action(do=Do.DECLINE, code="96"),),
    (Action(do=Do.DECLINE, code="51"), Action(do=Do.WRONG_MAC)),
    (Action(do=Do.DEMAND_SIGN_ON, code="77"),),
    (Action(do=Do.DEMAND_SIGN_ON, code="A0"), Action(do=Do.WRONG_MAC)),
    (Action(do=Do.DEMAND_SIGN_ON, by_header=True),),
    (Action(do=Do.DROP),),
    (Action(do=Do.CLOSE),),
    (Action(do=Do.DUPLICATE),),
    (Action(do=Do.LATE, seconds=70.0),),
    (Action(do=Do.DELAY, seconds=61.0),),
    (Action(do=Do.PARTIAL, amount_minor=10),),
)


def trouble(shop: Shop) -> None:
    """Let something go wrong soon."""
    random, link = shop.random, shop.bench.link
    kinds = ("sale", "sale", "void", "refund", "reversal", "sign-on")
    choices: tuple[Callable[[], object], ...] = (
        link.lose_request,
        link.lose_answer,
        partial(link.delay, random.choice((30.0, 59.9, 60.5, 90.0))),
        link.duplicate,
        partial(link.cut_after, random.randrange(200)),
        partial(link.cut_after, random.randrange(200), of="request"),
        partial(shop.behave, Scenario((rule_for(random.choice(kinds), random.choice(DEEDS), random.choice((1, 2))),))),
        partial(setattr, shop.recorder, "power_for", random.randrange(40)),
        shop.bench.acquirer.forget_sessions,
        link.drop_connections,
        partial(shop.restart, reboot=True),
        link.unplug,
        link.plug_in,
        partial(shop.bench.clock.advance, random.choice((1.0, 61.0, 3600.0))),
    )
    random.choice(choices)()


def work(shop: Shop) -> None:
    """Do something that a till does."""
    random = shop.random
    sales = shop.sales
    deed = random.choice(("sale", "sale", "again", "void", "refund", "tick", "other"))
    if deed in {"void", "refund"} and sales:
        reference = random.choice(sales).reference
        if deed == "void":
            shop.void(reference)
        else:
            shop.refund(reference, random.randrange(1, 500))
    elif deed == "again":
        shop.sell(700, key=f"key {random.randrange(6)}")
    elif deed == "tick":
        shop.call("tick", lambda terminal: terminal.tick())
    elif deed == "other":
        name = random.choice(("balance", "echo", "sign_on", "sign_off"))
        shop.call(name, lambda terminal: getattr(terminal, name)())
    else:
        shop.sell(random.randrange(1, 3000), partly=random.random() < 0.3)


@pytest.mark.parametrize("seed", range(60))
def test_a_bad_day_is_judged_clean(seed: int) -> None:
    shop = Shop(seed)
    for _ in range(25):
        if shop.random.random() < 0.5:
            trouble(shop)
        work(shop)
    assert found(shop, at_rest=False) == []
    shop.settle_down()
    assert found(shop) == []
