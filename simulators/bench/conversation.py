"""What terminals and host said to each other, kept to be shown when a test fails. Masked like any log.

Messages are kept as they are and described only when somebody asks, because most conversations nobody reads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pos_engine.flow.effects import NothingSent, Silent, Unreadable
from pos_engine.trace import NoTrace
from pos_engine.wire.describe import rows, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.clock import Clock, Instant
    from pos_engine.dialects.base import Dialect, Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.trace import Trace
    from pos_engine.values import Language

ENTRIES_MAX: Final = 200
"""What is shown of a long conversation: its end."""
_ARROWS: Final = {"sent": "->", "received": "<-"}


@dataclass(frozen=True, slots=True)
class _Entry:
    at: Instant
    terminal: str
    said: tuple[Literal["sent", "received"], Packet, Dialect] | str


class Conversation:
    """The newest messages of all terminals, and remarks between them."""

    def __init__(self, clock: Clock) -> None:
        """Begin; `clock` stamps."""
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=ENTRIES_MAX)

    def note(self, text: str, terminal: str = "") -> None:
        """Put in a remark; it is shown as it is, so it holds nothing secret."""
        self._entries.append(_Entry(self._clock.now(), terminal, text))

    def listener(self, terminal: str, dialect: Dialect, also: Trace | None = None) -> Trace:
        """Make the trace of one terminal; `also` hears everything too."""
        return _Listener(self, terminal, dialect, also or NoTrace())

    def hear(self, direction: Literal["sent", "received"], packet: Packet, terminal: str, dialect: Dialect) -> None:
        """Keep a message; listeners call this."""
        self._entries.append(_Entry(self._clock.now(), terminal, (direction, packet, dialect)))

    def text(self, language: Language = "en") -> str:
        """Return the conversation, a few lines for each message; nothing in it is secret."""
        return "\n".join(line for entry in self._entries for line in _lines(entry, language))


@dataclass(frozen=True, slots=True)
class _Listener:
    """A `Trace` for one terminal."""

    conversation: Conversation
    terminal: str
    dialect: Dialect
    also: Trace

    def before(self, effect: Effect) -> None:
        self.also.before(effect)

    def after(self, effect: Effect, happened: Happening) -> None:
        if isinstance(happened, Silent | NothingSent | Unreadable):
            self.conversation.note(happened.why, self.terminal)
        self.also.after(effect, happened)

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        self.conversation.hear(direction, packet, self.terminal, self.dialect)
        self.also.message(direction, packet)


def _lines(entry: _Entry, language: Language) -> Iterator[str]:
    place = " ".join(part for part in (entry.at.wall.strftime("%m-%d %H:%M:%S"), entry.terminal) if part)
    if isinstance(entry.said, str):
        yield f"{place}    ({entry.said})"
        return
    direction, packet, dialect = entry.said
    yield f"{place} {_ARROWS[direction]} {summary(packet.message, dialect.spec, language)}"
    for row in rows(packet.message, dialect.spec, dialect.cut, language):
        yield f"     {row.key:>3}  {row.name}: {row.shown}".rstrip()
