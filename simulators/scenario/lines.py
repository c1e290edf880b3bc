"""Where things stand in a TOML file: the line of every table, key and element, which `tomllib` does not tell.

It is given only what `tomllib` has accepted, so it looks for no faults; it skips what cannot hold a key. Places are
paths as in the parsed document: ("rule", 0, "match", "4").
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_DOTTED: Final = re.compile(rf"{_KEY.pattern}(?:\.{_KEY.pattern})*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' + r"|'''.*?'{3,5}(?!')" + r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", re.DOTALL
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> Mapping[Path, int]:
    """Return the line, counted from 1, of everything in a TOML document that `tomllib` accepts."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    """A place in the text, moving on."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted_to = 0
        self._elements: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._take("[["):
                table = self._header(array=True)
            elif self._take("["):
                table = self._header(array=False)
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self, *, array: bool) -> Path:
        path: Path = ()
        for name in self._names():
            path = self._inside((*path, name))
        if array:
            outer = path if not isinstance(path[-1], int) else path[:-1]
            count = self._elements[outer] = self._elements.get(outer, -1) + 1
            path = (*outer, count)
        self._note(path)
        self._at += 2 if array else 1
        return path

    def _inside(self, path: Path) -> Path:
        """Go on from an array of tables to its newest one."""
        newest = self._elements.get(path)
        return path if newest is None else (*path, newest)

    def _pair(self, table: Path) -> None:
        path = table
        for name in self._names():
            path = (*path, name)
            self._note(path)
        self._at += len("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        if self._take("{"):
            self._inline(path)
        elif self._take("["):
            self._array(path)
        elif self._skip(_STRING) == 0:
            self._skip(_SCALAR)

    def _inline(self, path: Path) -> None:
        self._skip(_BLANK)
        while self._at < len(self._text) and not self._take("}"):
            self._pair(path)
            self._skip(_BLANK)
            self._take(",")
            self._skip(_BLANK)

    def _array(self, path: Path) -> None:
        self._skip(_BLANK)
        count = 0
        while self._at < len(self._text) and not self._take("]"):
            start = self._at
            self._note((*path, count))
            self._value((*path, count))
            # A value has at least one character; so this ends whatever stands there.
            self._at = max(self._at, start + 1)
            self._skip(_BLANK)
            self._take(",")
            self._skip(_BLANK)
            count += 1

    def _names(self) -> list[str]:
        """Read a key, which may be dotted."""
        start = self._at
        self._skip(_DOTTED)
        return [_unquoted(match[1]) for match in _KEY.finditer(self._text, start, self._at)]

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        self.lines.setdefault(path, self._line)

    def _take(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        self._at += len(token) if taken else 0
        return taken

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        size = len(match[0]) if match is not None else 0
        self._at += size
        return size


def _unquoted(key: str) -> str:
    """Return the name that a key spells."""
    return str(tomllib.loads(f"key = {key}")["key"]) if key[0] in "\"'" else key
