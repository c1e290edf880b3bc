"""Every key of the configuration, as a table: its type, what it may be, its default, what it is for.

A key exists only where two deployments differ: an acquirer's facts live in its dialect, bounds in `limits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.config.address import parse_addresses
from pos_engine.dialects.registry import DIALECTS, KEY_SCHEMES
from pos_engine.dialects.unionpay.schemes import USUAL
from pos_engine.framing.registry import FRAMINGS
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "POS_ENGINE_"
"""How the environment's variables begin."""

Value = str | bool | float


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `name` is "section.key", `type` one of str, bool, float and Path.

    Without a default it is required, or the dialect decides, or it stays empty.
    """

    name: str
    attribute: str
    help: Text
    type: type = str
    default: Value | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    """Smallest and largest number of seconds."""
    pattern: str | None = None
    """What the text must be; of a path, the texts that are none but name something else."""
    form: str = ""
    """What `pattern` or `check` allows, in words."""
    check: Callable[[str], object] | None = None
    """Reads the text; a `UsageError` says what is wrong with it."""

    @property
    def section(self) -> str:
        """The section's name."""
        return self.name.partition(".")[0]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper().replace(".", "_")

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        if self.bounds is not None:
            return f"{self.bounds[0]:g} to {self.bounds[1]:g} seconds"
        return "true or false" if self.type is bool else self.form


_STEP: Final = r"((retry|hold) [0-9]{1,3} ?s|route [a-z0-9]+://[!-+\--~]{1,255})"
_AMOUNT_PATTERN: Final = r"[0-9]{1,10}(?:\.[0-9]{1,2})?"
_AN_AMOUNT: Final = 'an amount in quotes, as "500.00"; without it there is no limit'
_A_PATH: Final = "a path, relative to the configuration's folder"
FILE_SCHEME: Final = "file:"
"""What may stand before a path where other texts are allowed too."""
SCHEMES: Final = ("credential:", "passphrase:")
"""What a path cannot begin with where other texts are allowed too; "./" before it helps."""

KEYS: Final = (
    Key(
        "terminal.id",
        "terminal_id",
        Text("terminal id, field 41", "终端号, 41域"),
        required=True,
        pattern="[ -~]{8}",
        form="8 printable ASCII characters",
    ),
    Key(
        "terminal.merchant",
        "merchant_id",
        Text("merchant id, field 42", "商户号, 42域"),
        required=True,
        pattern="[ -~]{15}",
        form="15 printable ASCII characters",
    ),
    Key(
        "terminal.operator",
        "operator",
        Text("operator number, field 63", "操作员号, 63域"),
        default="01",
        pattern="[0-9]{2}",
        form="two digits in quotes",
    ),
    Key(
        "terminal.dialect",
        "dialect",
        Text("how the acquirer speaks", "收单机构报文规范"),
        default="unionpay",
        choices=tuple(DIALECTS),
    ),
    Key(
        "terminal.production",
        "production",
        Text("real money: refuses whatever is only for trials", "生产环境: 拒绝仅供测试的部件"),
        type=bool,
        default=False,
    ),
    Key(
        "acquirer.address",
        "address",
        Text("the roads to the acquirer, in order of preference", "收单主机地址, 可多个, 依次优先"),
        default="tcp://127.0.0.1:9583",
        check=parse_addresses,
        form="one or more addresses with commas between them, the one to be preferred first",
    ),
    Key(
        "acquirer.key_scheme",
        "key_scheme",
        Text("which keys a sign-on brings; sm4 is unverified", "密钥方案: 签到下发的密钥; sm4未经验证"),
        default=USUAL,
        choices=KEY_SCHEMES,
    ),
    Key(
        "acquirer.framing",
        "framing",
        Text("how frames are delimited: the length before each", "报文长度前缀格式"),
        default="be2",
        choices=tuple(FRAMINGS),
    ),
    Key(
        "acquirer.tpdu",
        "tpdu",
        Text("TPDU of requests; without it the dialect's", "请求TPDU, 缺省取自报文规范"),
        pattern="60[0-9]{8}",
        form="ten digits in quotes, the first two 60",
    ),
    Key(
        "acquirer.header",
        "header",
        Text("message header of requests; without it the dialect's", "请求报文头, 缺省取自报文规范"),
        pattern="(?:[0-9]{2})+",
        form="in quotes, as many digits as the dialect's header has",
    ),
    Key(
        "acquirer.ca",
        "ca",
        Text("who vouches for the acquirer; without it the system's authorities", "主机证书的CA文件, 缺省用系统CA"),
        type=Path,
        form=f"{_A_PATH}: certificates in PEM",
    ),
    Key(
        "acquirer.certificate",
        "certificate",
        Text("the terminal's own certificate", "终端证书"),
        type=Path,
        form=f"{_A_PATH}: its chain and its private key in PEM",
    ),
    Key(
        "acquirer.connect_timeout_s",
        "connect_timeout_s",
        Text("seconds until a connection attempt is given up", "连接超时(秒)"),
        type=float,
        default=limits.CONNECT_TIMEOUT_S,
        bounds=(0.1, 120),
    ),
    Key(
        "acquirer.answer_timeout_s",
        "answer_timeout_s",
        Text("seconds until silence is silence", "应答超时(秒)"),
        type=float,
        default=limits.ANSWER_TIMEOUT_S,
        bounds=(0.1, 300),
    ),
    Key(
        "acquirer.unsigned_decline",
        "unsigned_decline",
        Text("a decline without a MAC: take it, or reverse with reason 98", "无MAC的拒绝应答: 接受, 或以98冲正"),
        default="accept",
        choices=("accept", "reverse"),
    ),
    Key(
        "acquirer.unsigned_reversal",
        "unsigned_reversal",
        Text("an answer to a reversal without a MAC: take it, or send again", "无MAC的冲正应答: 接受, 或重发冲正"),
        default="accept",
        choices=("accept", "repeat"),
    ),
    Key(
        "session.sign_on_age_max_s",
        "sign_on_age_max_s",
        Text("seconds after which a new sign-on is due", "签到有效期(秒)"),
        type=float,
        default=limits.SIGN_ON_AGE_MAX_S,
        bounds=(60, 7 * 24 * 3600),
    ),
    Key(
        "session.renew_before_s",
        "sign_on_lead_s",
        Text("seconds before that in which a quiet moment renews it", "提前续签时间(秒)"),
        type=float,
        default=limits.SIGN_ON_LEAD_S,
        bounds=(0, 24 * 3600),
    ),
    Key(
        "session.host_day",
        "sign_on_host_day",
        Text("whether it ends with the host's day", "主机日切后须重新签到"),
        type=bool,
        default=False,
    ),
    Key(
        "session.exchanges_max",
        "sign_on_exchanges_max",
        Text("exchanges after which a new sign-on is due", "签到后最多交易笔数"),
        type=float,
        bounds=(10, 999_999),
    ),
    Key(
        "session.busy_hours",
        "busy_hours",
        Text("when nobody should wait for a renewal, by the terminal's clock", "营业高峰时段, 不在其间续签"),
        pattern=r"\d{1,2}:[0-5]\d-\d{1,2}:[0-5]\d(\s*,\s*\d{1,2}:[0-5]\d-\d{1,2}:[0-5]\d)*",
        form='parts of a day such as "08:00-10:30, 17:00-19:00"',
    ),
    Key(
        "session.contingency",
        "contingency",
        Text("what the till does while the terminal cannot sign on", "无法签到时的应急预案"),
        pattern=rf"{_STEP}(\s*,\s*{_STEP})*(\s*,\s*refuse)?|refuse",
        form='steps such as "retry 15 s, route tls://host:port, hold 60 s, refuse"',
    ),
    Key(
        "session.repeat_refused",
        "repeat_refused",
        Text("what was refused until a sign-on and had neither PIN nor chip", "要求签到而被拒的无密非芯片交易如何重做"),
        default="offer",
        choices=("offer", "automatic"),
    ),
    Key(
        "limits.transaction",
        "transaction_max",
        Text("the largest sale", "单笔消费限额"),
        pattern=_AMOUNT_PATTERN,
        form=_AN_AMOUNT,
    ),
    Key(
        "limits.day",
        "day_max",
        Text("all sales of a day together", "单日消费累计限额"),
        pattern=_AMOUNT_PATTERN,
        form=_AN_AMOUNT,
    ),
    Key(
        "limits.card_day",
        "card_day_max",
        Text("all sales to one card in a day", "单卡单日消费限额"),
        pattern=_AMOUNT_PATTERN,
        form=_AN_AMOUNT,
    ),
    Key(
        "storage.journal",
        "journal",
        Text("the journal", "交易流水文件"),
        type=Path,
        default="journal.db",
        form=_A_PATH,
    ),
    Key(
        "storage.mark",
        "mark",
        Text("the journal's high-water mark: best on other media", "流水高水位标记文件, 宜存于另一介质"),
        type=Path,
        form=f"{_A_PATH}; without it beside the journal",
    ),
    Key(
        "storage.keystore",
        "keystore",
        Text("the sealed terminal master key", "密钥库文件"),
        type=Path,
        default="keystore.json",
        form=_A_PATH,
    ),
    Key(
        "storage.wrapping_key",
        "wrapping_key",
        Text("what opens the keystore: a file, a credential or a passphrase", "密钥库封装密钥: 文件、凭据或口令"),
        type=Path,
        default="wrapping.key",
        pattern=r"credential:[A-Za-z0-9][A-Za-z0-9._-]{0,63}|passphrase(?::[0-9]{1,4})?",
        form="file:PATH or just a path, relative to the configuration's folder; credential:NAME of systemd; "
        "passphrase, asked for or a line of standard input; passphrase:N, a line of descriptor N",
    ),
    Key(
        "peripherals.reader",
        "reader",
        Text("where cards come from", "读卡器"),
        default="console",
        choices=("console", "simulated"),
    ),
    Key(
        "peripherals.pin_pad",
        "pin_pad",
        Text("where PINs come from", "密码键盘"),
        default="console",
        choices=("console", "simulated", "none"),
    ),
    Key(
        "peripherals.card",
        "card",
        Text('the simulated card; only with reader = "simulated"', '模拟卡名称, 仅用于 reader = "simulated"'),
        pattern="[a-z0-9][a-z0-9-]{0,31}",
        form="the name of a simulated card (`pos-engine acquirer cards` lists them)",
    ),
)
"""Every key there is, section by section."""

BY_NAME: Final = {key.name: key for key in KEYS}
SECTIONS: Final = tuple(dict.fromkeys(key.section for key in KEYS))
