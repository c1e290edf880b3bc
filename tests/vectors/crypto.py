"""The known answers of `crypto.json`, by kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_PATH = Path(__file__).with_name("crypto.json")


@dataclass(frozen=True)
class Vector:
    """One known answer; values are hex, digits or text as their names say."""

    id: str
    kind: str
    origin: str
    input: dict[str, str]
    expected: dict[str, str]

    def __str__(self) -> str:
        return self.id


ALL = tuple(Vector(**row) for row in json.loads(_PATH.read_text(encoding="utf-8")))


def of_kind(kind: str) -> tuple[Vector, ...]:
    """All vectors of one kind; a kind without any is a mistake in the test."""
    found = tuple(vector for vector in ALL if vector.kind == kind)
    assert found, kind
    return found


def by_id(name: str) -> Vector:
    """The vector of that name."""
    return next(vector for vector in ALL if vector.id == name)
