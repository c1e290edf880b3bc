"""The host's books at the end of a situation, beside what the cashier believes and what left the shop. Pure.

A second charge counts even when it was taken back later: the customer has seen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TWICE: Final = Text("the customer was charged twice: {} by card", "顾客被重复扣款: 银行卡共扣{}")
_FOR_A_WHILE: Final = Text(
    "for a while the customer was charged twice: {} by card, until it was taken back",
    "顾客一度被重复扣款: 银行卡曾扣{}",
)
_CASH_TOO: Final = Text("the customer paid twice: {} by card, and cash", "顾客重复付款: 银行卡扣{}, 又付了现金")
_UNPAID: Final = Text("the goods left the shop, and {} of {} was paid", "商品已交给顾客, 实收{}, 应收{}")
_WITHOUT_GOODS: Final = Text("the customer paid {}, and left without the goods", "顾客已付{}, 却没有拿到商品")
_MISTAKEN: Final = Text("the cashier believes that {} was paid, and it was {}", "收银员以为收到{}, 实际为{}")
_DIFFER: Final = Text("the terminal's journal and the host's books differ", "终端流水与主机账目不一致")


@dataclass(frozen=True, slots=True)
class Books:
    """What is known at the end; sums in fen."""

    due_minor: int
    effects: tuple[int, ...]
    """What the host has booked, in order."""
    believed_minor: int
    """What the cashier was shown as approved, and has in cash."""
    cash_minor: int
    has_goods: bool
    """Whether the goods left the shop."""
    differences: tuple[str, ...] = ()
    """Where host and terminals name different amounts."""

    @property
    def charged_minor(self) -> int:
        """What the card was charged in the end."""
        return sum(self.effects)

    @property
    def peak_minor(self) -> int:
        """The most that the card was charged at any time."""
        return max(accumulate(self.effects, initial=0))

    @property
    def paid_minor(self) -> int:
        """What the shop has in the end."""
        return self.charged_minor + self.cash_minor

    @property
    def findings(self) -> tuple[Text, ...]:
        """What is wrong, in words; nothing, when everybody has got what is theirs."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[Text]:
        due = self.due_minor
        if self.charged_minor > due:
            yield _said(_TWICE, self.charged_minor)
        elif self.peak_minor > due:
            yield _said(_FOR_A_WHILE, self.peak_minor)
        if self.charged_minor and self.cash_minor:
            yield _said(_CASH_TOO, self.charged_minor)
        if self.has_goods and self.paid_minor < due:
            yield _said(_UNPAID, self.paid_minor, due)
        if not self.has_goods and self.paid_minor > 0:
            yield _said(_WITHOUT_GOODS, self.paid_minor)
        if self.believed_minor != self.paid_minor:
            yield _said(_MISTAKEN, self.believed_minor, self.paid_minor)
        if self.differences:
            yield _DIFFER


def _said(text: Text, *sums: int) -> Text:
    amounts: Sequence[str] = [f"{'-' if each < 0 else ''}{Amount(abs(each))}" for each in sums]
    return Text(text.en.format(*amounts), text.zh.format(*amounts))
