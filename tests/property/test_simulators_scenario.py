"""Any scenario that loads can be played: the host raises for none, and the same requests always meet the same rules."""

from __future__ import annotations

import contextlib
import json
import tomllib
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Draft, Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import ConfigError
from pos_engine.wire.message import Message
from simulators.acquirer import Acquirer, Fate
from simulators.scenario import Rule, Scenario, parse
from simulators.scenario.lines import lines_of
from tests.support.host_client import HostClient, counting_entropy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.scenario.lines import Path

KEYS = ("name", "title", "match", "action", "then", "times", "for", "expect", "do", "code", "book", "by", "seconds")
PARTS = ("4", "11", "22", "35", "41", "48.1", "52", "55.9F26", "60", "60.1", "60.6", "61.2", "62.1", "63.1")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([*KEYS, *PARTS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(KEYS), inner),
    max_leaves=8,
)

BOOK = st.sampled_from([{}, {"book": True}, {"book": False}])
DECISIONS = st.one_of(
    st.just({"do": "usual"}),
    st.builds(lambda code: {"do": "approve", "code": code}, st.sampled_from(["00", "11", "A2"])),
    st.builds(lambda code: {"do": "decline", "code": code}, st.sampled_from(["05", "25", "51", "68", "ZZ"])),
    st.builds(lambda by: {"do": "demand_sign_on", "by": by}, st.sampled_from(["77", "99", "A0", "header"])),
    st.builds(lambda digit: {"do": "header", "digit": digit}, st.sampled_from("123456789")),
    st.builds(lambda percent: {"do": "partial", "percent": percent}, st.integers(1, 99)),
)
CONTENTS = st.one_of(
    st.sampled_from([{"do": name} for name in ("wrong_mac", "wrong_stan", "wrong_amount")]),
    st.sampled_from([{"do": "malformed", "form": form} for form in ("truncated", "garbage")]),
)
SILENCES = st.sampled_from([{"do": "drop"}, {"do": "close"}])
TIMES = st.builds(lambda do, s: {"do": do, "seconds": s}, st.sampled_from(["delay", "late"]), st.integers(0, 90))
COPIES = st.builds(lambda copies: {"do": "duplicate", "copies": copies}, st.integers(2, 10))
# At most one of each group, as a file would have them; what makes no sense all the same is left to the loader.
GROUPS = (DECISIONS, CONTENTS, TIMES, COPIES)
ANSWERED = st.tuples(*(st.none() | group for group in GROUPS)).map(lambda drawn: [each for each in drawn if each])
ACTIONS = st.one_of(
    st.builds(lambda one, book: [one | book], DECISIONS | CONTENTS | SILENCES | TIMES | COPIES, BOOK),
    st.builds(lambda decision, silence: [decision, silence], DECISIONS, SILENCES),
    ANSWERED.filter(bool),
)
CONDITIONS = st.dictionaries(
    st.sampled_from(PARTS), st.sampled_from([{"present": True}, {"present": False}, {"prefix": "0"}, {"suffix": "1"}])
)
MATCHES = CONDITIONS | st.sampled_from([{"kind": "sale"}, {"kind": ["reversal"]}, {"card": "poor"}, {"mti": "0800"}])
RULES = st.fixed_dictionaries(
    {"action": ACTIONS},
    optional={
        "match": MATCHES,
        "then": st.lists(ACTIONS, min_size=1, max_size=2),
        "times": st.integers(1, 3),
        "for": st.sampled_from(["500ms", "2s", "1m"]),
        "expect": CONDITIONS,
    },
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["sale", "again", "reversal", "sign-on"]), st.integers(1, 3_000), st.integers(0, 40)),
    max_size=12,
)


def written(value: Any) -> str:  # noqa: ANN401 - whatever TOML can hold
    """Write a value as TOML does inline; JSON's numbers, truth values and plain strings are TOML's."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {written(inner)}" for key, inner in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def document(rules: list[dict[str, Any]]) -> str:
    lines = []
    for place, rule in enumerate(rules):
        lines += [
            "[[rule]]",
            f'name = "{place}"',
            *(f"{json.dumps(key, ensure_ascii=False)} = {written(rule[key])}" for key in rule),
        ]
    return "\n".join(lines)


def loaded(rules: list[dict[str, Any]]) -> Scenario:
    """Load the rules that make sense, one by one; only sales can be approved in part."""
    made: list[Rule] = []
    for rule in rules:
        sale = {"kind": "sale"} if "partial" in written(rule) else {}
        with contextlib.suppress(ConfigError):
            made += parse(document([rule | {"match": rule.get("match", {}) | sale}]), "f.toml").rules
    return Scenario(tuple(made))


@given(st.text() | st.builds(document, st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES), max_size=3)))
@example("[[rule]]\nname = 'a'\naction = 'drop'\nmatch = { '11' = { from = '" + "9" * 5_000 + "' } }")
@example("a = " + "[" * 400 + "]" * 400)
def test_any_text_is_a_scenario_or_one_error_of_one_line_that_names_the_file(text: str) -> None:
    refused = None
    try:
        parse(text, "f.toml")
    except ConfigError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith("f.toml")
        assert "\n" not in refused


def places(value: Any, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - whatever TOML can hold
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


KEY_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
LEAVES = st.booleans() | st.integers(-9, 9) | KEY_TEXTS | st.sampled_from(["}", "]", ",", "#", "[[x]]"])
TREES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY_TEXTS, inner, max_size=3), max_leaves=10
)


@given(st.lists(st.dictionaries(KEY_TEXTS.filter(lambda key: key != "name"), TREES, max_size=3), max_size=3))
def test_everything_that_can_stand_in_a_document_has_its_line(rules: list[dict[str, Any]]) -> None:
    # JSON writes DEL as it is, which TOML does not allow.
    text = document(rules).replace("\x7f", "\\u007f")
    assert set(lines_of(text)) | {("rule",)} == set(places(tomllib.loads(text))) | {("rule",)}


class Theatre:
    """A host that plays a scenario to one terminal, and what it told of each request."""

    def __init__(self, scenario: Scenario) -> None:
        self.clock = ManualClock()
        self.told: list[dict[str, object]] = []
        self.acquirer = Acquirer(entropy=counting_entropy(), scenario=Scenario())
        self.client = HostClient(self._exchange)
        self.client.sign_on()
        self.acquirer.stage(scenario)

    def ask(self, message: Message, *, sealed: bool = True) -> None:
        """Send a request; whatever comes back is nobody's concern here."""
        self._exchange(self.client.payload(message, sealed=sealed))

    def sign_on(self) -> None:
        """Ask for new keys, and go on with the old ones."""
        identity, row = self.client.identity, UNIONPAY.kinds[Kind.SIGN_ON]
        draft = Draft(row=row, identity=identity, stan=self.client.next_stan(), batch=self.client.batch)
        self.ask(Message(row.mti, UNIONPAY.compose(draft)), sealed=False)

    def _exchange(self, payload: bytes) -> bytes | None:
        reply = self.acquirer.handle(payload, self.clock.now())
        assert (reply.data is not None) == (reply.fate is Fate.SEND)
        assert sum(self.acquirer.ledger.balances().values()) == 0
        sent = {"data": reply.data, "after_s": reply.after_s, "copies": reply.copies, "follows": reply.follows}
        self.told.append(reply.event.as_dict() | sent)
        return reply.data


def play(scenario: Scenario, steps: list[tuple[str, int, int]]) -> list[dict[str, object]]:
    """Let a terminal do some things; return what the host told of each."""
    theatre = Theatre(scenario)
    sale = theatre.client.sale(100)
    for what, amount, seconds in steps:
        if what == "sale":
            sale = theatre.client.sale(amount)
        if what == "sign-on":
            theatre.sign_on()
        else:
            theatre.ask(theatre.client.reversal(sale) if what == "reversal" else sale)
        theatre.clock.advance(seconds)
    assert theatre.acquirer.play.failed == sum("failed" in told for told in theatre.told)
    return theatre.told


@given(st.lists(RULES, max_size=4), STEPS)
def test_no_scenario_makes_the_host_raise_and_the_same_requests_meet_the_same_rules(
    rules: list[dict[str, Any]], steps: list[tuple[str, int, int]]
) -> None:
    scenario = loaded(rules)
    assert play(scenario, steps) == play(scenario, steps)


def test_what_is_written_here_is_read_as_it_was_meant() -> None:
    rule = {"match": {"60.1": {"prefix": "0"}, "kind": ["sale"]}, "action": [{"do": "delay", "seconds": 3}], "times": 2}
    assert tomllib.loads(document([rule])) == {"rule": [{"name": "0", **rule}]}
    assert len(loaded([rule, {"action": [{"do": "drop"}, {"do": "close"}]}]).rules) == 1
