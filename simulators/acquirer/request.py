"""A request whose sender has proved who it is, and the reason why one is not granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators.scenario import USUAL

if TYPE_CHECKING:
    from datetime import datetime

    from pos_engine.dialects.base import Kind
    from pos_engine.wire.message import Message
    from simulators.acquirer.enrolment import WorkingKeys
    from simulators.ledger import Key
    from simulators.scenario import Ruling

ON_PURPOSE: Final = "the scenario asks for it"
"""The note of what would have been decided otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """An authenticated request of a terminal that is signed on. `at` is the host's time."""

    message: Message
    kind: Kind
    key: Key
    merchant: str
    keys: WorkingKeys
    at: datetime
    ruling: Ruling = USUAL
    """What the scenario says about it."""
    takes_part: bool = False
    """Whether the terminal can do with less than it asks for, field 60.6."""
    granted_minor: int | None = None
    """Fen to approve instead of the whole, on purpose; it counts only when the terminal takes part."""

    @property
    def amount_minor(self) -> int:
        """Field 4 in fen; 0 where there is none."""
        return int(self.message.get(4, "0"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not granted."""

    code: str
    note: str
