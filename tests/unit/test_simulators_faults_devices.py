"""Real serial devices whose line breaks as its faults say."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import UsageError
from simulators.faults import DeviceProxy, Kind, PtyProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

PLENTY_S = 10.0


@contextlib.contextmanager
def opened(device: str) -> Iterator[int]:
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def take(fd: int, count: int) -> bytes:
    """Read so many bytes from a device; fewer where it ends."""
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while len(data) < count and selector.select(PLENTY_S):
            piece = os.read(fd, count - len(data))
            if not piece:
                break
            data += piece
    return data


def hung_up(fd: int) -> bool:
    try:
        return os.read(fd, 1) == b""
    except OSError as error:
        return error.errno == errno.EIO


def test_a_serial_line_passes_every_byte_value_untouched() -> None:
    every = bytes(range(256))
    with PtyProxy() as line, opened(line.terminal_device) as terminal, opened(line.host_device) as host:
        os.write(terminal, every)
        assert take(host, 256) == every
        os.write(host, every)
        assert take(terminal, 256) == every


def test_a_serial_line_survives_that_its_users_come_and_go() -> None:
    with PtyProxy() as line, opened(line.host_device) as host:
        for word in (b"one", b"two"):
            with opened(line.terminal_device) as terminal:
                os.write(terminal, word)
                assert take(host, 3) == word
        assert line.passed.connections == 1


def test_a_serial_line_has_faults_on_demand() -> None:
    with PtyProxy("double to-host at 1") as line:
        with opened(line.terminal_device) as terminal, opened(line.host_device) as host:
            os.write(terminal, b"abc")
            assert take(host, 4) == b"abbc"
            line.fail("drop to-host at 0 times 1")
            os.write(terminal, b"abc")
            assert take(host, 2) == b"bc"
            line.fail("stall to-host at 1")
            os.write(terminal, b"abc")
            assert line.wait_for_strikes(3)
            assert take(host, 1) == b"a"
            line.release()
            assert take(host, 2) == b"bc"
            line.smooth()
        with pytest.raises(UsageError, match="rst is not for a serial line"):
            line.fail("rst to-host at 1")


def test_a_line_that_is_pulled_out_hangs_up_and_is_a_new_one_when_it_is_put_back(tmp_path: Path) -> None:
    with PtyProxy(folder=tmp_path) as line, opened(line.host_device) as host:
        with opened(line.terminal_device) as terminal:
            line.unplug()
            assert hung_up(terminal)
            assert not Path(line.terminal_device).exists()
        os.write(host, b"nobody hears this")
        line.replug()
        with opened(line.terminal_device) as terminal:
            os.write(host, b"abc")
            assert take(terminal, 3) == b"abc"
            os.write(terminal, b"abc")
            assert take(host, 3) == b"abc"
        assert line.passed.connections == 2
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_pulled_out_at_a_byte_and_put_back_after_its_time() -> None:
    with PtyProxy("unplug to-host 50ms at 2 times 1") as line, opened(line.host_device) as host:
        with opened(line.terminal_device) as terminal:
            os.write(terminal, b"abc")
            assert take(host, 2) == b"ab"
            assert line.wait_for_strikes()
            while not hung_up(terminal):
                pass
        for _ in range(int(PLENTY_S / 0.01)):
            if Path(line.terminal_device).exists():
                break
            threading.Event().wait(0.01)
        with opened(line.terminal_device) as terminal:
            os.write(terminal, b"xyz")
            assert take(host, 3) == b"xyz"


def test_two_devices_that_exist_are_joined() -> None:
    with (
        PtyProxy() as near,
        PtyProxy() as far,
        DeviceProxy(near.host_device, far.terminal_device, "flip to-host at 0.0", baud=115200) as between,
        opened(near.terminal_device) as terminal,
        opened(far.host_device) as host,
    ):
        os.write(terminal, b"abc")
        assert take(host, 3) == b"`bc"
        assert [each.kind for each in between.passed.faults] == [Kind.FLIP]


def test_a_half_open_line_is_silent_until_it_is_plugged_in_again() -> None:
    with (
        PtyProxy("half-open to-host at 2 times 1") as line,
        opened(line.terminal_device) as terminal,
        opened(line.host_device) as host,
    ):
        os.write(terminal, b"abc")
        assert take(host, 2) == b"ab"
        assert line.wait_for_strikes()
        line.smooth()
        os.write(host, b"lost")
        line.replug()
        os.write(terminal, b"xyz")
        assert take(host, 3) == b"xyz"


def test_a_line_between_two_devices_ends_with_one_of_them() -> None:
    with PtyProxy() as near, PtyProxy() as far, DeviceProxy(near.host_device, far.terminal_device) as between:
        far.unplug()
        between.wait()


def test_what_cannot_be_done_is_said_to_whoever_asked(tmp_path: Path) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    with PtyProxy(folder=folder) as line:
        line.unplug()
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            line.replug()
        (tmp_path / "elsewhere").rename(folder)
        line.replug()
        assert Path(line.terminal_device).exists()


def test_only_so_many_strikes_are_kept_but_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.faults.loop.STRIKES_MAX", 3)
    with (
        PtyProxy("double to-host 100%") as line,
        opened(line.terminal_device) as terminal,
        opened(line.host_device) as host,
    ):
        os.write(terminal, b"abcde")
        assert take(host, 10) == b"aabbccddee"
        assert (line.passed.struck, len(line.passed.strikes)) == (5, 3)


def test_a_device_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with PtyProxy() as line:
        file = tmp_path / "file"
        file.touch()
        for device, baud, reason in (
            (str(tmp_path / "none"), 9600, "none: no such file or directory"),
            (str(file), 9600, "file: this is no serial device"),
            (line.host_device, 9601, "9601 is no speed of a serial line"),
        ):
            with pytest.raises(UsageError, match=reason):
                DeviceProxy(line.terminal_device, device, baud=baud)
        with pytest.raises(UsageError, match="pull their plugs"):
            DeviceProxy(line.terminal_device, line.host_device, "unplug to-host at 1")


def fill(fd: int) -> None:
    """Write until nothing more is taken."""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_WRITE)
        # A slow machine only makes this end earlier.
        while selector.select(0.2):
            with contextlib.suppress(BlockingIOError):
                os.write(fd, b"x" * 4096)


def wait_for_a_slow_byte() -> None:
    """Wait as long as a byte takes on a line that is slower than what is waited for."""
    with (
        PtyProxy("delay to-host 200ms") as slow,
        opened(slow.terminal_device) as terminal,
        opened(slow.host_device) as host,
    ):
        os.write(terminal, b"x")
        assert take(host, 1) == b"x"


def test_a_line_that_is_pulled_out_while_its_terminal_does_not_read_keeps_the_hosts_device() -> None:
    with PtyProxy() as line, opened(line.host_device) as host:
        fill(host)
        line.unplug()
        line.replug()
        with opened(line.terminal_device) as terminal:
            os.write(terminal, b"hello")
            assert take(host, 5) == b"hello"


def test_a_line_that_is_put_back_by_hand_is_not_put_back_again_when_its_time_has_come() -> None:
    with PtyProxy("unplug to-host 50ms at 2 times 1") as line, opened(line.terminal_device) as terminal:
        os.write(terminal, b"abc")
        assert line.wait_for_strikes()
        line.replug()
        with opened(line.terminal_device) as new, opened(line.host_device) as host:
            wait_for_a_slow_byte()
            os.write(host, b"hello")
            assert take(new, 5) == b"hello"
        assert line.passed.connections == 2


def test_a_line_that_is_pulled_out_by_hand_stays_out_when_its_time_has_come() -> None:
    with PtyProxy("unplug to-host 50ms at 2 times 1") as line, opened(line.terminal_device) as terminal:
        os.write(terminal, b"abc")
        assert line.wait_for_strikes()
        line.unplug()
        wait_for_a_slow_byte()
        assert not Path(line.terminal_device).exists()


def test_a_speed_of_nothing_is_no_speed() -> None:
    with PtyProxy() as line:
        for baud in (0, -9600):
            with pytest.raises(UsageError, match=f"{baud} is no speed of a serial line"):
                DeviceProxy(line.terminal_device, line.host_device, baud=baud)


def test_a_line_that_cannot_be_laid_leaves_nothing_behind(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(FileNotFoundError), PtyProxy(folder=tmp_path / "none"):
        pass
    assert threading.active_count() == threads


@pytest.mark.parametrize("name", ["terminal", "host"])
def test_a_file_that_has_the_name_of_a_device_is_not_replaced(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("somebody's")
    with pytest.raises(UsageError, match=f"{name}: there is such a file already"), PtyProxy(folder=tmp_path):
        pass
    assert file.read_text() == "somebody's"
    assert list(tmp_path.iterdir()) == [file]
