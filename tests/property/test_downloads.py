"""Any sequence of cuts, restarts and sales: every page comes once, and in the end the host's data are in force."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import PosError
from pos_engine.flow.downloads import TerminalData
from pos_engine.journal.record import State
from pos_engine.values import Amount
from simulators.acquirer import Files
from simulators.acquirer.downloads import application, public_key
from simulators.bench import IDENTITY, Bench

if TYPE_CHECKING:
    from pos_engine.terminal import Terminal

DIGITS = {name: digit for digit, each in UNIONPAY.downloads.items() if (name := each.name) != "status"}
LONG_S = 4000.0
"""Longer than any duty waits before it is tried again."""
TICKS_MAX = 200
EVENTS = st.sampled_from(
    (*["tick"] * 3, "lose_request", "lose_answer", "cut", "duplicate", "restart", "sell", "order"),
)
FILES = st.builds(
    Files,
    public_keys=st.lists(st.integers(1, 20), unique=True, max_size=5).map(lambda keys: tuple(map(public_key, keys))),
    applications=st.lists(st.integers(0, 9), unique=True, max_size=4).map(
        lambda numbers: tuple(application(f"A0000003330101{each:02d}") for each in numbers)
    ),
    blacklist=st.lists(st.integers(622000, 622999), unique=True, max_size=6).map(
        lambda numbers: tuple((str(each), str(each)) for each in numbers)
    ),
    per_page=st.integers(1, 3),
)


class Life:
    """One terminal, what befalls it, and what it has."""

    def __init__(self, files: Files, name: str) -> None:
        self.bench = Bench()
        self.bench.acquirer.downloads.files = files
        self.name = name
        self.terminal: Terminal = self.bench.open()
        self.boots = 0

    def begin(self, *, demanded: bool) -> None:
        """Let the host demand it, or a person order it in vain."""
        self.terminal.sign_on()
        if demanded:
            self.bench.acquirer.demand(IDENTITY.terminal, DIGITS[self.name])
            self.terminal.echo()
        else:
            self.bench.link.lose_answer()
            self.order()

    def meet(self, event: str) -> None:
        """Let something happen."""
        if event in {"lose_request", "lose_answer", "duplicate"}:
            getattr(self.bench.link, event)()
        else:
            getattr(self, event)()

    def cut(self) -> None:
        self.bench.link.cut_after(30)

    def restart(self) -> None:
        self.boots += 1
        self.bench.cut_power(self.terminal)
        self.bench.clock.reboot(f"boot {self.boots}")
        self.terminal = self.bench.open()

    def sell(self) -> None:
        with suppress(PosError):
            self.terminal.sale(Amount.cny("1.00"))

    def order(self) -> None:
        with suppress(PosError):
            self.terminal.download(self.name)

    def tick(self) -> None:
        self.bench.clock.advance(LONG_S)
        self.terminal.tick()

    @property
    def is_owed(self) -> bool:
        return bool(self.terminal.status().downloads)

    @property
    def content(self) -> TerminalData:
        """What is in force, without when it came."""
        return replace(self.terminal.terminal_data(), completed=())

    def pages(self) -> list[tuple[str, int | None]]:
        """Name the pages that came: kind and number, in order."""
        records = [*self.bench._journals[IDENTITY.terminal].recent(9999)][::-1]  # noqa: SLF001 - what a file would hold
        came = (each for each in records if each.page is not None and each.state is State.APPROVED)
        return [(each.kind.value, each.page) for each in came]


@given(files=FILES, name=st.sampled_from(tuple(DIGITS)), events=st.lists(EVENTS, max_size=25), demanded=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_cuts_it_short_each_page_comes_once_and_the_end_is_the_same(
    *, files: Files, name: str, events: list[str], demanded: bool
) -> None:
    whole, life = Life(files, name), Life(files, name)
    whole.order()
    life.begin(demanded=demanded)
    for event in events:
        # Ordered once it is done, it would begin again.
        life.meet(event if event != "order" or life.is_owed else "tick")
        assert life.content in (whole.content, TerminalData())
    life.bench.link.heal()
    for _ in range(TICKS_MAX):
        if not life.is_owed:
            break
        life.tick()
    assert life.content == whole.content
    assert life.pages() == whole.pages()
    for each in (whole, life):
        each.bench.close()
