"""Requests of the UnionPay dialect, element by element, and the reversal made from a request.

Field 60 of a financial request is: type code, batch, 000, reading ability, last chip condition, partial approval;
field 61 names the original; field 53 says how the PIN was blocked, with which cipher, and whether tracks are
enciphered. That is the key scheme's; with one that enciphers tracks, none leaves in clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61
from pos_engine.dialects.unionpay.private import FIELD_53
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.errors import LocalProtocolError
from pos_engine.values import CNY

if TYPE_CHECKING:
    from pos_engine.dialects.base import Draft, KeyScheme, OriginalRef
    from pos_engine.values import Card, Track2
    from pos_engine.wire.message import Message

PIN_CAPTURE: Final = "12"
"""Field 26: the longest PIN the terminal takes."""
NO_PIN: Final = "0"
"""Field 53.1 of a request with tracks alone."""
PIN_WITH_PAN: Final = "2"
"""Field 53.1: the PIN block is bound to the card number."""
ENCIPHERED: Final = "1"
"""Field 53.3 where tracks are enciphered."""
SECURITY_TAIL: Final = "0" * 13
READS_CHIP: Final = "5"
"""Field 60.4: the terminal has a contact chip reader."""
REVERSAL_LACKS: Final = (26, 35, 36, 37, 52, 53, 62, 64)
"""A reversal is its request without PIN, tracks, RRN and MAC: none of them may be kept for it."""
WITH_DATE: Final = 16
"""Digits of field 61 that include the original's date."""


def compose(draft: Draft, scheme: KeyScheme = SCHEMES[USUAL]) -> dict[int, str]:
    """Fill the elements of a request, the MAC excepted."""
    fields = {41: draft.identity.terminal, 42: draft.identity.merchant}
    if draft.row.numbered:
        fields[11] = draft.stan
    if draft.row.processing_code is None:
        return fields | _management(draft)
    fields |= _transaction(draft)
    if draft.card is not None:
        fields |= _card(draft.card, draft, scheme)
    if draft.original is not None:
        fields |= _original(draft.original, dated=draft.row.kind is not Kind.VOID)
    if draft.row.kind is Kind.REFUND:
        # The card company is unknown to a terminal that refunds, and 000 says so.
        fields[63] = "000"
    return fields


def _management(draft: Draft) -> dict[int, str]:
    fields = {60: FIELD_60.join((draft.row.message_type, draft.batch, draft.row.network_code))}
    if 63 in draft.row.needed:  # noqa: PLR2004 - the operator's field
        fields[63] = draft.operator.ljust(3)
    if draft.report:
        fields[62] = draft.report.encode("latin-1").hex().upper()
    if draft.asks:
        fields[62] = draft.asks
    return fields


def _transaction(draft: Draft) -> dict[int, str]:
    currency = draft.amount.currency if draft.amount is not None else CNY
    # An inquiry has nothing that could be approved in part, so its field 60 ends before that flag.
    tail = (READS_CHIP, "0") if draft.amount is None else (READS_CHIP, "0", "1" if draft.allows_partial else "0")
    fields = {
        3: draft.row.processing_code or "",
        25: draft.row.condition or "",
        49: currency.numeric,
        60: FIELD_60.join((draft.row.message_type, draft.batch, draft.row.network_code, *tail)),
    }
    return fields if draft.amount is None else fields | {4: draft.amount.digits}


def _card(card: Card, draft: Draft, scheme: KeyScheme) -> dict[int, str]:
    pin_block = draft.pin_block
    fields = {22: card.entry + ("2" if pin_block is None else "1")}
    if card.track2 is not None:
        fields[35] = _track(card.track2, draft, scheme)
    else:
        fields[2] = card.pan.reveal()
        if card.expiry is not None:
            fields[14] = card.expiry
    if pin_block is not None:
        fields |= {26: PIN_CAPTURE, 52: pin_block.hex().upper()}
    if card.track2 is not None or pin_block is not None:
        form = NO_PIN if pin_block is None else PIN_WITH_PAN
        enciphered = ENCIPHERED if scheme.enciphers_tracks and card.track2 is not None else "0"
        fields[53] = FIELD_53.join((form, scheme.cipher_digit, enciphered, SECURITY_TAIL))
    return fields


def _track(track: Track2, draft: Draft, scheme: KeyScheme) -> str:
    if not scheme.enciphers_tracks:
        return track.reveal()
    if draft.enciphered_track is None:
        reason = "the key scheme wants tracks enciphered, and this one is not"
        raise LocalProtocolError(reason, field=35)
    return draft.enciphered_track.reveal()


def _original(original: OriginalRef, *, dated: bool) -> dict[int, str]:
    named = (original.batch, original.stan, original.date) if dated else (original.batch, original.stan)
    fields = {37: original.rrn, 61: FIELD_61.join(named)}
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
