"""Encoders: a set of elements becomes one straight-line function from MTI and values to bytes or `None`.

The checks go by class of content, wherever the elements stand: all fixed ones of a class are joined with a separator,
translated to marks and compared with a template, which settles their characters, their lengths and that they are text
in one step. Then the message is written in stretches that have one view: an f-string, encoded as a whole.
"""

from __future__ import annotations

from binascii import a2b_hex
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pos_engine.wire import rules
from pos_engine.wire.compiled import tables
from pos_engine.wire.compiled.source import Source
from pos_engine.wire.field import Content, Encoding, FieldSpec, Justify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pos_engine.wire.spec import Encoder, MessageSpec

_SEPARATOR: Final = repr(tables.SEPARATOR)


def build(spec: MessageSpec, numbers: Iterable[int]) -> Encoder:
    """Write the function for one set of elements; it takes the values in ascending order of their numbers."""
    fields = [spec.fields[number] for number in sorted(numbers)]
    source = Source()
    names = "".join(f"v{listed.number}, " for listed in fields)
    if names:
        source.add(f"{names}= values")
    source.add("try:")
    for line in (*_fixed_checks(source, fields), *_variable_checks(source, fields)):
        source.add(f"    {line}")
    source.add(f"    return {' + '.join(_stretches(source, spec, fields))}")
    # A length that is not listed, something that is not text, a character without an encoding: the reference speaks.
    source.add("except (LookupError, TypeError, ValueError):", "    return None")
    source.names["a2b_hex"] = a2b_hex
    title = " ".join(str(listed.number) for listed in fields)
    return source.build(f"encoder {spec.name} {title}", "mti, values")  # type: ignore[no-any-return]  # exec has no types


def _fixed_checks(source: Source, fields: Sequence[FieldSpec]) -> Iterator[str]:
    for content in Content:
        checked = [(f"v{listed.number}", _characters(listed)) for listed in fields if _is_fixed(listed, content)]
        if content is Content.N:
            checked.insert(0, ("mti", rules.MTI_DIGITS))
        if not checked:
            continue
        template = bytes([tables.ILLEGAL]).join(b"0" * size for _, size in checked)
        joined = f"{_SEPARATOR}.join(({', '.join(name for name, _ in checked)},))"
        yield f"if {_marks(source, joined, content)} != {template!r}:"
        yield "    return None"


def _is_fixed(listed: FieldSpec, content: Content) -> bool:
    return listed.length.fixed and listed.content is content


def _variable_checks(source: Source, fields: Sequence[FieldSpec]) -> Iterator[str]:
    """Lengths are looked up when the prefixes are written; here it is the characters alone."""
    for content in Content:
        names = [f"v{f.number}" for f in fields if not f.length.fixed and f.content is content]
        if names:
            joined = f"''.join(({', '.join(names)},))"
            yield f"if {tables.ILLEGAL} in {_marks(source, joined, content)}:"
            yield "    return None"


def _marks(source: Source, text: str, content: Content) -> str:
    codec = "'latin-1'" if content is Content.ANS else ""
    return f"{text}.encode({codec}).translate({source.constant(tables.values(content))})"


def _characters(listed: FieldSpec) -> int:
    """Characters of a fixed value."""
    return listed.length.size * 2 if listed.encoding is Encoding.BINARY else listed.length.size


def _stretches(source: Source, spec: MessageSpec, fields: Sequence[FieldSpec]) -> Iterator[str]:
    """Say the parts of the message in Python, each encoded as a whole."""
    pieces = [(_view(spec.mti), "{mti}"), (_view(spec.bitmap), rules.bitmap_text(listed.number for listed in fields))]
    for listed in fields:
        pieces += _pieces(source, listed)
    for view, group in groupby(pieces, lambda piece: piece[0]):
        text = f'f"{"".join(piece for _, piece in group)}"'
        if view is Encoding.BCD:
            yield f"a2b_hex({text})"
        elif view is Encoding.ASCII:
            yield f"{text}.encode('latin-1')"
        else:
            yield f"{text}.encode('latin-1').translate({source.constant(tables.EBCDIC)})"


def _view(encoding: Encoding) -> Encoding:
    return Encoding.BCD if encoding in rules.PACKED else encoding


def _pieces(source: Source, listed: FieldSpec) -> Iterator[tuple[Encoding, str]]:
    """Say one element in the inside of an f-string: prefix, pad, value."""
    value, view = f"v{listed.number}", _view(listed.encoding)
    packed, left = listed.encoding is Encoding.BCD, listed.justify is Justify.LEFT
    if listed.length.fixed:
        pad = "0" if packed and listed.length.size % 2 else ""
        yield view, f"{{{value}}}{pad}" if left else f"{pad}{{{value}}}"
        return
    table = source.constant(tables.prefixes(listed))
    yield _view(listed.prefix_encoding), f"{{{table}[len({value})]}}"
    pad = f"{{'0' if len({value}) & 1 else ''}}" if packed else ""
    yield view, f"{{{value}}}{pad}" if left else f"{pad}{{{value}}}"
