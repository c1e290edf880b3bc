from __future__ import annotations

import pytest

from pos_engine.errors import ConfigError
from pos_engine.values import Text
from simulators.scenario import ACTIONS, AMOUNTS, AMOUNTS_TOML, Do, Form, Group, Rule, Scenario, parse
from simulators.scenario.actions import Action
from simulators.scenario.conditions import Condition
from tests.quality.tree import ROOT

READY_MADE = sorted((ROOT / "simulators/scenarios").glob("*.toml"))


def rule(text: str) -> Rule:
    return parse(f'[[rule]]\nname = "a"\n{text}\n', "f.toml").rules[0]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse(text, "f.toml")
    return str(refused.value)


def condition(text: str) -> Condition:
    return rule(f'action = "usual"\nmatch = {{ {text} }}').conditions[0]


def test_a_file_without_rules_is_a_scenario_of_none() -> None:
    assert parse("", "f.toml") == Scenario()


def test_a_rule_is_what_its_file_says() -> None:
    text = """
        title = { en = "t", zh = "题" }
        [[rule]]
        name = "n"
        title = "one for all"
        match = { kind = ["sale", "refund"], terminal = "T1", amount_suffix = "96" }
        action = [{ do = "delay", seconds = 1.5 }, { do = "decline", code = "51" }]
        then = ["drop", { do = "close", book = false }]
        times = 2
        for = "500ms"
        expect = { "52" = { present = false } }
    """
    delay = Action(do=Do.DELAY, seconds=1.5)
    assert parse(text, "f.toml") == Scenario(
        (
            Rule(
                name="n",
                title=Text("one for all", "one for all"),
                conditions=(
                    Condition(part="kind", one_of=("sale", "refund")),
                    Condition(part="41", one_of=("T1",)),
                    Condition(part="4", suffix="96"),
                ),
                steps=(
                    (delay, Action(do=Do.DECLINE, code="51")),
                    (Action(do=Do.DROP),),
                    (Action(do=Do.CLOSE, book=False),),
                ),
                expectations=(Condition(part="52", present=False),),
                times=2,
                for_s=0.5,
            ),
        ),
        Text("t", "题"),
    )


def test_a_rule_is_called_by_its_name_where_it_has_no_title() -> None:
    assert rule('action = "drop"').title == Text("a", "a")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ('action = "drop"', None),
        ('action = "drop"\nthen = ["usual"]', 1),
        ('action = "drop"\nthen = ["usual"]\ntimes = 5', 5),
        ('action = "drop"\ntimes = 5', 5),
    ],
)
def test_a_sequence_is_played_once_and_one_action_for_ever_unless_the_rule_says_how_often(
    text: str, times: int | None
) -> None:
    assert rule(text).times == times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"4" = "12.34"', Condition(part="4", one_of=("000000001234",))),
        ('"4" = 1234', Condition(part="4", one_of=("000000001234",))),
        ('"4" = "000000001234"', Condition(part="4", one_of=("000000001234",))),
        ('"4" = { from = "12.34", to = 2000 }', Condition(part="4", at_least=1234, at_most=2000)),
        ('"4" = { to = "12.34" }', Condition(part="4", at_most=1234)),
        ('"60.1" = "22"', Condition(part="60.1", one_of=("22",))),
        ('"60.1" = { in = ["22", "23"] }', Condition(part="60.1", one_of=("22", "23"))),
        ('"60.1" = { equals = "22" }', Condition(part="60.1", one_of=("22",))),
        ('"55.9F26" = { present = true }', Condition(part="55.9F26")),
        ('"2" = { prefix = "622999", suffix = "2" }', Condition(part="2", prefix="622999", suffix="2")),
        ('"13" = { from = "0101", to = "0131" }', Condition(part="13", at_least=101, at_most=131)),
        ('"63.2.1" = "x"', Condition(part="63.2.1", one_of=("x",))),
        ('mti = "0400"', Condition(part="mti", one_of=("0400",))),
        ('card = ["poor", "lost"]', Condition(part="card", one_of=("poor", "lost"))),
        ("kind = { present = false }", Condition(part="kind", present=False)),
    ],
)
def test_a_condition_is_a_value_some_values_or_a_table(text: str, expected: Condition) -> None:
    assert condition(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"decline"', Action(do=Do.DECLINE, code="05")),
        ('{ do = "decline", code = "ZZ" }', Action(do=Do.DECLINE, code="ZZ")),
        ('"approve"', Action(do=Do.APPROVE)),
        ('{ do = "approve", code = "A2", book = true }', Action(do=Do.APPROVE, code="A2", book=True)),
        ('"demand_sign_on"', Action(do=Do.DEMAND_SIGN_ON, code="77")),
        ('{ do = "demand_sign_on", by = "A0" }', Action(do=Do.DEMAND_SIGN_ON, code="A0")),
        ('{ do = "demand_sign_on", by = "header" }', Action(do=Do.DEMAND_SIGN_ON, by_header=True)),
        ('{ do = "header", digit = "4" }', Action(do=Do.HEADER, digit="4")),
        ('"malformed"', Action(do=Do.MALFORMED, form=Form.TRUNCATED)),
        ('{ do = "malformed", form = "garbage" }', Action(do=Do.MALFORMED, form=Form.GARBAGE)),
        ('"duplicate"', Action(do=Do.DUPLICATE, copies=2)),
        ('{ do = "duplicate", copies = 3 }', Action(do=Do.DUPLICATE, copies=3)),
        ('{ do = "late", seconds = 60 }', Action(do=Do.LATE, seconds=60.0)),
        ('{ do = "drop", book = false }', Action(do=Do.DROP, book=False)),
    ],
)
def test_an_action_is_a_word_or_a_table(text: str, expected: Action) -> None:
    assert rule(f"action = {text}").steps == ((expected,),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ do = "partial", percent = 50 }', Action(do=Do.PARTIAL, percent=50)),
        ('{ do = "partial", amount = "5.00" }', Action(do=Do.PARTIAL, amount_minor=500)),
    ],
)
def test_a_partial_approval_is_of_sales(text: str, expected: Action) -> None:
    assert rule(f'match = {{ kind = "sale" }}\naction = {text}').steps == ((expected,),)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        # No scenario at all.
        ("a = ", "f.toml: is not TOML: Invalid value (at end of document)"),
        ("a = " + "[" * 100_000, "f.toml: is not a scenario"),
        ("#" * 262_145, "f.toml: is longer than a scenario's 262144 characters"),
        ("\n[rules]\nx = 1", "f.toml:2: rules: no such key; did you mean rule?"),
        ("rule = 1", "f.toml:1: rule: takes an array"),
        ("rule = [\n1]", "f.toml:2: rule 1: takes a table"),
        ("title = { en = 'x' }", "f.toml:1: title: takes both en and zh"),
        ("title = { en = 'x', de = 'y' }", "f.toml:1: title.de: no such key; allowed: en, zh"),
        ("title = 5", "f.toml:1: title: takes a table"),
        ("title = ''", "f.toml:1: title: takes text"),
        ("[[rule]]\nname='a'\naction='drop'\n" * 2, 'f.toml:5: rule "a": name: an earlier rule has this name'),
        ("[[rule]]\n" * 1001, "f.toml:1: a scenario has at most 1000 rules"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(text: str, error: str) -> None:
    assert refusal(text) == error


ACTION_NAMES = ", ".join(sorted(do.value for do in Do))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        # The rule itself.
        ('action = "drop"\nnam = "b"', ":4: nam: no such key; did you mean name?"),
        ("", ": has neither action nor expect, so it does nothing"),
        ('action = "drop"\ntimes = 0', ":4: times: takes a whole number from 1 to 1000000"),
        ('action = "drop"\ntimes = true', ":4: times: takes a whole number from 1 to 1000000"),
        ('action = "drop"\ntimes = 1.5', ":4: times: takes a whole number from 1 to 1000000"),
        ('action = "drop"\nfor = 30', ":4: for: takes a time such as"),
        ('action = "drop"\nfor = "30"', ":4: for: takes a time such as"),
        ('action = "drop"\nfor = "0s"', ":4: for: takes a time such as"),
        ('action = "drop"\nfor = "25h"', ":4: for: takes a time such as"),
        ('then = ["drop"]\nexpect = { "4" = 1 }', ":3: then: needs an action before it"),
        ('action = "drop"\nthen = []', ":4: then: takes 1 to 999 actions"),
        ('action = "drop"\nthen = "drop"', ":4: then: takes an array"),
        # Actions.
        ('action = "dropp"', ":3: action: did you mean drop?"),
        ('action = "nothing at all"', f":3: action: allowed: {ACTION_NAMES}"),
        ("action = 5", ":3: action: takes a table"),
        ("action = []", ":3: action: is empty"),
        ("action = { code = '51' }", ":3: action: takes an action's name, or a table with do"),
        ("action = { do = 'drop', code = '51' }", ":3: action.code: no such key; allowed: book, do"),
        ("action = { do = 'decline', code = '5' }", ":3: action.code: takes two digits or capital letters"),
        ("action = { do = 'decline', code = '00' }", ":3: action.code: takes a code that does not approve"),
        ("action = { do = 'approve', code = '51' }", ":3: action.code: takes a code that approves all"),
        ("action = { do = 'approve', code = '10' }", ":3: action.code: takes a code that approves all"),
        ("action = { do = 'demand_sign_on', by = '51' }", ":3: action.by: allowed: 77, 99, A0, header"),
        ("action = 'header'", ":3: action: header needs digit"),
        ("action = { do = 'header', digit = '0' }", ":3: action.digit: allowed: 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (
            "action = [{ do = 'header', digit = '4' }, { do = 'demand_sign_on', by = 'header' }]",
            ":3: action: header and demand_sign_on cannot go together: both are in the header",
        ),
        ("action = { do = 'drop', book = 'no' }", ":3: action.book: takes true or false"),
        ("action = 'delay'", ":3: action: delay needs seconds"),
        ("action = { do = 'delay', seconds = '3' }", ":3: action.seconds: takes a number from 0 to 86400"),
        ("action = { do = 'delay', seconds = nan }", ":3: action.seconds: takes a number from 0 to 86400"),
        ("action = { do = 'late', seconds = -1 }", ":3: action.seconds: takes a number from 0 to 86400"),
        ("action = { do = 'duplicate', copies = 1 }", ":3: action.copies: takes a whole number from 2 to 10"),
        ("action = { do = 'malformed', form = 'x' }", ":3: action.form: allowed: garbage, truncated"),
        ("action = 'partial'", ":3: action: partial needs either amount or percent"),
        ("action = { do = 'partial', percent = 50 }", ":3: action: partial needs match.kind to be sale"),
        (
            "action = { do = 'partial', percent = 50 }\nmatch = { kind = ['sale', 'refund'] }",
            ":3: action: partial needs match.kind to be sale",
        ),
        ("action = { do = 'partial', percent = 100 }", ":3: action.percent: takes a whole number from 1 to 99"),
        ("action = { do = 'partial', amount = '5' }", ":3: action.amount: takes an amount such as"),
        # Combinations.
        ("action = ['drop', 'close']", ":3: action: drop and close cannot go together: both are the link"),
        ("action = ['usual', 'decline']", ":3: action: usual and decline cannot go together: both are the decision"),
        ("action = ['wrong_mac', 'wrong_mac']", ":3: action: wrong_mac is there twice"),
        ("action = ['drop', 'wrong_mac']", ":3: action: drop and wrong_mac cannot go together: nothing is sent"),
        (
            "action = ['close',\n{ do = 'delay', seconds = 1 }]",
            ":3: action: close and delay cannot go together: nothing is sent",
        ),
        (
            "action = ['malformed', 'wrong_stan']",
            ":3: action: malformed and wrong_stan cannot go together: nobody could read it",
        ),
        (
            "action = [{ do = 'drop', book = false }, { do = 'usual', book = true }]",
            ":3: action: book is both true and false",
        ),
        (
            "action = ['decline', { do = 'drop', book = false }]",
            ":3: action: decline books nothing, so book cannot be set",
        ),
        (
            "action = 'drop'\nthen = ['usual',\n['drop', 'close']]",
            ":5: then[2]: drop and close cannot go together: both are the link",
        ),
        # Conditions.
        ("action = 'drop'\nmatch = 'sale'", ":4: match: takes a table"),
        ("action = 'drop'\nmatch = { kin = 'sale' }", ":4: match.kin: no such key; did you mean kind?"),
        ("action = 'drop'\nmatch = { kind = 'sail' }", ":4: match.kind: did you mean sale?"),
        ("action = 'drop'\nmatch = { card = '6229990000000012' }", ":4: match.card: allowed: "),
        ("action = 'drop'\nmatch = { mti = '200' }", ":4: match.mti: takes four digits"),
        ("action = 'drop'\nmatch = { terminal = 1 }", ":4: match.terminal: takes text, such as"),
        ("action = 'drop'\nmatch = { amount_suffix = 996 }", ":4: match.amount_suffix: takes the last digits"),
        ("action = 'drop'\nmatch = { amount_suffix = '9.96' }", ":4: match.amount_suffix: takes the last digits"),
        ("action = 'drop'\nmatch = { '65' = '1' }", ":4: match.65: the dialect has no such element"),
        ("action = 'drop'\nmatch = { '4.1' = '1' }", ":4: match.4.1: the element has no parts"),
        ("action = 'drop'\nmatch = { '63.2' = '1' }", ":4: match.63.2: the element's parts are 63.1, 63.2.1"),
        ("action = 'drop'\nmatch = { '60.9' = '1' }", ":4: match.60.9: the element's parts are 60.1, 60.2"),
        ("action = 'drop'\nmatch = { '60' = { '1' = '22' } }", ":4: match.60.1: no such key; allowed: equals"),
        ("action = 'drop'\nmatch = { '11' = 5 }", ":4: match.11: takes text, such as"),
        ("action = 'drop'\nmatch = { '11' = [] }", ":4: match.11: is empty"),
        ("action = 'drop'\nmatch = { '11' = {} }", ":4: match.11: says nothing"),
        ("action = 'drop'\nmatch = { '4' = '1234' }", ":4: match.4: takes an amount such as"),
        ("action = 'drop'\nmatch = { '4' = '1.234' }", ":4: match.4: takes an amount such as"),
        ("action = 'drop'\nmatch = { '4' = -1 }", ":4: match.4: takes a whole number from 0 to"),
        ("action = 'drop'\nmatch = { '4' = true }", ":4: match.4: takes a whole number from 0 to"),
        ("action = 'drop'\nmatch = { '4' = { from = '2.00', to = '1.00' } }", ":4: match.4: from is more than to"),
        ("action = 'drop'\nmatch = { '11' = { from = 1 } }", ":4: match.11.from: takes digits as text"),
        ("action = 'drop'\nmatch = { '11' = { from = 'x' } }", ":4: match.11.from: takes digits as text"),
        (
            "action = 'drop'\nmatch = { '11' = { present = false, prefix = '1' } }",
            ":4: match.11: what is absent cannot be anything else",
        ),
        (
            "action = 'drop'\nmatch = { '11' = { equals = '1', in = ['1'] } }",
            ":4: match.11: takes either equals or in",
        ),
        ("expect = { '65' = '1' }", ":3: expect.65: the dialect has no such element"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_line_its_rule_and_its_key(text: str, error: str) -> None:
    line, _, reason = error.lstrip(":").partition(": ") if error[1].isdigit() else ("1", "", error[2:])
    assert refusal(f'[[rule]]\nname = "a"\n{text}').startswith(f'f.toml:{line}: rule "a": {reason}')


def test_a_rule_without_a_name_is_told_by_its_number() -> None:
    text = "[[rule]]\nname = 'a'\naction = 'drop'\n\n[[rule]]\naction = 'drop'"
    assert refusal(text) == "f.toml:5: rule 2: has no name"


def test_an_error_repeats_no_value_and_no_key_that_is_none() -> None:
    card = "6229990000000012"
    for text in (f"match = {{ card = '{card}' }}", f"match = {{ '{card * 4}' = 1 }}", f"action = '{card}'"):
        assert card not in refusal(f"[[rule]]\nname = 'a'\n{text}\n")


def test_every_action_has_a_row_with_both_texts() -> None:
    assert list(ACTIONS) == list(Do)
    for row in ACTIONS.values():
        assert row.title.en
        assert row.title.zh
        assert row.needs <= row.takes
    assert {row.group for row in ACTIONS.values()} == set(Group)


def test_the_ready_made_scenarios_show_every_action_and_form_in_both_languages() -> None:
    shown = [parse(path.read_text(encoding="utf-8"), path.name) for path in READY_MADE]
    actions = [each for scenario in shown for rule in scenario.rules for step in rule.steps for each in step]
    assert {each.do for each in actions} == set(Do)
    assert {each.form for each in actions if each.do is Do.MALFORMED} == set(Form)
    assert {each.book for each in actions} == {True, False, None}
    for scenario in shown:
        assert scenario.title is not None
        for text in (scenario.title, *(rule.title for rule in scenario.rules)):
            assert text.en != text.zh


def test_the_scenario_of_a_host_that_was_given_none_is_the_text_it_shows() -> None:
    assert parse(AMOUNTS_TOML, "amounts.toml") == AMOUNTS
    for each in AMOUNTS.rules:
        kind, suffix, *_ = each.conditions
        assert kind.part == "kind"
        assert set(kind.one_of or ()) <= {"sale", "refund"}
        assert suffix == Condition(part="4", suffix=each.name)
