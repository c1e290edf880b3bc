from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from simulators.scenario import AMOUNTS_TOML
from simulators.scenario.lines import Path, lines_of
from tests.quality.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_MADE = sorted((ROOT / "simulators/scenarios").glob("*.toml"))


def places(value: Any, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - whatever a TOML document holds
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from places(inner, (*path, place))


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("", (), 1),
        ("a = 1\nb = 2\n", ("b",), 2),
        ("# a = 1\n\n  b = 2 # c = 3\r\nc = 4\n", ("c",), 4),
        ("[t]\nx = 1\n[t.u]\ny = 2\n", ("t", "u", "y"), 4),
        ("[[r]]\nx = 1\n[[r]]\n\nx = 2\n", ("r", 1, "x"), 5),
        ("[[r]]\nx = 1\n[r.m]\n\ny = 2\n[[r]]\n[r.m]\ny = 3", ("r", 1, "m", "y"), 8),
        ("[[r]]\n[[r.s]]\n[[r.s]]\ny = 2\n", ("r", 0, "s", 1, "y"), 4),
        ('a = [\n  "x", # ]\n  { "b c" = 1, d = [2,\n 3] },\n]\ne = 1', ("a", 1, "d", 1), 4),
        ('a = [\n  "x", # ]\n  { "b c" = 1, d = [2,\n 3] },\n]\ne = 1', ("a", 1, "b c"), 3),
        ('a = """\nb = 1\n[[c]]\n"""\nd = 1', ("d",), 5),
        ("a = '''\nb = 1\n''''\nd = 1", ("d",), 4),
        ('a = """\\"""x"""\nd = 1', ("d",), 2),
        ("a = \"\\\"#\"\n'b' = '#'\nc = 1", ("c",), 3),
        ("a . 'b' . c = 1\nd=1", ("a", "b", "c"), 1),
        ("a = 2026-01-01 12:00:00\nb = 1", ("b",), 2),
        ("a = {}\nb = []\nc = 1", ("c",), 3),
        ('"a.b" = 1\n"\\u0063\\"" = 1', ('c"',), 2),
        ("x = [\n[1, 2], [\n'}', 3]]", ("x", 1, 0), 3),
        ('m = { "4" = { from = "1.00" } }', ("m", "4", "from"), 1),
    ],
)
def test_a_key_stands_on_its_line(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert lines_of(text)[path] == line


@pytest.mark.parametrize(
    "text", [AMOUNTS_TOML, *(path.read_text(encoding="utf-8") for path in READY_MADE)], ids=range(len(READY_MADE) + 1)
)
def test_everything_in_a_scenario_has_a_line(text: str) -> None:
    lines = lines_of(text)
    assert set(places(tomllib.loads(text))) == {path for path in lines if path != ("rule",)} | {("rule",)}
    rows = text.splitlines()
    for path, line in lines.items():
        if path and isinstance(path[-1], str) and path != ("rule",):
            assert path[-1] in rows[line - 1]
