"""Scenario files: the ones that come with the host, by name, and anybody's own, by path.

A file is read once, when the host starts, and never waited for. Whatever is wrong with it is a `ConfigError`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import ConfigError
from simulators.scenario import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Dialect
    from simulators.scenario import Scenario

FOLDER: Final = Path(__file__).parent / "scenarios"
SUFFIX: Final = ".toml"
FILE_BYTES_MAX: Final = 1_048_576
"""A scenario is some pages of text; a larger file is another file."""


def ready_made() -> Mapping[str, Path]:
    """Return the scenarios that come with the host: file by name, in order."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def read_scenario(name: str | Path, *, dialect: Dialect = UNIONPAY) -> Scenario:
    """Read a scenario for hosts of a dialect: a ready-made one by its name, any other by its path.

    Raises `ConfigError`.
    """
    path = ready_made().get(str(name), Path(name))
    text = reason = ""
    try:
        text = _text(path)
    except OSError as error:
        hint = "" if Path(name).suffix else f"; ready-made are {', '.join(ready_made())}"
        reason = f"{path}: cannot be read: {(error.strerror or 'not a file').lower()}{hint}"
    except ValueError:
        reason = f"{path}: is not text of a scenario's size"
    if reason:
        raise ConfigError(reason)
    return parse(text, str(path), dialect=dialect)


def _text(path: Path) -> str:
    # Opened without waiting, because a plain open would wait for ever on a named pipe.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        reason = "too large"
        raise ValueError(reason)
    return data.decode()
