"""What the host gives its terminals to keep: parameters, public keys, applications, card ranges that are refused.

All of it is plain data. Lists go out so many entries a page; entries by name. What a terminal is to fetch or tell is
demanded with a digit in the header of every answer, until the end of that download has come. The public keys are
artificial: numbers of the right size to which nobody has a private key, with the right check values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.public_key import check_value
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import terminal_data
from pos_engine.dialects.unionpay.terminal_data import Page
from pos_engine.errors import DecodeError
from pos_engine.wire import tlv
from simulators.acquirer.answers import Decision, refuse
from simulators.acquirer.codes import Code
from simulators.acquirer.enrolment import TERMINALS_MAX
from simulators.acquirer.events import What

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pos_engine.dialects.base import Dialect
    from pos_engine.wire.message import Message

CONTENT: Final = 62
REQUEST: Final = "request"
"""The column of the header in which a host asks for something."""
NOTHING: Final = "0"
RID: Final = "A000000333"
EXPONENT: Final = b"\x03"
PER_PAGE: Final = 2

Entry = tuple[tuple[str, bytes], ...]
"""Tags and values."""


def public_key(index: int, *, bits: int = 512, rid: str = RID, expires: str = "20401231") -> Entry:
    """Make an artificial public key, the same for the same index; its modulus is odd and has so many bits."""
    size = bits // 8
    modulus = bytearray(b"".join(hashlib.sha256(bytes([index, place])).digest() for place in range(size // 32)))
    modulus[0] |= 0x80
    modulus[-1] |= 1
    named = bytes.fromhex(rid)
    return (
        ("9F06", named),
        ("9F22", bytes([index])),
        ("DF05", expires.encode()),
        ("DF06", b"\x01"),
        ("DF07", b"\x01"),
        ("DF02", bytes(modulus)),
        ("DF04", EXPONENT),
        ("DF03", check_value(named, index, bytes(modulus), EXPONENT)),
    )


def application(aid: str, *, floor_limit: int = 0) -> Entry:
    """Describe a chip application."""
    values = {
        "DF01": "00",
        "9F08": "0030",
        "DF11": "D84000A800",
        "DF12": "D84004F800",
        "DF13": "0010000000",
        "9F1B": f"{floor_limit:08X}",
        "DF15": "00000000",
        "DF16": "99",
        "DF17": "99",
        "DF14": "9F3704",
        "DF18": "01",
        "9F7B": "000000100000",
        "DF19": "000000100000",
        "DF20": "000000100000",
        "DF21": "000000100000",
    }
    return (("9F06", bytes.fromhex(aid)), *((tag, bytes.fromhex(value)) for tag, value in values.items()))


@dataclass(frozen=True, slots=True)
class Files:
    """What a host gives every terminal that asks."""

    parameters: Sequence[tuple[str, bytes]] = (
        ("11", b"60"),
        ("12", b"60"),
        ("13", b"3"),
        ("14", b"01012345678   "),
        ("18", b"0"),
        ("22", "测试商户".encode("gb18030").ljust(40)),
        ("23", b"3"),
        ("27", b"10"),
    )
    public_keys: Sequence[Entry] = field(default_factory=lambda: tuple(map(public_key, (8, 9, 10))))
    applications: Sequence[Entry] = field(
        default_factory=lambda: (application("A000000333010101"), application("A0000003330106"))
    )
    blacklist: Sequence[tuple[str, str]] = (("62299910", "62299919"), ("622998", "622998"), ("62299700", "62299707"))
    per_page: int = PER_PAGE
    """Entries of one page of a list."""


class Downloads:
    """Serves the files, and keeps what the host demands of which terminal."""

    def __init__(self, dialect: Dialect, files: Files) -> None:
        """Demand nothing of anybody."""
        self._dialect = dialect
        self.files = files
        self.reports: dict[str, str] = {}
        """What each terminal told last in a status upload."""
        self._demands: dict[str, list[str]] = {}

    def demand(self, terminal: str, digit: str) -> None:
        """Demand something of a terminal in every answer from now on, until it has done it."""
        waiting = self._demands.setdefault(terminal, [])
        if digit not in waiting:
            waiting.append(digit)

    def demanded(self, terminal: str) -> tuple[str, ...]:
        """Return what is demanded of a terminal, oldest first."""
        return tuple(self._demands.get(terminal, ()))

    def header(self, terminal: str, header: str | None) -> str | None:
        """Put the oldest demand into an answer's header, unless something else is asked for there."""
        digits = self._demands.get(terminal)
        if not digits or header is None or self._dialect.header is None:
            return header
        parts = self._dialect.header.read(header)
        return header if parts[REQUEST] != NOTHING else "".join((parts | {REQUEST: digits[0]}).values())

    def decide(self, message: Message, kind: Kind) -> Decision:
        """Answer a page, or take note that a terminal has it all."""
        serve = self._pages().get(kind)
        try:
            content = serve(bytes.fromhex(message.get(CONTENT, ""))) if serve is not None else None
        except DecodeError as error:
            return refuse(Code.FORMAT_ERROR, str(error))
        if kind is Kind.STATUS:
            content = bytes.fromhex(message.get(CONTENT, ""))
            self._keep(message[41], content.decode("latin-1"))
        self._done(message[41], kind)
        return Decision(
            code=Code.APPROVED,
            what=What.NOTED if kind is Kind.STATUS else What.DOWNLOADED,
            extra=None if content is None else {CONTENT: content.hex().upper()},
        )

    def _keep(self, terminal: str, report: str) -> None:
        if terminal in self.reports or len(self.reports) < TERMINALS_MAX:
            self.reports[terminal] = report

    def _done(self, terminal: str, kind: Kind) -> None:
        for digit, download in self._dialect.downloads.items():
            if download.end is kind and digit in self._demands.get(terminal, ()):
                self._demands[terminal].remove(digit)

    def _pages(self) -> Mapping[Kind, Callable[[bytes], bytes]]:
        files = self.files
        ranges = [(("DF28", low.encode()), ("DF29", high.encode())) for low, high in files.blacklist]
        return {
            Kind.PARAMETERS: lambda _asked: terminal_data.write_parameters(files.parameters),
            Kind.CA_KEY_LIST: lambda asked: self._list([each[:3] for each in files.public_keys], asked),
            Kind.CA_KEY: lambda asked: _one(files.public_keys, asked),
            Kind.AID_LIST: lambda asked: self._list([each[:1] for each in files.applications], asked),
            Kind.AID: lambda asked: _one(files.applications, asked),
            Kind.BLACKLIST: lambda asked: self._list(ranges, asked),
        }

    def _list(self, entries: Sequence[Entry], asked: bytes) -> bytes:
        """Write the page of a list that follows the entries which the terminal has."""
        received = terminal_data.read_query(asked)
        found = entries[received : received + self.files.per_page]
        more = received + len(found) < len(entries)
        page = Page.MORE if more else Page.LAST if found else Page.NOTHING
        return terminal_data.write_page(page, [tlv.Item(*pair) for entry in found for pair in entry])


def _one(entries: Sequence[Entry], asked: bytes) -> bytes:
    """Write the one entry that has the tags which were asked for."""
    named = {(item.tag, item.value) for item in tlv.decode(asked)}
    found = next((each for each in entries if named and named <= set(each)), ())
    return terminal_data.write_page(Page.LAST if found else Page.NOTHING, [tlv.Item(*pair) for pair in found])
