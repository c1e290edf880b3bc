"""A scenario read from TOML text. What is unknown, of a wrong type or impossible is one `ConfigError` with its place.

    title = "..."                          optional, as everywhere: one text, or { en = "...", zh = "..." }

    [[rule]]                               tried in order; the first in force that meets the request decides
    name = "lost answer"                   unique
    title = { en = "...", zh = "..." }     optional
    match = { kind = "sale", "4" = { from = "10.00" } }      all must hold; without it, every request
    action = { do = "close", book = true } one action, or an array of several
    then = [["delay", ...], "usual"]       what the next requests get, one after another
    times = 2                              how often all of that is played; once when there is a `then`, else for ever
    for = "30s"                            the rule ends so long after the first request it met
    expect = { "22" = { prefix = "05" } }  what must hold of the requests it meets; else they are on record as failed

A condition is a value, an array of values, or a table of equals, in, prefix, suffix, from, to and present.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from pos_engine.dialects.base import NO_REQUESTS, Kind, Verdict
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import ConfigError, UsageError
from pos_engine.limits import AMOUNT_MINOR_MAX
from pos_engine.values import Amount
from simulators.cards import CARDS
from simulators.scenario import actions as acting
from simulators.scenario.actions import ACTIONS, Action, Do, Form
from simulators.scenario.conditions import CARD, KIND, MTI, Condition
from simulators.scenario.lines import lines_of
from simulators.scenario.rules import Rule, Scenario
from simulators.scenario.rulings import PARTIAL_KINDS
from simulators.scenario.source import Node

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pos_engine.dialects.base import Dialect

TEXT_CHARACTERS_MAX: Final = 262_144
"""A scenario is some pages of text; a longer file is another file."""
RULES_MAX: Final = 1_000
"""Rules are tried one after another for every request."""
STEPS_MAX: Final = 1_000
TIMES_MAX: Final = 1_000_000
SECONDS_MAX: Final = 86_400.0
"""A day: the longest delay, and the longest time a rule is in force."""
COPIES_MAX: Final = 10

RULE_KEYS: Final = frozenset({"name", "title", "match", "action", "then", "times", "for", "expect"})
TESTS: Final = frozenset({"equals", "in", "prefix", "suffix", "from", "to", "present"})
AMOUNT: Final = "4"
AMOUNT_SUFFIX: Final = "amount_suffix"
TERMINAL: Final = "terminal"
TERMINAL_ID: Final = "41"
WORDS: Final = frozenset({MTI, KIND, CARD, TERMINAL, AMOUNT_SUFFIX})
"""Keys of `match` and `expect` that are words; every other one is the number of a data element or of a part of one."""
VARIABLE: Final = frozenset({48, 54, 55, 57, 58, 59, 62})
"""Elements whose parts depend on the message, so that no list of them could be held against a file."""
KINDS: Final = frozenset(kind.value for kind in Kind if kind not in NO_REQUESTS)

_PART: Final = re.compile(r"([1-9][0-9]{0,2})((?:\.[0-9A-Z]{1,8}){0,3})")
_FIGURES: Final = re.compile(r"[0-9]{1,12}")
_DIGITS: Final = re.compile(r"[0-9]{1,99}")
_MTI: Final = re.compile(r"[0-9]{4}")
_CODE: Final = re.compile(r"[0-9A-Z]{2}")
_TIME: Final = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(text: str, name: str, *, dialect: Dialect = UNIONPAY, cards: Collection[str] = CARDS.keys()) -> Scenario:
    """Read a scenario; `name` stands for its file in errors. Raises `ConfigError`, and nothing else for any text."""
    node = _document(text, name)
    inner = node.table({"title", "rule"})
    reader = _Reader(dialect, cards)
    rules = inner["rule"].items() if "rule" in inner else []
    if len(rules) > RULES_MAX:
        reason = f"a scenario has at most {RULES_MAX} rules"
        raise node.refuse(reason)
    title = inner["title"].text() if "title" in inner else None
    return Scenario(_distinct([(each, reader.rule(each)) for each in rules]), title)


def _document(text: str, name: str) -> Node:
    if len(text) > TEXT_CHARACTERS_MAX:
        reason = f"{name}: is longer than a scenario's {TEXT_CHARACTERS_MAX} characters"
        raise ConfigError(reason)
    document: dict[str, Any] = {}
    reason = ""
    try:
        document = tomllib.loads(text)
        return Node(name, lines_of(text), document)
    except tomllib.TOMLDecodeError as error:
        reason = f"{name}: is not TOML: {error}"
    except (RecursionError, ValueError):
        reason = f"{name}: is not a scenario"
    raise ConfigError(reason)


def _distinct(rules: list[tuple[Node, Rule]]) -> tuple[Rule, ...]:
    names: set[str] = set()
    for node, rule in rules:
        if rule.name in names:
            reason = "an earlier rule has this name"
            raise node.table()["name"].named(rule.name).refuse(reason)
        names.add(rule.name)
    return tuple(rule for _, rule in rules)


class _Reader:
    """Reads rules for one dialect and one set of cards."""

    def __init__(self, dialect: Dialect, cards: Collection[str]) -> None:
        self._dialect = dialect
        self._cards = cards

    def rule(self, node: Node) -> Rule:
        inner = node.table()
        if "name" not in inner:
            reason = "has no name"
            raise node.refuse(reason)
        name = inner["name"].string()
        inner = node.named(name).table(RULE_KEYS)
        steps = self._steps(inner)
        rule = Rule(
            name=name,
            title=inner["title"].text() if "title" in inner else inner["name"].text(),
            conditions=self._conditions(inner["match"]) if "match" in inner else (),
            steps=steps,
            expectations=self._conditions(inner["expect"]) if "expect" in inner else (),
            times=_times(inner, len(steps)),
            for_s=_duration(inner["for"]) if "for" in inner else None,
        )
        _refuse_misfits(node.named(name), inner, rule)
        return rule

    def _steps(self, inner: Mapping[str, Node]) -> tuple[tuple[Action, ...], ...]:
        first = self._step(inner["action"]) if "action" in inner else ()
        if "then" not in inner:
            return (first,)
        if not first:
            reason = "needs an action before it"
            raise inner["then"].refuse(reason)
        following = inner["then"].items()
        if not 0 < len(following) < STEPS_MAX:
            reason = f"takes 1 to {STEPS_MAX - 1} actions"
            raise inner["then"].refuse(reason)
        return (first, *map(self._step, following))

    def _step(self, node: Node) -> tuple[Action, ...]:
        actions = tuple(self._action(each) for each in node.one_or_more())
        why = acting.contradiction(actions)
        if why:
            raise node.refuse(why)
        return actions

    def _action(self, node: Node) -> Action:
        if isinstance(node.value, str):
            do, inner = Do(node.choice({do.value for do in Do})), {}
        else:
            said = node.table()
            if "do" not in said:
                reason = "takes an action's name, or a table with do"
                raise node.refuse(reason)
            do = Do(said["do"].choice({do.value for do in Do}))
            inner = node.table(ACTIONS[do].takes | {"do"})
        lacking = ACTIONS[do].needs - set(inner)
        if lacking:
            reason = f"{do.value} needs {', '.join(sorted(lacking))}"
            raise node.refuse(reason)
        return self._spoken(node, do, inner)

    def _spoken(self, node: Node, do: Do, inner: Mapping[str, Node]) -> Action:
        """Make an action of what is said about it."""
        by = inner["by"].choice((*acting.DEMAND_CODES, acting.BY_HEADER)) if "by" in inner else acting.DEMAND_CODES[0]
        code = self._code(inner["code"], do) if "code" in inner else None
        if do is Do.PARTIAL and len(inner.keys() & {"amount", "percent"}) != 1:
            reason = "partial needs either amount or percent"
            raise node.refuse(reason)
        if do is Do.DEMAND_SIGN_ON and by != acting.BY_HEADER:
            code = by
        elif do is Do.DECLINE and code is None:
            code = acting.DECLINE_CODE
        return Action(
            do=do,
            code=code,
            book=inner["book"].truth() if "book" in inner else None,
            amount_minor=_minor(inner["amount"]) if "amount" in inner else None,
            percent=inner["percent"].whole(1, acting.PERCENT - 1) if "percent" in inner else None,
            seconds=inner["seconds"].number(0, SECONDS_MAX) if "seconds" in inner else 0.0,
            copies=inner["copies"].whole(acting.COPIES, COPIES_MAX) if "copies" in inner else acting.COPIES,
            form=Form(inner["form"].choice({form.value for form in Form})) if "form" in inner else Form.TRUNCATED,
            by_header=do is Do.DEMAND_SIGN_ON and by == acting.BY_HEADER,
            digit=inner["digit"].choice(acting.DIGITS) if "digit" in inner else None,
        )

    def _code(self, node: Node, do: Do) -> str:
        code = node.string()
        if not _CODE.fullmatch(code):
            reason = "takes two digits or capital letters"
            raise node.refuse(reason)
        approval = self._dialect.meaning(code).verdict is Verdict.APPROVAL
        if do is Do.APPROVE and (not approval or code == acting.PARTIALLY_APPROVED):
            reason = "takes a code that approves all that was asked for"
            raise node.refuse(reason)
        if do is Do.DECLINE and approval:
            reason = "takes a code that does not approve"
            raise node.refuse(reason)
        return code

    def _conditions(self, node: Node) -> tuple[Condition, ...]:
        return tuple(self._condition(key, inner) for key, inner in node.table().items())

    def _condition(self, key: str, node: Node) -> Condition:
        if key == AMOUNT_SUFFIX:
            return Condition(part=AMOUNT, suffix=_figures(node))
        part = TERMINAL_ID if key == TERMINAL else self._part(key, node)
        if not isinstance(node.value, dict):
            return Condition(part=part, one_of=self._values(part, node))
        inner = node.table(TESTS)
        present = inner["present"].truth() if "present" in inner else True
        if not inner or (not present and len(inner) > 1):
            reason = "says nothing" if not inner else "what is absent cannot be anything else"
            raise node.refuse(reason)
        if "equals" in inner and "in" in inner:
            reason = "takes either equals or in"
            raise node.refuse(reason)
        values = inner.get("equals") or inner.get("in")
        low, high = _range(part, node, inner)
        return Condition(
            part=part,
            one_of=self._values(part, values) if values is not None else None,
            prefix=inner["prefix"].string() if "prefix" in inner else None,
            suffix=inner["suffix"].string() if "suffix" in inner else None,
            at_least=low,
            at_most=high,
            present=present,
        )

    def _part(self, key: str, node: Node) -> str:
        """Check that the dialect has such a part."""
        if key in WORDS:
            return key
        match = _PART.fullmatch(key)
        if match is None:
            raise node.unknown(key, {*WORDS, "4", "60.1"})
        number, inner = int(match[1]), match[2] != ""
        layout = self._dialect.layouts.get(number)
        if number not in self._dialect.spec.fields:
            reason = "the dialect has no such element"
            raise node.refuse(reason)
        if inner and layout is None and number not in VARIABLE:
            reason = "the element has no parts"
            raise node.refuse(reason)
        if inner and layout is not None and key not in {column.key for column in layout.columns}:
            reason = f"the element's parts are {', '.join(column.key for column in layout.columns)}"
            raise node.refuse(reason)
        return key

    def _values(self, part: str, node: Node) -> tuple[str, ...]:
        return tuple(self._value(part, each) for each in node.one_or_more())

    def _value(self, part: str, node: Node) -> str:
        if part == AMOUNT:
            return f"{_minor(node):012d}"
        if part == KIND:
            return node.choice(KINDS)
        if part == CARD:
            return node.choice(self._cards)
        value = node.string('takes text, such as "22"')
        if part == MTI and not _MTI.fullmatch(value):
            reason = "takes four digits"
            raise node.refuse(reason)
        return value


def _times(inner: Mapping[str, Node], steps: int) -> int | None:
    if "times" in inner:
        return inner["times"].whole(1, TIMES_MAX)
    return 1 if steps > 1 else None


def _refuse_misfits(node: Node, inner: Mapping[str, Node], rule: Rule) -> None:
    """Refuse what makes no sense together with the rest of its rule."""
    if "action" not in inner and not rule.expectations:
        reason = "has neither action nor expect, so it does nothing"
        raise node.refuse(reason)
    if not any(action.do is Do.PARTIAL for step in rule.steps for action in step):
        return
    kinds = next((set(each.one_of or ()) for each in rule.conditions if each.part == KIND), set())
    grantable = {kind.value for kind in PARTIAL_KINDS}
    if not kinds or not kinds <= grantable:
        reason = f"partial needs match.kind to be {' or '.join(sorted(grantable))}"
        raise inner["action"].refuse(reason)


def _duration(node: Node) -> float:
    takes = 'takes a time such as "30s", "1.5s", "500ms" or "2m", at most a day'
    match = _TIME.fullmatch(node.string(takes))
    seconds = float(match[1]) * _UNITS_S[match[2]] if match is not None else 0.0
    if not 0 < seconds <= SECONDS_MAX:
        raise node.refuse(takes)
    return seconds


def _minor(node: Node) -> int:
    """Read an amount: "12.34", all twelve digits of the element, or a count of the smallest unit."""
    if isinstance(node.value, int):
        return node.whole(0, AMOUNT_MINOR_MAX)
    takes = 'takes an amount such as "12.34", or a count of fen'
    words = node.string(takes)
    if len(words) == len(str(AMOUNT_MINOR_MAX)) and _FIGURES.fullmatch(words):
        return int(words)
    amount: Amount | None = None
    if "." in words:
        try:
            amount = Amount.parse(words)
        except UsageError:
            amount = None
    if amount is None:
        raise node.refuse(takes)
    return amount.minor


def _figures(node: Node) -> str:
    takes = 'takes the last digits of an amount, such as "996"'
    words = node.string(takes)
    if not _FIGURES.fullmatch(words):
        raise node.refuse(takes)
    return words


def _range(part: str, node: Node, inner: Mapping[str, Node]) -> tuple[int | None, int | None]:
    """Read the bounds of a range, either of which may be missing."""
    bounds = {key: _bound(part, inner[key]) for key in ("from", "to") if key in inner}
    if len(bounds) > 1 and bounds["from"] > bounds["to"]:
        reason = "from is more than to"
        raise node.refuse(reason)
    return bounds.get("from"), bounds.get("to")


def _bound(part: str, node: Node) -> int:
    if part == AMOUNT:
        return _minor(node)
    takes = 'takes digits as text, such as "0100"'
    words = node.string(takes)
    if not _DIGITS.fullmatch(words):
        raise node.refuse(takes)
    return int(words)
