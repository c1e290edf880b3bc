"""Style that a linter does not know: lengths, names, prose, and a reason beside every exception to a rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from pos_engine import errors
from tests.quality.tree import PACKAGES, Source, definitions, sources, texts

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
# A file is named by the noun it is about; these say nothing.
EMPTY_NAMES = frozenset({"common", "helper", "helpers", "misc", "shared", "util", "utils"})
# Marks of unfinished work; a class of one letter in each keeps this file from finding itself.
UNFINISHED = re.compile(r"\b(?:T[O]DO|FIX[M]E|X[X]X)\b")
# Whoever switches a rule off names it and says why, on the same line.
EXCUSE = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma)\b.*")
REASONED = re.compile(
    r"#\s*(?:noqa: [A-Z]+\d+(?:, [A-Z]+\d+)*|type: ignore\[[a-z, -]+\]|pragma: no \w+)\s+(?:-|#) \w.*"
)

# The only classes to inherit from: errors, enums, the shapes of typing and collections.abc, a private base of the same
# file (nobody else can extend it), and what a framework asks to be subclassed.
BASES = re.compile(
    r"_\w+|(?:Mapping|Sequence|Iterator)(?:\[.*\])?"
    r"|(?:\w+\.)?(?:\w*(?:Error|Exception|Fault)|(?:Int|Str)?(?:Enum|Flag)|Protocol|Generic|NamedTuple|TypedDict)(?:\[.*\])?"
    r"|(?:ast|asyncio|click|json|locust|logging)\.\w+"
)

# Errors whose names state a fact instead of ending in Error or Fault.
ERRORS = frozenset(name for name in dir(errors) if name.startswith(("No", "Not")))

Check = Callable[[Source], Iterator[str]]


def long_functions(source: Source) -> Iterator[str]:
    """Functions that do not fit on a screen."""
    for node in definitions(source.parse()):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX and not isinstance(node, ast.ClassDef):
            yield f"{source.path}:{node.lineno}: {node.name} has {lines} lines"


def long_file(source: Source) -> Iterator[str]:
    """Files that hold more than one subject."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.path}: {lines} lines"


def empty_name(source: Source) -> Iterator[str]:
    """Names that say nothing."""
    for part in source.path.removesuffix(".py").split("/"):
        if EMPTY_NAMES & set(part.split("_")):
            yield f"{source.path}: {part} says nothing about what is in it"


def bare_except(source: Source) -> Iterator[str]:
    """Handlers that catch everything by saying nothing, or catch broadly and do nothing."""
    for node in ast.walk(source.parse()):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
        silent = all(isinstance(step, ast.Pass | ast.Continue | ast.Constant) for step in node.body)
        if node.type is None or (broad and silent):
            yield f"{source.path}:{node.lineno}: a handler that hides every fault"


def unreasoned_excuse(source: Source) -> Iterator[str]:
    """A rule switched off without its name or without a reason."""
    for number, line in enumerate(source.text.splitlines(), 1):
        excuse = EXCUSE.search(line)
        if excuse and not REASONED.fullmatch(excuse[0]):
            yield f"{source.path}:{number}: {excuse[0]} gives no reason"


def silent_module(source: Source) -> Iterator[str]:
    """A module that does not open by saying what it is."""
    if not ast.get_docstring(source.parse()):
        yield f"{source.path}: no docstring"


def inheritance(source: Source) -> Iterator[str]:
    """Classes that inherit from something else than errors, enums and protocols."""
    for node in definitions(source.parse()):
        names = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        for name in names:
            if "Protocol" not in names and not BASES.fullmatch(name) and name not in ERRORS:
                yield f"{source.path}:{node.lineno}: {node.name} inherits from {name}"


def unfinished(source: Source) -> Iterator[str]:
    """Notes to self that belong in the tracker."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{source.path}:{number}: unfinished"


EVERYWHERE: tuple[Check, ...] = (long_functions, long_file, empty_name, bare_except, unreasoned_excuse)
PACKAGES_ONLY: tuple[Check, ...] = (silent_module, inheritance)


@pytest.mark.parametrize("check", EVERYWHERE)
def test_all_code_is_tidy(check: Check) -> None:
    assert [fault for source in sources(*PACKAGES, "tests") for fault in check(source)] == []


@pytest.mark.parametrize("check", PACKAGES_ONLY)
def test_the_packages_are_tidy(check: Check) -> None:
    assert [fault for source in sources(*PACKAGES) for fault in check(source)] == []


def test_nothing_is_left_unfinished() -> None:
    assert [fault for source in texts() if source.path != "LICENSE" for fault in unfinished(source)] == []


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (long_functions, "pos_engine/a.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
        (long_file, "pos_engine/a.py", "x = 1\n" * (FILE_LINES_MAX + 1)),
        (empty_name, "pos_engine/byte_utils.py", ""),
        (empty_name, "tests/helpers/test_a.py", ""),
        (bare_except, "pos_engine/a.py", "try:\n    f()\nexcept:\n    g()"),
        (bare_except, "pos_engine/a.py", "try:\n    f()\nexcept Exception:\n    pass"),
        (unreasoned_excuse, "pos_engine/a.py", "import x  # " + "noqa: F401"),
        (unreasoned_excuse, "pos_engine/a.py", "import x  # " + "noqa - because"),
        (unreasoned_excuse, "pos_engine/a.py", "x = y  # " + "type: ignore[arg-type]"),
        (silent_module, "pos_engine/a.py", "x = 1"),
        (inheritance, "pos_engine/a.py", "class Sale(Transaction):\n    pass"),
        (unfinished, "README.md", "TO" + "DO: write this"),
    ],
)
def test_a_planted_violation_is_seen(check: Check, path: str, text: str) -> None:
    assert len(list(check(Source(path, text)))) == 1


def test_what_the_rules_allow_passes() -> None:
    text = '''"""A module."""
import x  # noqa: F401 - imported for its side effect
y = x  # type: ignore[attr-defined]  # the library has no types
class Busy(JournalFault): ...
class Unanswered(NoAnswer): ...
class Colour(enum.Enum): ...
class Store(Protocol[T]): ...
def f():
    try:
        g()
    except Exception:
        raise
'''
    source = Source("pos_engine/journal/store.py", text)
    assert [fault for check in (*EVERYWHERE, *PACKAGES_ONLY) for fault in check(source)] == []
