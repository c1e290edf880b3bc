"""What an acquirer is, as data: spec, header, MAC rule, key layouts, the table of kinds, the response codes.

A dialect is a value of `Dialect`. What differs by more than data - how the private fields are filled - is one pure
function that a dialect names (`compose`). A new acquirer is one new file beside this one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pos_engine.crypto.keys import KeyUsage
from pos_engine.errors import FrameError
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import Amount, Balance, Card, Identity, Text
from pos_engine.wire import codec
from pos_engine.wire.composite import by_columns
from pos_engine.wire.field import Content
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.entries import Devices, Entry
    from pos_engine.values import EncipheredTrack
    from pos_engine.wire.columns import Columns
    from pos_engine.wire.composite import Cut, Part
    from pos_engine.wire.spec import MessageSpec

MAC_SIZE: Final = 8
"""Bytes of the MAC element."""


class Kind(enum.Enum):
    """What a terminal can ask of an acquirer; the names of the commands and of the journal."""

    # There is one of each, so its identity will do: an enumeration hashes its name anew, hundreds of times in a sale.
    __hash__ = object.__hash__

    SIGN_ON = "sign-on"
    SIGN_OFF = "sign-off"
    ECHO = "echo"
    STATUS = "status"
    PARAMETERS = "parameters"
    PARAMETERS_END = "parameters-end"
    CA_KEY_LIST = "ca-key-list"
    CA_KEY = "ca-key"
    CA_KEYS_END = "ca-keys-end"
    AID_LIST = "aid-list"
    AID = "aid"
    AIDS_END = "aids-end"
    BLACKLIST = "blacklist"
    BLACKLIST_END = "blacklist-end"
    BALANCE = "balance"
    SALE = "sale"
    VOID = "void"
    REFUND = "refund"
    REVERSAL = "reversal"
    RESTORE = "restore"
    """No request: a person put a backup of the journal in its place, and numbers up to this one count as used."""
    NOTE = "note"
    """No request: something that was done at the till while the terminal could not sign on, put on record."""


NO_REQUESTS: Final = frozenset({Kind.RESTORE, Kind.NOTE})
"""Kinds of records of which nothing was ever sent."""


class OnSilence(enum.Enum):
    """What a request without a usable answer owes."""

    REVERSE = "a reversal of this request"
    REPEAT = "the same request with the same STAN, until it is answered"
    ASK = "a person's decision; it is never repeated by itself"
    FORGET = "nothing: no money was at stake"


@dataclass(frozen=True, slots=True)
class KindRow:
    """One row of a dialect's table of kinds."""

    kind: Kind
    title: Text
    mti: str
    on_silence: OnSilence
    processing_code: str | None = None
    condition: str | None = None
    """Point of service condition code, field 25."""
    message_type: str = "00"
    """Field 60.1."""
    network_code: str = "000"
    """Field 60.3."""
    needed: frozenset[int] = frozenset()
    """Elements a request must have besides those that depend on the card."""
    answered_with: frozenset[int] = frozenset()
    """Elements an approval must have; a decline may lack them (RULES: answers that count)."""
    mac: bool = True
    numbered: bool = True
    """Whether requests carry a STAN; a few management messages do not."""
    takes_card: bool = False
    """Whether a card, and perhaps a PIN, belongs to the request."""

    @property
    def answer_mti(self) -> str:
        """The MTI of the answer: the third digit is one higher."""
        return f"{self.mti[:2]}{int(self.mti[2]) + 1}{self.mti[3]}"

    @property
    def financial(self) -> bool:
        """Whether money moves, so that silence leaves something owed or to be asked."""
        return self.on_silence is not OnSilence.FORGET


class Verdict(enum.Enum):
    """What a response code says about the request it answers."""

    APPROVAL = "approved"
    DECLINE = "declined"
    SIGN_ON = "declined until the terminal signs on again"


@dataclass(frozen=True, slots=True)
class ResponseCode:
    """One value of field 39: what it decides, what it means, what to do now."""

    code: str
    verdict: Verdict
    meaning: Text
    action: Text


REVERSAL_REASONS: Final[Mapping[str, Text]] = {
    "98": Text("no answer arrived", "未收到应答"),
    "A0": Text("the answer's MAC is missing or wrong", "应答MAC缺失或错误"),
    "96": Text("the terminal could not finish", "终端未能完成交易"),
    "06": Text("the answer cannot be used", "应答无效"),
}
"""Field 39 of a reversal request says why the terminal reverses."""

UNKNOWN_MEANING = Text("declined with a code this dialect does not list", "拒绝, 未定义的应答码")
UNKNOWN_ACTION = Text("ask the acquirer what the code means", "请联系收单机构")


@dataclass(frozen=True, slots=True)
class MacRule:
    """Where the MAC stands and what computes it.

    `algorithm` names a function of `crypto.mac.ALGORITHMS`; it is applied to everything from the MTI to the byte
    before `field`.
    """

    field: int
    algorithm: str


UNVERIFIED: Final = Text(
    "unverified: no published message or vector of a real host confirms it",
    "未经验证: 没有公开的实际报文或测试向量可以证实",
)
"""What is said of a key scheme, or a layout of its keys, that rests on a description alone."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key stands among those of a sign-on: bytes of its cryptogram, and of its check value (0: it has none)."""

    usage: KeyUsage
    key_bytes: int
    check_bytes: int


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """The keys of a sign-on answer in their order."""

    places: tuple[KeyPlace, ...]
    verified: bool = True
    """Whether a published answer has it."""

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return sum(place.key_bytes + place.check_bytes for place in self.places)


@dataclass(frozen=True, slots=True)
class KeyScheme:
    """What an acquirer does with keys: which a sign-on asks for and brings, and what each is then used for."""

    name: str
    title: Text
    algorithm: Algorithm
    """The cipher of the master key and of all working keys."""
    network_code: str
    """Field 60.3 of the sign-on that asks for these keys."""
    layouts: tuple[KeyLayout, ...]
    """What an answer may bring; they differ in size. The first is the usual one."""
    pin_format: str
    """The clear PIN block, by its name in `crypto.pinblock.FORMATS`."""
    pin_block_bytes: int
    """Bytes of field 52."""
    cipher_digit: str
    """Field 53.2."""
    mac: str
    """The MAC, by its name in `crypto.mac.ALGORITHMS`."""
    enciphers_tracks: bool = False
    """Whether fields 35 and 36 leave under the track key."""
    verified: bool = True
    """Whether published messages or vectors confirm it; where not, whoever shows it has to say `UNVERIFIED`."""

    @property
    def usages(self) -> frozenset[KeyUsage]:
        """The keys without which it does not work."""
        return frozenset({KeyUsage.PIN, KeyUsage.MAC} | ({KeyUsage.TRACK} if self.enciphers_tracks else set()))

    def layout(self, size: int) -> KeyLayout | None:
        """Return the layout of so many bytes, or `None`."""
        return next((layout for layout in self.layouts if layout.size == size), None)

    def serves(self, keys: Iterable[WrappedKey]) -> bool:
        """Tell whether these working keys are of this scheme: all it needs, each for its cipher and of its size."""
        held = {(key.usage, key.algorithm, len(key.cryptogram)) for key in keys}
        places = ([each for each in layout.places if each.usage in self.usages] for layout in self.layouts)
        return any(all((each.usage, self.algorithm, each.key_bytes) in held for each in wanted) for wanted in places)


TRACKS: Final = (35, 36)


@cache
def with_enciphered_tracks(spec: MessageSpec) -> MessageSpec:
    """Return a spec whose tracks may be enciphered: hex digits, where others have digits and separators alone."""
    listed = {number: replace(spec.fields[number], content=Content.H) for number in TRACKS if number in spec.fields}
    return replace(spec, fields={**spec.fields, **listed})


@dataclass(frozen=True, slots=True)
class OriginalRef:
    """The transaction that a request acts on, as the acquirer knows it: batch, STAN, date (MMDD, or 0000), RRN."""

    batch: str
    stan: str
    date: str
    rrn: str = "000000000000"
    auth_code: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a request is made of before the dialect turns it into fields."""

    row: KindRow
    identity: Identity
    stan: str
    batch: str
    amount: Amount | None = None
    card: Card | None = None
    pin_block: bytes | None = field(default=None, repr=False)
    original: OriginalRef | None = None
    operator: str = "01"
    allows_partial: bool = False
    """Whether the acquirer may approve a smaller amount."""
    report: str = ""
    """What a status upload tells of the terminal, as the dialect writes it: characters of one byte each."""
    asks: str = ""
    """Which page of a download is wanted, as the dialect writes it: hex."""
    enciphered_track: EncipheredTrack | None = None
    """Track 2 under the track key, where the key scheme wants that."""


@dataclass(frozen=True, slots=True)
class PageAsked:
    """The next exchange of a download: its kind, and which page its request asks for (hex)."""

    kind: Kind
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """What one page of a download brought, by the kind of its request: hex, as the journal keeps it."""

    kind: Kind
    content: str


TakePage = Callable[[Message, Message, Sequence[Brought]], str]
"""Reads a page: `(request, answer, what came before)`; returns what of it is kept, in hex.

Raises `MismatchError` for the answer to another request, `DecodeError` for what makes no sense, `KeyFault` for a public
key that fails its check value.
"""


@dataclass(frozen=True, slots=True)
class Download:
    """Something that a host has the terminal fetch page by page, or tell; it counts once its end was acknowledged."""

    name: str
    """The word for it on the command line."""
    title: Text
    pages: Mapping[Kind, TakePage]
    """Its pages, the kind that begins it first, and how the answer to each is read; none for what is only told."""
    end: Kind
    """The kind of the exchange that ends it."""
    following: Callable[[Sequence[Brought]], PageAsked | None]
    """Names the next page by what those before it brought; `None` when only the end is left."""
    read: Callable[[Sequence[Brought]], tuple[Entry, ...]]
    """Reads all pages of a complete download."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One acquirer's way of speaking."""

    name: str
    title: Text
    spec: MessageSpec
    kinds: Mapping[Kind, KindRow]
    codes: Mapping[str, ResponseCode]
    mac: MacRule | None
    layouts: Mapping[int, Columns]
    """Fixed-digit layouts of private fields, by field number."""
    compose: Callable[[Draft], dict[int, str]]
    """Turns a draft into the elements of a request, the MAC excepted."""
    compose_reversal: Callable[[Message, str, str | None, str | None], Message]
    """Makes a reversal of a request: `(request, reason for field 39, auth code or None, host's MMDD or None)`."""
    read_keys: Callable[[Message], tuple[WrappedKey, ...]]
    """Reads the working keys of a sign-on answer; raises `DecodeError` for a layout it does not know."""
    read_batch: Callable[[Message], str | None]
    """Reads the batch number a sign-on answer hands out; `None` when it is not usable."""
    explain: Callable[[Message, int], Text | None]
    """Says in words what an element's value means, for whoever reads a decoded message."""
    read_balance: Callable[[Message], Balance | None]
    """Reads the balance out of an inquiry's answer; `None` when there is none to read."""
    kept: frozenset[int]
    """Elements of an answer that the journal keeps; whatever else a host writes into one is not ours to keep."""
    parts: Cut | None = None
    """Cuts a compound element into named parts, for whoever reads a decoded message; without it, by `layouts` alone."""
    meanings: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    """What the values of columns mean, by column, the header's among them."""
    header: Columns | None = None
    header_default: str = ""
    processing_request: Callable[[str | None], str | None] = lambda _header: None
    """What the host asks for in an answer's header: the digit, or `None`."""
    sign_on_requests: frozenset[str] = frozenset()
    """Processing requests that demand a new sign-on."""
    downloads: Mapping[str, Download] = field(default_factory=dict)
    """What is to be fetched or told, by the processing request that demands it."""
    report: Callable[[Devices, Sequence[Brought]], str] = lambda _devices, _parameters: ""
    """Writes a status upload: of devices, and of the pages that brought the parameters in force."""
    tpdu_default: str | None = None
    scheme: KeyScheme | None = None
    """What is done with keys; of `schemes`, the one that this value was made for."""
    schemes: Mapping[str, KeyScheme] = field(default_factory=dict)
    """Every key scheme that an acquirer of this dialect may have, by name."""
    echoes: tuple[int, ...] = (3, 4, 11, 41, 42, 49)
    """Elements an answer repeats from its request."""

    @property
    def page_kinds(self) -> frozenset[Kind]:
        """Kinds that are a page of a download, or its end; a status upload is whole by itself and is none of them."""
        found = (kind for each in self.downloads.values() for kind in (*each.pages, each.end))
        return frozenset(found) - {Kind.STATUS}

    def meaning(self, code: str) -> ResponseCode:
        """Look a response code up; unknown codes are declines."""
        return self.codes.get(code) or ResponseCode(code, Verdict.DECLINE, UNKNOWN_MEANING, UNKNOWN_ACTION)

    def cut(self, message: Message, number: int) -> tuple[Part, ...]:
        """Cut an element into its parts; none where it has none, or does not fit its layout."""
        return (self.parts or by_columns(self.layouts, self.meanings))(message, number)

    def kind_of(self, message: Message) -> KindRow | None:
        """Find the kind a request belongs to, by MTI, field 3 and the private type code; `None` when it is not ours."""
        for row in self.kinds.values():
            if row.mti == message.mti and message.get(3) == row.processing_code and self._same_type(row, message):
                return row
        if message.mti == self.kinds[Kind.REVERSAL].mti:
            return self.kinds[Kind.REVERSAL]
        return None

    def _same_type(self, row: KindRow, message: Message) -> bool:
        layout, value = self.layouts.get(60), message.get(60)
        if layout is None or value is None:
            return True
        return layout.get(value, "60.1") == row.message_type and layout.get(value, "60.3") in {None, row.network_code}


class Packet(NamedTuple):
    """One frame's payload, taken apart: addresses, header digits, message, and the bytes the MAC covers.

    A tuple, because one is made of every frame and frozen dataclasses take twice as long; its `repr` shows no values.
    """

    tpdu: Tpdu | None
    header: str | None
    message: Message
    body: bytes

    def __repr__(self) -> str:
        """Name what is there, as `Message` does."""
        return f"Packet(tpdu={self.tpdu!r}, header={self.header!r}, message={self.message!r})"

    def mac_input(self) -> bytes:
        """Everything from the MTI to the byte before the MAC, which is the last element."""
        return self.body[:-MAC_SIZE]

    def encode(self) -> bytes:
        """Return the payload of a frame: addresses, header, message."""
        return (self.tpdu.encode() if self.tpdu else b"") + bytes.fromhex(self.header or "") + self.body


def pack(
    dialect: Dialect,
    message: Message,
    *,
    tpdu: Tpdu | None,
    header: str | None,
    mac: Callable[[bytes], bytes] | None = None,
) -> Packet:
    """Put TPDU, header and message together; with `mac`, the message authentication code becomes the last element.

    `mac` is given everything from the MTI to the byte before the MAC, the bitmap with the MAC's bit included.
    """
    if mac is None or dialect.mac is None:
        return Packet(tpdu, header, message, codec.encode(message, dialect.spec))
    place = message.replace({dialect.mac.field: "00" * MAC_SIZE})
    covered = codec.encode(place, dialect.spec)[:-MAC_SIZE]
    code = mac(covered)
    return Packet(tpdu, header, place.replace({dialect.mac.field: code.hex().upper()}), covered + code)


def unpack(dialect: Dialect, payload: bytes) -> Packet:
    """Take a frame's payload apart, strictly; raises `FrameError` or `DecodeError`."""
    start = 0
    tpdu = header = None
    if dialect.tpdu_default is not None:
        tpdu = Tpdu.decode(payload[:5])
        start = 5
    if dialect.header is not None:
        size = dialect.header.digits // 2
        if len(payload) < start + size:
            reason = "ends inside the header"
            raise FrameError(reason, offset=len(payload))
        header = payload[start : start + size].hex().upper()
        start += size
    body = payload[start:]
    return Packet(tpdu, header, codec.decode(body, dialect.spec), body)
