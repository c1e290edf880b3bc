"""Fields 22, 44, 48, 53, 54, 59 and 63 of the UnionPay dialect: their layouts, and their contents as values.

Columns are read on access; the functions read strictly, and what they read they write back digit for digit. Field 48
has four layouts, told apart by MTI and length: settlement totals (62 digits), batch details (2 and 40 each), the number
of details of a whole upload (4), a tip (12).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import DecodeError, LocalProtocolError, UsageError
from pos_engine.values import CURRENCIES, Amount, Pan, Text
from pos_engine.wire.columns import Column, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pos_engine.wire.message import Message

FIELD_22: Final = Columns(
    (
        Column("22.1", Text("How the card was read", "卡信息输入方式"), 2),
        Column("22.2", Text("PIN entry", "密码输入"), 1),
    )
)
FIELD_44: Final = Columns(
    (
        Column("44.1", Text("Issuer", "发卡机构代码"), 11),
        Column("44.2", Text("Acquirer", "收单机构代码"), 11),
    )
)
FIELD_53: Final = Columns(
    (
        Column("53.1", Text("PIN block format", "PIN格式"), 1),
        Column("53.2", Text("Encryption algorithm", "加密算法标志"), 1),
        Column("53.3", Text("Tracks encrypted", "磁道加密标志"), 1),
        Column("53.4", Text("Reserved", "保留"), 13),
    )
)
FIELD_63: Final = Columns(
    (
        Column("63.1", Text("Card organisation or operator", "国际信用卡公司代码或操作员"), 3),
        Column("63.2.1", Text("Text of the issuer", "发卡方保留域"), 20),
        Column("63.2.2", Text("Text of UnionPay", "中国银联保留域"), 20),
        Column("63.2.3", Text("Text of the acquirer", "受理机构保留域"), 20),
        Column("63.2.4", Text("Text of the terminal", "POS终端保留域"), 60),
    )
)

_SIDE: Final = (
    (Text("Debit amount", "借记总金额"), 12),
    (Text("Debit count", "借记总笔数"), 3),
    (Text("Credit amount", "贷记总金额"), 12),
    (Text("Credit count", "贷记总笔数"), 3),
    (Text("Balanced", "对账应答代码"), 1),
)
TOTALS: Final = Columns(
    tuple(
        Column(f"48.{number}", Text(f"{name.en}, {card.en}", f"{card.zh}{name.zh}"), width)
        for number, (card, (name, width)) in enumerate(
            (
                (card, part)
                for card in (Text("domestic cards", "内卡"), Text("foreign cards", "外卡"))
                for part in _SIDE
            ),
            1,
        )
    )
)
TIP: Final = Columns((Column("48.1", Text("Tip", "小费金额"), 12),))
COUNT: Final = Columns((Column("48.1", Text("Details in all", "批上送总笔数"), 4),))
DETAIL: Final = Columns(
    (
        Column("48.2", Text("Card type", "卡别"), 2),
        Column("48.3", Text("Trace number", "流水号"), 6),
        Column("48.4", Text("Card number", "卡号"), 20),
        Column("48.5", Text("Amount", "金额"), 12),
    )
)

TOTALS_DIGITS: Final = 62
TIP_DIGITS: Final = 12
COUNT_DIGITS: Final = 4
DETAILS_COUNT_DIGITS: Final = 2
DETAIL_DIGITS: Final = 40
DETAILS_MAX: Final = 8
"""Details of one batch upload; 8 fill field 48 to its 322 digits."""
AMOUNT_CHARACTERS: Final = 20
"""Characters of one amount of field 54."""

SETTLEMENT_MTIS: Final = frozenset({"0500", "0510"})
UPLOAD_MTIS: Final = frozenset({"0320", "0330"})
NOTICE_MTIS: Final = frozenset({"0220", "0230", *UPLOAD_MTIS})
"""Messages that can carry a tip: the notice itself, and the same uploaded again after an unbalanced settlement."""

_DIGITS: Final = re.compile(r"[0-9]*")
_AMOUNT: Final = re.compile(r"[0-9]{2}[0-9A-Z]{2}[0-9]{3}[CD][0-9]{12}")


@dataclass(frozen=True, slots=True)
class CardTotals:
    """Totals of one class of cards in a settlement. `balanced` is 0 in a request; then 1 equal, 2 not, 3 error."""

    debit: Amount
    debits: int
    credit: Amount
    credits: int
    balanced: str = "0"


@dataclass(frozen=True, slots=True)
class Totals:
    """Field 48 of a settlement: domestic and foreign cards apart."""

    domestic: CardTotals
    foreign: CardTotals


@dataclass(frozen=True, slots=True)
class Detail:
    """One transaction of a batch upload; `card_type` is 00 for UnionPay's cards, 01 for foreign ones."""

    card_type: str
    stan: str
    pan: Pan
    amount: Amount


@dataclass(frozen=True, slots=True)
class AdditionalAmount:
    """One amount of field 54, such as a balance; `sign` is C (the cardholder's) or D (owed)."""

    account_type: str
    amount_type: str
    currency: str
    sign: str
    minor: int

    @property
    def amount(self) -> Amount | None:
        """The amount without its sign; `None` in a currency nobody listed."""
        currency = CURRENCIES.get(self.currency)
        return None if currency is None else Amount(self.minor, currency)


def layout_48(message: Message) -> Columns | None:
    """Choose the columns of field 48; batch details repeat and have none."""
    size = len(message.get(48, ""))
    if message.mti in SETTLEMENT_MTIS and size == TOTALS_DIGITS:
        return TOTALS
    if message.mti in UPLOAD_MTIS and size == COUNT_DIGITS:
        return COUNT
    return TIP if message.mti in NOTICE_MTIS and size == TIP_DIGITS else None


def read_totals(value: str) -> Totals:
    """Read field 48 of a settlement; `DecodeError` for anything but its 62 digits."""
    _need_digits(value)
    parts = list(TOTALS.read(value, field=48).values())
    if len(value) != TOTALS_DIGITS:
        reason = f"totals have {TOTALS_DIGITS} digits"
        raise DecodeError(reason, field=48)
    return Totals(_card_totals(parts[:5]), _card_totals(parts[5:]))


def _card_totals(parts: Sequence[str]) -> CardTotals:
    debit, debits, credit, credits_, balanced = parts
    return CardTotals(Amount(int(debit)), int(debits), Amount(int(credit)), int(credits_), balanced)


def write_totals(totals: Totals) -> str:
    """Write field 48 of a settlement; `LocalProtocolError` for a count above 999."""
    return TOTALS.join(part for cards in (totals.domestic, totals.foreign) for part in _card_columns(cards))


def _card_columns(cards: CardTotals) -> tuple[str, ...]:
    return cards.debit.digits, f"{cards.debits:03d}", cards.credit.digits, f"{cards.credits:03d}", cards.balanced


def has_details(message: Message) -> bool:
    """Whether field 48 of this message is batch details."""
    return message.mti in UPLOAD_MTIS and len(message.get(48, "")) % DETAIL_DIGITS == DETAILS_COUNT_DIGITS


def read_details(value: str) -> tuple[Detail, ...]:
    """Read field 48 of a batch upload; `DecodeError` when count, length or a card number is not what it must be."""
    _need_digits(value)
    starts = range(DETAILS_COUNT_DIGITS, len(value), DETAIL_DIGITS)
    if len(value) < DETAILS_COUNT_DIGITS or int(value[:DETAILS_COUNT_DIGITS]) != len(starts):
        reason = "its count is not the number of details in it"
        raise DecodeError(reason, field=48)
    return tuple(_detail(value[start : start + DETAIL_DIGITS]) for start in starts)


def _detail(digits: str) -> Detail:
    parts = DETAIL.read(digits, field=48)
    try:
        pan = Pan(parts["48.4"].lstrip("0"))
    except UsageError as error:
        reason = str(error)
    else:
        return Detail(parts["48.2"], parts["48.3"], pan, Amount(int(parts["48.5"])))
    raise DecodeError(reason, field=48)


def write_details(details: Sequence[Detail]) -> str:
    """Write field 48 of a batch upload: 1 to 8 details."""
    if not 1 <= len(details) <= DETAILS_MAX:
        reason = f"a batch upload has 1 to {DETAILS_MAX} details"
        raise LocalProtocolError(reason, field=48)
    return f"{len(details):02d}" + "".join(map(_detail_digits, details))


def _detail_digits(detail: Detail) -> str:
    pan = detail.pan.reveal()
    if pan.startswith("0"):
        reason = "a card number that begins with 0 cannot stand among filling zeros"
        raise LocalProtocolError(reason, field=48)
    return DETAIL.join((detail.card_type, detail.stan, pan.zfill(20), detail.amount.digits))


def read_amounts(value: str) -> tuple[AdditionalAmount, ...]:
    """Read field 54: amounts of twenty characters each."""
    amounts = []
    for start in range(0, len(value), AMOUNT_CHARACTERS):
        part = value[start : start + AMOUNT_CHARACTERS]
        if _AMOUNT.fullmatch(part) is None:
            reason = f"amount {start // AMOUNT_CHARACTERS + 1} is not type, currency, sign and twelve digits"
            raise DecodeError(reason, field=54)
        amounts.append(AdditionalAmount(part[:2], part[2:4], part[4:7], part[7], int(part[8:])))
    return tuple(amounts)


def write_amounts(amounts: Iterable[AdditionalAmount]) -> str:
    """Write field 54; `LocalProtocolError` for a part that has another width."""
    value = "".join(
        f"{each.account_type}{each.amount_type}{each.currency}{each.sign}{each.minor:012d}" for each in amounts
    )
    if re.fullmatch(f"(?:{_AMOUNT.pattern})*", value) is None:
        reason = "an amount is type, currency, sign and twelve digits"
        raise LocalProtocolError(reason, field=54)
    return value


def read_text_tags(value: str) -> tuple[tuple[str, str], ...]:
    """Read field 59: a tag of two characters, a length of three digits, so many characters; order and repeats kept."""
    items, start = [], 0
    while start < len(value):
        size = value[start + 2 : start + 5]
        end = start + 5 + int(size) if re.fullmatch(r"[0-9]{3}", size) else 0
        if not start + 5 <= end <= len(value):
            reason = f"a tag's length is not three digits, or runs past the end, at character {start}"
            raise DecodeError(reason, field=59)
        items.append((value[start : start + 2], value[start + 5 : end]))
        start = end
    return tuple(items)


def write_text_tags(items: Iterable[tuple[str, str]]) -> str:
    """Write field 59."""
    written = []
    for tag, text in items:
        if len(tag) != 2 or len(text) > 999:  # noqa: PLR2004 - the format's own widths: two characters, three digits
            reason = "a tag has two characters and at most 999 behind it"
            raise LocalProtocolError(reason, field=59)
        written.append(f"{tag}{len(text):03d}{text}")
    return "".join(written)


def _need_digits(value: str) -> None:
    if _DIGITS.fullmatch(value) is None:
        reason = "holds something other than digits"
        raise DecodeError(reason, field=48)
