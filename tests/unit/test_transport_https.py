from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import LinkError, NoAnswer, NotSent, Trouble, UsageError
from pos_engine.transport.base import Silence
from pos_engine.transport.https import HttpsStream
from pos_engine.transport.memory import memory_pair
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.echo_host import EchoHost, read_exactly, reset
from tests.support.tls_host import NAME, Pki, host_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

PLENTY_S: Final = 10.0
PATH: Final = "/mjc/webtrans/VPB_lb"
REQUEST: Final = b"\x00\x07request"
ANSWER: Final = b"\x00\x06answer"
OK: Final = b"HTTP/1.1 200 OK\r\n"
WHOLE: Final = OK + b"Content-Length: 8\r\n\r\n" + ANSWER


def chunked(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def read_request(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Read one request, as head and body; `None` at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = read_exactly(connection, 1)
        if byte is None:
            return None
        head += byte
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, read_exactly(connection, length) or b""


class Gateway:
    """A script for `EchoHost`: each request gets the next of the answers, whatever it is; then the end."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.requests: list[tuple[bytes, bytes]] = []

    def __call__(self, connection: socket.socket) -> None:
        for answer in self.answers:
            request = read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            connection.sendall(answer)


def staying(gateway: Gateway) -> Callable[[socket.socket], None]:
    """Keep the connection open after the last answer, until the client closes."""

    def script(connection: socket.socket) -> None:
        gateway(connection)
        while connection.recv(1000):
            pass

    return script


def resetting(gateway: Gateway) -> Callable[[socket.socket], None]:
    """Break the connection off after the last answer."""

    def script(connection: socket.socket) -> None:
        gateway(connection)
        reset(connection)

    return script


@contextmanager
def connected(script: Callable[[socket.socket], None]) -> Iterator[HttpsStream]:
    with EchoHost(script) as host, closing(HttpsStream(TcpStream(*host.address), NAME, 8443, PATH)) as stream:
        stream.connect(PLENTY_S)
        yield stream


def failure_of(*answers: bytes) -> NoAnswer:
    """Send one request, and return why the answer to it is none; nothing more may go out after that."""
    gateway = Gateway(*answers)
    with connected(gateway) as stream:
        stream.send(REQUEST, PLENTY_S)
        with pytest.raises(NoAnswer) as caught:
            stream.receive(PLENTY_S)
        assert not isinstance(caught.value, Silence)
        assert stream.stale()
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)
        assert str(caught.value).startswith(stream.peer)
    assert caught.value.__context__ is None
    assert len(gateway.requests) == 1
    return caught.value


def test_a_request_is_one_post_with_the_framed_message_as_its_body() -> None:
    gateway = Gateway(WHOLE)
    with connected(staying(gateway)) as stream:
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
        assert not stream.is_line
    ((head, body),) = gateway.requests
    assert body == REQUEST
    assert head.decode().split("\r\n") == [
        f"POST {PATH} HTTP/1.1",
        f"Host: {NAME}:8443",
        "User-Agent: pos-engine",
        "Content-Type: x-ISO-TPDU/x-auth",
        "Cache-Control: no-cache",
        "Content-Length: 9",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [("pos.example", 443, "pos.example"), ("::1", 443, "[::1]"), ("::1", 8443, "[::1]:8443")],
)
def test_the_host_is_named_as_http_names_it(host: str, port: int, named: str) -> None:
    inner, other = memory_pair()
    stream = HttpsStream(inner, host, port, "/")
    stream.connect(PLENTY_S)
    stream.send(REQUEST, PLENTY_S)
    assert f"\r\nHost: {named}\r\n".encode() in other.receive(PLENTY_S)


@pytest.mark.parametrize("path", ["", "path", "/a b", "/a\r\nX: y", "/ä"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        HttpsStream(memory_pair()[0], NAME, 443, path)


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "ä.example", "user@host"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        HttpsStream(memory_pair()[0], host, 443, "/")


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        chunked(ANSWER),
        chunked(ANSWER[:1], ANSWER[1:7], ANSWER[7:]),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + WHOLE,
        OK + b"Set-Cookie: a=b\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n" + ANSWER,
    ],
)
def test_a_connection_is_kept_for_the_next_request(answer: bytes) -> None:
    gateway = Gateway(answer, WHOLE, answer)
    with connected(staying(gateway)) as stream:
        for _ in range(3):
            assert not stream.stale()
            stream.send(REQUEST, PLENTY_S)
            assert stream.receive(PLENTY_S) == ANSWER
    assert [body for _, body in gateway.requests] == [REQUEST] * 3
    assert not any(b"ookie" in head for head, _ in gateway.requests)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 8\r\n\r\n" + ANSWER,
        OK + b"Connection: close\r\n\r\n" + ANSWER,
        b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER,
    ],
    ids=["length", "until-the-end", "1.0"],
)
def test_a_host_that_keeps_no_connection_gets_another_one(answer: bytes) -> None:
    with connected(Gateway(answer)) as stream:
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
        assert stream.stale()
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (500, Trouble.CLOSED),
        (503, Trouble.CLOSED),
        (302, Trouble.BAD_FRAME),
        (307, Trouble.BAD_FRAME),
        (404, Trouble.BAD_FRAME),
        (201, Trouble.BAD_FRAME),
        (204, Trouble.BAD_FRAME),
    ],
)
def test_another_status_is_no_answer_and_is_said_by_its_number(status: int, trouble: Trouble) -> None:
    head = f"HTTP/1.1 {status} Whatever\r\nLocation: https://elsewhere.example/\r\nContent-Length: 8\r\n\r\n"
    error = failure_of(head.encode() + ANSWER)
    assert f"HTTP status {status}" in str(error)
    assert ("never followed" in str(error)) is (status in {302, 307})
    assert "elsewhere" not in str(error)
    assert error.trouble is trouble


@pytest.mark.parametrize(
    ("answer", "words", "trouble"),
    [
        (b"\x00\x06answer", "no answer of HTTP/1.1", Trouble.BAD_FRAME),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no answer of HTTP/1.1", Trouble.BAD_FRAME),
        (b"HTTP/2 200 OK\r\n\r\n", "no answer of HTTP/1.1", Trouble.BAD_FRAME),
        (OK + b"Content-Length: many\r\n\r\n", "no answer of HTTP/1.1", Trouble.BAD_FRAME),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "no answer of HTTP/1.1", Trouble.BAD_FRAME),
        (OK + b"X: " + b"a" * 100_000, "no answer of HTTP/1.1|too large", Trouble.BAD_FRAME),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "too large", Trouble.BAD_FRAME),
        (OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, "too large", Trouble.BAD_FRAME),
        (OK + b"Connection: close\r\n\r\n" + b"x" * 1_000_000, "too large", Trouble.BAD_FRAME),
        (chunked(*[b"x" * 1000] * 1000), "too large", Trouble.BAD_FRAME),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 90 + b"\r\nx\r\n" * 5000,
            "too large|no answer",
            None,
        ),
        (OK + b"Content-Length: 0\r\n\r\n", "the HTTP answer is empty", Trouble.BAD_FRAME),
        (chunked(), "the HTTP answer is empty", Trouble.BAD_FRAME),
        (b"", "closed by the other side before an HTTP answer", Trouble.CLOSED),
        (WHOLE[:10], "closed by the other side before an HTTP answer", Trouble.CLOSED),
        (WHOLE[:-1], "closed by the other side inside the HTTP answer", Trouble.CLOSED),
        (chunked(ANSWER)[:-1], "closed by the other side inside the HTTP answer", Trouble.CLOSED),
    ],
)
def test_what_is_no_whole_answer_is_none(answer: bytes, words: str, trouble: Trouble | None) -> None:
    error = failure_of(answer)
    assert any(each in str(error) for each in words.split("|"))
    assert trouble is None or error.trouble is trouble


@pytest.mark.parametrize("answer", [WHOLE, chunked(ANSWER[:3], ANSWER[3:])], ids=["length", "chunked"])
@pytest.mark.parametrize("ends", ["closed", "reset"])
def test_an_answer_cut_at_any_byte_is_none(answer: bytes, ends: str) -> None:
    for cut in range(len(answer)):
        error = None
        gateway = Gateway(answer[:cut])
        with connected(gateway if ends == "closed" else resetting(gateway)) as stream:
            stream.send(REQUEST, PLENTY_S)
            try:
                stream.receive(PLENTY_S)
            except LinkError as caught:
                error = caught
        assert isinstance(error, NoAnswer)


def test_an_answer_as_large_as_allowed_comes_in_pieces_and_is_read_before_the_next_request() -> None:
    body = bytes(range(256)) * (limits.HTTP_BODY_BYTES_MAX // 256)
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(staying(Gateway(answer, WHOLE))) as stream:
        stream.send(REQUEST, PLENTY_S)
        taken = stream.receive(PLENTY_S)
        assert len(taken) == limits.RECEIVE_BYTES_MAX
        assert stream.stale()
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)
        while len(taken) < len(body):
            taken += stream.receive(PLENTY_S)
        assert taken == body
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
    assert "too large" in str(failure_of(OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body + b"!"))


def test_after_the_answer_there_is_no_more_until_the_next_request() -> None:
    with connected(staying(Gateway(WHOLE, WHOLE))) as stream:
        with pytest.raises(NoAnswer, match="no more of the HTTP answer"):
            stream.receive(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
        # Whoever waits for another frame learns at once that none can come, not at his deadline.
        with pytest.raises(NoAnswer, match="no more of the HTTP answer") as caught:
            stream.receive(PLENTY_S)
        assert caught.value.trouble is Trouble.BAD_FRAME
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER


def test_one_request_is_out_at_a_time() -> None:
    gateway = Gateway(WHOLE)
    with connected(staying(gateway)) as stream:
        stream.send(REQUEST, PLENTY_S)
        assert stream.stale()
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
    assert len(gateway.requests) == 1


def dribbling(gateway: Gateway, pause_s: float) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        request = read_request(connection)
        assert request is not None
        for byte in gateway.answers[0]:
            connection.sendall(bytes([byte]))
            threading.Event().wait(pause_s)
        while connection.recv(1000):
            pass

    return script


def test_an_answer_that_dribbles_is_silence_at_the_deadline() -> None:
    with connected(dribbling(Gateway(WHOLE), 0.01)) as stream:
        stream.send(REQUEST, PLENTY_S)
        begun = time.monotonic()
        with pytest.raises(Silence):
            stream.receive(0.1)
        assert time.monotonic() - begun < 0.1 + 1.0
        assert stream.receive(PLENTY_S) == ANSWER


def test_a_look_without_waiting_takes_what_is_there() -> None:
    inner, host = memory_pair()
    stream = HttpsStream(inner, NAME, 443, PATH)
    stream.connect(PLENTY_S)
    stream.send(REQUEST, PLENTY_S)
    for timeout_s in (0.0, -1.0):
        with pytest.raises(Silence):
            stream.receive(timeout_s)
    host.send(chunked(*[b"x"] * 2000), PLENTY_S)
    assert stream.receive(0) == b"x" * 2000
    stream.send(REQUEST, PLENTY_S)
    for _ in range(20):
        host.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, PLENTY_S)
    with pytest.raises(Silence):
        stream.receive(0)


def test_a_look_without_waiting_ends_although_bytes_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    inner, host = memory_pair()
    stream = HttpsStream(inner, NAME, 443, PATH)
    stream.connect(PLENTY_S)
    stream.send(REQUEST, PLENTY_S)
    host.send(WHOLE, PLENTY_S)
    monkeypatch.setattr(limits, "RECEIVE_BYTES_MAX", 2)
    with pytest.raises(Silence):
        stream.receive(0)
    assert inner.stale()
    assert stream.receive(PLENTY_S) == ANSWER[:2]


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\n", WHOLE, b"!"])
def test_what_follows_an_answer_makes_the_connection_stale(extra: bytes) -> None:
    inner, host = memory_pair()
    for together in (True, False):
        inner, host = memory_pair()
        stream = HttpsStream(inner, NAME, 443, PATH)
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        host.send(WHOLE + extra if together else WHOLE, PLENTY_S)
        assert stream.receive(PLENTY_S) == ANSWER
        if not together:
            assert not stream.stale()
            host.send(extra, PLENTY_S)
        assert stream.stale()


def test_a_host_that_speaks_unasked_or_leaves_is_stale() -> None:
    inner, host = memory_pair()
    stream = HttpsStream(inner, NAME, 443, PATH)
    assert stream.stale()
    stream.connect(PLENTY_S)
    assert not stream.stale()
    host.send(WHOLE, PLENTY_S)
    assert stream.stale()
    host.close()
    stream.close()
    stream.close()
    assert stream.stale()
    with pytest.raises(NotSent, match="not connected"):
        stream.send(REQUEST, PLENTY_S)
    with pytest.raises(NoAnswer, match="not connected"):
        stream.receive(PLENTY_S)


@pytest.mark.parametrize("capacity", [0, 1, 100])
def test_only_while_no_byte_of_the_request_was_taken_is_it_not_sent(capacity: int) -> None:
    inner, _ = memory_pair(capacity=capacity)
    stream = HttpsStream(inner, NAME, 443, PATH)
    stream.connect(PLENTY_S)
    with pytest.raises(LinkError) as caught:
        stream.send(REQUEST, 0)
    assert type(caught.value) is (NoAnswer if capacity else NotSent)
    assert stream.stale()
    with pytest.raises(NotSent, match="failed before"):
        stream.send(REQUEST, 0)


@given(answer=st.sampled_from([WHOLE, chunked(ANSWER[:3], ANSWER[3:])]), cuts=st.sets(st.integers(0, 70)))
def test_an_answer_is_the_same_in_any_pieces(answer: bytes, cuts: set[int]) -> None:
    inner, host = memory_pair()
    stream = HttpsStream(inner, NAME, 443, PATH)
    stream.connect(PLENTY_S)
    stream.send(REQUEST, PLENTY_S)
    places = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    for begin, end in pairwise(places):
        with pytest.raises(Silence):
            stream.receive(0)
        host.send(answer[begin:end], PLENTY_S)
    assert stream.receive(0) == ANSWER


@given(
    noise=st.binary(max_size=200),
    begins=st.sampled_from([b"", OK, WHOLE[:30], OK + b"Transfer-Encoding: chunked\r\n\r\n"]),
)
def test_whatever_comes_is_an_answer_or_none(noise: bytes, begins: bytes) -> None:
    inner, host = memory_pair()
    stream = HttpsStream(inner, NAME, 443, PATH)
    stream.connect(PLENTY_S)
    stream.send(REQUEST, PLENTY_S)
    host.send(begins + noise, PLENTY_S)
    host.close()
    try:
        assert stream.receive(0)
    except NoAnswer as error:
        failure = error
    else:
        return
    assert failure.__context__ is None


class Handler(BaseHTTPRequestHandler):
    """Python's own server as an oracle: it parses the request, and writes the response."""

    protocol_version = "HTTP/1.1"
    seen: Final[list[tuple[str, str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        if len(self.seen) % 2:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


def test_python_s_own_server_over_tls_understands_it(pki: Pki) -> None:
    Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        server.socket = host_context(pki.leaf).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        tls = TlsStream(TcpStream("127.0.0.1", port), TlsFiles(pki.file), NAME)
        with closing(HttpsStream(tls, NAME, port, PATH)) as stream:
            stream.connect(PLENTY_S)
            for number in range(6):
                assert not stream.stale()
                stream.send(REQUEST + bytes([number]), PLENTY_S)
                assert stream.receive(PLENTY_S) == REQUEST + bytes([number])
        server.shutdown()
        thread.join(PLENTY_S)
    assert Handler.seen == [(PATH, "x-ISO-TPDU/x-auth", REQUEST + bytes([number])) for number in range(6)]
