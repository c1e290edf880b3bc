"""New exchanges as records in state DRAFT: what the caller ordered, and the reversal an original owes.

Checks that concern money stand here, before anything is asked of a cardholder: an amount above zero, an original that
exists, refunds that together stay within it, no refund while another of the same original is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Draft, Kind, OriginalRef, Verdict
from pos_engine.errors import LocalProtocolError, UsageError
from pos_engine.flow.responses import verdict_of
from pos_engine.flow.states import REVERSAL_REASONS, Cue
from pos_engine.journal.record import Record, State
from pos_engine.wire import codec
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Presented
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView
    from pos_engine.session.states import Session
    from pos_engine.values import Amount

UNKNOWN_RRN: Final = "000000000000"
"""What a terminal sends that does not know the original's RRN."""

UNWANTED_REASON: Final = REVERSAL_REASONS[Cue.UNWANTED]

DEFAULT_REASON: Final = "98"
"""Field 39 of a reversal whose cause was lost with the power: no answer was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a caller wants done."""

    kind: Kind
    amount: Amount | None = None
    original: OriginalRef | None = None
    """For a refund: the sale it gives back."""


def check(order: Order, journal: JournalView) -> None:
    """Refuse an order that cannot be, with a `UsageError`."""
    if order.kind is Kind.SIGN_ON:
        return
    if order.amount is None or order.amount.minor == 0:
        reason = "an amount above zero is needed"
        raise UsageError(reason)
    if order.kind is Kind.REFUND:
        _check_refund(order, order.amount, journal)


def _check_refund(order: Order, amount: Amount, journal: JournalView) -> None:
    if order.original is None:
        reason = "a refund names the sale it gives back"
        raise UsageError(reason)
    _refuse_while_in_doubt(order.original, journal)
    sale = own_sale(order.original, journal)
    if sale is None:
        # Another terminal's sale may be refunded here; then only the host knows its amount.
        return
    if sale.kind is not Kind.SALE or sale.state is not State.APPROVED or sale.amount is None:
        reason = f"STAN {sale.stan} is not an approved sale"
        raise UsageError(reason)
    refunds = [each for each in journal.acting_on(sale.number) if each.kind is Kind.REFUND]
    given = sum(each.amount.minor for each in refunds if each.state is State.APPROVED and each.amount)
    if amount.currency != sale.amount.currency or given + amount.minor > sale.amount.minor:
        reason = f"refunds of STAN {sale.stan} would exceed the sale"
        raise UsageError(reason)


def _refuse_while_in_doubt(original: OriginalRef, journal: JournalView) -> None:
    """Refuse a refund while another of the same sale is in doubt, whoever's sale it was."""
    named = original.batch + original.stan
    for each in journal.open_records((Kind.REFUND,)):
        if each.request.get(61, "").startswith(named) and each.request.get(37) == original.rrn:
            reason = f"a refund of STAN {original.stan} is in doubt: ask the acquirer what became of it first"
            raise UsageError(reason)


def own_sale(original: OriginalRef, journal: JournalView) -> Record | None:
    """Find the original in this journal. The same batch and STAN with another RRN is another terminal's."""
    found = journal.find_original(original.batch, original.stan)
    rrn = found.answer.get(37) if found is not None and found.answer is not None else None
    return found if original.rrn in {rrn, UNKNOWN_RRN} else None


def draft(
    order: Order,
    journal: JournalView,
    profile: Profile,
    now: Instant,
    *,
    session: Session,
    presented: Presented | None = None,
) -> Record:
    """Build the record of a new exchange, with the next STAN and the batch in force."""
    row = profile.dialect.kinds[order.kind]
    card = presented.card if presented is not None else None
    pin_block = presented.pin_block if presented is not None else None
    details = Draft(
        row=row,
        identity=profile.identity,
        stan=journal.next_stan(),
        batch=session.batch,
        amount=order.amount,
        card=card,
        pin_block=pin_block.reveal() if pin_block is not None else None,
        original=order.original,
        operator=profile.operator,
    )
    original = own_sale(order.original, journal) if order.original else None
    if original is not None and card is not None and original.card != card.pan.masked:
        reason = f"STAN {original.stan} was paid with another card"
        raise UsageError(reason)
    return Record(
        number=journal.next_number(),
        kind=order.kind,
        state=State.DRAFT,
        stan=details.stan,
        batch=details.batch,
        request=_compose(details, profile),
        opened=now,
        changed=now,
        amount=order.amount,
        card=card.pan.masked if card is not None else None,
        original=original.number if original is not None else None,
    )


def _compose(details: Draft, profile: Profile) -> Message:
    fields = profile.dialect.compose(details)
    lacking = details.row.needed - set(fields)
    if lacking:
        reason = f"a {details.row.kind.value} request lacks fields {', '.join(map(str, sorted(lacking)))}"
        raise LocalProtocolError(reason)
    message = Message(details.row.mti, fields)
    # What cannot be encoded must not be journalled: it could neither be sent nor reversed.
    codec.encode(message, profile.dialect.spec)
    return message


def draft_reversal(original: Record, journal: JournalView, profile: Profile, now: Instant) -> Record:
    """Build the reversal of a record in doubt: same STAN, same batch, the reason the doubt has."""
    answer: Mapping[int, str] = original.answer or {}
    request = profile.dialect.compose_reversal(
        original.request, original.reason or DEFAULT_REASON, answer.get(38), answer.get(13)
    )
    return Record(
        number=journal.next_number(),
        kind=Kind.REVERSAL,
        state=State.DRAFT,
        stan=original.stan,
        batch=original.batch,
        request=request,
        opened=now,
        changed=now,
        amount=original.amount,
        card=original.card,
        original=original.number,
        approval_proven=original.reason == UNWANTED_REASON
        and verdict_of(Message("", answer), profile.dialect) is Verdict.APPROVAL,
    )
