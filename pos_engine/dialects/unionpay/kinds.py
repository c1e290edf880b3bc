"""The kinds a UnionPay terminal speaks: MTI, fields 3, 25, 60.1, 60.3, required elements, what silence means.

Required elements are those every request of the kind has; what the card and the PIN add (2, 14, 22 to 26, 35, 52, 53)
depends on the card. A missing optional element is never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, KindRow, OnSilence
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGEMENT: Final = frozenset({41, 42, 60})
MONEY: Final = frozenset({3, 4, 11, 22, 25, 41, 42, 49, 60})
MONEY_ANSWER: Final = frozenset({3, 4, 11, 12, 13, 37, 39, 41, 42, 49, 60})


def _page(kind: Kind, title: Text, network_code: str, *, mti: str = "0800", asks: bool = False) -> KindRow:
    """Describe a page of a download; `asks`: field 62 of its request says which."""
    return KindRow(
        kind=kind,
        title=title,
        mti=mti,
        on_silence=OnSilence.FORGET,
        network_code=network_code,
        needed=MANAGEMENT | {62} if asks else MANAGEMENT,
        answered_with=MANAGEMENT | {39, 62},
        mac=False,
        numbered=False,
    )


def _end(kind: Kind, title: Text, network_code: str) -> KindRow:
    """Describe the end of a download."""
    return KindRow(
        kind=kind,
        title=title,
        mti="0800",
        on_silence=OnSilence.FORGET,
        network_code=network_code,
        needed=MANAGEMENT,
        answered_with=MANAGEMENT | {39},
        mac=False,
        numbered=False,
    )


KINDS: Final[Mapping[Kind, KindRow]] = {
    row.kind: row
    for row in (
        KindRow(
            kind=Kind.SIGN_ON,
            title=Text("sign-on", "签到"),
            mti="0800",
            on_silence=OnSilence.FORGET,
            network_code="003",
            needed=MANAGEMENT | {11, 63},
            answered_with=MANAGEMENT | {11, 39, 62},
            mac=False,
        ),
        KindRow(
            kind=Kind.SIGN_OFF,
            title=Text("sign-off", "签退"),
            mti="0820",
            on_silence=OnSilence.FORGET,
            network_code="002",
            needed=MANAGEMENT | {11, 63},
            answered_with=MANAGEMENT | {11, 39},
            mac=False,
        ),
        KindRow(
            kind=Kind.ECHO,
            title=Text("echo test", "回响测试"),
            mti="0820",
            on_silence=OnSilence.FORGET,
            network_code="301",
            needed=MANAGEMENT,
            answered_with=MANAGEMENT | {39},
            mac=False,
            numbered=False,
        ),
        KindRow(
            kind=Kind.STATUS,
            title=Text("status upload", "状态上送"),
            mti="0820",
            on_silence=OnSilence.FORGET,
            network_code="362",
            needed=MANAGEMENT | {62},
            answered_with=MANAGEMENT | {39},
            mac=False,
            numbered=False,
        ),
        _page(Kind.PARAMETERS, Text("parameter download", "参数下载"), "360"),
        _end(Kind.PARAMETERS_END, Text("parameter download ends", "参数下载结束"), "361"),
        _page(Kind.CA_KEY_LIST, Text("list of public keys", "公钥信息查询"), "372", mti="0820", asks=True),
        _page(Kind.CA_KEY, Text("public key download", "公钥下载"), "370", asks=True),
        _end(Kind.CA_KEYS_END, Text("public key download ends", "公钥下载结束"), "371"),
        _page(Kind.AID_LIST, Text("list of chip applications", "IC卡参数查询"), "382", mti="0820", asks=True),
        _page(Kind.AID, Text("chip application download", "IC卡参数下载"), "380", asks=True),
        _end(Kind.AIDS_END, Text("chip application download ends", "IC卡参数下载结束"), "381"),
        _page(Kind.BLACKLIST, Text("blacklist download", "黑名单下载"), "390", asks=True),
        _end(Kind.BLACKLIST_END, Text("blacklist download ends", "黑名单下载结束"), "391"),
        KindRow(
            kind=Kind.BALANCE,
            title=Text("balance inquiry", "余额查询"),
            mti="0200",
            on_silence=OnSilence.FORGET,
            processing_code="310000",
            condition="00",
            message_type="01",
            needed=MONEY - {4},
            answered_with=MONEY_ANSWER - {4} | {54},
            takes_card=True,
        ),
        KindRow(
            kind=Kind.SALE,
            title=Text("sale", "消费"),
            mti="0200",
            on_silence=OnSilence.REVERSE,
            processing_code="000000",
            condition="00",
            message_type="22",
            needed=MONEY,
            answered_with=MONEY_ANSWER,
            takes_card=True,
        ),
        KindRow(
            kind=Kind.VOID,
            title=Text("sale void", "消费撤销"),
            mti="0200",
            on_silence=OnSilence.REVERSE,
            processing_code="200000",
            condition="00",
            message_type="23",
            needed=MONEY | {37, 61},
            answered_with=MONEY_ANSWER,
            takes_card=True,
        ),
        KindRow(
            kind=Kind.REFUND,
            title=Text("refund", "退货"),
            mti="0220",
            on_silence=OnSilence.ASK,
            processing_code="200000",
            condition="00",
            message_type="25",
            needed=MONEY | {37, 61, 63},
            answered_with=MONEY_ANSWER,
            takes_card=True,
        ),
        KindRow(
            kind=Kind.REVERSAL,
            title=Text("reversal", "冲正"),
            mti="0400",
            on_silence=OnSilence.REPEAT,
            needed=frozenset({3, 4, 11, 22, 25, 39, 41, 42, 49, 60}),
            answered_with=frozenset({3, 4, 11, 39, 41, 42}),
        ),
    )
}
