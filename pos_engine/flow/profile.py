"""Who this terminal is to its acquirer, and the few times and ages that two deployments set differently."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.dialects.entries import Devices
from pos_engine.session.contingency import Contingency
from pos_engine.session.policy import Policy
from pos_engine.values import CNY, Currency

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect
    from pos_engine.values import Identity


@dataclass(frozen=True, slots=True)
class SaleLimits:
    """What may be sold at most, in the currency's smallest unit; `None` is no limit."""

    transaction: int | None = None
    day: int | None = None
    card_day: int | None = None
    currency: Currency = CNY

    @property
    def any_set(self) -> bool:
        """Whether there is any limit."""
        return (self.transaction, self.day, self.card_day) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Profile:
    """The constants of every decision a flow takes."""

    dialect: Dialect
    identity: Identity
    answer_timeout_s: float = limits.ANSWER_TIMEOUT_S
    session: Policy = field(default_factory=Policy)
    operator: str = "01"
    limits: SaleLimits = SaleLimits()
    accepts_unsigned_declines: bool = True
    """Whether a decline without a MAC counts; else it is reversed with reason 98."""
    accepts_unsigned_reversals: bool = True
    """Whether an answer without a MAC may end a reversal; else it is sent again until one with a MAC does."""
    devices: Devices = field(default_factory=lambda: Devices(reader=True, pin_pad=True))
    """What a status upload tells of the devices."""
    repeats_refused: bool = False
    """Whether a request without PIN and chip that the host refused until a sign-on is repeated without asking."""
    contingency: Contingency = field(default_factory=Contingency)
    """What the till does while the terminal cannot sign on."""
