"""The data elements of ISO 8583:1987 by their names in the standard, all in ASCII; elements of the class b are bytes.

Two bitmaps of sixteen hex characters. Length prefixes are decimal characters. Tracks are taken as they are read from
the card, with `=` or `D` as separator. What the standard leaves to nations, networks and private use may hold card data
and is not shown.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.iso87.shapes import CATALOGUE
from pos_engine.values import Text
from pos_engine.wire.field import Content, Encoding, FieldSpec, Length, Sensitivity
from pos_engine.wire.spec import MessageSpec, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_N, _AN, _ANS, _B = Content.N, Content.AN, Content.ANS, Content.B
_LL: Final = 2
_LLL: Final = 3

_ELEMENTS: Final = (
    # number, name, name, class, size, digits of the length prefix
    (2, "Primary account number", "主账号", _N, 19, _LL),
    (3, "Processing code", "交易处理码", _N, 6, 0),
    (4, "Amount, transaction", "交易金额", _N, 12, 0),
    (5, "Amount, settlement", "清算金额", _N, 12, 0),
    (6, "Amount, cardholder billing", "持卡人扣账金额", _N, 12, 0),
    (7, "Transmission date and time", "交易传输时间", _N, 10, 0),
    (8, "Amount, cardholder billing fee", "持卡人扣账手续费", _N, 8, 0),
    (9, "Conversion rate, settlement", "清算汇率", _N, 8, 0),
    (10, "Conversion rate, cardholder billing", "持卡人扣账汇率", _N, 8, 0),
    (11, "Systems trace audit number", "系统跟踪号", _N, 6, 0),
    (12, "Time, local transaction", "受卡方所在地时间", _N, 6, 0),
    (13, "Date, local transaction", "受卡方所在地日期", _N, 4, 0),
    (14, "Date, expiration", "卡有效期", _N, 4, 0),
    (15, "Date, settlement", "清算日期", _N, 4, 0),
    (16, "Date, conversion", "兑换日期", _N, 4, 0),
    (17, "Date, capture", "受理日期", _N, 4, 0),
    (18, "Merchant's type", "商户类型", _N, 4, 0),
    (19, "Acquiring institution country code", "受理机构国家代码", _N, 3, 0),
    (20, "Primary account number extended, country code", "扩展主账号国家代码", _N, 3, 0),
    (21, "Forwarding institution country code", "发送机构国家代码", _N, 3, 0),
    (22, "Point of service entry mode", "服务点输入方式码", _N, 3, 0),
    (23, "Card sequence number", "卡序列号", _N, 3, 0),
    (24, "Network international identifier", "网络国际标识符", _N, 3, 0),
    (25, "Point of service condition code", "服务点条件码", _N, 2, 0),
    (26, "Point of service PIN capture code", "服务点PIN获取码", _N, 2, 0),
    (27, "Authorization identification response length", "授权标识应答长度", _N, 1, 0),
    # Fees and net amounts begin with C for credit or D for debit.
    (28, "Amount, transaction fee", "交易费", _AN, 9, 0),
    (29, "Amount, settlement fee", "清算费", _AN, 9, 0),
    (30, "Amount, transaction processing fee", "交易处理费", _AN, 9, 0),
    (31, "Amount, settlement processing fee", "清算处理费", _AN, 9, 0),
    (32, "Acquiring institution identification code", "受理机构标识码", _N, 11, _LL),
    (33, "Forwarding institution identification code", "发送机构标识码", _N, 11, _LL),
    (34, "Primary account number, extended", "扩展主账号", _ANS, 28, _LL),
    (35, "Track 2 data", "二磁道数据", _ANS, 37, _LL),
    (36, "Track 3 data", "三磁道数据", _ANS, 104, _LLL),
    (37, "Retrieval reference number", "检索参考号", _AN, 12, 0),
    (38, "Authorization identification response", "授权标识应答码", _AN, 6, 0),
    (39, "Response code", "应答码", _AN, 2, 0),
    (40, "Service restriction code", "服务限制代码", _AN, 3, 0),
    (41, "Card acceptor terminal identification", "受卡机终端标识码", _ANS, 8, 0),
    (42, "Card acceptor identification code", "受卡方标识码", _ANS, 15, 0),
    (43, "Card acceptor name and location", "受卡方名称地址", _ANS, 40, 0),
    (44, "Additional response data", "附加响应数据", _ANS, 25, _LL),
    (45, "Track 1 data", "一磁道数据", _ANS, 76, _LL),
    (46, "Additional data, ISO", "附加数据(ISO)", _ANS, 999, _LLL),
    (47, "Additional data, national", "附加数据(国家)", _ANS, 999, _LLL),
    (48, "Additional data, private", "附加数据(私有)", _ANS, 999, _LLL),
    (49, "Currency code, transaction", "交易货币代码", _AN, 3, 0),
    (50, "Currency code, settlement", "清算货币代码", _AN, 3, 0),
    (51, "Currency code, cardholder billing", "持卡人扣账货币代码", _AN, 3, 0),
    (52, "PIN data", "个人标识码数据", _B, 8, 0),
    (53, "Security related control information", "安全控制信息", _N, 16, 0),
    (54, "Additional amounts", "附加金额", _AN, 120, _LLL),
    (55, "Reserved, ISO: integrated circuit card data", "ISO保留: IC卡数据域", _ANS, 999, _LLL),
    (56, "Reserved, ISO", "ISO保留", _ANS, 999, _LLL),
    *((number, "Reserved, national", "国家保留", _ANS, 999, _LLL) for number in range(57, 60)),
    *((number, "Reserved, private", "私有保留", _ANS, 999, _LLL) for number in range(60, 64)),
    (64, "Message authentication code", "报文鉴别码", _B, 8, 0),
    (66, "Settlement code", "清算代码", _N, 1, 0),
    (67, "Extended payment code", "扩展付款代码", _N, 2, 0),
    (68, "Receiving institution country code", "接收机构国家代码", _N, 3, 0),
    (69, "Settlement institution country code", "清算机构国家代码", _N, 3, 0),
    (70, "Network management information code", "网络管理信息码", _N, 3, 0),
    (71, "Message number", "报文编号", _N, 4, 0),
    (72, "Message number, last", "最后报文编号", _N, 4, 0),
    (73, "Date, action", "动作日期", _N, 6, 0),
    (74, "Credits, number", "贷记笔数", _N, 10, 0),
    (75, "Credits, reversal number", "冲正贷记笔数", _N, 10, 0),
    (76, "Debits, number", "借记笔数", _N, 10, 0),
    (77, "Debits, reversal number", "冲正借记笔数", _N, 10, 0),
    (78, "Transfer, number", "转账笔数", _N, 10, 0),
    (79, "Transfer, reversal number", "冲正转账笔数", _N, 10, 0),
    (80, "Inquiries, number", "查询笔数", _N, 10, 0),
    (81, "Authorizations, number", "授权笔数", _N, 10, 0),
    (82, "Credits, processing fee amount", "贷记处理费金额", _N, 12, 0),
    (83, "Credits, transaction fee amount", "贷记交易费金额", _N, 12, 0),
    (84, "Debits, processing fee amount", "借记处理费金额", _N, 12, 0),
    (85, "Debits, transaction fee amount", "借记交易费金额", _N, 12, 0),
    (86, "Credits, amount", "贷记金额", _N, 16, 0),
    (87, "Credits, reversal amount", "冲正贷记金额", _N, 16, 0),
    (88, "Debits, amount", "借记金额", _N, 16, 0),
    (89, "Debits, reversal amount", "冲正借记金额", _N, 16, 0),
    (90, "Original data elements", "原始数据元", _N, 42, 0),
    (91, "File update code", "文件更新码", _AN, 1, 0),
    (92, "File security code", "文件安全码", _AN, 2, 0),
    (93, "Response indicator", "应答标识", _AN, 5, 0),
    (94, "Service indicator", "服务标识", _AN, 7, 0),
    (95, "Replacement amounts", "代替金额", _AN, 42, 0),
    (96, "Message security code", "报文安全码", _B, 8, 0),
    (97, "Amount, net settlement", "净清算额", _AN, 17, 0),
    (98, "Payee", "收款人", _ANS, 25, 0),
    (99, "Settlement institution identification code", "清算机构标识码", _N, 11, _LL),
    (100, "Receiving institution identification code", "接收机构标识码", _N, 11, _LL),
    (101, "File name", "文件名", _ANS, 17, _LL),
    (102, "Account identification 1", "账户标识1", _ANS, 28, _LL),
    (103, "Account identification 2", "账户标识2", _ANS, 28, _LL),
    (104, "Transaction description", "交易描述", _ANS, 100, _LLL),
    *((number, "Reserved, ISO", "ISO保留", _ANS, 999, _LLL) for number in range(105, 112)),
    *((number, "Reserved, national", "国家保留", _ANS, 999, _LLL) for number in range(112, 120)),
    *((number, "Reserved, private", "私有保留", _ANS, 999, _LLL) for number in range(120, 128)),
    (128, "Message authentication code", "报文鉴别码", _B, 8, 0),
)

_SENSITIVE: Final = {
    2: Sensitivity.PAN,
    **dict.fromkeys((35, 36, 45, 52, 96), Sensitivity.SECRET),
    **dict.fromkeys(
        chain((14, 34, 46, 47, 48), range(54, 60), (102, 103), range(105, 128)),
        Sensitivity.CARD,
    ),
    # Of the private ones, 60, 61 and 63 are filled as this package's `compose` says; 62 brings working keys.
    62: Sensitivity.TRANSIENT,
}


def _fields() -> Iterator[FieldSpec]:
    for number, en, zh, content, size, prefix in _ELEMENTS:
        yield FieldSpec(
            number,
            Text(en, zh),
            content,
            Length(size, prefix),
            Encoding.BINARY if content is Content.B else Encoding.ASCII,
            Encoding.ASCII,
            sensitivity=_SENSITIVE.get(number, Sensitivity.OPEN),
        )


SPEC: Final = MessageSpec(
    "iso87",
    mti=Encoding.ASCII,
    bitmap=Encoding.ASCII,
    bitmaps=2,
    fields=table(*_fields()),
    catalogue=CATALOGUE,
)
