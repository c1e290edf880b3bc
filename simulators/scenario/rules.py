"""A scenario: rules tried in order, of which the first that is in force and meets the request decides. No chance in it.

Scenarios are data and never change. What they have come to - how often a rule was met, since when, which expectations
failed - is one `Play`, which belongs to one host and depends on nothing but the requests and the clock it is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simulators.scenario.rulings import USUAL, Ruling

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.values import Text
    from simulators.scenario.actions import Action
    from simulators.scenario.conditions import Condition, Facts

FAILURES_MAX: Final = 1_000
"""Failed expectations that a play remembers, the newest ones; the count goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `steps` are played one after another, one for each request that it meets."""

    name: str
    title: Text
    conditions: tuple[Condition, ...] = ()
    steps: tuple[tuple[Action, ...], ...] = ((),)
    expectations: tuple[Condition, ...] = ()
    times: int | None = None
    """How often all its steps are played; `None`: without end."""
    for_s: float | None = None
    """Seconds for which it is in force, counted from the first request it met."""

    def meets(self, facts: Facts) -> bool:
        """Tell whether a request meets every condition."""
        return all(condition.holds(facts) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rules in the order in which they are tried."""

    rules: tuple[Rule, ...] = ()
    title: Text | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not as a rule expected; it says which parts, never what was in them."""

    rule: str
    parts: tuple[str, ...]
    terminal: str
    stan: str

    def __str__(self) -> str:
        """Say it in one line."""
        parts = ", ".join(self.parts)
        return f'rule "{self.rule}": STAN {self.stan} of terminal {self.terminal}: not as expected: {parts}'


@dataclass(slots=True)
class _Course:
    """How far one rule has come."""

    met: int = 0
    since: Instant | None = None


@dataclass(slots=True)
class Play:
    """A scenario being played."""

    scenario: Scenario
    failed: int = 0
    """Requests that were not as expected."""
    _courses: list[_Course] = field(default_factory=list)
    _failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=FAILURES_MAX))

    def __post_init__(self) -> None:
        """Begin: no rule has met a request."""
        self._courses = [_Course() for _ in self.scenario.rules]

    def meet(self, facts: Facts, now: Instant) -> Ruling:
        """Find the rule for a request, count it, check what it expects, and return what is to be done."""
        for rule, course in zip(self.scenario.rules, self._courses, strict=True):
            if _in_force(rule, course, now) and rule.meets(facts):
                return self._play(rule, course, facts, now)
        return USUAL

    def met(self, name: str) -> int:
        """Count the requests that the rule of this name has met; `KeyError` when there is none."""
        for rule, course in zip(self.scenario.rules, self._courses, strict=True):
            if rule.name == name:
                return course.met
        raise KeyError(name)

    def failures(self) -> tuple[Failure, ...]:
        """Return the failed expectations, oldest first."""
        return tuple(self._failures)

    def _play(self, rule: Rule, course: _Course, facts: Facts, now: Instant) -> Ruling:
        actions = rule.steps[course.met % len(rule.steps)]
        course.met += 1
        course.since = course.since or now
        failed = tuple(each.part for each in rule.expectations if not each.holds(facts))
        if failed:
            self.failed += 1
            message = facts.message
            self._failures.append(Failure(rule.name, failed, message.get(41, ""), message.get(11, "")))
        return Ruling(rule.name, rule.title, actions, failed)


def _in_force(rule: Rule, course: _Course, now: Instant) -> bool:
    """Tell whether a rule is neither spent nor over; across a reboot nobody knows the time, so it is over."""
    if rule.times is not None and course.met >= rule.times * len(rule.steps):
        return False
    if rule.for_s is None or course.since is None:
        return True
    passed_s = now.since(course.since)
    return passed_s is not None and passed_s < rule.for_s
