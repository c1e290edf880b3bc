"""A serial line on the host's side: opened for ever, lost and found again, never hung up.

A line has no connections: whoever speaks is a guest as long as the device is there. "No answer" and "close the link"
are the same on it, so both say nothing. After bytes that cannot be frames the line has to be quiet for a moment before
it is listened to again.
"""

from __future__ import annotations

import asyncio
import os
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import serial

from pos_engine import limits
from pos_engine.errors import ConfigError
from simulators.server.dialogue import Dialogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.config.address import Address
    from pos_engine.framing.base import Framer
    from simulators.server.house import House

READ_BYTES: Final = 4096

POLL_S: Final = 0.5
"""Seconds between two looks for a device that is gone."""

QUIET_S: Final = 0.2
"""Silence that ends what could not be understood: far longer than the gap between two bytes of one sender."""

UNSENT_BYTES_MAX: Final = 65_536
"""What is kept for a line that is held up; the rest is lost, as it is on a line."""

BITS_PER_BYTE: Final = 12
"""On the wire, with start, parity and two stop bits."""

SLACK_S: Final = 1.0
"""What a sender may lose between the bytes of a frame, in all."""


class Tty:
    """A device that is listened to until `shut`, whether it is there or not."""

    def __init__(self, house: House, address: Address, framer: Framer, *, quiet_s: float = QUIET_S) -> None:
        """Open the device; `ConfigError` when it is not there from the start.

        `quiet_s` is how long the line has to be quiet after bytes that no frame can be found in; nothing where the
        framing finds its frames by itself.
        """
        self.address = address
        self.quiet_s = quiet_s
        self._house = house
        self._framer = framer
        self._next_look: asyncio.TimerHandle | None = None
        self.is_shut = False
        why = self._look()
        if why is not None:
            reason = f"cannot listen on {address}: {why}"
            raise ConfigError(reason)

    def shut(self) -> None:
        """Look for the device no more; whoever speaks there is the house's to part with."""
        self.is_shut = True
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = None

    def renewed_framer(self) -> Framer:
        """Return the next one: the line goes on, and what was taken before is known when it is repeated."""
        self._framer = self._framer.renewed()
        return self._framer

    async def empty(self) -> None:
        """Return: nobody stands in the door of a line."""

    def _look(self) -> str | None:
        """Open the device; returns why not."""
        opened = _open(self.address)
        if isinstance(opened, str):
            return opened
        _Plugged(self._house, self, opened, self._lost)
        self._next_look = None
        return None

    def _lost(self) -> None:
        if not self.is_shut:
            self._next_look = asyncio.get_running_loop().call_later(POLL_S, self._look_again)

    def _look_again(self) -> None:
        if self._look() is not None:
            self._lost()


class _Plugged:
    """The device from one opening to its loss: the carrier of one guest."""

    def __init__(
        self,
        house: House,
        door: Tty,
        port: serial.Serial,
        on_lost: Callable[[], None],
    ) -> None:
        self._on_lost = on_lost
        self._house = house
        self._door = door
        self._port = port
        self._unsent = bytearray()
        self._deaf: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(port.fileno(), self._read)
        self._guest: Dialogue
        self._begin()

    @property
    def is_open(self) -> bool:
        return bool(self._port.is_open)

    def write(self, data: bytes) -> None:
        if self.is_open and len(self._unsent) + len(data) <= UNSENT_BYTES_MAX:
            self._unsent += data
            self._flush()

    def hang_up(self) -> None:
        """Say nothing: a line has no end."""

    def give_up(self) -> None:
        """Forget what came, and be deaf until the line is quiet."""
        if not self.is_open:
            return
        self._guest.stop()
        self._house.leave(self._guest)
        # What a line that is held up has not taken must not leave minutes later, into another exchange.
        self._unsent.clear()
        asyncio.get_running_loop().remove_writer(self._port.fileno())
        if self._door.quiet_s:
            self._stay_deaf()
        self._begin()

    def close(self) -> None:
        """Let go of the device, and look for it again unless the door is shut."""
        if not self.is_open:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._port.fileno())
        loop.remove_writer(self._port.fileno())
        if self._deaf is not None:
            self._deaf.cancel()
        self._guest.stop()
        with suppress(OSError, termios.error):
            # The system would wait half a minute for a line that is held up.
            self._port.reset_output_buffer()
        with suppress(OSError):
            self._port.close()
        self._house.leave(self._guest)
        self._on_lost()

    def abort(self) -> None:
        self.close()

    def _begin(self) -> None:
        """Let a new guest speak."""
        patience_s = limits.FRAME_BYTES_MAX * BITS_PER_BYTE / self._door.address.line.baud + SLACK_S
        self._guest = Dialogue(self._house, self._door, self._door.renewed_framer(), self, patience_s=patience_s)
        # Where there is no room, this is already the end.
        self._house.enter(self._guest)

    def _read(self) -> None:
        try:
            data = os.read(self._port.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # A device that is ready and has nothing is gone.
            self.close()
        elif self._deaf is not None:
            self._stay_deaf()
        else:
            self._guest.take(data)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            written = os.write(self._port.fileno(), self._unsent)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close()
            return
        del self._unsent[:written]
        if self._unsent:
            loop.add_writer(self._port.fileno(), self._flush)
        else:
            loop.remove_writer(self._port.fileno())

    def _stay_deaf(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
        self._deaf = asyncio.get_running_loop().call_later(self._door.quiet_s, self._listen)

    def _listen(self) -> None:
        self._deaf = None


def _open(address: Address) -> serial.Serial | str:
    """Open a device without waiting for anything; returns why not where it cannot be."""
    line = address.line
    try:
        return serial.Serial(
            address.path,
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
        # What has no number was opened, and knows no settings of a line.
        return os.strerror(error.errno).lower() if error.errno else "this is no serial device"
    except (ValueError, termios.error):
        return "the line cannot be set so"
