"""What a UnionPay host has its terminals fetch: parameters, public keys, chip applications, card ranges it refuses.

    1 parameters   360, one page of tags; ended by 361
    2 status       362: the terminal tells how it is
    4 public keys  372 lists them, so many a page; 370 fetches one at a time; ended by 371
    5 chip         382 lists applications, 380 fetches one at a time; ended by 381
    7 blacklist    390, so many card ranges a page; ended by 391

Lists are asked for by the number of entries that were received so far. No answer has a trace number, so whose answer it
is shows in its content: another entry than the one that was asked for, or one that is there already, answers something
else. Only tags that are listed here are kept. How a page of the blacklist looks inside is published nowhere: two tags
of this project's own, the lowest and the highest digits of a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.mac import equal
from pos_engine.crypto.public_key import check_value
from pos_engine.dialects.base import Brought, Download, Kind, PageAsked
from pos_engine.dialects.entries import Application, CaKey, CardRange, Devices, Entry, Parameter
from pos_engine.dialects.unionpay import terminal_data
from pos_engine.dialects.unionpay.tags import TAGS
from pos_engine.dialects.unionpay.terminal_data import PARAMETERS, QUERIED_MAX, Page
from pos_engine.errors import DecodeError, KeyFault, MismatchError
from pos_engine.values import Text
from pos_engine.wire import tlv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pos_engine.dialects.base import TakePage
    from pos_engine.wire.message import Message

    Follow = Callable[[Sequence[Brought]], PageAsked | None]

CONTENT: Final = 62
AID: Final = "9F06"
"""Application identifier; of a public key, the RID alone."""
KEY_INDEX: Final = "9F22"
EXPIRY: Final = "DF05"
MODULUS: Final = "DF02"
EXPONENT: Final = "DF04"
CHECK_VALUE: Final = "DF03"
KEY_TAGS: Final = frozenset({AID, KEY_INDEX, EXPIRY, "DF06", "DF07", MODULUS, EXPONENT, CHECK_VALUE})
APPLICATION_TAGS: Final = frozenset(
    {
        *(AID, "DF01", "9F08", "DF11", "DF12", "DF13", "9F1B", "DF15", "DF16", "DF17", "DF14", "DF18", "9F7B"),
        *("DF19", "DF20", "DF21"),
    }
)
LOWEST: Final = "DF28"
HIGHEST: Final = "DF29"
RID_BYTES: Final = 5
AID_BYTES: Final = range(5, 17)
EXPIRY_PACKED: Final = 4
_RANGE: Final = re.compile(rb"[0-9]{6,10}")
"""Digits that tell an issuer. More would be somebody's card."""
_DAY: Final = re.compile(r"[0-9]{8}")

Name = tuple[str, ...]
"""What tells entries of one list apart."""


@dataclass(frozen=True, slots=True)
class _List:
    """How the entries of a list are written: the tags of one, the first of which begins it."""

    tags: tuple[str, ...]
    also: frozenset[str]
    name: Callable[[Mapping[str, bytes]], Name]


def _key_name(entry: Mapping[str, bytes]) -> tuple[str, str]:
    rid, index = entry[AID], entry[KEY_INDEX]
    if len(rid) != RID_BYTES or len(index) != 1:
        reason = "a public key is named by an RID of five bytes and an index of one"
        raise DecodeError(reason, field=CONTENT)
    return rid.hex().upper(), index.hex().upper()


def _aid_name(entry: Mapping[str, bytes]) -> tuple[str]:
    if len(entry[AID]) not in AID_BYTES:
        reason = "an application identifier has 5 to 16 bytes"
        raise DecodeError(reason, field=CONTENT)
    return (entry[AID].hex().upper(),)


def _range_name(entry: Mapping[str, bytes]) -> Name:
    lowest, highest = entry[LOWEST], entry[HIGHEST]
    fits = _RANGE.fullmatch(lowest) and len(lowest) == len(highest) and lowest <= highest
    if not (fits and _RANGE.fullmatch(highest)):
        reason = "a card range has a lowest and a highest value of 6 to 10 digits each"
        raise DecodeError(reason, field=CONTENT)
    return lowest.decode(), highest.decode()


_KEYS: Final = _List((AID, KEY_INDEX), frozenset({EXPIRY}), _key_name)
_AIDS: Final = _List((AID,), frozenset(), _aid_name)
_RANGES: Final = _List((LOWEST, HIGHEST), frozenset(), _range_name)


# What a page brings, and what is kept of it.


def _take_parameters(_request: Message, answer: Message, _before: Sequence[Brought]) -> str:
    parameters = terminal_data.read_parameters(_content(answer))
    return terminal_data.write_parameters(parameters).hex().upper()


def _take_list(listed: _List, kind: Kind) -> TakePage:
    def take(_request: Message, answer: Message, before: Sequence[Brought]) -> str:
        page, items = terminal_data.read_page(_content(answer))
        entries = list(_entries(listed, items))
        known = _names(listed, kind, before)
        if not {listed.name(entry) for entry in entries}.isdisjoint(known):
            reason = "it lists what was received before"
            raise MismatchError(reason, field=CONTENT)
        if page is Page.MORE and not entries:
            reason = "it says that more follow, and lists nothing"
            raise DecodeError(reason, field=CONTENT)
        if len(known) + len(entries) > QUERIED_MAX:
            reason = f"a list has at most {QUERIED_MAX} entries"
            raise DecodeError(reason, field=CONTENT)
        kept = [tlv.Item(tag, value) for entry in entries for tag, value in entry.items()]
        return terminal_data.write_page(page, kept).hex().upper()

    return take


def _entries(listed: _List, items: Sequence[tlv.Item]) -> Iterator[dict[str, bytes]]:
    """Read the entries of a page, each whole; tags that belong to none are left out."""
    found: list[dict[str, bytes]] = []
    for item in items:
        if item.tag == listed.tags[0]:
            found.append({})
        if found and item.tag in {*listed.tags, *listed.also}:
            found[-1][item.tag] = item.value
    for entry in found:
        if any(tag not in entry for tag in listed.tags):
            reason = "an entry of a list is cut"
            raise DecodeError(reason, field=CONTENT)
        yield entry


def _take_one(tags: frozenset[str], check: Callable[[Mapping[str, bytes]], None]) -> TakePage:
    def take(request: Message, answer: Message, _before: Sequence[Brought]) -> str:
        page, items = terminal_data.read_page(_content(answer))
        found = {item.tag: item.value for item in items if item.tag in tags}
        if page is not Page.LAST or not found:
            # The host has no such entry any more: it is passed over, and the others are not.
            return terminal_data.write_page(Page.NOTHING, ()).hex().upper()
        asked = tlv.decode(_content(request))
        if any(found.get(item.tag) != item.value for item in asked):
            reason = "it brings another entry than the one that was asked for"
            raise MismatchError(reason, field=CONTENT)
        check(found)
        return terminal_data.write_page(Page.LAST, [tlv.Item(tag, value) for tag, value in found.items()]).hex().upper()

    return take


def _check_key(found: Mapping[str, bytes]) -> None:
    rid, index = _key_name(found)
    if not found.keys() >= {MODULUS, EXPONENT, CHECK_VALUE}:
        reason = "a public key has a modulus, an exponent and a check value"
        raise DecodeError(reason, field=CONTENT)
    expected = check_value(found[AID], int(index, 16), found[MODULUS], found[EXPONENT])
    if not equal(expected, found[CHECK_VALUE]):
        reason = f"public key {index} of {rid} does not agree with its check value: none of these keys comes into force"
        raise KeyFault(reason)


def _check_application(found: Mapping[str, bytes]) -> None:
    _aid_name(found)


def _content(message: Message) -> bytes:
    return bytes.fromhex(message.get(CONTENT, ""))


# Which page is next.


def _names(listed: _List, kind: Kind, before: Sequence[Brought]) -> tuple[Name, ...]:
    """Name every entry that the pages of a list brought, in their order."""
    pages = (terminal_data.read_page(bytes.fromhex(each.content)) for each in before if each.kind is kind)
    return tuple(listed.name(entry) for _, items in pages for entry in _entries(listed, items))


def _follow_parameters(before: Sequence[Brought]) -> PageAsked | None:
    return None if before else PageAsked(Kind.PARAMETERS)


def _follow_nothing(_before: Sequence[Brought]) -> PageAsked | None:
    return None


def _follow_list(listed: _List, kind: Kind, each_by: Kind | None = None) -> Follow:
    """Ask for a list to its end and then, where its entries are fetched one by one, for each of them."""

    def follow(before: Sequence[Brought]) -> PageAsked | None:
        pages = [each for each in before if each.kind is kind]
        names = _names(listed, kind, before)
        if not pages or terminal_data.read_page(bytes.fromhex(pages[-1].content))[0] is Page.MORE:
            return PageAsked(kind, terminal_data.write_query(len(names)).hex().upper())
        fetched = len(before) - len(pages)
        if each_by is None or fetched == len(names):
            return None
        named = zip(listed.tags, names[fetched], strict=True)
        return PageAsked(each_by, tlv.encode(tlv.Item(tag, bytes.fromhex(value)) for tag, value in named).hex().upper())

    return follow


# What a complete download says.


def _read_parameters(pages: Sequence[Brought]) -> tuple[Entry, ...]:
    found = (pair for page in pages for pair in terminal_data.read_parameters(bytes.fromhex(page.content)))
    return tuple(
        Parameter(tag, PARAMETERS[tag].name, value.decode("gb18030", errors="replace").strip()) for tag, value in found
    )


def _read_nothing(_pages: Sequence[Brought]) -> tuple[Entry, ...]:
    return ()


def _fetched(pages: Sequence[Brought], kind: Kind) -> Iterator[dict[str, bytes]]:
    for page in pages:
        if page.kind is kind:
            _, items = terminal_data.read_page(bytes.fromhex(page.content))
            if items:
                yield {item.tag: item.value for item in items}


def _read_keys(pages: Sequence[Brought]) -> tuple[Entry, ...]:
    return tuple(
        CaKey(*_key_name(each), _day(each.get(EXPIRY, b"")), each[MODULUS], each[EXPONENT])
        for each in _fetched(pages, Kind.CA_KEY)
    )


def _day(value: bytes) -> str:
    """Read an expiry: eight digits, a character or half a byte each."""
    digits = value.hex() if len(value) == EXPIRY_PACKED else value.decode("latin-1")
    return digits if _DAY.fullmatch(digits) else ""


def _read_aids(pages: Sequence[Brought]) -> tuple[Entry, ...]:
    return tuple(
        Application(
            *_aid_name(each),
            tuple(Parameter(tag, TAGS[tag].name, value.hex().upper()) for tag, value in each.items() if tag != AID),
        )
        for each in _fetched(pages, Kind.AID)
    )


def _read_ranges(pages: Sequence[Brought]) -> tuple[Entry, ...]:
    return tuple(CardRange(*name) for name in _names(_RANGES, Kind.BLACKLIST, pages))


def report(devices: Devices, parameters: Sequence[Brought]) -> str:
    """Write a status upload: what is known of the devices (1: it works), and the parameters as they were received."""
    states = (devices.keyboard, devices.pin_pad, devices.reader, devices.printer, devices.display)
    told = "".join(f"{tag:02d}{works:d}" for tag, works in enumerate(states, 1) if works is not None)
    return told + "".join(bytes.fromhex(each.content).decode("latin-1") for each in parameters)


DOWNLOADS: Final[Mapping[str, Download]] = {
    "1": Download(
        name="parameters",
        title=Text("terminal parameters", "终端参数"),
        pages={Kind.PARAMETERS: _take_parameters},
        end=Kind.PARAMETERS_END,
        following=_follow_parameters,
        read=_read_parameters,
    ),
    "2": Download(
        name="status",
        title=Text("terminal status", "终端状态"),
        pages={},
        end=Kind.STATUS,
        following=_follow_nothing,
        read=_read_nothing,
    ),
    "4": Download(
        name="ca-keys",
        title=Text("public keys of certification authorities", "CA公钥"),
        pages={
            Kind.CA_KEY_LIST: _take_list(_KEYS, Kind.CA_KEY_LIST),
            Kind.CA_KEY: _take_one(KEY_TAGS, _check_key),
        },
        end=Kind.CA_KEYS_END,
        following=_follow_list(_KEYS, Kind.CA_KEY_LIST, Kind.CA_KEY),
        read=_read_keys,
    ),
    "5": Download(
        name="aids",
        title=Text("chip applications", "IC卡应用参数"),
        pages={
            Kind.AID_LIST: _take_list(_AIDS, Kind.AID_LIST),
            Kind.AID: _take_one(APPLICATION_TAGS, _check_application),
        },
        end=Kind.AIDS_END,
        following=_follow_list(_AIDS, Kind.AID_LIST, Kind.AID),
        read=_read_aids,
    ),
    "7": Download(
        name="blacklist",
        title=Text("card ranges that are refused", "卡BIN黑名单"),
        pages={Kind.BLACKLIST: _take_list(_RANGES, Kind.BLACKLIST)},
        end=Kind.BLACKLIST_END,
        following=_follow_list(_RANGES, Kind.BLACKLIST),
        read=_read_ranges,
    ),
}
"""What a host may demand in the header, by the digit. 3 is a sign-on; 6, 8 and 9 mean something else to each host."""
