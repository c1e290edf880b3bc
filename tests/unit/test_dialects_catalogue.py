"""Every message that a terminal composes is one the fast codec knows: what is slow by oversight shows here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Dialect, Draft, Kind, KindRow, OriginalRef
from pos_engine.dialects.registry import DIALECTS
from pos_engine.values import Amount, Card, Identity
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

CARDS = (Card.stripe("6229990000000004D30122010000012300000"), Card.keyed("6229990000000004", "3012"))
ORIGINAL = OriginalRef("000001", "000002", "0101", "000000000001", "123456")


def drafts(row: KindRow) -> Iterator[Draft]:
    for card in CARDS if row.takes_card else (None,):
        for pin_block in (None, bytes(8)) if card is not None else (None,):
            for auth_code in (None, "123456"):
                named = OriginalRef("000001", "000002", "0101", "000000000001", auth_code)
                yield Draft(
                    row,
                    Identity("T0000001", "M00000000000001"),
                    "000003",
                    "000001",
                    Amount.cny("1.00") if row.financial else None,
                    card,
                    pin_block,
                    named if row.kind in {Kind.VOID, Kind.REFUND} else None,
                    report="011" if row.kind is Kind.STATUS else "",
                )


def composed(dialect: Dialect) -> Iterator[Message]:
    for row in dialect.kinds.values():
        if row.kind is Kind.REVERSAL:
            continue
        for draft in drafts(row):
            request = Message(row.mti, dialect.compose(draft))
            yield request
            if row.kind in {Kind.SALE, Kind.VOID}:
                yield dialect.compose_reversal(request, "98", None, None)
                yield dialect.compose_reversal(request, "A0", "123456", "0101")


@pytest.mark.parametrize("name", list(DIALECTS))
def test_every_composed_message_is_in_the_catalogue(name: str) -> None:
    dialect = DIALECTS[name]
    assert dialect.mac is not None
    unknown = []
    for message in composed(dialect):
        row = dialect.kind_of(message)
        numbers = frozenset(message) | ({dialect.mac.field} if row is not None and row.mac else set())
        if numbers not in dialect.spec.catalogue:
            unknown.append((message.mti, sorted(numbers)))
    assert unknown == []
