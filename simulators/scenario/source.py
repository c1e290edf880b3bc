"""A value in a scenario file and the place where it stands: every question about its form is answered or refused here.

A refusal is a `ConfigError` of one line: file, line, rule, key, reason. It never repeats a value.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pos_engine.errors import ConfigError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from simulators.scenario.lines import Path

KEY_SHOWN_MAX: Final = 40
"""A key longer than this is no misspelt one, and is not shown."""
LANGUAGES: Final = frozenset({"en", "zh"})


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a file."""

    file: str
    lines: Mapping[Path, int] = field(repr=False)
    value: Any = field(repr=False)
    """What `tomllib` made of it: the one place where a type is not known yet."""
    path: Path = ()
    rule: str = ""
    """The rule's name, once it is known."""

    def refuse(self, reason: str) -> ConfigError:
        """Make the error about this value."""
        around = (self.path[:size] for size in range(len(self.path), -1, -1))
        line = next(self.lines[path] for path in around if path in self.lines)
        place = [f"{self.file}:{line}", *self._place(), reason]
        return ConfigError(": ".join(place))

    def named(self, rule: str) -> Node:
        """Return the node as part of a rule that has a name."""
        return replace(self, rule=rule)

    def table(self, allowed: Collection[str] | None = None) -> dict[str, Node]:
        """Return what a table holds by key; without `allowed`, whatever keys it has."""
        if not isinstance(self.value, dict):
            reason = "takes a table"
            raise self.refuse(reason)
        inner = {key: self._inner(key, value) for key, value in self.value.items()}
        for key, node in inner.items():
            if allowed is not None and key not in allowed:
                raise node.unknown(key, allowed)
        return inner

    def unknown(self, name: str, known: Collection[str]) -> ConfigError:
        """Make the error about a key that does not exist; it names the nearest that does."""
        near = difflib.get_close_matches(name[:KEY_SHOWN_MAX], sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed: {_listed(known)}"
        return self.refuse(f"no such key; {hint}")

    def items(self) -> list[Node]:
        """Return the elements of an array."""
        if not isinstance(self.value, list):
            reason = "takes an array"
            raise self.refuse(reason)
        return [self._inner(place, value) for place, value in enumerate(self.value)]

    def one_or_more(self) -> list[Node]:
        """Return the elements of an array that has some, or the one value that stands in place of it."""
        nodes = self.items() if isinstance(self.value, list) else [self]
        if not nodes:
            reason = "is empty"
            raise self.refuse(reason)
        return nodes

    def string(self, takes: str = "takes text") -> str:
        """Return text that is not empty and fits on a line."""
        if not isinstance(self.value, str) or not self.value or not self.value.isprintable():
            raise self.refuse(takes)
        return self.value

    def choice(self, known: Collection[str]) -> str:
        """Return one of some words."""
        word = self.string(f"allowed: {_listed(known)}")
        if word not in known:
            near = difflib.get_close_matches(word[:KEY_SHOWN_MAX], sorted(known), n=1)
            raise self.refuse(f"did you mean {near[0]}?" if near else f"allowed: {_listed(known)}")
        return word

    def truth(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            reason = "takes true or false"
            raise self.refuse(reason)
        return self.value

    def whole(self, low: int, high: int) -> int:
        """Return a whole number within bounds."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            reason = f"takes a whole number from {low} to {high}"
            raise self.refuse(reason)
        return self.value

    def number(self, low: float, high: float) -> float:
        """Return a number within bounds."""
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not low <= self.value <= high:
            reason = f"takes a number from {low:g} to {high:g}"
            raise self.refuse(reason)
        return float(self.value)

    def text(self) -> Text:
        """Return a text in both languages: a table of them, or one text for all."""
        if isinstance(self.value, str):
            words = self.string()
            return Text(words, words)
        inner = self.table(LANGUAGES)
        if set(inner) != LANGUAGES:
            reason = "takes both en and zh"
            raise self.refuse(reason)
        return Text(inner["en"].string(), inner["zh"].string())

    def _inner(self, key: str | int, value: object) -> Node:
        return replace(self, value=value, path=(*self.path, key))

    def _place(self) -> list[str]:
        """Name the rule, and the key in it."""
        match self.path:
            case ("rule", int(number), *inner):
                names = [f'rule "{self.rule}"' if self.rule else f"rule {number + 1}", _spelt(inner)]
            case _:
                names = [_spelt(self.path)]
        return [name for name in names if name]


def _spelt(path: Iterable[str | int]) -> str:
    """Write a path as a person would; a key that may be anything is not repeated."""
    words = ""
    for key in path:
        if isinstance(key, int):
            words += f"[{key + 1}]"
        else:
            shown = key if key.isprintable() and 0 < len(key) <= KEY_SHOWN_MAX else "..."
            words += f".{shown}" if words else shown
    return words


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
