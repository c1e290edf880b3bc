"""What the host refused until the terminal signs on, and its repeat: a new request, under a new STAN.

Nothing was charged for what was refused, so it may be repeated, once for each refusal: the repeat's idempotency key is
made of the refused request's numbers, so asking twice sells once, and whoever asks by the first key hears of the last
repeat. The PIN block is under the old key and a chip's cryptogram is spent, so reader and PIN pad are asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, Verdict
from pos_engine.errors import UsageError
from pos_engine.flow.checks import Order, is_reversed, repeat_key, repeat_of, requested
from pos_engine.flow.outcomes import Approved, outcome_of
from pos_engine.flow.responses import allows_partial
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect, OriginalRef
    from pos_engine.flow.effects import Presented
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView

ENTRIES_WITHOUT_CHIP: Final = frozenset({"01", "02"})
"""Keyed and stripe: what was read can be sent once more."""


def may_be_repeated(record: Record, journal: JournalView, dialect: Dialect) -> bool:
    """Tell whether the host refused a request about money until a sign-on, and for certain charged nothing for it.

    What a backup holds may have been repeated since: nobody knows. Where something reverses the request, that has to
    be over: the host may have approved it late.
    """
    row = dialect.kinds.get(record.kind)
    restored = journal.last_approved(Kind.RESTORE)
    if row is None or not (row.financial and row.takes_card):
        return False
    if restored is not None and record.number < restored.number:
        return False
    is_demand = record.code is not None and dialect.meaning(record.code).verdict is Verdict.SIGN_ON
    acting = journal.acting_on(record.number)
    is_plain = record.state is State.DECLINED and not any(each.kind is Kind.REVERSAL for each in acting)
    return is_demand and (is_plain or is_reversed(acting))


def repeat_order(record: Record, journal: JournalView, dialect: Dialect) -> Order:
    """Make the order that repeats a refused request; where it was repeated, that order tells what became of it.

    Raises `UsageError` when it was not refused until a sign-on, or when it names a sale that only the host knows.
    """
    while (repeat := repeat_of(record, journal)) is not None and may_be_repeated(repeat, journal, dialect):
        record = repeat
    if repeat is None and not may_be_repeated(record, journal, dialect):
        reason = f"STAN {record.stan} was not refused until a sign-on, or not for certain: there is nothing to repeat"
        raise UsageError(reason)
    return Order(
        kind=record.kind,
        amount=None if record.kind is Kind.VOID else requested(record),
        original=_original(record, journal, dialect),
        key=repeat_key(record),
        allows_partial=allows_partial(record.request, dialect),
        note=f"repeats STAN {record.stan} of batch {record.batch}, refused with code {record.code}",
        is_repeat=True,
    )


def goes_by_itself(presented: Presented | None) -> bool:
    """Tell whether nobody is needed for a repeat: there was no PIN, and no chip."""
    return presented is not None and presented.pin_block is None and presented.card.entry in ENTRIES_WITHOUT_CHIP


def _original(record: Record, journal: JournalView, dialect: Dialect) -> OriginalRef | None:
    if record.kind not in {Kind.VOID, Kind.REFUND}:
        return None
    sale = journal.find(record.original) if record.original is not None else None
    outcome = outcome_of(sale, dialect) if sale is not None else None
    if not isinstance(outcome, Approved):
        reason = f"STAN {record.stan} names a sale of another terminal: order it anew"
        raise UsageError(reason)
    return outcome.reference
