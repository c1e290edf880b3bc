"""Where a host is reached, as one line of text: a road to it, and what is particular to that road.

    tcp://10.0.0.1:9583                    tls://pos.example:9583?connect_s=5
    https://pos.example/mjc/webtrans/VPB_lb        a POST for each request, over TLS
    serial:///dev/ttyS0?baud=115200        a line of this machine; also `bits`, `parity`, `stop`, `flow`
    socket://10.0.0.1:4001?baud=9600       a serial line behind a converter that passes bytes through TCP; it is set
                                           there, and said here for the time that a frame takes on it
    rfc2217://10.0.0.1:4001?baud=9600      the same, with the line's settings sent along

Every road may say `framing`, `connect_s`, `answer_s` (seconds until silence is silence, at most the configured ones),
`keep=no` (a connection for each request) and `echo_s` (a sign of life after so many quiet seconds). Several addresses
stand in one text with commas between them, the road to be preferred first. Whatever is wrong is a `UsageError` that
names the part and never repeats it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pos_engine.errors import UsageError
from pos_engine.framing.registry import FRAMINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Scheme = Literal["tcp", "tls", "https", "serial", "socket", "rfc2217"]
Parity = Literal["N", "E", "O"]
Flow = Literal["none", "hardware"]

PORT_MAX: Final = 65_535
HTTPS_PORT: Final = 443
ROUTES_MAX: Final = 8
"""Roads to one host: two lines of two networks are usual, and each one that is dead costs its connection time."""
SECONDS: Final = (0.1, 300.0)
ECHO_SECONDS: Final = (10.0, 86_400.0)
"""A sign of life is a whole exchange, kept in the journal like any other: more often would wear the disk."""
BAUD_DEFAULT: Final = 9600
BAUD_RATES: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
HOST_CHARACTERS_MAX: Final = 253
DEVICE_CHARACTERS_MAX: Final = 255
_AUTHORITY: Final = r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))"
_FORMS: Final[Mapping[str, str]] = {
    "tcp": rf"{_AUTHORITY}:(?P<port>[0-9]{{1,5}})",
    "tls": rf"{_AUTHORITY}:(?P<port>[0-9]{{1,5}})",
    "socket": rf"{_AUTHORITY}:(?P<port>[0-9]{{1,5}})",
    "rfc2217": rf"{_AUTHORITY}:(?P<port>[0-9]{{1,5}})",
    "https": rf"{_AUTHORITY}(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[A-Za-z0-9._~/%+-]{{0,255}})?",
    "serial": r"(?P<path>/[A-Za-z0-9._/+:-]+)",
}
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
WRITTEN: Final = (
    "tcp://host:port, tls://host:port, https://host/path, serial:///dev/NAME, socket://host:port or "
    "rfc2217://host:port, an IPv6 address in brackets"
)
"""How an address may look, in words."""


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How a serial line is set: bits per second, data bits, parity, stop bits, and what holds a fast sender back.

    A message is binary: seven bits cannot carry it, and a flow control by characters would eat those that stand in it.
    """

    baud: int = BAUD_DEFAULT
    bits: int = 8
    parity: Parity = "N"
    stop: int = 1
    flow: Flow = "none"

    @property
    def byte_s(self) -> float:
        """Seconds that a byte takes, with its start bit, parity and stop bits."""
        return (1 + self.bits + (self.parity != "N") + self.stop) / self.baud


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One road to the host. `path` is of an HTTPS tunnel, or a device; what is `None` is as it is configured."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    line: SerialLine = SerialLine()
    framing: str | None = None
    connect_s: float | None = None
    answer_s: float | None = None
    keep: bool = True
    """Whether a connection is kept for the next request."""
    echo_s: float | None = None
    """Seconds of quiet after which a kept connection is tried out; `None` for never."""

    @property
    def is_protected(self) -> bool:
        """Whether what passes is enciphered, and whose host it is verified."""
        return self.scheme in {"tls", "https"}

    @property
    def is_serial(self) -> bool:
        """Whether it ends in a serial line, whose framing has to find a message's end by itself."""
        return self.scheme in {"serial", "socket", "rfc2217"}

    @property
    def byte_s(self) -> float:
        """Seconds that a byte takes on the serial line at the road's end; 0 where there is none."""
        return self.line.byte_s if self.is_serial else 0.0

    @property
    def place(self) -> str:
        """Host and port, or the device, without the scheme."""
        if not self.host:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Name the road: scheme and place, as "tls://pos.example:9583"."""
        return f"{self.scheme}://{self.place}{self.path if self.host else ''}"


def parse_address(text: str) -> Address:
    """Read one address; else `UsageError`."""
    scheme, _, rest = text.strip().partition("://")
    form = _FORMS.get(scheme)
    place, mark, query = rest.partition("?")
    match = re.fullmatch(form, place) if form is not None else None
    if match is None or (mark and not query):
        reason = f"an address is written {WRITTEN}"
        raise UsageError(reason)
    named = match.groupdict()
    host = named.get("six") or named.get("host") or ""
    port = int(named.get("port") or (HTTPS_PORT if scheme == "https" else 0))
    if host:
        _check_host(host, port, is_name=not named.get("six"))
    path = named.get("path") or ("/" if scheme == "https" else "")
    if len(path) > DEVICE_CHARACTERS_MAX:
        reason = f"a path has at most {DEVICE_CHARACTERS_MAX} characters"
        raise UsageError(reason)
    # The form was found under this very scheme.
    return _with_options(Address(scheme=cast("Scheme", scheme), host=host, port=port, path=path), query)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read the roads to a host, one or more with commas between them; else `UsageError`."""
    found = tuple(parse_address(part) for part in text.split(","))
    if len(found) > ROUTES_MAX:
        reason = f"at most {ROUTES_MAX} addresses"
        raise UsageError(reason)
    if len(set(map(str, found))) < len(found):
        reason = "the same address twice"
        raise UsageError(reason)
    return found


def _check_host(host: str, port: int, *, is_name: bool) -> None:
    if not 1 <= port <= PORT_MAX:
        reason = f"a port is a number from 1 to {PORT_MAX}"
        raise UsageError(reason)
    if not (_is_name(host) if is_name else _is_ipv6(host)):
        reason = "this is no host name" if is_name else "what stands in brackets is no IPv6 address"
        raise UsageError(reason)


def _is_name(host: str) -> bool:
    labels = host.rstrip(".").split(".")
    return len(host) <= HOST_CHARACTERS_MAX and all(_LABEL.fullmatch(label) for label in labels)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


_ALL: Final = frozenset(_FORMS)
_LINES: Final = frozenset({"serial", "rfc2217", "socket"})
_SET_HERE: Final = _LINES - {"socket"}
"""Lines whose settings are made by us; a converter's are its own."""


@dataclass(frozen=True, slots=True)
class _Option:
    """What may follow the question mark: what it is allowed to be, in words, and how it is read (`None`: not so)."""

    allowed: str
    read: Callable[[str], object]
    schemes: frozenset[str] = _ALL


def _seconds(bounds: tuple[float, float]) -> _Option:
    low, high = bounds

    def read(text: str) -> float | None:
        number = float(text) if _NUMBER.fullmatch(text) else -1.0
        return number if low <= number <= high else None

    return _Option(f"{low:g} to {high:g} seconds", read)


def _one_of(**values: object) -> _Option:
    return _Option(" or ".join(values), values.get)


def _line_setting(values: Mapping[str, object], *, schemes: frozenset[str] = _LINES, why: str = "") -> _Option:
    return _Option(" or ".join(values) + why, values.get, schemes)


_OPTIONS: Final[Mapping[str, _Option]] = {
    "framing": _Option(f"one of {', '.join(FRAMINGS)}", lambda text: text if text in FRAMINGS else None),
    "connect_s": _seconds(SECONDS),
    "answer_s": _seconds(SECONDS),
    "echo_s": _seconds(ECHO_SECONDS),
    "keep": _one_of(yes=True, no=False),
    "baud": _line_setting({str(rate): rate for rate in BAUD_RATES}),
    "bits": _line_setting({"8": 8}, why=" (messages are binary, seven bits cannot carry them)"),
    "parity": _line_setting({"N": "N", "E": "E", "O": "O"}),
    "stop": _line_setting({"1": 1, "2": 2}),
    "flow": _line_setting(
        {"none": "none", "hardware": "hardware"},
        schemes=_SET_HERE,
        why=" (messages are binary, a flow control by characters would eat some of theirs)",
    ),
}
"""Every setting of one road. They belong to the address, because two roads to the same host differ in them."""


def _with_options(address: Address, query: str) -> Address:
    """Add what stands behind the question mark; each name once, and those of a line only where there is one."""
    found: dict[str, Any] = {}
    line: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        name, _, text = part.partition("=")
        option = _OPTIONS.get(name)
        if option is None or address.scheme not in option.schemes:
            known = (each for each, row in _OPTIONS.items() if address.scheme in row.schemes)
            reason = f"settings of a {address.scheme} address are {', '.join(known)}"
            raise UsageError(reason)
        value = option.read(text)
        if value is None or name in found or name in line:
            reason = f"{name} of an address is {option.allowed}, and said once"
            raise UsageError(reason)
        (line if option.schemes <= _LINES else found)[name] = value
    return _settled(address, found, line)


def _settled(address: Address, found: Mapping[str, Any], line: Mapping[str, Any]) -> Address:
    if found.get("keep") is False and "echo_s" in found:
        reason = "echo_s is for a connection that is kept"
        raise UsageError(reason)
    return replace(address, line=replace(address.line, **line), **found)
