from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine.dialects.unionpay.private import read_amounts
from simulators.acquirer import What
from simulators.cards import CARDS
from simulators.ledger import Key, Standing
from tests.support.host_client import TID, Bench, HostClient

if TYPE_CHECKING:
    from pos_engine.dialects.base import OriginalRef, Packet
    from pos_engine.wire.message import Message

OTHER_TID = "T0000002"
GIFT = CARDS["gift"]


def sold(client: HostClient, amount_minor: int = 1_000, **how: Any) -> tuple[Message, OriginalRef]:  # noqa: ANN401 - passed on
    """Sell something and name it."""
    sale = client.sale(amount_minor, **how)
    answer = client.send(sale)
    assert answer is not None
    assert answer[39] in {"00", "10"}
    return sale, client.original(sale, answer)


def answered(client: HostClient, request: Message) -> Packet:
    packet = client.send_bytes(client.payload(request))
    assert packet is not None
    return packet


# Void.


@pytest.mark.parametrize("card", [CARDS["everyday"], None])
def test_a_void_takes_the_whole_sale_back_and_is_answered_in_full(card: Any) -> None:  # noqa: ANN401 - a card or none
    bench = Bench()
    client = bench.signed_on()
    sale, original = sold(client)
    void = client.void(1_000, original, card)
    assert len(void[61]) == 12
    packet = answered(client, void)
    assert client.proves(packet)
    expected = {2, 3, 4, 11, 12, 13, 14, 15, 25, 32, 37, 38, 39, 41, 42, 44, 49, 53, 60, 63, 64}
    assert set(packet.message) == expected - ({53} if card is None else set())
    assert packet.message[39] == "00"
    assert bench.charged() == 0
    ledger = bench.acquirer.ledger
    assert (ledger.effects_of(*Key(TID, "000001", sale[11])), ledger.effects_of(*Key(TID, "000001", void[11]))) == (
        1_000,
        -1_000,
    )
    assert ledger.voided_by(Key(TID, "000001", sale[11])) == Key(TID, "000001", void[11])
    assert bench.replies[-1].event.effect_minor == -1_000


def test_a_sale_is_voided_once_and_a_void_is_not_voided() -> None:
    bench = Bench()
    client = bench.signed_on()
    _, original = sold(client)
    void = client.void(1_000, original)
    answer = client.send(void)
    assert answer is not None
    assert client.ask(void) == "94"
    assert client.ask(client.void(1_000, original)) == "12"
    assert client.ask(client.void(1_000, client.original(void, answer))) == "25"
    assert bench.charged() == 0


def test_the_reversal_of_a_void_lets_the_sale_stand_again() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale, original = sold(client)
    void = client.void(1_000, original)
    assert client.ask(void) == "00"
    assert client.ask(client.reversal(sale)) == "12"
    assert [client.ask(client.reversal(void)) for _ in range(2)] == ["00", "00"]
    assert bench.charged() == 1_000
    assert client.ask(client.void(1_000, original)) == "00"
    assert bench.charged() == 0


def test_the_reversal_of_a_void_is_honoured_though_the_card_has_spent_the_money() -> None:
    bench = Bench()
    client = bench.signed_on()
    poor = CARDS["poor"]
    _, original = sold(client, 100, card=poor)
    void = client.void(100, original, poor)
    assert client.ask(void) == "00"
    sold(client, 60, card=poor)
    assert client.ask(client.reversal(void)) == "00"
    assert bench.charged("poor") == 160
    answer = answered(client, client.balance(poor)).message
    assert read_amounts(answer[54])[0].sign == "D"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "00"),
        ({37: "000000000000"}, "00"),
        ({61: "0000010000020101"}, "00"),
        ({37: "999999999999"}, "25"),
        ({61: "000001000999"}, "25"),
        ({61: "000002000002"}, "25"),
        ({61: "0000010000020203"}, "25"),
        ({4: "000000000999"}, "64"),
        ({4: "000000001001"}, "64"),
        ({4: "000000000000"}, "13"),
        ({49: "840"}, "12"),
        ({35: "6229990000000020D49122010000000000000"}, "25"),
        ({35: "6229990000000087D49122010000000000000"}, "14"),
        ({2: "6229990000000020"}, "30"),
    ],
)
def test_a_void_must_name_its_sale_rightly(changes: dict[int, str], code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    _, original = sold(client)
    assert client.ask(client.void(1_000, original).replace(changes)) == code
    assert bench.charged() == (0 if code == "00" else 1_000)


def test_another_terminal_does_not_void_the_sale_even_if_it_knows_the_reference() -> None:
    bench = Bench()
    client, other = bench.signed_on(), bench.signed_on(OTHER_TID)
    _, original = sold(client)
    assert other.ask(other.void(1_000, original)) == "12"
    assert other.ask(other.void(1_000, dataclasses.replace(original, rrn="000000000000"))) == "25"
    assert bench.charged() == 1_000


def test_a_sale_of_a_closed_batch_is_not_voided() -> None:
    bench = Bench()
    client = bench.signed_on()
    _, original = sold(client)
    bench.acquirer.ledger.close_batch(TID)
    assert client.ask(client.void(1_000, original)) == "77"
    client.sign_on()
    assert client.batch == "000002"
    assert client.ask(client.void(1_000, original)) == "12"
    assert client.ask(client.refund(1_000, original)) == "00"


def test_what_does_not_stand_whole_is_not_voided_and_what_is_voided_is_not_refunded() -> None:
    bench = Bench()
    client = bench.signed_on()
    _, refunded = sold(client)
    assert client.ask(client.refund(1, refunded)) == "00"
    assert client.ask(client.void(1_000, refunded)) == "12"
    reversed_sale, gone = sold(client)
    assert client.ask(client.reversal(reversed_sale)) == "00"
    assert client.ask(client.void(1_000, gone)) == "25"
    declined = client.sale(1_000, pin="111111")
    answer = client.send(declined)
    assert answer is not None
    assert client.ask(client.void(1_000, client.original(declined, answer))) == "25"
    _, voided = sold(client)
    assert client.ask(client.void(1_000, voided)) == "00"
    assert client.ask(client.refund(1, voided)) == "25"
    assert bench.charged() == 999


# Balance.


@pytest.mark.parametrize(
    ("name", "pin", "code", "amount"),
    [
        ("everyday", "123456", "00", 10_000_000),
        ("no-pin", None, "00", 100_000),
        ("everyday", None, "55", None),
        ("everyday", "111111", "55", None),
        ("lost", "123456", "41", None),
        ("expired", "123456", "54", None),
    ],
)
def test_a_balance_is_told_to_whom_the_card_belongs(name: str, pin: str | None, code: str, amount: int | None) -> None:
    bench = Bench()
    client = bench.signed_on()
    request = client.balance(CARDS[name], pin=pin)
    assert 4 not in request
    packet = answered(client, request)
    assert packet.message[39] == code
    assert bench.acquirer.ledger.transactions == ()
    if amount is None:
        assert 54 not in packet.message
        assert 64 not in packet.message
        return
    assert client.proves(packet)
    assert set(packet.message) == {2, 3, 11, 12, 13, 14, 25, 32, 37, 39, 41, 42, 44, 49, 53, 54, 60, 64}
    assert packet.message[54] == f"1002156C{amount:012d}"
    event = bench.replies[-1].event
    assert (event.what, event.amount_minor, event.effect_minor) == (What.APPROVED, None, 0)


def test_the_balance_leaves_out_what_is_held() -> None:
    bench = Bench()
    client = bench.signed_on()
    bench.acquirer.ledger.place_hold(Key(TID, "000001", "000900"), "no-pin", client.identity.merchant, 40_000)
    answer = answered(client, client.balance(CARDS["no-pin"], pin=None)).message
    assert answer[54] == "1002156C000000060000"
    assert client.ask(client.sale(60_001, CARDS["no-pin"], pin=None)) == "51"
    assert client.ask(client.sale(60_000, CARDS["no-pin"], pin=None)) == "00"


def test_an_inquiry_that_is_no_inquiry_is_declined() -> None:
    client = Bench().signed_on()
    assert client.ask(client.balance().without(35)) == "30"
    assert client.ask(client.balance().replace({49: "840"})) == "12"
    sale, _ = sold(client)
    assert client.ask(client.balance(stan=sale[11])) == "94"


# Approved in part.


@pytest.mark.parametrize(
    ("name", "amount", "partial", "code", "approved"),
    [
        ("gift", 1_500, True, "10", 1_000),
        ("gift", 1_500, False, "51", 0),
        ("gift", 1_000, True, "00", 1_000),
        ("gift", 900, True, "00", 900),
        ("no-pin", 100_001, True, "51", 0),
        ("no-pin", 1_910, True, "10", 955),
        ("no-pin", 1_910, False, "00", 1_910),
        ("gift", 2_910, True, "10", 1_000),
    ],
)
def test_a_part_is_approved_only_when_the_terminal_takes_it(
    name: str,
    amount: int,
    partial: bool,  # noqa: FBT001 - a parameter of the test
    code: str,
    approved: int,
) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(amount, CARDS[name], pin=None, partial=partial)
    packet = answered(client, sale)
    assert packet.message[39] == code
    assert bench.charged(name) == approved
    assert packet.message[4] == (f"{approved:012d}" if approved else sale[4])
    booked = bench.acquirer.ledger.transactions[-1]
    assert (booked.code, booked.asked_minor) == (code, amount)
    if code == "10":
        assert client.proves(packet)
        assert {2, 38, 44, 63} <= set(packet.message)
        assert (booked.amount_minor, booked.standing) == (approved, Standing.APPROVED)
        event = bench.replies[-1].event
        assert (event.amount_minor, event.effect_minor, event.note) == (amount, approved, "approved in part")


def test_an_empty_card_pays_no_part() -> None:
    client = Bench().signed_on()
    sold(client, 1_000, card=GIFT, pin=None)
    assert client.ask(client.sale(1, GIFT, pin=None, partial=True)) == "51"


def test_the_reversal_of_a_part_names_the_whole_and_takes_back_the_part() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale, _ = sold(client, 1_500, card=GIFT, pin=None, partial=True)
    assert client.ask(client.reversal(sale).replace({4: "000000001000"})) == "64"
    assert client.ask(client.reversal(sale)) == "00"
    assert bench.charged("gift") == 0


def test_the_void_of_a_part_names_the_part_and_refunds_stop_there_too() -> None:
    bench = Bench()
    client = bench.signed_on()
    _, original = sold(client, 1_500, card=GIFT, pin=None, partial=True)
    assert client.ask(client.refund(1_001, original, GIFT)) == "64"
    assert client.ask(client.void(1_500, original, GIFT)) == "64"
    assert client.ask(client.void(1_000, original, GIFT)) == "00"
    assert bench.charged("gift") == 0
