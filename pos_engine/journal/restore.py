"""A restore: a backup takes the place of a journal that is lost, damaged or older, and no number is used twice.

What was lost is not known, but the high-water mark says which STAN was the last. A record of the kind RESTORE goes to
the end of the copy and takes the STAN after it; whoever has no mark any more has to name the last number that is known,
and a margin is skipped. What was there stays as evidence under other names.

A journal that is whole, whatever became of its mark, is replaced only by what holds all that it holds: it may owe
something. Where only the mark is lost, the journal is restored from itself, in place, and gets a new one.

The copy is finished under another name; until it is renamed into place, the old files are as they were. Then its mark
is written, the only time that a mark goes back. Cut short anywhere, the journal is refused as before or restored, and
the same restore can be run again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal import mark, schema
from pos_engine.journal.audit import Audited, audit
from pos_engine.journal.backup import SIDES, discard, take, verified
from pos_engine.journal.files import beside, fault, open_private, put_in_place, sync_folder
from pos_engine.journal.lock import WriterLock
from pos_engine.journal.record import Record, State, freeze, thaw
from pos_engine.journal.sealing import GENESIS, Head, Sealing
from pos_engine.journal.store import LAST_REQUEST, open_verified
from pos_engine.journal.view import following_stan
from pos_engine.session.states import FIRST_BATCH
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.clock import Instant
    from pos_engine.values import Identity, KeyBytes
    from pos_engine.wire.spec import MessageSpec

EVIDENCE: Final = ("", "-wal", ".mark")
"""What is kept of the files that were in the journal's place."""
MARGIN: Final = 1000
"""Numbers that are skipped after the last one a person knows of.

A request that is declined, in doubt or a sign-on uses a number and prints no receipt. A thousand of them in a row since
the last number that somebody wrote down is more than a terminal's worst day, and a thousandth of what a batch has.
"""
USED: Final = "SELECT stan FROM current WHERE batch IN (?, ?) AND kind <> 'reversal'"
SIGNED_ON: Final = """
    SELECT e.body FROM current c JOIN entries e ON e.seq = c.seq
    WHERE c.kind = 'sign-on' AND c.state = 'APPROVED' ORDER BY c.number DESC LIMIT 1"""
LEADS_THROUGH: Final = "SELECT 1 FROM entries WHERE seq = ? AND digest = ?"
TRADED: Final = """
    SELECT e.seq, e.digest FROM entries e JOIN current c ON c.number = e.number
    WHERE c.kind <> 'restore' ORDER BY e.seq DESC LIMIT 1"""
"""The last entry that a restore did not write: what comes after it holds nothing that was traded."""
NO_MARK: Final = (
    "its high-water mark is missing, damaged or older than the backup: "
    "the last STAN that is known to have been used has to be named: --after-stan"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done."""

    audited: Audited
    lost: int | None
    """How many entries, at least, came after what was restored and are lost; `None` where nothing tells."""
    stan: str
    """Numbers up to this one count as used."""
    evidence: tuple[Path, ...]
    """The files that were in the journal's place, under their new names."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a journal is, whose it is, and what time it is there."""

    path: Path
    marked: Path
    sealing: Sealing
    spec: MessageSpec
    now: Instant


def restore(
    backup: Path | None,
    path: Path,
    *,
    spec: MessageSpec,
    identity: Identity,
    storage_key: KeyBytes,
    entropy: Callable[[int], bytes],
    now: Instant,
    mark_path: Path | None = None,
    after_stan: str | None = None,
) -> Restored:
    """Put a backup in a journal's place. `after_stan` is the last STAN known to have been used, where no mark tells.

    Without a backup, the journal is restored from itself, which only a lost or damaged mark is a reason for. Where the
    mark tells that the end of the journal is missing, the backup may be the journal's own file.

    Raises `JournalFault` when the backup is damaged or another terminal's, when the journal is in use, and when its
    mark tells that it must not be restored from itself; `UsageError` when the journal is whole and has what the backup
    has not, or needs no restore, and when `after_stan` is missing or cannot be.
    """
    if after_stan is not None and (re.fullmatch("[0-9]{6}", after_stan) is None or after_stan == "000000"):
        reason = "the last STAN that was used has six digits, 000001 to 999999"
        raise UsageError(reason)
    sealing = Sealing(storage_key, f"{identity.terminal}/{identity.merchant}", entropy)
    place = _Place(path, mark_path or beside(path, ".mark"), sealing, spec, now)
    lock = WriterLock.acquire(path)
    built = beside(path, ".restored")
    try:
        return _restored(backup, built, place, int(after_stan) if after_stan is not None else None)
    except OSError as error:
        failure = fault(path, error)
    except schema.UNREADABLE as error:
        failure = JournalFault(f"{path}: {schema.explain(error)}")
    finally:
        with contextlib.suppress(OSError):
            discard(built)
        lock.release()
    raise failure


def _restored(backup: Path | None, built: Path, place: _Place, named: int | None) -> Restored:
    discard(built)
    old = _old_mark(place)
    if backup is None:
        held = _copied_itself(built, place).head
        _refuse_marked(place, built, held, old)
        named = held.stan if named is None else named
    else:
        held = _copied(backup, built, place).head
        _refuse_loss(place, built, held, old)
    last, lost = _last_used(held, old, named)
    name = _evidence_name(place.path)
    record, head = _append(built, place, held, last, _notes(backup, held, lost, name))
    evidence = tuple(_keep(place, name))
    if backup is None or _is_itself(backup, place):
        _fold_log(place.path)
    _exchange(built, place.path)
    mark.create(place.marked, place.sealing, head)
    database, audited = open_verified(place.path, place.marked, place.sealing)
    database.close()
    return Restored(audited, lost, record.stan, evidence)


def _copied(backup: Path, built: Path, place: _Place) -> Audited:
    """Copy the backup, because it may lie where nothing can be written, and audit the copy."""
    if _is_itself(backup, place):
        return _copied_itself(built, place)
    log = beside(backup, "-wal")
    if log.exists() and log.stat().st_size > 0:
        reason = f"{backup}: has a write-ahead log beside it, so it is no backup but a journal"
        raise JournalFault(reason)
    schema.open_for_reading(backup).close()
    _copy(backup, built)
    return verified(built, backup, lambda copy, name: _audit(copy, name, place))


def _is_itself(backup: Path, place: _Place) -> bool:
    return backup.exists() and place.path.exists() and backup.samefile(place.path)


def _copied_itself(built: Path, place: _Place) -> Audited:
    """Copy the journal in place, and what its log holds, as far as that goes."""
    database = schema.open_for_reading(place.path)
    try:
        _audit(database, place.path, place)
        return take(database, built, lambda copy, name: _audit(copy, name, place))
    finally:
        database.close()


def _audit(database: sqlite3.Connection, path: Path, place: _Place) -> Audited:
    """See that a journal is whole as far as it goes, whatever a mark says of its end."""
    return audit(database, path, place.sealing, None, is_copy=True)


def _copy(source: Path, target: Path) -> None:
    descriptor = open_private(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())


def _refuse_marked(place: _Place, built: Path, held: Head, old: Head | None) -> None:
    """Refuse to restore a journal from itself where its mark can be read: then the mark is what counts."""
    if old is None:
        return
    if _leads_through(built, old):
        reason = f"{place.path}: the journal is whole and its high-water mark fits it, so nothing is restored"
        raise UsageError(reason)
    reason = (
        f"{place.path}: ends with entry {held.entries}, but its high-water mark had {old.entries}: it was cut or is an "
        "older copy, and no lost mark is the reason; restore the newest backup"
    )
    raise JournalFault(reason)


def _refuse_loss(place: _Place, built: Path, held: Head, old: Head | None) -> None:
    """Refuse to replace a journal that is whole by something that has not all that it has."""
    try:
        database = schema.open_for_reading(place.path)
    except JournalFault:
        return
    try:
        _audit(database, place.path, place)
        traded = Head(*(database.execute(TRADED).fetchone() or (0, GENESIS)))
    except JournalFault:
        return
    finally:
        database.close()
    is_marked = old is not None and _leads_through(place.path, old)
    if is_marked and _leads_through(place.path, held):
        reason = f"{place.path}: the journal is whole and not older than the backup, so nothing is restored"
        raise UsageError(reason)
    if _leads_through(built, traded):
        return
    if is_marked:
        advice = "use it as it is"
    elif old is None:
        advice = "only its high-water mark is missing or damaged, and is made anew by --in-place"
    else:
        advice = "its high-water mark says that its end is missing, and it can be restored from its own file"
    reason = f"{place.path}: the journal is whole and has what the backup has not, so nothing is restored: {advice}"
    raise UsageError(reason)


def _leads_through(path: Path, head: Head) -> bool:
    """Tell whether the chain of a file that was audited has an entry: then it has all that came before it, too."""
    database = schema.open_for_reading(path)
    try:
        found = database.execute(LEADS_THROUGH, (head.entries, head.digest)).fetchone()
    finally:
        database.close()
    return head.entries == 0 or found is not None


def _old_mark(place: _Place) -> Head | None:
    try:
        data = mark.read(place.marked)
        return mark.highest(data, place.sealing) if data is not None else None
    except JournalFault:
        return None


def _last_used(held: Head, old: Head | None, named: int | None) -> tuple[int, int | None]:
    """Return the last STAN that counts as used, and how many entries are lost at least.

    A mark tells exactly; a person knows of a number, and more may have been used. `UsageError` where nothing tells.
    """
    if named is not None and _is_behind(named, held.stan):
        reason = f"the last STAN that was used cannot come before the last one of what is restored, {held.stan:06d}"
        raise UsageError(reason)
    if old is None or old.entries < held.entries or _is_behind(old.stan, held.stan):
        if named is None:
            raise UsageError(NO_MARK)
        return _margin_after(named), None
    if named is None or _distance(named, held.stan) <= _distance(old.stan, held.stan):
        return old.stan, old.entries - held.entries
    return _margin_after(named), old.entries - held.entries


def _margin_after(stan: int) -> int:
    return (stan + MARGIN - 1) % limits.STAN_MAX + 1


def _distance(stan: int, last: int) -> int:
    """How many numbers after the last one a STAN comes; 999999 is followed by 000001."""
    return (stan - last) % limits.STAN_MAX if last else stan


def _is_behind(stan: int, last: int) -> bool:
    # Numbers go round, so what is more than half a round ahead is taken for what it looks like.
    return last != 0 and _distance(stan, last) > limits.STAN_MAX // 2


def _notes(backup: Path | None, held: Head, lost: int | None, name: str) -> tuple[str, ...]:
    origin = "a backup" if backup is not None else "itself, without its high-water mark, with what it has"
    told = "it is not known how many entries came after it" if lost is None else f"{lost} entries or more came after it"
    return f"restored from {origin} of {held.entries} entries", told, f"what was there before: {name}"


def _append(built: Path, place: _Place, held: Head, last: int, notes: tuple[str, ...]) -> tuple[Record, Head]:
    """Append the record after which numbers go on; the copy is one file again afterwards."""
    database = schema.open_for_writing(built)
    try:
        # In this mode SQLite refuses to go on, rather than leave anything beside the file.
        database.execute("PRAGMA journal_mode = DELETE")
        record = _record(database, place.now, last, notes)
        body = freeze(record, place.spec).body
        digest = place.sealing.link(held.digest, record.number, body, sealed=False)
        head = Head(held.entries + 1, digest, int(record.stan))
        database.execute("BEGIN IMMEDIATE")
        database.execute(schema.INSERT_ENTRY, (head.entries, record.number, 0, body, digest))
        database.execute(schema.UPSERT_CURRENT, (*schema.columns(record), head.entries))
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")
    finally:
        database.close()
    return record, head


def _record(database: sqlite3.Connection, now: Instant, last: int, notes: tuple[str, ...]) -> Record:
    newest = database.execute(LAST_REQUEST).fetchone()
    batch = newest[1] if newest is not None else FIRST_BATCH
    signed_on = database.execute(SIGNED_ON).fetchone()
    # As with every other request: the numbers of batches that are over may be used again.
    batches = batch, (thaw(signed_on[0]).new_batch if signed_on is not None else None)
    used = {stan for (stan,) in database.execute(USED, batches)}
    (number,) = database.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM current").fetchone()
    return Record(
        number=number,
        kind=Kind.RESTORE,
        state=State.APPROVED,
        stan=following_stan(f"{last:06d}", used.__contains__),
        batch=batch,
        request=Message("", {}),
        opened=now,
        changed=now,
        notes=notes,
    )


def _evidence_name(path: Path) -> str:
    """Return the first name under which no evidence lies yet."""
    names = (f"{path.name}.evidence-{number}" for number in count(1))
    return next(
        name for name in names if not any(os.path.lexists(path.with_name(name + ending)) for ending in EVIDENCE)
    )


def _keep(place: _Place, name: str) -> list[Path]:
    """Give what is there a second name; nothing is taken away yet."""
    kept = []
    for ending in EVIDENCE:
        source = place.marked if ending == ".mark" else beside(place.path, ending)
        target = place.path.with_name(name + ending)
        # SQLite leaves an empty log behind wherever it has read.
        if not source.is_file() or source.stat().st_size == 0:
            continue
        try:
            os.link(source, target)
        except OSError:
            # The mark may lie on other media, and some file systems know no second names.
            _copy(source, target)
        kept.append(target)
    sync_folder(place.path.parent)
    return kept


def _fold_log(path: Path) -> None:
    """Copy a journal's log into its file: should it end here, the file alone is what the restore starts from again."""
    database = schema.open_for_writing(path)
    try:
        busy = database.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]
    finally:
        database.close()
    if busy:
        reason = f"{path}: another program is reading it; try again"
        raise JournalFault(reason)


def _exchange(built: Path, path: Path) -> None:
    """Put the copy in place. The old log goes first, and durably: SQLite would take it for the new file's."""
    for ending in SIDES:
        beside(path, ending).unlink(missing_ok=True)
    sync_folder(path.parent)
    put_in_place(built, path)
    # Whoever began to read the old file in between has left an index that does not fit the new one.
    for ending in SIDES:
        beside(path, ending).unlink(missing_ok=True)
    sync_folder(path.parent)
