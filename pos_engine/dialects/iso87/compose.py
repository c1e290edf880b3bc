"""Requests in plain ISO 8583:1987: the standard's own elements for what it names, private ones for the rest.

Type, batch and network code stand in field 60, the original in field 61, working keys in field 62, as digits in ASCII;
they mean what they mean in the UnionPay dialect, which leaves nothing to guess about batches. Beside them stand field
70 for network management and field 90 for an original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.unionpay.compose import compose as compose_private
from pos_engine.dialects.unionpay.compose import compose_reversal as reverse_private

if TYPE_CHECKING:
    from pos_engine.dialects.base import Draft
    from pos_engine.wire.message import Message

ORIGINAL_SALE: Final = "0200"
UNKNOWN_TIME: Final = "0" * 10
UNKNOWN_INSTITUTIONS: Final = "0" * 22
"""Acquirer and forwarding institution of field 90: a terminal knows neither."""


def compose(draft: Draft) -> dict[int, str]:
    """Fill the elements of a request, the MAC excepted."""
    fields = compose_private(draft)
    if draft.row.processing_code is None:
        fields[70] = draft.row.network_code
    if draft.original is not None:
        fields[90] = ORIGINAL_SALE + draft.original.stan + UNKNOWN_TIME + UNKNOWN_INSTITUTIONS
    return fields


def compose_reversal(request: Message, reason: str, auth_code: str | None, host_date: str | None) -> Message:
    """Turn a request into its reversal; field 90 names the reversed request itself."""
    made = reverse_private(request, reason, auth_code, host_date)
    return made.replace({90: request.mti + request[11] + UNKNOWN_TIME + UNKNOWN_INSTITUTIONS})
