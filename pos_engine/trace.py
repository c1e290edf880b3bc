"""A window into a running terminal: observers are told of every effect and every message, and decide nothing.

Messages come decoded; showing them is `wire.describe`'s business, which masks. An observer must not raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening


class Trace(Protocol):
    """What an observer implements."""

    def before(self, effect: Effect) -> None:
        """Hear that an effect is about to be performed."""
        ...

    def after(self, effect: Effect, happened: Happening) -> None:
        """Hear that an effect was performed, and what came of it."""
        ...

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """See a message: sent ones when they are about to leave, received ones once they are decoded."""
        ...


class NoTrace:
    """Nobody is watching."""

    def before(self, effect: Effect) -> None:
        """Ignore it."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Ignore it."""
