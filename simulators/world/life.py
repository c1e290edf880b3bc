"""A random life: a terminal is asked for this and that while faults come and go, then is left in peace and settles.

Everything is drawn from the seed. A till that got no outcome asks again under the same key; one that did may ask again
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.flow.outcomes import Approved
from pos_engine.flow.profile import SaleLimits
from pos_engine.journal.record import Record, State
from pos_engine.values import Amount, Card
from pos_engine.wire.message import Message
from simulators.cards import CARDS
from simulators.world.fortune import PAUSES_S, Temperament, disk_fault, leap, line_draw
from simulators.world.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pos_engine.dialects.base import OriginalRef
    from pos_engine.terminal import Terminal
    from simulators.cards import SimulatedCard

CALLS_MIN: Final = 14
CALLS_MAX: Final = 22
USUAL_CARDS: Final = ("everyday", "everyday", "everyday", "no-pin", "gift", "long", "poor", "lost", "expired")
AMOUNTS_MINOR: Final = (1, 100, 350, 1_000, 1_234, 2_000, 9_999, 20_000, 150_000)
LIMITS: Final = SaleLimits(transaction=100_000, day=150_000, card_day=60_000)
MOMENTS_MAX: Final = 24
"""Moments until the power goes: about twice as many as an order has."""
STAN_NEAR_END: Final = 999_990
LIMITED: Final = 5
"""One life in so many has limits on its sales."""
DRY: Final = 7
"""One life in so many begins shortly before the last STAN."""
ROADS: Final = 3
"""One life in so many has a second road to its host."""
REPEATING: Final = 2
"""One life in so many repeats by itself what the host refused until a sign-on."""
_WEIGHTS: Final = tuple(accumulate((48, 8, 8, 7, 6, 3, 3, 3, 2, 8, 4)))
"""How likely each call is, in the order of `RandomLife._calls`."""
DAY_S: Final = 24 * 3600.0
REPORT: Final = "0000"


@dataclass(frozen=True, slots=True)
class Order:
    """A call with an idempotency key, to be made again."""

    kind: str
    act: Callable[[Terminal], object]
    amount: Amount
    key: str


@dataclass(frozen=True, slots=True)
class Sale:
    """An approved sale that may be voided or given back, and its card."""

    reference: OriginalRef
    amount: Amount
    card: SimulatedCard


class RandomLife:
    """One seed's life."""

    def __init__(self, seed: int, *, tells: bool = False) -> None:
        """Draw the world and its temperament."""
        self.world = World(
            f"life {seed}",
            tells=tells,
            limits=LIMITS if seed % LIMITED == 0 else None,
            repeats_refused=seed % REPEATING == 0,
            has_second_road=seed % ROADS == 0,
        )
        self._random: Random = self.world.random
        self._mood = Temperament.draw(self._random)
        self._orders: list[Order] = []
        self._sales: list[Sale] = []
        self._is_dry = seed % DRY == 0
        self._calls: tuple[Callable[[], None], ...] = (
            *(self._sell, self._void, self._refund, self._repeat),
            *(self._balance, self._echo, self._report, self._sign_on, self._sign_off),
            *(self._tick, self._look),
        )

    def live(self) -> bool:
        """Live it; whether the terminal could work off all it owed in the end."""
        random, world = self._random, self.world
        if self._is_dry:
            self._use_up_stans()
        world.line.draw = line_draw(random, self._mood.line)
        world.disk.draw = lambda: disk_fault(random) if random.random() < self._mood.disk else None
        world.power.waits_count = True
        for _ in range(random.randint(CALLS_MIN, CALLS_MAX)):
            self._between()
            self._call()
        return world.settle()

    # What happens between calls.

    def _between(self) -> None:
        random, world, mood = self._random, self.world, self._mood
        pause_s = random.choice(PAUSES_S)
        if pause_s >= DAY_S and world.owes():
            world.chronicle.counts["a sign-on expires while a reversal is owed"] += 1
        world.clock.advance(pause_s)
        if random.random() < mood.clock:
            world.set_wall(leap(random, world.clock.now().wall))
        world.leaps = (lambda wall: leap(random, wall)) if random.random() < mood.clock else None
        if random.random() < mood.host:
            self._afflict_host()
        world.line.refuses = random.random() < mood.line / 4
        world.line.is_mute = random.random() < mood.line / 8
        world.line.second_refuses = random.random() < mood.line / 4
        world.keys.failing = int(random.random() < mood.host / 4)
        if random.random() < mood.power:
            world.restart(reboots=random.random() < 0.5)  # noqa: PLR2004 - heads or tails
        self._arm()

    def _afflict_host(self) -> None:
        what = self._random.random()
        self.world.line.hang_up()
        if what < 0.4:  # noqa: PLR2004 - usual when a host restarts
            self.world.host.forget_sessions()
        elif what < 0.45:  # noqa: PLR2004 - rare, because it ends what can be judged
            self.world.host.forget_everything()

    def _arm(self) -> None:
        random = self._random
        self.world.power.left = random.randrange(MOMENTS_MAX) if random.random() < self._mood.power else None

    # Calls.

    def _call(self) -> None:
        self._random.choices(self._calls, cum_weights=_WEIGHTS)[0]()

    def _ask(self, kind: str, act: Callable[[Terminal], object], **order: object) -> object:
        del order
        return self._again_after_cuts(lambda: self.world.call(kind, act, reboots=self._reboots()))

    def _order(self, order: Order) -> object:
        def call() -> object:
            return self.world.call(
                order.kind, order.act, amount_minor=order.amount.minor, key=order.key, reboots=self._reboots()
            )

        return self._again_after_cuts(call)

    def _again_after_cuts(self, call: Callable[[], object]) -> object:
        """Make a call; after a power cut, perhaps once more, and the power may go again."""
        result = call()
        while result is None and self.world.down_in_a_row and self._random.random() < 0.7:  # noqa: PLR2004 - mostly
            self._arm()
            tick = self.world.call("tick", lambda terminal: terminal.tick(), reboots=self._reboots())
            if tick is not None:
                self._arm()
                result = call()
        self.world.power.left = None
        return result

    def _reboots(self) -> bool:
        return self._random.random() < 0.5  # noqa: PLR2004 - heads or tails

    def _sell(self) -> None:
        random = self._random
        simulated = CARDS[random.choice(USUAL_CARDS)]
        is_keyed = random.random() < 0.3  # noqa: PLR2004 - so that card data is kept and destroyed
        card = Card.keyed(simulated.pan.reveal(), simulated.expiry) if is_keyed else simulated.card
        amount, partly = Amount(random.choice(AMOUNTS_MINOR)), random.random() < 0.3  # noqa: PLR2004 - so do some tills
        key = f"key {len(self._orders) + 1}"

        def act(terminal: Terminal) -> object:
            return terminal.sale(amount, card=card, key=key, allow_partial=partly)

        order = Order("sale", act, amount, key)
        self._orders.append(order)
        self.world.pin_pad.pin = simulated.pin
        outcome = self._order(order)
        if isinstance(outcome, Approved) and outcome.amount is not None:
            self._sales.append(Sale(outcome.reference, outcome.amount, simulated))

    def _void(self) -> None:
        if not self._sales:
            self._sell()
            return
        sale, key = self._random.choice(self._sales), f"key {len(self._orders) + 1}"
        order = Order(
            "void", lambda terminal: terminal.void(sale.reference, card=sale.card.card, key=key), sale.amount, key
        )
        self._orders.append(order)
        self._order(order)

    def _refund(self) -> None:
        if not self._sales:
            self._sell()
            return
        sale, key = self._random.choice(self._sales), f"key {len(self._orders) + 1}"
        amount = Amount(self._random.randint(1, sale.amount.minor))

        def act(terminal: Terminal) -> object:
            return terminal.refund(amount, original=sale.reference, card=sale.card.card, key=key)

        order = Order("refund", act, amount, key)
        self._orders.append(order)
        self._order(order)

    def _repeat(self) -> None:
        if self._orders:
            self._order(self._random.choice(self._orders[-3:]))
        else:
            self._sell()

    def _balance(self) -> None:
        card = CARDS["everyday"]
        self.world.pin_pad.pin = card.pin
        self._ask("balance", lambda terminal: terminal.balance(card=card.card))

    def _echo(self) -> None:
        self._ask("echo", lambda terminal: terminal.echo())

    def _report(self) -> None:
        self._ask("status", lambda terminal: terminal.upload_status(REPORT))

    def _sign_on(self) -> None:
        self._ask("sign-on", lambda terminal: terminal.sign_on())

    def _sign_off(self) -> None:
        self._ask("sign-off", lambda terminal: terminal.sign_off())

    def _tick(self) -> None:
        self._ask("tick", lambda terminal: terminal.tick())

    def _look(self) -> None:
        """Ask what became of an order, and take over what is unresolved."""
        if self._orders:
            key = self._random.choice(self._orders).key
            self.world.call("outcome", lambda terminal: terminal.outcome(key), key=key)
        self.world.take_over(refunds=False)

    def _use_up_stans(self) -> None:
        """Let the terminal have used nearly all trace numbers."""
        now = self.world.clock.now()
        stan = f"{STAN_NEAR_END + self._random.randrange(9):06d}"
        request = Message("0800", {11: stan})
        used = Record(
            number=1,
            kind=Kind.SIGN_ON,
            state=State.UNSENT,
            stan=stan,
            batch="000000",
            request=request,
            opened=now,
            changed=now,
        )
        self.world.disk.save(used)
