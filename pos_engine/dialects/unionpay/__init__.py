"""The UnionPay POS dialect (银联 POS): fields, kinds, response codes and the private fields' contents, put together."""

from __future__ import annotations

from typing import Final

from pos_engine.dialects.base import Dialect, MacRule
from pos_engine.dialects.unionpay.balance import read_balance
from pos_engine.dialects.unionpay.codes import CODES
from pos_engine.dialects.unionpay.compose import compose, compose_reversal
from pos_engine.dialects.unionpay.explain import explain
from pos_engine.dialects.unionpay.fields import HEADER, SPEC
from pos_engine.dialects.unionpay.kinds import KINDS
from pos_engine.dialects.unionpay.meanings import MEANINGS
from pos_engine.dialects.unionpay.parts import LAYOUTS, parts
from pos_engine.dialects.unionpay.sign_on import read_batch, read_keys
from pos_engine.values import Text

RE_SIGN_ON: Final = "3"
"""The processing request, header digit 6, by which a host demands a new sign-on."""


def processing_request(header: str | None) -> str | None:
    """Return header digit 6, what the host wants done once the present transaction is over; 0 is nothing."""
    digit = header[5] if header is not None else "0"
    return None if digit == "0" else digit


UNIONPAY: Final = Dialect(
    name="unionpay",
    title=Text("UnionPay POS", "银联POS"),
    spec=SPEC,
    kinds=KINDS,
    codes=CODES,
    mac=MacRule(field=64, algorithm="unionpay-ecb"),
    layouts=LAYOUTS,
    compose=compose,
    compose_reversal=compose_reversal,
    read_keys=read_keys,
    read_batch=read_batch,
    explain=explain,
    read_balance=read_balance,
    parts=parts,
    meanings=MEANINGS,
    kept=frozenset({3, 4, 11, 12, 13, 15, 25, 32, 37, 38, 39, 41, 42, 49, 54, 60}),
    header=HEADER,
    header_default="603200320000",
    processing_request=processing_request,
    sign_on_requests=frozenset({RE_SIGN_ON}),
    tpdu_default="6000000000",
)
