"""A shop's days for a state machine to live through: a terminal, orders under keys, and what must hold of both ends."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import JournalFault, NoAnswer, PosError
from pos_engine.flow.effects import Emit, Save
from pos_engine.flow.outcomes import Approved, InDoubt, Outcome, Standing, outcome_of
from pos_engine.values import Text
from simulators.bench import IDENTITY, Bench
from simulators.cards import CARDS
from simulators.ledger import Standing as HostStanding
from simulators.scenario import Condition, Do, Play, Rule, Scenario
from simulators.scenario.conditions import KIND

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pos_engine.dialects.base import OriginalRef, Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.flow.outcomes import Line
    from pos_engine.values import Amount
    from simulators.bench import MemoryLink
    from simulators.scenario import Action

EVERYTHING = 100_000
WORKING_OFF_MAX = 40
"""Calls of `tick` with a willing host after which nothing may be owed any more."""

NO_DUTY = Text("", "")


class PowerCut(Exception):  # noqa: N818 - it is no error of anybody's
    """The power goes."""


@dataclass(slots=True)
class Watch:
    """Sees every effect: keeps what was shown under a key, and cuts the power where it is told to."""

    shown: dict[str, Outcome] = field(default_factory=dict)
    """What whoever waited was told first, by idempotency key."""
    stans: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Batch and trace number of every request that was begun under a key."""
    power_for: int | None = None
    """Moments, two for each effect, until the power goes; `None`: it stays."""

    def before(self, effect: Effect) -> None:
        self._moment()
        if isinstance(effect, Save) and effect.record.key is not None:
            self.stans.setdefault(effect.record.key, set()).add((effect.record.batch, effect.record.stan))

    def after(self, effect: Effect, happened: Happening) -> None:
        del happened
        if isinstance(effect, Emit) and effect.record.key is not None:
            outcome = outcome_of(effect.record, UNIONPAY)
            if outcome is not None:
                self.shown.setdefault(effect.record.key, outcome)
        self._moment()

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        del direction, packet

    def _moment(self) -> None:
        if self.power_for is None:
            return
        if self.power_for == 0:
            self.power_for = None
            raise PowerCut
        self.power_for -= 1


@dataclass(frozen=True, slots=True)
class Paid:
    """An approved sale that may be given back, and the card that paid."""

    reference: OriginalRef
    amount: Amount
    card: str


class Shop:
    """One terminal and its host. Orders that are refused or fail are part of the day; what they claim is checked."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.watch = Watch()
        self.boots = itertools.count(2)
        self.keys = (f"key {number}" for number in itertools.count(1))
        self.sales: list[Paid] = []
        self.orders: dict[str, Callable[[], Outcome]] = {}
        self.behave()
        self.terminal = self.bench.open(trace=self.watch)

    def behave(self, scenario: Scenario | None = None) -> None:
        """Let the host play a scenario; without one it does what hosts should."""
        self.bench.acquirer.play = Play(scenario or Scenario())
        actions = (action for rule in self.bench.acquirer.play.scenario.rules for step in rule.steps for action in step)
        self.tells_truth = all(action.do is not Do.WRONG_AMOUNT for action in actions)

    # Orders.

    def sell(self, amount: Amount, card: str, *, allow_partial: bool) -> None:
        key, presented = next(self.keys), CARDS[card].card

        def sale() -> Outcome:
            # Who may be told another amount must be told the one that was booked: a wrong one under a right MAC is
            # nothing a terminal could find out.
            partly = allow_partial and self.tells_truth
            return self.terminal.sale(amount, card=presented, key=key, allow_partial=partly)

        outcome = self._order(key, sale)
        if isinstance(outcome, Approved) and outcome.amount is not None:
            self.sales.append(Paid(outcome.reference, outcome.amount, card))

    def void(self, paid: Paid) -> None:
        key, card = next(self.keys), CARDS[paid.card].card
        self._order(key, lambda: self.terminal.void(paid.reference, card=card, key=key))

    def refund(self, paid: Paid, amount: Amount) -> None:
        key, card = next(self.keys), CARDS[paid.card].card
        self._order(key, lambda: self.terminal.refund(amount, original=paid.reference, card=card, key=key))

    def order_again(self, key: str) -> None:
        """Repeat an order as a till does that has not heard: the outcome is the first one, or it starts anew."""
        before = self.watch.shown.get(key)
        outcome = self._order(key, self.orders[key])
        assert before is None or outcome is None or _without_duty(outcome) == _without_duty(before)

    def ask(self, what: Callable[[], object]) -> None:
        """Do something that moves no money; that it fails is nobody's fault."""
        self._unless_the_power_goes(lambda: _or_none(what))

    def _order(self, key: str, order: Callable[[], Outcome]) -> Outcome | None:
        self.orders[key] = order
        return self._unless_the_power_goes(lambda: self._told(key, order))

    def _told(self, key: str, order: Callable[[], Outcome]) -> Outcome | None:
        known = self.terminal.outcome(key)
        try:
            outcome = order()
        except (JournalFault, NoAnswer):
            # Neither may happen: nothing is wrong with the journal, and with money at stake silence is an outcome.
            raise
        except PosError:
            # Every other error says that nothing was sent for this call.
            assert _without_duty(self.terminal.outcome(key)) == _without_duty(known)
            return None
        # After a power cut the outcome may be on record and have been shown to nobody.
        assert _without_duty(outcome) == _without_duty(self.watch.shown.setdefault(key, outcome))
        return outcome

    def _unless_the_power_goes(self, act: Callable[[], Outcome | None]) -> Outcome | None:
        try:
            return act()
        except PowerCut:
            self.bench.cut_power(self.terminal)
            self.terminal = self.bench.open(trace=self.watch)
            return None
        finally:
            self.watch.power_for = None

    def restart(self, *, orderly: bool, reboot: bool) -> None:
        """Start the terminal again, the machine too or not."""
        if orderly:
            self.terminal.close()
        else:
            self.bench.cut_power(self.terminal)
        if reboot:
            self.bench.clock.reboot(f"boot-{next(self.boots)}")
        self.terminal = self.bench.open(trace=self.watch)

    # What must hold.

    def settle_down(self) -> None:
        """Give the terminal a willing host and time until it owes nothing more that it could do by itself."""
        self.watch.power_for = None
        self.bench.link.heal()
        self.behave()
        for _ in range(WORKING_OFF_MAX):
            tick = self.terminal.tick()
            if tick.idle and tick.failed is None:
                break
            self.bench.clock.advance(tick.again_in_s or 0.0)
        left = [owed for owed in self.terminal.status().owed if owed.kind is not Kind.REFUND]
        assert left == []

    def lines(self) -> tuple[Line, ...]:
        return self.terminal.status(recent=EVERYTHING).recent

    def disagreements(self) -> list[tuple[str, str, int, int]]:
        """Compare every trace number, except refunds in doubt: what became of those, only a person can find out."""
        believed: Counter[tuple[str, str]] = Counter()
        unknown = set()
        for line in self.lines():
            believed[line.batch, line.stan] += line.moved_minor
            if line.kind is Kind.REFUND and line.standing is Standing.IN_DOUBT:
                unknown.add((line.batch, line.stan))
        ledger = self.bench.acquirer.ledger
        places = believed.keys() | {(each.key.batch, each.key.stan) for each in ledger.transactions}
        effects = {place: ledger.effects_of(IDENTITY.terminal, *place) for place in places - unknown}
        return [(*place, believed[place], moved) for place, moved in effects.items() if moved != believed[place]]

    def changed_outcomes(self) -> list[str]:
        """Name the keys whose outcome is not what was shown; what is owed for a doubt may have been done since."""
        told = ((key, shown, self.terminal.outcome(key)) for key, shown in self.watch.shown.items())
        return [key for key, shown, now in told if _without_duty(now) != _without_duty(shown)]

    def doubled_keys(self) -> list[str]:
        """Name the keys under which the host booked more than once."""
        approved = {HostStanding.APPROVED, HostStanding.REVERSED}
        booked = {
            (each.key.batch, each.key.stan)
            for each in self.bench.acquirer.ledger.transactions
            if each.standing in approved
        }
        return [key for key, stans in self.watch.stans.items() if len(stans & booked) > 1]

    def open_doubts(self) -> int:
        """Count the outcomes that were shown as in doubt; for the tests of this file."""
        return sum(isinstance(outcome, InDoubt) for outcome in self.watch.shown.values())


Trouble = partial[None]
"""What is about to go wrong, still to be told in which shop."""


def host_does(shop: Shop, *, kind: Kind, deed: tuple[Action, ...], times: int) -> None:
    """Let the host do something else to the next requests of a kind."""
    condition = Condition(part=KIND, one_of=(kind.value,))
    shop.behave(Scenario((Rule(name="x", title=Text("x", "x"), conditions=(condition,), steps=(deed,), times=times),)))


def line_does(shop: Shop, *, mishap: Callable[[MemoryLink], None], smoothly: int) -> None:
    """Let something happen on the line, after some requests that pass."""
    shop.bench.link.pass_smoothly(smoothly)
    mishap(shop.bench.link)


def power_goes(shop: Shop, *, moments: int) -> None:
    """Cut the power in so many moments."""
    shop.watch.power_for = moments


def cable(shop: Shop, *, is_in: bool) -> None:
    """Put the cable in, or pull it."""
    (shop.bench.link.plug_in if is_in else shop.bench.link.unplug)()


def host_restarts(shop: Shop, *, with_keys: bool) -> None:
    """Start the host again, on the same books."""
    shop.bench.link.drop_connections()
    if not with_keys:
        shop.bench.acquirer.forget_sessions()


def time_passes(shop: Shop, *, seconds: float, wall_only: bool) -> None:
    """Let time pass, or move the wall clock back as if it had not."""
    clock = shop.bench.clock
    if wall_only:
        clock.set_wall(clock.now().wall - timedelta(seconds=seconds))
    else:
        clock.advance(seconds)


def clock_is_set(shop: Shop, *, wall: datetime) -> None:
    """Set the wall clock, and nothing else."""
    shop.bench.clock.set_wall(wall)


def _or_none(what: Callable[[], object]) -> None:
    try:
        what()
    except JournalFault:
        raise
    except PosError:
        return


def _without_duty(outcome: Outcome | None) -> Outcome | None:
    return replace(outcome, duty=NO_DUTY) if isinstance(outcome, InDoubt) else outcome
