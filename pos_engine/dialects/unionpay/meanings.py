"""What the code points of UnionPay's private columns mean, by column and value: data for whoever reads a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

NO: Final = Text("no", "否")
YES: Final = Text("yes", "是")
NONE: Final = Text("none", "无")

ENTRY: Final[Mapping[str, Text]] = {
    "00": Text("unspecified", "未指明"),
    "01": Text("keyed", "手工输入"),
    "02": Text("magnetic stripe", "磁条"),
    "03": Text("code scanned", "扫码"),
    "05": Text("chip", "IC卡"),
    "07": Text("contactless", "非接"),
    "80": Text("stripe after a failed chip", "芯片降级磁条"),
    "91": Text("contactless stripe", "非接磁条"),
    "92": Text("reservation", "预约"),
    "95": Text("chip, data unreliable", "芯片数据不可靠"),
    "96": Text("mobile chip", "手机芯片"),
    "98": Text("contactless, electronic cash", "非接电子现金"),
}
PIN: Final[Mapping[str, Text]] = {
    "0": Text("PIN entry unspecified", "密码输入未指明"),
    "1": Text("PIN entered", "已输密码"),
    "2": Text("no PIN", "无密码"),
}
BALANCED: Final[Mapping[str, Text]] = {
    "0": Text("asked", "请求"),
    "1": Text("balanced", "对账平"),
    "2": Text("not balanced", "对账不平"),
    "3": Text("error", "出错"),
}
ACCOUNT_TYPES: Final[Mapping[str, Text]] = {
    "00": Text("default account", "缺省账户"),
    "10": Text("savings account", "储蓄账户"),
    "20": Text("cheque account", "支票账户"),
    "30": Text("credit account", "信用账户"),
}
AMOUNT_TYPES: Final[Mapping[str, Text]] = {
    "01": Text("ledger balance", "账面余额"),
    "02": Text("available balance", "可用余额"),
}
SIGNS: Final[Mapping[str, Text]] = {"C": Text("credit", "贷"), "D": Text("debit", "借")}

MEANINGS: Final[Mapping[str, Mapping[str, Text]]] = {
    "class": {
        "60": Text("financial, magnetic stripe", "磁条卡金融支付类"),
        "61": Text("financial, chip", "IC卡金融支付类"),
        "62": Text("value added, magnetic stripe", "磁条卡增值服务类"),
        "63": Text("value added, chip", "IC卡增值服务类"),
    },
    "status": {"0": Text("normal", "正常交易状态"), "1": Text("test", "测试交易状态")},
    "request": {
        "0": NONE,
        "1": Text("download terminal parameters", "下传终端参数"),
        "2": Text("upload the terminal's status", "上传终端状态信息"),
        "3": Text("sign on again", "重新签到"),
        "4": Text("update public keys", "更新CA公钥"),
        "5": Text("download chip parameters", "下载IC卡参数"),
        "6": Text("download parameters by TMS", "TMS参数下载"),
        "7": Text("download the card blacklist", "下载卡BIN黑名单"),
        "8": Text("download rates", "下载汇率或费率"),
        "9": Text("download contactless parameters", "下载非接参数"),
    },
    "22.1": ENTRY,
    "22.2": PIN,
    "48.2": {"00": Text("UnionPay card", "内卡"), "01": Text("foreign card", "外卡")},
    "48.5": BALANCED,
    "48.10": BALANCED,
    "53.1": {
        "0": Text("no PIN", "无密码"),
        "1": Text("without the card number", "不带主账号"),
        "2": Text("with the card number", "带主账号"),
    },
    "53.2": {
        "0": Text("DES", "单倍长密钥算法"),
        "3": Text("SM4 (unverified)", "国密SM4算法(未经验证)"),
        "6": Text("3DES, double length", "双倍长密钥算法"),
    },
    "53.3": {"0": NO, "1": YES},
    "60.1": {
        "00": Text("management", "管理类"),
        "01": Text("balance inquiry", "查询"),
        "03": Text("points inquiry", "联盟积分查询"),
        "10": Text("pre-authorisation", "预授权"),
        "11": Text("pre-authorisation void", "预授权撤销"),
        "20": Text("completion", "预授权完成(请求)"),
        "21": Text("completion void", "预授权完成撤销"),
        "22": Text("sale", "消费"),
        "23": Text("void", "消费撤销"),
        "24": Text("completion, notice", "预授权完成(通知)"),
        "25": Text("refund", "退货"),
        "27": Text("offline refund", "脱机退货"),
        "30": Text("offline settlement", "离线结算"),
        "32": Text("offline adjustment", "结算调整"),
        "34": Text("tip adjustment", "小费调整"),
        "36": Text("offline sale, electronic cash", "脱机消费"),
        "40": Text("wallet load, designated account", "电子钱包指定账户圈存"),
        "41": Text("wallet load, cash", "电子钱包现金充值"),
        "42": Text("wallet load, other account", "电子钱包非指定账户圈存"),
        "45": Text("electronic cash load, designated account", "电子现金指定账户圈存"),
        "46": Text("electronic cash load, cash", "电子现金现金充值"),
        "47": Text("electronic cash load, other account", "电子现金非指定账户圈存"),
        "48": Text("stripe card top-up, cash", "磁条卡现金充值"),
        "49": Text("stripe card top-up, account", "磁条卡账户充值"),
        "51": Text("electronic cash load void", "电子现金充值撤销"),
        "53": Text("reservation void", "预约消费撤销"),
        "54": Text("reservation sale", "预约消费"),
    },
    "60.3": {
        "000": Text("financial", "金融交易"),
        "001": Text("sign-on, single-length keys", "签到(单倍长密钥)"),
        "002": Text("sign-off", "签退"),
        "003": Text("sign-on, double-length keys", "签到(双倍长密钥)"),
        "004": Text("sign-on, double-length and track keys", "签到(双倍长密钥含磁道密钥)"),
        "201": Text("settlement, or details of stripe cards", "批结算/磁条卡批上送"),
        "202": Text("upload ends, not balanced", "批上送结束(对账不平)"),
        "203": Text("chip upload, balanced", "IC卡批上送(对账平)"),
        "204": Text("failed chip upload, balanced", "IC卡失败交易上送(对账平)"),
        "205": Text("chip upload, not balanced", "IC卡批上送(对账不平)"),
        "206": Text("failed chip upload, not balanced", "IC卡失败交易上送(对账不平)"),
        "207": Text("upload ends, balanced", "批上送结束(对账平)"),
        "301": Text("echo", "回响测试"),
        "360": Text("parameter download", "参数下载"),
        "361": Text("parameter download ends", "参数下载结束"),
        "362": Text("status upload", "状态上送"),
        "370": Text("public key download", "公钥下载"),
        "371": Text("public key download ends", "公钥下载结束"),
        "372": Text("public key query", "公钥信息查询"),
        "380": Text("chip parameter download", "IC卡参数下载"),
        "381": Text("chip parameter download ends", "IC卡参数下载结束"),
        "382": Text("chip parameter query", "IC卡参数查询"),
        "390": Text("card blacklist download", "黑名单下载"),
        "391": Text("card blacklist download ends", "黑名单下载结束"),
        "401": Text("cashier's sign-on for points", "收银员积分签到"),
        "951": Text("issuer script results", "脚本处理结果通知"),
    },
    "60.4": {
        "0": Text("unknown", "不可预知"),
        "2": Text("magnetic stripe", "磁条读写器"),
        "5": Text("chip", "IC卡读写器"),
        "6": Text("contactless", "非接读写器"),
    },
    "60.5": {
        "0": Text("no chip condition", "未使用或上一笔非IC卡"),
        "1": Text("the last one was not by chip, or went well", "上一笔非IC卡或成功"),
        "2": Text("the last chip transaction failed", "上一笔IC卡失败"),
    },
    "60.6": {"0": NO, "1": YES},
    "60.7": {
        "048": Text("points of the issuer", "发卡行积分"),
        "065": Text("points of the alliance", "联盟积分"),
        "066": Text("wallet", "电子钱包"),
    },
    "61.4": {
        "00": Text("by a terminal", "POS预授权"),
        "01": Text("by telephone", "电话授权"),
        "02": Text("stand-in", "代授权"),
    },
    "63.1": {
        "CUP": Text("UnionPay", "中国银联"),
        "VIS": Text("Visa", "维萨"),
        "MCC": Text("Mastercard", "万事达"),
        "MAE": Text("Maestro", "万事顺"),
        "JCB": Text("JCB", "吉士美"),
        "DCC": Text("Diners Club", "大来"),
        "AMX": Text("American Express", "美国运通"),
        "AEX": Text("American Express", "美国运通"),
    },
}
