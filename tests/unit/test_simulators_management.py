from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind, OriginalRef
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.values import KeyBytes
from simulators.acquirer import Enrolled, What, terminal_master_key
from tests.support.host_client import MID, TID, Bench, HostClient

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

OTHER_TID = "T0000002"
OTHER_MID = "M00000000000002"
OWN_KEY = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
ROSTER = (Enrolled(TID, MID, OWN_KEY), Enrolled(OTHER_TID, OTHER_MID, terminal_master_key(OTHER_TID)))


def management(client: HostClient) -> dict[Kind, Message]:
    return {Kind.SIGN_OFF: client.sign_off(), Kind.ECHO: client.echo(), Kind.STATUS: client.status()}


def requests(client: HostClient) -> dict[Kind, Message]:
    original = OriginalRef(client.batch, "000001", "0000")
    return {
        Kind.SIGN_ON: client.signing_on(),
        **management(client),
        **client.pages(),
        Kind.BALANCE: client.balance(),
        Kind.SALE: client.sale(1_000),
        Kind.VOID: client.void(1_000, original),
        Kind.REFUND: client.refund(1_000, original),
        Kind.REVERSAL: client.reversal(client.sale(1_000)),
    }


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, row in UNIONPAY.kinds.items() for number in sorted(row.needed)]
)
def test_a_request_that_lacks_an_element_its_kind_needs_is_a_format_error(kind: Kind, number: int) -> None:
    bench = Bench()
    client = bench.signed_on()
    request = requests(client)[kind].without(number)
    answer = client.send(request, sealed=UNIONPAY.kinds[kind].mac)
    assert answer is not None
    # Without the element that tells what it is, a request is one that nobody serves, or a stranger's.
    assert answer[39] in ({"40", "30"} if number in {3, 60} else {"30"})
    assert bench.charged() == 0
    assert bench.acquirer.ledger.transactions == ()


# Sign-off.


def test_after_a_sign_off_everything_about_money_is_told_to_sign_on() -> None:
    bench = Bench()
    client = bench.signed_on()
    sale = client.sale(1_000)
    assert client.ask(sale) == "00"
    answer = client.send(client.sign_off(), sealed=False)
    assert answer is not None
    assert set(answer) == {11, 12, 13, 32, 37, 39, 41, 42, 60}
    assert (answer.mti, answer[39]) == ("0830", "00")
    assert bench.replies[-1].event.what is What.SIGNED_OFF
    later = requests(client)
    for kind in (Kind.SALE, Kind.VOID, Kind.REFUND, Kind.BALANCE, Kind.REVERSAL):
        assert client.ask(later[kind]) == "77"
    assert client.sign_on()[39] == "00"
    assert client.ask(client.reversal(sale)) == "00"
    assert bench.charged() == 0


def test_a_sign_off_may_be_repeated_because_its_answer_may_have_been_lost() -> None:
    client = Bench().signed_on()
    answers = [client.send(client.sign_off(), sealed=False) for _ in range(2)]
    assert [answer and answer[39] for answer in answers] == ["00", "00"]


def test_who_never_signed_on_cannot_sign_off() -> None:
    client = Bench().client()
    answer = client.send(client.sign_off(), sealed=False)
    assert answer is not None
    assert answer[39] == "77"


# Echo and status.


def test_an_echo_test_needs_no_session_and_no_trace_number() -> None:
    bench = Bench()
    client = bench.client()
    answer = client.send(client.echo(), sealed=False)
    assert answer is not None
    assert set(answer) == {12, 13, 39, 41, 42, 60}
    assert (answer.mti, answer[39]) == ("0830", "00")
    assert bench.replies[-1].event.what is What.ECHOED


def test_a_report_is_taken_and_comes_back() -> None:
    bench = Bench()
    client = bench.client()
    request = client.status("011021031041051")
    answer = client.send(request, sealed=False)
    assert answer is not None
    assert set(answer) == {12, 13, 39, 41, 42, 60, 62}
    assert answer[62] == request[62]
    assert bench.replies[-1].event.what is What.NOTED


@pytest.mark.parametrize("kind", [Kind.SIGN_OFF, Kind.ECHO, Kind.STATUS])
def test_another_merchant_is_told_that_the_terminal_is_not_its_own(kind: Kind) -> None:
    bench = Bench()
    bench.signed_on()
    client = bench.client(TID, OTHER_MID)
    answer = client.send(management(client)[kind], sealed=False)
    assert answer is not None
    assert answer[39] == "03"


# A roster.


def test_a_host_with_a_roster_serves_its_terminals_with_their_own_keys() -> None:
    bench = Bench(roster=ROSTER)
    client, other = bench.client(), bench.client(OTHER_TID, OTHER_MID)
    client.tmk = OWN_KEY
    for each in (client, other):
        assert each.sign_on()[39] == "00"
        assert each.ask(each.sale(1_000)) == "00"
    assert bench.charged() == 2_000


@pytest.mark.parametrize("kind", UNIONPAY.kinds)
def test_who_is_not_on_the_roster_is_unknown_whatever_it_asks(kind: Kind) -> None:
    client = Bench(roster=ROSTER).client("T0000003")
    answer = client.send(requests(client)[kind], sealed=False)
    assert answer is not None
    assert answer[39] == "97"
    assert 62 not in answer or kind is Kind.STATUS


def test_a_terminal_on_the_roster_belongs_to_its_merchant() -> None:
    client = Bench(roster=ROSTER).client(TID, OTHER_MID)
    assert client.sign_on()[39] == "03"


def test_an_empty_roster_admits_nobody() -> None:
    assert Bench(roster=()).client().sign_on()[39] == "97"
