"""Working keys change in the middle of trade: the occasions, and who watches which key is used.

    sign-on, a sale, then the occasion, a request that follows it, a tick, another sale, a tick

`KeyWatch` sees what the host handed out, what the journal has acknowledged, and every use of a working key. At any
moment the keys in force are one whole set that one sign-on brought. An older one proves late answers and nothing else,
and while the host may have newer ones, nothing is sealed at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pos_engine import limits
from pos_engine.dialects.base import Kind, unpack
from pos_engine.errors import RemoteProtocolError, UsageError
from pos_engine.flow.effects import Ask, Save, Send
from pos_engine.flow.outcomes import Approved
from pos_engine.journal.record import ACCEPTED, State
from pos_engine.session.states import READY
from pos_engine.values import Amount
from simulators.scenario import Action, Do
from simulators.world import World
from simulators.world.mishaps import SMOOTH, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import Dialect, OriginalRef, Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.terminal import Terminal

BASE: Final = Amount.cny("12.00")
TARGET: Final = Amount.cny("3.50")
FOLLOWING: Final = Amount.cny("2.50")
CLOSING: Final = Amount.cny("1.00")
SALES_MAX: Final = 4
QUIET_S: Final = limits.SIGN_ON_AGE_MAX_S - limits.SIGN_ON_LEAD_S + 1
"""The age at which a sign-on is renewed when nobody waits."""
ANSWER_LOST: Final = Mishap(title="the answer is lost", answer=Passage(lost=True))


def demand(code: str = "77", *, by_header: bool = False) -> Mishap:
    """Let the host demand a new sign-on."""
    return Mishap(
        title="the host demands a sign-on", actions=(Action(do=Do.DEMAND_SIGN_ON, code=code, by_header=by_header),)
    )


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why keys change: what happens to requests of some kinds beforehand, and what the till does."""

    steps: tuple[str, ...]
    mishaps: Mapping[Kind, Mishap] = field(default_factory=dict)


_OWED: Final = {Kind.SALE: ANSWER_LOST}

OCCASIONS: Final[Mapping[str, Occasion]] = {
    "by hand": Occasion(("sign-on",)),
    "by hand, a reversal owed": Occasion(("sell", "sign-on", "tick"), _OWED),
    "demanded by a sale, 77": Occasion(("sell", "tick"), {Kind.SALE: demand()}),
    "demanded by a sale, A0": Occasion(("sell", "tick"), {Kind.SALE: demand("A0")}),
    "demanded in the header": Occasion(("sell", "tick"), {Kind.SALE: demand(by_header=True)}),
    "demanded by a reversal": Occasion(("sell", "tick"), {**_OWED, Kind.REVERSAL: demand("A0")}),
    "in a quiet moment": Occasion(("wait", "tick")),
    "too old": Occasion(("grow old",)),
    "too old, a reversal owed": Occasion(("sell", "grow old", "tick"), _OWED),
    "after a start": Occasion(("start", "tick")),
    "after a start, a reversal owed": Occasion(("sell", "start", "tick"), _OWED),
    "the host forgot": Occasion(("forget",)),
}
"""Every way in which a sign-on comes about while a terminal trades."""
BRINKS: Final[Mapping[str, Occasion]] = {
    "at its end": Occasion(("brink",)),
    "at its end, in silence": Occasion(("brink", "sell", "tick"), _OWED),
    "at its end, in recovery": Occasion(("early brink", "sell", "tick"), _OWED),
}
"""A sign-on that ends in the middle of what follows, or of the recovery from it."""
FOLLOWS: Final = (Kind.SALE, Kind.VOID, Kind.REFUND, Kind.BALANCE)
"""What may follow."""
BRINK_S: Final = 1.0
"""So long before its end a sign-on is used once more; before its end in recovery, a silence earlier."""


def follows_of(occasion: str) -> tuple[Kind, ...]:
    """Name what may follow on an occasion: a void only on the day of its sale."""
    ages = {"wait", "grow old"} & set({**OCCASIONS, **BRINKS}[occasion].steps)
    return tuple(kind for kind in FOLLOWS if not (ages and kind is Kind.VOID))


def _always(mishap: Mishap) -> Callable[[World], Mishap]:
    return lambda _world: mishap


class KeyWatch:
    """A `Trace` that knows which keys are in force, and objects to the use of any other."""

    def __init__(self, world: World) -> None:
        """Watch a world; its terminal is opened anew."""
        self.objections: list[str] = []
        self.at: Callable[[Effect], None] = lambda _effect: None
        """Hears of each effect beforehand."""
        self.uses = 0
        self._world = world
        self._in_force: tuple[WrappedKey, ...] = ()
        self._former: set[WrappedKey] = set()
        self._may_be_newer = False
        self._sealing = False
        world.keys.watch = self._used
        world.trace = self
        world.open()

    def before(self, effect: Effect) -> None:
        """Hear that an effect is about to be performed: what uses a key before a message is sent is to make one."""
        self._sealing = isinstance(effect, Send | Ask)
        self.at(effect)
        self._world.power.before(effect)

    def after(self, effect: Effect, happened: Happening) -> None:
        """Keep what became durable."""
        self._sealing = False
        if isinstance(effect, Save) and effect.record.kind is Kind.SIGN_ON:
            self._saved()
        self._world.power.after(effect, happened)

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Hear that the request is made: from now on keys verify."""
        del packet
        self._sealing = self._sealing and direction != "sent"

    def check(self) -> None:
        """Hold the keys in force against the sets that were handed out: they are one of these, whole."""
        sign_on = self._world.disk.contents.last_approved(Kind.SIGN_ON)
        keys = sign_on.keys if sign_on is not None else ()
        if self._in_force and not keys:
            self._object("no keys are in force any more")
        if keys and frozenset(keys) not in map(frozenset, self._handed()):
            self._object("the keys in force are no set that the host handed out in one answer")
        if len({key.usage for key in keys}) != len(keys):
            self._object("two keys of one usage are in force")

    def _saved(self) -> None:
        journal = self._world.disk.contents
        sign_on = journal.last_approved(Kind.SIGN_ON)
        keys = sign_on.keys if sign_on is not None else ()
        if keys != self._in_force:
            self._former |= set(self._in_force)
            self.check()
            self._in_force = keys
        number = sign_on.number if sign_on is not None else 0
        later = (each for each in journal.failures(Kind.SIGN_ON) if each.number > number)
        self._may_be_newer = any(
            each.state in {State.PENDING, State.CHECKING, State.DOUBTFUL} or each.code == ACCEPTED for each in later
        )

    def _used(self, what: str, key: WrappedKey) -> None:
        self.uses += 1
        if what == "late":
            if key not in self._former and key not in self._in_force:
                self._object("a late answer was verified with a key that was never in force")
        elif key not in self._in_force:
            self._object(f"a {key.usage.value} was used that is not in force")
        elif self._may_be_newer and self._sealing:
            self._object(f"a {key.usage.value} was used although the host may have a newer one")

    def _handed(self) -> list[tuple[WrappedKey, ...]]:
        dialect = self._world.profile.dialect
        return [dialect.read_keys(unpack(dialect, each).message) for each in self._world.host.handed]

    def _object(self, what: str) -> None:
        if what not in self.objections:
            self.objections.append(what)


class Rotation:
    """A program in a world of its own, in which keys change on one occasion."""

    def __init__(
        self,
        occasion: str,
        follow: Kind,
        *,
        dialect: Dialect | None = None,
        tells: bool = False,
    ) -> None:
        """Set it up; `hit` says what happens to requests from the occasion on."""
        self.world = World(f"rotation {occasion}", tells=tells, dialect=dialect)
        self.watch = KeyWatch(self.world)
        self.effects = 0
        """Effects from the beginning of the occasion to the program's end."""
        self.effects_since_start = 0
        """Effects from the last start of the terminal to the program's end."""
        self._occasion = {**OCCASIONS, **BRINKS}[occasion]
        self._follow = follow
        self._mishaps: dict[Kind, deque[Callable[[World], Mishap]]] = {}
        for kind, mishap in self._occasion.mishaps.items():
            self.hit(kind, _always(mishap))
        self._reference: OriginalRef | None = None
        self._cuts: list[int] = []
        self._is_down = self._is_basic = self.is_armed = False
        self._ending: list[str] = []

    def hit(self, kind: Kind, mishap: Callable[[World], Mishap], times: int = 1) -> None:
        """Let something happen to the next requests of a kind, once the occasion has begun."""
        self._mishaps.setdefault(kind, deque()).extend([mishap] * times)

    def run(self, cuts: tuple[int, ...] = ()) -> bool:
        """Run it; the power goes at these moments, from the occasion on, then from each start. Whether it rests."""
        self._do(self._sign_on)
        self._do(self._base)
        self.world.power.effects, self._cuts = 0, list(cuts)
        self._set_power()
        self.world.line.draw = self._draw
        for name in self._occasion.steps:
            self._step(name)
        self._do(self._followed)
        self._do(self._tick)
        self.effects = self.effects_since_start = self.world.power.effects
        self.watch.check()
        rests = self.world.settle()
        self._close()
        self.watch.check()
        return rests

    def objections(self) -> list[str]:
        """Say what was wrong with keys, and with how it ended."""
        return [*self.watch.objections, *self._ending]

    def _close(self) -> None:
        """Sell once more, with all faults ended: only a sound session can, or one that has become sound by that."""
        outcome: object = None
        for number in range(1, SALES_MAX):
            outcome = self._sell(CLOSING, f"closing {number}")
            if isinstance(outcome, Approved):
                break
            tick = self._tick()
            self.world.clock.advance(getattr(tick, "again_in_s", None) or 0.0)
        if not isinstance(outcome, Approved):
            self._ending.append("with all faults ended, a sale is not approved")
        if self.world.terminal.status(recent=0).session not in READY:
            self._ending.append("with all faults ended, the terminal is not signed on")

    def _draw(self, payload: bytes) -> Mishap:
        kind = None if self._is_basic else self._kind_of(payload)
        waiting = self._mishaps.get(kind) if kind is not None else None
        return waiting.popleft()(self.world) if waiting else SMOOTH

    def _kind_of(self, payload: bytes) -> Kind | None:
        dialect = self.world.profile.dialect
        try:
            row = dialect.kind_of(unpack(dialect, payload).message)
        except RemoteProtocolError:
            return None
        return row.kind if row is not None else None

    # Steps.

    def _step(self, name: str) -> None:
        """Do a step of an occasion; what is no call is done once, whatever the power does."""
        clock = self.world.clock
        match name:
            case "sign-on":
                self._do(self._sign_on)
            case "sell":
                self._do(lambda: self._sell(TARGET, "target"))
            case "tick":
                self._do(self._tick)
            case "wait":
                clock.advance(QUIET_S)
            case "grow old":
                clock.advance(limits.SIGN_ON_AGE_MAX_S)
            case "brink" | "early brink":
                silence_s = self.world.profile.answer_timeout_s if name == "early brink" else 0.0
                clock.advance(limits.SIGN_ON_AGE_MAX_S - clock.now().elapsed_s - BRINK_S - silence_s)
                self._do(self._base)
                self.is_armed = True
            case "start":
                self.world.restart(reboots=True)
                self.watch.check()
            case _:
                self.world.host.forget_sessions()

    def _do(self, step: Callable[[], object]) -> None:
        """Do a step, and again from its beginning after each power cut."""
        self._is_down = False
        step()
        while self._is_down:
            self._is_down = False
            self._tick()
            if not self._is_down:
                step()

    def _call(
        self, kind: str, act: Callable[[Terminal], object], amount: Amount | None = None, key: str | None = None
    ) -> object:
        result = self.world.call(kind, act, amount_minor=amount.minor if amount is not None else None, key=key)
        if result is None and self.world.down_in_a_row:
            self._is_down = True
            self.world.power.effects = 0
            self.watch.check()
            self._set_power()
        return result

    def _set_power(self) -> None:
        self.world.power.left = self._cuts.pop(0) if self._cuts else None

    def _sign_on(self) -> object:
        return self._call("sign-on", lambda terminal: terminal.sign_on())

    def _tick(self) -> object:
        return self._call("tick", lambda terminal: terminal.tick())

    def _sell(self, amount: Amount, key: str) -> object:
        return self._call("sale", lambda terminal: terminal.sale(amount, key=key), amount, key)

    def _base(self) -> None:
        """Sell what is voided or given back later."""
        self._is_basic, day = True, self.world.clock.now().wall.date()
        for number in range(1, SALES_MAX):
            outcome = self._sell(BASE, f"base {day} {number}")
            if isinstance(outcome, Approved):
                self._reference = outcome.reference
            if self._is_down or isinstance(outcome, Approved):
                break
        self._is_basic = False

    def _followed(self) -> None:
        """Make the request that follows."""
        match self._follow:
            case Kind.VOID:
                self._call("void", lambda terminal: terminal.void(self._original(), key="follow"), BASE, "follow")
            case Kind.REFUND:
                self._call(
                    "refund",
                    lambda terminal: terminal.refund(FOLLOWING, original=self._original(), key="follow"),
                    FOLLOWING,
                    "follow",
                )
            case Kind.BALANCE:
                self._call("balance", lambda terminal: terminal.balance())
            case _:
                self._sell(FOLLOWING, "follow")

    def _original(self) -> OriginalRef:
        if self._reference is None:
            reason = "there is no sale to act on"
            raise UsageError(reason)
        return self._reference
