"""A reader that already holds a card: one that an application has read itself, or a simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pos_engine.values import Amount, Card


class HeldCard:
    """Presents the same card every time."""

    def __init__(self, card: Card) -> None:
        """Put `card` into the reader."""
        self.card = card

    def read(self, amount: Amount | None) -> Card:
        """Return the card, whatever the amount."""
        del amount
        return self.card
