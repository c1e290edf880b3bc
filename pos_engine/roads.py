"""From an address to a road: which transport and which framing lead there, and what each is given.

A transport is loaded when a road needs it, so that a terminal on plain TCP pays for neither TLS nor serial lines.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pos_engine.errors import ConfigError
from pos_engine.framing.registry import SERIAL_DEFAULT, new_framer
from pos_engine.link import Link
from pos_engine.routes import Ending, Route
from pos_engine.transport.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from pos_engine.config.address import Address, Scheme
    from pos_engine.transport.base import Stream
    from pos_engine.transport.certificates import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What every road of one terminal shares."""

    framing: str
    connect_timeout_s: float
    files: Callable[[], TlsFiles]
    """The files of protected roads; asked for only where there is one."""
    monotonic: Callable[[], float]
    protected: dict[str, datetime | None] = field(default_factory=dict)
    """When the certificate ends that each protected road's host has shown last; it outlives the connection."""

    def endings(self, wall: datetime) -> tuple[Ending, ...]:
        """Tell which certificates have ended or end soon, those of our files and those that hosts have shown.

        What is wrong with a file besides is said when a connection needs it.
        """
        if not self.protected:
            return ()
        from pos_engine.transport.certificates import WARNED_BEFORE  # noqa: PLC0415 - only where TLS is spoken

        found: list[Ending] = []
        with suppress(ConfigError):
            ours = self.files().expiring(wall)
            found.extend(Ending(f"{each.file}: {each.subject}", each.until, each.days_left) for each in ours)
        for name, until in self.protected.items():
            if until is not None and until - wall <= WARNED_BEFORE:
                found.append(Ending(name, until, (until - wall).days))
        return tuple(sorted(found, key=lambda each: each.until))

    def road(self, address: Address, stream: Callable[[], Stream] | None = None) -> Route:
        """Build the road to an address; `stream` makes its connections instead of the transport it names."""
        if address.is_protected:
            self.protected.setdefault(str(address))
        framing = address.framing or (SERIAL_DEFAULT if address.is_serial else self.framing)
        link = Link(
            stream or self._stream(address),
            lambda: new_framer(framing, address.byte_s),
            monotonic=self.monotonic,
            connect_timeout_s=address.connect_s or self.connect_timeout_s,
        )
        return Route(str(address), link, answer_s=address.answer_s, keep=address.keep, echo_s=address.echo_s)

    def _stream(self, address: Address) -> Callable[[], Stream]:
        return lambda: _STREAMS[address.scheme](address, self)


def _tcp(address: Address, builder: Builder) -> Stream:
    # A converter passes the bytes of its line through TCP as they are.
    return TcpStream(address.host, address.port, monotonic=builder.monotonic, is_line=address.is_serial)


def _tls(address: Address, builder: Builder) -> Stream:
    from pos_engine.transport.tls import TlsStream  # noqa: PLC0415 - only where TLS is spoken

    return TlsStream(
        _tcp(address, builder),
        builder.files(),
        address.host,
        monotonic=builder.monotonic,
        shown=lambda until: builder.protected.update({str(address): until}),
    )


def _https(address: Address, builder: Builder) -> Stream:
    from pos_engine.transport.https import HttpsStream  # noqa: PLC0415 - only where the tunnel is used

    stream = _tls(address, builder)
    return HttpsStream(stream, address.host, address.port, address.path, monotonic=builder.monotonic)


def _serial(address: Address, builder: Builder) -> Stream:
    from pos_engine.transport.serial import SerialStream  # noqa: PLC0415 - only where there is a serial line

    return SerialStream(address.path, address.line, monotonic=builder.monotonic)


def _rfc2217(address: Address, builder: Builder) -> Stream:
    from pos_engine.transport.rfc2217 import Rfc2217Stream  # noqa: PLC0415 - only where there is such a line

    return Rfc2217Stream(address.host, address.port, address.line, monotonic=builder.monotonic)


_STREAMS: Final[Mapping[Scheme, Callable[[Address, Builder], Stream]]] = {
    "tcp": _tcp,
    "tls": _tls,
    "https": _https,
    "serial": _serial,
    "socket": _tcp,
    "rfc2217": _rfc2217,
}
