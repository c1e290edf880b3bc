"""What an order must satisfy before anything is asked of a cardholder, and what the card must before anything is sent.

Each refusal is a `UsageError`, and nothing was sent for the order then. Checks against history come after the duties
were worked off, so that nothing in doubt is taken for settled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, OnSilence, OriginalRef
from pos_engine.errors import UsageError
from pos_engine.journal.record import Record, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.view import JournalView
    from pos_engine.session.states import Session
    from pos_engine.values import Amount, Card

UNKNOWN_RRN: Final = "000000000000"
"""What a terminal sends that does not know the original's RRN."""

KEY_CHARACTERS_MAX: Final = 64
ONE_BYTE: Final = "\xff"
REPEAT_PREFIX: Final = "repeat of "
"""How the keys begin under which refused requests are repeated."""
UNSETTLED: Final = frozenset({State.PENDING, State.DOUBTFUL, State.APPROVED})
"""States that count against a limit: what may have been charged is taken for charged."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a download an order fetches: its number, what its request asks for (hex), and whose it is."""

    number: int
    asks: str = ""
    start: int | None = None
    """The number of the record that began the download; nothing for that one itself."""
    asked_by: int | None = None
    """Where it begins the download: the number of the record whose answer demanded it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a caller wants done."""

    kind: Kind
    amount: Amount | None = None
    original: OriginalRef | None = None
    """For a void or a refund: the sale it takes or gives back."""
    key: str | None = None
    """The caller's idempotency key: the same one again returns the first outcome."""
    allows_partial: bool = False
    """Whether the acquirer may approve a smaller amount."""
    expected: Amount | None = None
    """What the till says is due; an order for another amount is refused."""
    report: str = ""
    """For a status upload: what it tells."""
    page: Page | None = None
    """For a download: the page that is next."""
    note: str = ""
    """What the journal is to say of it, where the terminal orders something by itself or once more."""
    is_repeat: bool = False
    """Whether it repeats a refused request, under a key of the terminal's own making."""


def check_form(order: Order, profile: Profile) -> None:
    """Refuse an order that contradicts itself."""
    if order.kind in {Kind.VOID, Kind.REFUND} and order.original is None:
        reason = f"a {order.kind.value} names the sale it acts on"
        raise UsageError(reason)
    if order.kind in {Kind.SALE, Kind.REFUND} and (order.amount is None or order.amount.minor == 0):
        reason = "an amount above zero is needed"
        raise UsageError(reason)
    if order.expected is not None and order.amount != order.expected:
        reason = f"{order.amount} is not the {order.expected} that the till says is due"
        raise UsageError(reason)
    if order.kind is Kind.STATUS and not (order.report and max(order.report) <= ONE_BYTE):
        reason = "a status report has characters of one byte each, at least one"
        raise UsageError(reason)
    if order.page is None and order.kind in profile.dialect.page_kinds:
        reason = "a page is ordered by ordering its download"
        raise UsageError(reason)
    if order.kind is Kind.SALE and order.amount is not None:
        _check_currency(order.amount, profile)
    limit = profile.limits.transaction
    if order.kind is Kind.SALE and order.amount is not None and limit is not None and order.amount.minor > limit:
        reason = "the amount is above the limit for one transaction"
        raise UsageError(reason)


def _check_currency(amount: Amount, profile: Profile) -> None:
    """Limits are amounts of one currency: another one would pass them by."""
    if profile.limits.any_set and amount.currency != profile.limits.currency:
        reason = "with limits set, sales are in the limits' currency"
        raise UsageError(reason)


def check_key(key: str) -> None:
    """Refuse what cannot be an idempotency key."""
    if not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isprintable()):
        reason = f"an idempotency key has 1 to {KEY_CHARACTERS_MAX} printable characters"
        raise UsageError(reason)
    if key.startswith(REPEAT_PREFIX):
        reason = "an idempotency key begins another way: these are kept for repeats of what was refused"
        raise UsageError(reason)


def repeat_key(refused: Record) -> str:
    """Return the idempotency key under which a refused request is repeated."""
    return f"{REPEAT_PREFIX}{refused.batch} {refused.stan}"


def repeat_of(record: Record, journal: JournalView) -> Record | None:
    """Find the repeat of a refused request; one of which nothing left counts as never made."""
    repeat = journal.find_key(repeat_key(record))
    return None if repeat is None or repeat.state is State.UNSENT else repeat


def latest(record: Record, journal: JournalView) -> Record:
    """Follow a request through its repeats to the last one."""
    while (repeat := repeat_of(record, journal)) is not None:
        record = repeat
    return record


def check_repeat(order: Order, journal: JournalView) -> Record | None:
    """Find the request under the order's key, or its last repeat; `UsageError` when it was another kind, or for more.

    This comes before anything else, so that a till hears what became of it although the line is dead. A request of
    which nothing left counts as never made: starting again is safe.
    """
    if order.key is not None and not order.is_repeat:
        check_key(order.key)
    first = journal.find_key(order.key) if order.key is not None else None
    if first is None or first.state is State.UNSENT:
        return None
    other_amount = {order.amount, order.expected} - {None, requested(first)}
    if first.kind is not order.kind or other_amount or not _acts_on(first, order.original):
        reason = f"the key was used before, for another {first.kind.value} or amount"
        raise UsageError(reason)
    return latest(first, journal)


def _acts_on(request: Record, original: OriginalRef | None) -> bool:
    """Tell whether a void or refund named this original; an RRN that one side does not know says nothing."""
    if original is None:
        return True
    rrns = {request.request.get(37, UNKNOWN_RRN), original.rrn} - {UNKNOWN_RRN}
    return len(rrns) <= 1 and request.request.get(61, "").startswith(original.batch + original.stan)


def requested(record: Record) -> Amount | None:
    """Return the amount a request asked for; a partial approval has changed the record's own."""
    digits = record.request.get(4)
    return replace(record.amount, minor=int(digits)) if record.amount is not None and digits is not None else None


def check_history(order: Order, journal: JournalView, session: Session, profile: Profile, now: Instant) -> Order:
    """Refuse an order that does not fit what happened before; returns it with what history adds to it."""
    match order.kind:
        case Kind.REFUND:
            _check_refund(order, journal)
        case Kind.VOID:
            return _check_void(order, journal, session, now)
        case Kind.SALE:
            _check_day(order, journal, profile, now)
        case _:
            pass
    return order


def own_sale(original: OriginalRef, journal: JournalView) -> Record | None:
    """Find the original in this journal. The same batch and STAN with another RRN is another terminal's."""
    found = journal.find_original(original.batch, original.stan)
    rrn = found.answer.get(37) if found is not None and found.answer is not None else None
    return found if original.rrn in {rrn, UNKNOWN_RRN} else None


def is_reversed(acting: Iterable[Record]) -> bool:
    """Tell whether a reversal among the records that act on a request was accepted, for good."""
    return any(each.ends is not None for each in acting)


def is_voided(acting: Iterable[Record]) -> bool:
    """Tell whether a void among the records that act on a sale was approved."""
    return any(each.kind is Kind.VOID and each.state is State.APPROVED for each in acting)


def has_moved(record: Record) -> bool:
    """Tell whether money moved of which the terminal heard no answer in time: a person, or the host, said so since."""
    resolution = record.resolution
    return resolution is not None and resolution.moved is not None and (resolution.moved or record.late is not None)


def is_unknown(record: Record, restored: Record | None, dialect: Dialect) -> bool:
    """Tell whether a backup says of a request no more than that it may have been sent, so that only a person can act.

    `restored` is the newest restore of the journal.
    """
    if restored is None or record.number > restored.number:
        return False
    reversible = dialect.kinds[record.kind].on_silence is OnSilence.REVERSE
    return reversible and (record.state is State.PENDING or record.resolution is not None)


def is_settled(record: Record) -> bool:
    """Tell whether a person has said what became of a request in doubt."""
    return record.resolution is not None and record.resolution.moved is not None


def _approved_sale(sale: Record, acting: Iterable[Record]) -> Amount:
    if sale.kind is not Kind.SALE or sale.state is not State.APPROVED or sale.amount is None:
        reason = f"STAN {sale.stan} is not an approved sale"
        raise UsageError(reason)
    if is_voided(acting):
        reason = f"STAN {sale.stan} was voided"
        raise UsageError(reason)
    return sale.amount


def _check_refund(order: Order, journal: JournalView) -> None:
    original, amount = order.original, order.amount
    if original is None or amount is None:
        return
    _refuse_while_in_doubt(original, journal)
    sale = own_sale(original, journal)
    if sale is None:
        # Another terminal's sale may be refunded here; then only the host knows its amount.
        return
    acting = journal.acting_on(sale.number)
    sold = _approved_sale(sale, acting)
    given = sum(each.amount.minor for each in _refunds(acting) if each.amount is not None)
    if amount.currency != sold.currency or given + amount.minor > sold.minor:
        reason = f"refunds of STAN {sale.stan} would exceed the sale"
        raise UsageError(reason)


def _check_void(order: Order, journal: JournalView, session: Session, now: Instant) -> Order:
    """A void is of the whole amount, on the day and in the batch of the sale, and of nothing given back before."""
    sale = own_sale(order.original, journal) if order.original is not None else None
    if sale is None or order.original is None:
        reason = "only a sale of this terminal can be voided; a refund may be of any"
        raise UsageError(reason)
    if sale.batch != session.batch:
        reason = f"STAN {sale.stan} is of batch {sale.batch}, which is closed: refund it instead"
        raise UsageError(reason)
    if sale.day != now.wall.date().isoformat():
        reason = f"STAN {sale.stan} was sold on another day: refund it instead"
        raise UsageError(reason)
    _refuse_while_in_doubt(order.original, journal)
    acting = journal.acting_on(sale.number)
    sold = _approved_sale(sale, acting)
    if any(_refunds(acting)):
        reason = f"STAN {sale.stan} was refunded in part and cannot be voided"
        raise UsageError(reason)
    if order.amount is not None and order.amount != sold:
        reason = f"a void is of the whole amount, {sold}"
        raise UsageError(reason)
    return replace(order, amount=sold)


def _refunds(acting: Iterable[Record]) -> list[Record]:
    return [each for each in acting if each.kind is Kind.REFUND and (each.state is State.APPROVED or has_moved(each))]


def _refuse_while_in_doubt(original: OriginalRef, journal: JournalView) -> None:
    """Refuse to act on a sale while a refund or void of it is in doubt, whoever's sale it was."""
    for each in journal.open_records((Kind.REFUND, Kind.VOID)):
        if each.resolution is None and _acts_on(each, original):
            reason = f"a {each.kind.value} of STAN {original.stan} is in doubt: what became of it has to be known first"
            raise UsageError(reason)


def _check_day(order: Order, journal: JournalView, profile: Profile, now: Instant) -> None:
    limit = profile.limits.day
    if limit is None or order.amount is None:
        return
    if _sold_today(journal, now) + order.amount.minor > limit:
        reason = "the amount is above what is left of the limit for one day"
        raise UsageError(reason)


def check_card(order: Order, card: Card, journal: JournalView, profile: Profile, now: Instant) -> None:
    """Refuse a card: another one than paid, or one that has spent its limit for the day.

    Cards are told apart by their first six and last four digits, which is all that the journal keeps of them; two cards
    that share these share the limit.
    """
    masked = card.pan.masked
    if order.original is not None:
        sale = own_sale(order.original, journal)
        if sale is not None and sale.card != masked:
            reason = f"STAN {sale.stan} was paid with another card"
            raise UsageError(reason)
    limit = profile.limits.card_day
    if order.kind is not Kind.SALE or limit is None or order.amount is None:
        return
    if _sold_today(journal, now, masked) + order.amount.minor > limit:
        reason = "the amount is above what is left of the limit for one card and day"
        raise UsageError(reason)


def _sold_today(journal: JournalView, now: Instant, card: str | None = None) -> int:
    """Add up what was sold, or may have been, on this day of the wall clock and was not taken back."""
    day = now.wall.date().isoformat()
    sales = (each for each in journal.of_day(Kind.SALE, day) if card is None or each.card == card)
    total = 0
    for each in sales:
        acting = journal.acting_on(each.number)
        taken_back = is_reversed(acting) or is_voided(acting)
        if each.state in UNSETTLED and each.amount is not None and not taken_back:
            total += each.amount.minor
    return total
