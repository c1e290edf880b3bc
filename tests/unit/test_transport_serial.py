from __future__ import annotations

import os
import pty
import select
import socket
import stat
import subprocess
import sys
import termios
import threading
import time
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from pos_engine.config.address import SerialLine
from pos_engine.errors import LinkError, NoAnswer, NotSent, Trouble
from pos_engine.framing.stx import StxFramer
from pos_engine.link import Link
from pos_engine.transport.base import Silence, Stream
from pos_engine.transport.rfc2217 import Rfc2217Stream, Telnet, setting, settings_of
from pos_engine.transport.serial import SerialStream
from tests.support.rfc2217_server import DeviceServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINE = SerialLine()
SOON = 0.05
LONG = 10.0


class Cable:
    """A pty: its device, and the far end."""

    def __init__(self) -> None:
        self.far, near = pty.openpty()
        tty.setraw(near)
        self.device = os.ttyname(near)
        self._near = near

    def unplug(self) -> None:
        for end in (self.far, self._near):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.unplug()


@contextmanager
def opened(device: str, line: SerialLine = LINE) -> Iterator[SerialStream]:
    stream = SerialStream(device, line)
    try:
        stream.connect(LONG)
        yield stream
    finally:
        stream.close()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The promise: no call returns later than its deadline and a second."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + 1.0


def test_bytes_go_both_ways_and_nothing_is_translated(cable: Cable) -> None:
    everything = bytes(range(256))
    with opened(cable.device) as stream:
        as_stream: Stream = stream
        assert as_stream.is_line
        assert as_stream.peer == cable.device
        assert not stream.stale()
        stream.send(everything, LONG)
        assert os.read(cable.far, 1000) == everything
        os.write(cable.far, everything)
        received = b""
        while len(received) < len(everything):
            received += stream.receive(LONG)
        assert received == everything


def test_sending_nothing_is_no_deed(cable: Cable) -> None:
    with opened(cable.device) as stream:
        stream.send(b"", 0)


def test_silence_is_said_in_time(cable: Cable) -> None:
    with opened(cable.device) as stream:
        for timeout_s in (0, SOON):
            with within(timeout_s), pytest.raises(Silence) as caught:
                stream.receive(timeout_s)
            assert caught.value.trouble is Trouble.TIMEOUT


def test_what_waits_in_a_line_makes_it_stale_and_can_be_read(cable: Cable) -> None:
    with opened(cable.device) as stream:
        os.write(cable.far, b"old")
        select.select([], [], [], 0)
        assert stream.stale()
        assert stream.receive(0) == b"old"
        assert not stream.stale()


@pytest.mark.parametrize(
    ("make", "words", "trouble"),
    [
        (lambda _path: None, "no such device", Trouble.NO_DEVICE),
        (lambda path: path.write_bytes(b""), "cannot be set as a serial line", Trouble.LOCAL),
        (lambda path: path.mkdir(), "is a directory", Trouble.LOCAL),
        (lambda path: path.symlink_to(path), "symbolic links", Trouble.LOCAL),
    ],
    ids=["missing", "a file", "a folder", "a loop"],
)
def test_what_is_no_line_is_said_plainly(
    make: Callable[[Path], object], words: str, trouble: Trouble, tmp_path: Path
) -> None:
    path = tmp_path / "line"
    make(path)
    stream = SerialStream(str(path), LINE)
    with pytest.raises(NotSent, match=words) as caught:
        stream.connect(LONG)
    assert str(caught.value).startswith(str(path))
    assert caught.value.trouble is trouble
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    stream.close()


def test_a_device_that_is_not_ours_is_not_permitted(tmp_path: Path) -> None:
    path = tmp_path / "line"
    path.write_bytes(b"")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("whoever runs this may do anything")
    with pytest.raises(NotSent, match="not permitted"):
        SerialStream(str(path), LINE).connect(LONG)
    path.chmod(stat.S_IRWXU)


def test_a_line_is_held_alone(cable: Cable) -> None:
    second = SerialStream(cable.device, LINE)
    with opened(cable.device), pytest.raises(NotSent, match="another program holds the line") as caught:
        second.connect(LONG)
    assert caught.value.trouble is Trouble.LOCAL
    second.connect(LONG)
    second.close()


def test_without_time_nothing_is_opened(cable: Cable) -> None:
    with pytest.raises(NotSent, match="no time left") as caught:
        SerialStream(cable.device, LINE).connect(0)
    assert caught.value.trouble is Trouble.NO_CONNECTION


# A pty has no parity: see what is asked of a far line.
def test_the_line_is_set_as_it_is_configured(cable: Cable) -> None:
    with opened(cable.device, SerialLine(baud=115_200, stop=2, flow="hardware")):
        settings = termios.tcgetattr(cable.far)
    assert settings[4] == settings[5] == termios.B115200
    assert settings[2] & termios.CSTOPB
    assert settings[2] & termios.CRTSCTS
    assert not settings[0] & (termios.IXON | termios.IXOFF)


def test_a_speed_that_no_line_has_is_refused_in_plain_words(cable: Cable) -> None:
    with pytest.raises(NotSent, match="cannot be set") as caught:
        SerialStream(cable.device, SerialLine(baud=-1)).connect(LONG)
    assert caught.value.__context__ is None


def test_a_line_that_is_unplugged_is_lost_at_once_and_may_be_plugged_in_again(cable: Cable, tmp_path: Path) -> None:
    path = tmp_path / "line"
    path.symlink_to(cable.device)
    with opened(str(path)) as stream:
        cable.unplug()
        assert stream.stale()
        with within(SOON), pytest.raises(NoAnswer, match="unplugged") as caught:
            stream.receive(SOON)
        assert caught.value.trouble is Trouble.NO_DEVICE
        with pytest.raises(NotSent, match="unplugged") as not_sent:
            stream.send(b"request", SOON)
        assert not_sent.value.trouble is Trouble.NO_DEVICE
    again = Cable()
    path.unlink()
    path.symlink_to(again.device)
    with opened(str(path)) as stream:
        stream.send(b"request", LONG)
        assert os.read(again.far, 100) == b"request"
    again.unplug()


def test_a_line_that_is_unplugged_while_something_is_awaited_ends_the_wait(cable: Cable) -> None:
    with opened(cable.device) as stream:
        timer = threading.Timer(SOON, cable.unplug)
        timer.start()
        with within(SOON), pytest.raises(NoAnswer):
            stream.receive(LONG)
        timer.join()


def test_a_line_that_takes_nothing_is_given_up_and_nothing_has_left(cable: Cable) -> None:
    with opened(cable.device) as stream:
        second = os.open(cable.device, os.O_RDWR | os.O_NOCTTY)
        termios.tcflow(second, termios.TCOOFF)
        os.close(second)
        with within(SOON), pytest.raises(NotSent, match="takes nothing") as caught:
            stream.send(b"request", SOON)
        assert caught.value.trouble is Trouble.TIMEOUT
        with within(0):
            stream.close()


def test_a_line_that_takes_a_part_leaves_doubt(cable: Cable) -> None:
    with opened(cable.device) as stream:
        with within(SOON), pytest.raises(NoAnswer, match="takes nothing"):
            stream.send(b"x" * 1_000_000, SOON)
        with within(0):
            stream.close()


def test_a_line_that_is_not_open_says_so_and_closes_as_often_as_one_likes(cable: Cable) -> None:
    stream = SerialStream(cable.device, LINE)
    assert stream.stale()
    with pytest.raises(NotSent, match="not open"):
        stream.send(b"x", LONG)
    with pytest.raises(NoAnswer, match="not open"):
        stream.receive(LONG)
    stream.connect(LONG)
    stream.close()
    stream.close()
    assert stream.stale()


def test_a_terminal_on_tcp_does_not_load_the_library() -> None:
    code = "import sys, pos_engine.terminal, pos_engine.transport.serial; sys.exit('serial' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_answer_that_is_repeated_while_a_line_is_closed_is_known_when_it_is_opened_again(cable: Cable) -> None:
    link = Link(lambda: SerialStream(cable.device, LINE), StxFramer, monotonic=time.monotonic)
    answers = [StxFramer().send(b"answer %d" % number) for number in range(3)]
    link.send(b"request", time.monotonic() + LONG)
    os.write(cable.far, answers[0])
    assert link.receive(time.monotonic() + LONG) == b"answer 0"
    for number in (1, 2):
        link.close()
        # The peer has not heard the ACK.
        os.write(cable.far, b"line noise" + answers[number - 1])
        link.send(b"another request", time.monotonic() + LONG)
        os.write(cable.far, answers[number - 1] + answers[number])
        assert link.receive(time.monotonic() + LONG) == b"answer %d" % number
    assert link.leftovers() == ()
    link.close()


@pytest.mark.needs("socat")
def test_a_pair_of_devices_made_by_socat(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    socat = subprocess.Popen(["socat", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"])
    try:
        deadline = time.monotonic() + LONG
        while not (ours.exists() and theirs.exists()):
            assert time.monotonic() < deadline
            select.select([], [], [], 0.01)
        with opened(str(ours)) as one, opened(str(theirs)) as other:
            one.send(b"request", LONG)
            assert other.receive(LONG) == b"request"
            other.send(b"answer", LONG)
            assert one.receive(LONG) == b"answer"
            socat.terminate()
            socat.wait(LONG)
            with within(SOON), pytest.raises(NoAnswer, match="unplugged"):
                one.receive(LONG)
    finally:
        socat.kill()
        socat.wait(LONG)


# A line at the far end of a network.


@pytest.fixture
def server() -> Iterator[DeviceServer]:
    with DeviceServer() as made:
        yield made


@contextmanager
def far(address: tuple[str, int], line: SerialLine = LINE, timeout_s: float = LONG) -> Iterator[Rfc2217Stream]:
    stream = Rfc2217Stream(*address, line)
    try:
        stream.connect(timeout_s)
        yield stream
    finally:
        stream.close()


def test_a_far_line_is_set_and_passes_every_byte(server: DeviceServer) -> None:
    line = SerialLine(baud=115_200, stop=2)
    everything = bytes(range(256)) + b"\xff\xff\xff"
    with far(server.address, line) as stream:
        assert stream.is_line
        assert stream.peer == f"127.0.0.1:{server.address[1]}"
        assert (server.port.baudrate, server.port.stopbits) == (115_200, 2)
        assert not stream.stale()
        stream.send(everything, LONG)
        got = b""
        while len(got) < len(everything):
            got += os.read(server.line_fd, 1000)
        assert got == everything
        os.write(server.line_fd, everything)
        got = b""
        while len(got) < len(everything):
            got += stream.receive(LONG)
        assert got == everything
        with within(SOON), pytest.raises(Silence):
            stream.receive(SOON)
        os.write(server.line_fd, b"old")
        deadline = time.monotonic() + LONG
        while not stream.stale():
            assert time.monotonic() < deadline
        assert stream.receive(0) == b"old"
        server.drop_client()
        assert stream.receive(LONG) == b""


def test_what_is_asked_of_a_far_line() -> None:
    wanted = settings_of(SerialLine(baud=1200, parity="E", stop=2, flow="hardware"))
    assert wanted == {1: b"\x00\x00\x04\xb0", 2: b"\x08", 3: b"\x03", 4: b"\x02", 5: b"\x03"}
    assert setting(1, b"\x00\x00\xff\x00") == bytes.fromhex("fffa2c01 0000ffff00 fff0")


def test_a_far_line_may_be_opened_again(server: DeviceServer) -> None:
    for number in range(3):
        with far(server.address) as stream:
            stream.send(b"%d" % number, LONG)
            assert os.read(server.line_fd, 100) == b"%d" % number


@contextmanager
def talker(*said: bytes, goes_on: bool = False) -> Iterator[tuple[str, int]]:
    """A server that says what it is told to; at the end it closes, or says its last word for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LONG)
    done = threading.Event()

    def talk() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                client.settimeout(LONG)
                for piece in said:
                    client.sendall(piece)
                while goes_on and not done.is_set():
                    client.sendall(said[-1])
                if not goes_on and said:
                    done.wait(LONG)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        done.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(LONG)


AGREED = bytes([0xFF, 0xFB, 0x2C, 0xFF, 0xFD, 0x2C])
"""Will and do the option of serial lines."""


def accepted(**other: int) -> bytes:
    values = {"baud": 9600, "bits": 8, "parity": 1, "stop": 1, "flow": 1} | other
    baud = values.pop("baud").to_bytes(4, "big")
    return setting(101, baud) + b"".join(
        setting(102 + place, bytes([value])) for place, value in enumerate(values.values())
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((), "(closed|reset) by the other side.*; a device server"),
        ((b"SSH-2.0",), "nothing came; a device server"),
        ((AGREED,), "nothing came; a device server"),
        ((AGREED, accepted(baud=1200)), "does not set the line's speed as asked for"),
        ((AGREED, accepted(parity=3)), "does not set the line's parity as asked for"),
    ],
    ids=["closes", "another protocol", "no settings", "another speed", "another parity"],
)
def test_what_is_no_device_server_is_refused_and_nothing_was_sent(said: tuple[bytes, ...], words: str) -> None:
    with talker(*said) as address, within(0.3), pytest.raises(NotSent, match=words), far(address, timeout_s=0.3):
        pass


@pytest.mark.parametrize("word", [b"\xff\xf1" * 2000, b"\xff\xfb\x01" * 500, setting(107, b"\x30") * 100])
def test_a_server_that_never_stops_talking_of_other_things_holds_nobody_up(word: bytes) -> None:
    with talker(word, goes_on=True) as address, within(0.2), pytest.raises(NotSent), far(address, timeout_s=0.2):
        pass
    with talker(AGREED + accepted(), word, goes_on=True) as address, far(address) as stream:
        with within(0.2), pytest.raises(LinkError):
            stream.receive(0.2)
        with within(0):
            assert stream.stale()


def test_a_server_that_asks_to_be_sent_nothing_is_sent_nothing() -> None:
    with talker(AGREED + accepted() + setting(108, b"")) as address, far(address) as stream:
        with suppress(Silence):
            stream.receive(SOON)
        with within(SOON), pytest.raises(NotSent, match="not ready to be sent anything"):
            stream.send(b"request", SOON)
    with talker(AGREED + accepted() + setting(108, b"") + setting(109, b"")) as address, far(address) as stream:
        with suppress(Silence):
            stream.receive(SOON)
        stream.send(b"request", SOON)


def test_telnet_says_yes_to_what_it_speaks_and_no_to_the_rest_and_each_once() -> None:
    telnet = Telnet()
    assert telnet.opening() == bytes.fromhex("fffb00 fffb2c fffd00")
    # An echo, a terminal's type, binary; then everything once more.
    asked = bytes.fromhex("fffb01 fffd18 fffd00 fffb03 fffc05 fffe06")
    assert telnet.take(asked) == (b"", bytes.fromhex("fffe01 fffc18 fffd03"))
    assert telnet.take(asked) == (b"", b"")
    assert not telnet.agreed


def test_telnet_in_any_chunking() -> None:
    data = (
        b"a\xff\xff"
        + AGREED
        + setting(101, b"\x00\x00\xff\x80")
        + b"b\xff\xf1c"
        + b"\xff\xfa\x18\x00\xff\xf0"
        + b"\xff\xfa\xff\xf0d"
    )
    whole, bytewise = Telnet(), Telnet()
    line, back = whole.take(data)
    pieces = [bytewise.take(bytes([byte])) for byte in data]
    assert line == b"".join(piece for piece, _ in pieces) == b"a\xffbcd"
    assert back == b"".join(piece for _, piece in pieces)
    assert whole.accepted == bytewise.accepted == {1: b"\x00\x00\xff\x80"}
    assert whole.agreed


def test_an_endless_setting_is_cut() -> None:
    telnet = Telnet()
    telnet.take(b"\xff\xfa\x2c\x65" + b"x" * 100_000 + b"\xff\xff" * 100 + b"\xff\xf0")
    assert len(telnet.accepted[1]) < 100
