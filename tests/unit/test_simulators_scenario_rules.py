from __future__ import annotations

from dataclasses import replace

import pytest

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.wire.message import Message
from simulators.scenario import AMOUNTS, USUAL, Facts, Failure, Play, Ruling, Scenario, parse

SALE = Message(
    "0200",
    {
        2: "6229990000000012",
        3: "000000",
        4: "000000001951",
        11: "000007",
        13: "0131",
        22: "021",
        41: "T0000001",
        52: "0102030405060708",
        55: "9F2608A1A2A3A4A5A6A7A8",
        60: "22000001000600",
    },
)
ANSWER = Message("0210", {4: "000000001951", 11: "999999", 39: "00"})


def facts(message: Message = SALE, kind: Kind | None = Kind.SALE, card: str = "everyday") -> Facts:
    return Facts(message, kind, UNIONPAY.cut, lambda: card)


def scenario(*rules: str) -> Scenario:
    return parse("\n".join(f'[[rule]]\nname = "{place}"\n{text}' for place, text in enumerate(rules, 1)), "f.toml")


def ruling(action: str) -> Ruling:
    return Play(scenario(f'match = {{ kind = "sale" }}\naction = {action}')).meet(facts(), ManualClock().now())


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ('kind = "sale"', True),
        ('kind = ["void", "sale"]', True),
        ('kind = "refund"', False),
        ("kind = { present = false }", False),
        ('mti = "0200"', True),
        ('mti = "0220"', False),
        ('card = "everyday"', True),
        ('card = "poor"', False),
        ('terminal = "T0000001"', True),
        ('terminal = "T0000002"', False),
        ('amount_suffix = "951"', True),
        ('amount_suffix = "51"', True),
        ('amount_suffix = "952"', False),
        ('"4" = "19.51"', True),
        ('"4" = 1951', True),
        ('"4" = 1950', False),
        ('"4" = { from = "19.51" }', True),
        ('"4" = { from = "19.52" }', False),
        ('"4" = { to = "19.51" }', True),
        ('"4" = { to = 1950 }', False),
        ('"4" = { from = "19.00", to = "20.00" }', True),
        ('"60.1" = "22"', True),
        ('"60.2" = "000001"', True),
        ('"60.6" = "1"', False),
        ('"60.7" = { present = true }', False),
        ('"60.7" = { present = false }', True),
        ('"22" = { prefix = "02", suffix = "1" }', True),
        ('"22" = { prefix = "05" }', False),
        ('"13" = { from = "0101", to = "0131" }', True),
        ('"41" = { from = "0" }', False),
        ('"55.9F26" = { prefix = "A1" }', True),
        ('"55.9F27" = { present = false }', True),
        ('"48.1" = { present = false }', True),
        ('"52" = { present = true }', True),
        ('"53" = { present = true }', False),
        ('kind = "sale", card = "poor"', False),
        ("", True),
    ],
)
def test_a_request_meets_a_rule_when_everything_holds(match: str, expected: bool) -> None:  # noqa: FBT001 - a table
    play = Play(scenario(f'match = {{ {match} }}\naction = "drop"'))
    assert play.meet(facts(), ManualClock().now()).drops is expected


def test_a_request_that_is_of_no_kind_and_shows_no_card_has_neither() -> None:
    play = Play(scenario('match = { kind = { present = false }, card = { present = false } }\naction = "drop"'))
    assert play.meet(facts(kind=None, card=""), ManualClock().now()).drops


def test_the_first_rule_that_meets_a_request_decides() -> None:
    play = Play(scenario('match = { card = "poor" }\naction = "usual"', 'action = "drop"', 'action = "close"'))
    assert [play.meet(facts(card=card), ManualClock().now()).rule for card in ("poor", "everyday")] == ["1", "2"]
    assert [play.met(name) for name in "123"] == [1, 1, 0]
    with pytest.raises(KeyError):
        play.met("4")


def test_without_a_rule_everything_is_as_usual() -> None:
    assert Play(Scenario()).meet(facts(), ManualClock().now()) is USUAL
    assert (USUAL.rule, USUAL.refusal, USUAL.approves, USUAL.books, USUAL.unheard) == ("", None, False, True, False)
    assert (USUAL.drops, USUAL.closes, USUAL.copies, USUAL.after_s, USUAL.follows) == (False, False, 1, 0.0, False)
    assert USUAL.rewrite(ANSWER) == ANSWER
    assert (USUAL.header("603100310000", UNIONPAY), USUAL.spoil(b"abc")) == ("603100310000", b"abc")


def test_a_rule_is_spent_after_its_times() -> None:
    play = Play(scenario('action = "drop"\ntimes = 2'))
    assert [play.meet(facts(), ManualClock().now()).drops for _ in range(4)] == [True, True, False, False]


def test_a_sequence_is_played_step_by_step_and_as_often_as_it_says() -> None:
    steps = 'action = "drop"\nthen = ["close", "usual"]'
    for times, rounds in (("", 1), ("\ntimes = 2", 2)):
        play = Play(scenario(steps + times))
        met = [play.meet(facts(), ManualClock().now()) for _ in range(8)]
        expected = [(True, False), (False, True), (False, False)] * rounds
        assert [(each.drops, each.closes) for each in met if each.rule] == expected


def test_a_rule_ends_so_long_after_the_first_request_it_met() -> None:
    clock = ManualClock()
    play = Play(scenario('match = { kind = "sale" }\naction = "drop"\nfor = "30s"'))
    clock.advance(100)
    assert not play.meet(facts(kind=Kind.REFUND), clock.now()).drops
    assert play.meet(facts(), clock.now()).drops
    clock.advance(29.5)
    assert play.meet(facts(), clock.now()).drops
    clock.advance(0.5)
    assert not play.meet(facts(), clock.now()).drops


def test_a_rule_that_ends_by_the_clock_does_not_outlive_a_reboot() -> None:
    clock = ManualClock()
    play = Play(scenario('action = "drop"\nfor = "30s"'))
    assert play.meet(facts(), clock.now()).drops
    clock.reboot("boot-2")
    assert not play.meet(facts(), clock.now()).drops


def test_what_is_not_as_expected_is_on_record_by_name_only() -> None:
    play = Play(scenario('expect = { "22" = "051", "52" = { present = true }, "60.1" = "23" }'))
    met = play.meet(facts(), ManualClock().now())
    assert (met.actions, met.failed) == ((), ("22", "60.1"))
    failure = Failure("1", ("22", "60.1"), "T0000001", "000007")
    assert play.failures() == (failure,)
    assert str(failure) == 'rule "1": STAN 000007 of terminal T0000001: not as expected: 22, 60.1'
    assert play.failed == 1


def test_only_the_newest_failed_expectations_are_kept_but_all_are_counted() -> None:
    play = Play(scenario('expect = { "22" = "051" }'))
    for stan in range(1_002):
        play.meet(facts(SALE.replace({11: f"{stan:06d}"})), ManualClock().now())
    assert play.failed == 1_002
    assert [play.failures()[place].stan for place in (0, -1)] == ["000002", "001001"]


@pytest.mark.parametrize(
    ("action", "code"),
    [('"decline"', "05"), ('{ do = "decline", code = "51" }', "51"), ('{ do = "demand_sign_on", by = "99" }', "99")],
)
def test_a_decision_against_a_request_is_its_code(action: str, code: str) -> None:
    assert ruling(action).refusal == code


@pytest.mark.parametrize(
    ("action", "books", "unheard"),
    [
        ('"drop"', True, False),
        ('{ do = "drop", book = true }', True, False),
        ('{ do = "drop", book = false }', False, True),
        ('{ do = "close", book = false }', False, True),
        ('{ do = "wrong_mac", book = false }', False, False),
        ('["duplicate", { do = "usual", book = false }]', False, False),
    ],
)
def test_booking_is_apart_from_answering(action: str, books: bool, unheard: bool) -> None:  # noqa: FBT001 - a table
    assert (ruling(action).books, ruling(action).unheard) == (books, unheard)


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        ('"approve"', {}),
        ('{ do = "approve", code = "A2" }', {39: "A2"}),
        ('"wrong_stan"', {11: "000000"}),
        ('"wrong_amount"', {4: "000000001952"}),
        ('["wrong_stan", "wrong_amount", "approve"]', {4: "000000001952", 11: "000000"}),
    ],
)
def test_an_answer_is_rewritten(action: str, changes: dict[int, str]) -> None:
    assert ruling(action).rewrite(ANSWER) == ANSWER.replace(changes)


def test_only_an_approval_gets_another_code_and_only_what_is_there_is_changed() -> None:
    declined = Message("0210", {39: "51"})
    assert ruling('"approve"').rewrite(declined.without(39)) == declined.without(39)
    assert ruling('[{ do = "approve", code = "A2" }, "wrong_stan", "wrong_amount"]').rewrite(declined) == declined


def test_a_demand_in_the_header_is_its_sixth_digit() -> None:
    demand = ruling('{ do = "demand_sign_on", by = "header" }')
    assert demand.refusal is None
    assert demand.header("603100310000", UNIONPAY) == "603103310000"
    assert demand.header(None, UNIONPAY) is None
    assert demand.header("603100310000", replace(UNIONPAY, sign_on_requests=frozenset())) == "603100310000"


def test_a_header_asks_for_what_the_digit_says() -> None:
    asked = ruling('{ do = "header", digit = "4" }')
    assert asked.refusal is None
    assert asked.header("603100310000", UNIONPAY) == "603104310000"
    assert asked.header(None, UNIONPAY) is None


def test_a_malformed_answer_is_half_of_it_or_as_many_bytes_of_garbage() -> None:
    assert ruling('"malformed"').spoil(b"12345") == b"12"
    assert ruling('{ do = "malformed", form = "garbage" }').spoil(b"12345") == b"\xee" * 5


@pytest.mark.parametrize(
    ("action", "timing"),
    [
        ('{ do = "delay", seconds = 3 }', (3.0, False, 1)),
        ('{ do = "late", seconds = 60 }', (60.0, True, 1)),
        ('[{ do = "late", seconds = 1 }, { do = "duplicate", copies = 3 }]', (1.0, True, 3)),
    ],
)
def test_a_time_and_a_number_of_copies_are_for_whoever_sends(action: str, timing: tuple[float, bool, int]) -> None:
    assert (ruling(action).after_s, ruling(action).follows, ruling(action).copies) == timing


@pytest.mark.parametrize(
    ("action", "granted"),
    [
        ('{ do = "partial", percent = 50 }', 975),
        ('{ do = "partial", percent = 99 }', 1931),
        ('{ do = "partial", amount = "19.50" }', 1950),
        ('{ do = "partial", amount = "19.51" }', None),
        ('{ do = "partial", amount = 0 }', None),
        ('"approve"', None),
    ],
)
def test_a_partial_approval_grants_less_than_was_asked_for_and_more_than_nothing(
    action: str, granted: int | None
) -> None:
    assert ruling(action).granted(SALE, Kind.SALE) == granted
    assert ruling(action).granted(SALE, Kind.REFUND) is None
    assert ruling(action).granted(SALE.without(4), Kind.SALE) is None


@pytest.mark.parametrize(
    ("amount", "digits"),
    [(951, "951"), (1_951, "951"), (123_951, "951"), (1_950, ""), (95_100, ""), (996, "996"), (910, "")],
)
def test_the_last_three_digits_of_an_amount_decide_unless_a_scenario_is_given(amount: int, digits: str) -> None:
    message = SALE.replace({4: f"{amount:012d}"})
    for kind, expected in ((Kind.SALE, digits), (Kind.REFUND, digits), (Kind.REVERSAL, "")):
        assert Play(AMOUNTS).meet(facts(message, kind), ManualClock().now()).rule == expected


def test_a_part_is_granted_where_the_terminal_takes_it() -> None:
    unwilling = SALE.replace({4: "000000000910"})
    willing = SALE.replace({4: "000000000910", 60: "22000001000601"})
    assert Play(AMOUNTS).meet(facts(unwilling), ManualClock().now()) is USUAL
    assert Play(AMOUNTS).meet(facts(willing), ManualClock().now()).granted(willing, Kind.SALE) == 455
