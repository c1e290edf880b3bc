"""What a terminal's batch adds up to, as a settlement counts it.

Debits are sales; credits are voids and refunds. A sale that was voided stays among the debits and its void among the
credits; what was reversed or declined counts nowhere; of a partial approval the approved amount counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.ledger.changes import GIVES_BACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Kind


@dataclass(frozen=True, slots=True)
class Sum:
    """How many transactions, and how many fen in all."""

    count: int = 0
    amount_minor: int = 0

    def plus(self, amount_minor: int) -> Sum:
        """Return this sum with one more transaction."""
        return Sum(self.count + 1, self.amount_minor + amount_minor)

    def minus(self, amount_minor: int) -> Sum:
        """Return this sum with one transaction less."""
        return Sum(self.count - 1, self.amount_minor - amount_minor)


@dataclass(frozen=True, slots=True)
class Totals:
    """A batch: what it takes from cards, what it gives back to them, and each kind by itself."""

    debit: Sum
    credit: Sum
    by_kind: Mapping[Kind, Sum]


def total(by_kind: Mapping[Kind, Sum]) -> Totals:
    """Add the kinds up on their sides."""
    return Totals(_side(by_kind, credit=False), _side(by_kind, credit=True), by_kind)


def _side(by_kind: Mapping[Kind, Sum], *, credit: bool) -> Sum:
    chosen = [each for kind, each in by_kind.items() if (kind in GIVES_BACK) == credit]
    return Sum(sum(each.count for each in chosen), sum(each.amount_minor for each in chosen))
