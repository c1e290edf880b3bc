"""What the enumerated campaigns have a terminal do: one short program for each kind of request.

    sign-on, a sale, then the request it is about, a tick, another sale, a tick

A program goes on after a power cut as a till does: it starts the terminal, calls `tick`, and asks again for what it
was about to ask, under the same idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import RemoteProtocolError, UsageError
from pos_engine.flow.outcomes import Approved
from pos_engine.values import Amount
from simulators.invariants.observations import Arrived, Left
from simulators.world import World
from simulators.world.line import LENGTH_BYTES
from simulators.world.mishaps import SMOOTH, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.dialects.base import OriginalRef
    from pos_engine.terminal import Terminal

BASE: Final = Amount.cny("12.00")
TARGET: Final = Amount.cny("3.50")
FOLLOWING: Final = Amount.cny("1.00")
SALES_MAX: Final = 4
"""Sales a program makes until one of them is approved."""
REPORT: Final = "0000"
ANSWER_LOST: Final = Mishap(answer=Passage(lost=True))


@dataclass(slots=True)
class _Target:
    """The request a program is about: the first of its kind once its step has begun."""

    kind: Kind
    mishap: Mishap
    is_armed: bool = False
    is_met: bool = False
    sale_is_lost: bool = False

    def draw(self, payload: bytes) -> Mishap:
        """Say what happens to a request."""
        if not self.is_armed or self.is_met:
            return SMOOTH
        kind = _kind_of(payload)
        if self.kind is Kind.REVERSAL and kind is Kind.SALE and not self.sale_is_lost:
            self.sale_is_lost = True
            return ANSWER_LOST
        if kind is not self.kind:
            return SMOOTH
        self.is_met = True
        return self.mishap


class Program:
    """One program in a world of its own."""

    def __init__(self, kind: Kind, mishap: Mishap, *, tells: bool = False) -> None:
        """Set the world up; `mishap` happens to the request of this kind."""
        self.world = World(f"program {kind.value}", tells=tells)
        self.effects_to_target = 0
        """Effects until the request it is about was done with, the power staying on."""
        self.effects_since_start = 0
        """Effects from the last start of the terminal to the program's end."""
        self.frame_sizes = (0, 0)
        """Bytes of the request it is about and of its answer, their lengths included."""
        self.between: Callable[[], None] = _nobody
        """Called before each step from the one it is about, and before each step of a recovery."""
        self._kind = kind
        self._target = _Target(kind, mishap)
        self._reference: OriginalRef | None = None
        self._cuts: list[int] = []
        self._is_down = False
        self.world.line.draw = self._target.draw

    def run(self, cuts: tuple[int, ...] = ()) -> bool:
        """Run it to its end; the power goes at these moments, each counted from the start of the terminal before.

        Returns whether the terminal could work off all it owed in the end.
        """
        self._cuts = list(cuts)
        self._set_power()
        steps = (self._sign_on, self._base, self._aim, self._tick, self._follow, self._tick)
        for number, step in enumerate(steps):
            self._do(step)
            if number == steps.index(self._aim):
                self.effects_to_target = self.world.power.effects
                self.frame_sizes = self._last_sizes()
        self.effects_since_start = self.world.power.effects
        return self.world.settle()

    def _last_sizes(self) -> tuple[int, int]:
        seen = self.world.chronicle.seen
        request = next((each.data for each in reversed(seen) if isinstance(each, Left)), b"")
        answer = next((each.data for each in reversed(seen) if isinstance(each, Arrived)), b"")
        return len(request) + LENGTH_BYTES, len(answer) + LENGTH_BYTES

    def _do(self, step: Callable[[], None]) -> None:
        """Do a step, and again from its beginning after each power cut."""
        self._is_down = False
        self._take(step)
        while self._is_down:
            self._is_down = False
            self._take(self._tick)
            if not self._is_down:
                self._take(step)

    def _take(self, step: Callable[[], None]) -> None:
        if step == self._aim or self._target.is_armed:
            self.between()
        step()

    def _call(
        self, kind: str, act: Callable[[Terminal], object], amount: Amount | None = None, key: str | None = None
    ) -> object:
        result = self.world.call(kind, act, amount_minor=amount.minor if amount is not None else None, key=key)
        if result is None and self.world.down_in_a_row:
            self._is_down = True
            self.world.power.effects = 0
            self._set_power()
        return result

    def _set_power(self) -> None:
        self.world.power.left = self._cuts.pop(0) if self._cuts else None

    def _sign_on(self) -> None:
        self._call("sign-on", lambda terminal: terminal.sign_on())

    def _base(self) -> None:
        """Sell until a sale is approved: the one that is voided or given back."""
        for number in range(1, SALES_MAX):
            outcome = self._sell(BASE, f"base {number}")
            if isinstance(outcome, Approved):
                self._reference = outcome.reference
            if self._is_down or self._reference is not None:
                return

    def _follow(self) -> None:
        self._sell(FOLLOWING, "following")

    def _tick(self) -> None:
        self._call("tick", lambda terminal: terminal.tick())

    def _sell(self, amount: Amount, key: str) -> object:
        return self._call("sale", lambda terminal: terminal.sale(amount, key=key), amount, key)

    def _aim(self) -> None:
        """Make the request the program is about."""
        self._target.is_armed = True
        moving = {Kind.SALE: self._sale, Kind.REVERSAL: self._reversed_sale, Kind.VOID: self._void}
        moving |= {Kind.REFUND: self._refund, Kind.SIGN_ON: self._sign_on}
        asking: dict[Kind, Callable[[Terminal], object]] = {
            Kind.BALANCE: lambda terminal: terminal.balance(),
            Kind.SIGN_OFF: lambda terminal: terminal.sign_off(),
            Kind.ECHO: lambda terminal: terminal.echo(),
            Kind.STATUS: lambda terminal: terminal.upload_status(REPORT),
        }
        for download in UNIONPAY.downloads.values():
            # Every page of it is met on the way to its end, whichever of them the program is about.
            asking |= dict.fromkeys((*download.pages, download.end)[: len(download.pages) + 1], _fetched(download.name))
        if self._kind in moving:
            moving[self._kind]()
        else:
            self._call(self._kind.value, asking[self._kind])

    def _sale(self) -> None:
        self._sell(TARGET, "target")

    def _reversed_sale(self) -> None:
        self._sell(TARGET, "target")
        if not self._is_down:
            self._tick()

    def _void(self) -> None:
        self._call("void", lambda terminal: terminal.void(self._original(), key="target"), BASE, "target")

    def _refund(self) -> None:
        def act(terminal: Terminal) -> object:
            return terminal.refund(TARGET, original=self._original(), key="target")

        self._call("refund", act, TARGET, "target")

    def _original(self) -> OriginalRef:
        if self._reference is None:
            reason = "there is no sale to act on"
            raise UsageError(reason)
        return self._reference


def _fetched(name: str) -> Callable[[Terminal], object]:
    return lambda terminal: terminal.download(name)


def _nobody() -> None:
    """Be told, and do nothing."""


def _kind_of(payload: bytes) -> Kind | None:
    try:
        row = UNIONPAY.kind_of(unpack(UNIONPAY, payload).message)
    except RemoteProtocolError:
        return None
    return row.kind if row is not None else None
