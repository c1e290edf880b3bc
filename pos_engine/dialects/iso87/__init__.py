"""Plain ISO 8583:1987 in ASCII: digits and text one character a byte, bitmaps as hex text, fields 2 to 128.

No TPDU and no header. The MAC is X9.19 in field 128, the last one. Kinds, response codes and the contents of private
fields are those of the UnionPay dialect, so that a host of either can be tried with the same terminal. There are no
downloads, because no header asks for any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pos_engine.dialects.base import Dialect, MacRule
from pos_engine.dialects.iso87.compose import compose, compose_reversal
from pos_engine.dialects.iso87.fields import SPEC
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.values import Text

_SCHEME: Final = replace(SCHEMES[USUAL], mac="x9.19")

ISO87: Final[Dialect] = replace(
    UNIONPAY,
    name="iso87",
    title=Text("ISO 8583:1987, ASCII", "ISO 8583:1987 (ASCII)"),
    spec=SPEC,
    kinds={kind: row for kind, row in UNIONPAY.kinds.items() if kind not in UNIONPAY.page_kinds},
    downloads={},
    mac=MacRule(field=128, algorithm=_SCHEME.mac),
    compose=compose,
    compose_reversal=compose_reversal,
    header=None,
    header_default="",
    processing_request=lambda _header: None,
    sign_on_requests=frozenset(),
    tpdu_default=None,
    scheme=_SCHEME,
    schemes={_SCHEME.name: _SCHEME},
)
