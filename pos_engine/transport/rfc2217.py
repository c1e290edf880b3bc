"""A serial line at the far end of a network, whose settings are sent along: RFC 2217, on the telnet protocol.

    FF FF                       the byte FF itself
    FF FB|FC|FD|FE option       will, will not, do, do not: each end says what it speaks
    FF FA 2C what value FF F0   a setting of the line; the answer names what it is now, under `what` + 100

Bytes are the line's own once both ends have agreed on this option and the settings are in force; a device server that
does not do both within the time to connect is none, and nothing was sent. A line that is set otherwise than asked for
is refused as well: it would only make noise. Everything goes through a `TcpStream`, so its deadlines and its certainty
about what has left hold here too.
"""

from __future__ import annotations

import enum
import struct
import time
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.framing.line import WORDS_MAX
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pos_engine.config.address import SerialLine

IAC: Final = 0xFF
SE: Final = 0xF0
SB: Final = 0xFA
WILL: Final = 0xFB
WONT: Final = 0xFC
DO: Final = 0xFD
DONT: Final = 0xFE

BINARY: Final = 0x00
SUPPRESS_GO_AHEAD: Final = 0x03
COM_PORT: Final = 0x2C
SPOKEN: Final = frozenset({BINARY, SUPPRESS_GO_AHEAD, COM_PORT})
"""Options that either end may use; to everything else, an echo above all, the answer is no."""

REFUSALS: Final = {WILL: DONT, DO: WONT}
CONSENTS: Final = {WILL: DO, DO: WILL}
SUBNEGOTIATION_BYTES_MAX: Final = 64
"""A setting has six bytes, a signature of the device some dozen. What is longer is cut."""

ANSWER: Final = 100
"""A server's word for a setting is the client's and so much."""
SET_BAUD_RATE: Final = 1
SET_DATA_BITS: Final = 2
SET_PARITY: Final = 3
SET_STOP_BITS: Final = 4
SET_CONTROL: Final = 5
PURGE: Final = 12
PURGE_OUTPUT: Final = 2
SUSPEND: Final = 108
RESUME: Final = 109

PARITIES: Final = {"N": 1, "O": 2, "E": 3}
CONTROLS: Final = {"none": 1, "hardware": 3}


class _Mode(enum.Enum):
    DATA = "bytes of the line"
    COMMAND = "the byte after FF"
    OPTION = "the option of a will or a do"
    SETTING = "inside a setting"
    SETTING_COMMAND = "the byte after FF inside a setting"


def settings_of(line: SerialLine) -> dict[int, bytes]:
    """Return what is asked for, by setting."""
    return {
        SET_BAUD_RATE: struct.pack(">I", line.baud),
        SET_DATA_BITS: bytes([line.bits]),
        SET_PARITY: bytes([PARITIES[line.parity]]),
        SET_STOP_BITS: bytes([line.stop]),
        SET_CONTROL: bytes([CONTROLS[line.flow]]),
    }


def escaped(data: bytes) -> bytes:
    """Return the line's bytes as they travel."""
    return data.replace(b"\xff", b"\xff\xff")


def setting(what: int, value: bytes) -> bytes:
    """Return one setting as it travels."""
    return bytes([IAC, SB, COM_PORT, what]) + escaped(value) + bytes([IAC, SE])


class Telnet:
    """The machine: takes a peer's bytes, gives the line's, and says what has to be written back. Pure."""

    __slots__ = ("_command", "_mode", "_setting", "accepted", "agreed", "suspended", "told")

    def __init__(self) -> None:
        """Start with nothing agreed on."""
        self._mode = _Mode.DATA
        self._command = 0
        self._setting = bytearray()
        self.told: set[tuple[int, int]] = {(WILL, BINARY), (DO, BINARY), (WILL, COM_PORT)}
        """What we have said of each option: said once, whatever is asked again."""
        self.agreed = False
        """Whether the peer speaks the option of serial lines."""
        self.accepted: dict[int, bytes] = {}
        """The settings as the peer says they are."""
        self.suspended = False
        """Whether the peer has asked to be sent nothing for now."""

    def opening(self) -> bytes:
        """Return what is said first."""
        return b"".join(bytes([IAC, command, option]) for command, option in sorted(self.told))

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes of the line, and what has to be written back."""
        line, back = bytearray(), bytearray()
        for byte in data:
            if self._mode is _Mode.DATA and byte != IAC:
                line.append(byte)
            else:
                self._mode = self._STEPS[self._mode](self, byte, line, back)
        return bytes(line), bytes(back)

    def _in_data(self, _byte: int, _line: bytearray, _back: bytearray) -> _Mode:
        return _Mode.COMMAND

    def _in_command(self, byte: int, line: bytearray, _back: bytearray) -> _Mode:
        if byte == IAC:
            line.append(byte)
        if byte in {WILL, WONT, DO, DONT}:
            self._command = byte
            return _Mode.OPTION
        if byte == SB:
            self._setting.clear()
            return _Mode.SETTING
        return _Mode.DATA

    def _in_option(self, option: int, _line: bytearray, back: bytearray) -> _Mode:
        command = self._command
        self.agreed = self.agreed or (option == COM_PORT and command in {WILL, DO})
        if command in CONSENTS:
            answer = (CONSENTS if option in SPOKEN else REFUSALS)[command]
            if (answer, option) not in self.told:
                self.told.add((answer, option))
                back += bytes([IAC, answer, option])
        return _Mode.DATA

    def _in_setting(self, byte: int, _line: bytearray, _back: bytearray) -> _Mode:
        if byte == IAC:
            return _Mode.SETTING_COMMAND
        if len(self._setting) < SUBNEGOTIATION_BYTES_MAX:
            self._setting.append(byte)
        return _Mode.SETTING

    def _in_setting_command(self, byte: int, _line: bytearray, _back: bytearray) -> _Mode:
        if byte == SE:
            self._end_setting(bytes(self._setting))
            return _Mode.DATA
        if len(self._setting) < SUBNEGOTIATION_BYTES_MAX:
            self._setting.append(byte)
        return _Mode.SETTING

    def _end_setting(self, said: bytes) -> None:
        option, what, value = said[:1], said[1:2], said[2:]
        if option != bytes([COM_PORT]) or not what:
            return
        if what[0] in {SUSPEND, RESUME}:
            self.suspended = what[0] == SUSPEND
        elif what[0] > ANSWER:
            self.accepted[what[0] - ANSWER] = value

    _STEPS: Final = {
        _Mode.DATA: _in_data,
        _Mode.COMMAND: _in_command,
        _Mode.OPTION: _in_option,
        _Mode.SETTING: _in_setting,
        _Mode.SETTING_COMMAND: _in_setting_command,
    }


class Rfc2217Stream:
    """A `Stream` over the serial line behind the device server at `host` and `port`, set as `line` says."""

    __slots__ = ("_arrived", "_awaits_answer", "_line", "_monotonic", "_tcp", "_telnet")

    def __init__(
        self, host: str, port: int, line: SerialLine, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember where to connect; nothing happens yet."""
        self._tcp = TcpStream(host, port, monotonic=monotonic, is_line=True)
        self._line = line
        self._monotonic = monotonic
        self._telnet = Telnet()
        self._arrived = bytearray()
        # Whether a request may still be under way: its sender has heard nothing since, or waits for more than it heard.
        self._awaits_answer = False

    @property
    def peer(self) -> str:
        """Host and port of the device server."""
        return self._tcp.peer

    @property
    def is_line(self) -> bool:
        """It lasts: what lies in it may be old."""
        return True

    def connect(self, timeout_s: float) -> None:
        """Connect, agree on the option, set the line; `NotSent` when that fails or takes longer."""
        deadline = self._monotonic() + timeout_s
        self._tcp.connect(timeout_s)
        wanted = settings_of(self._line)
        failure = None
        try:
            self._tcp.send(self._telnet.opening(), self._left_s(deadline))
            self._expect(lambda: self._telnet.agreed, deadline)
            self._tcp.send(b"".join(setting(*each) for each in wanted.items()), self._left_s(deadline))
            self._expect(lambda: wanted.keys() <= self._telnet.accepted.keys(), deadline)
        except (NoAnswer, NotSent) as error:
            failure = error
        if failure is not None:
            # Whatever was lost so far, no byte of it was for the line.
            reason = f"{failure}; a device server that speaks RFC 2217 was expected"
            raise NotSent(reason, trouble=Trouble.NO_CONNECTION if isinstance(failure, Silence) else failure.trouble)
        self._check(wanted)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Write all of `data`, as soon as the server is ready to be sent something."""
        deadline = self._monotonic() + timeout_s
        failure = None
        try:
            self._expect(lambda: not self._telnet.suspended, deadline)
        except NoAnswer as error:
            failure = error
        if failure is not None:
            reason = f"{failure}, and it is not ready to be sent anything"
            raise NotSent(reason, trouble=failure.trouble)
        if self._arrived:
            # It came while the server held us up, so it cannot be the answer, and nobody could tell any more.
            reason = f"{self.peer}: spoke before it was asked"
            raise NotSent(reason, trouble=Trouble.CLOSED)
        # A word of the line, as the ACK of an answer is, asks for nothing. No request is as short.
        self._awaits_answer = self._awaits_answer or len(data) > WORDS_MAX
        self._tcp.send(escaped(data), self._left_s(deadline))

    def receive(self, timeout_s: float) -> bytes:
        """Return what came of the line, b"" when the server has closed; telnet's own words are answered meanwhile."""
        deadline = self._monotonic() + timeout_s
        is_wait = timeout_s > 0
        # Whatever ends a wait but bytes of the line, an interrupt included, leaves what was asked for unanswered.
        self._awaits_answer = self._awaits_answer or is_wait
        came = self._pump_until(lambda: bool(self._arrived), deadline)
        # What a mere look finds may lie there behind a request that was given up.
        self._awaits_answer = self._awaits_answer and not (is_wait and came)
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    def stale(self) -> bool:
        """Tell whether bytes of the line wait, or the server is gone; telnet's own words are no reason."""
        for _ in range(limits.DRAIN_READS_MAX):
            if self._arrived or not self._tcp.stale():
                return bool(self._arrived)
            try:
                if not self._pump(self._monotonic()):
                    return True
            except NoAnswer:
                return True
        return True

    def close(self) -> None:
        """Close; a request that has no answer is thrown away where the line has not sent it yet.

        It must not arrive after its reversal. Behind an answer nothing is thrown away: only its ACK can still wait in
        the server, and without that the host would repeat the answer to nobody.
        """
        try:
            if self._awaits_answer:
                self._tcp.send(setting(PURGE, bytes([PURGE_OUTPUT])), 0)
        except (NoAnswer, NotSent):
            pass
        finally:
            self._tcp.close()

    def _expect(self, done: Callable[[], bool], deadline: float) -> None:
        if not self._pump_until(done, deadline):
            reason = f"{self.peer}: closed by the other side"
            raise NoAnswer(reason, trouble=Trouble.CLOSED)

    def _pump_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Read until something is so; whether it is, for the server may have closed. `Silence` when time is up.

        Also when the server never stops talking of other things.
        """
        while not done():
            if not self._pump(deadline):
                return False
            if not done() and self._monotonic() >= deadline:
                reason = f"{self.peer}: nothing came"
                raise Silence(reason, trouble=Trouble.TIMEOUT)
        return True

    def _pump(self, deadline: float) -> bool:
        """Read once, answer what telnet asks; whether the server is still there."""
        data = self._tcp.receive(self._left_s(deadline))
        line, back = self._telnet.take(data)
        self._arrived += line
        if back:
            failure = None
            try:
                self._tcp.send(back, self._left_s(deadline))
            except NotSent as error:
                failure = error
            if failure is not None:
                raise NoAnswer(str(failure), trouble=failure.trouble)
        return bool(data)

    def _left_s(self, deadline: float) -> float:
        return max(0.0, deadline - self._monotonic())

    def _check(self, wanted: Mapping[int, bytes]) -> None:
        for name in _differing(wanted, self._telnet.accepted):
            reason = f"{self.peer}: the device server does not set the line's {name} as asked for"
            raise NotSent(reason, trouble=Trouble.LOCAL)


_NAMES: Final = {
    SET_BAUD_RATE: "speed",
    SET_DATA_BITS: "data bits",
    SET_PARITY: "parity",
    SET_STOP_BITS: "stop bits",
    SET_CONTROL: "flow control",
}


def _differing(wanted: Mapping[int, bytes], accepted: Mapping[int, bytes]) -> Iterator[str]:
    return (_NAMES[what] for what, value in wanted.items() if accepted.get(what) != value)
