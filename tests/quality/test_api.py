"""The public face: few names, every one typed and documented, and an import that does nothing but import."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.quality.tree import PACKAGES, ROOT, Source, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PUBLIC_NAMES_MAX = 40
Function = ast.FunctionDef | ast.AsyncFunctionDef
# Whoever embeds a terminal pays for these only when a command or a feature needs them.
HEAVY = frozenset(
    "asyncio click construct dpkt duckdb locust matplotlib pytest rich serial simulators starlette uvicorn".split()
)


def _is_public(node: Function | ast.ClassDef) -> bool:
    return node.name == "__init__" or not node.name.startswith("_")


def _has(node: Function, *decorators: str) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] in decorators for decorator in node.decorator_list)


def _public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public functions and classes of a module, and the public methods of its public classes, with their full names."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _public(node.body + node.orelse, owner)
        elif isinstance(node, Function | ast.ClassDef) and _is_public(node):
            yield f"{owner}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{owner}{node.name}.")


def _is_private(source: Source) -> bool:
    return any(part.startswith("_") and part != "__main__" for part in source.name.split("."))


def undocumented(source: Source) -> Iterator[str]:
    """Public definitions without a docstring; overloads and setters are told by the function they belong to."""
    for name, node in _public(source.parse().body):
        told_elsewhere = not isinstance(node, ast.ClassDef) and _has(node, "overload", "setter", "deleter")
        if not _is_private(source) and not told_elsewhere and not ast.get_docstring(node):
            yield f"{source.path}:{node.lineno}: {name} has no docstring"


def untyped(source: Source) -> Iterator[str]:
    """Public functions with a parameter or a result that has no type."""
    for name, node in _public(source.parse().body):
        if isinstance(node, ast.ClassDef):
            continue
        named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if "." in name and not _has(node, "staticmethod"):
            named = named[1:]
        rest = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
        missing = [arg.arg for arg in (*named, *rest) if arg.annotation is None]
        if node.returns is None:
            missing.append("return")
        if missing:
            yield f"{source.path}:{node.lineno}: {name} does not type {', '.join(missing)}"


@pytest.mark.parametrize("check", [undocumented, untyped])
def test_all_that_is_public_is_typed_and_documented(check: Callable[[Source], Iterator[str]]) -> None:
    assert [fault for source in sources(*PACKAGES) for fault in check(source)] == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (undocumented, "def f() -> int: ..."),
        (undocumented, "class A: ..."),
        (undocumented, "class A:\n    '''An A.'''\n    async def f(self) -> int: ..."),
        (undocumented, "if X:\n    def f() -> int: ..."),
        (untyped, "def f(a, b: int) -> int: ..."),
        (untyped, "def f(*rest) -> int: ..."),
        (untyped, "class A:\n    def f(self): ..."),
        (untyped, "class A:\n    @staticmethod\n    def f(a) -> int: ..."),
        (untyped, "class A:\n    def __init__(self, a): ..."),
    ],
)
def test_a_planted_violation_is_seen(check: Callable[[Source], Iterator[str]], text: str) -> None:
    assert len(list(check(Source("pos_engine/a.py", text)))) == 1


def test_the_public_names_are_few_and_there() -> None:
    face = importlib.import_module("pos_engine")
    names = list(face.__all__)
    assert len(names) <= PUBLIC_NAMES_MAX
    assert len(names) == len(set(names))
    assert [name for name in names if not getattr(face, name).__doc__] == []


def test_importing_the_package_changes_nothing_and_loads_nothing_heavy() -> None:
    program = """
import json, logging, signal, sys, threading
before = {number: signal.getsignal(number) for number in signal.valid_signals()}
import pos_engine
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "threads": threading.active_count(),
    "handlers": len(logging.getLogger().handlers),
    "signals_kept": before == {number: signal.getsignal(number) for number in signal.valid_signals()},
}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout)
    assert done.stderr == ""
    assert HEAVY & set(seen["loaded"]) == set()
    assert (seen["threads"], seen["handlers"], seen["signals_kept"]) == (1, 0, True)
