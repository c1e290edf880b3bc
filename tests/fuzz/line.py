"""What must hold of a serial line's framer whatever comes in and whenever, for the fuzzer and for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError
from pos_engine.framing.line import LineTimers
from pos_engine.framing.stx import StxFramer

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMERS: Final = LineTimers(ack_s=1.0, inter_byte_s=0.1)
PAUSES_S: Final = (0.0, 0.01, 0.15, 1.1)
LENGTH_BITS: Final = 0x1F
PAUSE_SHIFT: Final = 5
SENDS: Final = 0x80
FRAME_OVERHEAD: Final = 5


def script(data: bytes) -> Iterator[tuple[float, bool, bytes]]:
    """Read an input as what happens: a byte that says how long nothing does, whether we send, and how many bytes come.

    A length of zero stands for all the rest.
    """
    place = 0
    while place < len(data):
        head = data[place]
        end = place + 1 + (head & LENGTH_BITS or len(data))
        yield PAUSES_S[head >> PAUSE_SHIFT & 3], bool(head & SENDS), data[place + 1 : end]
        place = end


def check_line(data: bytes) -> None:
    """Let everything happen."""
    framer, now, number = StxFramer(timers=TIMERS), 0.0, 0
    ours: list[bytes] = []
    written, failed = b"", False
    for pause_s, sends, chunk in script(data):
        now += pause_s
        if sends:
            number += 1
            payload = b"\x00ours %06d" % number
            try:
                written += framer.send(payload)
                ours.append(payload)
            except LocalProtocolError:
                # One that has failed says so with its next bytes at the latest.
                failed = failed or len(ours) <= limits.LINE_WAITING_MAX
        try:
            received = framer.receive(chunk, now)
        except FrameError:
            failed = True
            continue
        assert not failed, "a failed framer goes on"
        assert received.wake_at is None or received.wake_at > now
        assert framer.pending <= limits.FRAME_BYTES_MAX + FRAME_OVERHEAD
        assert all(0 < len(frame) <= limits.FRAME_BYTES_MAX for frame in received.frames)
        written += received.writes
    assert all(written.count(payload) <= limits.LINE_RETRIES_MAX + 1 for payload in ours)
