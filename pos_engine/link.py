"""A link: one connection to the acquirer, made when it is needed, and what is certain about a request sent over it.

The rule it keeps: an answer can only be one that came after its request and before its deadline. Whatever lies in a
kept connection before a request goes out is set aside (`leftovers`) and the connection is replaced; after any failure
it is closed, so that a late answer finds nobody. A serial line has no such end: what lies in it is set aside, and it is
used all the same, without being opened anew, which would hang up a modem. All waits end at the caller's deadline.
Deciding whether an answer *matches* is not done here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pos_engine import limits
from pos_engine.errors import FrameError, LinkError, NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence

if TYPE_CHECKING:
    from pos_engine.framing.base import Framer, Received
    from pos_engine.transport.base import Stream

Direction = Literal["sent", "received"]
Observer = Callable[[Direction, bytes], None]


@dataclass(slots=True)
class _Connection:
    """A stream, the framer that belongs to it, and when that framer wants to be called."""

    stream: Stream
    framer: Framer
    wake_at: float | None = None


class Link:
    """One connection at a time, of streams and framers that the two factories make. Not for two threads at once.

    Deadlines are moments on `monotonic`. `observer` is told of each frame, "sent" as soon as any byte of it may have
    left; it must not raise.
    """

    __slots__ = (
        "_arrived",
        "_connect_timeout_s",
        "_connection",
        "_leftovers",
        "_monotonic",
        "_new_framer",
        "_new_stream",
        "_observer",
        "_spent",
    )

    def __init__(
        self,
        stream: Callable[[], Stream],
        framer: Callable[[], Framer],
        *,
        monotonic: Callable[[], float],
        connect_timeout_s: float = limits.CONNECT_TIMEOUT_S,
        observer: Observer | None = None,
    ) -> None:
        """Take the factories; nothing is connected before the first `send`."""
        self._new_stream = stream
        self._new_framer = framer
        self._monotonic = monotonic
        self._connect_timeout_s = connect_timeout_s
        self._observer = observer
        self._connection: _Connection | None = None
        # The framer of a line's last connection: the line goes on behind it.
        self._spent: Framer | None = None
        self._arrived: deque[bytes] = deque()
        self._leftovers: deque[bytes] = deque(maxlen=limits.LEFTOVER_FRAMES_MAX)

    @property
    def connected(self) -> bool:
        """Whether a connection is kept; its peer may be gone all the same."""
        return self._connection is not None

    def send(self, payload: bytes, deadline: float, *, connect_within_s: float | None = None) -> None:
        """Send one frame, connecting first when there is no usable connection, which may be given less time than usual.

        `LocalProtocolError`: it cannot be framed. `NotSent`: no byte has left. `NoAnswer`: some may have.
        """
        self._set_aside()
        connection = self._connection
        if connection is None:
            # What cannot be framed must not cost a connection.
            self._new_framer().send(payload)
            connection = self._connected(deadline, connect_within_s)
        data = connection.framer.send(payload)
        with self._closing_on_failure():
            self._write(connection, data, payload, deadline)

    def receive(self, deadline: float) -> bytes:
        """Return the payload of the next frame; `NoAnswer` says silence, link lost or bad frame, and has closed it."""
        with self._closing_on_failure():
            while not self._arrived:
                self._await_bytes(deadline)
        return self._arrived.popleft()

    def open(self) -> None:
        """Connect, if nothing is connected, and send nothing; `NotSent` says that the host cannot be reached."""
        if self._connection is None:
            self._connected(self._monotonic() + self._connect_timeout_s)

    def leave(self) -> None:
        """Close the connection, and keep what lies in it: it may be worth recording. Nothing is waited for."""
        if self._connection is not None:
            self._connection.framer.withdraw()
            with suppress(LinkError):
                self._drain(self._connection)
        self.close()

    def leftovers(self) -> tuple[bytes, ...]:
        """Hand out, once, the frames that no request was waiting for: late, repeated or unasked."""
        frames = tuple(self._leftovers)
        self._leftovers.clear()
        return frames

    def close(self) -> None:
        """Close the connection; frames nobody has read become leftovers. The next `send` connects again."""
        self._shelve()
        self._drop()

    @contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        """Close on whatever goes wrong, an interrupt by the user included; what has come by then came too late."""
        try:
            yield
        except BaseException:
            self.leave()
            raise

    def _shelve(self) -> None:
        self._leftovers.extend(self._arrived)
        self._arrived.clear()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._spent = connection.framer if connection.stream.is_line else None
            connection.stream.close()

    def _set_aside(self) -> None:
        """Make sure that nothing which came before a request can pass for its answer."""
        connection = self._connection
        if connection is None:
            self.close()
            return
        # What was answered must not be repeated because of a word that was said before the answer came.
        connection.framer.withdraw()
        if not self._is_clean(connection):
            if self._drain(connection) and self._is_still_a_line(connection):
                self._begin_anew(connection)
            else:
                self.close()

    def _is_still_a_line(self, connection: _Connection) -> bool:
        """Tell whether a line that was drained is still open, and has nothing more to say."""
        return connection.stream.is_line and connection is self._connection and not connection.stream.stale()

    def _begin_anew(self, connection: _Connection) -> None:
        """Forget what was under way on a line: it may have begun in the middle of a frame."""
        self._shelve()
        connection.framer, connection.wake_at = connection.framer.renewed(), None

    def _is_clean(self, connection: _Connection) -> bool:
        """Tell whether a kept connection is whole and has nothing in it, neither here nor in the kernel."""
        with suppress(NoAnswer):
            for _ in range(2):
                # A framer that met a fault behind the last answer says so only now, and behind its last word.
                now = self._monotonic()
                self._feed(connection, b"", now, deadline=now)
            return not self._arrived and not connection.framer.pending and not connection.stream.stale()
        return False

    def _drain(self, connection: _Connection) -> bool:
        """Take what a peer has sent unasked, without waiting and not without end: it may be worth recording.

        Whether the peer is still there.
        """
        with suppress(LinkError):
            for _ in range(limits.DRAIN_READS_MAX):
                try:
                    data = connection.stream.receive(0)
                except Silence:
                    return True
                if not data:
                    return False
                now = self._monotonic()
                self._feed(connection, data, now, deadline=now)
            return True
        # What lies in a line may be no frame at all; the line is there all the same.
        return connection.stream.is_line

    def _connected(self, deadline: float, within_s: float | None = None) -> _Connection:
        """Make a connection that nothing lies in."""
        framer = self._new_framer() if self._spent is None else self._spent.renewed()
        connection = self._connection = _Connection(self._new_stream(), framer)
        stream = connection.stream
        with self._closing_on_failure():
            usual_s = self._connect_timeout_s
            longest_s = usual_s if within_s is None else min(usual_s, within_s)
            stream.connect(min(self._left_s(connection, deadline), longest_s))
            if stream.stale():
                is_there = self._drain(connection)
                if not stream.is_line or not is_there:
                    reason = f"{stream.peer}: closed, or spoke before it was asked"
                    raise NotSent(reason, trouble=Trouble.CLOSED)
                self._begin_anew(connection)
        return connection

    def _write(self, connection: _Connection, data: bytes, payload: bytes, deadline: float) -> None:
        """Write a request, and start the framer's timers."""
        left_s = self._left_s(connection, deadline)
        failure = None
        try:
            connection.stream.send(data, left_s)
        except NoAnswer as error:
            failure = _lost(error)
        self._observe("sent", payload)
        if failure is not None:
            raise failure
        self._feed(connection, b"", self._monotonic(), deadline=deadline)

    def _left_s(self, connection: _Connection, deadline: float) -> float:
        """Return the seconds left for sending; with none left, sending would only put the caller in doubt."""
        left_s = deadline - self._monotonic()
        if left_s <= 0:
            reason = f"{connection.stream.peer}: no time left to send"
            raise NotSent(reason, trouble=Trouble.TIMEOUT)
        return left_s

    def _await_bytes(self, deadline: float) -> None:
        """Wait once, for the peer or for the framer's timer, and let the framer have what came of it."""
        connection = self._connection
        if connection is None:
            reason = "link lost: there is no connection"
            raise NoAnswer(reason, trouble=Trouble.CLOSED)
        now = self._monotonic()
        until = deadline if connection.wake_at is None else min(deadline, connection.wake_at)
        data = self._read(connection, until - now) if now < deadline else None
        if data is None and until >= deadline:
            reason = f"silence: {connection.stream.peer} did not answer in time"
            raise Silence(reason, trouble=Trouble.TIMEOUT)
        # A wait that ran out has reached its end, also where a simulated clock stood still meanwhile.
        now = self._monotonic()
        self._feed(connection, data or b"", now if data else max(now, until), deadline=deadline)
        if now - deadline >= limits.WAIT_MIN_S:
            # The terminal was held up, or slept: nobody knows when this came, so it is late, and kept as such.
            reason = f"silence: what {connection.stream.peer} sent was read after the deadline"
            raise Silence(reason, trouble=Trouble.TIMEOUT)

    def _read(self, connection: _Connection, timeout_s: float) -> bytes | None:
        """Return what came, or `None` when nothing did; an end of the connection is `NoAnswer`."""
        try:
            data = connection.stream.receive(max(0.0, timeout_s))
        except Silence:
            return None
        except NoAnswer as error:
            failure = _lost(error)
        else:
            if data:
                return data
            pending = connection.framer.pending
            where = f"inside a frame, after {pending} bytes of it" if pending else "before an answer"
            reason = f"link lost: {connection.stream.peer}: closed by the other side {where}"
            failure = NoAnswer(reason, trouble=Trouble.CLOSED)
        raise failure

    def _feed(self, connection: _Connection, data: bytes, now: float, *, deadline: float) -> None:
        """Give the framer some bytes or the time, keep the frames, write back what it wants written."""
        received = _frames_of(connection, data, now)
        connection.wake_at = received.wake_at
        for frame in received.frames:
            self._arrived.append(frame)
            self._observe("received", frame)
        if received.writes:
            self._answer_back(connection, received.writes, deadline)

    def _answer_back(self, connection: _Connection, data: bytes, deadline: float) -> None:
        """Write what the framing itself needs; a failure must not cost a frame that has arrived."""
        failure = None
        try:
            connection.stream.send(data, max(0.0, deadline - self._monotonic()))
        except LinkError as error:
            failure = _lost(error)
        if failure is not None:
            self._drop()
        if failure is not None and not self._arrived:
            raise failure

    def _observe(self, direction: Direction, frame: bytes) -> None:
        if self._observer is not None:
            self._observer(direction, frame)


def _lost(error: LinkError) -> NoAnswer:
    """Say of a failed connection that a request was out on it."""
    reason = f"link lost: {error}"
    return NoAnswer(reason, trouble=error.trouble)


def _frames_of(connection: _Connection, data: bytes, now: float) -> Received:
    """Ask the framer; bytes that are no frames are `NoAnswer`, because a request is out when they come."""
    try:
        return connection.framer.receive(data, now)
    except FrameError as error:
        reason, trouble = f"bad frame: {connection.stream.peer}: {error}", error.trouble or Trouble.BAD_FRAME
    raise NoAnswer(reason, trouble=trouble)
