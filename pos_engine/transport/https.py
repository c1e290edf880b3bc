"""A tunnel of HTTPS over any other stream: each request is one POST, and the answer to it is the body that comes back.

Gateways of acquirers take the same framed message this way as over a bare connection. h11 knows the words of HTTP/1.1
and nothing of sockets, so deadlines stay ours. One request is out at a time; a redirect is never followed, there are no
cookies and no proxies, and an answer counts once all of it has come. Whatever is not such an answer with status 200 is
`NoAnswer`: a request was out.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import h11

from pos_engine import limits
from pos_engine.errors import LinkError, NoAnswer, NotSent, Trouble, UsageError
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import NOT_CONNECTED, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.transport.base import Stream

HTTPS_PORT: Final = 443
OK: Final = 200
REDIRECTS: Final = range(300, 400)
SERVER_FAULTS: Final = range(500, 600)

LOOKS_MAX: Final = 16
"""Reads without waiting that one look takes: all of `limits.HTTP_ANSWER_BYTES_MAX`, if it is there."""

_PATH: Final = re.compile(r"/[!-~]*")
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
_IDLE: Final = ((h11.IDLE, h11.IDLE), (h11.DONE, h11.DONE))
"""Both sides before their first word, or done with an exchange on a connection that both keep."""

_FAILED_BEFORE: Final = Fault("the connection has failed before", Trouble.CLOSED)
_BUSY: Final = Fault("the answer before is not complete, or the host keeps no connection", Trouble.CLOSED)
_NONE_OUT: Final = Fault("there is no more of the HTTP answer", Trouble.BAD_FRAME)
_EMPTY: Final = Fault("the HTTP answer is empty", Trouble.BAD_FRAME)
_NO_HTTP: Final = Fault("what came is no answer of HTTP/1.1", Trouble.BAD_FRAME)
_TOO_LARGE: Final = Fault("the HTTP answer is too large", Trouble.BAD_FRAME)
_CUT_OFF: Final = Fault("closed by the other side inside the HTTP answer", Trouble.CLOSED)
_CLOSED: Final = Fault("closed by the other side before an HTTP answer", Trouble.CLOSED)


class HttpsStream:
    """A `Stream` of POSTs to `path` at `host`, over `inner`, which is a `TlsStream` wherever it matters."""

    __slots__ = ("_body", "_fault", "_headers", "_http", "_inner", "_monotonic", "_path", "_rest", "_taken")

    def __init__(
        self, inner: Stream, host: str, port: int, path: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember what to ask for; nothing happens yet. `UsageError`: host or path cannot stand in a request."""
        if not _PATH.fullmatch(path) or not _HOST.fullmatch(host):
            reason = "a host is a name or an address; a path begins with a slash and holds no spaces"
            raise UsageError(reason)
        self._inner = inner
        self._path = path
        self._headers = _headers(host, port)
        self._monotonic = monotonic
        self._http: h11.Connection | None = None
        self._fault: Fault | None = NOT_CONNECTED
        self._body = b""
        self._rest = b""
        self._taken = 0

    @property
    def peer(self) -> str:
        """Who the inner stream speaks to."""
        return self._inner.peer

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:
        """Connect the inner stream; HTTP itself begins with the first request."""
        self._inner.connect(timeout_s)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.HTTP_HEAD_BYTES_MAX)
        self._fault = None

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send one POST with `data` as its body. After any failure nothing more goes out on this connection."""
        http = self._http
        if http is None or self._fault is not None:
            raise self._failed(NotSent, self._fault or NOT_CONNECTED)
        if not _is_idle(http) or self._rest:
            raise self._failed(NotSent, _BUSY)
        if http.our_state is h11.DONE:
            http.start_next_cycle()
        # Until all of it is out, and for good when that fails, this connection takes nothing else.
        self._fault = _FAILED_BEFORE
        self._inner.send(self._posted(http, data), timeout_s)
        self._fault, self._body, self._taken = None, b"", 0

    def receive(self, timeout_s: float) -> bytes:
        """Return the answer's body once all of it has come, in pieces if it is large.

        `Silence`: not all has come yet. `NoAnswer`: no answer, another status than 200, or there is no more of it.
        """
        deadline = self._monotonic() + timeout_s
        looks = LOOKS_MAX
        while not self._rest:
            http = self._http
            if http is None:
                raise self._failed(NoAnswer, NOT_CONNECTED)
            if self._read(http):
                continue
            left_s = deadline - self._monotonic()
            looks -= left_s <= 0
            if looks < 0:
                reason = f"{self.peer}: no whole HTTP answer came"
                raise Silence(reason, trouble=Trouble.TIMEOUT)
            self._take(http, left_s)
        piece, self._rest = self._rest[: limits.RECEIVE_BYTES_MAX], self._rest[limits.RECEIVE_BYTES_MAX :]
        return piece

    def stale(self) -> bool:
        """Tell whether the next request needs another connection: the host keeps none, or something lies in it."""
        http = self._http
        if http is None or self._fault is not None or self._rest or not _is_idle(http):
            return True
        return any(http.trailing_data) or self._inner.stale()

    def close(self) -> None:
        """Close the inner stream."""
        self._http, self._fault, self._rest, self._body = None, NOT_CONNECTED, b"", b""
        self._inner.close()

    def _posted(self, http: h11.Connection, data: bytes) -> bytes:
        """Write the whole request as one piece: one segment, one record."""
        headers = [*self._headers, ("Content-Length", str(len(data)))]
        request = h11.Request(method="POST", target=self._path, headers=headers)
        events: tuple[h11.Event, ...] = (request, h11.Data(data=data), h11.EndOfMessage())
        return b"".join(http.send(event) or b"" for event in events)

    def _read(self, http: h11.Connection) -> bool:
        """Take the next part of the answer out of what has come; false when more has to come first."""
        if http.their_state not in {h11.SEND_RESPONSE, h11.SEND_BODY} or http.our_state is h11.IDLE:
            raise self._failed(NoAnswer, self._fault or _NONE_OUT)
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                return False
            fault = self._understood(event)
        except h11.RemoteProtocolError:
            _, has_ended = http.trailing_data
            fault = _CUT_OFF if has_ended else _NO_HTTP
        if fault is not None:
            raise self._gave_up(fault)
        return True

    def _understood(self, event: object) -> Fault | None:
        """Keep what belongs to the answer; else say why it is none."""
        if isinstance(event, h11.Response) and event.status_code != OK:
            return _status_fault(event.status_code)
        if isinstance(event, h11.Data):
            self._body += event.data
            return _TOO_LARGE if len(self._body) > limits.HTTP_BODY_BYTES_MAX else None
        if isinstance(event, h11.EndOfMessage):
            self._rest, self._body = self._body, b""
            return None if self._rest else _EMPTY
        # An interim answer says that the real one is to come.
        return None if isinstance(event, h11.Response | h11.InformationalResponse) else _CLOSED

    def _take(self, http: h11.Connection, left_s: float) -> None:
        """Wait for the inner stream; its end may be the end of the answer, which h11 knows."""
        data = self._inner.receive(max(0.0, left_s))
        self._taken += len(data)
        if self._taken > limits.HTTP_ANSWER_BYTES_MAX:
            raise self._gave_up(_TOO_LARGE)
        if not data and http.their_state is h11.SEND_RESPONSE:
            raise self._gave_up(_CLOSED)
        http.receive_data(data)

    def _gave_up(self, fault: Fault) -> LinkError:
        self._fault = fault
        return self._failed(NoAnswer, fault)

    def _failed(self, kind: type[LinkError], fault: Fault) -> LinkError:
        reason = f"{self.peer}: {fault.words}"
        return kind(reason, trouble=fault.trouble)


def _is_idle(http: h11.Connection) -> bool:
    return (http.our_state, http.their_state) in _IDLE


def _headers(host: str, port: int) -> list[tuple[str, str]]:
    name = f"[{host}]" if ":" in host else host
    return [
        ("Host", name if port == HTTPS_PORT else f"{name}:{port}"),
        ("User-Agent", "pos-engine"),
        ("Content-Type", "x-ISO-TPDU/x-auth"),
        ("Cache-Control", "no-cache"),
    ]


def _status_fault(status: int) -> Fault:
    """Tell a gateway that cannot reach its host just now, which may pass, from one that takes us for somebody else."""
    more = ", and a redirect is never followed" if status in REDIRECTS else ""
    trouble = Trouble.CLOSED if status in SERVER_FAULTS else Trouble.BAD_FRAME
    return Fault(f"the gateway answered with HTTP status {status}{more}", trouble)
