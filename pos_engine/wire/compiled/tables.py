"""What generated functions look things up in: which characters a class allows, which lengths an element may have.

Many characters are checked at once: `bytes.translate` marks each as allowed or not, then one search for a mark or one
comparison decides. A length is one look-up in a dict of the legal ones, so that signs, blanks, nibbles above nine,
lengths past the maximum and lengths a dialect does not use are simply not there. All is derived from `wire.rules` and
the spec.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pos_engine.limits import SHAPES_MAX
from pos_engine.wire import rules
from pos_engine.wire.field import Content, Encoding, FieldSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

ILLEGAL: Final = ord("!")
"""How tables mark a byte that a class does not allow."""

SEPARATOR: Final = "\n"
"""Stands between values that are checked together; no class allows it, so that it is marked like what is illegal."""


def _marks(content: Content, readings: Iterable[str]) -> bytes:
    """Map every byte whose reading the class allows to `0`, and the others to `!`."""
    pattern = rules.PATTERNS[content]
    return bytes(ILLEGAL if pattern.fullmatch(text) is None else ord("0") for text in readings)


@lru_cache(maxsize=len(Content) * len(Encoding))
def wire(content: Content, encoding: Encoding) -> bytes:
    """For bytes as they stand in a message: both digits of a packed byte, or the character it stands for."""
    return _marks(content, (rules.text(bytes([byte]), encoding) for byte in range(256)))


@lru_cache(maxsize=len(Content))
def values(content: Content) -> bytes:
    """For the characters of a value before they are encoded; bytes are two each, and are judged one by one."""
    return _marks(content, (chr(byte) * (2 if content is Content.B else 1) for byte in range(256)))


@lru_cache(maxsize=len(Encoding))
def classes(encoding: Encoding) -> bytes:
    """For text of several classes: mark the narrowest class that a byte belongs to."""
    table = bytearray([ILLEGAL]) * 256
    # From the widest to the narrowest, each inside the one before it.
    for content, mark in ((Content.ANS, "-"), (Content.AN, "a"), (Content.N, "0")):
        for byte, allowed in enumerate(wire(content, encoding)):
            if allowed != ILLEGAL:
                table[byte] = ord(mark)
    return bytes(table)


CLASS_TESTS: Final = {Content.N: "isdigit", Content.AN: "isalnum"}
"""The method of `bytes` by which marks of `classes` show that they belong to a class."""

EBCDIC: Final = bytes(range(256)).decode("latin-1").encode(rules.CODECS[Encoding.EBCDIC])
"""From latin-1 to code page 500, which has the same characters in another order."""


def units(field: FieldSpec) -> Iterable[int]:
    """The lengths an element of variable length may have."""
    every = range(field.length.size + 1)
    return every if field.sizes is None else [size for size in every if size in field.sizes]


def prefix(field: FieldSpec, size: int) -> bytes:
    """The length prefix of an element, as it stands in a message."""
    if field.prefix_encoding is Encoding.BINARY:
        return size.to_bytes(rules.prefix_size(field))
    digits = rules.prefix_size(field) * (2 if field.prefix_encoding is Encoding.BCD else 1)
    written = f"{size:0{digits}d}"
    if field.prefix_encoding is Encoding.BCD:
        return bytes.fromhex(written)
    return written.encode(rules.CODECS[field.prefix_encoding])


@lru_cache(maxsize=len(Encoding))
def mtis(encoding: Encoding) -> dict[bytes, str]:
    """The MTIs of every day, from their bytes: 1987 and 1993, all classes, requests to responses, sent by acquirers."""
    return {
        (text.encode(rules.CODECS[encoding]) if encoding in rules.CODECS else bytes.fromhex(text)): text
        for text in (f"{version}{kind}{function}0" for version in "01" for kind in "12345678" for function in "012345")
    }


@lru_cache(maxsize=SHAPES_MAX)
def lengths(field: FieldSpec) -> dict[bytes, int] | dict[int, int]:
    """From the length prefix to the length; a prefix of one byte is looked up as the number that indexing gives."""
    if rules.prefix_size(field) == 1:
        return {prefix(field, size)[0]: size for size in units(field)}
    return {prefix(field, size): size for size in units(field)}


@lru_cache(maxsize=SHAPES_MAX)
def prefixes(field: FieldSpec) -> dict[int, str]:
    """From the length of a value (characters of its text) to the text of its length prefix."""
    characters = 2 if field.encoding is Encoding.BINARY else 1
    return {size * characters: rules.text(prefix(field, size), field.prefix_encoding) for size in units(field)}
