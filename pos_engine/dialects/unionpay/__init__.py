"""The UnionPay POS dialect (银联 POS): fields, kinds, response codes and the private fields' contents, put together.

There is one dialect for each key scheme (`with_scheme`); `UNIONPAY` is that of the usual one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Final

from pos_engine.dialects.base import Dialect, Kind, MacRule, with_enciphered_tracks
from pos_engine.dialects.unionpay.balance import read_balance
from pos_engine.dialects.unionpay.codes import CODES
from pos_engine.dialects.unionpay.compose import compose, compose_reversal
from pos_engine.dialects.unionpay.downloads import DOWNLOADS, report
from pos_engine.dialects.unionpay.explain import explain
from pos_engine.dialects.unionpay.fields import HEADER, PIN_DATA, SPEC, with_pin_block
from pos_engine.dialects.unionpay.kinds import KINDS
from pos_engine.dialects.unionpay.meanings import MEANINGS
from pos_engine.dialects.unionpay.parts import LAYOUTS, parts
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.dialects.unionpay.sign_on import read_batch, read_keys
from pos_engine.values import Text

MAC_FIELD: Final = 64
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
    mac=MacRule(field=MAC_FIELD, algorithm=SCHEMES[USUAL].mac),
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
    downloads=DOWNLOADS,
    report=report,
    tpdu_default="6000000000",
    scheme=SCHEMES[USUAL],
    schemes=SCHEMES,
)
"""The dialect of an acquirer of which nothing else is said."""


@cache
def with_scheme(name: str) -> Dialect:
    """Return the dialect of an acquirer that handles keys as this scheme says; `KeyError` for one that is not listed.

    The same name gives the same value: what is built of its spec is built once.
    """
    scheme = SCHEMES[name]
    if scheme is UNIONPAY.scheme:
        return UNIONPAY
    sign_on = replace(KINDS[Kind.SIGN_ON], network_code=scheme.network_code)
    same_size = SPEC.fields[PIN_DATA].length.size == scheme.pin_block_bytes
    spec = SPEC if same_size else with_pin_block(scheme.pin_block_bytes)
    return replace(
        UNIONPAY,
        spec=with_enciphered_tracks(spec) if scheme.enciphers_tracks else spec,
        kinds={**KINDS, Kind.SIGN_ON: sign_on},
        mac=MacRule(field=MAC_FIELD, algorithm=scheme.mac),
        compose=partial(compose, scheme=scheme),
        read_keys=partial(read_keys, scheme=scheme),
        scheme=scheme,
    )
