"""The bench: a line that fails as it is told to, books that are compared, terminals that end and begin again."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pos_engine import Amount, Approved, ConfigError, InDoubt, JournalFault, NotSent
from pos_engine.config import settle
from pos_engine.transport.base import Silence
from simulators.bench import IDENTITY, Bench
from simulators.scenario import Play, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine import Terminal

TOTAL = Amount.cny("12.34")
PLACE = {"terminal": IDENTITY.terminal, "batch": "000001"}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def terminal(bench: Bench) -> Terminal:
    terminal = bench.open()
    terminal.sign_on()
    return terminal


def test_an_exchange_takes_no_time_and_a_wait_takes_all_of_it(bench: Bench, terminal: Terminal) -> None:
    assert bench.clock.now().elapsed_s == 0.0
    bench.link.lose_answer()
    terminal.sale(TOTAL)
    assert bench.clock.now().elapsed_s == 60.0


@pytest.mark.parametrize(("fault", "is_booked"), [("lose_request", False), ("lose_answer", True)])
def test_a_lost_message_is_silence(bench: Bench, terminal: Terminal, fault: str, *, is_booked: bool) -> None:
    getattr(bench.link, fault)()
    outcome = terminal.sale(TOTAL)
    assert isinstance(outcome, InDoubt)
    assert "did not answer in time" in outcome.notes[-1]
    assert bool(bench.books.differences(terminal)) == is_booked


def test_a_difference_names_both_amounts(bench: Bench, terminal: Terminal) -> None:
    bench.link.lose_answer()
    terminal.sale(TOTAL)
    assert bench.books.differences(terminal) == [
        "STAN 000002 of batch 000001: the terminal believes 0.00 CNY, the host booked 12.34 CNY"
    ]
    assert bench.books.moved("000002", **PLACE) == 1234
    assert str(bench.books.balance("everyday")) == "99987.66 CNY"
    terminal.tick()
    assert bench.books.differences(terminal) == []
    assert bench.books.moved("000002", **PLACE) == 0
    assert len(bench.books.story("000002", **PLACE).messages) == 2


def test_what_is_queued_is_about_one_request_each(bench: Bench, terminal: Terminal) -> None:
    bench.link.pass_smoothly(1)
    bench.link.delay(7)
    bench.link.delay(9)
    moments = [bench.clock.now().elapsed_s]
    for _ in range(4):
        terminal.echo()
        moments.append(bench.clock.now().elapsed_s)
    assert [after - before for before, after in pairwise(moments)] == [0, 7, 9, 0]


def test_a_request_cut_before_its_first_byte_was_not_sent(bench: Bench, terminal: Terminal) -> None:
    bench.link.cut_after(0, of="request")
    with pytest.raises(NotSent):
        terminal.sale(TOTAL, key="order")
    assert terminal.outcome("order") is None
    bench.link.cut_after(1, of="request")
    assert isinstance(terminal.sale(TOTAL, key="order"), InDoubt)


def test_a_request_that_passes_whole_before_the_cut_is_served(bench: Bench, terminal: Terminal) -> None:
    bench.link.cut_after(10_000, of="request")
    assert isinstance(terminal.sale(TOTAL), InDoubt)
    assert [each.amount_minor for each in bench.books.transactions] == [1234]
    assert bench.clock.now().elapsed_s == 0.0


def test_an_unplugged_line_breaks_what_there_was_and_lets_nothing_new_in(bench: Bench, terminal: Terminal) -> None:
    bench.link.unplug()
    assert bench.link.is_unplugged
    for _ in range(2):
        with pytest.raises(NotSent):
            terminal.sale(TOTAL)
    bench.link.plug_in()
    assert isinstance(terminal.sale(TOTAL), Approved)


def test_a_late_answer_finds_the_terminal_on_its_next_connection(bench: Bench, terminal: Terminal) -> None:
    late = """
[[rule]]
name = "late"
match = { kind = "sale" }
action = { do = "late", seconds = 61 }
[[rule]]
name = "crossing"
match = { kind = "reversal" }
action = { do = "delay", seconds = 2 }
"""
    bench.acquirer.play = Play(parse(late, "late"))
    assert isinstance(terminal.sale(TOTAL), InDoubt)
    tick = terminal.tick()
    assert tick.owed == 0
    assert bench.books.differences(terminal) == []
    assert bench.conversation.text().count("0210") == 1


def test_bytes_that_are_no_frame_end_a_connection(bench: Bench) -> None:
    stream = bench.link.stream()
    stream.connect(1.0)
    stream.send(b"\xff\xff" * 10, 1.0)
    assert stream.receive(5.0) == b""
    assert bench.clock.now().elapsed_s == 0.0


def test_what_a_terminal_does_not_say_nobody_answers(bench: Bench) -> None:
    stream = bench.link.stream()
    stream.connect(1.0)
    with pytest.raises(Silence):
        stream.receive(5.0)
    assert bench.clock.now().elapsed_s == 5.0
    assert stream.peer == "the host in memory"


def test_the_seed_decides_the_keys() -> None:
    def keys(seed: int) -> object:
        terminal = Bench(seed=seed).open()
        terminal.sign_on()
        return terminal.status().keys

    assert keys(1) == keys(1) != keys(2)


def test_a_power_cut_leaves_the_journal_as_it_was_and_free(tmp_path: Path) -> None:
    bench = Bench(folder=tmp_path)
    before = bench.open()
    before.sale(TOTAL, key="order")
    with pytest.raises(JournalFault):
        bench.open()
    bench.cut_power(before)
    after = bench.open()
    assert isinstance(after.outcome("order"), Approved)
    bench.close()


def test_devices_and_settings_are_the_caller_s(bench: Bench) -> None:
    terminal = bench.open({"terminal.id": "T0000002", "limits.transaction": "10.00", "peripherals.card": "no-pin"})
    with pytest.raises(ValueError, match="limit for one transaction"):
        terminal.sale(TOTAL)
    outcome = terminal.sale(Amount.cny("9.00"))
    assert isinstance(outcome, Approved)
    assert outcome.card == "622999******0053"
    assert terminal.status().terminal == "T0000002"


def test_settling_values_looks_at_no_file_and_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POS_ENGINE_TERMINAL_OPERATOR", "77")
    (tmp_path / "pos-engine.toml").write_text('[terminal]\noperator = "66"\n')
    monkeypatch.chdir(tmp_path)
    config = settle({"terminal.id": "T0000001", "terminal.merchant": "M00000000000001"}, folder=tmp_path)
    assert (config.operator, config.journal) == ("01", tmp_path / "journal.db")
    with pytest.raises(ConfigError, match=r"terminal\.merchant is not set"):
        settle({"terminal.id": "T0000001"}, folder=tmp_path)
