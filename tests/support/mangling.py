"""Messages of three dialects, whole and damaged, from a `random.Random`, and what two codecs make of each.

Hypothesis draws the seed in the property test, a counter gives it in the campaign: both then see the same messages, and
a number is enough to see one again.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.iso87.fields import SPEC as ISO87
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.errors import DecodeError, ProtocolError
from pos_engine.wire import codec, reference, rules
from pos_engine.wire.field import Content, FieldSpec
from pos_engine.wire.message import Message
from tests.support.specs import ODD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from pos_engine.wire.spec import MessageSpec

SPECS: Final = (UNIONPAY, ISO87, ODD)

_SHAPES: Final = {spec: sorted(spec.catalogue, key=sorted) for spec in SPECS}
_ALPHABETS: Final = {
    Content.N: string.digits,
    Content.Z: string.digits + "D",
    Content.H: string.digits + "ABCDEF",
    Content.AN: string.ascii_letters + string.digits + " ",
    Content.ANS: "".join(map(chr, [*range(0x20, 0x7F), *range(0x80, 0x100)])),
    Content.B: "0123456789ABCDEF",
}
# What is close to a legal character, or to a length: signs, blanks, foreign digits, small letters, ends of ranges.
_ODD_CHARACTERS: Final = "+- _=\x00\x1f\x7f\n\xb2dDaFgG/:@[`{\xff٣"
_ODD_BYTES: Final = bytes((0x00, 0x0A, 0x0F, 0x1A, 0x20, 0x2B, 0x40, 0x7F, 0x80, 0x99, 0x9A, 0xA0, 0xF0, 0xFA, 0xFF))


def value(random: Random, listed: FieldSpec) -> str:
    """A value that a field may hold, often as short or as long as it can be."""
    size = listed.length.size
    if not listed.length.fixed:
        sizes = sorted(listed.sizes) if listed.sizes else range(size + 1)
        size = random.choice((random.choice(sizes), sizes[0], sizes[-1], sizes[min(len(sizes) - 1, 13)]))
    characters = size * 2 if listed.content is Content.B else size
    return "".join(random.choices(_ALPHABETS[listed.content], k=characters))


def whole_value(random: Random, listed: FieldSpec) -> str:
    """A value that a field may hold, and that is not empty."""
    while True:
        found = value(random, listed)
        if found:
            return found


def bitmap(numbers: Iterable[int], spec: MessageSpec) -> bytes:
    """The bitmaps that announce these elements."""
    text = rules.bitmap_text(numbers)
    return bytes.fromhex(text) if spec.bitmap in rules.PACKED else text.encode(rules.CODECS[spec.bitmap])


def message(random: Random, spec: MessageSpec) -> Message:
    """A message that a format allows: mostly of its catalogue, sometimes of any elements."""
    numbers = random.choice(_SHAPES[spec])
    if random.random() < 0.1:
        numbers = frozenset(random.sample(sorted(spec.fields), random.randint(0, 10)))
    mti = random.choice(("0200", "0210", "0800", "1200", "0421", "9999"))
    return Message(mti, {number: value(random, spec.fields[number]) for number in numbers})


def damaged(random: Random, raw: bytes) -> bytes:
    """The bytes with a cut, a flipped bit, an odd byte, another part of itself spliced in, or something at the end."""
    at = random.randrange(len(raw))
    way = random.randrange(6)
    if way == 0:
        return raw[:at]
    if way == 1:
        return raw + raw[:at]
    if way == 2:
        start = random.randrange(len(raw))
        return raw[:at] + raw[start : start + random.randint(0, 8)] + raw[at:]
    if way == 3:
        return raw[:at] + raw[at + random.randint(1, 4) :]
    if way == 4:
        return raw[:at] + bytes([random.choice(_ODD_BYTES)]) + raw[at + 1 :]
    return raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1 :]


def spoilt(random: Random, sound: Message) -> Message:
    """A message of which one value, or the MTI, is not what its field allows."""
    if not sound or random.random() < 0.1:
        return sound.replace({}, mti=random.choice(("020", "02000", "02A0", "020٣", "0 00", "+200")))
    number = random.choice(sorted(sound))
    text = sound[number]
    at = random.randrange(len(text) + 1)
    character = random.choice(_ODD_CHARACTERS)
    changed: object = random.choice(
        (
            text[:at] + character + text[at + 1 :],
            text[:at] + character + text[at:],
            text[:at] + text[at + 1 :],
            text + text,
            text.lower(),
            "",
            None,
            7,
            [text],
            text.encode("latin-1"),
        )
    )
    return sound.replace({number: changed})  # type: ignore[dict-item]  # what a caller may do


def outcome(call: Callable[[], object]) -> tuple[object, ...]:
    """What a codec answers, in full: the values with their types and order, or all that an error says."""
    try:
        result = call()
    except ProtocolError as error:
        read = (error.mti, list(error.decoded.items())) if isinstance(error, DecodeError) else ()
        return type(error), error.field, error.offset, error.reason, str(error), read, error.__context__
    if isinstance(result, Message):
        return result.mti, list(result.items()), [type(part) for part in result.values()], list(result), len(result)
    return type(result), result


def differs(random: Random) -> str | None:
    """Put one message through both codecs, both ways, whole and damaged; say what they do not agree on."""
    spec = random.choice(SPECS)
    sound = message(random, spec)
    raw = reference.encode(sound, spec)
    candidates = (sound, spoilt(random, sound))
    for candidate in candidates:
        if outcome(lambda one=candidate: codec.encode(one, spec)) != outcome(  # type: ignore[misc]  # a bound default
            lambda one=candidate: reference.encode(one, spec)  # type: ignore[misc]  # a bound default
        ):
            return f"{spec.name}: encoding {dict(candidate)!r}"
    for data in (raw, damaged(random, raw), damaged(random, raw), damaged(random, damaged(random, raw) or raw)):
        if outcome(lambda one=data: codec.decode(one, spec)) != outcome(  # type: ignore[misc]  # a bound default
            lambda one=data: reference.decode(one, spec)  # type: ignore[misc]  # a bound default
        ):
            return f"{spec.name}: decoding {data.hex()}"
    return None


COMPARISONS: Final = 6
"""Comparisons that one call of `differs` makes."""
