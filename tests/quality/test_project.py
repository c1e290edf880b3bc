"""The project's own files agree with each other: what is declared, pinned, installed, run and promised."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest

from tests.quality.tree import ROOT, tracked

DECLARED: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?([<>=!~].*)?")
EXTRAS = {"sim", "swarm", "hsm", "printer", "report"}


def _lines(path: str) -> list[str]:
    return [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]


def _name(requirement: str) -> str:
    found = REQUIREMENT.fullmatch(requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[1]).lower()


def test_there_are_exactly_the_five_extras() -> None:
    assert set(DECLARED["project"]["optional-dependencies"]) == EXTRAS


def test_the_requirements_file_says_what_the_development_group_says() -> None:
    assert _lines("requirements/dev.txt") == DECLARED["dependency-groups"]["dev"]


def test_every_constraint_is_a_name_and_a_version() -> None:
    pin = re.compile(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+")
    assert [line for line in _lines("constraints.txt") if not pin.fullmatch(line)] == []


def test_everything_that_make_installs_is_pinned() -> None:
    wanted = [
        *DECLARED["build-system"]["requires"],
        *DECLARED["project"]["dependencies"],
        *DECLARED["dependency-groups"]["dev"],
        *_lines("requirements/mutants.txt"),
    ]
    pinned = {_name(line.partition("==")[0]) for line in _lines("constraints.txt")}
    assert {_name(requirement) for requirement in wanted} - pinned == set()


def test_every_dependency_has_its_reason_on_record() -> None:
    record = (ROOT / "docs/decisions/0001-dependencies.md").read_text().lower()
    wanted = [*DECLARED["project"]["dependencies"], *DECLARED["dependency-groups"]["dev"]]
    assert [_name(requirement) for requirement in wanted if _name(requirement) not in record] == []


def test_every_rule_that_ruff_ignores_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    rules = [line for line in text.splitlines() if re.match(r'    "[A-Z]+[0-9]*",', line)]
    assert rules
    assert [line for line in rules if not re.search(r"# \w.*", line)] == []


@pytest.mark.parametrize("target", ["demo", "test", "lint", "coverage", "bench", "mutants", "clean"])
def test_make_has_the_targets_that_people_are_told_about(target: str) -> None:
    assert re.search(rf"^{target}:.*## \w", MAKEFILE, re.MULTILINE)


def test_the_readme_names_the_commands_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci/run").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert re.search(r"^(?:exec )?make test$", ci, re.MULTILINE)
    assert re.search(r"^make lint$", ci, re.MULTILINE)
    assert "POS_ENGINE_REQUIRE_ALL=1" in ci


def test_ci_can_be_started() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_packages_say_that_they_are_typed() -> None:
    assert {"pos_engine/py.typed", "simulators/py.typed"} <= set(tracked())


def test_the_decisions_are_all_in_their_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    records = [path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")]
    assert records
    assert [name for name in records if f"({name})" not in index] == []


def test_the_changelog_has_room_for_the_next_change() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
