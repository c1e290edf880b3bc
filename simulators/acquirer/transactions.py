"""Sale, refund and reversal: what the host decides about them, and what it writes into the ledger.

Decided where sources are silent:
* A STAN that was decided once is never decided again: another request under it, with whatever content, is a duplicate
  (94).
* A refund names its sale by field 61 and, unless it is all zeros, by the host's reference in field 37; then the sale
  may be another terminal's of the same merchant. What does not fit together, or was paid with another card, is "no
  original" (25).
* A reversal of a declined or unknown original answers 25: nothing is left to undo. One of a refund, or of a sale that
  was already refunded in part, is not a valid transaction (12). A wrong amount or card (64, 14) ends nothing, because
  it is a mistake to look into.
* A reversal of something that never arrived is remembered, and the late original declined with 12. A naive host forgets
  it, and books the late original; no terminal can help that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.values import CNY
from simulators.acquirer.answers import Decision
from simulators.acquirer.codes import Code
from simulators.acquirer.events import What
from simulators.cards import SimulatedCard
from simulators.ledger import Booked, Key, Standing, card_account, merchant_account, transfer
from simulators.scenario import Fault, Trigger

if TYPE_CHECKING:
    from datetime import datetime

    from pos_engine.wire.columns import Columns
    from pos_engine.wire.message import Message
    from simulators.acquirer.enrolment import WorkingKeys
    from simulators.acquirer.issuer import Issuer
    from simulators.ledger import Ledger

NO_RRN: Final = "000000000000"
"""Field 37 of a terminal that does not know it."""
NO_DATE: Final = "0000"
AUTH_CODES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """An authenticated request of a terminal that is signed on. `at` is the host's time."""

    message: Message
    kind: Kind
    key: Key
    merchant: str
    keys: WorkingKeys
    at: datetime
    trigger: Trigger | None = None

    @property
    def amount_minor(self) -> int:
        """Field 4 in fen."""
        return int(self.message[4])


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request is not granted."""

    code: str
    note: str


class Transactions:
    """Decides about money, with the ledger as its only memory but one: reversals of what never arrived."""

    def __init__(
        self, ledger: Ledger, issuer: Issuer, originals: Columns, *, remembers_unknown_reversals: bool
    ) -> None:
        """Take the books, the issuer and the layout of field 61."""
        self._ledger = ledger
        self._issuer = issuer
        self._originals = originals
        self._remembers = remembers_unknown_reversals
        self._reversed_unseen: set[Key] = set()
        self._serial = 0

    def decide(self, request: Request) -> Decision:
        """Decide about a request and book what follows from it."""
        if request.kind is Kind.REVERSAL:
            return self._reverse(request)
        if self._ledger.find(request.key) is not None:
            return Decision(code=Code.DUPLICATE, what=What.DECLINED, note="this STAN was decided before")
        found = self._issuer.identify(request.message)
        card = found if isinstance(found, SimulatedCard) else None
        original: Key | None = None
        outcome = self._refusal(request)
        if outcome is None and card is None:
            outcome = _Refusal(str(found), "no card, or none that this issuer knows")
        if outcome is None and card is not None:
            outcome, original = self._grant(request, card)
        return self._book(request, card, original, outcome)

    def _refusal(self, request: Request) -> _Refusal | None:
        """Look for a reason that has nothing to do with the card."""
        if request.trigger is not None and request.trigger.fault is Fault.DECLINE:
            return _Refusal(request.trigger.code or Code.INVALID_TRANSACTION, "the amount asks for it")
        if request.key in self._reversed_unseen:
            return _Refusal(Code.INVALID_TRANSACTION, "its reversal came first")
        if request.amount_minor == 0:
            return _Refusal(Code.INVALID_AMOUNT, "the amount is zero")
        if request.message[49] != CNY.numeric:
            return _Refusal(Code.INVALID_TRANSACTION, "the currency is not CNY")
        return None

    def _grant(self, request: Request, card: SimulatedCard) -> tuple[_Refusal | None, Key | None]:
        """Decide for this card; a refund also names its original."""
        if request.kind is Kind.REFUND:
            return self._find_refunded(request, card)
        code = self._issuer.authorise(card, request.message, request.keys.pin, request.at)
        return (None if code == Code.APPROVED else _Refusal(code, "the issuer declines")), None

    def _find_refunded(self, request: Request, card: SimulatedCard) -> tuple[_Refusal | None, Key | None]:
        sale = self._find_original(request)
        if sale is None or sale.kind is not Kind.SALE or sale.standing is not Standing.APPROVED:
            return _Refusal(Code.NO_ORIGINAL, "no such sale stands"), None
        if sale.card != card.name:
            return _Refusal(Code.NO_ORIGINAL, "the sale was paid with another card"), None
        if self._ledger.refunded(sale.key) + request.amount_minor > sale.amount_minor:
            return _Refusal(Code.WRONG_AMOUNT, "refunds would exceed the sale"), None
        return None, sale.key

    def _find_original(self, request: Request) -> Booked | None:
        part = self._originals.get
        named = request.message[61]
        batch, stan, date = (part(named, key) or "" for key in ("61.1", "61.2", "61.3"))
        rrn = request.message[37]
        own = Key(request.key.terminal, batch, stan)
        sale = self._ledger.find(own) if rrn == NO_RRN else self._ledger.find_rrn(rrn)
        if sale is None or sale.merchant != request.merchant or sale.key[1:] != (batch, stan):
            return None
        return sale if date in {NO_DATE, "", sale.date} else None

    def _book(
        self, request: Request, card: SimulatedCard | None, original: Key | None, refusal: _Refusal | None
    ) -> Decision:
        """File the decision; move the money when nothing speaks against it."""
        approved = refusal is None and card is not None
        rrn = self.next_rrn(request.at)
        booked = Booked(
            key=request.key,
            kind=request.kind,
            merchant=request.merchant,
            card=card.name if card is not None else "",
            amount_minor=request.amount_minor,
            rrn=rrn,
            date=request.at.strftime("%m%d"),
            code=str(refusal.code if refusal is not None else Code.APPROVED),
            standing=Standing.APPROVED if approved else Standing.DECLINED,
            auth_code=f"{self._serial % AUTH_CODES:06d}" if approved and request.kind is Kind.SALE else "",
            original=original,
        )
        self._ledger.record(booked)
        return Decision(
            code=booked.code,
            what=What.APPROVED if approved else What.DECLINED,
            note=refusal.note if refusal is not None else "",
            rrn=rrn,
            auth_code=booked.auth_code,
            card=card,
            effect_minor=self._move(booked, request.kind) if approved else 0,
            sealed_with=request.keys.mac if approved else None,
        )

    def _move(self, booked: Booked, kind: Kind) -> int:
        """Post what a transaction, or its reversal, moves; returns what came to the merchant."""
        source, target = card_account(booked.card), merchant_account(booked.merchant)
        if kind is not Kind.SALE:
            source, target = target, source
        entry = transfer(source, target, booked.amount_minor, key=booked.key, kind=kind)
        self._ledger.post(entry)
        return entry.moved()

    def _reverse(self, request: Request) -> Decision:
        original = self._ledger.find(request.key)
        if original is None and self._remembers:
            self._reversed_unseen.add(request.key)
        if original is None:
            return self._ended(request, Code.NO_ORIGINAL, What.REVERSED_UNSEEN, "nothing under this STAN")
        if original.standing is Standing.DECLINED:
            return self._ended(request, Code.NO_ORIGINAL, What.DECLINED, "the original was declined")
        refusal = self._reversal_refusal(request, original)
        if refusal is not None:
            return self._ended(request, refusal.code, What.DECLINED, refusal.note)
        again = original.standing is Standing.REVERSED
        if not again:
            self._ledger.mark_reversed(original.key)
        return Decision(
            code=Code.APPROVED,
            what=What.REVERSED_BEFORE if again else What.REVERSED,
            note="came again" if again else "",
            rrn=original.rrn,
            card=self._issuer.named(original.card),
            effect_minor=0 if again else self._move(original, Kind.REVERSAL),
            sealed_with=request.keys.mac,
        )

    def _reversal_refusal(self, request: Request, original: Booked) -> _Refusal | None:
        if original.kind is not Kind.SALE or self._ledger.refunded(original.key):
            return _Refusal(Code.INVALID_TRANSACTION, "it is a refund, or has been refunded")
        if original.amount_minor != request.amount_minor:
            return _Refusal(Code.WRONG_AMOUNT, "the original has another amount")
        card = self._issuer.named(original.card)
        if card is not None and request.message.get(2, card.pan.reveal()) != card.pan.reveal():
            return _Refusal(Code.UNKNOWN_CARD, "the original was paid with another card")
        return None

    def _ended(self, request: Request, code: str, what: What, note: str) -> Decision:
        return Decision(code=code, what=what, note=note, rrn=self.next_rrn(request.at), sealed_with=request.keys.mac)

    def next_rrn(self, at: datetime) -> str:
        """Return the next reference number of the host, field 37: month, day, and a count."""
        self._serial += 1
        return f"{at:%m%d}{self._serial:08d}"
