"""What a caller is told: `Approved`, `Declined` or `InDoubt`.

A decline is a value, not an exception; doubt is a state with a duty. All three are read off a durable record, so asking
again later gives the same answer.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import REVERSAL_REASONS, Kind, OnSilence, OriginalRef
from pos_engine.flow.checks import has_moved, is_reversed, is_settled, is_unknown, is_voided, requested
from pos_engine.journal.record import State
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pos_engine.dialects.base import Dialect, ResponseCode
    from pos_engine.journal.record import Record
    from pos_engine.values import Amount, Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The acquirer did what was asked, and the journal holds it."""

    kind: Kind
    stan: str
    batch: str
    code: ResponseCode
    amount: Amount | None = None
    rrn: str | None = None
    """Retrieval reference number, field 37."""
    auth_code: str | None = None
    card: str | None = None
    """First six and last four digits."""
    host_date: str = "0000"
    """MMDD of the host, field 13."""
    at: datetime | None = None
    """When the terminal recorded it, by its wall clock."""
    requested: Amount | None = None
    """What was asked for; more than `amount` when the approval was partial."""
    balance: Balance | None = None
    """What an inquiry found."""

    @property
    def reference(self) -> OriginalRef:
        """What a later refund needs to name this transaction."""
        return OriginalRef(self.batch, self.stan, self.host_date, self.rrn or "0" * 12, self.auth_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The acquirer refused; no money moved."""

    kind: Kind
    stan: str
    batch: str
    code: ResponseCode
    amount: Amount | None = None
    card: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Nobody at this end knows whether money moved; `duty` says what the terminal does about it until somebody does."""

    kind: Kind
    stan: str
    batch: str
    why: Text
    duty: Text
    amount: Amount | None = None
    card: str | None = None
    notes: tuple[str, ...] = field(default=())


Outcome = Approved | Declined | InDoubt


class Standing(enum.Enum):
    """Where a request stands now, its reversal included: derived from the records each time, written nowhere."""

    APPROVED = "approved"
    DECLINED = "declined"
    IN_DOUBT = "in doubt"
    REVERSED = "reversed"
    VOIDED = "voided"
    SETTLED = "settled by a person"
    UNSENT = "not sent"


STANDINGS: Final[Mapping[Standing, Text]] = {
    Standing.APPROVED: Text("approved", "批准"),
    Standing.DECLINED: Text("declined", "拒绝"),
    Standing.IN_DOUBT: Text("in doubt", "结果未知"),
    Standing.REVERSED: Text("reversed", "已冲正"),
    Standing.VOIDED: Text("voided", "已撤销"),
    Standing.SETTLED: Text("settled by a person", "已人工处理"),
    Standing.UNSENT: Text("not sent", "未发送"),
}
"""Each standing in words."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the terminal's history; everything in it is safe to show."""

    kind: Kind
    stan: str
    batch: str
    standing: Standing
    code: str | None
    amount: Amount | None
    card: str | None
    at: datetime
    """When it was begun, by the terminal's wall clock."""
    found_moved: bool = False
    """Whether a person found out that the money moved."""

    @property
    def about_money(self) -> bool:
        """Whether it is a request that moves money; a reversal is told by the standing of what it reverses."""
        return self.kind in _SIGNS

    @property
    def moved_minor(self) -> int:
        """What this request moved to the merchant for good, as far as the terminal knows."""
        # A voided sale did move; its void moved the same back.
        moved = self.standing in {Standing.APPROVED, Standing.VOIDED} or self.found_moved
        if not moved or self.amount is None:
            return 0
        return _SIGNS.get(self.kind, 0) * self.amount.minor


_SIGNS = {Kind.SALE: 1, Kind.VOID: -1, Kind.REFUND: -1}
"""Which way the money goes, seen from the merchant."""

_STANDINGS = {State.APPROVED: Standing.APPROVED, State.DECLINED: Standing.DECLINED, State.UNSENT: Standing.UNSENT}


def line_of(record: Record, acting: Sequence[Record]) -> Line:
    """Tell where a record stands, given the records that act on it."""
    standing = _STANDINGS.get(record.state, Standing.IN_DOUBT)
    if is_reversed(acting):
        standing = Standing.REVERSED
    elif standing is Standing.APPROVED and is_voided(acting):
        standing = Standing.VOIDED
    elif is_settled(record):
        standing = Standing.SETTLED
    counts = standing in {Standing.APPROVED, Standing.DECLINED, Standing.VOIDED}
    code = record.code if counts else None
    return Line(
        kind=record.kind,
        stan=record.stan,
        batch=record.batch,
        standing=standing,
        code=code,
        amount=record.amount,
        card=record.card,
        at=record.opened.wall,
        found_moved=has_moved(record),
    )


UNRESOLVED: Final = Text(
    "the host does not accept its reversal: a supervisor has to take it over; it is sent on until the host accepts it",
    "主机多次未受理冲正, 须由主管人工确认; 确认后仍将继续冲正",
)
TAKEN_OVER: Final = Text(
    "a supervisor has taken it over; its reversal is sent on until the host accepts it",
    "主管已确认, 冲正将继续发送直至受理",
)
FOUND: Final = {
    True: Text("a person found out that the money moved", "经人工查询, 资金已变动"),
    False: Text("a person found out that no money moved", "经人工查询, 资金未变动"),
}
REVERSED = Text("it was reversed since: nothing was charged", "已冲正, 未扣款")
DUTIES = {
    OnSilence.REVERSE: Text("it will be reversed before anything else is sent", "下一笔交易前将自动冲正"),
    OnSilence.REPEAT: Text("it will be sent again until the host accepts it", "将重复发送直至主机受理"),
    OnSilence.ASK: Text(
        "it is not repeated by itself: ask the acquirer what became of it", "不会自动重发, 请向收单机构查询"
    ),
    OnSilence.FORGET: Text("no money was at stake", "不涉及资金"),
}


def outcome_of(
    record: Record, dialect: Dialect, acting: Sequence[Record] = (), restored: Record | None = None
) -> Outcome | None:
    """Read the outcome off a record; `None` for a record that was never sent.

    `acting` are the records that act on it: once its reversal was accepted, nothing is owed for a doubt any more.
    """
    if record.state is State.UNSENT:
        return None
    if record.state is State.APPROVED:
        return _approved(record, dialect)
    if record.state is State.DECLINED:
        code = dialect.meaning(record.code or "")
        return Declined(
            kind=record.kind, stan=record.stan, batch=record.batch, code=code, amount=record.amount, card=record.card
        )
    return InDoubt(
        kind=record.kind,
        stan=record.stan,
        batch=record.batch,
        why=REVERSAL_REASONS.get(record.reason or "98", REVERSAL_REASONS["06"]),
        duty=duty_of(record, dialect, acting, restored),
        amount=record.amount,
        card=record.card,
        notes=record.notes,
    )


def duty_of(record: Record, dialect: Dialect, acting: Sequence[Record], restored: Record | None = None) -> Text:
    """Say what becomes of a doubt: what the terminal does about it, or what was done.

    `acting` are the records that act on it, `restored` the newest restore of the journal.
    """
    if is_reversed(acting):
        return REVERSED
    if is_settled(record):
        return FOUND[has_moved(record)]
    if is_unknown(record, restored, dialect):
        return DUTIES[OnSilence.ASK]
    reversals = [each for each in (record, *acting) if each.kind is Kind.REVERSAL and each.state is State.DOUBTFUL]
    if any(each.resolution is not None for each in reversals):
        return TAKEN_OVER
    if any(each.sent >= limits.UNRESOLVED_ATTEMPTS for each in reversals):
        return UNRESOLVED
    return DUTIES[dialect.kinds[record.kind].on_silence]


def _approved(record: Record, dialect: Dialect) -> Approved:
    answer: Mapping[int, str] = record.answer or {}
    return Approved(
        kind=record.kind,
        stan=record.stan,
        batch=record.new_batch or record.batch,
        code=dialect.meaning(record.code or ""),
        amount=record.amount,
        rrn=answer.get(37),
        auth_code=answer.get(38),
        card=record.card,
        host_date=answer.get(13, "0000"),
        at=record.changed.wall,
        requested=requested(record),
        balance=dialect.read_balance(record.answer) if record.answer is not None else None,
    )
