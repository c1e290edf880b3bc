"""Every kind against everything that may become of it: approved, declined, silent, a wrong MAC, the same key again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.dialects.base import Kind, OnSilence
from pos_engine.flow.checks import Order, Page
from pos_engine.flow.effects import MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, outcome_of
from pos_engine.flow.plan import owed
from pos_engine.values import Amount
from tests.support.exchange import PROFILE, Reply, Script, answer, approve, sale, signed_on, silence

ROWS = PROFILE.dialect.kinds
KINDS = [kind for kind in PROFILE.dialect.kinds if kind is not Kind.REVERSAL]
MONEY = [kind for kind in KINDS if ROWS[kind].financial]
WITH_MAC = [kind for kind in KINDS if ROWS[kind].mac]
BALANCE = {54: "1002156C000000012345"}
PAGES = {Kind.PARAMETERS: b"131".hex()} | dict.fromkeys(
    (Kind.CA_KEY_LIST, Kind.CA_KEY, Kind.AID_LIST, Kind.AID, Kind.BLACKLIST), b"0".hex()
)
PARTS = PROFILE.dialect.page_kinds


def approval(kind: Kind) -> Reply:
    """Answer 00 with what an approval of the kind must have."""
    if kind is Kind.SIGN_ON:
        return signed_on()
    extra = BALANCE if kind is Kind.BALANCE else {62: PAGES[kind]} if kind in PAGES else None
    return approve(extra, MacState.VALID if ROWS[kind].mac else MacState.ABSENT)


def prepared(kind: Kind, *replies: Reply) -> tuple[Script, Order]:
    """Sign on and make a sale; then order the kind, which is answered as the script goes on."""
    script = Script(signed_on(), approve(), *replies)
    record = script.run(sale("10.00")).record
    assert record is not None
    sold = outcome_of(record, PROFILE.dialect)
    assert isinstance(sold, Approved)
    amount = Amount.cny("10.00") if kind in {Kind.SALE, Kind.REFUND} else None
    original = sold.reference if kind in {Kind.VOID, Kind.REFUND} else None
    report = "011" if kind is Kind.STATUS else ""
    page = Page(0, "313030" if 62 in ROWS[kind].needed else "") if kind in PARTS else None
    return script, Order(kind=kind, amount=amount, original=original, report=report, page=page)


def outcome(script: Script, order: Order) -> Approved | Declined | InDoubt | None:
    record = script.run(order).record
    assert record is not None
    return outcome_of(record, PROFILE.dialect)


def duties(script: Script) -> list[Kind | None]:
    found = owed(script.journal, PROFILE, script.clock.now())
    return [duty.record.kind if duty.record is not None else None for duty in found]


@pytest.mark.parametrize("kind", KINDS)
def test_approved(kind: Kind) -> None:
    script, order = prepared(kind, approval(kind))
    assert isinstance(outcome(script, order), Approved)
    assert duties(script) == []


@pytest.mark.parametrize("code", ["05", "51", "91"])
@pytest.mark.parametrize("kind", KINDS)
def test_declined(kind: Kind, code: str) -> None:
    script, order = prepared(kind, answer(code, mac=MacState.ABSENT))
    result = outcome(script, order)
    assert isinstance(result, Declined)
    assert result.code.code == code
    assert duties(script) == []


@pytest.mark.parametrize("kind", KINDS)
def test_silence_owes_what_the_kind_says(kind: Kind) -> None:
    script, order = prepared(kind, silence)
    assert isinstance(outcome(script, order), InDoubt)
    assert duties(script) == ([] if ROWS[kind].on_silence is OnSilence.FORGET else [kind])


@pytest.mark.parametrize("mac", [MacState.WRONG, MacState.ABSENT])
@pytest.mark.parametrize("kind", WITH_MAC)
def test_an_approval_nobody_can_trust_is_none(kind: Kind, mac: MacState) -> None:
    script, order = prepared(kind, approve(BALANCE if kind is Kind.BALANCE else None, mac))
    assert isinstance(outcome(script, order), InDoubt)
    assert duties(script) == ([kind] if ROWS[kind].financial else [])


@pytest.mark.parametrize("kind", MONEY)
def test_the_same_key_again_sends_nothing(kind: Kind) -> None:
    script, order = prepared(kind, approval(kind))
    order = replace(order, key="order 17")
    first, sent = outcome(script, order), len(script.sent)
    assert outcome(script, order) == first
    assert len(script.sent) == sent
