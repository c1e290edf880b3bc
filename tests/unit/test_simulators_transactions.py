from __future__ import annotations

import dataclasses

import pytest

from pos_engine.crypto import des, pinblock
from pos_engine.dialects.base import Kind, Verdict
from pos_engine.dialects.unionpay import UNIONPAY
from simulators.acquirer import What
from simulators.cards import CARDS
from tests.support.host_client import EVERYDAY, TID, Bench

OTHER_TID = "T0000002"
OTHER_MID = "M00000000000002"


# Sale.


@pytest.mark.parametrize("keyed", [False, True])
def test_a_sale_is_booked_and_answered_in_full(keyed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    bench = Bench()
    client = bench.signed_on()
    request = client.sale(1_234, keyed=keyed)
    packet = client.send_bytes(client.payload(request))
    assert packet is not None
    answer = packet.message
    assert set(answer) == {2, 3, 4, 11, 12, 13, 14, 15, 25, 32, 37, 38, 39, 41, 42, 44, 49, 53, 60, 63, 64}
    assert answer.mti == "0210"
    assert {number: answer[number] for number in (3, 4, 11, 41, 42, 49, 60)} == {
        number: request[number] for number in (3, 4, 11, 41, 42, 49, 60)
    }
    assert (answer[39], answer[2], answer[14]) == ("00", EVERYDAY.pan.reveal(), EVERYDAY.expiry)
    assert client.proves(packet)
    assert bench.charged() == 1_234
    assert bench.acquirer.ledger.effects_of(TID, "000001", request[11]) == 1_234
    event = bench.replies[-1].event
    assert (event.what, event.effect_minor, event.card, event.rrn) == (
        What.APPROVED,
        1_234,
        "622999******0012",
        answer[37],
    )


@pytest.mark.parametrize("kind", UNIONPAY.kinds)
def test_an_approval_has_every_element_that_the_dialect_demands_of_it(kind: Kind) -> None:
    client = Bench().client()
    sign_on = client.sign_on()
    sale, voided = client.sale(1_000), client.sale(2_000)
    sold, again = client.send(sale), client.send(voided)
    assert sold is not None
    assert again is not None
    answers = {
        Kind.SIGN_ON: sign_on,
        Kind.ECHO: client.send(client.echo(), sealed=False),
        Kind.STATUS: client.send(client.status(), sealed=False),
        Kind.BALANCE: client.send(client.balance()),
        Kind.SALE: sold,
        Kind.VOID: client.send(client.void(2_000, client.original(voided, again))),
        Kind.REFUND: client.send(client.refund(1, client.original(sale, sold))),
        Kind.REVERSAL: client.send(client.reversal(client.sale(5))),
        **{each: client.send(request, sealed=False) for each, request in client.pages().items()},
        Kind.SIGN_OFF: client.send(client.sign_off(), sealed=False),
    }
    answer = answers[kind]
    assert answer is not None
    assert UNIONPAY.kinds[kind].answered_with <= set(answer)
    assert answer.mti == UNIONPAY.kinds[kind].answer_mti


@pytest.mark.parametrize(
    ("name", "amount", "pin", "code"),
    [
        ("everyday", 10_000_001, "123456", "51"),
        ("everyday", 10_000_000, "123456", "00"),
        ("poor", 101, "123456", "51"),
        ("lost", 1_000, "123456", "41"),
        ("expired", 1_000, "123456", "54"),
        ("no-pin", 1_000, None, "00"),
        ("no-pin", 1_000, "123456", "00"),
        ("long", 1_000, "888888", "00"),
        ("everyday", 0, "123456", "13"),
        ("everyday", 1_000, None, "55"),
        ("everyday", 1_000, "1234", "55"),
    ],
)
def test_the_issuer_decides(name: str, amount: int, pin: str | None, code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    request = client.sale(amount, CARDS[name], pin=pin)
    assert client.ask(request) == code
    assert bench.charged(name) == (amount if code == "00" else 0)
    booked = bench.acquirer.ledger.transactions[-1]
    assert (booked.code, booked.card, booked.amount_minor) == (code, name, amount)


def test_a_decline_echoes_carries_no_mac_and_books_nothing() -> None:
    bench = Bench()
    client = bench.signed_on()
    answer = client.send(client.sale(0))
    assert answer is not None
    assert set(answer) == {3, 4, 11, 12, 13, 25, 32, 37, 39, 41, 42, 49, 53, 60}
    assert UNIONPAY.meaning(answer[39]).verdict is Verdict.DECLINE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({35: "6229990000000087D49122010000000000000"}, "14"),
        ({35: "62D49122010000000000000"}, "14"),
        ({35: "D"}, "14"),
        ({2: "6229990000000020"}, "30"),
        ({2: "12"}, "14"),
        ({49: "840"}, "12"),
        ({14: "3012"}, "54"),
        ({14: "4912"}, "00"),
        ({52: "0123456789ABCDEF"}, "99"),
    ],
)
def test_a_sale_with_something_wrong_in_it_is_declined(changes: dict[int, str], code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    assert client.ask(client.sale(1_000).replace(changes)) == code
    assert bench.charged() == (1_000 if code == "00" else 0)


def test_a_sale_without_any_card_is_a_format_error() -> None:
    client = Bench().signed_on()
    assert client.ask(client.sale(1_000).without(35)) == "30"


def test_a_pin_block_without_card_number_is_read_as_field_53_says() -> None:
    bench = Bench()
    client = bench.signed_on()
    assert client.pin_key is not None
    block = des.encrypt_ecb(client.pin_key, pinblock.format0_zero_pan("123456")).hex().upper()
    assert client.ask(client.sale(1_000).replace({52: block, 53: "1600000000000000"})) == "00"


def test_three_wrong_pins_block_the_card_and_a_right_one_before_that_starts_anew() -> None:
    bench = Bench()
    client = bench.signed_on()
    tries = ["111111", "111111", "123456", "111111", "111111", "111111", "123456", "111111"]
    codes = [client.ask(client.sale(1_000, pin=pin)) for pin in tries]
    assert codes == ["55", "55", "00", "55", "55", "38", "75", "75"]
    assert bench.charged() == 1_000


def test_neither_a_missing_nor_an_unreadable_pin_is_a_try() -> None:
    client = Bench().signed_on()
    for _ in range(4):
        assert client.ask(client.sale(1_000, pin=None)) == "55"
        assert client.ask(client.sale(1_000).replace({52: "0123456789ABCDEF"})) == "99"
    assert client.ask(client.sale(1_000)) == "00"


@pytest.mark.parametrize("amount", [1_000, 2_000, 0])
def test_a_stan_is_decided_once_whatever_comes_under_it_later(amount: int) -> None:
    bench = Bench()
    client = bench.signed_on()
    assert client.ask(client.sale(1_000, stan="000077")) == "00"
    assert client.ask(client.sale(amount, stan="000077")) == "94"
    assert bench.charged() == 1_000
    assert len(bench.acquirer.ledger.transactions) == 1


def test_a_declined_stan_is_not_decided_again_either() -> None:
    bench = Bench()
    client = bench.signed_on()
    assert client.ask(client.sale(1_000, pin="111111", stan="000077")) == "55"
    assert client.ask(client.sale(1_000, stan="000077")) == "94"
    assert bench.charged() == 0


# Refund.


def test_refunds_give_back_up_to_the_sale_and_not_more() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    original = client.original(sale, answer)
    refund = client.refund(600, original)
    packet = client.send_bytes(client.payload(refund))
    assert packet is not None
    assert client.proves(packet)
    assert set(packet.message) == {2, 3, 4, 11, 12, 13, 14, 15, 25, 32, 37, 39, 41, 42, 44, 49, 53, 60, 63, 64}
    assert client.ask(refund) == "94"
    assert client.ask(client.refund(401, original)) == "64"
    assert client.ask(client.refund(400, original)) == "00"
    assert client.ask(client.refund(1, original)) == "64"
    assert bench.charged() == 0
    assert bench.acquirer.ledger.effects_of(TID, "000001", refund[11]) == -600


def test_a_sale_is_refunded_on_another_terminal_of_the_merchant_by_its_reference() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    other = bench.signed_on(OTHER_TID)
    foreign = bench.signed_on("T0000003", OTHER_MID)
    original = client.original(sale, answer)
    assert foreign.ask(foreign.refund(1_000, original)) == "25"
    assert other.ask(other.refund(1_000, dataclasses.replace(original, rrn="000000000000"))) == "25"
    assert other.ask(other.refund(1_000, original)) == "00"
    assert bench.charged() == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "00"),
        ({"rrn": "000000000000"}, "00"),
        ({"date": "0000"}, "00"),
        ({"date": "0203"}, "25"),
        ({"stan": "000999"}, "25"),
        ({"batch": "000002"}, "25"),
        ({"rrn": "999999999999"}, "25"),
    ],
)
def test_a_refund_must_name_its_sale_rightly(changes: dict[str, str], code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    original = dataclasses.replace(client.original(sale, answer), **changes)
    assert client.ask(client.refund(1_000, original)) == code


def test_what_is_no_standing_sale_of_the_card_is_not_refunded() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    original = client.original(sale, answer)
    assert client.ask(client.refund(1_000, original, CARDS["poor"])) == "25"
    assert client.ask(client.refund(0, original)) == "13"
    refund = client.refund(1, original)
    refunded = client.send(refund)
    assert refunded is not None
    assert client.ask(client.refund(1, client.original(refund, refunded))) == "25"
    declined = client.sale(1_000, pin="111111")
    refusal = client.send(declined)
    assert refusal is not None
    assert client.ask(client.refund(1_000, client.original(declined, refusal))) == "25"
    reversed_sale = client.sale(500)
    sold = client.send(reversed_sale)
    assert sold is not None
    assert client.ask(client.reversal(reversed_sale)) == "00"
    assert client.ask(client.refund(500, client.original(reversed_sale, sold))) == "25"
    assert bench.charged() == 999


# Reversal.


def test_a_reversal_has_one_effect_however_often_it_comes() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    packets = [client.send_bytes(client.payload(client.reversal(sale))) for _ in range(3)]
    for packet in packets:
        assert packet is not None
        assert client.proves(packet)
        assert set(packet.message) == {2, 3, 4, 11, 12, 13, 14, 15, 25, 32, 37, 39, 41, 42, 44, 49, 60, 64}
        assert (packet.message[39], packet.message[37]) == ("00", answer[37])
    assert bench.charged() == 0
    assert [reply.event.what for reply in bench.replies[-3:]] == [
        What.REVERSED,
        What.REVERSED_BEFORE,
        What.REVERSED_BEFORE,
    ]
    assert [reply.event.effect_minor for reply in bench.replies[-3:]] == [-1_000, 0, 0]
    assert client.ask(sale) == "94"
    assert bench.charged() == 0


def test_a_reversal_may_come_before_its_original_and_the_original_is_then_declined() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(client.reversal(sale)) == "25"
    assert client.ask(client.reversal(sale)) == "25"
    assert bench.replies[-1].event.what is What.REVERSED_UNSEEN
    assert client.ask(sale) == "12"
    assert client.ask(sale) == "94"
    assert client.ask(client.reversal(sale)) == "25"
    assert bench.charged() == 0


def test_a_naive_host_books_the_original_that_its_reversal_overtook() -> None:
    bench = Bench(remembers=False)
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(client.reversal(sale)) == "25"
    assert client.ask(sale) == "00"
    assert bench.charged() == 1_000


def test_answers_to_reversals_are_signed_also_when_there_was_nothing_to_reverse() -> None:
    client = Bench().signed_on()
    packet = client.send_bytes(client.payload(client.reversal(client.sale(1_000))))
    assert packet is not None
    assert packet.message[39] == "25"
    assert client.proves(packet)


def test_a_declined_original_leaves_nothing_to_reverse() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000, pin="111111")
    assert client.ask(sale) == "55"
    assert client.ask(client.reversal(sale)) == "25"
    assert bench.charged() == 0


def test_nobody_reverses_another_terminals_sale() -> None:
    bench = Bench()
    client, other = bench.signed_on(), bench.signed_on(OTHER_TID)
    sale = client.sale(1_000)
    assert client.ask(sale) == "00"
    # Under its own name it has no such sale; under the other's name it has not the key.
    assert other.ask(other.reversal(sale).replace({41: OTHER_TID})) == "25"
    refused = other.send(other.reversal(sale))
    assert refused is not None
    assert refused[39] == "A0"
    assert bench.charged() == 1_000


@pytest.mark.parametrize(("changes", "code"), [({4: "000000001001"}, "64"), ({2: "6229990000000020"}, "14")])
def test_a_reversal_that_differs_from_its_original_is_not_accepted(changes: dict[int, str], code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000, keyed=True)
    assert client.ask(sale) == "00"
    assert client.ask(client.reversal(sale).replace(changes)) == code
    assert bench.charged() == 1_000
    assert client.ask(client.reversal(sale)) == "00"
    assert bench.charged() == 0


def test_neither_a_refunded_sale_nor_a_refund_is_reversed() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    refund = client.refund(300, client.original(sale, answer))
    assert client.ask(refund) == "00"
    assert client.ask(client.reversal(sale)) == "12"
    assert client.ask(client.reversal(refund)) == "12"
    assert bench.charged() == 700


def test_a_reversal_in_an_older_batch_is_served() -> None:
    client = Bench().signed_on()
    client.batch = "000999"
    assert client.ask(client.reversal(client.sale(1_000))) == "25"
