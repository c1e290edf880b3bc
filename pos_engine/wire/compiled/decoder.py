"""Decoders: the elements a bitmap announces become one straight-line function from bytes to a `Message` or `None`.

    MTI, bitmaps | fixed, fixed, ... | length, data, fixed, fixed, ... | length, data, fixed, ...

A run of elements is cut out of the message once, checked by class of content, turned into text as a whole, and parted
by one `itemgetter` of slices. Positions are constants, or constants after the end of the last element of variable
length. Bytes that are not there make a slice too short; the last line, which compares the end of the elements with the
end of the message, or a check before it then answers `None`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from pos_engine.wire import rules
from pos_engine.wire.compiled import tables
from pos_engine.wire.compiled.source import Source
from pos_engine.wire.field import Content, Encoding, FieldSpec, Justify
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pos_engine.wire.spec import Decoder, MessageSpec

_NIBBLES: Final = 2
"""Hex digits a byte."""


@dataclass(slots=True)
class _Draft:
    """The function so far, and where the next element begins: `offset` bytes after what the variable `base` holds."""

    source: Source = field(default_factory=Source)
    base: str = ""
    offset: int = 0

    def at(self, distance: int = 0) -> str:
        """Say a position in Python."""
        place = self.offset + distance
        if not self.base:
            return str(place)
        return f"{self.base} + {place}" if place else self.base

    def refuse_if(self, condition: str) -> None:
        """Leave the question to the reference if `condition` holds."""
        self.source.add(f"    if {condition}:", "        return None")


def build(spec: MessageSpec, numbers: Iterable[int]) -> Decoder:
    """Write the function for one set of elements; it may only be given messages whose bitmaps announce just these."""
    fields = [spec.fields[number] for number in sorted(numbers)]
    draft = _Draft(offset=rules.mti_size(spec))
    draft.source.add("try:", f"    mti = {draft.source.constant(tables.mtis(spec.mti))}[data[:{draft.at()}]]")
    draft.offset += rules.bitmap_size(spec) * rules.bitmaps_for(listed.number for listed in fields)
    for run in _runs(fields):
        _run(draft, run)
    draft.refuse_if(f"{draft.at()} != len(data)")
    # An MTI or a length that is not listed, or a byte that is not there.
    draft.source.add("except LookupError:", "    return None")
    return _finish(draft.source, spec, fields)


def _finish(source: Source, spec: MessageSpec, fields: Sequence[FieldSpec]) -> Decoder:
    # The elements are in order already, so the constructor, which looks after that, is passed by.
    numbers = tuple(listed.number for listed in fields)
    source.add("message = new(Message)", "message.mti = mti")
    source.add(f"message._numbers = {source.constant(numbers)}")
    source.add(f"message._places = {source.constant({number: place for place, number in enumerate(numbers)})}")
    source.add(f"message._values = ({''.join(f'v{number}, ' for number in numbers)})", "return message")
    source.names |= {"new": object.__new__, "Message": Message}
    title = f"decoder {spec.name} {' '.join(map(str, numbers))}"
    return source.build(title, "data")  # type: ignore[no-any-return]  # what exec makes has no type


def _runs(fields: Sequence[FieldSpec]) -> Iterator[list[FieldSpec]]:
    """Part elements into runs: those that have one view, and only the first of which may have a length of its own.

    One of variable length begins a run together with what follows it only if both are checked alike: else it would save
    nothing to read them in one piece.
    """
    run: list[FieldSpec] = []
    for listed in fields:
        if run and not (listed.length.fixed and _joins(run[0], listed)):
            yield run
            run = []
        run.append(listed)
    if run:
        yield run


def _joins(first: FieldSpec, listed: FieldSpec) -> bool:
    return _view(first) is _view(listed) if first.length.fixed else _class(first) == _class(listed)


def _view(listed: FieldSpec) -> Encoding:
    """How the bytes become text: hex for packed data, else by a code page."""
    return Encoding.BCD if listed.encoding in rules.PACKED else listed.encoding


def _class(listed: FieldSpec) -> tuple[Content, Encoding]:
    return listed.content, listed.encoding


def _size(listed: FieldSpec) -> int:
    """Bytes of a fixed element."""
    return (listed.length.size + 1) // 2 if listed.encoding is Encoding.BCD else listed.length.size


def _run(draft: _Draft, run: Sequence[FieldSpec]) -> None:
    """Read consecutive elements of one view, the first of which may have a length prefix."""
    if run[0].length.fixed:
        size = sum(map(_size, run))
        draft.source.add(f"    raw = data[{draft.at()}:{draft.at(size)}]")
        _checks(draft, run)
        draft.source.add(f"    text = {_text(run)}")
        _cut(draft, run, 0)
        draft.offset += size
        return
    head, rest = run[0], run[1:]
    size, end = sum(map(_size, rest)), f"e{head.number}"
    _prefix(draft, head, end)
    draft.source.add(f"    raw = data[{draft.at()}:{end}{f' + {size}' if size else ''}]")
    draft.base, draft.offset = end, size
    _check(draft, "raw", head)
    draft.source.add(f"    text = {_text(run)}")
    _head(draft, head)
    _cut(draft, rest, -size * (_NIBBLES if head.encoding in rules.PACKED else 1))


def _prefix(draft: _Draft, head: FieldSpec, end: str) -> None:
    """Look the length up, find where the element ends, and go to where its data begin."""
    width, table = rules.prefix_size(head), draft.source.constant(tables.lengths(head))
    window = draft.at() if width == 1 else f"{draft.at()}:{draft.at(width)}"
    draft.source.add(f"    size = {table}[data[{window}]]")
    draft.offset += width
    draft.source.add(f"    {end} = {draft.at()} + {'(size + 1 >> 1)' if head.encoding is Encoding.BCD else 'size'}")


def _checks(draft: _Draft, run: Sequence[FieldSpec]) -> None:
    """Have the bytes of fixed elements checked, neighbours of one class at once."""
    groups = [(key, list(group)) for key, group in groupby(run, _class)]
    if len(groups) == 1:
        _check(draft, "raw", run[0])
        return
    text = run[0].encoding not in rules.PACKED
    if text:
        draft.source.add(f"    marks = raw.translate({draft.source.constant(tables.classes(run[0].encoding))})")
        draft.refuse_if(f"{tables.ILLEGAL} in marks")
    start = 0
    for (content, _), alike in groups:
        end = start + sum(map(_size, alike))
        if text and content in tables.CLASS_TESTS:
            draft.refuse_if(f"not marks[{start}:{end}].{tables.CLASS_TESTS[content]}()")
        elif not (text and content is Content.ANS):
            _check(draft, f"raw[{start}:{end}]", alike[0])
        start = end


def _check(draft: _Draft, part: str, listed: FieldSpec) -> None:
    # Bytes as such may be anything. Nothing but digits needs no table; an empty value goes to the reference.
    if listed.content is Content.N and listed.encoding is Encoding.ASCII:
        draft.refuse_if(f"not {part}.isdigit()")
    elif listed.content is not Content.B:
        table = draft.source.constant(tables.wire(*_class(listed)))
        draft.refuse_if(f"{tables.ILLEGAL} in {part}.translate({table})")


def _text(run: Sequence[FieldSpec]) -> str:
    """Say in Python what turns raw bytes into text."""
    if run[0].encoding in rules.PACKED:
        letters = any(listed.content is not Content.N for listed in run)
        return "raw.hex().upper()" if letters else "raw.hex()"
    return f"raw.decode({rules.CODECS[run[0].encoding]!r})"


def _head(draft: _Draft, head: FieldSpec) -> None:
    """Cut the value of variable length from the beginning of the text, and have its pad nibble checked."""
    value = f"v{head.number}"
    if head.encoding is not Encoding.BCD:
        draft.source.add(f"    {value} = text[:size{' * 2' if head.encoding is Encoding.BINARY else ''}]")
    elif head.justify is Justify.LEFT:
        draft.refuse_if("size & 1 and text[size] != '0'")
        draft.source.add(f"    {value} = text[:size]")
    else:
        draft.refuse_if("size & 1 and text[0] != '0'")
        draft.source.add(f"    {value} = text[size & 1:size + (size & 1)]")


def _cut(draft: _Draft, fixed: Sequence[FieldSpec], start: int) -> None:
    """Part text into values, from `start` (from the end, if negative), and have the pad nibbles checked."""
    cuts = []
    for listed in fixed:
        end = start + _size(listed) * (_NIBBLES if listed.encoding in rules.PACKED else 1)
        first, last = start, end
        if listed.encoding is Encoding.BCD and listed.length.size % 2:
            left = listed.justify is Justify.LEFT
            draft.refuse_if(f"text[{end - 1 if left else start}] != '0'")
            first, last = (start, end - 1) if left else (start + 1, end)
        cuts.append(slice(first, last or None))
        start = end
    names = ", ".join(f"v{listed.number}" for listed in fixed)
    if len(cuts) == 1:
        draft.source.add(f"    {names} = text[{cuts[0].start or ''}:{cuts[0].stop or ''}]")
    elif cuts:
        draft.source.add(f"    {names} = {draft.source.constant(itemgetter(*cuts))}(text)")
