"""The data elements of the UnionPay POS dialect, and the fixed-digit layouts inside them.

One 64-bit bitmap. Lengths are packed decimal, LLVAR in one byte, LLLVAR in two; for packed data they count digits, else
bytes. Names are those of ISO 8583:1987; 60 to 63 are private and carry UnionPay's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay import censor as censors
from pos_engine.dialects.unionpay.shapes import CATALOGUE
from pos_engine.values import Text
from pos_engine.wire.columns import Column, Columns
from pos_engine.wire.field import Content, Encoding, FieldSpec, Justify, Length, Sensitivity
from pos_engine.wire.spec import MessageSpec, table

if TYPE_CHECKING:
    from collections.abc import Callable

_LL: Final = 2
_LLL: Final = 3


def _digits(
    number: int,
    en: str,
    zh: str,
    size: int,
    prefix: int = 0,
    *,
    content: Content = Content.N,
    justify: Justify = Justify.LEFT,
    sensitivity: Sensitivity = Sensitivity.OPEN,
    censor: Callable[[str], str] | None = None,
    sizes: frozenset[int] | None = None,
) -> FieldSpec:
    """Packed digits: two a byte, an odd last one padded with 0."""
    return FieldSpec(
        number,
        Text(en, zh),
        content,
        Length(size, prefix),
        Encoding.BCD,
        justify=justify,
        sensitivity=sensitivity,
        censor=censor,
        sizes=sizes,
    )


def _text(
    number: int,
    en: str,
    zh: str,
    size: int,
    prefix: int = 0,
    *,
    content: Content = Content.AN,
    sensitivity: Sensitivity = Sensitivity.OPEN,
) -> FieldSpec:
    """Characters, one a byte."""
    return FieldSpec(number, Text(en, zh), content, Length(size, prefix), Encoding.ASCII, sensitivity=sensitivity)


def _binary(
    number: int,
    en: str,
    zh: str,
    size: int,
    prefix: int = 0,
    *,
    sensitivity: Sensitivity = Sensitivity.OPEN,
    censor: Callable[[str], str] | None = None,
) -> FieldSpec:
    """Bytes."""
    return FieldSpec(
        number,
        Text(en, zh),
        Content.B,
        Length(size, prefix),
        Encoding.BINARY,
        sensitivity=sensitivity,
        censor=censor,
    )


F60_SIZES: Final = frozenset({8, 11, 12, 13, 14, 17})
"""Lengths of field 60 that are sent and accepted; captures also show 15, which only the walker reads."""

SPEC: Final = MessageSpec(
    "unionpay",
    mti=Encoding.BCD,
    bitmap=Encoding.BINARY,
    bitmaps=1,
    catalogue=CATALOGUE,
    fields=table(
        _digits(2, "Primary account number", "主账号", 19, _LL, sensitivity=Sensitivity.PAN),
        _digits(3, "Processing code", "交易处理码", 6),
        _digits(4, "Amount, transaction", "交易金额", 12),
        _digits(11, "Systems trace audit number", "受卡方系统跟踪号", 6),
        _digits(12, "Time, local transaction", "受卡方所在地时间", 6),
        _digits(13, "Date, local transaction", "受卡方所在地日期", 4),
        _digits(14, "Date, expiration", "卡有效期", 4, sensitivity=Sensitivity.CARD),
        _digits(15, "Date, settlement", "清算日期", 4),
        # Three digits in two bytes: 021 travels as 02 10, but card sequence number 001 as 00 01.
        _digits(22, "Point of service entry mode", "服务点输入方式码", 3),
        _digits(23, "Card sequence number", "卡序列号", 3, justify=Justify.RIGHT),
        _digits(25, "Point of service condition code", "服务点条件码", 2),
        _digits(26, "Point of service PIN capture code", "服务点PIN获取码", 2),
        _digits(32, "Acquiring institution identification code", "受理机构标识码", 11, _LL),
        _digits(35, "Track 2 data", "二磁道数据", 37, _LL, content=Content.Z, sensitivity=Sensitivity.SECRET),
        _digits(36, "Track 3 data", "三磁道数据", 104, _LLL, content=Content.Z, sensitivity=Sensitivity.SECRET),
        _text(37, "Retrieval reference number", "检索参考号", 12),
        _text(38, "Authorization identification response", "授权标识应答码", 6),
        _text(39, "Response code", "应答码", 2),
        _text(41, "Card acceptor terminal identification", "受卡机终端标识码", 8, content=Content.ANS),
        _text(42, "Card acceptor identification code", "受卡方标识码", 15, content=Content.ANS),
        _text(44, "Additional response data", "附加响应数据", 25, _LL),
        _binary(47, "Additional data, national", "附加数据(国家)", 999, _LLL),
        # Batch details hold card numbers.
        _digits(
            48,
            "Additional data, private",
            "附加数据(私有)",
            322,
            _LLL,
            sensitivity=Sensitivity.CARD,
            censor=censors.details,
        ),
        _text(49, "Currency code, transaction", "交易货币代码", 3),
        _binary(52, "PIN data", "个人标识码数据", 8, sensitivity=Sensitivity.SECRET),
        _digits(53, "Security related control information", "安全控制信息", 16),
        # What is left on an account is its holder's own affair.
        _text(54, "Additional amounts", "附加金额", 20, _LLL, sensitivity=Sensitivity.CARD),
        _binary(
            55,
            "Integrated circuit card data",
            "IC卡数据域",
            255,
            _LLL,
            sensitivity=Sensitivity.CARD,
            censor=censors.chip_data,
        ),
        _text(
            58, "Electronic purse data", "电子钱包数据", 100, _LLL, content=Content.ANS, sensitivity=Sensitivity.CARD
        ),
        # A scanned pay code (tag A3) is as good as a card while it lives.
        _text(
            59, "Reserved, scan-to-pay", "扫码付数据", 600, _LLL, content=Content.ANS, sensitivity=Sensitivity.TRANSIENT
        ),
        _digits(60, "Reserved private: transaction type", "自定义域: 交易类型", 17, _LLL, sizes=F60_SIZES),
        _digits(61, "Original message", "原始信息域", 29, _LLL),
        # Working keys in a sign-on answer, a card verification value (tag 91) in a request by telephone.
        _binary(
            62,
            "Reserved private: terminal",
            "自定义域: 终端",
            512,
            _LLL,
            sensitivity=Sensitivity.TRANSIENT,
            censor=censors.terminal_data,
        ),
        _text(
            63, "Reserved private: organisation and operator", "自定义域: 机构及操作员", 163, _LLL, content=Content.ANS
        ),
        _binary(64, "Message authentication code", "报文鉴别码", 8),
    ),
)

PIN_DATA: Final = 52


def with_pin_block(size: int) -> MessageSpec:
    """Return the spec with a field 52 of another number of bytes."""
    listed = SPEC.fields[PIN_DATA]
    return replace(SPEC, fields={**SPEC.fields, PIN_DATA: replace(listed, length=Length(size))})


HEADER: Final = Columns(
    (
        Column("class", Text("Application class", "应用类别"), 2),
        Column("version", Text("Software version", "软件总版本号"), 2),
        Column("status", Text("Terminal status", "终端状态"), 1),
        Column("request", Text("Processing requirement", "处理要求"), 1),
        Column("reserved", Text("Software sub-version", "软件分版本号"), 6),
    )
)

FIELD_60: Final = Columns(
    (
        Column("60.1", Text("Message type code", "消息类型码"), 2),
        Column("60.2", Text("Batch number", "批次号"), 6),
        Column("60.3", Text("Network management code", "网络管理信息码"), 3),
        Column("60.4", Text("Terminal read ability", "终端读取能力"), 1),
        Column("60.5", Text("Chip condition code", "IC卡条件代码"), 1),
        Column("60.6", Text("Partial approval supported", "支持部分承兑标志"), 1),
        Column("60.7", Text("Account type", "账户类型"), 3),
    )
)

FIELD_61: Final = Columns(
    (
        Column("61.1", Text("Original batch number", "原始交易批次号"), 6),
        Column("61.2", Text("Original trace number", "原始交易流水号"), 6),
        Column("61.3", Text("Original date", "原始交易日期"), 4),
        Column("61.4", Text("Original authorization method", "原交易授权方式"), 2),
        Column("61.5", Text("Original authorizing institution", "原交易授权机构代码"), 11),
    )
)
