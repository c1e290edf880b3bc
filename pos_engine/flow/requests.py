"""New exchanges as records in state DRAFT: what the caller ordered, and the reversal that an original owes.

A draft is encoded once before anybody may save it: what cannot be encoded could neither be sent nor reversed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.mac import MAC_SIZE
from pos_engine.dialects.base import Draft, Kind, Verdict, pack
from pos_engine.errors import LocalProtocolError
from pos_engine.flow.checks import own_sale
from pos_engine.flow.responses import verdict_of
from pos_engine.flow.states import REVERSAL_REASONS, Cue
from pos_engine.journal.record import Record, State
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.clock import Instant
    from pos_engine.flow.checks import Order
    from pos_engine.flow.effects import Presented
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView
    from pos_engine.session.states import Session
    from pos_engine.values import EncipheredTrack

UNWANTED_REASON: Final = REVERSAL_REASONS[Cue.UNWANTED]

DEFAULT_REASON: Final = "98"
"""Field 39 of a reversal whose cause was lost with the power: no answer was seen."""


def draft(
    order: Order,
    journal: JournalView,
    profile: Profile,
    now: Instant,
    *,
    session: Session,
    presented: Presented | None = None,
    track: EncipheredTrack | None = None,
) -> Record:
    """Build the record of a new exchange, with the next STAN and the batch in force.

    `track` is the presented card's, where the key scheme has it enciphered.
    """
    row = profile.dialect.kinds[order.kind]
    card = presented.card if presented is not None else None
    pin_block = presented.pin_block if presented is not None else None
    page = order.page
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
        allows_partial=order.allows_partial,
        report=order.report,
        asks=page.asks if page is not None else "",
        enciphered_track=track,
    )
    original = own_sale(order.original, journal) if order.original else None
    acts_on = original.number if original is not None else None
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
        original=page.start if page is not None else acts_on,
        key=order.key,
        notes=(order.note,) if order.note else (),
        page=page.number if page is not None else None,
        asked_by=page.asked_by if page is not None else None,
    )


def _compose(details: Draft, profile: Profile) -> Message:
    fields = profile.dialect.compose(details)
    lacking = details.row.needed - set(fields)
    if lacking:
        reason = f"a {details.row.kind.value} request lacks fields {', '.join(map(str, sorted(lacking)))}"
        raise LocalProtocolError(reason)
    message = Message(details.row.mti, fields)
    pack(profile.dialect, message, tpdu=None, header=None, mac=_no_mac if details.row.mac else None)
    return message


def _no_mac(_covered: bytes) -> bytes:
    """Stand in for the MAC that is made when the message is sent."""
    return bytes(MAC_SIZE)


def draft_reversal(original: Record, journal: JournalView, profile: Profile, now: Instant) -> Record:
    """Build the reversal of a record in doubt: same STAN, same batch, the reason the doubt has.

    Where the host approved late, the reversal names that approval, and only acceptance ends it.
    """
    late = next((each.late for each in (original, *journal.acting_on(original.number)) if each.late is not None), None)
    known: Mapping[int, str] = {**(late or {}), **(original.answer or {})}
    reason = original.reason or DEFAULT_REASON
    request = profile.dialect.compose_reversal(original.request, reason, known.get(38), known.get(13))
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
        approval_proven=late is not None or _is_unwanted_approval(original, profile),
    )


def _is_unwanted_approval(original: Record, profile: Profile) -> bool:
    answer = original.answer
    is_approval = answer is not None and verdict_of(answer, profile.dialect) is Verdict.APPROVAL
    return is_approval and original.reason == UNWANTED_REASON
