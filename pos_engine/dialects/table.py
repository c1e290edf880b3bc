"""A dialect as a table that other programs read: names, formats, code points. Its functions are not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pos_engine.wire.field import Content, Encoding, Justify
from pos_engine.wire.rules import unit_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Dialect, KeyScheme, KindRow
    from pos_engine.values import Text
    from pos_engine.wire.columns import Columns
    from pos_engine.wire.field import FieldSpec

_LETTERS: Final = {
    Content.N: "n",
    Content.Z: "z",
    Content.H: "z",
    Content.AN: "an",
    Content.ANS: "ans",
    Content.B: "b",
}


def type_of(field: FieldSpec) -> str:
    """Write an element's type as the standard does: `n 6`, `n..19 LLVAR`, `b 8`."""
    letter, length = _LETTERS[field.content], field.length
    return f"{letter} {length.size}" if length.fixed else f"{letter}..{length.size} {'L' * length.prefix}VAR"


def encoding_of(field: FieldSpec) -> str:
    """Say how an element stands on the wire, in a few words."""
    parts = [field.encoding.name]
    if not field.length.fixed:
        parts.append(f"length {field.prefix_encoding.name} in {unit_name(field)}")
    if field.encoding is Encoding.BCD and field.justify is Justify.RIGHT:
        parts.append("right-justified")
    if field.sizes is not None:
        parts.append(f"only {' '.join(map(str, sorted(field.sizes)))}")
    return ", ".join(parts)


def as_table(dialect: Dialect) -> dict[str, Any]:
    """Return everything that is data, as JSON has it."""
    return {
        "name": dialect.name,
        "title": _text(dialect.title),
        "mti": dialect.spec.mti.name,
        "bitmap": dialect.spec.bitmap.name,
        "bitmaps": dialect.spec.bitmaps,
        "tpdu": dialect.tpdu_default,
        "header": None if dialect.header is None else _columns(dialect.header, dialect.meanings),
        "mac": None if dialect.mac is None else {"field": dialect.mac.field, "algorithm": dialect.mac.algorithm},
        "key_scheme": None if dialect.scheme is None else dialect.scheme.name,
        "key_schemes": [scheme_as_table(scheme) for scheme in dialect.schemes.values()],
        "fields": [_field(field, dialect) for _, field in sorted(dialect.spec.fields.items())],
        "kinds": [_kind(row) for row in dialect.kinds.values()],
        "codes": [
            {
                "code": code.code,
                "verdict": code.verdict.name.lower(),
                "meaning": _text(code.meaning),
                "action": _text(code.action),
            }
            for code in dialect.codes.values()
        ],
    }


def scheme_as_table(scheme: KeyScheme) -> dict[str, Any]:
    """Return a key scheme as JSON has it; `verified` is false where no public source confirms it."""
    return {
        "name": scheme.name,
        "title": _text(scheme.title),
        "verified": scheme.verified,
        "algorithm": scheme.algorithm.value,
        "network_code": scheme.network_code,
        "layouts": [
            {
                "size": layout.size,
                "verified": layout.verified,
                "keys": [
                    {"usage": place.usage.name, "key_bytes": place.key_bytes, "check_bytes": place.check_bytes}
                    for place in layout.places
                ],
            }
            for layout in scheme.layouts
        ],
        "pin_format": scheme.pin_format,
        "pin_block_bytes": scheme.pin_block_bytes,
        "cipher_digit": scheme.cipher_digit,
        "enciphers_tracks": scheme.enciphers_tracks,
        "mac": scheme.mac,
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _field(field: FieldSpec, dialect: Dialect) -> dict[str, Any]:
    layout = dialect.layouts.get(field.number)
    return {
        "number": field.number,
        "name": _text(field.name),
        "type": type_of(field),
        "content": field.content.name,
        "size": field.length.size,
        "length_digits": field.length.prefix,
        "length_encoding": None if field.length.fixed else field.prefix_encoding.name,
        "counts": unit_name(field),
        "encoding": field.encoding.name,
        "justify": field.justify.name if field.encoding is Encoding.BCD else None,
        "sizes": None if field.sizes is None else sorted(field.sizes),
        "sensitivity": field.sensitivity.name.lower(),
        "columns": [] if layout is None else _columns(layout, dialect.meanings),
    }


def _columns(layout: Columns, meanings: Mapping[str, Mapping[str, Text]]) -> list[dict[str, Any]]:
    return [
        {
            "key": column.key,
            "name": _text(column.name),
            "width": column.width,
            "values": {value: _text(text) for value, text in meanings.get(column.key, {}).items()},
        }
        for column in layout.columns
    ]


def _kind(row: KindRow) -> dict[str, Any]:
    return {
        "kind": row.kind.value,
        "title": _text(row.title),
        "mti": row.mti,
        "processing_code": row.processing_code,
        "condition": row.condition,
        "message_type": row.message_type,
        "network_code": row.network_code,
        "on_silence": row.on_silence.name.lower(),
        "mac": row.mac,
        "needed": sorted(row.needed),
        "answered_with": sorted(row.answered_with),
    }
