"""What a framer is: a pure machine that turns payloads into bytes for a link, and bytes of a link into payloads.

A framer may answer back by itself. A serial line acknowledges, refuses and repeats: what it wants written comes out of
`receive` as `writes`, and when it wants to be called again without new bytes, `wake_at` says so. The link performs both
and knows nothing of the line's rules. One framer serves one connection; a new connection gets a new framer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Received:
    """What came of some bytes: bytes to write back at once, whole payloads in order, and when to call again."""

    writes: bytes = b""
    frames: tuple[bytes, ...] = ()
    wake_at: float | None = None
    """On the scale of `now`, and later than it; `None` while the framer waits for the peer alone."""


class Framer(Protocol):
    """Both directions of one connection's framing."""

    def renewed(self) -> Framer:
        """Return a framer for the next connection of the same link: nothing is under way, and nothing has failed.

        A line that lasts goes on behind it. What one framer has handed out, the next one still knows for what it is
        when the peer repeats it.
        """
        ...

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete yet."""
        ...

    def send(self, payload: bytes) -> bytes:
        """Return the bytes that carry `payload`; `LocalProtocolError`, and no change, when it cannot be carried.

        Timers that start with a transmission are learnt by calling `receive(b"", now)` right after writing.
        """
        ...

    def withdraw(self) -> None:
        """Write nothing more of what was sent: its exchange is over. What comes is taken as before."""
        ...

    def receive(self, data: bytes, now: float) -> Received:
        """Take bytes in any chunking, also none; `FrameError` once they cannot be frames, and from then on always.

        Frames that were complete before the fault are handed out first; then the next call raises.
        """
        ...
