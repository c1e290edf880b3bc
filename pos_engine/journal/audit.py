"""Is a journal whole? Every byte that counts is read before the first record is believed.

The chain shows that no entry was changed, removed or inserted; the high-water mark, that none is missing at the end.
What is searched must be what was chained, and every record that was saved with card data must still have it, or the
receipt for its erasure. Nothing is repaired: whatever differs is refused, and the files are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal import schema
from pos_engine.journal.mark import highest
from pos_engine.journal.record import thaw
from pos_engine.journal.sealing import GENESIS, Head, Sealing

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from pos_engine.journal.record import Record

KEEP: Final = "the journal is refused as it is, keep it as evidence"
ABOUT: Final = "SELECT name, value FROM about"
ENTRIES: Final = "SELECT seq, number, sealed, body, digest FROM entries ORDER BY seq"
INDEX: Final = """
    SELECT c.number, c.kind, c.state, c.stan, c.batch, c.original, c.demanded_after, c.ends, c.key, c.day, c.wanted,
        c.seq, e.body
    FROM current c LEFT JOIN entries e ON e.seq = c.seq ORDER BY c.number"""
SEALS: Final = "SELECT number, wrapped, box FROM seals"
RECEIPTS: Final = "SELECT number, receipt FROM receipts"


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found whole: how far the chain goes, and what it holds."""

    head: Head
    records: int
    sealed: int
    """Records whose card data is still kept."""
    erased: int
    """Records whose card data was destroyed on purpose, each with its receipt."""


def about(sealing: Sealing) -> dict[str, str]:
    """Return what a journal says about itself."""
    return {"owner": sealing.owner, "check": sealing.owner_check}


def audit(
    database: sqlite3.Connection, path: Path, sealing: Sealing, marked: bytes | None, *, is_copy: bool = False
) -> Audited:
    """Verify a whole journal, as it is at one moment; returns what it holds, or raises `JournalFault`.

    `marked` is what the file of its high-water mark held before that moment, `None` if there was none; a copy needs
    none, and may end anywhere.
    """
    try:
        database.execute("BEGIN")
        found = schema.malformation(database, path)
        if found is None:
            _compare_owner(database, sealing)
            audited = _audit(database, sealing, Head(0, GENESIS) if is_copy else _highest(marked, sealing))
            database.execute("COMMIT")
            return audited
    except schema.UNREADABLE as error:
        found = f"{schema.explain(error)}; {KEEP}"
    except JournalFault as error:
        found = str(error)
    reason = f"{path}: {found}"
    raise JournalFault(reason)


def _audit(database: sqlite3.Connection, sealing: Sealing, mark: Head) -> Audited:
    head, newest, sealed = _walk(database, sealing, mark)
    stan = _compare_index(database, newest)
    kept, erased = _compare_seals(database, sealing, sealed)
    return Audited(head._replace(stan=stan), len(newest), kept, erased)


def _compare_owner(database: sqlite3.Connection, sealing: Sealing) -> None:
    held = dict(database.execute(ABOUT))
    if held.get("owner") != sealing.owner:
        reason = "belongs to another terminal or merchant"
        raise JournalFault(reason)
    if held != about(sealing):
        reason = "was written under another storage key"
        raise JournalFault(reason)


def _highest(marked: bytes | None, sealing: Sealing) -> Head:
    if marked is None:
        reason = f"its high-water mark is missing; {KEEP}"
        raise JournalFault(reason)
    return highest(marked, sealing)


def _walk(database: sqlite3.Connection, sealing: Sealing, mark: Head) -> tuple[Head, dict[int, int], set[int]]:
    """Follow the chain; returns its end, the last entry of each record, and the records sealed with card data."""
    head = Head(0, GENESIS)
    newest: dict[int, int] = {}
    with_card: set[int] = set()
    marked = mark.entries == 0
    for seq, number, sealed, body, digest in database.execute(ENTRIES):
        if seq != head.entries + 1 or not sealing.holds(digest, head.digest, number, body, sealed=sealed):
            reason = f"entry {head.entries + 1} is damaged or missing; {KEEP}"
            raise JournalFault(reason)
        head = Head(seq, digest)
        marked = marked or (seq, digest) == (mark.entries, mark.digest)
        newest[number] = seq
        if sealed:
            with_card.add(number)
    if not marked:
        reason = f"ends with entry {head.entries}, but had {mark.entries}: it was cut or is an older copy; {KEEP}"
        raise JournalFault(reason)
    return head, newest, with_card


def _compare_index(database: sqlite3.Connection, newest: dict[int, int]) -> int:
    """Compare what is searched with what was chained; returns the last STAN that was used, 0 for none."""
    seen = stan = 0
    for *held, seq, body in database.execute(INDEX):
        if newest.get(held[0]) != seq or tuple(held) != schema.columns(record := thaw(body)):
            seen = -1
            break
        seen += 1
        stan = last_stan(record, stan)
    if seen != len(newest):
        reason = f"its index disagrees with its entries; {KEEP}"
        raise JournalFault(reason)
    return stan


def last_stan(record: Record, before: int) -> int:
    """Return the last STAN that was used once a record is saved; a reversal uses its original's."""
    return before if record.kind is Kind.REVERSAL else int(record.stan)


def _compare_seals(database: sqlite3.Connection, sealing: Sealing, with_card: set[int]) -> tuple[int, int]:
    """Open every sealed box, and see that each missing one was erased on purpose; returns how many of both."""
    kept = {n: sealing.unbox(n, wrapped, box) is not None for n, wrapped, box in database.execute(SEALS)}
    erased = {n: receipt == sealing.receipt(n) for n, receipt in database.execute(RECEIPTS)}
    wrong = with_card ^ (kept.keys() | erased.keys()) | (kept.keys() & erased.keys())
    wrong |= {number for found in (kept, erased) for number, good in found.items() if not good}
    if wrong:
        reason = f"the sealed card data of record {min(wrong)} is damaged or missing; {KEEP}"
        raise JournalFault(reason)
    return len(kept), len(erased)
