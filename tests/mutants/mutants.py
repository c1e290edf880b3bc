"""Change the engine's decisions in small ways and see whether a test notices; print a score for each module.

    python -m tests.mutants.mutants [folder]

mutmut makes the changes and runs, for each, the tests that reach the changed function. It works on a copy of the
project in the folder (`build/mutants`), whose state makes a run that was stopped go on where it was. When a test has
changed since, the changes that nobody noticed are tried again.

What counts: every change to the body of a function, method or property. What does not: the text of errors and the case
of letters in SQL, by rule (`UNMUTATED`, `SQL`), and the changes listed in `equivalent.toml`, each with the reason why
nobody could notice it. An entry of that list that no longer matches an unnoticed change is a failure, so that the list
stays as short as it can be.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
SCORE_MIN: Final = 90.0
"""Per cent of the counted changes that a test must notice, in each group."""

GROUPS: Final = {
    "flow": ("pos_engine/flow/*.py",),
    "journal": ("pos_engine/journal/*.py",),
    "session": ("pos_engine/session/*.py",),
}
TESTS: Final = (
    "tests/unit/test_flow_*.py",
    "tests/unit/test_journal_*.py",
    "tests/unit/test_session_*.py",
    "tests/conformance/test_journals.py",
)
"""Fast tests of these groups: one that takes seconds would run thousands of times."""
SLOW: Final = (
    "kill_9",
    "killed_at_any_step",
    "last_stan_that_is_left",
    "program_that_holds_the_file",
    "no_answer_however_damaged",
    "every_cut_is_refused",
    "every_flipped_byte",
    "whatever_statement_fails",
    "planted_secret",
    "what_is_shredded_is_gone",
    "another_process_reads",
    "another_process_trades",
    "after_a_write_that_failed_nothing",
    "on_a_full_disk",
    "the_page_about_signing_on",
    "ninety_days",
)
"""Tests among them that take seconds, start a process or read the documents, by a part of their names."""
ALONGSIDE: Final = ("tests/conftest.py", "tests/support/*.py")
UNMUTATED: Final = (
    r"^\s+reason = ",
    r"^\s+raise \w+\(reason\)",
    r"^\s+raise _unexpected\(",
    r"^\s+(failure =|return) JournalFault\(",
    r"^\s+return f?\".* keep it as evidence\"",
    r"^\s+f?\"[^\"]* [^\"]*\"$",
    r"\bwritten (<|=|\+=) ",
)
"""Lines that only make the text of an error; and the loop of `reserve`, which would write for minutes."""
SQL: Final = re.compile(r"execute(many)?\(|_rows\(|_first\(|_copy_log\(|_pragma\(|AND c\.seq|PRAGMA|SELECT|WHERE")
"""Lines that hold a statement for SQLite, to which the case of letters is all one."""
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A wrong loop may write for ever: no file of a run grows beyond this, and its time is limited too."""
NOTICED: Final = frozenset({"killed", "timeout", "segfault"})
UNTRIED: Final = "not checked"

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where, which line became which, and what came of it."""

    name: str
    module: str
    where: str
    was: str
    becomes: str
    status: str
    seconds: float

    @property
    def key(self) -> Key:
        """What `equivalent.toml` knows it by; its name changes with the function."""
        return self.module, self.where, self.was, self.becomes

    @property
    def is_text(self) -> bool:
        """Whether it only took the text of an error away, or changed the case of letters in a statement for SQLite."""
        is_case = self.was.casefold() == self.becomes.casefold() and SQL.search(self.was) is not None
        return is_case or self.was.startswith("reason = ")


def _copy(source: Path, target: Path, text: str) -> None:
    """Write a file of the copy, unless it is there: mutmut goes by the time of the last change."""
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    shutil.copymode(source, target)


def plain_properties(text: str) -> str:
    """Write `@property` as a call beside a method, because mutmut leaves decorated functions alone."""
    lines = text.splitlines()
    inserted: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(text)):
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            decorators = [ast.unparse(each) for each in getattr(method, "decorator_list", ())]
            if not isinstance(method, ast.FunctionDef) or decorators != ["property"]:
                continue
            lines[method.decorator_list[0].lineno - 1] = ""
            at = method.lineno - 1
            lines[at] = lines[at].replace(f"def {method.name}(", f"def _property_{method.name}(", 1)
            indent = " " * method.col_offset
            inserted.append(
                (method.end_lineno or method.lineno, f"{indent}{method.name} = property(_property_{method.name})")
            )
    for place, line in sorted(inserted, reverse=True):
        lines.insert(place, line)
    return "\n".join(lines) + "\n"


def prepare(work: Path) -> str:
    """Bring the copy up to date; returns a digest of its tests."""
    wanted = {path for package in ("pos_engine", "simulators") for path in (ROOT / package).rglob("*.py")}
    wanted |= {path for pattern in (*TESTS, *ALONGSIDE) for path in ROOT.glob(pattern)}
    targets = {path for patterns in GROUPS.values() for pattern in patterns for path in ROOT.glob(pattern)}
    digest = hashlib.sha256(repr((TESTS, SLOW, UNMUTATED)).encode())
    for path in sorted(wanted):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        _copy(path, work / name, plain_properties(text) if path in targets else text)
        if name.parts[0] == "tests":
            digest.update(f"{name}\n{text}".encode())
    for data in ROOT.glob("pos_engine/**/py.typed"):
        shutil.copy2(data, work / data.relative_to(ROOT))
    for path in [*work.glob("tests/**/*.py"), *work.glob("pos_engine/**/*.py")]:
        if ROOT / path.relative_to(work) not in wanted:
            path.unlink()
    for path in targets:
        changed = work / "mutants" / path.relative_to(ROOT)
        if not changed.with_name(f"{path.name}.meta").exists():
            # A file that was no target until now was only copied there, and would be taken for done.
            changed.unlink(missing_ok=True)
    shutil.rmtree(work / "mutants/tests", ignore_errors=True)
    # It is on Python's path, which passes over for good what was no folder when it looked first.
    (work / "mutants").mkdir(exist_ok=True)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    _copy(ROOT / "pyproject.toml", work / "pyproject.toml", project + _configuration())
    return digest.hexdigest()


def _configuration() -> str:
    """Mutmut's part of the copy's `pyproject.toml`; a list of strings in JSON is one in TOML."""
    settings = {
        "source_paths": ["pos_engine", "simulators"],
        "only_mutate": [pattern for patterns in GROUPS.values() for pattern in patterns],
        "do_not_mutate_patterns": list(UNMUTATED),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::SyntaxWarning"],
        "pytest_add_cli_args_test_selection": ["tests", "-k", " and ".join(f"not {name}" for name in SLOW)],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["", "[tool.mutmut]", *lines, "use_git_change_detection = false", ""])


def run(work: Path, *names: str) -> None:
    """Let mutmut try the changes that were not tried yet, or those that are named."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "quick", "PYTHONPATH": str(work / "mutants")}
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "run", *names]
    done = subprocess.run(command, cwd=work, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def results(work: Path) -> list[Mutant]:
    """Read what came of every change."""
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "results", "--all", "true"]
    listed = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True).stdout
    found = []
    for line in listed.splitlines():
        name, _, status = line.strip().partition(": ")
        found.append((name, status))
    modules: dict[str, _Module] = {}
    mutants = []
    for name, status in found:
        module, _, function = name.rpartition(".")
        if module not in modules:
            modules[module] = _Module(work / "mutants" / f"{module.replace('.', '/')}.py")
        mutants.append(modules[module].mutant(name, module, function, status))
    return mutants


class _Module:
    """One module with all its changes beside each other, as mutmut wrote it."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        self._lines = text.splitlines()
        self._spans = {
            node.name: (node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
        }
        self._seconds = json.loads(path.with_name(f"{path.name}.meta").read_text(encoding="utf-8"))["durations_by_key"]

    def mutant(self, name: str, module: str, function: str, status: str) -> Mutant:
        """Describe a change by the lines it is in."""
        stem = function.rpartition("__mutmut_")[0]
        was, becomes = _difference(self._body(f"{stem}__mutmut_orig"), self._body(function))
        where = ".".join(part.removeprefix("x_") for part in stem.split("ǁ") if part != "x").replace("_property_", "")
        return Mutant(name, module, where, was, becomes, status, self._seconds.get(name) or 0.0)

    def _body(self, function: str) -> list[str]:
        first, last = self._spans[function]
        # The first line is the name, in which the forms of a function differ anyway.
        head = self._lines[first - 1].partition("(")[2]
        return [head, *(line.strip() for line in self._lines[first:last])]


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    lines = list(difflib.ndiff(before, after))
    was, becomes = (" / ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return was, becomes


def main(folder: Path) -> int:
    """Run everything and tell; 1 when a group scores too little or the list of equivalents is out of date."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    tests, kept = prepare(work), folder / "tests"
    if kept.exists() and kept.read_text() != tests:
        (work / "mutants/mutmut-stats.json").unlink(missing_ok=True)
    run(work)
    mutants = results(work)
    if kept.exists() and kept.read_text() != tests:
        again = [each.name for each in mutants if each.status not in NOTICED]
        if again:
            run(work, *again)
            mutants = results(work)
    kept.write_text(tests)
    return report(mutants)


def report(mutants: list[Mutant]) -> int:
    """Print what nobody noticed, then the table; returns the exit code."""
    listed = {
        (each["module"], each["where"], each["was"], each["becomes"])
        for each in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    }
    unnoticed = [each for each in mutants if each.status not in NOTICED and not each.is_text]
    untried = sum(each.status == UNTRIED for each in mutants)
    for each in unnoticed:
        if each.key not in listed and each.status != UNTRIED:
            print(f"{each.status}: {each.name}\n  where: {each.where}\n  - {each.was}\n  + {each.becomes}")
    stale = sorted(listed - {each.key for each in unnoticed})
    for entry in stale:
        print(f"equivalent.toml lists what is no unnoticed change: {entry}")
    print(f"\n{'module':34}  changes  noticed  equal  text  missed   score  seconds")
    failed = bool(stale or untried)
    for group in GROUPS:
        inside = [each for each in mutants if each.module.startswith(f"pos_engine.{group}.")]
        for module in sorted({each.module for each in inside}):
            _line(module, [each for each in inside if each.module == module], listed)
        failed |= _line(f"{group} together", inside, listed) < SCORE_MIN
    if untried:
        print(f"{untried} changes were not tried yet: run it again to go on")
    return int(failed)


def _line(name: str, mutants: list[Mutant], listed: set[Key]) -> float:
    sorts = Counter(_sort(each, listed) for each in mutants)
    counted = sorts["noticed"] + sorts["missed"]
    score = 100 * sorts["noticed"] / counted if counted else 100.0
    print(
        f"{name.removeprefix('pos_engine.'):34} {len(mutants):8} {sorts['noticed']:8} {sorts['equal']:6} "
        f"{sorts['text']:5} {sorts['missed']:7} {score:6.1f}% {sum(each.seconds for each in mutants):8.0f}"
    )
    return score


def _sort(mutant: Mutant, listed: set[Key]) -> str:
    if mutant.status in NOTICED:
        return "noticed"
    if mutant.status == UNTRIED:
        return UNTRIED
    if mutant.is_text:
        return "text"
    return "equal" if mutant.key in listed else "missed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/mutants").resolve()))
