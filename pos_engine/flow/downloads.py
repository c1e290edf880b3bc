"""Downloads: which page is next, and what is in force. Both are read off the journal; there is no list of their own.

A download is owed from the moment at which a host demands it in an answer's header, or a person begins it, until its
end is acknowledged. Its pages are records: page 0 begins it, every other names page 0 as its `original`, and so does
its end. What came once is not fetched again, whatever cut it short, unless a person begins it anew. All of it comes
into force with the one commit that keeps the acknowledgement of its end; until then the one before does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.dialects.base import Brought, Kind, PageAsked
from pos_engine.dialects.entries import Application, CaKey, CardRange, Entry, Parameter
from pos_engine.errors import DecodeError, UsageError
from pos_engine.flow.checks import Order, Page
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect, Download
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView
    from pos_engine.values import Text


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A download that is owed: who asked for it, how far it got, and what failed since."""

    download: Download
    asked_by: Record | None
    """The record whose answer demanded it; a person began it where there is none."""
    start: Record | None = None
    """Its page 0, once that came."""
    pages: tuple[Record, ...] = ()
    """What came so far, in order."""
    failed: tuple[Record, ...] = ()
    """Attempts since the last page that came, oldest first."""
    held_s: float = 0.0
    """Seconds to leave a host alone that demands what it was asked for a short while ago."""


@dataclass(frozen=True, slots=True)
class OwedDownload:
    """A download that is owed, for whoever asks where the terminal stands."""

    download: str
    title: Text
    demanded: bool
    """Whether the host demanded it; else a person began it."""
    pages: int
    """Pages that came."""
    failed: str
    """Why the last attempt did not bring the next one; nothing where none failed."""
    held_s: float


@dataclass(frozen=True, slots=True)
class Completed:
    """A download that is in force."""

    download: str
    title: Text
    entries: int
    begun: datetime
    completed: datetime
    """Both by the terminal's wall clock."""
    demanded: bool
    """Whether the host demanded it; else a person ordered it."""


@dataclass(frozen=True, slots=True)
class TerminalData:
    """What the host has given the terminal to keep, and is in force."""

    parameters: tuple[Parameter, ...] = ()
    ca_keys: tuple[CaKey, ...] = ()
    applications: tuple[Application, ...] = ()
    blacklist: tuple[CardRange, ...] = ()
    completed: tuple[Completed, ...] = ()


def unfinished(journal: JournalView, dialect: Dialect, now: Instant) -> Iterator[Unfinished]:
    """Name every download that is owed, in the order of the dialect's table."""
    for digit, download in dialect.downloads.items():
        ended = journal.last_approved(download.end)
        asked_by = journal.wanted_after(digit, ended.number if ended is not None else 0)
        begun = _progress(download, asked_by, journal, ended)
        if begun.start is not None or begun.failed:
            yield begun
        elif asked_by is not None:
            yield Unfinished(download, asked_by, held_s=_held_s(ended, now))


def owed_downloads(journal: JournalView, dialect: Dialect, now: Instant) -> tuple[OwedDownload, ...]:
    """Tell which downloads are owed, and how far they got."""
    return tuple(
        OwedDownload(
            download=each.download.name,
            title=each.download.title,
            demanded=each.asked_by is not None,
            pages=len(each.pages),
            failed=failed.notes[-1] if failed is not None and failed.notes else "",
            held_s=each.held_s,
        )
        for each in unfinished(journal, dialect, now)
        for failed in (each.failed[-1] if each.failed else None,)
    )


def _progress(download: Download, asked_by: Record | None, journal: JournalView, ended: Record | None) -> Unfinished:
    """Tell how far a download got since the last one that ended."""
    start, pages = _received(download, journal, ended)
    reached = max((each.number for each in (*pages, ended) if each is not None), default=0)
    kinds = (*download.pages, download.end)
    failed = sorted(
        (each for kind in kinds for each in journal.failures(kind) if each.number > reached and each.page is not None),
        key=lambda each: each.number,
    )
    if asked_by is None:
        # Who was refused knows it, and may try again.
        failed = [each for each in failed if each.page or each.state is not State.DECLINED]
    if any(each.page == 0 for each in failed):
        # A person began it anew.
        start, pages = None, ()
    return Unfinished(download, asked_by, start, pages, tuple(failed))


def _received(
    download: Download, journal: JournalView, ended: Record | None
) -> tuple[Record | None, tuple[Record, ...]]:
    """Return the newest page 0 since the last end, and with it all pages that came; nothing where none can be read."""
    first = next(iter(download.pages), None)
    newest = journal.last_approved(first) if first is not None else None
    if newest is None or (ended is not None and newest.number < ended.number):
        return None, ()
    start = newest if newest.original is None else journal.find(newest.original)
    if start is None:
        return None, ()
    pages = _pages(download, start, journal)
    try:
        download.following(_brought(pages))
    except DecodeError:
        # Another version of this program kept it. It is begun anew.
        return None, ()
    return start, pages


def _pages(download: Download, start: Record, journal: JournalView) -> tuple[Record, ...]:
    acting = (start, *journal.acting_on(start.number))
    return tuple(each for each in acting if each.kind in download.pages and each.state is State.APPROVED)


def _brought(pages: Sequence[Record]) -> tuple[Brought, ...]:
    return tuple(Brought(each.kind, each.brought or "") for each in pages)


def _held_s(ended: Record | None, now: Instant) -> float:
    """Seconds until a download may be begun that was done a short while ago; none after a boot, as its age is lost."""
    age_s = now.since(ended.changed) if ended is not None else None
    return 0.0 if age_s is None else max(0.0, limits.DOWNLOAD_AGAIN_S - age_s)


def next_page(unfinished: Unfinished, journal: JournalView, profile: Profile) -> Order:
    """Return the order for the next page, or for the end once all have come."""
    download, start = unfinished.download, unfinished.start
    asked = download.following(_brought(unfinished.pages)) or PageAsked(download.end)
    asked_by = unfinished.asked_by.number if unfinished.asked_by is not None and start is None else None
    page = Page(len(unfinished.pages), asked.asks, start.number if start is not None else None, asked_by)
    report = status_report(journal, profile) if asked.kind is Kind.STATUS else ""
    return Order(kind=asked.kind, page=page, report=report)


def ordered(name: str, journal: JournalView, profile: Profile, now: Instant, *, anew: bool = False) -> Order:
    """Return the order with which a person's download goes on, or begins; `UsageError` for one that there is not.

    One that is unfinished goes on where it stopped, unless it is to begin `anew`.
    """
    download = next((each for each in profile.dialect.downloads.values() if each.name == name), None)
    if download is None:
        names = ", ".join(each.name for each in profile.dialect.downloads.values())
        reason = f"this host has no such download; there are: {names or 'none'}"
        raise UsageError(reason)
    found = (each for each in unfinished(journal, profile.dialect, now) if each.download is download)
    owed = None if anew else next(found, None)
    return next_page(owed or Unfinished(download, None), journal, profile)


def is_end(order: Order, dialect: Dialect) -> bool:
    """Tell whether an order ends a download."""
    return any(order.kind is each.end for each in dialect.downloads.values())


def before(record: Record, journal: JournalView, dialect: Dialect) -> tuple[Brought, ...]:
    """Return what the pages before a page brought, for whoever has to tell its answer from theirs."""
    start = journal.find(record.original) if record.page and record.original is not None else None
    download = next((each for each in dialect.downloads.values() if record.kind in each.pages), None)
    return _brought(_pages(download, start, journal)) if start is not None and download is not None else ()


def status_report(journal: JournalView, profile: Profile) -> str:
    """Write what a status upload tells: devices, and the parameters in force."""
    downloads = profile.dialect.downloads.values()
    by_parameters = next((each for each in downloads if Kind.PARAMETERS in each.pages), None)
    found = _in_force(by_parameters, journal) if by_parameters is not None else None
    return profile.dialect.report(profile.devices, _brought(found.pages) if found is not None else ())


def terminal_data(journal: JournalView, dialect: Dialect) -> TerminalData:
    """Read what is in force."""
    found = [each for download in dialect.downloads.values() if (each := _in_force(download, journal)) is not None]
    entries = [entry for each in found for entry in each.entries]
    return TerminalData(
        parameters=tuple(each for each in entries if isinstance(each, Parameter)),
        ca_keys=tuple(each for each in entries if isinstance(each, CaKey)),
        applications=tuple(each for each in entries if isinstance(each, Application)),
        blacklist=tuple(each for each in entries if isinstance(each, CardRange)),
        completed=tuple(each.told() for each in found),
    )


@dataclass(frozen=True, slots=True)
class _InForce:
    download: Download
    ended: Record
    pages: tuple[Record, ...]
    entries: tuple[Entry, ...]

    def told(self) -> Completed:
        return Completed(
            download=self.download.name,
            title=self.download.title,
            entries=len(self.entries),
            begun=self.pages[0].opened.wall,
            completed=self.ended.changed.wall,
            demanded=self.pages[0].asked_by is not None,
        )


def _in_force(download: Download, journal: JournalView) -> _InForce | None:
    """Return the newest complete download; nothing where there is none that can be read."""
    ended = journal.last_approved(download.end)
    start = journal.find(ended.original) if ended is not None and ended.original is not None else None
    if ended is None or start is None:
        return None
    pages = _pages(download, start, journal)
    try:
        return _InForce(download, ended, pages, download.read(_brought(pages)))
    except DecodeError:
        # Another version of this program kept it. The host has to give it again.
        return None
