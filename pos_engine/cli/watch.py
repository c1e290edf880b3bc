"""What -v shows of a running exchange: each message in one masked line as it leaves and arrives, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pos_engine.wire.describe import rows, summary

if TYPE_CHECKING:
    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import Dialect, Packet
    from pos_engine.flow.effects import Effect, Happening

_ARROWS: Final = {"sent": "->", "received": "<-"}
_MESSAGES_LEVEL: Final = 1
_FIELDS_LEVEL: Final = 2


class Watch:
    """A `Trace` that tells of messages; with -vv also of their elements."""

    def __init__(self, output: Output, dialect: Dialect) -> None:
        """Take where to tell, and the dialect to read messages with."""
        self._output = output
        self._dialect = dialect

    def before(self, effect: Effect) -> None:
        """Ignore it: messages tell enough."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it: messages tell enough."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Tell of a message."""
        output, dialect = self._output, self._dialect
        line = summary(packet.message, dialect.spec, output.language)
        output.note(f"{_ARROWS[direction]} {line}", level=_MESSAGES_LEVEL)
        for row in rows(packet.message, dialect.spec, dialect.cut, output.language):
            output.note(f"     {row.key:>3}  {row.name}: {row.shown}", level=_FIELDS_LEVEL)
