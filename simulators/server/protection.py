"""The host's end of TLS for one connection: bytes in, bytes out, no sockets. TLS 1.2 or newer, one handshake each.

OpenSSL works on two memory buffers, so a connection that is still shaking hands is a connection like any other: it is
counted, bounded and cut like them.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pos_engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulators.config import Listen

READ_BYTES: Final = 4096

NO_PASSWORD: Final = ""
"""A simulator asks nobody for a password: an enciphered key is refused."""


class Protection:
    """One connection's TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Wait for the client to begin."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_ready = False
        """Whether hands are shaken."""
        self.is_over = False
        """Whether the other side has said its last word, or what it says is no TLS."""

    def take(self, data: bytes) -> bytes:
        """Take what arrived and return what it says; `outgoing` may have grown."""
        self._incoming.write(data)
        clear = bytearray()
        try:
            if not self.is_ready:
                self._tls.do_handshake()
                self.is_ready = True
            while piece := self._tls.read(READ_BYTES):
                clear += piece
            self.is_over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.is_over = True
        return bytes(clear)

    def put(self, data: bytes) -> None:
        """Encipher; before hands are shaken there is nobody to say anything to, nor after a fault."""
        if self.is_ready:
            with suppress(ssl.SSLError):
                self._tls.write(data)

    def end(self) -> None:
        """Say the last word, so that the other side knows that nothing was cut off."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()

    def outgoing(self) -> bytes:
        """Hand out what is to be sent."""
        return self._outgoing.read()


def protection_of(listen: Listen) -> ssl.SSLContext:
    """Read the files of a place to listen at; a CA of clients makes their certificates a condition. `ConfigError`."""
    if listen.certificate is None:
        reason = f"cannot listen on {listen.address}: TLS needs a certificate with its key"
        raise ConfigError(reason)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that could begin anew at will could keep the host busy with nothing else.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load(
        listen.certificate,
        "a certificate and its key in PEM",
        lambda path: context.load_cert_chain(path, password=NO_PASSWORD),
    )
    if listen.client_ca is not None:
        _load(listen.client_ca, "certificates in PEM", lambda path: context.load_verify_locations(cafile=path))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(path: Path, what: str, load: Callable[[Path], None]) -> None:
    """Load a file; what is wrong with it is told without what OpenSSL quotes."""
    try:
        load(path)
    except ssl.SSLError:
        why = f"does not hold {what}"
    except OSError as error:
        why = f"cannot be read: {(error.strerror or 'not a file').lower()}"
    else:
        return
    reason = f"{path}: {why}"
    raise ConfigError(reason)
