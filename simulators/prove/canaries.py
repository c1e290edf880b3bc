"""Looking for secrets where none may be, each in nine encodings, so that one is found however it was written down."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

GROUP: Final = 4
ENCODINGS: Final = 9
"""The ways in which a secret is looked for."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret to look for: what it is, and its value as text (digits, a track) or as bytes (a key, a PIN block)."""

    name: str
    value: str | bytes = field(repr=False)

    def encodings(self) -> dict[str, bytes]:
        """Return the nine ways to write it."""
        raw = self.value if isinstance(self.value, bytes) else self.value.encode("latin-1")
        text = raw.hex().upper() if isinstance(self.value, bytes) else self.value
        return {
            "ASCII": raw,
            "packed, left": _packed(text.ljust(len(text) + len(text) % 2, "0")),
            "packed, right": _packed(text.rjust(len(text) + len(text) % 2, "0")),
            "upper hex": raw.hex().upper().encode(),
            "lower hex": raw.hex().encode(),
            "base64": base64.b64encode(raw).rstrip(b"="),
            "UTF-16": text.encode("utf-16-le"),
            "groups of four": " ".join(text[i : i + GROUP] for i in range(0, len(text), GROUP)).encode(),
            "reversed": raw[::-1],
        }


def _packed(digits: str) -> bytes:
    """Pack digits two to a byte; what is no hex digit cannot be packed, and is looked for as it is."""
    try:
        return bytes.fromhex(digits.replace("=", "D"))
    except ValueError:
        return digits.encode("latin-1")


@cache
def _needles(canary: Canary) -> tuple[tuple[bytes, tuple[str, ...]], ...]:
    """Return what to look for, in lower case, and what it is called: of some values two encodings are the same."""
    names: dict[bytes, tuple[str, ...]] = {}
    for name, written in canary.encodings().items():
        names[written.lower()] = (*names.get(written.lower(), ()), name)
    return tuple(names.items())


def sightings(data: bytes, canaries: Iterable[Canary]) -> Iterator[str]:
    """Name every canary found in some bytes, and how it was written; case does not matter where letters are digits."""
    if not data.strip(b"\0"):
        return
    folded = data.lower()
    for canary in canaries:
        for needle, encodings in _needles(canary):
            if needle in folded:
                yield from (f"{canary.name} as {encoding}" for encoding in encodings)


def search(places: Iterable[Path], canaries: Iterable[Canary]) -> list[str]:
    """Search files, and all files of folders."""
    looked_for = list(canaries)
    files = (file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*"))))
    return [
        f"{file.name}: {found}"
        for file in files
        if file.is_file()
        for found in sightings(file.read_bytes(), looked_for)
    ]
