"""Whether a dialect agrees with itself: what would otherwise show at the till, or as a message a host throws away.

`MessageSpec` refuses a table that contradicts itself; this looks at everything beside it. For each kind a request is
composed of made-up data, encoded and read back. Findings name elements, kinds and codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.mac import ALGORITHMS
from pos_engine.crypto.pinblock import FORMATS
from pos_engine.dialects.base import MAC_SIZE, Draft, Kind, OnSilence, OriginalRef, Verdict, pack
from pos_engine.errors import FrameError, PosError
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import Amount, Card, EncipheredTrack, Identity, Text
from pos_engine.wire import codec
from pos_engine.wire.field import Content, Sensitivity
from pos_engine.wire.message import Message
from pos_engine.wire.rules import BITMAP_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pos_engine.dialects.base import Dialect, KindRow

RESPONSE_CODE: Final = 39
PIN_BLOCK: Final = 52
APPROVED: Final = "00"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_MTI: Final = re.compile(r"[0-2][1-8][0-9][0-9]")
_TRACKS_AND_PIN: Final = frozenset({35, 36, 45, 52})
_TEST_TRACK: Final = "6229990000000053D49122010000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (a field, kind, code or part), and why."""

    where: str
    why: Text


def findings(dialect: Dialect) -> tuple[Finding, ...]:
    """Everything that is wrong with a dialect; nothing for one that can be used."""
    checks = (_names, _fields, _kinds, _mac, _keys, _layouts, _codes, _frame)
    found = [finding for check in checks for finding in check(dialect)]
    # A request is composed only of a table that is sound: otherwise one fault would be told many times.
    return tuple(found or _requests(dialect))


def _names(dialect: Dialect) -> Iterator[Finding]:
    if _NAME.fullmatch(dialect.name) is None:
        yield Finding("name", Text("takes lower-case letters, digits and hyphens", "只能含小写字母, 数字和连字符"))
    titles = {"title": dialect.title} | {f"field {number}": field.name for number, field in dialect.spec.fields.items()}
    for where, text in titles.items():
        if not text.en.strip() or not text.zh.strip():
            yield Finding(where, Text("lacks a name in one of the languages", "缺少一种语言的名称"))


def _fields(dialect: Dialect) -> Iterator[Finding]:
    wanted = dict.fromkeys(_TRACKS_AND_PIN, Sensitivity.SECRET) | {2: Sensitivity.PAN}
    for number, sensitivity in sorted(wanted.items()):
        listed = dialect.spec.fields.get(number)
        if listed is not None and listed.sensitivity is not sensitivity:
            why = Text(f"must have the sensitivity {sensitivity.name}", f"敏感级别必须为 {sensitivity.name}")
            yield Finding(f"field {number}", why)
    yield from _unlisted(dialect, "echoes", dialect.echoes)
    yield from _unlisted(dialect, "kept", dialect.kept)
    for number in sorted(dialect.kept & dialect.spec.fields.keys()):
        if dialect.spec.fields[number].sensitivity is Sensitivity.SECRET:
            yield Finding(f"field {number}", Text("is a secret, and kept", "敏感数据, 不得保存"))


def _unlisted(dialect: Dialect, where: str, numbers: Iterable[int]) -> Iterator[Finding]:
    for number in sorted(set(numbers) - dialect.spec.fields.keys()):
        why = Text(f"names field {number}, which is not in the table", f"引用了表中没有的 {number} 域")
        yield Finding(where, why)


def _kinds(dialect: Dialect) -> Iterator[Finding]:
    seen: dict[tuple[str | None, ...], Kind] = {}
    for kind, row in dialect.kinds.items():
        where = f"kind {kind.value}"
        if row.kind is not kind:
            yield Finding(where, Text("stands under another kind's name", "登记在其他交易类型名下"))
        if _MTI.fullmatch(row.mti) is None or int(row.mti[2]) % 2:
            yield Finding(where, Text("its MTI is not a request's", "消息类型不是请求"))
        yield from _unlisted(dialect, where, row.needed | row.answered_with)
        if RESPONSE_CODE not in row.answered_with:
            yield Finding(where, Text("an answer without field 39 decides nothing", "应答缺少39域, 无法判断结果"))
        if row.on_silence is OnSilence.REVERSE and Kind.REVERSAL not in dialect.kinds:
            yield Finding(where, Text("is to be reversed, and there is no reversal", "需要冲正, 但没有定义冲正"))
        told_by = (row.mti, row.processing_code, row.message_type, row.network_code)
        if told_by in seen:
            other = seen[told_by].value
            yield Finding(where, Text(f"cannot be told from {other}", f"与 {other} 无法区分"))
        seen[told_by] = kind


def _mac(dialect: Dialect) -> Iterator[Finding]:
    rule, fields = dialect.mac, dialect.spec.fields
    if rule is None:
        return
    where, listed = f"field {rule.field}", fields.get(rule.field)
    if listed is None:
        yield from _unlisted(dialect, "MAC", [rule.field])
    elif listed.content is not Content.B or listed.length.prefix or listed.length.size != MAC_SIZE:
        yield Finding(where, Text(f"the MAC has {MAC_SIZE} bytes", f"报文鉴别码为 {MAC_SIZE} 字节"))
    # With a second bitmap the MAC is 64 or 128, whichever ends the message: no kind may use a field behind it.
    behind = {number for row in dialect.kinds.values() for number in row.needed | row.answered_with if row.mac}
    if rule.field % BITMAP_BITS or max(behind, default=0) > rule.field:
        yield Finding(where, Text("the MAC is not the last field", "报文鉴别码不是最后一个域"))
    if rule.algorithm not in ALGORITHMS:
        yield Finding("MAC", Text("no algorithm has that name", "没有该名称的算法"))


def _keys(dialect: Dialect) -> Iterator[Finding]:
    scheme, listed, sign_on = dialect.scheme, dialect.spec.fields.get(PIN_BLOCK), dialect.kinds.get(Kind.SIGN_ON)
    if scheme is None:
        return
    if listed is not None and listed.length.size != scheme.pin_block_bytes:
        size = scheme.pin_block_bytes
        yield Finding(f"field {PIN_BLOCK}", Text(f"the key scheme wants {size} bytes", f"密钥方案要求 {size} 字节"))
    if scheme.pin_format not in FORMATS:
        yield Finding("key scheme", Text("no PIN block format has that name", "没有该名称的PIN块格式"))
    if sign_on is not None and sign_on.network_code != scheme.network_code:
        yield Finding(
            "kind sign-on", Text("asks for other keys than the key scheme has", "签到请求的密钥与密钥方案不符")
        )


def _layouts(dialect: Dialect) -> Iterator[Finding]:
    yield from _unlisted(dialect, "layouts", dialect.layouts)
    for number, layout in dialect.layouts.items():
        listed = dialect.spec.fields.get(number)
        if listed is None:
            continue
        where, ends, width = f"field {number}", {0}, 0
        for column in layout.columns:
            width += column.width
            ends.add(width)
        if width > listed.length.size:
            yield Finding(where, Text("its columns are wider than the field", "子域总长超过域长"))
        if listed.length.fixed and listed.length.size not in ends:
            yield Finding(where, Text("ends inside a column", "域在子域中间结束"))
        for size in sorted((listed.sizes or frozenset()) - ends):
            yield Finding(where, Text(f"a length of {size} ends inside a column", f"长度 {size} 在子域中间结束"))
        if len({column.key for column in layout.columns}) != len(layout.columns):
            yield Finding(where, Text("two columns have one key", "两个子域使用同一编号"))


def _codes(dialect: Dialect) -> Iterator[Finding]:
    listed = dialect.spec.fields.get(RESPONSE_CODE)
    size = listed.length.size if listed is not None else 0
    for key, code in dialect.codes.items():
        if key != code.code or len(key) != size:
            why = Text(f"is not a code of {size} characters under its own name", f"不是 {size} 位应答码或登记有误")
            yield Finding(f"code {key}", why)
    if dialect.meaning(APPROVED).verdict is not Verdict.APPROVAL:
        yield Finding(f"code {APPROVED}", Text("is not an approval", "不是批准"))


def _frame(dialect: Dialect) -> Iterator[Finding]:
    digits = sum(column.width for column in dialect.header.columns) if dialect.header is not None else 0
    if digits % 2 or len(dialect.header_default) != digits:
        why = Text(f"the default does not have its {digits} digits in whole bytes", f"缺省值不是 {digits} 位整字节")
        yield Finding("header", why)
    if dialect.tpdu_default is None:
        return
    try:
        Tpdu.decode(bytes.fromhex(dialect.tpdu_default))
    except (FrameError, ValueError):
        fault = True
    else:
        fault = False
    if fault:
        yield Finding("TPDU", Text("the default is not a TPDU", "缺省值不是TPDU"))


def _requests(dialect: Dialect) -> Iterator[Finding]:
    sale: Message | None = None
    for kind, row in dialect.kinds.items():
        if kind is Kind.REVERSAL:
            continue
        message, why = _request(dialect, row)
        if why is not None:
            yield Finding(f"kind {kind.value}", why)
        sale = message if kind is Kind.SALE else sale
    if sale is not None and Kind.REVERSAL in dialect.kinds:
        why = _fault(dialect, dialect.kinds[Kind.REVERSAL], dialect.compose_reversal(sale, "98", None, None))
        if why is not None:
            yield Finding(f"kind {Kind.REVERSAL.value}", why)


def _request(dialect: Dialect, row: KindRow) -> tuple[Message | None, Text | None]:
    acts_on_another = bool(row.needed & {37, 61})
    draft = Draft(
        row=row,
        identity=Identity("T0000001", "M00000000000001"),
        stan="000001",
        batch="000001",
        amount=Amount(1) if 4 in row.needed else None,  # noqa: PLR2004 - the amount's field
        card=Card.stripe(_TEST_TRACK) if row.takes_card else None,
        original=OriginalRef("000001", "000001", "0101") if acts_on_another else None,
        report="011" if 62 in row.needed else "",  # noqa: PLR2004 - the report's field
        enciphered_track=EncipheredTrack(_TEST_TRACK),
    )
    reason = ""
    try:
        message = Message(row.mti, dialect.compose(draft))
    except Exception as error:  # noqa: BLE001 - a dialect is somebody's code: whatever it does is a finding
        reason = type(error).__name__
    else:
        return message, _fault(dialect, row, message)
    return None, Text(f"composing a request fails with {reason}", f"组成请求失败: {reason}")


def _fault(dialect: Dialect, row: KindRow, message: Message) -> Text | None:
    lacking = ", ".join(map(str, sorted(row.needed - message.keys())))
    if lacking:
        return Text(f"a composed request lacks field {lacking}", f"组成的请求缺少 {lacking} 域")
    behind = [number for number in message if row.mac and dialect.mac is not None and number > dialect.mac.field]
    if behind:
        return Text(
            f"field {behind[0]} of a composed request stands behind the MAC", f"{behind[0]} 域位于报文鉴别码之后"
        )
    reason = ""
    try:
        packet = pack(dialect, message, tpdu=None, header=None, mac=_no_mac if row.mac else None)
        same = codec.decode(packet.body, dialect.spec) == packet.message
    except PosError as error:
        reason = str(error)
        same = False
    if reason:
        return Text(f"a composed request cannot be written: {reason}", f"组成的请求无法编码: {reason}")
    return None if same else Text("a composed request reads back as something else", "组成的请求解码后不一致")


def _no_mac(_covered: bytes) -> bytes:
    return bytes(MAC_SIZE)
