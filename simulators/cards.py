"""Cards that the simulated issuer knows. Their numbers begin with 622999, a range made up for tests.

A row is all an issuer has to know of a card. What a cardholder does with it is somebody else's: `card` gives what a
reader would read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pos_engine.values import Card, Text, Track2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.values import Pan


@dataclass(frozen=True, slots=True)
class SimulatedCard:
    """One card. `name` stands for it in the ledger, so that no card number has to; `balance_minor` opens it."""

    name: str
    title: Text
    track2: Track2
    balance_minor: int
    """Fen in the account at the beginning."""
    pin: str | None = field(default=None, repr=False)
    """The PIN that the issuer demands for a sale; `None`: it demands none."""
    refusal: str | None = None
    """The response code the issuer has put the card on a list with: 41 lost, 43 stolen."""
    pays_in_part: bool = False
    """Whether the issuer approves what is left when that is less than was asked for."""

    @property
    def pan(self) -> Pan:
        """The card number."""
        return self.track2.pan

    @property
    def expiry(self) -> str:
        """YYMM, the last month in which the card is good."""
        expiry = self.track2.expiry
        if expiry is None:
            reason = f"the track of card {self.name} has no expiry"
            raise AssertionError(reason)
        return expiry

    @property
    def card(self) -> Card:
        """What a stripe reader reads."""
        return Card.stripe(self.track2.reveal())


CARDS: Final[Mapping[str, SimulatedCard]] = {
    card.name: card
    for card in (
        SimulatedCard(
            name="everyday",
            title=Text("a card with 100,000.00 CNY, PIN 123456", "余额100,000.00元的卡, 密码123456"),
            track2=Track2("6229990000000012=49122010000000000000"),
            balance_minor=10_000_000,
            pin="123456",
        ),
        SimulatedCard(
            name="poor",
            title=Text("a card with 1.00 CNY, PIN 123456", "余额1.00元的卡, 密码123456"),
            track2=Track2("6229990000000020=49122010000000000000"),
            balance_minor=100,
            pin="123456",
        ),
        SimulatedCard(
            name="lost",
            title=Text("a card reported lost", "挂失卡"),
            track2=Track2("6229990000000038=49122010000000000000"),
            balance_minor=1_000_000,
            pin="123456",
            refusal="41",
        ),
        SimulatedCard(
            name="expired",
            title=Text("a card that expired in 2020", "2020年到期的卡"),
            track2=Track2("6229990000000046=20012010000000000000"),
            balance_minor=1_000_000,
            pin="123456",
        ),
        SimulatedCard(
            name="no-pin",
            title=Text("a card without a PIN, 1,000.00 CNY", "无密码卡, 余额1,000.00元"),
            track2=Track2("6229990000000053=49122010000000000000"),
            balance_minor=100_000,
        ),
        SimulatedCard(
            name="gift",
            title=Text("a gift card with 10.00 CNY, no PIN, pays in part", "礼品卡, 余额10.00元, 无密码, 可部分承兑"),
            track2=Track2("6229990000000061=49122010000000000000"),
            balance_minor=1_000,
            pays_in_part=True,
        ),
        SimulatedCard(
            name="long",
            title=Text(
                "a card number of 19 digits, 50,000.00 CNY, PIN 888888", "19位卡号, 余额50,000.00元, 密码888888"
            ),
            track2=Track2("6229990000000000076=49122010000000000"),
            balance_minor=5_000_000,
            pin="888888",
        ),
    )
}
"""The cards by name."""
