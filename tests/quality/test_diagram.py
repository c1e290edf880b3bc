"""The pages that tell how the code is made tell the truth: drawings are redrawn and compared, names must exist."""

from __future__ import annotations

import re

import pytest

from pos_engine.flow.states import TRANSITIONS, Action, Cue
from pos_engine.journal.record import State
from tests.quality.diagram import PAGE, PARTS, diagram, parts_of, redrawn, rows
from tests.quality.test_layers import ROWS
from tests.quality.tree import PACKAGES, ROOT, sources, texts

TEXT = PAGE.read_text()
TEST_NAME = re.compile(r"`(test_\w+)`")
DEFINITION = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
# The drawing of folders: one line a folder or a set of modules, two blanks for each level, two before a remark.
TREE = re.compile(r"^```text\n(pos_engine/\n.*?)^```$", re.MULTILINE | re.DOTALL)
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<names>(?:[\w.]+/?)(?: [\w.]+/?)*)(?:  +.*)?$")


def test_the_page_has_every_drawing_once() -> None:
    assert sorted(parts_of(TEXT)) == sorted(PARTS)


def test_the_page_shows_the_code_as_it_is() -> None:
    assert redrawn(TEXT) == TEXT, "python -m tests.quality.diagram writes it anew"


def test_a_changed_table_changes_the_drawing() -> None:
    drawn = diagram()
    for pair in TRANSITIONS:
        assert diagram({known: target for known, target in TRANSITIONS.items() if known != pair}) != drawn
    extra = {**TRANSITIONS, (State.DRAFT, Cue.SILENCE): (State.UNSENT, Action.CONCLUDE)}
    assert diagram(extra) != drawn
    assert rows((*ROWS[:-1], f"{ROWS[-1]} attic")) != rows()


def test_an_edited_drawing_is_seen() -> None:
    assert redrawn(TEXT.replace("DRAFT --> PENDING", "DRAFT --> APPROVED")) == TEXT
    assert redrawn(TEXT.replace(ROWS[0], "errors")) == TEXT


def drawn_paths() -> set[str]:
    """The paths that the drawing of folders names, from the root; modules without their suffix."""
    [tree] = TREE.findall(TEXT)
    above: list[str] = []
    paths = set()
    for line in tree.splitlines():
        found = TREE_LINE.fullmatch(line)
        assert found, line
        above = above[: len(found["indent"]) // 2]
        paths |= {"/".join((*above, name)).rstrip("/") for name in found["names"].split()}
        if line.strip().split("  ")[0].endswith("/"):
            above.append(found["names"].rstrip("/"))
    return paths


def test_every_path_in_the_drawing_of_folders_exists() -> None:
    nowhere = [path for path in sorted(drawn_paths()) if not ((ROOT / path).exists() or (ROOT / f"{path}.py").exists())]
    assert nowhere == []


def test_every_package_and_every_module_at_the_top_is_in_the_drawing_of_folders() -> None:
    names = {source.path.removesuffix(".py").removesuffix("/__init__") for source in sources(*PACKAGES)}
    packages = {source.path.removesuffix("/__init__.py") for source in sources(*PACKAGES) if source.is_package}
    top = {name for name in names if name.count("/") == 1}
    assert sorted((top | packages) - drawn_paths()) == []


@pytest.mark.parametrize("page", ["docs/rules.md", "docs/reliability.md"])
def test_every_test_a_page_names_exists(page: str) -> None:
    named = set(TEST_NAME.findall((ROOT / page).read_text()))
    defined = {name for source in texts() if source.path.endswith(".py") for name in DEFINITION.findall(source.text)}
    assert named
    assert sorted(named - defined) == []
