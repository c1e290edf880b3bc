"""What the host does on purpose: the last three digits of an amount choose it, as at many acquirers' test hosts.

9.51 CNY, 19.51 CNY and so on are declined with 51; 9.96 CNY is booked but never answered. A trigger works on the first
request of a kind it names; a reversal carries the same amount and must not meet it again, so reversals have no
triggers.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS_MODULUS: Final = 1000
"""A trigger looks at the last three digits of field 4."""


class Fault(enum.Enum):
    """What a host can do instead of answering properly."""

    DECLINE = "decline with the trigger's response code"
    LOSE_REQUEST = "book nothing and close the link, as if the request had never come"
    LOSE_ANSWER = "decide and book, then close the link without an answer"
    STAY_SILENT = "decide and book, then say nothing and keep the link"
    SPOIL_MAC = "decide and book, then answer with a wrong message authentication code"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One row: which amounts, of which kinds, make the host do what."""

    digits: int
    """The last three digits of the amount in fen."""
    fault: Fault
    title: Text
    code: str | None = None
    """The response code, where the fault is a decline."""
    kinds: frozenset[Kind] = frozenset({Kind.SALE, Kind.REFUND})


TRIGGERS: Final[Mapping[int, Trigger]] = {
    trigger.digits: trigger
    for trigger in (
        Trigger(905, Fault.DECLINE, Text("decline: not honoured", "拒绝: 不予承兑"), "05"),
        Trigger(951, Fault.DECLINE, Text("decline: insufficient funds", "拒绝: 可用余额不足"), "51"),
        Trigger(960, Fault.DECLINE, Text("claim that the MAC is wrong", "拒绝: MAC校验错"), "A0"),
        Trigger(977, Fault.DECLINE, Text("demand a new sign-on", "要求重新签到"), "77"),
        Trigger(991, Fault.DECLINE, Text("decline: issuer not available", "拒绝: 发卡方状态不正常"), "91"),
        Trigger(994, Fault.LOSE_REQUEST, Text("book nothing, close the link", "不记账并断开连接")),
        Trigger(995, Fault.SPOIL_MAC, Text("approve with a wrong MAC", "批准但MAC错误")),
        Trigger(
            996, Fault.LOSE_ANSWER, Text("approve, then close the link without an answer", "记账后断开连接, 不应答")
        ),
        Trigger(997, Fault.STAY_SILENT, Text("approve, then say nothing", "记账后不应答")),
    )
}
"""The triggers of the simulated host by the digits they listen to."""


def triggered(triggers: Mapping[int, Trigger], kind: Kind, amount_minor: int) -> Trigger | None:
    """Return the trigger that an amount sets off for a kind, or `None`."""
    trigger = triggers.get(amount_minor % DIGITS_MODULUS)
    return trigger if trigger is not None and kind in trigger.kinds else None
