"""Lines of a function in the making, and the constants it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Source:
    """The text of one function under construction; only names and numbers of a spec ever enter it."""

    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    def add(self, *lines: str) -> None:
        """Append lines of the function's body."""
        self.lines += lines

    def constant(self, value: object) -> str:
        """Give a value a name that the function can use; equal objects share one."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def build(self, title: str, signature: str) -> Any:  # noqa: ANN401 - the caller knows what it wrote
        """Turn the lines into a function; `title` stands for a file name in tracebacks."""
        body = "\n".join(f"    {line}" for line in self.lines)
        text = f"def shape({signature}):\n{body}\n"
        names = dict(self.names)
        exec(compile(text, f"<{title}>", "exec"), names)  # noqa: S102 - our own text, made from a spec's numbers alone
        return names["shape"]
