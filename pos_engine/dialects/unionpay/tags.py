"""EMV's tags and those that UnionPay adds: chip data of field 55, public keys and chip parameters of field 62."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.values import Text
from pos_engine.wire import emv
from pos_engine.wire.emv import Tag
from pos_engine.wire.field import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHIP: Final = (
    ("9F5D", "Electronic cash balance available", "电子现金可用余额"),
    ("9F63", "Card product identification", "卡产品标识信息"),
    ("9F6D", "Electronic cash reset threshold", "电子现金重置阈值"),
    ("9F74", "Electronic cash issuer authorisation code", "电子现金发卡行授权码"),
    ("9F77", "Electronic cash balance limit", "电子现金余额上限"),
    ("9F78", "Electronic cash single transaction limit", "电子现金单笔交易限额"),
    ("9F79", "Electronic cash balance", "电子现金余额"),
    ("9F7A", "Electronic cash terminal support", "电子现金终端支持指示器"),
    ("9F7B", "Electronic cash terminal transaction limit", "电子现金终端交易限额"),
    ("DF31", "Issuer script results", "发卡行脚本结果"),
    ("DF32", "Mobile chip serial number", "手机芯片序列号"),
    ("DF34", "Mobile chip reading time", "手机芯片读取时间"),
    ("DF69", "Chinese algorithms supported", "国密算法支持指示器"),
)
_PUBLIC_KEY: Final = (
    ("DF02", "Public key modulus", "公钥模"),
    ("DF03", "Public key check value", "公钥校验值"),
    ("DF04", "Public key exponent", "公钥指数"),
    ("DF06", "Public key hash algorithm", "公钥哈希算法标识"),
    ("DF07", "Public key algorithm", "公钥算法标识"),
)
_APPLICATION: Final = (
    ("DF01", "Application selection indicator", "应用选择指示符"),
    ("DF11", "Terminal action code, default", "终端行为代码-缺省"),
    ("DF12", "Terminal action code, online", "终端行为代码-联机"),
    ("DF13", "Terminal action code, denial", "终端行为代码-拒绝"),
    ("DF14", "Default dynamic data object list", "缺省动态数据对象列表"),
    ("DF15", "Threshold for biased random selection", "偏置随机选择的阈值"),
    ("DF16", "Maximum target percentage for biased random selection", "偏置随机选择的最大目标百分数"),
    ("DF17", "Target percentage for random selection", "随机选择的目标百分数"),
    ("DF18", "Online PIN supported", "终端联机PIN支持能力"),
    ("DF19", "Contactless offline floor limit", "非接触读写器脱机最低限额"),
    ("DF20", "Contactless transaction limit", "非接触读写器交易限额"),
    ("DF21", "Contactless cardholder verification limit", "读写器持卡人验证方法所需限制"),
    ("DF23", "Key exchange data, private to an acquirer", "密钥交换数据(收单机构自定义)"),
    ("DF24", "Key exchange check value, private to an acquirer", "密钥交换校验值(收单机构自定义)"),
)
_REFUSED: Final = (
    ("DF28", "Lowest card digits of a range", "卡号段下限"),
    ("DF29", "Highest card digits of a range", "卡号段上限"),
)
_HIDDEN: Final = (
    ("9F61", "Cardholder identity document number", "持卡人证件号"),
    ("9F62", "Cardholder identity document type", "持卡人证件类型"),
    ("DF33", "Mobile chip session key data", "手机芯片过程密钥数据"),
)

TAGS: Final[Mapping[str, Tag]] = {
    **emv.TAGS,
    **{tag: Tag(Text(en, zh)) for tag, en, zh in (*_CHIP, *_PUBLIC_KEY, *_APPLICATION)},
    "DF05": Tag(Text("Public key expiry", "公钥有效期"), text=True),
    **{tag: Tag(Text(en, zh), text=True) for tag, en, zh in _REFUSED},
    **{tag: Tag(Text(en, zh), Sensitivity.SECRET) for tag, en, zh in _HIDDEN},
}
