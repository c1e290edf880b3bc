"""The elements of an answer: what is echoed, what the host adds to every answer, and what only an approval carries.

    every answer      3 4 11 25 41 42 49 53 60 as far as the request has them, and 12 13 32 37 39
    approved sale     also 2 14 15 38 44 63; field 4 is what was approved
    approved void     also 2 14 15 38 44 63
    approved refund   also 2 14 15 44 63
    balance           also 2 14 44 54
    reversal done     also 2 14 15 44
    echo, report      without 32 and 37, as they have no trace number; a report comes back in 62

The host's clock is China Standard Time, whatever zone the machine is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.wire.message import Message
from simulators.acquirer.codes import Code
from simulators.acquirer.events import What
from simulators.scenario import USUAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pos_engine.crypto.des import BlockCipher
    from pos_engine.dialects.base import KindRow
    from simulators.cards import SimulatedCard
    from simulators.scenario import Ruling

HOST_ZONE: Final = timezone(timedelta(hours=8), "CST")
ACQUIRER_ID: Final = "00000001"
"""Field 32: an institution that does not exist."""
ISSUER_ID: Final = "00000002"
INSTITUTION_WIDTH: Final = 11
"""Field 44 is the issuer's id and the acquirer's, each filled up with blanks."""
CARD_COMPANY: Final = "CUP"
ECHOED: Final = (3, 4, 11, 25, 41, 42, 49, 53, 60)
CARRIED: Final[Mapping[Kind, frozenset[int]]] = {
    Kind.SALE: frozenset({2, 14, 15, 38, 44, 63}),
    Kind.VOID: frozenset({2, 14, 15, 38, 44, 63}),
    Kind.REFUND: frozenset({2, 14, 15, 44, 63}),
    Kind.BALANCE: frozenset({2, 14, 44}),
    Kind.REVERSAL: frozenset({2, 14, 15, 44}),
}
"""What an approval carries of card and institutions, by kind."""
APPROVALS: Final = frozenset({Code.APPROVED, Code.APPROVED_IN_PART})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the host decided about a request: field 39, and everything the answer and the event need to say about it."""

    code: str
    what: What
    note: str = ""
    rrn: str = ""
    auth_code: str = ""
    card: SimulatedCard | None = None
    effect_minor: int = 0
    sealed_with: BlockCipher | None = None
    """The key of the answer's MAC: approvals and all answers to reversals have one, other refusals none."""
    ruling: Ruling = USUAL
    """What the scenario says about it."""
    extra: Mapping[int, str] | None = None
    """Elements that only this answer has, such as the working keys."""


def refuse(code: Code, note: str) -> Decision:
    """Decide against a request before its content was looked at."""
    return Decision(code=code, what=What.REFUSED, note=note)


def answer(request: Message, mti: str, row: KindRow | None, decision: Decision, at: datetime) -> Message:
    """Put the elements of an answer together, the MAC excepted; `at` is the host's time."""
    fields = {number: request[number] for number in ECHOED if number in request}
    fields |= {12: at.strftime("%H%M%S"), 13: at.strftime("%m%d"), 39: decision.code}
    if row is None or row.numbered:
        fields[32] = ACQUIRER_ID
    if decision.rrn:
        fields[37] = decision.rrn
    if decision.code in APPROVALS and decision.card is not None and row is not None:
        fields |= _of_approval(decision, decision.card, row.kind, at)
    return Message(mti, fields | dict(decision.extra or {}))


def _of_approval(decision: Decision, card: SimulatedCard, kind: Kind, at: datetime) -> dict[int, str]:
    fields = {
        2: card.pan.reveal(),
        14: card.expiry,
        15: at.strftime("%m%d"),
        38: decision.auth_code,
        44: ISSUER_ID.ljust(INSTITUTION_WIDTH) + ACQUIRER_ID.ljust(INSTITUTION_WIDTH),
        63: CARD_COMPANY,
    }
    return {number: value for number, value in fields.items() if number in CARRIED[kind] and value}
