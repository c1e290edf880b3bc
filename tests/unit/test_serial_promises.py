"""Promises of a serial line, between real ends and over slow and broken ones: each test states one."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import tty
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.config.address import SerialLine, parse_address
from pos_engine.errors import FrameError, NoAnswer, UsageError
from pos_engine.framing.line import ACK, ENQ, EOT, NAK, LineTimers
from pos_engine.framing.stx import StxFramer
from pos_engine.link import Link
from pos_engine.roads import Builder
from pos_engine.transport.base import Silence
from pos_engine.transport.certificates import TlsFiles
from pos_engine.transport.memory import memory_pair
from pos_engine.transport.rfc2217 import (
    ANSWER,
    COM_PORT,
    IAC,
    PURGE,
    PURGE_OUTPUT,
    WILL,
    Rfc2217Stream,
    Telnet,
    escaped,
    setting,
    settings_of,
)
from pos_engine.transport.serial import SerialStream
from simulators.server import BackgroundServer
from tests.support.host_client import Bench
from tests.support.host_roads import WAIT_S, Cable
from tests.support.rfc2217_server import DeviceServer
from tests.support.stx_line import TIMERS, Fault, Line, Mishap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET_S = limits.LINE_INTER_BYTE_S
REQUEST = b"request"
BITS_PER_BYTE = 10


def frame(payload: bytes) -> bytes:
    return StxFramer().send(payload)


def taken_by(host: StxFramer, terminal: StxFramer, payload: bytes, now: float) -> tuple[bytes, ...]:
    """Send a payload, in whatever bytes the terminal sends it, and return what the host's application gets."""
    data = terminal.send(payload) + terminal.receive(b"", now).writes
    frames = host.receive(data, now).frames
    return frames + host.receive(b"", now + QUIET_S).frames


def heard(framer: StxFramer, data: bytes, now: float) -> bytes:
    """Let bytes come, and the silence behind them; return what is written for them."""
    writes = framer.receive(data, now).writes
    with suppress(FrameError):
        while data := framer.receive(b"", now + QUIET_S).writes:
            writes += data
    return writes


# A frame is delivered once.


@pytest.mark.parametrize("baud", [1200, 2400])
def test_a_repeated_frame_is_delivered_once_on_a_slow_line_too(baud: int) -> None:
    """Its ACK was lost, and the STX of its first repetition; every byte takes the time it takes at this speed."""
    byte_s = BITS_PER_BYTE / baud
    timers, data = LineTimers(), frame(bytes(300 if baud == 1200 else 700))
    host, now, frames = StxFramer(), 0.0, 0
    for attempt in (data, data[1:], data):
        for byte in attempt:
            now += byte_s
            frames += len(host.receive(bytes([byte]), now).frames)
        # The sender waits from the moment in which the line has sent everything.
        host.receive(b"", now + QUIET_S)
        now += timers.ack_s
    assert frames == 1


def test_a_frame_that_is_repeated_while_the_hosts_adapter_is_unplugged_is_delivered_once(tmp_path: Path) -> None:
    """The ACK was lost with the adapter; the terminal repeats within its time, and the host found it again."""
    cable = Cable(tmp_path / "line")
    near = cable.plug()
    client = Bench().client()
    data = StxFramer().send(client.payload(client.echo(), sealed=False))
    with BackgroundServer(listen=f"serial://{cable.path}?baud=115200") as host:
        os.write(near, data)
        assert select.select([near], [], [], WAIT_S)[0]
        cable.unplug()
        near = cable.plug()
        end, came = time.monotonic() + WAIT_S, b""
        while not came and time.monotonic() < end:
            # What is sent before the host has found the line is lost.
            os.write(near, data)
            while select.select([near], [], [], 0.5)[0]:
                came += os.read(near, 4096)
        assert came
        assert len(host.events) == 1
        cable.unplug()


# A request made again on purpose reaches the application.


def test_the_same_request_after_its_sender_gave_up_reaches_the_application() -> None:
    """The way back was dead: the terminal heard no ACK, gave up, and sends its reversal once more."""
    terminal, host = StxFramer(), StxFramer()
    data = terminal.send(REQUEST)
    terminal.receive(b"", 0.0)
    delivered = len(host.receive(data, 0.0).frames)
    for now in (2.0, 4.0, 6.0):
        repeated = terminal.receive(b"", now).writes
        terminal.receive(b"", now)
        if now < 6.0:
            # The last one was lost as well.
            delivered += len(host.receive(repeated, now).frames)
            host.receive(b"", now + QUIET_S)
    said = terminal.receive(b"", 8.0).writes
    assert said == bytes([EOT])
    host.receive(said, 8.0)
    host.receive(b"", 8.0 + QUIET_S)
    assert delivered == 1
    assert taken_by(host, terminal.renewed(), REQUEST, 9.0) == (REQUEST,)


@pytest.mark.parametrize("is_restarted", [True, False])
def test_the_same_request_of_a_terminal_that_opens_the_line_again_reaches_the_application(
    *, is_restarted: bool
) -> None:
    """It was acknowledged, its answer never came (a short `answer_s`, a killed process), and it is made again."""
    terminal, host = StxFramer(), StxFramer()
    assert taken_by(host, terminal, REQUEST, 0.0) == (REQUEST,)
    heard(terminal, bytes([ACK]), 0.1)
    again = StxFramer(opens=True) if is_restarted else terminal.renewed()
    assert taken_by(host, again, REQUEST, 5.0) == (REQUEST,)


# Nothing is lost of which the sender was told that it was taken.


def test_nobody_hears_that_a_frame_was_good_which_never_came() -> None:
    """An ACK for a question would lose the frame without a word: four bad ones; and one lost whole, an hour later."""
    host = StxFramer()
    for number in range(limits.LINE_RETRIES_MAX + 1):
        heard(host, frame(REQUEST)[:-1] + b"\x00", float(number))
    with pytest.raises(FrameError):
        host.receive(b"", 9.0)
    assert heard(host.renewed(), bytes([ENQ]), 10.0) == bytes([NAK])
    host = StxFramer()
    host.receive(frame(b"first"), 0.0)
    assert heard(host, bytes([ENQ]), 3600.0) == bytes([NAK])


@pytest.mark.parametrize(("damaged", "other"), [("terminal", "host"), ("host", "terminal")])
def test_frames_that_cross_on_the_way_acknowledge_nothing(damaged: str, other: str) -> None:
    """A reversal goes out as the late answer comes in: the damaged one is repeated, or its sender learns of it."""
    lost = []
    payloads = {"terminal": REQUEST, "host": b"late answer"}
    for at in range(1, len(frame(payloads[damaged]))):
        # Behind STX, so that the other side refuses it; its refusal finds nobody.
        line = Line(Fault(damaged, at, Mishap.FLIP, 3), timers=TIMERS)
        for end, payload in payloads.items():
            line.send(end, payload)
        line.run()
        if line.ends[other].delivered != [payloads[damaged]] and line.ends[damaged].failed is None:
            lost.append(at)
    assert lost == []


@pytest.mark.parametrize("word", [ACK, EOT])
def test_a_word_that_came_before_our_frame_says_nothing_about_it(word: int) -> None:
    framer = StxFramer()
    framer.receive(bytes([word]), 0.0)
    data = framer.send(REQUEST)
    framer.receive(b"", 0.1)
    # The frame is lost on the way. Nobody has acknowledged it, and nobody has given it up.
    assert framer.receive(b"", 0.1 + QUIET_S).writes == b""
    assert framer.receive(b"", 0.1 + limits.LINE_ACK_S).writes == data


def test_noise_of_other_hours_does_not_cost_a_frame_its_repetitions() -> None:
    """A host's line is open for ever: three bursts in a night, then one damaged request, which has to be refused."""
    host = StxFramer()
    for hour in range(limits.LINE_RETRIES_MAX):
        heard(host, b"\x02\xee", 3600.0 * hour)
    assert heard(host, frame(REQUEST)[:-1] + b"\x00", 90_000.0) == bytes([NAK])


# The time for an ACK begins when the line has sent the frame.


class SlowLine:
    """A device server whose line is perfect, and as slow as `baud` says; at its other end is one who answers.

    The answer is the request, backwards: the same bytes would be those of a line that echoes.
    """

    def __init__(self, baud: int, timers: LineTimers) -> None:
        self._byte_s = BITS_PER_BYTE / baud
        self._framer = StxFramer(timers=timers)
        self._telnet = Telnet()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(WAIT_S)

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        client.sendall(bytes([IAC, WILL, COM_PORT]))
        client.sendall(b"".join(setting(what + ANSWER, value) for what, value in settings_of(SerialLine()).items()))
        waiting: deque[tuple[float, int]] = deque()
        free_at = 0.0
        while True:
            if select.select([client], [], [], 0.005)[0]:
                data = client.recv(4096)
                if not data:
                    return
                for byte in self._telnet.take(data)[0]:
                    free_at = max(free_at, time.monotonic()) + self._byte_s
                    waiting.append((free_at, byte))
            now = time.monotonic()
            passed = bytearray()
            while waiting and waiting[0][0] <= now:
                passed.append(waiting.popleft()[1])
            received = self._framer.receive(bytes(passed), now)
            client.sendall(escaped(received.writes))
            for payload in received.frames:
                client.sendall(escaped(self._framer.send(payload[::-1])))


def test_a_far_line_has_the_time_that_a_frame_takes_at_its_speed() -> None:
    """A frame that takes a second on the line is not repeated after a fifth of it, nor given up before it has arrived.

    In scale: 1000 bytes at 1200 baud take over eight seconds, in which all attempts of two seconds each are over.
    """
    timers = LineTimers(ack_s=0.2, inter_byte_s=0.1)
    server = SlowLine(9600, timers)
    link = Link(
        partial(Rfc2217Stream, *server.address, SerialLine()),
        partial(StxFramer, timers=replace(timers, byte_s=BITS_PER_BYTE / 9600)),
        monotonic=time.monotonic,
    )
    payload = bytes(range(256)) * 4
    try:
        deadline = time.monotonic() + WAIT_S
        link.send(payload, deadline)
        assert link.receive(deadline) == payload[::-1]
    finally:
        link.close()
        server.close()


class FarShop:
    """A terminal's line behind a device server, and the host at the end of it, which answers as it is told."""

    def __init__(self, server: DeviceServer) -> None:
        self._server = server
        self.stream = Rfc2217Stream(*server.address, SerialLine())
        self.stream.connect(WAIT_S)

    def ask(self, answer: bytes = b"") -> None:
        """Have the terminal send a request and the host answer, and wait for the first byte of it."""
        self.stream.send(frame(REQUEST), WAIT_S)
        came = b""
        while not came.endswith(frame(REQUEST)):
            came += os.read(self._server.line_fd, 1000)
        if answer:
            os.write(self._server.line_fd, answer)
            assert self.stream.receive(WAIT_S)

    def acknowledge(self) -> None:
        self.stream.send(bytes([ACK]), WAIT_S)

    def wait_in_vain(self) -> None:
        with pytest.raises(Silence):
            self.stream.receive(0.05)

    def look(self) -> None:
        """Look whether anything lies there, as is done with a connection that is kept or given up."""
        assert not self.stream.stale()
        with pytest.raises(Silence):
            self.stream.receive(0)

    def is_purged(self) -> bool:
        """Close, and tell whether what the line had not sent was thrown away."""
        self.stream.close()
        self._server.wait_for_end()
        return setting(PURGE, bytes([PURGE_OUTPUT])) in self._server.heard


@pytest.fixture
def far_shop() -> Iterator[FarShop]:
    with DeviceServer() as server:
        yield FarShop(server)


def test_the_ack_of_an_answer_is_not_thrown_away_with_the_connection(far_shop: FarShop) -> None:
    for _ in range(2):
        far_shop.ask(frame(b"answer"))
        far_shop.acknowledge()
        far_shop.look()
    assert not far_shop.is_purged()


def test_the_ack_of_an_answer_is_not_thrown_away_by_the_next_connection(far_shop: FarShop) -> None:
    assert not far_shop.is_purged()


def test_the_ack_of_an_answer_that_came_after_a_repetition_is_not_thrown_away(far_shop: FarShop) -> None:
    far_shop.ask()
    far_shop.wait_in_vain()
    far_shop.ask(frame(b"answer"))
    far_shop.acknowledge()
    assert not far_shop.is_purged()


def test_a_request_that_is_given_up_is_thrown_away_with_the_connection(far_shop: FarShop) -> None:
    far_shop.ask(frame(b"answer"))
    far_shop.acknowledge()
    far_shop.ask()
    assert far_shop.is_purged()


def test_a_request_is_thrown_away_although_something_else_came_meanwhile(far_shop: FarShop) -> None:
    far_shop.ask(bytes([EOT]))
    far_shop.wait_in_vain()
    far_shop.look()
    assert far_shop.is_purged()


@pytest.mark.parametrize(
    ("address", "byte_s"),
    [
        ("serial:///dev/ttyS0?baud=1200", 10 / 1200),
        ("rfc2217://h:1?baud=1200&parity=E", 11 / 1200),
        ("socket://h:1?baud=1200&stop=2", 11 / 1200),
        ("socket://h:1", 10 / 9600),
        ("tcp://h:1?framing=stx", 0.0),
    ],
)
def test_every_road_gives_a_frame_the_time_that_its_line_takes(address: str, byte_s: float) -> None:
    waits: list[float] = []
    terminal, host = memory_pair(idle=waits.append)
    builder = Builder(framing="be2", connect_timeout_s=WAIT_S, files=TlsFiles, monotonic=lambda: 0.0)
    link = builder.road(parse_address(address), lambda: terminal).link
    link.send(REQUEST, 60.0)
    data = host.receive(0)
    assert data == bytes([EOT]) + frame(REQUEST)
    with suppress(NoAnswer):
        link.receive(60.0)
    assert waits[0] == pytest.approx(limits.LINE_ACK_S + byte_s * len(frame(REQUEST)))


def test_the_host_gives_its_answer_the_time_that_it_takes_at_the_lines_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-on's answer takes a second at 1200 baud; the host does not repeat it into its own transmission."""
    monkeypatch.setattr(limits, "LINE_ACK_S", 0.3)
    cable = Cable(tmp_path / "line")
    near = cable.plug()
    client = Bench().client()
    with BackgroundServer(listen=f"serial://{cable.path}?baud=1200"):
        os.write(near, StxFramer().send(client.payload(client.signing_on(), sealed=False)))
        line, frames = StxFramer(), 0
        while not frames:
            # What comes out of the line comes at its speed.
            time.sleep(BITS_PER_BYTE * 12 / 1200)
            assert select.select([near], [], [], WAIT_S)[0]
            frames += len(line.receive(os.read(near, 12), time.monotonic()).frames)
        # What has been written by now and has not passed the line yet.
        rest = b""
        while select.select([near], [], [], 0)[0]:
            rest += os.read(near, 4096)
        assert len(rest) == 0
        cable.unplug()


# What a line cannot carry.


def test_a_line_that_cannot_carry_every_byte_is_refused() -> None:
    """Lengths, bitmaps and MACs are binary: XON and XOFF stand in them, and are eaten, or hold our own end up."""
    with suppress(UsageError):
        line = parse_address("serial:///dev/ttyS0?flow=software&framing=stx").line
        far, near = os.openpty()
        tty.setraw(near)
        stream = SerialStream(os.ttyname(near), line)
        try:
            stream.connect(WAIT_S)
            data = StxFramer().send(bytes(range(256)))
            os.write(far, data)
            came = b""
            with suppress(Silence):
                while len(came) < len(data):
                    came += stream.receive(0.3)
            assert came == data
        finally:
            stream.close()
            os.close(far)
            os.close(near)
