"""One peer's requests and answers on whatever carries bytes: a framer between those bytes and the house.

What the framing itself wants written, and when it wants to be called again, is done here, so that a serial line's
acknowledgements work on the host's side as they do on the terminal's. A frame that does not arrive in time is the
carrier's to judge: it ends a connection, and is forgotten on a line.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from pos_engine.errors import FrameError, LocalProtocolError

if TYPE_CHECKING:
    from pos_engine.framing.base import Framer, Received
    from simulators.acquirer import Reply
    from simulators.server.house import Door, House

FRAME_TIMEOUT_S: Final = 30.0
"""Seconds for a frame to be complete once its first byte is there; an idle connection between frames may stay."""


class Carrier(Protocol):
    """What carries bytes to and from one peer."""

    @property
    def is_open(self) -> bool:
        """Whether bytes may still reach the peer."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes, now or when the peer takes them."""
        ...

    def hang_up(self) -> None:
        """End this connection, where there is something to end: the scenario wants it so, or the books fail."""
        ...

    def give_up(self) -> None:
        """What came cannot be a frame, or did not become one in time."""
        ...

    def close(self) -> None:
        """Part in order."""
        ...

    def abort(self) -> None:
        """Part at once."""
        ...


class Dialogue:
    """A guest of the house, behind a framer."""

    takes_strays = True

    def __init__(
        self, house: House, door: Door, framer: Framer, carrier: Carrier, *, patience_s: float | None = None
    ) -> None:
        """Begin. `patience_s` is for a whole frame (default: `FRAME_TIMEOUT_S`)."""
        self.door = door
        self.terminal = ""
        self.spoke = 0
        self._house = house
        self._framer = framer
        self._carrier = carrier
        self._patience_s = FRAME_TIMEOUT_S if patience_s is None else patience_s
        self._handling = False
        self._patience: asyncio.TimerHandle | None = None
        self._wake: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether an answer may still reach the peer."""
        return self._carrier.is_open

    def take(self, data: bytes) -> None:
        """Take bytes, or none because time has passed, and do all that comes of them."""
        now = asyncio.get_running_loop().time()
        completed = False
        try:
            received = self._framer.receive(data, now)
            while received.writes or received.frames:
                completed = completed or bool(received.frames)
                if not self._perform(received):
                    self.stop()
                    return
                # What was sent may have started a timer, and frames before a bad one are handed out first.
                received = self._framer.receive(b"", now)
        except FrameError:
            self.stop()
            self._carrier.give_up()
            return
        if self._carrier.is_open:
            self._arm(received.wake_at, now)
            self._watch_frame(completed=completed, has_timer=received.wake_at is not None)

    def send(self, reply: Reply) -> None:
        """Send an answer as often as it says; what no frame can carry, or a line cannot take any more, is not sent."""
        if reply.data is None:
            return
        with suppress(LocalProtocolError):
            for _ in range(reply.copies):
                self._carrier.write(self._framer.send(reply.data))
        if not self._handling:
            # Sending may have started a timer.
            self.take(b"")

    def close(self) -> None:
        """Part in order."""
        self.stop()
        self._carrier.close()

    def abort(self) -> None:
        """Part at once."""
        self.stop()
        self._carrier.abort()

    def stop(self) -> None:
        """Forget the timers: nothing more is wanted of the framer."""
        for timer in (self._patience, self._wake):
            if timer is not None:
                timer.cancel()
        self._patience = self._wake = None

    def _perform(self, received: Received) -> bool:
        """Write what the framing wants written, then handle the requests; whether the dialogue goes on."""
        if received.writes:
            self._carrier.write(received.writes)
        self._handling = True
        try:
            for frame in received.frames:
                if not self._house.serve(self, frame):
                    self._carrier.hang_up()
                if not self._carrier.is_open:
                    return False
        finally:
            self._handling = False
        return self._carrier.is_open

    def _arm(self, wake_at: float | None, now: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if wake_at is not None:
            self._wake = asyncio.get_running_loop().call_at(max(wake_at, now), self.take, b"")

    def _watch_frame(self, *, completed: bool, has_timer: bool) -> None:
        """Start the time a frame has with its first byte; later bytes do not extend it.

        A framer with a timer of its own knows better how long its line takes.
        """
        unfinished = bool(self._framer.pending) and not has_timer
        if self._patience is not None and (completed or not unfinished):
            self._patience.cancel()
            self._patience = None
        if unfinished and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self._patience_s, self._lose_patience)

    def _lose_patience(self) -> None:
        self.stop()
        self._carrier.give_up()
