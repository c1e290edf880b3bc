"""Messages as a person or a log may see them: every value passes its element's sensitivity first.

Masking fails closed: what the spec does not declare open is hidden, an unlisted element too, and a card number that is
too short to mask shows nothing. Clear card numbers need `unmask_pan`, which a caller grants only to a terminal screen;
tracks, PIN blocks, keys and verification values have no way out at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from pos_engine.values import CURRENCIES, Amount, Text, mask_pan
from pos_engine.wire import rules
from pos_engine.wire.field import Content, Justify, Sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.values import Language
    from pos_engine.wire.composite import Cut, Part
    from pos_engine.wire.field import FieldSpec
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import MessageSpec

HIDDEN: Final = "***"

_OF_A_CAPTURE: Final = frozenset({Sensitivity.CARD, Sensitivity.TRANSIENT})
"""What may be shown, through its censor, to a person who decodes a message that is at hand anyway."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNLISTED: Final = Text("not an element of this dialect", "未定义的域")

_CLASSES: Final = {
    "1": Text("authorization", "授权"),
    "2": Text("financial", "金融"),
    "3": Text("file action", "文件"),
    "4": Text("reversal", "冲正"),
    "5": Text("reconciliation", "对账"),
    "6": Text("administrative", "管理"),
    "7": Text("fee collection", "费用"),
    "8": Text("network management", "网络管理"),
}
_FUNCTIONS: Final = {
    "0": Text("request", "请求"),
    "1": Text("answer", "应答"),
    "2": Text("advice", "通知"),
    "3": Text("advice answer", "通知应答"),
}
_SUMMARY: Final = {
    2: Text("card", "卡号"),
    3: Text("processing code", "处理码"),
    11: Text("STAN", "流水号"),
    37: Text("RRN", "参考号"),
    39: Text("response", "应答码"),
    41: Text("terminal", "终端"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a description: `key` is the element's number, its part's (60.1) or a tag, `shown` is safe to print.

    `meaning` says the value in words, where there is something to say.
    """

    key: str
    name: str
    shown: str
    children: tuple[Row, ...] = ()
    meaning: str = ""


def shown(field: FieldSpec | None, value: str, *, unmask_pan: bool = False, capture: bool = False) -> str:
    """Render a value as its element's sensitivity allows; control characters are escaped.

    `capture` is for a person who decodes a message that is at hand anyway: chip data, key cryptograms and the like show
    what their censor leaves. Logs and traces never set it.
    """
    if field is None:
        return HIDDEN
    if capture and field.sensitivity in _OF_A_CAPTURE:
        value = field.censor(value) if field.censor is not None else value
        return _escaped(value)
    if field.sensitivity is Sensitivity.OPEN:
        return _escaped(value)
    if field.sensitivity is Sensitivity.PAN:
        # Clear only when it is a card number at all: whatever else stands there may be a secret out of place.
        clear = unmask_pan and value.isascii() and value.isdigit()
        return value if clear else mask_pan(value)
    if field.content is Content.B and not field.length.fixed:
        return f"{HIDDEN} ({len(value) // 2} bytes)"
    return HIDDEN


def _escaped(value: str) -> str:
    return _CONTROLS.sub(lambda control: f"\\x{ord(control[0]):02X}", value)


def bytes_shown(field: FieldSpec | None, raw: bytes, value: str, text: str) -> str:
    """Return an element's bytes as hex, its length included, with stars wherever `text`, what is shown of it, hides.

    What cannot be laid beside the text character by character is hidden whole.
    """
    if field is None:
        return "*" * 2 * len(raw)
    if field.sensitivity is Sensitivity.OPEN:
        return raw.hex().upper()
    start = 0 if field.length.fixed else rules.prefix_size(field)
    head, body = raw[:start].hex().upper(), raw[start:].hex().upper()
    if len(text) != len(value) or text.startswith(HIDDEN):
        return head + "*" * len(body)
    if field.encoding not in rules.PACKED:
        pairs = zip(text, value, range(0, len(body), 2), strict=False)
        return head + "".join(body[place : place + 2] if seen == real else "**" for seen, real, place in pairs)
    pad = len(body) - len(text)
    return head + (text + body[len(text) :] if field.justify is Justify.LEFT else body[:pad] + text)


def masked(message: Message, spec: MessageSpec, *, unmask_pan: bool = False, capture: bool = False) -> dict[str, str]:
    """Return the values by element number as text, each masked: the `fields` of a JSON description."""
    return {
        str(number): shown(spec.fields.get(number), value, unmask_pan=unmask_pan, capture=capture)
        for number, value in message.items()
    }


def rows(
    message: Message,
    spec: MessageSpec,
    cut: Cut,
    language: Language = "en",
    *,
    explain: Callable[[Message, int], Text | None] = lambda _message, _number: None,
    unmask_pan: bool = False,
    capture: bool = False,
) -> tuple[Row, ...]:
    """Describe every element in ascending order; `cut` gives the parts, `explain` the meanings.

    A value that is not shown has neither: its parts would show it.
    """
    described = []
    for number, value in message.items():
        field = spec.fields.get(number)
        name = (_UNLISTED if field is None else field.name).say(language)
        text = shown(field, value, unmask_pan=unmask_pan, capture=capture)
        parts = cut(message, number) if _shows_parts(field, text, capture=capture) else ()
        meaning = explain(message, number)
        children = tuple(_part(part, language, capture=capture) for part in parts)
        described.append(Row(str(number), name, text, children, meaning.say(language) if meaning else ""))
    return tuple(described)


def _shows_parts(field: FieldSpec | None, text: str, *, capture: bool) -> bool:
    if field is None or text.startswith(HIDDEN):
        return False
    return field.sensitivity is Sensitivity.OPEN or (capture and field.sensitivity in _OF_A_CAPTURE)


def _part(part: Part, language: Language, *, capture: bool) -> Row:
    children = tuple(_part(child, language, capture=capture) for child in part.children)
    name = part.name.say(language)
    if part.sensitivity is Sensitivity.PAN:
        return Row(part.key, name, mask_pan(part.value), children)
    if part.sensitivity is Sensitivity.OPEN or (capture and part.sensitivity in _OF_A_CAPTURE):
        return Row(part.key, name, _escaped(part.value), children, part.meaning.say(language) if part.meaning else "")
    return Row(part.key, name, HIDDEN)


def summary(message: Message, spec: MessageSpec, language: Language = "en") -> str:
    """Describe a message in one line: what it is, the amount, and the numbers it is found by."""
    kind = " ".join(
        names[digit].say(language)
        for names, digit in zip((_CLASSES, _FUNCTIONS), message.mti[1:3], strict=False)
        if digit in names
    )
    facts = [
        f"{name.say(language)} {shown(spec.fields.get(number), message[number])}"
        for number, name in _SUMMARY.items()
        if number in message
    ]
    amount = _amount(message, spec)
    return ", ".join(part for part in (f"{message.mti} {kind}".strip(), amount, *facts) if part)


def _amount(message: Message, spec: MessageSpec) -> str:
    digits, currency = message.get(4), CURRENCIES.get(message.get(49, ""))
    listed = spec.fields.get(4)
    if digits is None or listed is None or listed.sensitivity is not Sensitivity.OPEN:
        return ""
    if currency is None or not (digits.isascii() and digits.isdigit()):
        return shown(listed, digits)
    try:
        return str(Amount(int(digits), currency))
    except UsageError:
        return shown(listed, digits)
