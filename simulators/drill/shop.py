"""The shop of a drill: one till on a bench, the next till beside it on a line of its own, one host, one clock.

Terminals, journals and host are the real ones of a bench. What goes wrong is what the situation's `Upset` says.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from pos_engine.values import Amount, KeyBytes
from simulators.acquirer import Acquirer, Enrolled, terminal_master_key
from simulators.bench import IDENTITY, Bench
from simulators.drill.acts import Upset
from simulators.ledger import merchant_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pos_engine.journal.record import Record, State
    from pos_engine.peripherals.base import CardReader
    from pos_engine.terminal import Terminal
    from pos_engine.trace import Trace
    from simulators.drill.acts import Situation

TOTAL: Final = Amount.cny("68.00")
GOODS: Final = "a tin of tea"
NEXT: Final = "T0000002"
OTHER_MASTER_KEY: Final = KeyBytes(bytes.fromhex("FEDCBA98765432100123456789ABCDEF"))
"""An artificial key that is not the terminal's."""
SETTINGS: Final[Mapping[str, str | float]] = {
    "session.contingency": "retry 25 s, hold 20 s, refuse",
    "acquirer.answer_timeout_s": 45.0,
}
PAUSE_S: Final = 25 * 3600.0
"""So long after the morning's sign-on the sale is rung up: too long for it to hold."""
GAP_S: Final = 20.0
SIGN_ON_S: Final = 6.0
"""What a slow host takes for a sign-on."""
EVENING_TRIES: Final = 10
RECORDS_MAX: Final = 1000


class Shop:
    """Both tills and what they are connected to. `close` releases them."""

    def __init__(self, situation: Situation, *, reader: CardReader, trace: Trace) -> None:
        """Open the shop; nothing is signed on yet."""
        self._reader = reader
        self._trace = trace
        self._upset = situation.upset
        self.bench = Bench(seed=situation.name, acquirer=_host_with_other_key() if self._upset is Upset.KEYS else None)
        self.clock = self.bench.clock
        self._beside = Bench(seed=NEXT, clock=self.clock, acquirer=self.bench.acquirer)
        self.terminal = self._open()
        self._next: Terminal | None = None
        self._known: dict[tuple[str, int], State] = {}
        self._back_at_s: float | None = None

    def close(self) -> None:
        """Close both tills."""
        self.bench.close()
        self._beside.close()

    def begin(self) -> None:
        """Let the morning pass, and prepare what is going to go wrong."""
        _PREPARE[self._upset](self)
        self.news()
        if self._upset is Upset.GAP:
            self._back_at_s = self.clock.now().elapsed_s + GAP_S

    def pass_time(self, seconds: float) -> bool:
        """Let time pass, or only a part of it, up to the moment in which the line comes back; whether it did."""
        left_s = seconds if self._back_at_s is None else self._back_at_s - self.clock.now().elapsed_s
        if left_s > seconds or self._back_at_s is None:
            self.clock.advance(seconds)
            return False
        self.clock.advance(left_s)
        self._back_at_s = None
        self.bench.link.plug_in()
        return True

    def restart(self) -> None:
        """Switch the terminal off and on."""
        self.bench.cut_power(self.terminal)
        self.terminal = self._open()

    @property
    def next_terminal(self) -> Terminal:
        """The terminal of the next till; its line is another, and works."""
        if self._next is None:
            self._next = self._beside.open({**SETTINGS, "terminal.id": NEXT})
        return self._next

    def evening(self) -> None:
        """Let the line be repaired, and both terminals do what they owe."""
        self.bench.link.heal()
        for terminal in self.terminals:
            for _ in range(EVENING_TRIES):
                if not terminal.status(recent=0).owed:
                    break
                self.clock.advance(terminal.tick().again_in_s or 0.0)

    @property
    def terminals(self) -> tuple[Terminal, ...]:
        """The terminals that were used."""
        return (self.terminal,) if self._next is None else (self.terminal, self._next)

    def news(self) -> list[tuple[bool, Record]]:
        """Return every record that is new or stands otherwise than before, and whether it is the next till's."""
        return list(self._news())

    def _news(self) -> Iterator[tuple[bool, Record]]:
        for terminal in self.terminals:
            bench = self.bench if terminal is self.terminal else self._beside
            name = terminal.status(recent=0).terminal
            for record in reversed(bench.journal(terminal).recent(RECORDS_MAX)):
                if self._known.get((name, record.number)) is not record.state:
                    self._known[name, record.number] = record.state
                    yield bench is not self.bench, record

    def effects(self) -> list[int]:
        """Return what the host has booked to the merchant, oldest first; negative when it went back. In fen."""
        account = merchant_account(IDENTITY.merchant)
        entries = self.bench.acquirer.ledger.entries
        return [each.amount_minor for entry in entries for each in entry.postings if each.account == account]

    def differences(self) -> list[str]:
        """Say where the host's books and the terminals' journals name different amounts."""
        return [each for terminal in self.terminals for each in self.bench.books.differences(terminal)]

    def _open(self) -> Terminal:
        return self.bench.open(SETTINGS, reader=self._reader, trace=self._trace)

    # What goes wrong.

    def _sign_on_and_age(self) -> None:
        self.terminal.sign_on()
        self.clock.advance(PAUSE_S)

    def _be_slow(self) -> None:
        self._sign_on_and_age()
        self.bench.link.delay(SIGN_ON_S)

    def _lose_line(self) -> None:
        self._sign_on_and_age()
        self.bench.link.unplug()

    def _lose_keys(self) -> None:
        self.terminal.sign_on()
        self.bench.acquirer.forget_sessions()

    def _lose_answer(self) -> None:
        self._sign_on_and_age()
        self.bench.link.pass_smoothly()
        self.bench.link.lose_answer()

    def _rest(self) -> None:
        """Leave it as it is: the terminal has not been signed on."""


_PREPARE: Final[Mapping[Upset, Callable[[Shop], None]]] = {
    Upset.SLOW: Shop._be_slow,  # noqa: SLF001 - its own
    Upset.GAP: Shop._lose_line,  # noqa: SLF001 - its own
    Upset.DEAD: Shop._lose_line,  # noqa: SLF001 - its own
    Upset.DEMAND: Shop._lose_keys,  # noqa: SLF001 - its own
    Upset.SILENCE: Shop._lose_answer,  # noqa: SLF001 - its own
    Upset.NOTHING: Shop._sign_on_and_age,  # noqa: SLF001 - its own
    Upset.KEYS: Shop._rest,  # noqa: SLF001 - its own
}


def _host_with_other_key() -> Acquirer:
    """Make a host that has another master key for the till's terminal, and the right one for the next till's."""
    roster = (
        Enrolled(IDENTITY.terminal, IDENTITY.merchant, OTHER_MASTER_KEY),
        Enrolled(NEXT, IDENTITY.merchant, terminal_master_key(NEXT)),
    )
    return Acquirer(entropy=Random(NEXT).randbytes, roster=roster)  # noqa: S311 - a drill is repeatable, and no secret
