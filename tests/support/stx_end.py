"""One end of a serial line for tests: what it writes, and how a word reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.framing.line import ACK, EOT, NAK, LineTimers
from pos_engine.framing.stx import StxFramer

if TYPE_CHECKING:
    from pos_engine.framing.base import Received

# Fractions that sums of seconds keep exactly.
QUIET = 0.125
TIMERS = LineTimers(ack_s=1.0, inter_byte_s=QUIET)
ACKED = bytes([ACK])
NAKED = bytes([NAK])
GIVEN_UP = bytes([EOT])
RETRIES = limits.LINE_RETRIES_MAX
SOON = limits.WAIT_MIN_S


def new() -> StxFramer:
    return StxFramer(timers=TIMERS)


def frame(payload: bytes) -> bytes:
    return new().send(payload)


def sent(payload: bytes, now: float = 0.0) -> tuple[StxFramer, bytes]:
    """A framer that has just written a frame, at `now`."""
    framer = new()
    data = framer.send(payload)
    assert framer.receive(b"", now).wake_at == now + TIMERS.ack_s
    return framer, data


def heard(framer: StxFramer, word: int, now: float) -> Received:
    """Let a framer hear a word and the silence behind it."""
    assert framer.receive(bytes([word]), now).writes == b""
    return framer.receive(b"", now + QUIET)
