"""Power: it goes at one moment that was chosen before, and whoever is in the middle of something is not asked.

A moment is before or after an effect of the performer, before or after card data is destroyed, or one wait on the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pos_engine.dialects.base import Kind
from pos_engine.flow.effects import Emit
from simulators.invariants.observations import Shown

if TYPE_CHECKING:
    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from simulators.world.chronicle import Chronicle

OUTCOMES = {"APPROVED": "approved", "DECLINED": "declined", "DOUBTFUL": "in doubt", "UNSENT": "not sent"}
"""The states of a record that are shown as an outcome."""


class PowerCut(BaseException):
    """The power goes. Nothing may catch it but the world, as nothing could outlive it."""


class Power:
    """A `Trace` that counts moments and ends the terminal at one of them."""

    __slots__ = ("_chronicle", "effects", "left", "waits_count")

    def __init__(self, chronicle: Chronicle) -> None:
        """Switch it on."""
        self._chronicle = chronicle
        self.effects = 0
        """Effects that were begun since somebody last set this to zero."""
        self.left: int | None = None
        """Moments until it goes; `None`: it stays."""
        self.waits_count = False
        """Whether a wait on the line is a moment too."""

    def before(self, effect: Effect) -> None:
        """Pass the moment before an effect."""
        self.begins(type(effect).__name__)

    def after(self, effect: Effect, happened: Happening) -> None:
        """Keep what was shown, and pass the moment after an effect."""
        del happened
        if isinstance(effect, Emit):
            self._show(effect)
        self.moment(f"after {type(effect).__name__}")

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Ignore messages: the line sees them."""

    def begins(self, name: str) -> None:
        """Count an effect, and pass the moment before it."""
        self.effects += 1
        self.moment(f"before {name}")

    def moment(self, what: str) -> None:
        """Pass a moment; `PowerCut` when it is the one."""
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            self._chronicle.note(f"** the power goes, {what}")
            self._chronicle.counts[f"power cut {what}"] += 1
            raise PowerCut
        self.left -= 1

    def waits(self) -> None:
        """Pass a wait on the line."""
        if self.waits_count:
            self.moment("while it waits")

    def _show(self, effect: Emit) -> None:
        record = effect.record
        outcome = OUTCOMES.get(record.state.name)
        # Nobody waits for a reversal: until it ends it is a duty and no outcome.
        if outcome is not None and not (record.kind is Kind.REVERSAL and outcome == "in doubt"):
            amount = record.amount.minor if record.amount is not None else None
            self._chronicle.saw(Shown(record.number, outcome, amount))
