"""What an element is composed of, as a person reads it: named parts, cut on access and never while a message is read.

A part's value is text as in messages: characters for themselves, bytes as upper-case hex. A value that does not fit its
layout has the parts that could be cut whole, or none: reading for people never fails, it only says less.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pos_engine.values import Text
from pos_engine.wire import emv, tlv
from pos_engine.wire.field import Sensitivity
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pos_engine.wire.columns import Columns

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an element: `key` is its number (60.1) or tag (9F26), `meaning` says its value in words."""

    key: str
    name: Text
    value: str = field(repr=False)
    meaning: Text | None = None
    sensitivity: Sensitivity = Sensitivity.OPEN
    children: tuple[Part, ...] = ()


Cut = Callable[[Message, int], tuple[Part, ...]]
"""Cuts one element of a message into parts; none where it has none."""


def same(text: str) -> Text:
    """Return a text that is the same in every language."""
    return Text(text, text)


def of_columns(layout: Columns, value: str, meanings: Mapping[str, Mapping[str, Text]]) -> tuple[Part, ...]:
    """Cut a value into the columns that are whole; `meanings` explains values by column."""
    cut = ((column, layout.get(value, column.key)) for column in layout.columns)
    return tuple(
        Part(column.key, column.name, part, meanings.get(column.key, {}).get(part))
        for column, part in cut
        if part is not None
    )


def by_columns(layouts: Mapping[int, Columns], meanings: Mapping[str, Mapping[str, Text]] | None = None) -> Cut:
    """Make a `Cut` of a dialect's fixed-digit layouts."""

    def cut(message: Message, number: int) -> tuple[Part, ...]:
        layout, value = layouts.get(number), message.get(number)
        return () if layout is None or value is None else of_columns(layout, value, meanings or {})

    return cut


def of_tags(items: Sequence[tlv.Item], tags: Mapping[str, emv.Tag]) -> tuple[Part, ...]:
    """Name the items of a block; a tag that is not listed keeps its place and is hidden."""
    return tuple(_tag(item, tags) for item in items)


def _tag(item: tlv.Item, tags: Mapping[str, emv.Tag]) -> Part:
    if item.tag == tlv.FILLING:
        return Part(item.tag, emv.FILLING.name, "")
    # A template says nothing itself: what may be shown is decided by each tag in it.
    unlisted = emv.Tag(emv.UNLISTED.name) if item.children else emv.UNLISTED
    tag = tags.get(item.tag, unlisted)
    children = of_tags(item.children, tags)
    value = "" if children else item.content.hex().upper()
    text = item.value.decode("latin-1")
    meaning = same(text) if tag.text and _PRINTABLE.fullmatch(text) else None
    return Part(item.tag, tag.name, value, meaning, tag.sensitivity, children)
