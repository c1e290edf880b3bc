"""The names of EMV's tags, and what of them may be shown: data, and nothing of any acquirer.

Sources are the public EMV books 1 to 4 and the contactless books' common tags. A tag that names a card, a person or a
PIN is never shown; one that is not listed is hidden too, because nobody said that it is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.values import Text
from pos_engine.wire.field import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag's name, what may become of its value, and whether the value is characters."""

    name: Text
    sensitivity: Sensitivity = Sensitivity.OPEN
    text: bool = False


UNLISTED: Final = Tag(Text("not a tag of this dialect", "未定义的标签"), Sensitivity.SECRET)
FILLING: Final = Tag(Text("filling", "填充"))

_OPEN: Final = (
    ("42", "Issuer identification number", "发卡行识别号"),
    ("4F", "Application identifier of the card", "应用标识符"),
    ("5F24", "Application expiration date", "应用失效日期"),
    ("5F25", "Application effective date", "应用生效日期"),
    ("5F28", "Issuer country code", "发卡行国家代码"),
    ("5F2A", "Transaction currency code", "交易货币代码"),
    ("5F30", "Service code", "服务码"),
    ("5F34", "Application PAN sequence number", "应用主账号序列号"),
    ("5F36", "Transaction currency exponent", "交易货币指数"),
    ("61", "Application template", "应用模板"),
    ("6F", "File control information template", "文件控制信息模板"),
    ("70", "Record template", "记录模板"),
    ("71", "Issuer script template 1", "发卡行脚本模板1"),
    ("72", "Issuer script template 2", "发卡行脚本模板2"),
    ("77", "Response message template 2", "响应报文模板2"),
    ("80", "Response message template 1", "响应报文模板1"),
    ("81", "Amount, authorised (binary)", "授权金额(二进制)"),
    ("82", "Application interchange profile", "应用交互特征"),
    ("84", "Dedicated file name", "专用文件名称"),
    ("86", "Issuer script command", "发卡行脚本命令"),
    ("87", "Application priority indicator", "应用优先指示符"),
    ("88", "Short file identifier", "短文件标识符"),
    ("8C", "Card risk management data object list 1", "卡片风险管理数据对象列表1"),
    ("8D", "Card risk management data object list 2", "卡片风险管理数据对象列表2"),
    ("8E", "Cardholder verification method list", "持卡人验证方法列表"),
    ("8F", "Certification authority public key index", "CA公钥索引"),
    ("91", "Issuer authentication data", "发卡行认证数据"),
    ("94", "Application file locator", "应用文件定位器"),
    ("95", "Terminal verification results", "终端验证结果"),
    ("97", "Transaction certificate data object list", "交易证书数据对象列表"),
    ("98", "Transaction certificate hash value", "交易证书哈希值"),
    ("9A", "Transaction date", "交易日期"),
    ("9B", "Transaction status information", "交易状态信息"),
    ("9C", "Transaction type", "交易类型"),
    ("9F01", "Acquirer identifier", "收单行标识"),
    ("9F02", "Amount, authorised", "授权金额"),
    ("9F03", "Amount, other", "其他金额"),
    ("9F06", "Application identifier of the terminal", "应用标识符(终端)"),
    ("9F07", "Application usage control", "应用用途控制"),
    ("9F08", "Application version number of the card", "应用版本号(卡片)"),
    ("9F09", "Application version number of the terminal", "应用版本号(终端)"),
    ("9F0D", "Issuer action code, default", "发卡行行为代码-缺省"),
    ("9F0E", "Issuer action code, denial", "发卡行行为代码-拒绝"),
    ("9F0F", "Issuer action code, online", "发卡行行为代码-联机"),
    ("9F10", "Issuer application data", "发卡行应用数据"),
    ("9F15", "Merchant category code", "商户类别码"),
    ("9F1A", "Terminal country code", "终端国家代码"),
    ("9F1B", "Terminal floor limit", "终端最低限额"),
    ("9F1D", "Terminal risk management data", "终端风险管理数据"),
    ("9F21", "Transaction time", "交易时间"),
    ("9F22", "Certification authority public key index of the terminal", "CA公钥索引(终端)"),
    ("9F26", "Application cryptogram", "应用密文"),
    ("9F27", "Cryptogram information data", "密文信息数据"),
    ("9F33", "Terminal capabilities", "终端性能"),
    ("9F34", "Cardholder verification method results", "持卡人验证方法结果"),
    ("9F35", "Terminal type", "终端类型"),
    ("9F36", "Application transaction counter", "应用交易计数器"),
    ("9F37", "Unpredictable number", "不可预知数"),
    ("9F38", "Processing options data object list", "处理选项数据对象列表"),
    ("9F39", "Point of service entry mode", "POS输入方式"),
    ("9F40", "Additional terminal capabilities", "终端附加性能"),
    ("9F41", "Transaction sequence counter", "交易序列计数器"),
    ("9F42", "Application currency code", "应用货币代码"),
    ("9F45", "Data authentication code", "数据认证码"),
    ("9F4C", "Dynamic number of the card", "IC卡动态数"),
    ("9F53", "Transaction category code", "交易类别码"),
    ("9F5B", "Issuer script results", "发卡行脚本结果"),
    ("9F66", "Terminal transaction qualifiers", "终端交易属性"),
    ("9F6C", "Card transaction qualifiers", "卡片交易属性"),
    ("9F6E", "Form factor indicator", "形态因素标识"),
    ("9F7C", "Customer exclusive data", "客户专有数据"),
    ("A5", "File control information, proprietary template", "文件控制信息专用模板"),
    ("BF0C", "File control information, issuer's data", "文件控制信息发卡行数据"),
)
_CHARACTERS: Final = (
    ("50", "Application label", "应用标签"),
    ("5F2D", "Language preference", "首选语言"),
    ("89", "Authorisation code", "授权码"),
    ("8A", "Authorisation response code", "授权响应代码"),
    ("9F12", "Application preferred name", "应用首选名称"),
    ("9F16", "Merchant identifier", "商户标识"),
    ("9F1C", "Terminal identification", "终端标识"),
    ("9F1E", "Interface device serial number", "接口设备序列号"),
    ("9F4E", "Merchant name and location", "商户名称及位置"),
)
_HIDDEN: Final = (
    ("56", "Track 1 data", "一磁道数据"),
    ("57", "Track 2 equivalent data", "二磁道等价数据"),
    ("5A", "Application primary account number", "应用主账号"),
    ("5F20", "Cardholder name", "持卡人姓名"),
    ("99", "PIN data of the transaction", "交易PIN数据"),
    ("9F0B", "Cardholder name, extended", "持卡人姓名扩展"),
    ("9F1F", "Track 1 discretionary data", "一磁道自定义数据"),
    ("9F20", "Track 2 discretionary data", "二磁道自定义数据"),
    ("9F6B", "Track 2 data of a contactless card", "非接二磁道数据"),
)

TAGS: Final[Mapping[str, Tag]] = {
    **{tag: Tag(Text(en, zh)) for tag, en, zh in _OPEN},
    **{tag: Tag(Text(en, zh), text=True) for tag, en, zh in _CHARACTERS},
    **{tag: Tag(Text(en, zh), Sensitivity.SECRET) for tag, en, zh in _HIDDEN},
}
