"""What may go wrong on a line, as a table: one row for each kind of fault.

A blow strikes at one byte, once or by chance. A manner begins at a byte and lasts. The table says further which kinds a
connection can have and which a serial line, and what the number beside a kind means.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping


class Direction(enum.Enum):
    """Which bytes are counted and damaged."""

    TO_HOST = "to-host"
    TO_TERMINAL = "to-terminal"


class Kind(enum.Enum):
    """What goes wrong."""

    SPLIT = "split"
    MERGE = "merge"
    DELAY = "delay"
    THROTTLE = "throttle"
    STALL = "stall"
    FIN = "fin"
    RST = "rst"
    HALF_OPEN = "half-open"
    UNPLUG = "unplug"
    FLIP = "flip"
    DROP = "drop"
    INSERT = "insert"
    DOUBLE = "double"
    REPEAT = "repeat"


class Shape(enum.Enum):
    """When a kind does what it does."""

    MANNER = "from a byte on"
    BETWEEN = "between two bytes"
    BYTE = "to one byte"


class Unit(enum.Enum):
    """What the number beside a kind is, with an example of how it is written."""

    SECONDS = "200ms"
    RATE = "960B/s"
    BYTES = "1"
    VALUE = "0x15"


class Medium(enum.Enum):
    """What kind of line there is."""

    CONNECTION = "a connection"
    SERIAL = "a serial line"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `needs` means that there is no such fault without its number."""

    kind: Kind
    shape: Shape
    unit: Unit | None
    needs: bool
    media: frozenset[Medium]
    title: Text


_BOTH: Final = frozenset(Medium)
_CONNECTION: Final = frozenset({Medium.CONNECTION})
_SERIAL: Final = frozenset({Medium.SERIAL})

_ROWS: Final = (
    Row(
        Kind.SPLIT,
        Shape.MANNER,
        Unit.BYTES,
        needs=True,
        media=_BOTH,
        title=Text("the bytes come in pieces of so many, a moment apart", "字节按指定个数分成小段，稍隔片刻逐段到达"),
    ),
    Row(
        Kind.MERGE,
        Shape.MANNER,
        Unit.SECONDS,
        needs=True,
        media=_BOTH,
        title=Text("what is sent within so long comes in one piece", "在指定时间内发送的内容合并为一段到达"),
    ),
    Row(
        Kind.DELAY,
        Shape.MANNER,
        Unit.SECONDS,
        needs=True,
        media=_BOTH,
        title=Text("every byte comes so much later", "每个字节都推迟指定时间到达"),
    ),
    Row(
        Kind.THROTTLE,
        Shape.MANNER,
        Unit.RATE,
        needs=True,
        media=_BOTH,
        title=Text("no more than so many bytes pass in a second", "每秒最多通过指定字节数"),
    ),
    Row(
        Kind.STALL,
        Shape.BETWEEN,
        Unit.SECONDS,
        needs=False,
        media=_BOTH,
        title=Text(
            "the direction falls silent, for so long or until it is released", "该方向停滞指定时间，或直到被放行"
        ),
    ),
    Row(
        Kind.FIN,
        Shape.BETWEEN,
        None,
        needs=False,
        media=_CONNECTION,
        title=Text("both ends see the connection closed in order", "两端都看到连接正常关闭"),
    ),
    Row(
        Kind.RST,
        Shape.BETWEEN,
        None,
        needs=False,
        media=_CONNECTION,
        title=Text("both ends see the connection reset", "两端都看到连接被重置"),
    ),
    Row(
        Kind.HALF_OPEN,
        Shape.BETWEEN,
        None,
        needs=False,
        media=_BOTH,
        title=Text(
            "the other end is gone without a word: nothing passes any more, either way",
            "对端无声消失：双向都不再有字节通过",
        ),
    ),
    Row(
        Kind.UNPLUG,
        Shape.BETWEEN,
        Unit.SECONDS,
        needs=False,
        media=_SERIAL,
        title=Text(
            "the terminal's end is pulled out, and put back after so long", "终端一侧的线被拔出，指定时间后插回"
        ),
    ),
    Row(
        Kind.FLIP,
        Shape.BYTE,
        None,
        needs=False,
        media=_BOTH,
        title=Text("one bit of the byte is inverted", "该字节的一位取反"),
    ),
    Row(Kind.DROP, Shape.BYTE, None, needs=False, media=_BOTH, title=Text("the byte is lost", "该字节丢失")),
    Row(
        Kind.INSERT,
        Shape.BETWEEN,
        Unit.VALUE,
        needs=False,
        media=_BOTH,
        title=Text(
            "a byte comes that nobody sent, of that value or of any", "多出一个没有人发送的字节，取指定值或任意值"
        ),
    ),
    Row(Kind.DOUBLE, Shape.BYTE, None, needs=False, media=_BOTH, title=Text("the byte comes twice", "该字节出现两次")),
    Row(
        Kind.REPEAT,
        Shape.BYTE,
        None,
        needs=False,
        media=_BOTH,
        title=Text(
            "the whole piece in which the byte came, usually a message, comes twice",
            "该字节所在的一整段（通常是一条报文）到达两次",
        ),
    ),
)

TABLE: Final[Mapping[Kind, Row]] = MappingProxyType({row.kind: row for row in _ROWS})
"""Every kind of fault there is."""
