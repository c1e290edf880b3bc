"""Requests of the UnionPay dialect, element by element, and the reversal made from a request.

Field 60 of a financial request is: type code, batch, 000, reading ability, last chip condition, partial approval;
field 61 names the original; field 53 says how the PIN was blocked and enciphered. Tracks leave in clear unless a
track key is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61

if TYPE_CHECKING:
    from pos_engine.dialects.base import Draft, OriginalRef
    from pos_engine.values import Card
    from pos_engine.wire.message import Message

PIN_CAPTURE: Final = "12"
"""Field 26: the longest PIN the terminal takes."""
PIN_WITH_PAN_3DES: Final = "2600000000000000"
"""Field 53 with a PIN: format with card number, double-length 3DES, tracks in clear."""
NO_PIN_3DES: Final = "0600000000000000"
"""Field 53 with tracks and no PIN."""
READS_CHIP: Final = "5"
"""Field 60.4: the terminal has a contact chip reader."""
REVERSAL_LACKS: Final = (26, 35, 36, 37, 52, 53, 62, 64)
"""A reversal is its request without PIN, tracks, RRN and MAC: none of them may be kept for it."""
WITH_DATE: Final = 16
"""Digits of field 61 that include the original's date."""


def compose(draft: Draft) -> dict[int, str]:
    """Fill the elements of a request, the MAC excepted."""
    fields = {11: draft.stan, 41: draft.identity.terminal, 42: draft.identity.merchant}
    if draft.row.kind is Kind.SIGN_ON:
        fields[60] = FIELD_60.join((draft.row.message_type, draft.batch, draft.row.network_code))
        fields[63] = draft.operator.ljust(3)
        return fields
    fields |= _money(draft)
    if draft.card is not None:
        fields |= _card(draft.card, draft.pin_block)
    if draft.original is not None:
        fields |= _original(draft.original)
    if draft.row.kind is Kind.REFUND:
        # The card company is unknown to a terminal that refunds, and 000 says so.
        fields[63] = "000"
    return fields


def _money(draft: Draft) -> dict[int, str]:
    if draft.amount is None or draft.row.processing_code is None or draft.row.condition is None:
        reason = "a financial request needs an amount, a processing code and a condition"
        raise AssertionError(reason)
    tail = (READS_CHIP, "0", "0")
    return {
        3: draft.row.processing_code,
        4: draft.amount.digits,
        25: draft.row.condition,
        49: draft.amount.currency.numeric,
        60: FIELD_60.join((draft.row.message_type, draft.batch, draft.row.network_code, *tail)),
    }


def _card(card: Card, pin_block: bytes | None) -> dict[int, str]:
    fields = {22: card.entry + ("2" if pin_block is None else "1")}
    if card.track2 is not None:
        fields[35] = card.track2.reveal()
        fields[53] = NO_PIN_3DES
    else:
        fields[2] = card.pan.reveal()
        if card.expiry is not None:
            fields[14] = card.expiry
    if pin_block is not None:
        fields |= {26: PIN_CAPTURE, 52: pin_block.hex().upper(), 53: PIN_WITH_PAN_3DES}
    return fields


def _original(original: OriginalRef) -> dict[int, str]:
    fields = {37: original.rrn, 61: FIELD_61.join((original.batch, original.stan, original.date))}
    if original.auth_code is not None:
        fields[38] = original.auth_code
    return fields


def compose_reversal(request: Message, reason: str, auth_code: str | None, host_date: str | None) -> Message:
    """Turn a request into its reversal: same STAN, same batch, the reason in field 39, the authorisation code if known.

    A field 61 in it names the reversed request itself, not the transaction that request acted on.
    """
    fields = {39: reason}
    if auth_code is not None:
        fields[38] = auth_code
    named = request.get(61)
    if named is not None:
        itself = (FIELD_60.get(request[60], "60.2") or "", request[11])
        dated = len(named) >= WITH_DATE
        fields[61] = FIELD_61.join((*itself, host_date or "0000") if dated else itself)
    return request.without(*REVERSAL_LACKS).replace(fields, mti="0400")
