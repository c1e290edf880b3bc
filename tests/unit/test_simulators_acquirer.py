from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto.des import BlockCipher
from pos_engine.crypto.keys import check_value
from pos_engine.dialects.base import Kind, Verdict
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import KeyBytes
from pos_engine.wire.message import Message
from simulators.acquirer import Fate, What, enrolment, terminal_master_key
from simulators.acquirer.codes import Code
from simulators.cards import CARDS
from simulators.ledger import FUNDS, card_account, merchant_account
from tests.support.host_client import EVERYDAY, HEADER, MID, TID, TPDU, Bench

if TYPE_CHECKING:
    from tests.support.host_client import HostClient

OTHER_TID = "T0000002"
OTHER_MID = "M00000000000002"


def charged(bench: Bench, name: str = "everyday") -> int:
    """Fen that a card has paid since the beginning."""
    return CARDS[name].balance_minor - bench.acquirer.ledger.balance(card_account(name))


# Sign-on.


def test_a_sign_on_hands_out_keys_that_the_terminal_can_read_and_the_open_batch() -> None:
    bench = Bench()
    client = bench.client()
    answer = client.sign_on()
    assert set(answer) == {11, 12, 13, 32, 37, 39, 41, 42, 60, 62}
    assert (answer.mti, answer[39], answer[60], answer[11]) == ("0810", "00", "00000001003", "000001")
    assert (answer[12], answer[13]) == ("200000", "0101")  # the clock shows noon UTC, the host CST
    keys = bytes.fromhex(answer[62])
    assert len(keys) == 40
    assert keys[28:36] == bytes(8)
    event = bench.replies[-1].event
    assert (event.what, event.terminal, event.effect_minor) == (What.SIGNED_ON, TID, 0)


def test_working_keys_have_odd_parity_and_are_new_each_time() -> None:
    client = Bench().client()
    client.sign_on()
    first = client.pin_key, client.mac_key
    client.sign_on()
    assert client.pin_key is not None
    assert client.mac_key is not None
    assert (client.pin_key, client.mac_key.key) != (first[0], first[1] and first[1].key)
    for key in (client.pin_key.reveal(), client.mac_key.key.reveal()):
        assert all(byte.bit_count() % 2 for byte in key)


def test_parity_changes_the_lowest_bit_only() -> None:
    assert enrolment.odd_parity(bytes(range(256))) == bytes(
        value if value.bit_count() % 2 else value ^ 1 for value in range(256)
    )


def test_a_master_key_belongs_to_one_terminal_and_is_always_the_same() -> None:
    assert terminal_master_key(TID) == terminal_master_key(TID) != terminal_master_key(OTHER_TID)
    assert check_value(terminal_master_key(TID)).hex().upper() == "TMK-CHECK-VALUE"
    with pytest.raises(UsageError, match="8 characters"):
        terminal_master_key("T1")


def test_the_old_mac_key_ends_with_the_new_sign_on() -> None:
    client = Bench().signed_on()
    old = client.mac_key
    client.sign_on()
    client.mac_key = old
    assert client.ask(client.sale(1_000)) == "A0"


def test_a_terminal_belongs_to_the_merchant_of_its_first_sign_on() -> None:
    bench = Bench()
    client = bench.signed_on()
    assert bench.client(TID, OTHER_MID).sign_on()[39] == "03"
    assert client.ask(client.sale(1_000).replace({42: OTHER_MID})) == "03"
    assert client.ask(client.sale(1_000)) == "00"


def test_the_host_enrols_only_so_many_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "TERMINALS_MAX", 1)
    bench = Bench()
    client = bench.signed_on()
    answer = bench.client(OTHER_TID).sign_on()
    assert answer[39] == "97"
    assert 62 not in answer
    assert client.sign_on()[39] == "00"


def test_a_host_that_forgot_the_keys_demands_a_sign_on_and_keeps_the_books() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(sale) == "00"
    bench.acquirer.forget_sessions()
    assert client.ask(client.reversal(sale)) == "77"
    client.sign_on()
    assert client.ask(client.reversal(sale)) == "00"
    assert charged(bench) == 0


# Who asks.


@pytest.mark.parametrize("signed_on", [True, False])
def test_who_has_not_signed_on_is_told_to(signed_on: bool) -> None:  # noqa: FBT001 - a parameter of the test
    bench = Bench()
    client = bench.signed_on()
    stranger = bench.signed_on(OTHER_TID) if signed_on else bench.client(OTHER_TID)
    stranger.mac_key = client.mac_key
    assert stranger.ask(stranger.sale(1_000)) == ("A0" if signed_on else "77")
    assert charged(bench) == 0


@pytest.mark.parametrize("kind", [Kind.SALE, Kind.REFUND, Kind.REVERSAL])
def test_without_the_right_mac_nothing_happens_and_the_refusal_is_not_signed(kind: Kind) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    answer = client.send(sale)
    assert answer is not None
    requests = {
        Kind.SALE: client.sale(1_000),
        Kind.REFUND: client.refund(1_000, client.original(sale, answer)),
        Kind.REVERSAL: client.reversal(sale),
    }
    bare = client.send(requests[kind], sealed=False)
    client.mac_key = BlockCipher(KeyBytes(bytes(8)))
    wrong = client.send(requests[kind])
    for refused, note in ((bare, "missing"), (wrong, "wrong")):
        assert refused is not None
        assert refused[39] == "A0"
        assert 64 not in refused
        assert bench.replies[-2 if note == "missing" else -1].event.note == f"the MAC is {note}"
    assert charged(bench) == 1_000


def test_a_request_in_another_batch_is_told_to_sign_on() -> None:
    bench = Bench()
    client = bench.signed_on()
    client.batch = "000002"
    assert client.ask(client.sale(1_000)) == "77"
    client.sign_on()
    assert client.batch == "000001"


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
    assert charged(bench) == 1_234
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
    sale = client.sale(1_000)
    sold = client.send(sale)
    assert sold is not None
    answers = {
        Kind.SIGN_ON: sign_on,
        Kind.SALE: sold,
        Kind.REFUND: client.send(client.refund(1, client.original(sale, sold))),
        Kind.REVERSAL: client.send(client.reversal(client.sale(5))),
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
    assert charged(bench, name) == (amount if code == "00" else 0)
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
    assert charged(bench) == (1_000 if code == "00" else 0)


def test_a_sale_without_any_card_is_a_format_error() -> None:
    client = Bench().signed_on()
    assert client.ask(client.sale(1_000).without(35)) == "30"


def test_a_pin_block_without_card_number_is_read_as_field_53_says() -> None:
    bench = Bench()
    client = bench.signed_on()
    unbound = dataclasses.replace(EVERYDAY, track2=CARDS["no-pin"].track2)
    assert client.pin_key is not None
    from pos_engine.crypto import des, pinblock

    block = des.encrypt_ecb(client.pin_key, pinblock.format0_zero_pan("123456")).hex().upper()
    assert client.ask(client.sale(1_000).replace({52: block, 53: "1600000000000000"})) == "00"
    assert unbound.pan != EVERYDAY.pan


def test_three_wrong_pins_block_the_card_and_a_right_one_before_that_starts_anew() -> None:
    bench = Bench()
    client = bench.signed_on()
    tries = ["111111", "111111", "123456", "111111", "111111", "111111", "123456", "111111"]
    codes = [client.ask(client.sale(1_000, pin=pin)) for pin in tries]
    assert codes == ["55", "55", "00", "55", "55", "38", "75", "75"]
    assert charged(bench) == 1_000


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
    assert charged(bench) == 1_000
    assert len(bench.acquirer.ledger.transactions) == 1


def test_a_declined_stan_is_not_decided_again_either() -> None:
    bench = Bench()
    client = bench.signed_on()
    assert client.ask(client.sale(1_000, pin="111111", stan="000077")) == "55"
    assert client.ask(client.sale(1_000, stan="000077")) == "94"
    assert charged(bench) == 0


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
    assert charged(bench) == 0
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
    assert charged(bench) == 0


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
    assert charged(bench) == 999


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
    assert charged(bench) == 0
    assert [reply.event.what for reply in bench.replies[-3:]] == [
        What.REVERSED,
        What.REVERSED_BEFORE,
        What.REVERSED_BEFORE,
    ]
    assert [reply.event.effect_minor for reply in bench.replies[-3:]] == [-1_000, 0, 0]
    assert client.ask(sale) == "94"
    assert charged(bench) == 0


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
    assert charged(bench) == 0


def test_a_naive_host_books_the_original_that_its_reversal_overtook() -> None:
    bench = Bench(remembers=False)
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(client.reversal(sale)) == "25"
    assert client.ask(sale) == "00"
    assert charged(bench) == 1_000


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
    assert charged(bench) == 0


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
    assert charged(bench) == 1_000


@pytest.mark.parametrize(("changes", "code"), [({4: "000000001001"}, "64"), ({2: "6229990000000020"}, "14")])
def test_a_reversal_that_differs_from_its_original_is_not_accepted(changes: dict[int, str], code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000, keyed=True)
    assert client.ask(sale) == "00"
    assert client.ask(client.reversal(sale).replace(changes)) == code
    assert charged(bench) == 1_000
    assert client.ask(client.reversal(sale)) == "00"
    assert charged(bench) == 0


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
    assert charged(bench) == 700


def test_a_reversal_in_an_older_batch_is_served() -> None:
    client = Bench().signed_on()
    client.batch = "000999"
    assert client.ask(client.reversal(client.sale(1_000))) == "25"


# The scenario.


@pytest.mark.parametrize(
    ("amount", "code"), [(1_905, "05"), (1_951, "51"), (1_960, "A0"), (1_977, "77"), (1_991, "91")]
)
def test_an_amount_can_ask_for_a_decline(amount: int, code: str) -> None:
    bench = Bench()
    client = bench.signed_on()
    answer = client.send(client.sale(amount))
    assert answer is not None
    assert answer[39] == code
    assert 64 not in answer
    assert charged(bench) == 0
    assert bench.replies[-1].event.trigger == amount % 1000


@pytest.mark.parametrize(
    ("amount", "fate", "effect"),
    [(1_994, Fate.CLOSE, 0), (1_996, Fate.CLOSE, 1_996), (1_997, Fate.SILENT, 1_997)],
)
def test_an_amount_can_ask_for_silence(amount: int, fate: Fate, effect: int) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(amount)
    assert client.send(sale) is None
    assert (bench.replies[-1].fate, bench.replies[-1].event.effect_minor, charged(bench)) == (fate, effect, effect)
    assert client.ask(client.reversal(sale)) == ("00" if effect else "25")
    assert charged(bench) == 0


def test_an_amount_can_ask_for_a_wrong_mac() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_995)
    packet = client.send_bytes(client.payload(sale))
    assert packet is not None
    assert packet.message[39] == "00"
    assert not client.proves(packet)
    assert charged(bench) == 1_995
    assert client.ask(client.reversal(sale, "A0")) == "00"
    assert charged(bench) == 0


def test_no_scenario_is_played_on_a_request_that_is_refused() -> None:
    client = Bench().client()
    client.mac_key = BlockCipher(KeyBytes(bytes(8)))
    assert client.ask(client.sale(1_996)) == "77"


# What is no request.


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message("0200", {3: "310000", 11: "000001", 41: TID}), "40"),
        (Message("0820", {41: TID, 42: MID, 60: "00000001301"}), "40"),
        (Message("1200", {11: "000001"}), "40"),
        (Message("0200", {3: "000000", 11: "000001", 41: TID}), "30"),
        (Message("0400", {11: "000001"}), "30"),
        (Message("0800", {11: "000001", 41: TID}), "30"),
    ],
)
def test_a_request_that_is_not_served_or_not_complete_is_answered_so(message: Message, code: str) -> None:
    client = Bench().client()
    answer = client.send(message)
    assert answer is not None
    assert (answer[39], answer.mti[:2], answer.mti[3]) == (code, message.mti[:2], message.mti[3])
    assert int(answer.mti[2]) == int(message.mti[2]) + 1
    assert all(answer[number] == message[number] for number in message)


def test_a_message_that_breaks_off_is_answered_with_what_could_be_read() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    packet = client.send_bytes(client.payload(sale)[:-9])
    assert packet is not None
    assert (packet.message[39], packet.message[11], packet.message.mti) == ("30", sale[11], "0210")
    assert bench.replies[-1].event.what is What.REFUSED
    assert charged(bench) == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x60",
        b"GET / HTTP/1.1\r\n\r\n",
        TPDU.encode(),
        TPDU.encode() + bytes.fromhex(HEADER),
        TPDU.encode() + bytes.fromhex(HEADER) + b"\x02",
        TPDU.encode() + bytes.fromhex(HEADER) + b"\xff\xff" + bytes(8),
        TPDU.encode() + bytes.fromhex(HEADER) + b"\x02\x10" + bytes(8),
    ],
)
def test_what_cannot_be_a_request_is_not_answered(payload: bytes) -> None:
    bench = Bench()
    assert bench.exchange(payload) is None
    reply = bench.replies[-1]
    assert (reply.fate, reply.event.what) == (Fate.SILENT, What.UNREADABLE)
    assert reply.event.note


# Events and codes.


def test_an_event_is_one_line_of_json_without_anything_secret() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_951, keyed=True)
    client.send(sale)
    event = bench.replies[-1].event
    told = json.dumps(event.as_dict())
    assert json.loads(told) == {
        "schema": 1,
        "at": "2026-01-01T20:00:00.000+08:00",
        "what": "declined",
        "fate": "send",
        "mti": "0200",
        "kind": "sale",
        "terminal": TID,
        "batch": "000001",
        "stan": sale[11],
        "amount_minor": 1_951,
        "code": "51",
        "effect_minor": 0,
        "card": "622999******0012",
        "rrn": event.rrn,
        "trigger": 951,
        "note": "the amount asks for it",
    }
    everything = told + "".join(map(repr, bench.replies)) + repr(bench.acquirer.ledger.transactions)
    assert client.pin_key is not None
    for secret in (EVERYDAY.pan.reveal(), "123456,", sale[52], client.pin_key.reveal().hex()):
        assert secret not in everything
        assert secret.upper() not in everything


def test_an_event_without_a_request_leaves_out_what_it_does_not_know() -> None:
    bench = Bench()
    bench.exchange(b"")
    told = bench.replies[-1].event.as_dict()
    assert set(told) == {"schema", "at", "what", "fate", "note", "effect_minor"}


def test_every_code_the_host_uses_is_in_the_dialects_table() -> None:
    assert [code for code in Code if code not in UNIONPAY.codes] == []


def test_the_host_stamps_its_own_time_zone() -> None:
    bench = Bench()
    bench.clock.set_wall(datetime(2026, 2, 28, 16, 30, tzinfo=UTC))
    answer = bench.client().sign_on()
    assert (answer[12], answer[13], answer[37][:4]) == ("003000", "0301", "0301")


def test_addresses_are_exchanged_and_the_header_comes_back() -> None:
    bench = Bench()
    client = bench.client()
    payload = bytearray(client.payload(client.sale(1_000), sealed=False))
    payload[5:11] = bytes.fromhex("61310110ABCD")
    data = bench.exchange(bytes(payload))
    assert data is not None
    assert Tpdu.decode(data[:5]) == TPDU.swapped()
    assert data[5:11].hex().upper() == "61310110ABCD"


def test_money_is_where_the_events_say() -> None:
    bench = Bench()
    client = bench.signed_on()
    for amount in (1_000, 1_996, 0, 3):
        client.send(client.sale(amount))
    ledger = bench.acquirer.ledger
    effects = sum(reply.event.effect_minor for reply in bench.replies)
    assert effects == ledger.balance(merchant_account(MID)) == charged(bench) == 1_000 + 1_996 + 3
    assert ledger.balance(FUNDS) == -sum(card.balance_minor for card in CARDS.values())
