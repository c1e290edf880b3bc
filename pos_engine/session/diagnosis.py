"""Why a sign-on failed, read off its record by type and by code, and never out of a text.

`ADVICE` has one row for each cause: what it means, what the engine does by itself, what the merchant does, whom to
call. Two tables lead to it: one from what the terminal saw (`Trouble`), one from what the host said (field 39). Every
code is in the second, those included that say nothing about the session: a card without money is no failed sign-on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, Verdict
from pos_engine.errors import Trouble
from pos_engine.journal.record import State
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pos_engine.dialects.base import Dialect
    from pos_engine.journal.record import Record
    from pos_engine.journal.view import JournalView

DAYS_APART: Final = 2
"""A date of the host so many days from the terminal's is no time zone any more."""
HOST_DATE: Final = 13
_DATE_DIGITS: Final = 4


class Cause(enum.Enum):
    """Why a sign-on failed; the value is the word for programs."""

    NO_ROUTE = "no-route"
    REFUSED = "connection-refused"
    NO_CONNECTION = "no-connection"
    NAME = "name-not-found"
    TLS = "tls"
    LOCAL = "not-permitted-here"
    DEVICE = "line-device-missing"
    LINE = "line-not-acknowledged"
    TIMEOUT = "no-answer"
    CLOSED = "closed-by-host"
    FRAMING = "framing-or-tpdu"
    FOREIGN = "foreign-answer"
    HOST_DEFECT = "answer-not-usable"
    TERMINAL = "terminal-unknown"
    MERCHANT = "merchant-unknown"
    BARRED = "terminal-barred"
    KEYS = "keys-do-not-match"
    MAC = "mac-or-pin-key"
    BATCH = "batch-differs"
    BUSY = "host-busy"
    OUT_OF_STEP = "out-of-step"
    CLOCK = "clock"
    OPERATOR = "operator"
    CONFIGURATION = "configuration"
    HOST_REFUSAL = "refused-by-host"
    SOFTWARE = "terminal-software"
    INTERRUPTED = "interrupted"
    NOT_SESSION = "not-the-session"


@dataclass(frozen=True, slots=True)
class Advice:
    """One row of the table."""

    meaning: Text
    engine: Text
    """What the engine does by itself."""
    merchant: Text
    """What the merchant does."""
    call: Text
    """Whom to call, where that does not help."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known about one failure; everything in it is safe to show."""

    cause: Cause
    advice: Advice
    evidence: tuple[Text, ...]
    """The facts of this record that led to the cause."""

    @property
    def is_session(self) -> bool:
        """Whether it is a matter of the session at all."""
        return self.cause is not Cause.NOT_SESSION

    @property
    def may_pass(self) -> bool:
        """Whether trying again in a few seconds may help, because it is the line or a host that is busy."""
        return self.cause in PASSING


PASSING: Final = frozenset(
    {
        *(Cause.NO_ROUTE, Cause.REFUSED, Cause.NO_CONNECTION, Cause.NAME, Cause.TIMEOUT, Cause.CLOSED, Cause.FOREIGN),
        *(Cause.DEVICE, Cause.LINE),
        *(Cause.BUSY, Cause.INTERRUPTED),
    }
)
"""Causes that may be gone a few seconds later; with the others a host has answered, and would answer the same."""

_RETRIES: Final = Text(
    "tries again before the next transaction, and in quiet moments after waits that grow from 5 seconds to an hour",
    "下一笔交易前自动重试; 空闲时按5秒至1小时递增的间隔重试",
)
_SIGNS_ON: Final = Text("signs on again by itself before the next transaction", "下一笔交易前自动重新签到")
_KEEPS_KEYS: Final = Text(
    "uses none of the new keys, and signs on again before the next transaction",
    "不启用任何新密钥; 下一笔交易前重新签到",
)
_NOTHING: Final = Text("nothing: the sign-on is in order", "无需处理: 签到正常")
_LINE: Final = Text("whoever looks after the shop's network", "网络维护人员")
_ACQUIRER: Final = Text(
    "the acquirer's terminal service, with the terminal's and the merchant's number",
    "收单机构终端服务部门(报终端号和商户号)",
)
_SUPPLIER: Final = Text("whoever set the terminal up", "终端安装服务商")
_NOBODY: Final = Text("nobody; the acquirer where it lasts", "无需联系; 持续出现时联系收单机构")
_CHECK_LINE: Final = Text(
    "check cable, SIM or wireless and the router, then try `pos-engine echo`",
    "检查网线、SIM卡或无线及路由器, 再试 `pos-engine echo`",
)
_WAIT: Final = Text("wait some minutes and try again", "请等几分钟后重试")

ADVICE: Final[Mapping[Cause, Advice]] = {
    Cause.NO_ROUTE: Advice(
        Text("the terminal has no network, or none that leads to the host", "终端无网络, 或网络不通往主机"),
        _RETRIES,
        _CHECK_LINE,
        _LINE,
    ),
    Cause.REFUSED: Advice(
        Text("the host's machine is there, and nobody listens at that port", "主机可达, 但端口无人监听"),
        _RETRIES,
        Text(
            "compare acquirer.address with what the acquirer gave out; else wait", "核对 acquirer.address; 无误则稍候"
        ),
        _ACQUIRER,
    ),
    Cause.NO_CONNECTION: Advice(
        Text(
            "nothing answered at the host's address: the line is down, a firewall swallows it, or the address is wrong",
            "主机地址无响应: 线路中断、被防火墙拦截或地址错误",
        ),
        _RETRIES,
        _CHECK_LINE,
        _LINE,
    ),
    Cause.NAME: Advice(
        Text("the host's name cannot be looked up", "主机域名无法解析"),
        _RETRIES,
        Text("check the network and the spelling of acquirer.address", "检查网络及 acquirer.address 的拼写"),
        _LINE,
    ),
    Cause.TLS: Advice(
        Text("terminal and host do not agree on a protected connection", "终端与主机未能建立加密连接"),
        _RETRIES,
        Text("have certificates and their settings checked", "请检查证书及其配置"),
        _SUPPLIER,
    ),
    Cause.LOCAL: Advice(
        Text("this machine itself does not make the connection", "本机不允许或无法建立连接"),
        _RETRIES,
        Text("have the machine's firewall and limits checked", "请检查本机防火墙及系统限制"),
        _SUPPLIER,
    ),
    Cause.DEVICE: Advice(
        Text("the device of the serial line is not there", "串口设备不存在或已被拔出"),
        _RETRIES,
        Text(
            "plug the cable or the adapter in again; check the device in acquirer.address",
            "请重新插好串口线或转接器, 并核对 acquirer.address 中的设备名",
        ),
        _SUPPLIER,
    ),
    Cause.LINE: Advice(
        Text("what was sent on the serial line was not acknowledged", "串口已发送数据, 但对方未确认"),
        _RETRIES,
        Text(
            "check the cable and what it leads to; where it stays so, have speed, parity and framing compared",
            "请检查串口线及所连设备; 持续出现时核对波特率、校验位和帧格式",
        ),
        _SUPPLIER,
    ),
    Cause.TIMEOUT: Advice(
        Text("the host took the connection and said nothing in time", "已连接主机, 但主机未按时应答"),
        _RETRIES,
        Text(
            "try again; where it stays so, have address, TPDU and framing compared with the acquirer's",
            "请重试; 持续出现时核对地址、TPDU和报文长度格式",
        ),
        _ACQUIRER,
    ),
    Cause.CLOSED: Advice(
        Text("the connection was ended before an answer came", "应答前连接被断开"),
        _RETRIES,
        Text(
            "try again; where it stays so, have TPDU, header and framing compared with the acquirer's",
            "请重试; 持续出现时核对TPDU、报文头和长度格式",
        ),
        _ACQUIRER,
    ),
    Cause.FRAMING: Advice(
        Text(
            "what came is framed otherwise, or does not begin with a TPDU and header",
            "应答的长度格式、TPDU或报文头不符",
        ),
        _RETRIES,
        Text("have acquirer.framing, TPDU and dialect compared with the acquirer's", "请核对长度格式、TPDU和报文规范"),
        _SUPPLIER,
    ),
    Cause.FOREIGN: Advice(
        Text("something answered, and it was not the answer to this sign-on", "收到的应答不属于本次签到"),
        _RETRIES,
        Text(
            "try again; where it stays so, have terminal number, merchant number and TPDU compared",
            "请重试; 持续出现时核对终端号、商户号和TPDU",
        ),
        _ACQUIRER,
    ),
    Cause.HOST_DEFECT: Advice(
        Text(
            "the host's answer is no message of this dialect, or lacks what it must have", "主机应答无法解析或内容不全"
        ),
        _RETRIES,
        Text("have the dialect compared with the acquirer's specification", "请核对报文规范与收单机构要求"),
        _ACQUIRER,
    ),
    Cause.TERMINAL: Advice(
        Text("the host does not know this terminal number", "终端号未登记"),
        _RETRIES,
        Text("compare terminal.id with the acquirer's paper", "核对 terminal.id 与收单机构开通资料"),
        _ACQUIRER,
    ),
    Cause.MERCHANT: Advice(
        Text("the host does not know this merchant, or not for this terminal", "商户号未登记或与终端不符"),
        _RETRIES,
        Text("compare terminal.merchant with the acquirer's paper", "核对 terminal.merchant 与收单机构开通资料"),
        _ACQUIRER,
    ),
    Cause.BARRED: Advice(
        Text("the host knows the terminal, and does not let it work", "终端被停用或未获准"),
        _RETRIES,
        Text("ask why the terminal is barred", "请询问终端停用原因"),
        _ACQUIRER,
    ),
    Cause.KEYS: Advice(
        Text(
            "the host's keys do not agree with this terminal's master key",
            "主机下发的密钥与本终端主密钥不符(校验值错误)",
        ),
        _KEEPS_KEYS,
        Text("have the master key loaded anew; signing on again will not help", "请重新灌装主密钥; 仅重新签到无效"),
        _ACQUIRER,
    ),
    Cause.MAC: Advice(
        Text("terminal and host use different working keys", "终端与主机的工作密钥不一致(MAC或PIN校验错)"),
        _SIGNS_ON,
        Text(
            "repeat the transaction; where it stays so, have the master key checked", "请重新交易; 持续出现时检查主密钥"
        ),
        _ACQUIRER,
    ),
    Cause.BATCH: Advice(
        Text("the host demands a new sign-on: its batch is another", "主机要求重新签到: 批次号不一致"),
        _SIGNS_ON,
        Text("repeat the transaction", "请重新交易"),
        _NOBODY,
    ),
    Cause.BUSY: Advice(
        Text(
            "the host is there, and cannot serve just now: cut-over, overload or a fault",
            "主机暂时无法处理(日切、繁忙或故障)",
        ),
        _RETRIES,
        _WAIT,
        _NOBODY,
    ),
    Cause.OUT_OF_STEP: Advice(
        Text(
            "the host has another picture of this terminal: a number used before, or totals that differ",
            "主机与终端状态不一致(流水重复或对账不平)",
        ),
        _RETRIES,
        Text("try once more; then have the terminal's batch looked at", "请重试一次; 仍失败时请查询终端批次"),
        _ACQUIRER,
    ),
    Cause.CLOCK: Advice(
        Text("the terminal's date is wrong", "终端日期错误"),
        _RETRIES,
        Text("set the machine's date and time, best from a time server", "请校正系统日期时间(建议使用时间服务器)"),
        _SUPPLIER,
    ),
    Cause.OPERATOR: Advice(
        Text("the host does not take this operator, or the operator's password", "操作员号或密码不被主机接受"),
        _RETRIES,
        Text("sign on as another operator, or have the password set anew", "请更换操作员或重置密码"),
        _ACQUIRER,
    ),
    Cause.CONFIGURATION: Advice(
        Text("the host does not understand this form of sign-on", "主机不支持此签到格式"),
        _RETRIES,
        Text("have dialect and key length compared with the acquirer's specification", "请核对报文规范和密钥长度"),
        _SUPPLIER,
    ),
    Cause.HOST_REFUSAL: Advice(
        Text("the host refuses, with a code that says nothing about sign-ons", "主机拒绝签到, 应答码与签到无关"),
        _RETRIES,
        Text("tell the acquirer the code", "请将应答码告知收单机构"),
        _ACQUIRER,
    ),
    Cause.SOFTWARE: Advice(
        Text("the terminal could not build its own message", "终端未能组成报文"),
        _RETRIES,
        Text("do not go on; keep the journal", "请停止操作并保留流水"),
        _SUPPLIER,
    ),
    Cause.INTERRUPTED: Advice(
        Text("the terminal went down in the middle of the sign-on", "签到过程中终端中断"),
        _SIGNS_ON,
        Text("nothing; where it happens often, check the power supply", "无需处理; 频繁出现时检查电源"),
        _NOBODY,
    ),
    Cause.NOT_SESSION: Advice(
        Text(
            "this is not the session: the host has answered, about card, amount or original",
            "与签到无关: 主机已就卡片、金额或原交易应答",
        ),
        _NOTHING,
        Text("follow what the response code says", "请按应答码提示处理"),
        Text("the card's issuer or the acquirer, as the code says", "按应答码联系发卡行或收单机构"),
    ),
}

TROUBLES: Final[Mapping[Trouble, tuple[Cause, Text]]] = {
    Trouble.NO_ROUTE: (Cause.NO_ROUTE, Text(Trouble.NO_ROUTE.value, "没有到主机的路由")),
    Trouble.REFUSED: (Cause.REFUSED, Text(Trouble.REFUSED.value, "连接被拒绝")),
    Trouble.NO_CONNECTION: (Cause.NO_CONNECTION, Text(Trouble.NO_CONNECTION.value, "未能按时建立连接")),
    Trouble.NAME: (Cause.NAME, Text(Trouble.NAME.value, "域名解析失败")),
    Trouble.TLS: (Cause.TLS, Text(Trouble.TLS.value, "加密连接协商失败")),
    Trouble.CLOCK: (Cause.CLOCK, Text(Trouble.CLOCK.value, "按终端日期证书无效")),
    Trouble.LOCAL: (Cause.LOCAL, Text(Trouble.LOCAL.value, "本机不允许连接")),
    Trouble.TIMEOUT: (Cause.TIMEOUT, Text(Trouble.TIMEOUT.value, "主机未按时应答")),
    Trouble.CLOSED: (Cause.CLOSED, Text(Trouble.CLOSED.value, "主机关闭了连接")),
    Trouble.RESET: (Cause.CLOSED, Text(Trouble.RESET.value, "连接被中断")),
    Trouble.NO_DEVICE: (Cause.DEVICE, Text(Trouble.NO_DEVICE.value, "串口设备不存在")),
    Trouble.NOT_ACKNOWLEDGED: (Cause.LINE, Text(Trouble.NOT_ACKNOWLEDGED.value, "串口发送未得到确认")),
    Trouble.BAD_FRAME: (Cause.FRAMING, Text(Trouble.BAD_FRAME.value, "数据不成帧")),
    Trouble.TPDU: (Cause.FRAMING, Text(Trouble.TPDU.value, "TPDU或报文头不符")),
    Trouble.BAD_MESSAGE: (Cause.HOST_DEFECT, Text(Trouble.BAD_MESSAGE.value, "报文无法解析")),
    Trouble.INCOMPLETE: (Cause.HOST_DEFECT, Text(Trouble.INCOMPLETE.value, "应答内容不全或未经请求")),
    Trouble.FOREIGN: (Cause.FOREIGN, Text(Trouble.FOREIGN.value, "仅收到其他请求的应答")),
    Trouble.BAD_MAC: (Cause.MAC, Text(Trouble.BAD_MAC.value, "应答MAC缺失或错误")),
    Trouble.KEY: (Cause.MAC, Text(Trouble.KEY.value, "工作密钥无法用主密钥解开")),
    Trouble.CHECK_VALUE: (Cause.KEYS, Text(Trouble.CHECK_VALUE.value, "密钥校验值不符")),
    Trouble.PUBLIC_KEY: (Cause.HOST_DEFECT, Text(Trouble.PUBLIC_KEY.value, "CA公钥校验值不符")),
    Trouble.UNBUILDABLE: (Cause.SOFTWARE, Text(Trouble.UNBUILDABLE.value, "终端未能组成报文")),
    Trouble.INTERRUPTED: (Cause.INTERRUPTED, Text(Trouble.INTERRUPTED.value, "终端中途中断")),
}
"""What the terminal saw: the cause it points to, and in words."""


def _codes(**causes: str) -> dict[str, Cause]:
    return {code: Cause[name] for name, codes in causes.items() for code in codes.split()}


CODES: Final[Mapping[str, Cause]] = _codes(
    MERCHANT="03",
    TERMINAL="97",
    BARRED="58",
    BATCH="77",
    MAC="99 A0",
    BUSY="06 09 68 90 91 92 96 98 A7",
    OUT_OF_STEP="22 79 94 95",
    OPERATOR="38 55 75",
    CONFIGURATION="12 30 40",
    NOT_SESSION="""01 02 04 05 07 13 14 15 19 20 21 23 25 31 33 34 35 36 37 39 41 42 43 44 45 51 52 53 54 56 57 59 60 61
        62 63 64 65 66 67 93 A1 A3""",
)
"""What a code of field 39 says about a sign-on that was refused with it. The codes of the last row say nothing; a host
that refuses a sign-on with one of them, or with one that nobody lists, has reasons of its own."""

ABOUT_SESSION: Final = frozenset({Cause.MERCHANT, Cause.TERMINAL, Cause.BATCH, Cause.MAC})
"""Causes that a refusal of any other request can have too. The rest of `CODES` holds for sign-ons alone: of a sale, 55
is the cardholder's PIN, and 91 the issuer."""
_OF_KEYS: Final = frozenset({Trouble.BAD_MAC, Trouble.KEY})
_UNSAID: Final = frozenset({Cause.HOST_REFUSAL, Cause.CONFIGURATION})
"""Refusals for which a wrong date is the better reason, where it is seen to be wrong."""
_UNENDED: Final = frozenset({State.PENDING, State.CHECKING})


def diagnose(record: Record, dialect: Dialect) -> Diagnosis | None:
    """Say why a request failed; `None` for one that did not, and for other requests than sign-ons that the line lost.

    A request that the host refused for reasons of its own is told apart: the cause is then `NOT_SESSION`.
    """
    if record.state in {State.APPROVED, State.DRAFT}:
        return None
    cause = _of_sign_on(record, dialect) if record.kind is Kind.SIGN_ON else _of_other(record, dialect)
    return None if cause is None else Diagnosis(cause, ADVICE[cause], tuple(_evidence(record, dialect)))


def last_diagnosis(journal: JournalView, dialect: Dialect) -> Diagnosis | None:
    """Say why the last sign-on failed; `None` when none has failed since the last that succeeded."""
    failed = journal.failures(Kind.SIGN_ON)
    return diagnose(failed[-1], dialect) if failed else None


def _of_sign_on(record: Record, dialect: Dialect) -> Cause:
    if record.state in _UNENDED:
        return Cause.INTERRUPTED
    if record.trouble is not None:
        return TROUBLES[record.trouble][0]
    if record.code is None:
        # Where nobody said more, the state does.
        return Cause.NO_CONNECTION if record.state is State.UNSENT else Cause.TIMEOUT
    if dialect.meaning(record.code).verdict is Verdict.APPROVAL:
        return Cause.KEYS
    cause = _of_code(record.code, dialect)
    cause = Cause.HOST_REFUSAL if cause is Cause.NOT_SESSION else cause
    return Cause.CLOCK if cause in _UNSAID and _days_apart(record) >= DAYS_APART else cause


def _of_other(record: Record, dialect: Dialect) -> Cause | None:
    if record.trouble is not None:
        return TROUBLES[record.trouble][0] if record.trouble in _OF_KEYS else None
    if record.code is None or dialect.meaning(record.code).verdict is Verdict.APPROVAL:
        return None
    cause = _of_code(record.code, dialect)
    return cause if cause in ABOUT_SESSION else Cause.NOT_SESSION


def _of_code(code: str, dialect: Dialect) -> Cause:
    demands = dialect.meaning(code).verdict is Verdict.SIGN_ON
    return CODES.get(code, Cause.BATCH if demands else Cause.NOT_SESSION)


def _evidence(record: Record, dialect: Dialect) -> Iterator[Text]:
    """Tell the facts: what the host said, what the terminal saw, how often, when."""
    if record.code is not None:
        meaning = dialect.meaning(record.code).meaning
        yield Text(f"the host answered {record.code}: {meaning.en}", f"主机应答 {record.code}: {meaning.zh}")
    if record.trouble is not None:
        seen = TROUBLES[record.trouble][1]
        yield Text(f"the terminal saw: {seen.en}", f"终端检测: {seen.zh}")
    for note in record.notes[-1:]:
        yield Text(f"noted: {note}", f"记录: {note}")
    if _days_apart(record) >= DAYS_APART and record.answer is not None:
        host, own = record.answer[HOST_DATE], f"{record.changed.wall:%m%d}"
        yield Text(f"the host's date is {host}, the terminal's {own} (MMDD)", f"主机日期 {host}, 终端日期 {own} (月日)")
    yield Text(f"attempts: {record.attempts}", f"尝试次数: {record.attempts}")
    at = record.changed.wall.isoformat(sep=" ", timespec="seconds")
    yield Text(f"at {at} by the terminal's clock", f"终端时间 {at}")
    yield Text(f"batch {record.batch}, STAN {record.stan}", f"批次号 {record.batch}, 流水号 {record.stan}")


def _days_apart(record: Record) -> int:
    """Count the days between the host's date (MMDD, of the nearest year) and the terminal's; 0 without a date."""
    digits = record.answer.get(HOST_DATE, "") if record.answer is not None else ""
    if len(digits) != _DATE_DIGITS or not (digits.isascii() and digits.isdigit()):
        return 0
    own = record.changed.wall.date()
    years = (own.year - 1, own.year, own.year + 1)
    near = (_date(year, int(digits[:2]), int(digits[2:])) for year in years)
    return min((abs((host - own).days) for host in near if host is not None), default=0)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
