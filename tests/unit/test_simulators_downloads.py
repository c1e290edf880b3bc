"""What the simulated host gives its terminals, and how it demands that they fetch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto.public_key import check_value
from pos_engine.dialects.base import Kind, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.unionpay.terminal_data import Page, read_page, read_parameters
from simulators.acquirer import Files, What
from simulators.acquirer.downloads import Downloads, application, public_key
from simulators.acquirer.enrolment import TERMINALS_MAX
from simulators.scenario import parse
from tests.support.host_client import MID, TID, Bench, HostClient

if TYPE_CHECKING:
    from pos_engine.wire import tlv
    from pos_engine.wire.message import Message

HEADER = "603100310000"
ENDS = {digit: download.end for digit, download in UNIONPAY.downloads.items()}


def header(bench: Bench, client: HostClient, message: Message) -> str | None:
    """Send a request, and return the digits of its answer's header."""
    data = bench.exchange(client.payload(message, sealed=False))
    assert data is not None
    return unpack(UNIONPAY, data).header


def ask(client: HostClient, kind: Kind, asks: str = "") -> Message:
    answer = client.send(client.page(kind, asks), sealed=False)
    assert answer is not None
    return answer


def content(answer: Message) -> tuple[Page, tuple[tlv.Item, ...]]:
    assert answer[39] == "00"
    return read_page(bytes.fromhex(answer[62]))


def query(received: int) -> str:
    return f"1{received:02d}".encode().hex()


# Files.


@pytest.mark.parametrize("bits", [256, 512, 1024])
def test_an_artificial_key_is_of_the_right_size_and_always_the_same(bits: int) -> None:
    tags = dict(public_key(7, bits=bits))
    modulus = int.from_bytes(tags["DF02"])
    assert (modulus.bit_length(), modulus % 2) == (bits, 1)
    assert tags["DF03"] == check_value(tags["9F06"], 7, tags["DF02"], tags["DF04"])
    assert public_key(7, bits=bits) == public_key(7, bits=bits)
    assert public_key(8, bits=bits)[5] != public_key(7, bits=bits)[5]


def test_parameters_come_in_one_page() -> None:
    answer = ask(Bench().client(), Kind.PARAMETERS)
    assert set(answer) == {12, 13, 37, 39, 41, 42, 60, 62}
    assert read_parameters(bytes.fromhex(answer[62])) == tuple(Files().parameters)


@pytest.mark.parametrize(
    ("kind", "tags", "entries"), [(Kind.CA_KEY_LIST, 3, 3), (Kind.AID_LIST, 1, 2), (Kind.BLACKLIST, 2, 3)]
)
def test_a_list_comes_so_many_entries_a_page(kind: Kind, tags: int, entries: int) -> None:
    bench = Bench()
    client = bench.client()
    seen = 0
    while True:
        page, items = content(ask(client, kind, query(seen)))
        seen += len(items) // tags
        if page is not Page.MORE:
            break
        assert len(items) == 2 * tags
    assert (page, seen) == (Page.LAST, entries)
    assert content(ask(client, kind, query(seen))) == (Page.NOTHING, ())
    assert bench.replies[-1].event.what is What.DOWNLOADED


def test_one_entry_comes_by_its_name_and_what_there_is_not_does_not() -> None:
    client = Bench().client()
    page, items = content(ask(client, Kind.CA_KEY, "9F0605A0000003339F22010A"))
    assert (page, tuple((item.tag, item.value) for item in items)) == (Page.LAST, public_key(10))
    page, items = content(ask(client, Kind.AID, "9F0607A0000003330106"))
    assert (page, tuple((item.tag, item.value) for item in items)) == (Page.LAST, application("A0000003330106"))
    assert content(ask(client, Kind.CA_KEY, "9F0605A0000003339F220163")) == (Page.NOTHING, ())


@pytest.mark.parametrize(
    ("kind", "asks"), [(Kind.CA_KEY_LIST, "FF"), (Kind.BLACKLIST, query(0)[:-2]), (Kind.AID, "9F06FF")]
)
def test_what_cannot_be_read_is_a_format_error(kind: Kind, asks: str) -> None:
    assert ask(Bench().client(), kind, asks)[39] == "30"


def test_another_merchant_gets_nothing() -> None:
    bench = Bench()
    bench.signed_on()
    assert ask(bench.client(TID, "M00000000000002"), Kind.PARAMETERS)[39] == "03"


# Demands.


@pytest.mark.parametrize("digit", ENDS)
def test_a_demand_stands_in_every_answer_until_its_end_came(digit: str) -> None:
    bench = Bench()
    client = bench.client()
    bench.acquirer.demand(TID, digit)
    bench.acquirer.demand(TID, digit)
    pages = client.pages() | {Kind.STATUS: client.status()}
    for message in (client.echo(), client.signing_on(), *(pages[kind] for kind in UNIONPAY.downloads[digit].pages)):
        assert header(bench, client, message) == f"60310{digit}310000"
    assert header(bench, bench.client("T0000002"), bench.client("T0000002").echo()) == HEADER
    assert header(bench, client, pages[ENDS[digit]]) == HEADER
    assert header(bench, client, client.echo()) == HEADER
    assert bench.acquirer.downloads.demanded(TID) == ()


def test_a_header_has_room_for_the_oldest_demand_and_a_scenario_goes_first() -> None:
    bench = Bench()
    client = bench.client()
    for digit in ("6", "4"):
        bench.acquirer.demand(TID, digit)
    assert header(bench, client, client.echo()) == "603106310000"
    rule = '[[rule]]\nname = "one"\nmatch = { kind = "echo" }\naction = { do = "header", digit = "7" }\n'
    bench.acquirer.stage(parse(rule, "stage"))
    assert header(bench, client, client.echo()) == "603107310000"


def test_a_message_without_a_header_has_no_room_for_a_demand() -> None:
    downloads = Downloads(UNIONPAY, Files())
    downloads.demand(TID, "4")
    assert downloads.header(TID, None) is None


def test_an_end_that_nobody_demanded_is_no_fault() -> None:
    assert ask(Bench().client(), Kind.AIDS_END)[39] == "00"


# Status.


def test_the_last_report_of_each_terminal_is_kept_and_not_of_everybody() -> None:
    bench = Bench()
    client = bench.client()
    for report in ("011", "021"):
        client.send(client.status(report), sealed=False)
    downloads = bench.acquirer.downloads
    assert downloads.reports == {TID: "021"}
    downloads.reports.update({f"{number:08d}": "" for number in range(TERMINALS_MAX - 1)})
    other = HostClient(bench.exchange, "T0000002", MID)
    other.send(other.status("031"), sealed=False)
    assert "T0000002" not in downloads.reports
    client.send(client.status("041"), sealed=False)
    assert downloads.reports[TID] == "041"
