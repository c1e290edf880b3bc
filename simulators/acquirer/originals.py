"""Which transaction a void or a refund acts on, and whether it still can be acted on.

The request names it by field 61 (batch, STAN, date) and, unless it is all zeros, by the host's reference in field 37;
what does not fit together is "no original" (25). A dialect without such a field 61 names it by the reference alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from simulators.acquirer.codes import Code
from simulators.acquirer.request import Refusal
from simulators.ledger import Booked, Key, Standing

if TYPE_CHECKING:
    from pos_engine.wire.columns import Columns
    from simulators.acquirer.request import Request
    from simulators.cards import SimulatedCard
    from simulators.ledger import Ledger

NO_RRN: Final = "000000000000"
"""Field 37 of a terminal that does not know it."""
NO_DATE: Final = "0000"


def find_original(ledger: Ledger, layout: Columns | None, request: Request) -> Booked | None:
    """Find what a request names, if all it says of it is so, and if it is the same merchant's."""
    rrn = request.message.get(37, NO_RRN)
    named = request.message.get(61)
    by_rrn = None if rrn == NO_RRN else ledger.find_rrn(rrn)
    if layout is None or named is None:
        found = by_rrn
    else:
        batch, stan, date = (layout.get(named, part) or "" for part in ("61.1", "61.2", "61.3"))
        found = ledger.find(Key(request.key.terminal, batch, stan)) if rrn == NO_RRN else by_rrn
        if found is not None and (found.key[1:] != (batch, stan) or date not in {NO_DATE, "", found.date}):
            return None
    return found if found is not None and found.merchant == request.merchant else None


def standing_sale(sale: Booked | None, card: SimulatedCard | None) -> Refusal | None:
    """Refuse what is no sale that stands, or another card's."""
    if sale is None or sale.kind is not Kind.SALE or sale.standing is not Standing.APPROVED:
        return Refusal(Code.NO_ORIGINAL, "no such sale stands")
    if card is not None and sale.card != card.name:
        return Refusal(Code.NO_ORIGINAL, "the sale was paid with another card")
    return None


def refund_refusal(ledger: Ledger, request: Request, sale: Booked) -> Refusal | None:
    """Refuse to give back what was given back already, or more than was paid."""
    if ledger.voided_by(sale.key) is not None:
        return Refusal(Code.NO_ORIGINAL, "the sale is voided")
    if ledger.refunded(sale.key) + request.amount_minor > sale.amount_minor:
        return Refusal(Code.WRONG_AMOUNT, "refunds would exceed the sale")
    return None


def void_refusal(ledger: Ledger, request: Request, sale: Booked) -> Refusal | None:
    """Refuse to void anything but a whole, untouched sale of the same terminal's open batch."""
    if sale.key[:2] != request.key[:2]:
        return Refusal(Code.INVALID_TRANSACTION, "the sale is another terminal's or another batch's")
    if ledger.voided_by(sale.key) is not None:
        return Refusal(Code.INVALID_TRANSACTION, "the sale is voided already")
    if ledger.refunded(sale.key):
        return Refusal(Code.INVALID_TRANSACTION, "the sale has been refunded")
    if request.amount_minor != sale.amount_minor:
        return Refusal(Code.WRONG_AMOUNT, "a void takes back the whole amount that was approved")
    return None
