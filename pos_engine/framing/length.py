"""Frames that begin with a binary length, as on every TCP link of this trade.

    LL LL | payload        two bytes, big-endian, counting what follows them

A length that cannot be (zero, or above the limit) ends the connection: there is no mark in the stream to find the next
frame by, so guessing would cut messages at random. The framer stays failed; a new connection starts anew.
"""

from __future__ import annotations

from typing import Final, Literal

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, UsageError
from pos_engine.framing.base import Received

LENGTH_BYTES_MAX: Final = 4


class LengthFramer:
    """A length of `size` bytes, then that many bytes of payload, at most `limit`."""

    __slots__ = ("_buffer", "_byteorder", "_fault", "_limit", "_size")

    def __init__(
        self, size: int = 2, byteorder: Literal["big", "little"] = "big", *, limit: int = limits.FRAME_BYTES_MAX
    ) -> None:
        """Start empty. A limit that the length cannot express is lowered to what it can."""
        if not 1 <= size <= LENGTH_BYTES_MAX or limit < 1:
            reason = f"a length has 1 to {LENGTH_BYTES_MAX} bytes, and its limit is positive"
            raise UsageError(reason)
        self._size = size
        self._byteorder: Literal["big", "little"] = byteorder
        self._limit = min(limit, 256**size - 1)
        self._buffer = bytearray()
        self._fault: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame, its length included."""
        return len(self._buffer)

    def send(self, payload: bytes) -> bytes:
        """Return length and payload; `LocalProtocolError` for an empty or an over-long one."""
        reason = self._refusal(len(payload))
        if reason is not None:
            raise LocalProtocolError(reason)
        return len(payload).to_bytes(self._size, self._byteorder) + payload

    def receive(self, data: bytes, now: float) -> Received:  # noqa: ARG002 - this framing knows no timers
        """Return the payloads that `data` completes; `FrameError` when a length cannot be (offset 0 of its frame)."""
        frames: list[bytes] = []
        if self._fault is None:
            self._buffer += data
            while (frame := self._next()) is not None:
                frames.append(frame)
        if self._fault is not None and not frames:
            raise FrameError(self._fault, offset=0)
        return Received(frames=tuple(frames))

    def _next(self) -> bytes | None:
        """Cut one payload off the buffer; `None` when it holds no whole frame, or the link has failed."""
        if len(self._buffer) < self._size:
            return None
        length = int.from_bytes(self._buffer[: self._size], self._byteorder)
        self._fault = self._refusal(length)
        if self._fault is not None:
            self._buffer.clear()
            return None
        end = self._size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[self._size : end])
        del self._buffer[:end]
        return payload

    def _refusal(self, length: int) -> str | None:
        if length == 0:
            return "an empty frame"
        if length > self._limit:
            return f"a frame of {length} bytes, {self._limit} are allowed"
        return None
