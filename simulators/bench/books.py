"""The host's books, to be read and to be held against what a terminal believes: every fen, trace number by number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pos_engine.values import Amount
from simulators.ledger import card_account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pos_engine.flow.outcomes import Line
    from pos_engine.terminal import Terminal
    from simulators.ledger import Booked, Ledger, Story

EVERYTHING: Final = 1_000_000
"""More records than one terminal makes."""


class Books:
    """Read access to a ledger; nothing here changes it."""

    def __init__(self, ledger: Callable[[], Ledger]) -> None:
        """Take where the ledger is: a host may be given another one."""
        self._ledger = ledger

    @property
    def transactions(self) -> tuple[Booked, ...]:
        """Every transaction as it stands now, oldest first."""
        return self._ledger().transactions

    def balance(self, card: str) -> Amount:
        """Return what is in a simulated card's account, by the card's name; `UsageError` when it is overdrawn."""
        return Amount(self._ledger().balance(card_account(card)))

    def moved(self, stan: str, *, terminal: str, batch: str) -> int:
        """Fen that one request has moved to the merchant, its reversal included; negative when they went back."""
        return self._ledger().effects_of(terminal, batch, stan)

    def story(self, stan: str, *, terminal: str, batch: str) -> Story:
        """Tell what happened under a trace number."""
        return self._ledger().story(terminal, batch, stan)

    def differences(self, terminal: Terminal) -> list[str]:
        """Say, for each trace number, where the host's books and the terminal's journal name different amounts.

        What a terminal still has in doubt counts as nothing moved, so work off what is owed before asking.
        """
        status = terminal.status(recent=EVERYTHING)
        ledger = self._ledger()
        believed = _believed(status.recent)
        booked = {
            (each.key.batch, each.key.stan): ledger.effects_of(status.terminal, each.key.batch, each.key.stan)
            for each in ledger.transactions
            if each.key.terminal == status.terminal
        }
        return [
            f"STAN {stan} of batch {batch}: the terminal believes {_yuan(mine)}, the host booked {_yuan(theirs)}"
            for batch, stan in sorted(believed.keys() | booked.keys())
            if (mine := believed[batch, stan]) != (theirs := booked.get((batch, stan), 0))
        ]


def _believed(lines: Sequence[Line]) -> Counter[tuple[str, str]]:
    """Add up what each trace number moved; a reversal shares the number of what it reverses and moves nothing more."""
    moved: Counter[tuple[str, str]] = Counter()
    for line in lines:
        moved[line.batch, line.stan] += line.moved_minor
    return moved


def _yuan(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{Amount(abs(minor))}"
