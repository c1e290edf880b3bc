"""The house of docs/architecture.md: imports go down, and within a row only leftwards.

Every import counts wherever it stands: at the top, inside a function, or under TYPE_CHECKING. To know another module's
types is to know the module, so there is no exception to ask for. A module that has no place in the table fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from tests.quality.tree import PACKAGES, Source, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bottom row first, each from left to right. A name covers the modules below it, unless one of them has its own place.
ROWS = (
    "errors limits clock values",
    "crypto",
    "framing wire",
    "dialects simulators.cards simulators.ledger simulators.scenario simulators.acquirer",
    "journal.record journal.view journal session flow",
    """system config trace keystore transport link routes roads peripherals
    journal.memory journal.files journal.lock journal.sealing journal.mark journal.schema journal.audit
    journal.reserve journal.backup journal.store journal.restore
    simulators.config simulators.scenario_files simulators.faults simulators.store""",
    """performer assembly status terminal merchant replay doctor simulators.bench
    simulators.invariants simulators.world simulators.drill simulators.prove""",
    """pos_engine simulators simulators.server simulators.ports simulators.swarm simulators.web simulators.pytest_plugin
    daemon cli __main__""",
)
PURE_ROWS = 5

# All that rows 0 to 4 may import from outside. No sockets, files, clocks, entropy, processes, threads or logging.
PURE_IMPORTS = frozenset(
    """
    __future__ abc base64 binascii bisect collections copy dataclasses datetime decimal difflib enum fractions functools
    hashlib heapq hmac itertools json math operator re string struct textwrap tomllib types typing unicodedata warnings
    zlib
    """.split()
)
# ... and what they may not call, because it needs no import or hides behind an innocent one.
IMPURE_CALLS = frozenset(
    "__import__ breakpoint date.today datetime.now datetime.today datetime.utcnow eval exec input open print".split()
)
# ... except here, where the text is the engine's own: docs/decisions/0005-compiled-codec.md.
ALLOWED_CALLS = {("pos_engine.wire.compiled.source", "exec")}

# Each foreign package, and the only modules that know it.
FOREIGN = {
    "click": "cli simulators.web simulators.swarm",
    "construct": "wire.composite dialects",
    "cryptography": "crypto keystore transport",
    "dpkt": "replay",
    "duckdb": "merchant cli",
    "escpos": "peripherals",
    "h11": "transport simulators.server",
    "iso8583": "wire.reference",
    "locust": "simulators.swarm",
    "matplotlib": "merchant cli",
    "pkcs11": "keystore",
    "prometheus_client": "simulators.web daemon",
    "pytest": "simulators.pytest_plugin",
    "rich": "cli",
    "serial": "transport simulators.server",
    "starlette": "simulators.web",
    "uvicorn": "simulators.web",
}

# The host's side is an independent judge: it may share formats with the engine, never decisions or memory.
TERMINAL_SIDE = ("journal", "session", "flow", "performer", "terminal", "merchant", "doctor", "pos_engine")
JOINS_BOTH_ENDS = (
    *("simulators.bench", "simulators.world", "simulators.drill", "simulators.prove"),
    *("simulators.swarm", "simulators.pytest_plugin"),
)
JUDGE = "simulators.invariants"
# The engine runs without its simulator; only the commands that start one, and the place that hands a terminal a
# simulated card when its configuration says so, know both.
MAY_START_A_SIMULATOR = ("assembly", "cli")


def _unit(name: str) -> str:
    """Shorten a module's dotted name to the spelling of the tables: `pos_engine.` goes, `simulators.` stays."""
    return name.removeprefix("pos_engine.")


def _covers(entry: str, unit: str) -> bool:
    faces = ("pos_engine", "simulators")
    return unit == entry or (entry not in faces and unit.startswith(f"{entry}."))


def _place(name: str) -> tuple[int, int] | None:
    """Find a module's row and its place in the row; the longest entry that covers it counts."""
    unit = _unit(name)
    found = [
        (len(entry), row, column)
        for row, entries in enumerate(ROWS)
        for column, entry in enumerate(entries.split())
        if _covers(entry, unit)
    ]
    return max(found)[1:] if found else None


def row_of(name: str) -> int:
    """Return a module's row; one past the last where it has none."""
    place = _place(name)
    return len(ROWS) if place is None else place[0]


def _imports(source: Source, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Every module that `source` names in an import, with the line; our own ones as precisely as can be said."""
    for node in ast.walk(source.parse()):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if inner in known else module


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def unplaced(modules: Iterable[Source]) -> list[str]:
    """Modules that stand in no row."""
    return [f"{module.path}: has no row in the table" for module in modules if _place(module.name) is None]


def upward(modules: Collection[Source]) -> list[str]:
    """Imports that go up, or to the right."""
    known = {module.name for module in modules}
    faults = []
    for module in modules:
        here = _place(module.name)
        for line, target in _imports(module, known):
            there = _place(target) if _is_ours(target) else None
            if here and there and there > here:
                faults.append(f"{module.path}:{line}: {here} may not import {target}, which is {there} (row, place)")
    return faults


def impure(modules: Iterable[Source]) -> list[str]:
    """What rows 0 to 4 import or call without being allowed to."""
    return [
        f"{module.path}:{line}: a pure row {fault}"
        for module in modules
        if row_of(module.name) < PURE_ROWS
        for line, fault in _impurities(module)
    ]


def _impurities(module: Source) -> Iterator[tuple[int, str]]:
    for line, target in _imports(module, ()):
        if not _is_ours(target) and target.partition(".")[0] not in PURE_IMPORTS | FOREIGN.keys():
            yield line, f"imports {target}"
    for node in ast.walk(module.parse()):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in IMPURE_CALLS and (module.name, called) not in ALLOWED_CALLS:
            yield node.lineno, f"calls {called}()"


def misplaced_foreign(modules: Iterable[Source]) -> list[str]:
    """Imports of a foreign package outside the modules that may know it."""
    faults = []
    for module in modules:
        for line, target in _imports(module, ()):
            top = target.partition(".")[0]
            if _is_ours(target) or top in sys.stdlib_module_names:
                continue
            if not any(_covers(entry, _unit(module.name)) for entry in FOREIGN.get(top, "").split()):
                faults.append(f"{module.path}:{line}: {top} may not be imported here")
    return faults


def wrong_side(modules: Collection[Source]) -> list[str]:
    """Imports across the line between the terminal and the host."""
    known = {module.name for module in modules}
    faults = []
    for module in modules:
        unit = _unit(module.name)
        is_host = unit.startswith("simulators")
        joins = JOINS_BOTH_ENDS if is_host else MAY_START_A_SIMULATOR
        if any(_covers(entry, unit) for entry in joins):
            continue
        for line, target in _imports(module, known):
            if is_host and any(_covers(entry, _unit(target)) for entry in TERMINAL_SIDE):
                faults.append(f"{module.path}:{line}: the host knows {target}, which is the terminal's")
            if not is_host and target.partition(".")[0] == "simulators":
                faults.append(f"{module.path}:{line}: the engine knows {target}, which is the simulator's")
    return faults


def biased(modules: Collection[Source]) -> list[str]:
    """Imports of the judge: it may know nobody whose work it judges."""
    known = {module.name for module in modules}
    return [
        f"{module.path}:{line}: the judge knows {target}"
        for module in modules
        if _covers(JUDGE, _unit(module.name))
        for line, target in _imports(module, known)
        if _is_ours(target) and not _covers(JUDGE, _unit(target))
    ]


def cycle(modules: Collection[Source]) -> list[str]:
    """One import cycle, if there is any."""
    known = {module.name for module in modules}
    graph = {module.name: {target for _, target in _imports(module, known) if target in known} for module in modules}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


Check = Callable[[Collection[Source]], list[str]]
CHECKS: tuple[Check, ...] = (unplaced, upward, impure, misplaced_foreign, wrong_side, biased, cycle)


@pytest.mark.parametrize("check", CHECKS)
def test_the_packages_keep_the_table(check: Check) -> None:
    faults = check(sources(*PACKAGES))
    assert faults == []


def _planted(*files: tuple[str, str]) -> tuple[Source, ...]:
    return tuple(Source(f"{name.replace('.', '/')}.py", text) for name, text in files)


@pytest.mark.parametrize(
    ("check", "files"),
    [
        (unplaced, [("pos_engine.stray", "")]),
        (unplaced, [("simulators.stray", "")]),
        (upward, [("pos_engine.wire.codec", "from pos_engine.flow import step")]),
        (upward, [("pos_engine.errors", "import pos_engine.values")]),
        (upward, [("pos_engine.framing.tpdu", "def f():\n    from pos_engine import wire"), ("pos_engine.wire", "")]),
        (upward, [("pos_engine.flow.plan", "if TYPE_CHECKING:\n    from pos_engine.journal.store import Store")]),
        (upward, [("pos_engine.terminal", "from pos_engine import Amount")]),
        (upward, [("simulators.ledger", "from simulators.acquirer import Host")]),
        (impure, [("pos_engine.flow.plan", "import time")]),
        (impure, [("pos_engine.crypto.des", "def f():\n    from os import urandom")]),
        (impure, [("simulators.acquirer", "import logging")]),
        (impure, [("pos_engine.clock", "x = datetime.now(UTC)")]),
        (impure, [("pos_engine.session", "print('signed on')")]),
        (impure, [("pos_engine.wire.compiled.decoder", "exec(text)")]),
        (misplaced_foreign, [("pos_engine.wire.codec", "import iso8583")]),
        (misplaced_foreign, [("pos_engine.terminal", "from sqlalchemy import select")]),
        (wrong_side, [("simulators.server", "from pos_engine.flow import step")]),
        (wrong_side, [("pos_engine.merchant.reconcile", "from simulators import ledger"), ("simulators.ledger", "")]),
        (biased, [("simulators.invariants.money", "from pos_engine.values import Amount")]),
        (biased, [("simulators.invariants.money", "from simulators.ledger import Key"), ("simulators.ledger", "")]),
        (cycle, [("pos_engine.wire.a", "import pos_engine.wire.b"), ("pos_engine.wire.b", "import pos_engine.wire.a")]),
    ],
)
def test_a_planted_violation_is_seen(check: Check, files: list[tuple[str, str]]) -> None:
    assert len(check(_planted(*files))) == 1


def test_what_the_table_allows_passes() -> None:
    files = _planted(
        ("pos_engine.values", "import re\nfrom pos_engine import errors\nfrom pos_engine.limits import PAN_DIGITS_MAX"),
        ("pos_engine.errors", ""),
        ("pos_engine.limits", ""),
        ("pos_engine.wire.reference", "import iso8583\nfrom pos_engine.errors import DecodeError"),
        ("pos_engine.journal.store", "import sqlite3\nfrom pos_engine.journal.record import Record"),
        ("pos_engine.cli.demo", "from simulators.server import Server"),
        ("simulators.acquirer", "from pos_engine.dialects.unionpay import UNIONPAY"),
    )
    assert [fault for check in CHECKS for fault in check(files)] == []
