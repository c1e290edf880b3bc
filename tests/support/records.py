"""Records as a terminal makes them: built by the UnionPay dialect of drafts, with cards of the test range."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pos_engine.clock import Instant
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Draft, Kind, OriginalRef
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.journal.record import Record, State
from pos_engine.journal.store import SqliteJournal
from pos_engine.values import Amount, Card, Identity, KeyBytes
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.journal.view import JournalView

IDENTITY: Final = Identity("T0000001", "M00000000000001")
SPEC: Final = UNIONPAY.spec
STORAGE_KEY: Final = KeyBytes(bytes(range(32)))
PAN: Final = "6229991357924683"
EXPIRY: Final = "3112"
TRACK: Final = f"{PAN}D{EXPIRY}2019876543210"
PIN_BLOCK: Final = bytes.fromhex("C1C2C3C4C5C6C7C8")
NOW: Final = Instant(1.5, "boot-1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
KEYS: Final = (
    WrappedKey(KeyUsage.PIN, bytes([0x11]) * 16, bytes([0x22]) * 4),
    WrappedKey(KeyUsage.MAC, bytes([0x33]) * 16, bytes([0x44]) * 4),
)
STRIPE: Final = Card.stripe(TRACK)
KEYED: Final = Card.keyed(PAN, EXPIRY)
BATCH: Final = "000001"


def counting_entropy() -> Callable[[int], bytes]:
    """Make a source of bytes that never gives the same twice, and the same ones in every run."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(8).rjust(size, b"\xa5")

    return entropy


def open_journal(
    path: Path,
    *,
    read_only: bool = False,
    identity: Identity = IDENTITY,
    storage_key: KeyBytes = STORAGE_KEY,
    entropy: Callable[[int], bytes] | None = None,
    mark_path: Path | None = None,
) -> SqliteJournal:
    """Open a journal as a terminal would, with test keys."""
    return SqliteJournal.open(
        path,
        spec=SPEC,
        identity=identity,
        storage_key=storage_key,
        entropy=entropy or counting_entropy(),
        read_only=read_only,
        mark_path=mark_path,
    )


def new_record(
    journal: JournalView,
    kind: Kind = Kind.SALE,
    *,
    card: Card = STRIPE,
    pin_block: bytes | None = PIN_BLOCK,
    batch: str = BATCH,
    original: Record | None = None,
    state: State = State.PENDING,
) -> Record:
    """Make the next record of a journal, not saved yet."""
    if kind is Kind.REVERSAL:
        assert original is not None
        return reversal(journal, original, state)
    stan, money = journal.next_stan(), kind is not Kind.SIGN_ON
    draft = Draft(
        row=UNIONPAY.kinds[kind],
        identity=IDENTITY,
        stan=stan,
        batch=batch,
        amount=Amount.cny("12.34") if money else None,
        card=card if money else None,
        pin_block=pin_block if money else None,
        original=OriginalRef(original.batch, original.stan, "0102") if original is not None else None,
    )
    return Record(
        number=journal.next_number(),
        kind=kind,
        state=state,
        stan=stan,
        batch=batch,
        request=Message(draft.row.mti, UNIONPAY.compose(draft)),
        opened=NOW,
        changed=NOW,
        amount=draft.amount,
        card=card.pan.masked if money else None,
        original=original.number if original is not None else None,
        attempts=1,
    )


def reversal(journal: JournalView, original: Record, state: State = State.PENDING) -> Record:
    """Make the reversal of a record, not saved yet."""
    return Record(
        number=journal.next_number(),
        kind=Kind.REVERSAL,
        state=state,
        stan=original.stan,
        batch=original.batch,
        request=UNIONPAY.compose_reversal(original.request, original.reason or "98", None, None),
        opened=NOW,
        changed=NOW,
        amount=original.amount,
        card=original.card,
        original=original.number,
        attempts=1,
    )


def answered(record: Record, state: State, code: str = "00") -> Record:
    """Give a record an answer, with everything in it that an answer may bring."""
    row = UNIONPAY.kinds[record.kind]
    echoed = {n: record.request[n] for n in (2, 3, 4, 11, 14, 41, 42, 49, 60) if n in record.request}
    fields = echoed | {12: "120000", 13: "0102", 37: "000000000001", 39: code}
    if record.kind is Kind.SIGN_ON:
        fields[62] = "".join((key.cryptogram + key.check_value).hex() for key in KEYS).upper()
    signed_on = record.kind is Kind.SIGN_ON and state is State.APPROVED
    return replace(
        record,
        state=state,
        answer=Message(row.answer_mti, fields),
        keys=KEYS if signed_on else (),
        new_batch=BATCH if signed_on else None,
    )
