"""Sale, void, refund and balance: what the host decides about them, and what it writes into the ledger.

Decided where sources are silent:
* A STAN that was decided once is never decided again: another request under it, with whatever content, is a duplicate
  (94). An inquiry is not filed, so that its STAN stays free.
* A refund gives back a part, at any terminal of the merchant that knows the host's reference; a void undoes the whole
  amount in the terminal's own open batch. One excludes the other. Neither asks for a PIN, and a void not even for the
  card: the money goes back to where it came from.
* A part is approved only when the request says that the terminal takes it (60.6): what an amount asks for on purpose,
  or what is left on a card whose issuer allows it. All that follows acts on the approved amount; only the reversal,
  which repeats the request, names the amount that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.values import CNY
from simulators.acquirer.answers import Decision
from simulators.acquirer.codes import Code
from simulators.acquirer.events import What
from simulators.acquirer.originals import find_original, refund_refusal, standing_sale, void_refusal
from simulators.acquirer.request import ON_PURPOSE, Refusal, Request
from simulators.acquirer.reversals import Reversals, effect
from simulators.cards import SimulatedCard
from simulators.ledger import Booked, Standing

if TYPE_CHECKING:
    from pos_engine.wire.columns import Columns
    from simulators.acquirer.issuer import Issuer
    from simulators.ledger import Ledger

AUTH_CODES: Final = 1_000_000
SAVINGS_AVAILABLE: Final = "1002"
"""Field 54: account type 10 (savings), amount type 02 (available)."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """A request that is granted: for which card, how much, and what it acts on."""

    card: SimulatedCard
    amount_minor: int
    original: Booked | None = None
    code: str = Code.APPROVED


class Transactions:
    """Decides about money, with the ledger as its only memory."""

    def __init__(
        self, ledger: Ledger, issuer: Issuer, originals: Columns | None, *, remembers_unknown_reversals: bool
    ) -> None:
        """Take the books, the issuer and the layout of field 61, if there is one."""
        self._ledger = ledger
        self._issuer = issuer
        self._originals = originals
        self._reversals = Reversals(ledger, issuer, remembers_unknown=remembers_unknown_reversals)

    def decide(self, request: Request) -> Decision:
        """Decide about a request and book what follows from it."""
        if request.kind is Kind.REVERSAL:
            return self._reversals.decide(request)
        if self._ledger.find(request.key) is not None:
            return Decision(code=Code.DUPLICATE, what=What.DECLINED, note="this STAN was decided before")
        found = self._issuer.identify(request.message)
        card = found if isinstance(found, SimulatedCard) else None
        outcome = self._refusal(request) or self._granted(request, found)
        if request.kind is Kind.BALANCE:
            return self._tell_balance(request, card, outcome)
        return self._book(request, card, outcome)

    def _refusal(self, request: Request) -> Refusal | None:
        """Look for a reason that has nothing to do with the card."""
        if request.ruling.refusal is not None:
            return Refusal(request.ruling.refusal, ON_PURPOSE)
        if self._ledger.reversed_unseen(request.key):
            return Refusal(Code.INVALID_TRANSACTION, "its reversal came first")
        if request.amount_minor == 0 and request.kind is not Kind.BALANCE:
            return Refusal(Code.INVALID_AMOUNT, "the amount is zero")
        if request.message[49] != CNY.numeric:
            return Refusal(Code.INVALID_TRANSACTION, "the currency is not CNY")
        return None

    def _granted(self, request: Request, card: SimulatedCard | Code) -> _Grant | Refusal:
        """Decide for what was presented."""
        if request.kind is Kind.VOID:
            return self._grant_void(request, card)
        if isinstance(card, Code):
            return Refusal(card, "no card, or none that this issuer knows")
        if request.kind is Kind.REFUND:
            return self._grant_refund(request, card)
        return self._grant_payment(request, card)

    def _grant_payment(self, request: Request, card: SimulatedCard) -> _Grant | Refusal:
        asked = request.amount_minor
        left = self._issuer.available(card)
        if request.ruling.approves:
            return _Grant(card, left if request.kind is Kind.BALANCE else asked)
        code = self._issuer.check(card, request.message, request.keys, request.at)
        if code != Code.APPROVED:
            return Refusal(code, "the issuer declines")
        if request.kind is Kind.BALANCE:
            return _Grant(card, left)
        if asked > left and not (request.takes_part and card.pays_in_part and left > 0):
            return Refusal(Code.NOT_ENOUGH_MONEY, "the issuer declines")
        amount = min(asked, left)
        if request.takes_part and request.granted_minor:
            amount = min(amount, request.granted_minor)
        return _Grant(card, amount, code=Code.APPROVED if amount == asked else Code.APPROVED_IN_PART)

    def _grant_refund(self, request: Request, card: SimulatedCard) -> _Grant | Refusal:
        sale = find_original(self._ledger, self._originals, request)
        refusal = standing_sale(sale, card)
        if sale is None or refusal is not None:
            return refusal or Refusal(Code.NO_ORIGINAL, "")
        return refund_refusal(self._ledger, request, sale) or _Grant(card, request.amount_minor, sale)

    def _grant_void(self, request: Request, presented: SimulatedCard | Code) -> _Grant | Refusal:
        if isinstance(presented, Code) and (2 in request.message or 35 in request.message):  # noqa: PLR2004 - fields
            return Refusal(presented, "the card is none that this issuer knows")
        sale = find_original(self._ledger, self._originals, request)
        refusal = standing_sale(sale, None if isinstance(presented, Code) else presented)
        card = self._issuer.named(sale.card) if sale is not None else None
        if sale is None or card is None or refusal is not None:
            return refusal or Refusal(Code.NO_ORIGINAL, "the sale's card is not this issuer's")
        return void_refusal(self._ledger, request, sale) or _Grant(card, request.amount_minor, sale)

    def _book(self, request: Request, presented: SimulatedCard | None, outcome: _Grant | Refusal) -> Decision:
        """File the decision; move the money when it is granted."""
        grant = outcome if isinstance(outcome, _Grant) else None
        card = grant.card if grant is not None else presented
        rrn = self._ledger.next_rrn(request.at)
        booked = Booked(
            key=request.key,
            kind=request.kind,
            merchant=request.merchant,
            card=card.name if card is not None else "",
            amount_minor=grant.amount_minor if grant is not None else request.amount_minor,
            rrn=rrn,
            date=request.at.strftime("%m%d"),
            code=str(outcome.code),
            standing=Standing.APPROVED if grant is not None else Standing.DECLINED,
            auth_code=_auth_code(request, grant, rrn),
            original=grant.original.key if grant is not None and grant.original is not None else None,
            requested_minor=request.amount_minor if outcome.code == Code.APPROVED_IN_PART else None,
        )
        self._ledger.record(booked)
        moved = 0
        if grant is not None:
            entry = effect(booked, booked.kind)
            self._ledger.post(entry)
            moved = entry.moved()
        return Decision(
            code=booked.code,
            what=What.APPROVED if grant is not None else What.DECLINED,
            note=_note(outcome),
            rrn=rrn,
            auth_code=booked.auth_code,
            card=card,
            effect_minor=moved,
            sealed_with=request.keys.mac if grant is not None else None,
            extra={4: f"{booked.amount_minor:012d}"} if booked.requested_minor is not None else None,
        )

    def _tell_balance(self, request: Request, presented: SimulatedCard | None, outcome: _Grant | Refusal) -> Decision:
        if isinstance(outcome, Refusal):
            return Decision(code=outcome.code, what=What.DECLINED, note=outcome.note, card=presented)
        sign = "C" if outcome.amount_minor >= 0 else "D"
        amount = f"{SAVINGS_AVAILABLE}{CNY.numeric}{sign}{abs(outcome.amount_minor):012d}"
        return Decision(
            code=outcome.code,
            what=What.APPROVED,
            rrn=self._ledger.next_rrn(request.at),
            card=outcome.card,
            sealed_with=request.keys.mac,
            extra={54: amount},
        )


def _note(outcome: _Grant | Refusal) -> str:
    if isinstance(outcome, Refusal):
        return outcome.note
    return "approved in part" if outcome.code == Code.APPROVED_IN_PART else ""


def _auth_code(request: Request, grant: _Grant | None, rrn: str) -> str:
    """Return field 38: a sale gets one of its own, a void repeats its sale's, a refund has none."""
    if grant is None or request.kind is Kind.REFUND:
        return ""
    return grant.original.auth_code if grant.original is not None else f"{int(rrn[4:]) % AUTH_CODES:06d}"
