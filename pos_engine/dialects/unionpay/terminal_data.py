"""Field 62 besides working keys: the terminal's serial number, its parameters, pages of public keys and applications.

    sign-on request          "Sequence No", 2 digits of length, the vendor's number and the device's serial number
    parameters, status       2 digits of tag and a value of the tag's fixed width, over and over
    query of keys            "1" and 2 digits: how many entries were received so far
    download request         TLV: which public key (9F06, 9F22) or application (9F06) is wanted
    page, in an answer       "0" nothing, "1" the last or only page, "2" more follow; then TLV

construct declares them, and is imported on first use. What is read is written back byte for byte.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.values import Text
from pos_engine.wire import tlv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERIAL_MARK: Final = b"Sequence No"
SERIAL_BYTES_MAX: Final = 99
"""Its length has two digits."""
PARAMETERS_MAX: Final = 64
"""Parameters of one block; twenty-three tags are known, and none needs repeating."""
QUERIED_MAX: Final = 99


class Page(enum.Enum):
    """What the first character of an answer's page says."""

    NOTHING = b"0"
    LAST = b"1"
    MORE = b"2"


@dataclass(frozen=True, slots=True)
class ParameterTag:
    """A parameter's name and the width of its value in characters."""

    name: Text
    width: int


def _tags(*rows: tuple[str, int, str, str]) -> dict[str, ParameterTag]:
    return {tag: ParameterTag(Text(en, zh), width) for tag, width, en, zh in rows}


PARAMETERS: Final[Mapping[str, ParameterTag]] = _tags(
    ("01", 1, "Keyboard works", "键盘状态"),
    ("02", 1, "PIN pad works", "密码键盘状态"),
    ("03", 1, "Card reader works", "读卡器状态"),
    ("04", 1, "Printer works", "打印机状态"),
    ("05", 1, "Display works", "显示器状态"),
    ("11", 2, "Application type", "应用类型"),
    ("12", 2, "Seconds to wait for an answer", "超时时间"),
    ("13", 1, "Dialling attempts", "重试次数"),
    ("14", 14, "Telephone number 1", "交易电话号码1"),
    ("15", 14, "Telephone number 2", "交易电话号码2"),
    ("16", 14, "Telephone number 3", "交易电话号码3"),
    ("17", 14, "Management telephone number", "管理电话号码"),
    ("18", 1, "Tips allowed", "是否支持小费"),
    ("19", 2, "Tip, per cent at most", "小费百分比"),
    ("20", 1, "Keyed card numbers allowed", "是否支持手工输入卡号"),
    ("21", 1, "Signs off by itself", "是否自动签退"),
    ("22", 40, "Merchant name", "商户名称"),
    ("23", 1, "Reversal attempts", "冲正重发次数"),
    ("24", 1, "Offline upload mode", "离线上送方式"),
    ("25", 1, "Master key index", "主密钥索引"),
    ("26", 4, "Transactions enabled", "交易开关"),
    ("27", 2, "Offline transactions at most", "离线交易最大笔数"),
    ("51", 12, "Dialling statistics", "拨号统计"),
)
"""What a host sets (11 to 27) and a terminal reports (01 to 05 and 51 too)."""


@cache
def _serial() -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Const, GreedyBytes, Prefixed, Struct, Terminated  # noqa: PLC0415 - on first use

    return Struct(Const(SERIAL_MARK), "text" / Prefixed(_decimal(), GreedyBytes), Terminated)


@cache
def _query() -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Const, Struct, Terminated  # noqa: PLC0415 - on first use

    return Struct(Const(Page.LAST.value), "received" / _decimal(), Terminated)


@cache
def _parameters() -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Bytes, ExprValidator, GreedyBytes, GreedyRange, Struct, Switch, this  # noqa: PLC0415 - as above

    values = {tag.encode(): Bytes(known.width) for tag, known in PARAMETERS.items()}
    tag = ExprValidator(Bytes(2), lambda raw, _: raw in values)
    entry = Struct("tag" / tag, "value" / Switch(this.tag, values))
    return Struct("entries" / GreedyRange(entry), "rest" / GreedyBytes)


@cache
def _page() -> Any:  # noqa: ANN401 - construct carries no types
    from construct import Bytes, GreedyBytes, Struct  # noqa: PLC0415 - on first use

    return Struct("page" / Bytes(1), "block" / GreedyBytes)


@cache
def _decimal() -> Any:  # noqa: ANN401 - construct carries no types
    """Two decimal digits. Nothing else that Python takes for a number is let in."""
    from construct import Bytes, ExprAdapter, ExprValidator  # noqa: PLC0415 - on first use

    digits = ExprValidator(Bytes(2), lambda raw, _: raw.isdigit())
    return ExprAdapter(digits, lambda raw, _: int(raw), lambda number, _: b"%02d" % number)


def _parse(declared: Any, data: bytes, what: str) -> Any:  # noqa: ANN401 - construct carries no types
    """Let construct read; its errors quote what they read, so they end here."""
    from construct import ConstructError  # noqa: PLC0415 - on first use

    try:
        return declared.parse(data)
    except ConstructError:
        reason = f"does not hold {what}"
    raise DecodeError(reason, field=62)


def read_serial(data: bytes) -> bytes:
    """Read the serial number of a sign-on request."""
    return bytes(_parse(_serial(), data, "a serial number: its mark, two digits of length, as many characters").text)


def write_serial(text: bytes) -> bytes:
    """Write the serial number of a sign-on request."""
    if len(text) > SERIAL_BYTES_MAX:
        reason = f"a serial number has at most {SERIAL_BYTES_MAX} characters"
        raise LocalProtocolError(reason, field=62)
    return bytes(_serial().build({"text": text}))


def read_parameters(data: bytes) -> tuple[tuple[str, bytes], ...]:
    """Read terminal parameters, order and repeats kept; an unknown tag has no known width and ends it with an error."""
    parsed = _parse(_parameters(), data, "terminal parameters")
    if parsed.rest or len(parsed.entries) > PARAMETERS_MAX:
        offset = len(data) - len(parsed.rest)
        reason = f"a parameter's tag is unknown, its value is cut, or there are too many, at byte {offset}"
        raise DecodeError(reason, field=62)
    return tuple((entry.tag.decode(), bytes(entry.value)) for entry in parsed.entries)


def write_parameters(parameters: Sequence[tuple[str, bytes]]) -> bytes:
    """Write terminal parameters, each value in its tag's width."""
    for tag, value in parameters:
        known = PARAMETERS.get(tag)
        if known is None or len(value) != known.width:
            reason = "a parameter's tag is unknown, or its value has another width"
            raise LocalProtocolError(reason, field=62)
    entries = [{"tag": tag.encode(), "value": value} for tag, value in parameters]
    return bytes(_parameters().build({"entries": entries, "rest": b""}))


def read_query(data: bytes) -> int:
    """Read how many entries the terminal has received so far."""
    return int(_parse(_query(), data, "a query: 1 and two digits").received)


def write_query(received: int) -> bytes:
    """Write the query for the entries after those received so far."""
    if not 0 <= received <= QUERIED_MAX:
        reason = f"a query counts to {QUERIED_MAX}"
        raise LocalProtocolError(reason, field=62)
    return bytes(_query().build({"received": received}))


def read_page(data: bytes) -> tuple[Page, tuple[tlv.Item, ...]]:
    """Read one page of public keys or applications: whether more follow, and its tags."""
    parsed = _parse(_page(), data, "a page")
    if parsed.page not in {page.value for page in Page}:
        reason = "a page begins with 0, 1 or 2"
        raise DecodeError(reason, field=62)
    return Page(parsed.page), tlv.decode(parsed.block)


def write_page(page: Page, items: Sequence[tlv.Item]) -> bytes:
    """Write one page."""
    return bytes(_page().build({"page": page.value, "block": tlv.encode(items)}))
