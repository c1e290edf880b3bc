from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import limits
from pos_engine.clock import ManualClock
from pos_engine.errors import LinkError, LocalProtocolError, NoAnswer, NotSent, Trouble
from pos_engine.framing.base import Received
from pos_engine.framing.length import LengthFramer
from pos_engine.link import Link
from pos_engine.transport.base import Silence
from pos_engine.transport.memory import MemoryStream, memory_pair
from pos_engine.transport.tcp import TcpStream
from simulators.faults import Direction, Fault, Kind, TcpProxy
from tests.support.echo_host import EchoHost, echo, echo_once, frame, read_exactly, read_frame, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLENTY_S: Final = 10.0
"""Time for an answer that does come; only a broken link uses it up."""
SHORT_S: Final = 0.05
"""Time for an answer that does not come."""


def soon(seconds: float = PLENTY_S) -> float:
    return time.monotonic() + seconds


class Tape:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []

    def __call__(self, direction: str, payload: bytes) -> None:
        self.lines.append((direction, payload))


class Dialler:
    """A factory of streams that remembers the last one, so that a test can see when bytes have arrived on it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._last = TcpStream(*address)

    def __call__(self) -> TcpStream:
        self._last = TcpStream(*self._address)
        return self._last

    def wait_for_arrival(self) -> None:
        """Wait for the kernel to carry what the host did; the link itself is not asked."""
        for _ in range(int(PLENTY_S / 0.001)):
            if self._last.stale():
                return
            threading.Event().wait(0.001)
        pytest.fail("nothing arrived")


@contextmanager
def tcp_link(address: tuple[str, int] | Dialler, observer: Tape | None = None) -> Iterator[Link]:
    dial = address if isinstance(address, Dialler) else Dialler(address)
    with closing(Link(dial, LengthFramer, monotonic=time.monotonic, observer=observer)) as link:
        yield link


def exchange(link: Link, payload: bytes) -> bytes:
    link.send(payload, soon())
    return link.receive(soon())


def unused_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        return address


def test_one_connection_serves_many_exchanges() -> None:
    tape = Tape()
    with EchoHost() as host, tcp_link(host.address, tape) as link:
        connected = [link.connected]
        assert [exchange(link, payload) for payload in (b"one", b"two")] == [b"one", b"two"]
        connected.append(link.connected)
        link.close()
        assert [*connected, link.connected] == [False, True, False]
        assert host.accepted == 1
        assert link.leftovers() == ()
    assert tape.lines == [("sent", b"one"), ("received", b"one"), ("sent", b"two"), ("received", b"two")]


def test_refused_connection_is_not_sent_and_names_the_address() -> None:
    tape = Tape()
    host, port = unused_address()
    with tcp_link((host, port), tape) as link, pytest.raises(NotSent) as caught:
        link.send(b"request", soon())
    assert str(caught.value) == f"{host}:{port}: connection refused"
    assert tape.lines == []


def test_a_payload_that_cannot_be_framed_connects_nobody() -> None:
    with EchoHost() as host, tcp_link(host.address) as link:
        with pytest.raises(LocalProtocolError):
            link.send(b"x" * (limits.FRAME_BYTES_MAX + 1), soon())
        assert host.accepted == 0


def test_no_time_left_is_not_sent() -> None:
    with EchoHost() as host, tcp_link(host.address) as link:
        with pytest.raises(NotSent, match="no time left"):
            link.send(b"request", time.monotonic())
        assert exchange(link, b"kept") == b"kept"
        with pytest.raises(NotSent, match="no time left"):
            link.send(b"request", time.monotonic())
        assert not link.connected


def swallow(connection: socket.socket) -> None:
    read_frame(connection)


def swallow_and_reset(connection: socket.socket) -> None:
    read_frame(connection)
    reset(connection)


def answer(data: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        read_frame(connection)
        connection.sendall(data)
        # Stay, so that only the link can end this connection.
        assert connection.recv(1) == b""

    return script


def answer_and_close(data: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        read_frame(connection)
        connection.sendall(data)

    return script


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (swallow, "link lost: .* closed by the other side before an answer"),
        (swallow_and_reset, "link lost: .* connection reset by the other side"),
        (answer_and_close(b"\x00\x05ab"), "link lost: .* inside a frame, after 4 bytes of it"),
        (answer(b"\xff\xff"), r"bad frame: .* 65535 bytes, 2048 are allowed \(offset 0\)"),
        (answer(b"\x00\x00" * 1000), "bad frame: .* an empty frame"),
    ],
)
def test_no_usable_answer_closes_the_connection_and_says_why(
    script: Callable[[socket.socket], None], reason: str
) -> None:
    tape = Tape()
    with EchoHost(script, echo) as host, tcp_link(host.address, tape) as link:
        link.send(b"request", soon())
        with pytest.raises(NoAnswer, match=reason) as caught:
            link.receive(soon())
        assert not isinstance(caught.value, Silence)
        assert caught.value.__context__ is None
        assert not link.connected
        assert tape.lines == [("sent", b"request")]
        host.wait_for_end()
        assert exchange(link, b"again") == b"again"


def test_after_a_failure_receiving_again_finds_no_connection() -> None:
    with EchoHost(swallow) as host, tcp_link(host.address) as link:
        link.send(b"request", soon())
        for reason in ("closed by the other side", "no connection"):
            with pytest.raises(NoAnswer, match=reason) as caught:
                link.receive(soon())
            assert caught.value.trouble is Trouble.CLOSED


def test_silence_closes_so_that_a_late_answer_finds_nobody() -> None:
    given_up = threading.Event()

    def late(connection: socket.socket) -> None:
        payload = read_frame(connection)
        assert payload == b"first"
        assert given_up.wait(PLENTY_S)
        connection.sendall(frame(payload))

    with EchoHost(late, echo) as host, tcp_link(host.address) as link:
        link.send(b"first", soon())
        with pytest.raises(Silence, match=r"silence: .* did not answer in time"):
            link.receive(soon(SHORT_S))
        given_up.set()
        assert exchange(link, b"second") == b"second"
    assert link.leftovers() == ()


def test_a_dribbling_peer_cannot_extend_the_deadline() -> None:
    def dribble(connection: socket.socket) -> None:
        read_frame(connection)
        for byte in frame(b"x" * limits.FRAME_BYTES_MAX):
            connection.sendall(bytes([byte]))
            # At this pace the whole answer takes longer than the test may: getting it would be the failure.
            threading.Event().wait(SHORT_S / 10)

    with EchoHost(dribble) as host, tcp_link(host.address) as link:
        link.send(b"request", soon())
        with pytest.raises(Silence):
            link.receive(soon(SHORT_S))
        assert not link.connected


def test_a_kept_connection_whose_peer_has_gone_is_replaced_and_the_request_sent_once() -> None:
    served: list[bytes | None] = []

    def serve_once(connection: socket.socket) -> None:
        served.append(read_frame(connection))
        connection.sendall(frame(served[-1] or b"?"))

    with EchoHost(serve_once) as host:
        dial = Dialler(host.address)
        with tcp_link(dial) as link:
            assert exchange(link, b"one") == b"one"
            dial.wait_for_arrival()
            assert exchange(link, b"two") == b"two"
        assert host.accepted == 2
    assert served == [b"one", b"two"]


def test_a_frame_that_came_unasked_is_set_aside_and_never_an_answer() -> None:
    tape = Tape()
    answered = threading.Event()

    def talkative(connection: socket.socket) -> None:
        echo_once(connection)
        assert answered.wait(PLENTY_S)
        connection.sendall(frame(b"unasked"))
        assert connection.recv(1) == b""

    with EchoHost(talkative, echo) as host:
        dial = Dialler(host.address)
        with tcp_link(dial, tape) as link:
            assert exchange(link, b"one") == b"one"
            answered.set()
            dial.wait_for_arrival()
            assert exchange(link, b"two") == b"two"
            assert link.leftovers() == (b"unasked",)
            assert link.leftovers() == ()
        assert host.accepted == 2
    assert tape.lines.count(("received", b"unasked")) == 1


def test_two_answers_in_one_piece_are_handed_out_in_order() -> None:
    with EchoHost(answer(frame(b"foreign") + frame(b"mine"))) as host, tcp_link(host.address) as link:
        assert exchange(link, b"request") == b"foreign"
        assert link.receive(soon()) == b"mine"


# Small enough to travel in one piece over the loopback: the link has read it all when it hands out the answer.
def test_an_unread_second_answer_is_a_leftover() -> None:
    with EchoHost(answer(frame(b"mine") + frame(b"mine")), echo) as host, tcp_link(host.address) as link:
        assert exchange(link, b"request") == b"mine"
        assert exchange(link, b"next") == b"next"
        assert link.leftovers() == (b"mine",)
        assert host.accepted == 2


@pytest.mark.parametrize("rubbish", [b"\x00", b"\x00\x09half", b"\xff\xff", b"\x00\x00"])
def test_rubbish_behind_an_answer_costs_neither_it_nor_the_next(rubbish: bytes) -> None:
    with EchoHost(answer(frame(b"mine") + rubbish), echo) as host, tcp_link(host.address) as link:
        assert exchange(link, b"request") == b"mine"
        assert exchange(link, b"next") == b"next"
        assert link.leftovers() == ()
        assert host.accepted == 2


def test_a_host_that_speaks_first_is_not_sent_a_request() -> None:
    terminal, host = memory_pair()
    host.send(frame(b"welcome"), 0)
    link = Link(lambda: terminal, LengthFramer, monotonic=lambda: 0.0)
    with pytest.raises(NotSent, match="spoke before it was asked") as caught:
        link.send(b"request", 60.0)
    assert caught.value.trouble is Trouble.CLOSED
    assert link.leftovers() == (b"welcome",)
    assert not link.connected
    assert host.stale()
    assert host.receive(0) == b""


def test_a_flood_of_unasked_frames_is_bounded() -> None:
    ready = threading.Event()

    def flood(connection: socket.socket) -> None:
        echo_once(connection)
        connection.sendall(frame(b"?") * 10_000)
        ready.set()
        read_exactly(connection, 1)

    with EchoHost(flood, echo) as host, tcp_link(host.address) as link:
        assert exchange(link, b"one") == b"one"
        assert ready.wait(PLENTY_S)
        assert exchange(link, b"two") == b"two"
    assert len(link.leftovers()) == limits.LEFTOVER_FRAMES_MAX


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("kind", [Kind.FIN, Kind.RST, Kind.FLIP])
@pytest.mark.parametrize("after", range(7))
def test_a_link_cut_at_any_byte_answers_or_says_no_answer_and_works_again(
    kind: Kind, direction: Direction, after: int
) -> None:
    received: list[bytes | None] = []

    def record(connection: socket.socket) -> None:
        while (payload := read_frame(connection)) is not None:
            received.append(payload)
            connection.sendall(frame(payload))

    with (
        EchoHost(record) as host,
        TcpProxy(host.address, Fault(kind, direction, at=after, connection=1)) as proxy,
        tcp_link(proxy.address) as link,
    ):
        try:
            link.send(b"money", soon())
            first: bytes | None = link.receive(soon(SHORT_S))
        except NotSent:
            pytest.fail("the request had left")
        except NoAnswer:
            first = None
        # A changed length can swallow or shorten the answer; what is still a frame is for the message's MAC to judge.
        assert first is None or (kind is Kind.FLIP and after > 0 and first != b"money")
        assert proxy.wait_for_strikes()
        # What a caller does after an answer that fails its checks: the host may be out of step by now.
        link.close()
        assert exchange(link, b"again") == b"again"
    assert [payload for payload in received if payload == b"money"] == (
        [] if direction is Direction.TO_HOST else [b"money"]
    )


def test_an_answer_held_back_past_the_deadline_is_never_seen_again() -> None:
    with (
        EchoHost() as host,
        TcpProxy(host.address, Fault(Kind.STALL, Direction.TO_TERMINAL, at=3, connection=1)) as proxy,
        tcp_link(proxy.address) as link,
    ):
        link.send(b"first", soon())
        assert proxy.wait_for_strikes()
        with pytest.raises(Silence):
            link.receive(soon(SHORT_S))
        proxy.release()
        assert exchange(link, b"second") == b"second"
    assert link.leftovers() == ()


class AckFramer:
    """A small answering line: 06 confirms a frame; an unconfirmed one is repeated every second, three times in all."""

    def __init__(self) -> None:
        self._inner = LengthFramer()
        self._unconfirmed = b""
        self._repeats = 0
        self._wake_at: float | None = None

    def renewed(self) -> AckFramer:
        return AckFramer()

    def withdraw(self) -> None:
        self._unconfirmed, self._wake_at = b"", None

    @property
    def pending(self) -> int:
        return self._inner.pending

    def send(self, payload: bytes) -> bytes:
        self._unconfirmed = self._inner.send(payload)
        self._repeats = 0
        return self._unconfirmed

    def receive(self, data: bytes, now: float) -> Received:
        if data.startswith(b"\x06"):
            self._unconfirmed, self._wake_at, data = b"", None, data[1:]
        frames = self._inner.receive(data, now).frames
        writes = b"\x06" * len(frames)
        if self._unconfirmed and self._wake_at is None:
            self._wake_at = now + 1.0
        elif self._unconfirmed and self._wake_at is not None and now >= self._wake_at:
            self._repeats += 1
            self._wake_at = now + 1.0 if self._repeats < 2 else now + 1000.0
            writes += self._unconfirmed
        return Received(writes, frames, self._wake_at)


def manual_link(idle: Callable[[MemoryStream, float], None], clock: ManualClock) -> tuple[Link, MemoryStream]:
    terminal, host = memory_pair(idle=lambda seconds: idle(host, seconds))
    return Link(lambda: terminal, AckFramer, monotonic=lambda: clock.now().elapsed_s), host


def test_a_framer_that_answers_back_is_woken_and_its_words_are_written() -> None:
    clock = ManualClock()
    asked: list[float] = []

    def idle(host: MemoryStream, seconds: float) -> None:
        asked.append(seconds)
        clock.advance(seconds)
        if len(asked) == 3:
            assert host.receive(0) == frame(b"request") * 3
            host.send(b"\x06" + frame(b"answer"), 0)

    link, host = manual_link(idle, clock)
    link.send(b"request", 60.0)
    assert link.receive(60.0) == b"answer"
    assert asked[:2] == [1.0, 1.0]
    assert host.receive(0) == b"\x06"


def test_the_deadline_ends_the_wait_of_a_framer_that_answers_back() -> None:
    clock = ManualClock()
    link, host = manual_link(lambda _, seconds: clock.advance(seconds), clock)
    link.send(b"request", 60.0)
    with pytest.raises(Silence):
        link.receive(2.5)
    assert clock.now().elapsed_s == 2.5
    assert host.receive(0) == frame(b"request") * 3


def test_a_clock_that_stands_still_does_not_keep_the_link_waiting() -> None:
    link, _ = manual_link(lambda _host, _seconds: None, ManualClock())
    link.send(b"request", 60.0)
    with pytest.raises(Silence):
        link.receive(60.0)


def test_an_answer_survives_a_peer_that_is_gone_before_it_is_confirmed() -> None:
    def idle(host: MemoryStream, _: float) -> None:
        host.send(b"\x06" + frame(b"answer"), 0)
        host.close()

    link, _ = manual_link(idle, ManualClock())
    link.send(b"request", 60.0)
    assert link.receive(60.0) == b"answer"
    assert not link.connected


def test_an_interrupt_closes_the_connection() -> None:
    def idle(_: MemoryStream, __: float) -> None:
        raise KeyboardInterrupt

    link, host = manual_link(idle, ManualClock())
    link.send(b"request", 60.0)
    with pytest.raises(KeyboardInterrupt):
        link.receive(60.0)
    assert not link.connected
    assert host.stale()


def test_a_send_that_stops_half_way_is_no_answer_and_was_seen_leaving() -> None:
    tape = Tape()
    terminal, _ = memory_pair(capacity=4)
    link = Link(lambda: terminal, LengthFramer, monotonic=lambda: 0.0, observer=tape)
    with pytest.raises(NoAnswer, match=r"link lost: .* timed out while sending") as caught:
        link.send(b"request", 60.0)
    assert isinstance(caught.value, LinkError)
    assert not link.connected
    assert tape.lines == [("sent", b"request")]


def test_a_confirmation_that_cannot_be_written_ends_the_wait_when_nothing_has_arrived() -> None:
    clock = ManualClock()

    # The repeat that is due after a second finds a full pipe: the host has stopped reading.
    terminal, _ = memory_pair(idle=clock.advance, capacity=len(frame(b"request")))
    link = Link(lambda: terminal, AckFramer, monotonic=lambda: clock.now().elapsed_s)
    link.send(b"request", 60.0)
    with pytest.raises(NoAnswer, match=r"link lost: .* timed out while sending"):
        link.receive(60.0)
    assert not link.connected


def test_opening_a_link_sends_nothing() -> None:
    with EchoHost() as host, tcp_link(host.address) as link:
        link.open()
        assert link.connected
        link.open()
        assert exchange(link, b"request") == b"request"
    assert host.accepted == 1
