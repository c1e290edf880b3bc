"""Captured messages: bytes, and what a reading of them gives (`fields` in clear, as in `wire.message`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One captured message. `negative`: it cannot be read to its end. `mab`: MAC input, so its field 64 is absent."""

    name: str
    raw: bytes
    negative: bool
    mab: bool
    decode: dict[str, Any]

    @property
    def fields(self) -> dict[int, str]:
        """The expected values by field number."""
        return {int(number): value for number, value in self.decode["fields"].items()}


SAMPLES = tuple(
    Sample(row["name"], bytes.fromhex(row["hex"]), row.get("negative", False), row.get("mab", False), row["decode"])
    for row in json.loads(Path(__file__).with_name("messages.json").read_text(encoding="utf-8"))
)
