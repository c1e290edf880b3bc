"""The dialects that come with the engine, by the name a configuration uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.iso87 import ISO87
from pos_engine.dialects.unionpay import UNIONPAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in (UNIONPAY, ISO87)}
