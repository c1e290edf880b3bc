"""What the disk campaigns have a journal keep: every kind of change it knows, and what must be there after each.

A story is lived by several processes, one after another, on the same folder. All of it is computed here, without a
journal, so that what is expected does not come from what is tested.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pos_engine.clock import Instant
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Draft, Kind, OriginalRef
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.journal.record import Record, State, freeze
from pos_engine.journal.store import SqliteJournal
from pos_engine.values import Amount, Card, Identity, KeyBytes
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

IDENTITY: Final = Identity("T0000001", "M00000000000001")
STORAGE_KEY: Final = KeyBytes(bytes(range(32)))
KEYED: Final = Card.keyed("6229991357924683", "3112")
STRIPE: Final = Card.stripe("6229991357924683D31122019876543210")
PIN_BLOCK: Final = bytes.fromhex("C1C2C3C4C5C6C7C8")
BATCH: Final = "000001"
NOW: Final = Instant(1.5, "boot-1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
KEYS: Final = (
    WrappedKey(KeyUsage.PIN, bytes([0x11]) * 16, bytes([0x22]) * 4),
    WrappedKey(KeyUsage.MAC, bytes([0x33]) * 16, bytes([0x44]) * 4),
)
ECHOED: Final = (3, 4, 11, 41, 42, 49, 60)

Shred = tuple[int, ...]
"""The numbers of records whose card data is destroyed."""
Change = Record | Shred


@dataclass(frozen=True, slots=True)
class Session:
    """One life of a process that uses the journal: what it does, and whether it closes it or just ends."""

    changes: tuple[Change, ...]
    closes: bool = False
    filling: int = 0
    """So many of the first changes only fill the write-ahead log; no power is lost during them."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a journal must hold: every form of every record in order, and the card data that is still sealed."""

    bodies: tuple[str, ...] = ()
    sealed: frozenset[tuple[int, bytes]] = frozenset()

    def after(self, change: Change) -> Held:
        """Return what must be there after one more change."""
        if isinstance(change, tuple):
            return replace(self, sealed=frozenset(each for each in self.sealed if each[0] not in change))
        rest = freeze(change, UNIONPAY.spec)
        is_new = change.number > self.records()
        kept = {(change.number, rest.card_data)} if is_new and rest.card_data else set()
        return Held((*self.bodies, rest.body), self.sealed | kept)

    def records(self) -> int:
        """Return how many records there are: their numbers begin at 1 and have no gap."""
        return len({body.partition('"number":')[2].partition(",")[0] for body in self.bodies})


def expected(sessions: Iterable[Session]) -> tuple[Held, ...]:
    """Return what must be there after no change, after the first, and so on."""
    held = [Held()]
    for session in sessions:
        for change in session.changes:
            held.append(held[-1].after(change))
    return tuple(held)


class Author:
    """Writes a story's records with the numbers a journal would give."""

    def __init__(self) -> None:
        """Begin with the first record."""
        self._next = 1

    def begin(self, kind: Kind = Kind.SALE, card: Card = KEYED, original: Record | None = None) -> Record:
        """Return a new record whose intent is to be saved."""
        row, money = UNIONPAY.kinds[kind], kind is not Kind.SIGN_ON
        number = self._take()
        draft = Draft(
            row=row,
            identity=IDENTITY,
            stan=f"{number:06}",
            batch=BATCH,
            amount=Amount.cny("12.34") if money else None,
            card=card if money else None,
            pin_block=PIN_BLOCK if money and original is None else None,
            original=None if original is None else OriginalRef(original.batch, original.stan, "0102"),
        )
        return Record(
            number=number,
            kind=kind,
            state=State.PENDING,
            stan=draft.stan,
            batch=BATCH,
            request=Message(row.mti, UNIONPAY.compose(draft)),
            opened=NOW,
            changed=NOW,
            amount=draft.amount,
            card=card.pan.masked if money else None,
            original=None if original is None else original.number,
            attempts=1,
        )

    def reverse(self, original: Record) -> Record:
        """Return the reversal of a record."""
        return Record(
            number=self._take(),
            kind=Kind.REVERSAL,
            state=State.PENDING,
            stan=original.stan,
            batch=original.batch,
            request=UNIONPAY.compose_reversal(original.request, "98", None, None),
            opened=NOW,
            changed=NOW,
            amount=original.amount,
            card=original.card,
            original=original.number,
            attempts=1,
        )

    def _take(self) -> int:
        self._next += 1
        return self._next - 1


def approved(record: Record) -> Record:
    """Give a record an approval."""
    fields = {n: record.request[n] for n in ECHOED if n in record.request}
    fields |= {12: "120000", 13: "0102", 37: "000000000001", 39: "00"}
    answer = Message(UNIONPAY.kinds[record.kind].answer_mti, fields)
    done = replace(record, state=State.APPROVED, answer=answer)
    return replace(done, keys=KEYS, new_batch=BATCH) if record.kind is Kind.SIGN_ON else done


def doubtful(record: Record, attempts: int = 1) -> Record:
    """Leave a record without an answer."""
    return replace(record, state=State.DOUBTFUL, reason="98", attempts=attempts)


def everyday() -> tuple[Session, ...]:
    """Write a day: sign-on, sales, a reversal tried twice, a refund, card data destroyed, ends and starts between."""
    author = Author()
    sign_on = author.begin(Kind.SIGN_ON)
    sale, lost = author.begin(), author.begin(card=STRIPE)
    first: tuple[Change, ...] = (sign_on, approved(sign_on), sale, approved(sale), lost, doubtful(lost))
    back = author.reverse(lost)
    second: tuple[Change, ...] = (back, doubtful(back), doubtful(back, 2), approved(back), (2, 3))
    other = author.begin()
    refund = author.begin(Kind.REFUND, original=other)
    third: tuple[Change, ...] = (other, approved(other), refund, approved(refund), (other.number, refund.number))
    last = author.begin()
    return (
        Session(first),
        Session(second, closes=True),
        Session(third),
        Session((last, approved(last), (last.number,)), closes=True),
    )


def long_day() -> tuple[Session, ...]:
    """Write so much that SQLite copies its log into the file by itself and begins the log again from its start."""
    author = Author()
    changes: list[Change] = []
    for _ in range(LONG_DAY_SALES):
        sale = author.begin()
        changes += [sale, approved(sale)]
    filling = len(changes) - LONG_DAY_WATCHED
    last = author.begin()
    return Session(tuple(changes), filling=filling), Session((last, approved(last)), closes=True)


LONG_DAY_SALES: Final = 98
"""The log passes SQLite's limit of 1000 pages some changes before the last."""
LONG_DAY_WATCHED: Final = 16
AFTERWARDS: Final = 1 << 40
"""Where the entropy of a recovery begins: far from what any writer drew."""
STORIES: Final[Mapping[str, Callable[[], tuple[Session, ...]]]] = {"everyday": everyday, "long day": long_day}


def next_sale(journal: SqliteJournal) -> Record:
    """Return one more sale that a journal can take, whatever it holds."""
    number, stan = journal.next_number(), journal.next_stan()
    sale = Author().begin(card=STRIPE)
    return replace(sale, number=number, stan=stan, request=sale.request.replace({11: stan}))


def live(journal: SqliteJournal, session: Session) -> Iterator[None]:
    """Make a session's changes; yields before the first and after each."""
    yield
    for change in session.changes:
        if isinstance(change, tuple):
            journal.shred(change)
        else:
            journal.save(change)
        yield


def counting_entropy(start: int = 0) -> Callable[[int], bytes]:
    """Make a source of bytes that never gives the same twice, and the same ones in every run."""
    count = start

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(count.to_bytes(8)).digest(size)

    return entropy


def open_journal(
    path: Path, *, read_only: bool = False, entropy: Callable[[int], bytes] | None = None
) -> SqliteJournal:
    """Open a journal as a terminal does, with test keys."""
    return SqliteJournal.open(
        path,
        spec=UNIONPAY.spec,
        identity=IDENTITY,
        storage_key=STORAGE_KEY,
        entropy=entropy or counting_entropy(AFTERWARDS),
        read_only=read_only,
    )
