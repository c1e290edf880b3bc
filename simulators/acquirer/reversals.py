"""Reversals: the terminal takes back what it does not know the outcome of.

Decided where sources are silent:
* A reversal of a declined or unknown original answers 25: nothing is left to undo. One of a refund, or of a sale that
  was voided or refunded in part, is not a valid transaction (12). A wrong amount or card (64, 14) ends nothing, because
  it is a mistake to look into.
* A reversal of something that never arrived is remembered, and the late original declined with 12. A naive host forgets
  it, and books the late original; no terminal can help that.
* The reversal of a void is honoured even when the card has spent the money meanwhile: the account then goes below zero,
  because the terminal must be able to end what it owes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from simulators.acquirer.answers import Decision
from simulators.acquirer.codes import Code
from simulators.acquirer.events import What
from simulators.acquirer.request import ON_PURPOSE, Refusal
from simulators.ledger import Standing, card_account, merchant_account, transfer

if TYPE_CHECKING:
    from simulators.acquirer.issuer import Issuer
    from simulators.acquirer.request import Request
    from simulators.ledger import Booked, Entry, Ledger

REVERSIBLE: Final = frozenset({Kind.SALE, Kind.VOID})


def effect(booked: Booked, by: Kind) -> Entry:
    """Make the entry of a transaction or, `by` a reversal, the one that takes it back."""
    source, target = card_account(booked.card), merchant_account(booked.merchant)
    if booked.is_debit == (by is Kind.REVERSAL):
        source, target = target, source
    return transfer(source, target, booked.amount_minor, key=booked.key, kind=by)


class Reversals:
    """Decides about reversals and books them."""

    def __init__(self, ledger: Ledger, issuer: Issuer, *, remembers_unknown: bool) -> None:
        """Take the books; `remembers_unknown=False` makes a naive host."""
        self._ledger = ledger
        self._issuer = issuer
        self._remembers = remembers_unknown

    def decide(self, request: Request) -> Decision:
        """Decide about one and book it."""
        if request.ruling.refusal is not None:
            return self._ended(request, request.ruling.refusal, What.DECLINED, ON_PURPOSE)
        original = self._ledger.find(request.key)
        if original is None:
            if self._remembers:
                self._ledger.remember_unseen(request.key)
            return self._ended(request, Code.NO_ORIGINAL, What.REVERSED_UNSEEN, "nothing under this STAN")
        if original.standing is Standing.DECLINED:
            return self._ended(request, Code.NO_ORIGINAL, What.DECLINED, "the original was declined")
        refusal = self._refusal(request, original)
        if refusal is not None:
            return self._ended(request, refusal.code, What.DECLINED, refusal.note)
        return self._take_back(request, original)

    def _take_back(self, request: Request, original: Booked) -> Decision:
        again = original.standing is Standing.REVERSED
        moved = 0
        if not again:
            entry = effect(original, Kind.REVERSAL)
            self._ledger.mark_reversed(original.key)
            self._ledger.post(entry)
            moved = entry.moved()
        return Decision(
            code=Code.APPROVED,
            what=What.REVERSED_BEFORE if again else What.REVERSED,
            note="came again" if again else "",
            rrn=original.rrn,
            card=self._issuer.named(original.card),
            effect_minor=moved,
            sealed_with=request.keys.mac,
        )

    def _refusal(self, request: Request, original: Booked) -> Refusal | None:
        key = original.key
        if original.kind not in REVERSIBLE or self._ledger.refunded(key) or self._ledger.voided_by(key) is not None:
            return Refusal(Code.INVALID_TRANSACTION, "it is a refund, or has been refunded or voided")
        if original.asked_minor != request.amount_minor:
            return Refusal(Code.WRONG_AMOUNT, "the original has another amount")
        card = self._issuer.named(original.card)
        if card is not None and request.message.get(2, card.pan.reveal()) != card.pan.reveal():
            return Refusal(Code.UNKNOWN_CARD, "the original was paid with another card")
        return None

    def _ended(self, request: Request, code: str, what: What, note: str) -> Decision:
        rrn = self._ledger.next_rrn(request.at)
        return Decision(code=code, what=what, note=note, rrn=rrn, sealed_with=request.keys.mac)
