from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pos_engine.crypto.des import BlockCipher
from pos_engine.crypto.keys import check_value
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import KeyBytes
from pos_engine.wire.message import Message
from simulators.acquirer import Fate, What, enrolment, terminal_master_key
from simulators.acquirer.codes import Code
from simulators.cards import CARDS
from simulators.ledger import FUNDS, merchant_account
from tests.support.host_client import EVERYDAY, HEADER, MID, TID, TPDU, Bench

OTHER_TID = "T0000002"
OTHER_MID = "M00000000000002"


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
    assert check_value(terminal_master_key(TID)).hex().upper() == "4241225B"
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
    assert bench.charged() == 0


# Who asks.


@pytest.mark.parametrize("signed_on", [True, False])
def test_who_has_not_signed_on_is_told_to(signed_on: bool) -> None:  # noqa: FBT001 - a parameter of the test
    bench = Bench()
    client = bench.signed_on()
    stranger = bench.signed_on(OTHER_TID) if signed_on else bench.client(OTHER_TID)
    stranger.mac_key = client.mac_key
    assert stranger.ask(stranger.sale(1_000)) == ("A0" if signed_on else "77")
    assert bench.charged() == 0


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
    assert bench.charged() == 1_000


def test_a_request_in_another_batch_is_told_to_sign_on() -> None:
    bench = Bench()
    client = bench.signed_on()
    client.batch = "000002"
    assert client.ask(client.sale(1_000)) == "77"
    client.sign_on()
    assert client.batch == "000001"


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
    assert bench.charged() == 0
    assert bench.replies[-1].event.rule == str(amount % 1000)


@pytest.mark.parametrize(
    ("amount", "fate", "effect"),
    [(1_994, Fate.CLOSE, 0), (1_996, Fate.CLOSE, 1_996), (1_997, Fate.SILENT, 1_997)],
)
def test_an_amount_can_ask_for_silence(amount: int, fate: Fate, effect: int) -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(amount)
    assert client.send(sale) is None
    assert (bench.replies[-1].fate, bench.replies[-1].event.effect_minor, bench.charged()) == (fate, effect, effect)
    assert client.ask(client.reversal(sale)) == ("00" if effect else "25")
    assert bench.charged() == 0


def test_an_amount_can_ask_for_a_wrong_mac() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_995)
    packet = client.send_bytes(client.payload(sale))
    assert packet is not None
    assert packet.message[39] == "00"
    assert not client.proves(packet)
    assert bench.charged() == 1_995
    assert client.ask(client.reversal(sale, "A0")) == "00"
    assert bench.charged() == 0


def test_no_scenario_is_played_on_a_request_that_is_refused() -> None:
    client = Bench().client()
    client.mac_key = BlockCipher(KeyBytes(bytes(8)))
    assert client.ask(client.sale(1_996)) == "77"


# What is no request.


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message("0100", {3: "030000", 11: "000001", 41: TID}), "40"),
        (Message("0820", {41: TID, 42: MID, 60: "00000001999"}), "40"),
        (Message("0200", {3: "310000", 11: "000001", 41: TID}), "30"),
        (Message("0820", {41: TID, 60: "00000001301"}), "30"),
        (Message("0820", {41: TID, 42: MID, 60: "00000001362"}), "30"),
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
    assert bench.charged() == 0


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
        "rule": "951",
        "note": "the scenario asks for it",
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
    assert effects == ledger.balance(merchant_account(MID)) == bench.charged() == 1_000 + 1_996 + 3
    assert ledger.balance(FUNDS) == -sum(card.balance_minor for card in CARDS.values())
