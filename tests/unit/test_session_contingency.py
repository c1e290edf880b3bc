"""The words of a contingency plan."""

from __future__ import annotations

import pytest

from pos_engine import limits
from pos_engine.session.contingency import Act, Contingency, Step


@pytest.mark.parametrize(
    "text",
    [
        "",
        "refuse, retry 10 s",
        "retry",
        "retry 0 s",
        "retry 601 s",
        "route",
        "route somewhere",
        "wait 10 s",
        "retry 5 s,",
    ],
)
def test_what_is_no_plan_is_not_taken_for_one(text: str) -> None:
    assert Contingency.parse(text) is None


def test_a_plan_has_few_steps() -> None:
    assert Contingency.parse(", ".join(["hold 1 s"] * 9)) is None


def test_a_plan_is_written_back_in_its_words() -> None:
    text = "retry 15 s, route tcp://backup.example:9000, hold 60s"
    plan = Contingency.parse(text)
    assert str(plan) == "retry 15 s, route tcp://backup.example:9000, hold 60 s, refuse"
    assert Contingency.parse("refuse") == Contingency()


def test_a_plan_is_read_step_by_step() -> None:
    plan = Contingency.parse("retry 15 s, route tcp://backup.example:9000, hold 60s, refuse")
    assert plan is not None
    assert plan.steps == (
        Step(Act.RETRY, 15.0),
        Step(Act.ROUTE, address="tcp://backup.example:9000"),
        Step(Act.HOLD, 60.0),
    )


def test_steps_may_be_as_many_and_as_long_as_the_limits_say() -> None:
    longest = f"hold {limits.CONTINGENCY_STEP_MAX_S:g} s"
    plan = Contingency.parse(", ".join([longest] * limits.CONTINGENCY_STEPS_MAX))
    assert plan is not None
    assert len(plan.steps) == limits.CONTINGENCY_STEPS_MAX
    assert str(Step(Act.REFUSE)) == "refuse"


def test_the_shortest_step_is_a_second() -> None:
    assert Contingency.parse("retry 1 s") == Contingency((Step(Act.RETRY, 1.0),))
