"""A world: one terminal, one line, one host, one disk and their clocks, in one process and from one seed.

The terminal is the shipped one - `Terminal`, `Performer`, `drive`, `Link` and the framing - on a clock, a line, a
journal and keys of the world's. What happens in a world depends on its seed and on what is asked of it, on nothing
else: the same again gives the same history, byte for byte.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import JournalFault, PosError
from pos_engine.flow.checks import latest
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.flow.profile import Profile, SaleLimits
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.tpdu import Tpdu
from pos_engine.link import Link
from pos_engine.performer import Performer
from pos_engine.peripherals.held import HeldCard
from pos_engine.routes import Route, Routes
from pos_engine.terminal import Terminal
from simulators.cards import CARDS
from simulators.invariants.observations import Arrived, Ended, Left, Life, Ordered, Restarted, Shown
from simulators.world.chronicle import Chronicle
from simulators.world.clock import WorldClock
from simulators.world.disk import Disk
from simulators.world.host import IDENTITY, WorldHost
from simulators.world.keys import WorldKeys, WorldPinPad
from simulators.world.line import FRAMING, Line
from simulators.world.power import Power, PowerCut
from simulators.world.rarities import REVERSED, owes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pos_engine.dialects.base import Dialect
    from pos_engine.trace import Trace
    from pos_engine.transport.base import Stream

EXCHANGES_PER_ORDER: Final = 7
"""What `Terminal` promises: with an order, a call makes at most so many exchanges."""
TICKS_MAX: Final = 40
"""Calls of `tick` with a willing world after which nothing may be owed any more."""
RECOVERY_OF_RECOVERY: Final = 3
OF_MONEY: Final = (*REVERSED, Kind.REFUND)
TPDU: Final = Tpdu.parse(UNIONPAY.tpdu_default) if UNIONPAY.tpdu_default else None
REASON: Final = "the acquirer was called"
OUTCOMES: Final = {Approved: "approved", Declined: "declined", InDoubt: "in doubt"}


class World:
    """One seeded world. `call` is how anything is asked of its terminal."""

    def __init__(
        self,
        seed: str,
        *,
        tells: bool = False,
        limits: SaleLimits | None = None,
        dialect: Dialect | None = None,
        repeats_refused: bool = False,
        has_second_road: bool = False,
    ) -> None:
        """Make one, in which nothing goes wrong until somebody says so; `tells`: keep the history as text."""
        dialect = dialect or UNIONPAY
        self.random = Random(seed)  # noqa: S311 - a simulation must be repeatable; nothing here is worth a secret
        self.clock = WorldClock()
        self.chronicle = Chronicle(self.clock, dialect, tells=tells)
        self.power = Power(self.chronicle)
        self.host = WorldHost(self.clock, self.chronicle, self.random.randbytes, dialect)
        self.line = Line(self.clock, self.host, self.chronicle, self._waits)
        self.disk = Disk(dialect.spec, self.chronicle, self.power)
        self.keys = WorldKeys(IDENTITY.terminal, dialect.scheme)
        self.profile = Profile(
            dialect=dialect, identity=IDENTITY, limits=limits or SaleLimits(), repeats_refused=repeats_refused
        )
        self.reader = HeldCard(CARDS["everyday"].card)
        self.pin_pad = WorldPinPad(self.keys, CARDS["everyday"].pin, self.random.randbytes)
        self.leaps: Callable[[datetime], datetime] | None = None
        """What the wall clock does the next time somebody waits."""
        self.down_in_a_row = 0
        """Power cuts since a call last ended by itself."""
        self.trace: Trace = self.power
        """What sees every effect of the terminal that is opened next; another one has to pass them on to the power."""
        self.faults: list[str] = []
        """What no judge is needed for: calls that raised what no call may raise."""
        self._has_second_road = has_second_road
        self._routes: Routes | None = None
        self.terminal = self.open()

    def open(self) -> Terminal:
        """Start the terminal on the journal that is there."""
        journal = self.disk.open()
        self.chronicle.saw(Restarted())
        clock, dialect = self.clock, self.profile.dialect
        self._routes = routes = self._lay_roads()
        performer = Performer(
            dialect=dialect,
            journal=journal,
            routes=routes,
            keystore=self.keys,
            reader=self.reader,
            pin_pad=self.pin_pad,
            clock=clock,
            tpdu=TPDU,
            header=dialect.header_default or None,
            trace=self.trace,
        )
        self.terminal = Terminal(self.profile, performer)
        return self.terminal

    def _lay_roads(self) -> Routes:
        clock = self.clock

        def monotonic() -> float:
            return clock.now().elapsed_s

        def road(name: str, stream: Callable[[], Stream]) -> Route:
            link = Link(stream, lambda: LengthFramer(FRAMING), monotonic=monotonic, observer=self._observe)
            return Route(name, link)

        roads = [road("the line", self.line.stream)]
        if self._has_second_road:
            roads.append(road("the other line", self.line.second_stream))
        return Routes(roads, monotonic=monotonic)

    def call(
        self,
        kind: str,
        act: Callable[[Terminal], object],
        *,
        amount_minor: int | None = None,
        key: str | None = None,
        reboots: bool = True,
    ) -> object:
        """Ask something of the terminal: return what it returned, or the error it raised; `None` after a power cut.

        After a power cut, and after a journal that failed, the terminal is thrown away and started again.
        """
        self.chronicle.saw(Ordered(kind, amount_minor, key))
        began_s, requests = self.clock.true_s - self.clock.slept_s, self.line.requests
        result: object = None
        try:
            result = act(self.terminal)
            how = OUTCOMES.get(type(result), "value")
        except PowerCut:
            how = "power cut"
        except PosError as error:
            how, result = type(error).__name__, error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding and not the end of a campaign
            how, result = type(error).__name__, error
            self.faults.append(f"{kind} raised {how}")
        allowed = self.line.requests - requests
        if kind != "tick":
            allowed = min(allowed, EXCHANGES_PER_ORDER)
        allowed_s = max(allowed, 1) * self.profile.answer_timeout_s
        if self.chronicle.tells and isinstance(result, PosError):
            self.chronicle.note(f"   {type(result).__name__}: {result}")
        if key is not None and isinstance(result, Approved | Declined | InDoubt):
            self._told(key, result)
        # Nobody can be kept waiting by a machine that is suspended.
        self.chronicle.saw(Ended(how, self.clock.true_s - self.clock.slept_s - began_s, allowed_s))
        self._start_again(how, result, reboots=reboots)
        return result

    def restart(self, *, reboots: bool) -> None:
        """Throw the terminal away, as a power cut does, and start it on what the journal holds."""
        if self._routes is not None:
            # The other end notices, sooner or later; nothing here does.
            self._routes.close()
        if reboots:
            self.clock.reboot()
        self.open()

    def settle(self) -> bool:
        """End all faults and let the terminal work off what it owes; whether nothing is left that it could do."""
        self.power.left = None
        self.line.heal()
        self.disk.heal()
        self.keys.failing = 0
        self.leaps = None
        self.chronicle.note("== the faults end")
        self.restart(reboots=False)
        for _ in range(TICKS_MAX):
            tick = self.call("tick", lambda terminal: terminal.tick())
            if isinstance(tick, PosError):
                return False
            again = getattr(tick, "again_in_s", None)
            if getattr(tick, "idle", False) and getattr(tick, "failed", None) is None:
                self.take_over(refunds=True)
                return True
            self.clock.advance(again or 0.0)
        if not self.host.forgot:
            return False
        # It has proven an approval that it does not know any more: only a person can end that.
        self.take_over(refunds=True)
        return all(each.taken_over is not None for each in self.terminal.status().owed)

    def owes(self) -> bool:
        """Whether a reversal is owed."""
        return owes(self.disk.contents)

    def set_wall(self, wall: datetime) -> None:
        """Set the terminal's wall clock."""
        self.clock.set_wall(wall)
        self.chronicle.note("** the wall clock leaps")
        self.chronicle.counts["the wall clock leaps"] += 1

    def take_over(self, *, refunds: bool) -> None:
        """Let a person take over what is unresolved; with `refunds`, also find out what became of those in doubt."""
        if not self.disk.contents.open_records(OF_MONEY):
            return
        for each in self.terminal.status().owed:
            if each.taken_over is not None or not (each.unresolved or (refunds and each.kind is Kind.REFUND)):
                continue
            moved = None
            if each.kind is Kind.REFUND:
                moved = self.host.acquirer.ledger.effects_of(IDENTITY.terminal, each.batch, each.stan) != 0
            self._resolve(each.stan, each.batch, moved=moved)

    def _resolve(self, stan: str, batch: str, *, moved: bool | None) -> None:
        self.chronicle.counts["a person takes over"] += 1
        self.call("resolve", lambda terminal: terminal.resolve(stan, batch=batch, reason=REASON, moved=moved))

    def life(self, *, at_rest: bool) -> Life:
        """Return what the judge reads."""
        return Life(
            seen=tuple(self.chronicle.seen),
            books=self.host.books(IDENTITY.terminal),
            final=self.disk.final(),
            at_rest=at_rest,
            resolved=self._resolved(),
            forgets=self.host.forgot,
        )

    def history(self) -> str:
        """Return what happened, line by line; empty unless the world `tells`."""
        return self.chronicle.text()

    def _resolved(self) -> frozenset[int]:
        """Name what a person has to find out: refunds in doubt."""
        asked = [row.kind for row in self.profile.dialect.kinds.values() if row.kind is Kind.REFUND]
        return frozenset(each.number for each in self.disk.contents.open_records(asked))

    def _told(self, key: str, outcome: Approved | Declined | InDoubt) -> None:
        """Keep what a caller was told under a key, which may be what became of an older call."""
        first = self.disk.contents.find_key(key)
        if first is not None:
            record = latest(first, self.disk.contents)
            amount = outcome.amount.minor if outcome.amount is not None else None
            self.chronicle.saw(Shown(record.number, OUTCOMES[type(outcome)], amount))

    def _start_again(self, how: str, result: object, *, reboots: bool) -> None:
        if how == "power cut":
            self.down_in_a_row += 1
            if self.down_in_a_row == RECOVERY_OF_RECOVERY:
                self.chronicle.counts["the power goes in the recovery of a recovery"] += 1
            self.restart(reboots=reboots)
        elif isinstance(result, Exception) and (isinstance(result, JournalFault) or not isinstance(result, PosError)):
            self.restart(reboots=False)
        else:
            self.down_in_a_row = 0

    def _waits(self) -> None:
        if self.leaps is not None:
            self.set_wall(self.leaps(self.clock.now().wall))
            self.leaps = None
            self.chronicle.counts["the wall clock leaps while somebody waits"] += 1
        self.power.waits()

    def _observe(self, direction: str, frame: bytes) -> None:
        if direction == "sent":
            self.chronicle.saw(Left(frame))
        else:
            self.chronicle.saw(Arrived(frame, self.host.made(frame)))
