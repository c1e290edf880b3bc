"""Every compound element of the UnionPay dialect cut into named parts, for whoever reads a decoded message.

Which form fields 48 and 62 have is told by MTI, field 60.3 and length. What fits none has no parts. Parts that name a
card, a person, or what may be spent like a card say so by their sensitivity; whoever shows them masks by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.crypto.keys import CHECK_VALUE_SHOWN, KeyUsage
from pos_engine.dialects.unionpay import private, terminal_data
from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61
from pos_engine.dialects.unionpay.meanings import ACCOUNT_TYPES, AMOUNT_TYPES, MEANINGS, SIGNS
from pos_engine.dialects.unionpay.sign_on import SIGN_ONS, parse_keys
from pos_engine.dialects.unionpay.tags import TAGS
from pos_engine.errors import DecodeError
from pos_engine.values import CURRENCIES, Amount, Text
from pos_engine.wire import tlv
from pos_engine.wire.composite import Part, by_columns, of_columns, of_tags, same
from pos_engine.wire.field import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.wire.columns import Columns
    from pos_engine.wire.message import Message

LAYOUTS: Final[Mapping[int, Columns]] = {
    22: private.FIELD_22,
    44: private.FIELD_44,
    53: private.FIELD_53,
    60: FIELD_60,
    61: FIELD_61,
    63: private.FIELD_63,
}

_SIGN_ON_ANSWER: Final = "0810"
_PARAMETERS: Final = frozenset({"360", "361", "362"})
_QUERIES: Final = frozenset({"372", "382", "390"})
_DOWNLOADS: Final = frozenset({"370", "380"})
_REQUESTS: Final = frozenset({"0800", "0820"})
_VERIFICATION_MARKS: Final = ("90", "91")

_KEYS: Final = {
    KeyUsage.PIN: Text("PIN key", "PIN密钥"),
    KeyUsage.MAC: Text("MAC key", "MAC密钥"),
    KeyUsage.TRACK: Text("Track key", "磁道密钥"),
}
_ENCRYPTED: Final = Text("encrypted under the master key", "主密钥加密")
_CHECK: Final = Text("Check value", "校验值")
_SERIAL: Final = Text("Serial number", "终端序列号")
_RECEIVED: Final = Text("Entries received so far", "已接收条数")
_PAGE: Final = Text("Page", "分页标志")
_PAGES: Final = {
    terminal_data.Page.NOTHING: Text("nothing", "无"),
    terminal_data.Page.LAST: Text("the last or only page", "最后一页或仅一页"),
    terminal_data.Page.MORE: Text("more follow", "还有后续"),
}
_VERIFICATION: Final = Text("Verification data, never shown", "身份验证数据, 从不显示")
_SCAN_TAGS: Final = {
    "A2": (Text("Terminal information", "终端信息"), Sensitivity.OPEN),
    "A3": (Text("Pay code", "付款码"), Sensitivity.TRANSIENT),
    "A4": (Text("Voucher", "凭证号"), Sensitivity.OPEN),
}
_UNLISTED: Final = (Text("not a tag of this dialect", "未定义的标签"), Sensitivity.SECRET)
_AMOUNT_CHARACTERS: Final = private.AMOUNT_CHARACTERS
_by_columns: Final = by_columns(LAYOUTS, MEANINGS)


def parts(message: Message, number: int) -> tuple[Part, ...]:
    """Cut one element of a message; nothing where it is not compound, or not what its form asks for."""
    cut = _CUTS.get(number, _by_columns)
    if number not in message:
        return ()
    try:
        return cut(message, number)
    except (DecodeError, ValueError):
        # Half of a strange value says little, and the whole value stands beside its parts' place.
        return ()


def _field_48(message: Message, number: int) -> tuple[Part, ...]:
    value = message[number]
    layout = private.layout_48(message)
    if layout is not None:
        # The flag of a tip's or a count's layout would be another column's.
        meanings = MEANINGS if layout is private.TOTALS else {}
        return of_columns(layout, value, meanings)
    if not private.has_details(message):
        return ()
    private.read_details(value)
    count = Part("48.1", Text("Details", "笔数"), value[: private.DETAILS_COUNT_DIGITS])
    starts = range(private.DETAILS_COUNT_DIGITS, len(value), private.DETAIL_DIGITS)
    return (count, *(part for start in starts for part in _detail(value[start : start + private.DETAIL_DIGITS])))


def _detail(digits: str) -> tuple[Part, ...]:
    return tuple(
        Part(part.key, part.name, part.value.lstrip("0"), None, Sensitivity.PAN) if part.key == "48.4" else part
        for part in of_columns(private.DETAIL, digits, {"48.2": MEANINGS["48.2"]})
    )


def _field_54(message: Message, number: int) -> tuple[Part, ...]:
    value = message[number]
    return tuple(
        Part(f"54.{place}", Text("Amount", "金额"), value[start : start + _AMOUNT_CHARACTERS], _said(each))
        for place, (start, each) in enumerate(
            zip(range(0, len(value), _AMOUNT_CHARACTERS), private.read_amounts(value), strict=True), 1
        )
    )


def _said(each: private.AdditionalAmount) -> Text:
    currency = CURRENCIES.get(each.currency)
    amount = str(Amount(each.minor, currency)) if currency is not None else f"{each.minor} ({each.currency})"
    known = (
        ACCOUNT_TYPES.get(each.account_type, same(each.account_type)),
        AMOUNT_TYPES.get(each.amount_type, same(each.amount_type)),
        SIGNS[each.sign],
        same(amount),
    )
    return Text(", ".join(text.en for text in known), ", ".join(text.zh for text in known))


def _field_55(message: Message, number: int) -> tuple[Part, ...]:
    return of_tags(tlv.decode(bytes.fromhex(message[number])), TAGS)


def _field_59(message: Message, number: int) -> tuple[Part, ...]:
    named = ((tag, text, _SCAN_TAGS.get(tag, _UNLISTED)) for tag, text in private.read_text_tags(message[number]))
    return tuple(Part(tag, name, text, None, sensitivity) for tag, text, (name, sensitivity) in named)


def _field_62(message: Message, number: int) -> tuple[Part, ...]:
    data = bytes.fromhex(message[number])
    code = FIELD_60.get(message.get(60, ""), "60.3")
    if message.mti == _SIGN_ON_ANSWER and code in SIGN_ONS:
        return _keys(data, code)
    if data.startswith(terminal_data.SERIAL_MARK):
        return (Part("62.1", _SERIAL, terminal_data.read_serial(data).decode("latin-1")),)
    if code in _PARAMETERS:
        return _parameters(data)
    if code in _DOWNLOADS | _QUERIES:
        return _download(data, message.mti, code)
    if data[:2].decode("latin-1") in _VERIFICATION_MARKS:
        return (Part("62.1", _VERIFICATION, "", None, Sensitivity.SECRET),)
    return ()


def _keys(data: bytes, code: str | None) -> tuple[Part, ...]:
    found = []
    for place, key in enumerate(parse_keys(data, code), 1):
        found.append(Part(f"62.{place}", _KEYS[key.usage], key.cryptogram.hex().upper(), _ENCRYPTED))
        if key.check_value:
            shown = key.check_value[:CHECK_VALUE_SHOWN].hex().upper()
            found.append(Part(f"62.{place}", _CHECK, shown))
    return tuple(found)


def _parameters(data: bytes) -> tuple[Part, ...]:
    return tuple(
        Part(tag, terminal_data.PARAMETERS[tag].name, value.decode("latin-1"))
        for tag, value in terminal_data.read_parameters(data)
    )


def _download(data: bytes, mti: str, code: str | None) -> tuple[Part, ...]:
    if mti not in _REQUESTS:
        page, items = terminal_data.read_page(data)
        return (Part("62.1", _PAGE, page.value.decode(), _PAGES[page]), *of_tags(items, TAGS))
    if code in _QUERIES:
        return (Part("62.1", _RECEIVED, str(terminal_data.read_query(data))),)
    return of_tags(tlv.decode(data), TAGS)


def _field_63(message: Message, number: int) -> tuple[Part, ...]:
    return tuple(map(_national, _by_columns(message, number)))


def _national(part: Part) -> Part:
    """Say a Chinese text in its own characters: hosts send it in GB 18030, two bytes or four each."""
    if part.value.isascii():
        return part
    text = part.value.encode("latin-1").decode("gb18030", errors="replace").strip()
    return Part(part.key, part.name, part.value, same(text))


_CUTS: Final[Mapping[int, Callable[[Message, int], tuple[Part, ...]]]] = {
    48: _field_48,
    54: _field_54,
    55: _field_55,
    59: _field_59,
    62: _field_62,
    63: _field_63,
}
