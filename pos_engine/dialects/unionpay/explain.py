"""What a value means, in words, for somebody who reads a decoded message: types, entry modes, codes, currencies.

Only open values are explained by what they are; of a hidden one it is said what it would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import REVERSAL_REASONS
from pos_engine.dialects.unionpay.codes import CODES
from pos_engine.dialects.unionpay.fields import FIELD_60
from pos_engine.dialects.unionpay.kinds import KINDS
from pos_engine.dialects.unionpay.meanings import ENTRY, PIN
from pos_engine.dialects.unionpay.sign_on import SIGN_ONS
from pos_engine.errors import UsageError
from pos_engine.values import CURRENCIES, Amount, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.wire.message import Message

REVERSAL_REQUEST: Final = "0400"
SIGN_ON_ANSWER: Final = "0810"

_TRACK: Final = Text("the magnetic stripe, never shown", "磁道数据, 从不显示")
_PIN_BLOCK: Final = Text("the encrypted PIN block, never shown", "密码密文, 从不显示")
_KEYS: Final = Text("working keys, each encrypted and with its check value", "加密的工作密钥及其校验值")


def _processing(message: Message, value: str) -> Text | None:
    rows = [row for row in KINDS.values() if row.processing_code == value]
    exact = [row for row in rows if message.mti in {row.mti, row.answer_mti}]
    return (exact or rows)[0].title if rows else None


def _amount(message: Message, value: str) -> Text | None:
    currency = CURRENCIES.get(message.get(49, ""))
    try:
        text = str(Amount(int(value), currency)) if currency is not None else ""
    except (UsageError, ValueError):
        text = ""
    return Text(text, text) if text else None


def _entry_mode(_message: Message, value: str) -> Text | None:
    how, pin = ENTRY.get(value[:2]), PIN.get(value[2:])
    if how is None or pin is None:
        return how or pin
    return Text(f"{how.en}, {pin.en}", f"{how.zh}, {pin.zh}")


def _code(message: Message, value: str) -> Text | None:
    if message.mti == REVERSAL_REQUEST:
        return REVERSAL_REASONS.get(value)
    return CODES[value].meaning if value in CODES else None


def _currency(_message: Message, value: str) -> Text | None:
    currency = CURRENCIES.get(value)
    return Text(currency.alpha, currency.alpha) if currency is not None else None


def _mac(_message: Message, value: str) -> Text | None:
    """Show the eight characters that a UnionPay MAC is; one of other bytes has nothing to show."""
    try:
        text = bytes.fromhex(value).decode("ascii")
    except ValueError:
        return None
    return Text(text, text) if text.isalnum() else None


def _private(message: Message, _value: str) -> Text | None:
    asked = FIELD_60.get(message.get(60, ""), "60.3")
    return _KEYS if message.mti == SIGN_ON_ANSWER and asked in SIGN_ONS else None


_EXPLAINERS: Final[Mapping[int, Callable[[Message, str], Text | None]]] = {
    3: _processing,
    4: _amount,
    22: _entry_mode,
    35: lambda _message, _value: _TRACK,
    36: lambda _message, _value: _TRACK,
    39: _code,
    49: _currency,
    52: lambda _message, _value: _PIN_BLOCK,
    62: _private,
    64: _mac,
}


def explain(message: Message, number: int) -> Text | None:
    """Say in words what an element's value means; `None` where there is nothing to add to it."""
    explainer = _EXPLAINERS.get(number)
    return explainer(message, message[number]) if explainer is not None and number in message else None
