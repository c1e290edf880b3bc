"""The simulated host's two files: which ports it opens, and which terminals it knows. TOML, strict, bounded.

    [[port]]                        [[terminal]]
    name = "shop"                   id = "T0000001"
    port = 9583                     merchant = "M00000000000001"
    dialect = "unionpay"            tmk = "derived"        # or a file with the key in hex
    key_scheme = "3des"             key_scheme = "3des"    # where no other will do
    scenario = "faults.toml"
    ledger = "books.db"
    forgets = false
    enrol = "terminals.toml"

A port is a number, which is TCP, or it says where it listens, at one place or several that are one host:

    listen = ["tls://127.0.0.1:9584", "serial:///dev/ttyS1?baud=115200"]
    certificate = "host.pem"        # chain and key, for tls:// and https://
    client_ca = "clients.pem"       # then terminals need a certificate of it

Paths start from the file that names them. Unknown keys and impossible values are errors that name file, table, key and
what is allowed, and never repeat the value. Keys for tests only: a key file holds a key in clear.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pos_engine.config.address import Address, SerialLine, parse_address
from pos_engine.crypto.cipher import KEY_FAULTS, KEY_SIZES
from pos_engine.dialects.registry import DIALECTS, KEY_SCHEMES
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.unionpay.schemes import USUAL
from pos_engine.errors import ConfigError, UsageError
from pos_engine.framing.length import FRAMINGS as LENGTH_FRAMINGS
from pos_engine.framing.registry import SERIAL_DEFAULT
from pos_engine.values import Identity, KeyBytes
from simulators.acquirer import Enrolled, terminal_master_key
from simulators.acquirer.enrolment import TERMINALS_MAX, schemes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.dialects.base import Dialect

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A roster of `TERMINALS_MAX` terminals has about 1 MiB."""
KEY_FILE_BYTES_MAX: Final = 4096
PORTS_MAX: Final = 64
"""Ports of one host; each is a listening socket and, perhaps, a file."""
PLACES_MAX: Final = 8
"""Places where one port listens."""
LOOPBACK: Final = "127.0.0.1"
"""A simulator with published keys listens to its own machine, unless somebody says otherwise in so many words."""
FRAMING_OF_SOCKETS: Final = "be2"
PORT_MAX: Final = 65_535
DERIVED: Final = "derived"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_KEY_SIZES: Final = frozenset({8, 16, 24})
_FREE_PORT: Final = re.compile(r"(?P<before>[a-z0-9]+://[^/?]+):0(?=[/?]|$)")


@dataclass(frozen=True, slots=True)
class Listen:
    """One place where a host listens. With `client_ca` only terminals with a certificate of that CA get in."""

    address: Address
    certificate: Path | None = None
    client_ca: Path | None = None

    @property
    def framing(self) -> str:
        """The name of its framing."""
        return self.address.framing or (SERIAL_DEFAULT if self.address.is_serial else FRAMING_OF_SOCKETS)

    @classmethod
    def on(cls, host: str = LOOPBACK, port: int = 0, framing: str | None = None) -> Listen:
        """Listen over TCP; port 0 takes a free one."""
        return cls(Address(scheme="tcp", host=host, port=port, framing=framing))


def listen_at(
    text: str, *, framing: str | None = None, certificate: Path | None = None, client_ca: Path | None = None
) -> Listen:
    """Read where to listen; the files are for what has TLS, and left out elsewhere. `UsageError` for what cannot be.

    Port 0 takes a free one. `framing` is for an address that does not say its own.
    """
    # A terminal cannot go to port 0, so what reads addresses knows no such number.
    named = _FREE_PORT.sub(r"\g<before>:1", text.strip())
    address = parse_address(named)
    if named != text.strip():
        address = replace(address, port=0)
    settings = replace(address, scheme="tcp", host="", port=0, path="", framing=None, line=SerialLine())
    if address.scheme == "rfc2217" or settings != Address(scheme="tcp"):
        reason = "a place to listen at is tcp, tls, https, serial or socket, with a framing and a line's settings only"
        raise UsageError(reason)
    if address.is_protected and certificate is None:
        reason = f"{address.scheme} needs a certificate"
        raise UsageError(reason)
    files = (certificate, client_ca) if address.is_protected else (None, None)
    listen = Listen(replace(address, framing=address.framing or framing), *files)
    if address.scheme == "https" and listen.framing not in LENGTH_FRAMINGS:
        reason = "a tunnel acknowledges by itself: its framing is a length"
        raise UsageError(reason)
    return listen


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSettings:
    """One port of the host, as its file says. Paths are absolute."""

    name: str
    listen: tuple[Listen, ...] = (Listen.on(),)
    """Where it listens: one host at all these places."""
    dialect: str
    key_scheme: str = USUAL
    """A key scheme whose cipher its terminals share; what each of them gets is what its sign-on asks for."""
    scenario: Path | None = None
    ledger: Path | None = None
    """Where the books are kept; without one they end with the process. Ports with the same file share its books."""
    forgets: bool = False
    """Whether the books are emptied at each start."""
    enrol: Path | None = None
    """The terminals that are served; without one anybody is."""


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of a table: what it may be in words, a check that returns the value, and whether it may be absent."""

    allowed: str
    check: Callable[[Any], bool]
    required: bool = False


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= PORT_MAX


def _is_listen(value: object) -> bool:
    places = value if isinstance(value, list) else [value]
    return 0 < len(places) <= PLACES_MAX and all(isinstance(each, str) for each in places)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _fits(size: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) == size and value.isascii() and value.isprintable()


_PATH: Final = _Key("a path", _is_path)
_KEY_SCHEME: Final = _Key(
    f"one of {', '.join(KEY_SCHEMES)}", lambda value: isinstance(value, str) and value in KEY_SCHEMES
)
PORT_KEYS: Final[Mapping[str, _Key]] = {
    "name": _Key(
        "1 to 32 letters, digits, dots and dashes",
        lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
        required=True,
    ),
    "port": _Key(f"a number from 0 to {PORT_MAX}", _is_number),
    "listen": _Key(f"an address, or 1 to {PLACES_MAX} of them in brackets", _is_listen),
    "certificate": _PATH,
    "client_ca": _PATH,
    "dialect": _Key(f"one of {', '.join(DIALECTS)}", lambda value: isinstance(value, str) and value in DIALECTS),
    "key_scheme": _KEY_SCHEME,
    "scenario": _PATH,
    "ledger": _PATH,
    "forgets": _Key("true or false", lambda value: isinstance(value, bool)),
    "enrol": _PATH,
}
TERMINAL_KEYS: Final[Mapping[str, _Key]] = {
    "id": _Key("8 printable ASCII characters", _fits(8), required=True),
    "merchant": _Key("15 printable ASCII characters", _fits(15), required=True),
    "tmk": _Key(f'"{DERIVED}" or the path of a file with the key in hex', _is_path, required=True),
    "key_scheme": _KEY_SCHEME,
}


def load_ports(path: Path, *, host: str = LOOPBACK) -> tuple[PortSettings, ...]:
    """Read which ports a host opens, those that are mere numbers on `host`; raises `ConfigError`."""
    rows = _tables(path, "port", PORT_KEYS, PORTS_MAX)
    base = path.absolute().parent
    _refuse_twice(path, "port", "name", [row["name"] for row in rows])
    places = [_places(path, number, row, host) for number, row in enumerate(rows, 1)]
    _refuse_same_places(path, places)
    ports = tuple(
        PortSettings(
            name=row["name"],
            listen=listen,
            dialect=row.get("dialect", next(iter(DIALECTS))),
            key_scheme=row.get("key_scheme", USUAL),
            forgets=row.get("forgets", False),
            **{key: base / row[key] for key in ("scenario", "ledger", "enrol") if key in row},
        )
        for row, listen in zip(rows, places, strict=True)
    )
    _refuse_contradictions(path, ports)
    return ports


def _places(path: Path, number: int, row: Mapping[str, Any], host: str) -> tuple[Listen, ...]:
    """Read where a port listens."""
    files = {key: path.absolute().parent / row[key] for key in ("certificate", "client_ca") if key in row}
    reason = ""
    if ("port" in row) == ("listen" in row):
        reason = "says either port, a number, or listen"
    elif "client_ca" in files and "certificate" not in files:
        reason = "client_ca: the host itself needs a certificate as well"
    elif "port" in row and files:
        reason = "certificate and client_ca are for listen, at tls:// or https://"
    if not reason and "port" in row:
        return (Listen.on(host, row["port"]),)
    texts = row.get("listen", [])
    try:
        places = tuple(listen_at(text, **files) for text in ([texts] if isinstance(texts, str) else texts))
    except UsageError as error:
        places = ()
        reason = reason or f"listen: {error}"
    if not reason and files and not any(each.address.is_protected for each in places):
        reason = "certificate and client_ca are for listen, at tls:// or https://"
    if reason:
        reason = f"{path}: port {number}: {reason}"
        raise ConfigError(reason)
    return places


def _refuse_same_places(path: Path, ports: Iterable[Iterable[Listen]]) -> None:
    """Refuse a place that is named twice; free ports are never the same."""
    seen: set[str] = set()
    for number, places in enumerate(ports, 1):
        for each in places:
            if each.address.place in seen:
                reason = f"{path}: port {number}: listens where another does"
                raise ConfigError(reason)
            if each.address.port or not each.address.host:
                seen.add(each.address.place)


def load_roster(path: Path, *, dialect: Dialect = UNIONPAY) -> tuple[Enrolled, ...]:
    """Read which terminals a host knows; their keys share the cipher of the dialect's. Raises `ConfigError`."""
    rows = _tables(path, "terminal", TERMINAL_KEYS, TERMINALS_MAX)
    _refuse_twice(path, "terminal", "id", [row["id"] for row in rows])
    served = {scheme.name: scheme for scheme in schemes_of(dialect).values()}
    usual = next(iter(served.values()))
    for number, row in enumerate(rows, 1):
        if row.get("key_scheme", usual.name) not in served:
            reason = f"{path}: terminal {number}: key_scheme: this host has {' and '.join(served)}"
            raise ConfigError(reason)
    return tuple(_enrolled(path, number, row, usual.algorithm) for number, row in enumerate(rows, 1))


def _enrolled(path: Path, number: int, row: Mapping[str, str], algorithm: Algorithm) -> Enrolled:
    identity = Identity(row["id"], row["merchant"])
    if row["tmk"] == DERIVED:
        key = terminal_master_key(identity.terminal, algorithm)
    else:
        place = f"{path}: terminal {number}: tmk"
        key = _read_key(path.absolute().parent / row["tmk"], place)
        if len(key.reveal()) not in KEY_SIZES[algorithm]:
            reason = f"{place}: {KEY_FAULTS[algorithm]}"
            raise ConfigError(reason)
    return Enrolled(identity.terminal, identity.merchant, key, row.get("key_scheme"))


def _read_key(path: Path, place: str) -> KeyBytes:
    """Read a key: hex on one line, or two parts of it on two lines, which are combined."""
    lines = _text(path, KEY_FILE_BYTES_MAX).split("\n")
    digits = ["".join(line.split()) for line in lines if line.strip()]
    parts = [bytes.fromhex(part) if _HEX.fullmatch(part) else b"" for part in digits]
    sizes = {len(part) for part in parts}
    if len(parts) not in {1, 2} or len(sizes) > 1 or not sizes <= _KEY_SIZES:
        reason = f"{place}: {path} does not hold a key of 16, 32 or 48 hex digits, or two parts of one on two lines"
        raise ConfigError(reason)
    return KeyBytes(
        bytes(one ^ other for one, other in zip(parts[0], parts[-1], strict=True)) if parts[1:] else parts[0]
    )


def _tables(path: Path, name: str, keys: Mapping[str, _Key], rows_max: int) -> list[dict[str, Any]]:
    """Read a file that is an array of one kind of table; every row is checked."""
    document = _document(path)
    for key in document:
        if key != name:
            reason = f"{path}: unknown key {key!r}; the file has [[{name}]] tables only"
            raise ConfigError(reason)
    rows = document.get(name)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        reason = f"{path}: needs one or more [[{name}]] tables"
        raise ConfigError(reason)
    if len(rows) > rows_max:
        reason = f"{path}: has {len(rows)} [[{name}]] tables, and {rows_max} are the most"
        raise ConfigError(reason)
    for number, row in enumerate(rows, 1):
        _check(f"{path}: {name} {number}", row, keys)
    return rows


def _check(place: str, row: Mapping[str, object], keys: Mapping[str, _Key]) -> None:
    for name, value in row.items():
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"keys are {', '.join(keys)}"
            reason = f"{place}: unknown key {name!r}; {hint}"
            raise ConfigError(reason)
        if not keys[name].check(value):
            reason = f"{place}: {name}: allowed: {keys[name].allowed}"
            raise ConfigError(reason)
    for name, key in keys.items():
        if key.required and name not in row:
            reason = f"{place}: {name} is missing; allowed: {key.allowed}"
            raise ConfigError(reason)


def _refuse_twice(path: Path, table: str, key: str, values: Iterable[object]) -> None:
    seen: dict[object, int] = {}
    for number, value in enumerate(values, 1):
        if value in seen:
            reason = f"{path}: {table} {number}: {key}: is the same as that of another {table}"
            raise ConfigError(reason)
        seen[value] = number


def _refuse_contradictions(path: Path, ports: Iterable[PortSettings]) -> None:
    """Refuse books that one port keeps and another empties, and key schemes that a dialect has not."""
    forgetting: dict[Path, bool] = {}
    for number, port in enumerate(ports, 1):
        schemes = DIALECTS[port.dialect].schemes
        if port.key_scheme not in schemes:
            reason = f"{path}: port {number}: key_scheme: dialect {port.dialect} has {' and '.join(schemes)}"
            raise ConfigError(reason)
        if port.ledger is not None and forgetting.setdefault(port.ledger, port.forgets) != port.forgets:
            reason = f"{path}: port {number}: forgets: another port with the same ledger says otherwise"
            raise ConfigError(reason)


def _document(path: Path) -> dict[str, Any]:
    text = _text(path, FILE_BYTES_MAX)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason = f"{path}: is not TOML: {error}"
    except (RecursionError, ValueError):
        reason = f"{path}: is not a configuration file"
    raise ConfigError(reason)


def _text(path: Path, bytes_max: int) -> str:
    """Read a text file; whatever is wrong with it is a `ConfigError` that names it."""
    try:
        # Opened without waiting, because a plain open would wait for ever on a named pipe.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            data = file.read(bytes_max + 1)
        if len(data) <= bytes_max:
            return data.decode()
        reason = f"{path}: is larger than {bytes_max} bytes"
    except OSError as error:
        reason = f"{path}: cannot be read: {(error.strerror or 'not a file').lower()}"
    except UnicodeDecodeError:
        reason = f"{path}: is not UTF-8 text"
    raise ConfigError(reason)
