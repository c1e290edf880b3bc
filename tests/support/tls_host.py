"""Hosts that speak real TLS with real certificates: behind a socket of `EchoHost`, or on a wire cut at any byte.

A host writes down every byte it has deciphered, so that "nothing was sent" can be proved where it matters.
"""

from __future__ import annotations

import enum
import socket
import ssl
import warnings
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trustme

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.echo_host import WAIT_S, EchoHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

NAME: Final = "pos.example"
ADDRESS: Final = "127.0.0.1"
READ_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Pki:
    """An authority, a host's certificate of it, and the file in which a terminal trusts it."""

    ca: trustme.CA
    leaf: trustme.LeafCert
    file: Path

    @classmethod
    def made(cls, folder: Path) -> Pki:
        """Make all three."""
        ca = trustme.CA()
        file = write_pem(folder / "ca.pem", ca.cert_pem)
        return cls(ca, ca.issue_cert(NAME, ADDRESS, common_name=NAME), file)


@dataclass(slots=True)
class Heard:
    """What a host has seen of its clients."""

    data: bytearray = field(default_factory=bytearray)
    """Every byte it has deciphered."""
    handshakes: int = 0
    refusals: list[str] = field(default_factory=list)
    """OpenSSL's words for what went wrong."""
    clients: list[str] = field(default_factory=list)
    """The serial numbers of client certificates."""


def host_context(
    leaf: trustme.LeafCert, *, clients: trustme.CA | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Make a host's context: it wants a certificate of `clients`, where given, and knows no other `version`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    return context


def write_pem(path: Path, *blobs: trustme.Blob) -> Path:
    """Write certificates and keys into one file, not open to everybody, in one move as a careful person does."""
    beside = path.with_suffix(".new")
    beside.write_bytes(b"".join(blob.bytes() for blob in blobs))
    beside.chmod(0o600)
    return beside.rename(path)


def write_client(path: Path, leaf: trustme.LeafCert) -> Path:
    """Write a client's chain and key."""
    return write_pem(path, *leaf.cert_chain_pems, leaf.private_key_pem)


def record(connection: ssl.SSLSocket, heard: Heard) -> None:
    """Write down what comes, until the client ends it."""
    while data := connection.recv(READ_BYTES):
        heard.data += data


def echo_back(connection: ssl.SSLSocket, heard: Heard) -> None:
    """Write down what comes, and send it back."""
    while data := connection.recv(READ_BYTES):
        heard.data += data
        connection.sendall(data)


def protected(
    context: ssl.SSLContext, heard: Heard, talk: Callable[[ssl.SSLSocket, Heard], None] = record
) -> Callable[[socket.socket], None]:
    """Make a script for `EchoHost`: the handshake, then `talk`; TLS's own end is said only where `talk` does."""

    def script(connection: socket.socket) -> None:
        # A copy, so that the host can still break the connection off that was handed to TLS.
        with connection.dup() as copy:
            copy.settimeout(WAIT_S)
            # A connection that is broken off already would leave an open socket behind in Python's own wrapping.
            copy.recv(1, socket.MSG_PEEK)
            try:
                with context.wrap_socket(copy, server_side=True) as tls:
                    heard.handshakes += 1
                    heard.clients.append(str((tls.getpeercert() or {}).get("serialNumber", "")))
                    talk(tls, heard)
            except ssl.SSLError as error:
                heard.refusals.append(error.reason or "")

    return script


@contextmanager
def connecting(
    script: Callable[[socket.socket], None],
    files: TlsFiles,
    name: str = NAME,
    shown: Callable[[datetime | None], object] = lambda _until: None,
) -> Iterator[tuple[TlsStream, EchoHost]]:
    """Run a host with one script, and make a stream to it that is not connected yet."""
    with (
        EchoHost(script) as host,
        closing(TlsStream(TcpStream(*host.address), files, name, shown=shown)) as stream,
    ):
        yield stream, host


class Fault(enum.Enum):
    """How a wire breaks."""

    FIN = "both sides see an orderly end"
    RST = "both sides see a reset"


class Direction(enum.Enum):
    """Whose bytes are counted."""

    TO_HOST = "to the host"
    TO_CLIENT = "to the client"


@dataclass(slots=True)
class Wire:
    """A `Stream` to a host in memory that echoes; it breaks after `cut` bytes of one direction have passed.

    As with a kernel, what is sent into a wire that breaks meanwhile counts as accepted. `accepts` bytes are taken in
    all, and then none: a full buffer.
    """

    context: ssl.SSLContext
    direction: Direction = Direction.TO_HOST
    fault: Fault = Fault.FIN
    cut: int | None = None
    accepts: int | None = None
    heard: Heard = field(default_factory=Heard)
    passed: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))
    is_broken: bool = False
    is_open: bool = False
    closed: int = 0
    to_client: bytearray = field(default_factory=bytearray)
    _incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    _outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    host: ssl.SSLObject | None = None

    @property
    def peer(self) -> str:
        return "the wire"

    @property
    def is_line(self) -> bool:
        return False

    def connect(self, timeout_s: float) -> None:
        assert timeout_s > 0
        self.host = self.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_open = True

    def send(self, data: bytes, timeout_s: float) -> None:
        assert timeout_s >= 0
        if not self.is_open or (self.is_broken and self.fault is Fault.RST):
            reason = "the wire: connection reset by the other side while sending"
            raise NotSent(reason, trouble=Trouble.RESET)
        room = len(data) if self.accepts is None else min(len(data), self.accepts)
        if self.accepts is not None:
            self.accepts -= room
        self._incoming.write(self._let_pass(Direction.TO_HOST, data[:room]))
        self.run_host()
        if room < len(data):
            reason = "the wire: timed out while sending"
            raise (NoAnswer if room else NotSent)(reason, trouble=Trouble.TIMEOUT)

    def receive(self, timeout_s: float) -> bytes:
        assert timeout_s >= 0
        if self.to_client:
            taken = bytes(self.to_client[: limits.RECEIVE_BYTES_MAX])
            del self.to_client[: limits.RECEIVE_BYTES_MAX]
            return taken
        if self.is_broken and self.fault is Fault.FIN:
            return b""
        kind = NoAnswer if self.is_broken or not self.is_open else Silence
        reason = f"the wire: {'broken' if kind is NoAnswer else 'nothing came'}"
        raise kind(reason, trouble=Trouble.RESET)

    def stale(self) -> bool:
        return bool(self.to_client) or self.is_broken or not self.is_open

    def close(self) -> None:
        self.is_open = False
        self.closed += 1

    def run_host(self) -> None:
        """Let the host do what it can with what has come."""
        assert self.host is not None
        with suppress(ssl.SSLError):
            if not self.heard.handshakes:
                self.host.do_handshake()
                self.heard.handshakes += 1
            while data := self.host.read(READ_BYTES):
                self.heard.data += data
                self.host.write(data)
        self.to_client += self._let_pass(Direction.TO_CLIENT, self._outgoing.read())

    def _let_pass(self, direction: Direction, data: bytes) -> bytes:
        if self.is_broken:
            return b""
        room = len(data) if self.cut is None or direction is not self.direction else self.cut - self.passed[direction]
        passing = data[:room]
        self.passed[direction] += len(passing)
        self.is_broken = room < len(data) or (direction is self.direction and self.passed[direction] == self.cut)
        return passing
