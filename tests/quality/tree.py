"""The project as its quality tests see it: the files git knows, and the packages' modules as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pos_engine", "simulators")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path from the root, its dotted name, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """The name it is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_package(self) -> bool:
        """Whether it is a package's `__init__`."""
        return self.path.endswith("/__init__.py")

    def parse(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)


@cache
def tracked() -> tuple[str, ...]:
    """Every path git tracks or would track, from the root, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return tuple(sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file()))


@cache
def texts() -> tuple[Source, ...]:
    """Every tracked file that is text; a picture or another binary file has a zero byte."""
    read = ((path, (ROOT / path).read_bytes()) for path in tracked())
    return tuple(Source(path, data.decode()) for path, data in read if b"\0" not in data)


def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files under `folders`."""
    inside = tuple(f"{folder}/" for folder in folders)
    return tuple(source for source in texts() if source.path.endswith(".py") and source.path.startswith(inside))


def definitions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Every function and class, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
