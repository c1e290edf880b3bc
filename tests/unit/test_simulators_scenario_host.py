"""What a scenario makes of requests and answers, seen by a terminal without a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.clock import ManualClock
from simulators.acquirer import Acquirer, Fate, What
from simulators.scenario import Scenario, parse
from simulators.store import LedgerFile
from tests.support.host_client import HEADER, TPDU, Bench, HostClient, counting_entropy

if TYPE_CHECKING:
    from pathlib import Path


def on_stage(text: str) -> tuple[Bench, HostClient]:
    """A terminal that has signed on at a host that plays a scenario from then on."""
    bench = Bench()
    client = bench.signed_on()
    bench.acquirer.stage(parse(f'[[rule]]\nname = "r"\n{text}', "f.toml"))
    return bench, client


def test_a_host_without_a_scenario_does_nothing_on_purpose() -> None:
    bench = Bench()
    bench.acquirer.stage(Scenario())
    client = bench.signed_on()
    assert [client.ask(client.sale(amount)) for amount in (951, 994, 996)] == ["00"] * 3


def test_an_amount_can_ask_for_half_where_the_terminal_takes_a_part() -> None:
    bench = Bench()
    client = bench.signed_on()
    assert [client.ask(client.sale(910, partial=partial)) for partial in (True, False)] == ["10", "00"]
    assert bench.charged() == 455 + 910


@pytest.mark.parametrize("kind", ["sign-on", "echo"])
def test_management_can_be_refused_with_any_code(kind: str) -> None:
    bench, client = on_stage(f'match = {{ kind = "{kind}" }}\naction = {{ do = "decline", code = "96" }}')
    answer = client.sign_on() if kind == "sign-on" else client.send(client.echo(), sealed=False)
    assert answer is not None
    assert (answer[39], bench.replies[-1].event.what, bench.replies[-1].event.rule) == ("96", What.REFUSED, "r")


def test_a_sign_on_that_was_never_heard_leaves_the_old_keys_in_force() -> None:
    bench, client = on_stage('match = { kind = "sign-on" }\naction = { do = "drop", book = false }')
    assert client.send(client.signing_on(), sealed=False) is None
    assert bench.replies[-1].event.what is What.LOST
    assert client.ask(client.sale(1_000)) == "00"


def test_a_sign_on_whose_answer_is_lost_leaves_the_terminal_with_keys_that_no_longer_fit() -> None:
    _, client = on_stage('match = { kind = "sign-on" }\naction = "drop"')
    assert client.send(client.signing_on(), sealed=False) is None
    assert client.ask(client.sale(1_000)) == "A0"


def test_a_reversal_can_be_refused_and_stays_owed() -> None:
    bench, client = on_stage('match = { kind = "reversal" }\naction = { do = "decline", code = "96" }\ntimes = 1')
    sale = client.sale(1_000)
    client.ask(sale)
    assert [client.ask(client.reversal(sale)) for _ in range(2)] == ["96", "00"]
    assert bench.charged() == 0


def test_a_decline_can_have_a_wrong_mac_although_declines_have_none() -> None:
    _, client = on_stage('action = ["decline", "wrong_mac"]')
    packet = client.send_bytes(client.payload(client.sale(1_000)))
    assert packet is not None
    assert packet.message[39] == "05"
    assert 64 in packet.message
    assert not client.proves(packet)


def test_what_has_no_mac_gets_no_wrong_one() -> None:
    _, client = on_stage('action = "wrong_mac"')
    answer = client.sign_on()
    assert (answer[39], 64 in answer) == ("00", False)


def test_a_demand_in_the_header_comes_with_the_usual_answer() -> None:
    bench, client = on_stage('match = { kind = "sale" }\naction = { do = "demand_sign_on", by = "header" }')
    data = bench.exchange(client.payload(client.sale(1_000)))
    assert data is not None
    assert data.startswith(TPDU.swapped().encode() + bytes.fromhex(HEADER[:5] + "3" + HEADER[6:]))
    assert bench.charged() == 1_000


@pytest.mark.parametrize("action", ["wrong_stan", "wrong_amount"])
def test_an_answer_to_something_else_proves_itself_all_the_same(action: str) -> None:
    _, client = on_stage(f'match = {{ kind = "sale" }}\naction = "{action}"')
    packet = client.send_bytes(client.payload(client.sale(1_000)))
    assert packet is not None
    assert client.proves(packet)


def test_an_approval_in_spite_of_the_issuer_can_overdraw_a_card_and_needs_no_pin() -> None:
    bench, client = on_stage('match = { kind = "sale" }\naction = { do = "approve", code = "11" }')
    answer = client.send(client.sale(10_000_001, pin=None))
    assert answer is not None
    assert (answer[39], bench.replies[-1].event.code, bench.charged()) == ("11", "11", 10_000_001)


def test_what_does_not_fit_the_books_is_refused_in_spite_of_an_approval() -> None:
    _, client = on_stage('match = { kind = "sale" }\naction = "approve"')
    sale = client.sale(1_000)
    assert [client.ask(sale), client.ask(sale), client.ask(client.sale(0))] == ["00", "94", "13"]


def test_what_is_not_booked_leaves_no_trace_but_its_reference_number() -> None:
    bench, client = on_stage('match = { kind = "sale" }\naction = { do = "usual", book = false }\ntimes = 1')
    before = bench.acquirer.ledger.snapshot()
    sale = client.sale(1_000)
    first = client.send(sale)
    assert first is not None
    assert (first[39], bench.charged(), bench.acquirer.ledger.transactions) == ("00", 0, ())
    assert (bench.replies[-1].event.effect_minor, bench.replies[-1].event.note) == (0, "not booked")
    assert before != bench.acquirer.ledger.snapshot()
    again = client.send(sale)
    assert again is not None
    assert again[39] == "00"
    assert again[37] != first[37]


def test_a_file_that_keeps_the_books_holds_what_was_booked_only(tmp_path: Path) -> None:
    scenario = parse('[[rule]]\nname = "r"\nmatch = { "4" = 200 }\naction = { do = "usual", book = false }', "f.toml")
    with LedgerFile(tmp_path / "books.db") as file:
        acquirer = Acquirer(entropy=counting_entropy(), ledger=file.ledger, scenario=scenario)
        clock = ManualClock()
        client = HostClient(lambda payload: acquirer.handle(payload, clock.now()).data)
        client.sign_on()
        assert [client.ask(client.sale(amount)) for amount in (100, 200, 300)] == ["00"] * 3
    with LedgerFile(tmp_path / "books.db") as file:
        assert [booked.amount_minor for booked in file.ledger.transactions] == [100, 300]


def test_what_is_refused_before_its_content_is_looked_at_meets_no_rule() -> None:
    bench, client = on_stage('action = "close"')
    client.batch = "000009"
    assert client.ask(client.sale(1_000)) == "77"
    assert bench.replies[-1].event.rule == ""
    assert bench.acquirer.play.met("r") == 0


def test_a_card_is_known_by_its_name_however_it_is_presented() -> None:
    bench, client = on_stage('match = { kind = "sale", card = "everyday" }\naction = "drop"')
    for keyed in (True, False):
        assert client.send(client.sale(1_000, keyed=keyed)) is None
    assert bench.acquirer.play.met("r") == 2


def test_a_reply_says_when_how_often_and_where_to_send() -> None:
    bench, client = on_stage(
        'match = { kind = "sale" }\naction = [{ do = "late", seconds = 9 }]\nthen = [{ do = "duplicate", copies = 4 }]'
    )
    for expected in ((9.0, 1, True), (0.0, 4, False), (0.0, 1, False)):
        client.ask(client.sale(1_000))
        reply = bench.replies[-1]
        assert (reply.fate, (reply.after_s, reply.copies, reply.follows)) == (Fate.SEND, expected)


@pytest.mark.parametrize("form", ["truncated", "garbage"])
def test_a_malformed_answer_is_no_message(form: str) -> None:
    bench, client = on_stage(f'action = {{ do = "malformed", form = "{form}" }}')
    data = bench.exchange(client.payload(client.sale(1_000)))
    assert data is not None
    assert (data == b"\xee" * len(data)) == (form == "garbage")
