"""A serial line of this machine, with deadlines that hold whatever the device, its driver or the far end does.

The library opens the device and sets it. Waiting, reading and writing are done here: its own reads and writes may block
for ever, and a gap between bytes cannot be given to it on this system. A line is held alone; two programs that read it
would each get half of an answer.

`send` returns when the device has sent everything, so that the time for an acknowledgement begins when the peer can
know of the frame. What a line that is held up (by flow control, by an adapter) has not sent when it is closed is thrown
away: a request must not leave minutes later.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    import serial

    from pos_engine.config.address import SerialLine

UNPLUGGED: Final = Fault("the line was unplugged, or its other end is gone", Trouble.NO_DEVICE)
NOT_OPEN: Final = Fault("the line is not open", Trouble.CLOSED)
HELD_UP: Final = Fault("the line takes nothing (flow control?)", Trouble.TIMEOUT)
NO_TIME: Final = Fault("no time left to open the line", Trouble.NO_CONNECTION)
NOT_SETTABLE: Final = Fault("the device cannot be set as a serial line of this kind", Trouble.LOCAL)

REASONS: Final = {
    errno.ENOENT: Fault("there is no such device", Trouble.NO_DEVICE),
    errno.ENODEV: Fault("there is no such device", Trouble.NO_DEVICE),
    errno.ENXIO: Fault("there is no such device", Trouble.NO_DEVICE),
    errno.EIO: UNPLUGGED,
    errno.EACCES: Fault("not permitted; is this user in the group of the device, such as dialout?", Trouble.LOCAL),
    errno.EPERM: Fault("not permitted; is this user in the group of the device, such as dialout?", Trouble.LOCAL),
    errno.EBUSY: Fault("another program holds the line", Trouble.LOCAL),
    errno.EAGAIN: Fault("another program holds the line", Trouble.LOCAL),
}
"""What an installer meets, in plain words; anything else is said in the system's words."""

_MILLISECONDS: Final = 1000


class SerialStream:
    """A `Stream` over the serial device at `device`, set as `line` says."""

    __slots__ = ("_device", "_line", "_monotonic", "_port")

    def __init__(self, device: str, line: SerialLine, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Remember the device; nothing is opened yet."""
        self._device = device
        self._line = line
        self._monotonic = monotonic
        self._port: serial.Serial | None = None

    @property
    def peer(self) -> str:
        """The device as it was given."""
        return self._device

    @property
    def is_line(self) -> bool:
        """It lasts: what lies in it may be old."""
        return True

    def connect(self, timeout_s: float) -> None:
        """Open the device and set it; `NotSent` when it is missing, taken, not permitted, or no serial line."""
        fault: Fault | None = NO_TIME
        if timeout_s > 0:
            opened = _open(self._device, self._line)
            fault = opened if isinstance(opened, Fault) else None
            self._port = None if isinstance(opened, Fault) else opened
        if fault is not None:
            reason = f"{self.peer}: {fault.words}"
            raise NotSent(reason, trouble=fault.trouble)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Write all of `data` and wait until the device has sent it."""
        deadline = self._monotonic() + timeout_s
        sent, fault = 0, None
        while sent < len(data) and fault is None:
            count, fault = self._write(data[sent:], deadline)
            sent += count
        if fault is None and sent:
            fault = self._wait_until_sent(deadline)
        if fault is not None:
            reason = f"{self.peer}: {fault.words} while sending"
            raise (NoAnswer if sent else NotSent)(reason, trouble=fault.trouble)

    def receive(self, timeout_s: float) -> bytes:
        """Return what came; `Silence` when nothing did, `NoAnswer` when the device is gone: a line has no other end."""
        deadline = self._monotonic() + timeout_s
        while True:
            data, fault = self._read(deadline)
            if data:
                return data
            if fault is not None:
                reason = f"{self.peer}: {fault.words}"
                raise NoAnswer(reason, trouble=fault.trouble)
            if self._monotonic() >= deadline:
                reason = f"{self.peer}: nothing came"
                raise Silence(reason, trouble=Trouble.TIMEOUT)

    def stale(self) -> bool:
        """Tell whether anything waits in the line, or it is gone."""
        return self._port is None or bool(_wait(self._port.fileno(), select.POLLIN, 0))

    def close(self) -> None:
        """Throw away what was not sent, and close; a device that is gone says nothing against it."""
        port, self._port = self._port, None
        if port is None:
            return
        with suppress(OSError, termios.error):
            # Closing would wait for it otherwise, half a minute at most systems.
            termios.tcflush(port.fileno(), termios.TCOFLUSH)
        with suppress(OSError, termios.error):
            port.close()

    def _write(self, data: bytes, deadline: float) -> tuple[int, Fault | None]:
        """Write what the device takes; the second value is why nothing more can be written."""
        if self._port is None:
            return 0, NOT_OPEN
        try:
            return os.write(self._port.fileno(), data), None
        except BlockingIOError:
            _wait(self._port.fileno(), select.POLLOUT, self._slice_s(deadline))
        except OSError as error:
            return 0, _fault(error)
        return 0, HELD_UP if self._monotonic() >= deadline else None

    def _wait_until_sent(self, deadline: float) -> Fault | None:
        """Look until the device holds nothing any more, or time is up; returns how the line was lost meanwhile."""
        while self._port is not None:
            try:
                waiting = _unsent(self._port.fileno())
            except OSError as error:
                return _fault(error)
            if not waiting:
                return None
            if self._monotonic() >= deadline:
                # The device has it, and closing takes it back.
                return None
            time.sleep(min(limits.LINE_DRAIN_CHECK_S, self._slice_s(deadline)))
        return NOT_OPEN

    def _read(self, deadline: float) -> tuple[bytes | None, Fault | None]:
        """Read what is there; the second value is how the line was lost, and neither means that nothing came yet."""
        if self._port is None:
            return None, NOT_OPEN
        if not _wait(self._port.fileno(), select.POLLIN, self._slice_s(deadline)):
            return None, None
        try:
            # A device that is ready and has nothing has been unplugged.
            data = os.read(self._port.fileno(), limits.RECEIVE_BYTES_MAX)
        except BlockingIOError:
            return None, None
        except OSError as error:
            return None, _fault(error)
        return data, None if data else UNPLUGGED

    def _slice_s(self, deadline: float) -> float:
        return min(limits.WAIT_SLICE_S, max(0.0, deadline - self._monotonic()))


def _open(device: str, line: SerialLine) -> serial.Serial | Fault:
    """Return an open port, or the reason why there is none. No word of the library's own error is passed on."""
    import serial  # noqa: PLC0415 - only a terminal on a serial line pays for it

    try:
        return serial.Serial(
            device,
            baudrate=line.baud,
            bytesize=line.bits,
            parity=line.parity,
            stopbits=line.stop,
            rtscts=line.flow == "hardware",
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
    except OSError as error:
        return _fault(error) if error.errno else NOT_SETTABLE
    except (ValueError, OverflowError, termios.error):
        return NOT_SETTABLE


def _wait(descriptor: int, what: int, timeout_s: float) -> int:
    """Wait for a device to be ready or gone; the events there are, none when time is up."""
    poll = select.poll()
    poll.register(descriptor, what)
    return next((events for _, events in poll.poll(timeout_s * _MILLISECONDS)), 0)


def _unsent(descriptor: int) -> int:
    """Ask how many bytes the device has yet to send; one that cannot tell has sent them."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL}:
            return 0
        raise
    unsent: int = struct.unpack("i", answer)[0]
    return unsent


def _fault(error: OSError) -> Fault:
    number = error.errno or errno.EIO
    return REASONS.get(number) or Fault(os.strerror(number).lower(), Trouble.LOCAL)
