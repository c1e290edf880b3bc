"""Field 39 of the UnionPay dialect as data: what each code decides, what it means, what the person at the till does.

Approvals are 00, 10, 11, A2, A4, A5 and A6: treating "not 00" as a decline would reverse good sales. 77, 99 and A0
demand a new sign-on. Every other code, listed or not, is a decline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import ResponseCode, Verdict
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE: Final = Text("nothing more to do", "无需操作")
CONFIRM: Final = Text("done; let the cardholder confirm with the issuer", "交易成功, 请向发卡行确认")
ISSUER: Final = Text("ask the cardholder to call the card's issuer", "请持卡人与发卡银行联系")
OTHER_CARD: Final = Text("ask for another card", "请换卡")
RETAIN: Final = Text("keep the card and call the acquirer", "没收卡, 请联系收单行")
RETRY: Final = Text("try once more", "请重试")
LATER: Final = Text("try again in a few minutes", "请稍后重试")
ACQUIRER: Final = Text("call the acquirer", "请联系收单行")
SIGN_ON: Final = Text("sign on again, then repeat the transaction", "请重新签到后再交易")
CHECK_AMOUNT: Final = Text("check the amount and repeat", "请核对金额后重试")
CHECK_ENTRY: Final = Text("check what was entered; signing on again may help", "请核对输入, 可重新签到")
REPEAT_PIN: Final = Text("start a new transaction and enter the PIN again", "密码错, 请重新交易")

_A, _D, _S = Verdict.APPROVAL, Verdict.DECLINE, Verdict.SIGN_ON
_ROWS: Final = (
    ("00", _A, "approved", "交易成功", DONE),
    ("01", _D, "refer to the card issuer", "查发卡行", ISSUER),
    ("02", _D, "refer to the card issuer, special condition", "查发卡行的特殊条件", ISSUER),
    ("03", _D, "merchant unknown", "无效商户", ACQUIRER),
    ("04", _D, "keep the card", "没收卡", RETAIN),
    ("05", _D, "not honoured", "不予承兑", ISSUER),
    ("06", _D, "issuer error", "出错", ISSUER),
    ("07", _D, "keep the card, special condition", "特殊条件下没收卡", RETAIN),
    ("09", _D, "request in progress", "请求正在处理中", RETRY),
    ("10", _A, "approved in part", "部分承兑", CONFIRM),
    ("11", _A, "approved, VIP customer", "成功, VIP客户", DONE),
    ("12", _D, "invalid transaction", "无效交易", RETRY),
    ("13", _D, "invalid amount", "无效金额", CHECK_AMOUNT),
    ("14", _D, "invalid card number", "无效卡号", OTHER_CARD),
    ("15", _D, "no such issuer", "此卡无对应发卡方", OTHER_CARD),
    ("19", _D, "enter the transaction again", "重新送入交易", RETRY),
    ("20", _D, "invalid response from the issuer", "无效应答", ISSUER),
    ("21", _D, "card not initialised or dormant", "该卡未初始化或睡眠卡", ISSUER),
    ("22", _D, "suspected malfunction, or too old to act on", "操作有误, 或超出交易允许天数", CHECK_ENTRY),
    ("23", _D, "fee not acceptable", "不可接受的交易费", ISSUER),
    ("25", _D, "original transaction not found", "没有原始交易", ISSUER),
    ("30", _D, "format error", "格式错误", RETRY),
    ("31", _D, "bank not supported", "银联不支持的银行", OTHER_CARD),
    ("33", _D, "expired card", "过期的卡", RETAIN),
    ("34", _D, "suspected fraud", "有作弊嫌疑", RETAIN),
    ("35", _D, "contact the acquirer's security department", "与安全保密部门联系", RETAIN),
    ("36", _D, "restricted card", "受限制的卡", OTHER_CARD),
    ("37", _D, "call the acquirer's security department", "受卡方呼受理方安全部门", RETAIN),
    ("38", _D, "PIN tries exceeded", "超过允许的PIN试输入", ISSUER),
    ("39", _D, "no credit account", "无此信用卡账户", ISSUER),
    ("40", _D, "function not supported by the issuer", "发卡方不支持的交易类型", ISSUER),
    ("41", _D, "lost card", "挂失卡", RETAIN),
    ("42", _D, "no such account", "无此账户", ISSUER),
    ("43", _D, "stolen card", "被窃卡", RETAIN),
    ("44", _D, "no investment account", "无此投资账户", ISSUER),
    ("45", _D, "use the chip", "请使用芯片", Text("insert the card instead of swiping it", "请插入芯片卡")),
    ("51", _D, "insufficient funds", "可用余额不足", OTHER_CARD),
    ("52", _D, "no cheque account", "无此支票账户", ISSUER),
    ("53", _D, "no savings account", "无此储蓄卡账户", ISSUER),
    ("54", _D, "card expired", "该卡已过期", OTHER_CARD),
    ("55", _D, "wrong PIN", "密码错", REPEAT_PIN),
    ("56", _D, "no record of this card", "无此卡记录", ISSUER),
    ("57", _D, "not permitted to this card", "不允许此卡交易", OTHER_CARD),
    ("58", _D, "not permitted to this terminal", "不允许该卡在本终端进行此交易", ACQUIRER),
    ("59", _D, "card verification failed", "卡片校验错", ISSUER),
    ("60", _D, "contact the security department", "与安全保密部门联系", ISSUER),
    ("61", _D, "amount over the limit", "交易金额超限", CHECK_AMOUNT),
    ("62", _D, "restricted card", "受限制的卡", ISSUER),
    ("63", _D, "security violation", "违反安全保密规定", ISSUER),
    ("64", _D, "amount differs from the original", "交易金额与原交易不匹配", CHECK_AMOUNT),
    ("65", _D, "number of uses exceeded", "超出消费次数限制", ISSUER),
    ("66", _D, "call the acquirer's security department", "呼受理方安全部门", ACQUIRER),
    ("67", _D, "keep the card", "捕捉(没收卡)", RETAIN),
    ("68", _D, "the issuer answered too late", "收到的回答太迟", RETRY),
    ("75", _D, "PIN tries exceeded", "密码错误次数超限", ISSUER),
    ("77", _S, "batch differs from the host's: sign on", "请向网络中心签到", SIGN_ON),
    (
        "79",
        _D,
        "offline totals differ",
        "脱机交易对账不平",
        Text("upload the offline transactions again", "请重传脱机数据"),
    ),
    ("90", _D, "day cut-over in progress", "日期切换正在处理", LATER),
    ("91", _D, "issuer or switch not available", "发卡方状态不正常", LATER),
    ("92", _D, "no route to the issuer", "发卡方线路异常", LATER),
    ("93", _D, "transaction not lawful", "交易违法、不能完成", ISSUER),
    ("94", _D, "duplicate transaction", "重复交易", LATER),
    ("95", _D, "reconcilement error", "调节控制错", LATER),
    ("96", _D, "switching centre failure", "交换中心异常", LATER),
    ("97", _D, "terminal unknown", "终端未登记", ACQUIRER),
    ("98", _D, "no answer from the issuer", "发卡方超时", RETRY),
    ("99", _S, "PIN block not readable: sign on", "PIN格式错, 请重新签到", SIGN_ON),
    ("A0", _S, "MAC not valid: sign on", "MAC校验错, 请重新签到", SIGN_ON),
    ("A1", _D, "currencies differ", "转账货币不一致", ACQUIRER),
    ("A2", _A, "approved, to be confirmed", "交易成功, 请向发卡行确认", CONFIRM),
    ("A3", _D, "account not correct", "账户不正确", ISSUER),
    ("A4", _A, "approved, to be confirmed", "交易成功, 请向发卡行确认", CONFIRM),
    ("A5", _A, "approved, to be confirmed", "交易成功, 请向发卡行确认", CONFIRM),
    ("A6", _A, "approved, to be confirmed", "交易成功, 请向发卡行确认", CONFIRM),
    ("A7", _D, "security processing failed", "安全处理失败", LATER),
)

CODES: Final[Mapping[str, ResponseCode]] = {
    code: ResponseCode(code, verdict, Text(en, zh), action) for code, verdict, en, zh, action in _ROWS
}
