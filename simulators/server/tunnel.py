"""The HTTPS tunnel on the host's side: one request in the body of a POST, its answer in the body of the response.

    POST /any/path          Content-Type: x-ISO-TPDU/x-auth          body: one whole frame

The grammar is h11's; here are the bounds and what HTTP says when something is wrong: 405 for another method, 415 for
another type, 413 for a body that is too long, 400 for one that is not one frame or for what is no HTTP. After any of
these the connection ends. Where the scenario keeps silent, so does the response.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError
from simulators.server.dialogue import FRAME_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.framing.base import Framer
    from simulators.acquirer import Reply
    from simulators.server.connection import Connection
    from simulators.server.house import Door, House

CONTENT_TYPE: Final = "x-ISO-TPDU/x-auth"
"""What gateways of this trade ask for, in any case of letters."""

HEAD_BYTES_MAX: Final = 8192
"""A request line and its headers; a terminal's have some hundreds of bytes."""

BODY_BYTES_MAX: Final = limits.FRAME_BYTES_MAX + 16
"""One frame and its length, of whatever kind."""

LENGTH_DIGITS_MAX: Final = 9

ANSWER_TIMEOUT_S: Final = 120.0
"""Seconds a request may stay without a response, which is longer than any terminal waits."""

_ANSWERING: Final = "a request is being answered"


class Tunnel:
    """A guest of the house that speaks HTTP: one request at a time, and connections are kept."""

    takes_strays = False
    """A response belongs to its request: what is late for one must not pass for another's."""

    def __init__(self, house: House, door: Door, framer: Callable[[], Framer], connection: Connection) -> None:
        """Begin; each request gets a framer of its own."""
        self.door = door
        self.terminal = ""
        self.spoke = 0
        self._house = house
        self._new_framer = framer
        self._connection = connection
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._body = bytearray()
        self._is_asked = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request waits for its response."""
        return self._connection.is_open and self._waits

    @property
    def _waits(self) -> bool:
        return self._is_asked and self._http.our_state is h11.SEND_RESPONSE

    def take(self, data: bytes) -> None:
        """Take bytes, and handle the requests that they complete."""
        if self._connection.is_open:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if data:
            self._http.receive_data(data)
        if self._timer is None and not self._waits:
            self._start_timer(FRAME_TIMEOUT_S)
        try:
            while self._connection.is_open and self._advance():
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(HTTPStatus(error.error_status_hint))

    def send(self, reply: Reply) -> None:
        """Send the response, once: HTTP has no place for a second one."""
        if reply.data is None or not self.is_open:
            return
        try:
            body = self._new_framer().send(reply.data)
        except LocalProtocolError:
            return
        self._respond(HTTPStatus.OK, [("Content-Type", CONTENT_TYPE)], body)
        self._begin_anew()

    def close(self) -> None:
        """Part in order."""
        self.stop()
        self._connection.close()

    def abort(self) -> None:
        """Part at once."""
        self.stop()
        self._connection.abort()

    def stop(self) -> None:
        """Forget the timer."""
        self._start_timer(None)

    def _advance(self) -> bool:
        """Take one step through what has arrived; whether there may be another."""
        event = self._http.next_event()
        match event:
            case h11.Request():
                self._look_at(event)
            case h11.Data():
                self._body += event.data
                if len(self._body) > BODY_BYTES_MAX:
                    self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            case h11.EndOfMessage():
                self._serve()
            case _:
                # More bytes are needed, or it is not their turn.
                self._wait(more=event is h11.NEED_DATA)
                return False
        return True

    def _look_at(self, request: h11.Request) -> None:
        headers = {bytes(name): bytes(value) for name, value in request.headers}
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if request.method != b"POST":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "POST"))
        elif kind != CONTENT_TYPE.lower().encode():
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        elif _is_long(headers.get(b"content-length", b"0")):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))

    def _serve(self) -> None:
        """Hand the body's frame to the house."""
        frame = _only_frame(self._new_framer(), bytes(self._body))
        self._body.clear()
        self._is_asked = True
        self._start_timer(ANSWER_TIMEOUT_S)
        if frame is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif not self._house.serve(self, frame):
            self.close()

    def _wait(self, *, more: bool) -> None:
        ahead = bool(self._http.trailing_data[0])
        if not more and ahead:
            # What more is sent ahead of a response stays in the kernel.
            self._connection.hold_back(_ANSWERING)
        elif more and not ahead and self._http.their_state is h11.IDLE:
            self._start_timer(None)

    def _begin_anew(self) -> None:
        """Be ready for the next request of this connection, or end it if its peer wants that."""
        self._start_timer(None)
        self._is_asked = False
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
            return
        self._http.start_next_cycle()
        self._connection.read_on(_ANSWERING)
        # What was read ahead is looked at in a turn of its own.
        asyncio.get_running_loop().call_soon(self.take, b"")

    def _refuse(self, status: HTTPStatus, *more: tuple[str, str]) -> None:
        """Say what is wrong, and end the connection: what else it holds is not worth reading."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._respond(status, [("Connection", "close"), *more], b"")
        self.stop()
        self._connection.give_up()

    def _respond(self, status: HTTPStatus, headers: list[tuple[str, str]], body: bytes) -> None:
        length = ("Content-Length", str(len(body)))
        self._write(
            h11.Response(status_code=status, reason=status.phrase.encode(), headers=[*headers, length]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    def _write(self, *events: h11.Event) -> None:
        self._connection.write(b"".join(self._http.send(event) or b"" for event in events))

    def _start_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close) if seconds is not None else None


def _is_long(length: bytes) -> bool:
    # Python refuses to read numbers of some thousand digits, and a header has room for one.
    return len(length) > LENGTH_DIGITS_MAX or int(length) > BODY_BYTES_MAX


def _only_frame(framer: Framer, body: bytes) -> bytes | None:
    """Return the payload of a body that is exactly one frame."""
    try:
        frames = framer.receive(body, 0.0).frames
        framer.receive(b"", 0.0)
    except FrameError:
        return None
    return frames[0] if len(frames) == 1 and not framer.pending else None
