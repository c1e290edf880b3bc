"""The counter of a shop, for tests: a till, its devices, and the two people at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine import Amount
from simulators.cards import CARDS

if TYPE_CHECKING:
    from till import CounterPad, StripeReader, Till

    from pos_engine import Terminal


@dataclass
class Counter:
    """A till, what lies around it, and the two people at it."""

    till: Till
    terminal: Terminal
    reader: StripeReader
    pad: CounterPad

    def present(self, name: str) -> None:
        """Let a cardholder swipe a test card; the PIN will be the right one."""
        self.reader.card, self.pad.typed = CARDS[name].card, CARDS[name].pin

    def sell(self, order: str = "order 1", total: str = "12.34") -> str:
        """Sell something and return the STAN of the sale."""
        slip = self.till.checkout(order, Amount.cny(total))
        if not slip.paid:
            raise AssertionError(slip)
        return self.terminal.status(recent=1).recent[0].stan
