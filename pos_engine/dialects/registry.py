"""The dialects that come with the engine, by the name a configuration uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay import UNIONPAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {UNIONPAY.name: UNIONPAY}
