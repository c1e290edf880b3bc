"""Pages of downloads as the dialect reads them: what is kept, whose answer it is, what makes no sense, what is next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto.public_key import check_value
from pos_engine.dialects.base import Brought, Kind, PageAsked
from pos_engine.dialects.entries import Application, CaKey, CardRange, Devices, Parameter
from pos_engine.dialects.unionpay.downloads import DOWNLOADS, report
from pos_engine.dialects.unionpay.terminal_data import PARAMETERS
from pos_engine.errors import DecodeError, KeyFault, MismatchError
from pos_engine.wire import tlv
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pos_engine.dialects.base import Download

BY_NAME = {each.name: each for each in DOWNLOADS.values()}
RID = "A000000333"
MODULUS = bytes([0x80, *range(1, 63), 0x01])
KEY = {
    "9F06": bytes.fromhex(RID),
    "9F22": b"\x08",
    "DF05": b"20401231",
    "DF02": MODULUS,
    "DF04": b"\x03",
    "DF03": check_value(bytes.fromhex(RID), 8, MODULUS, b"\x03"),
}
LIST_OF_EACH = {
    Kind.CA_KEY_LIST: {"9F06": bytes.fromhex(RID), "9F22": b"\x08"},
    Kind.AID_LIST: {"9F06": bytes.fromhex("A000000333010101")},
    Kind.BLACKLIST: {"DF28": b"622999", "DF29": b"622999"},
}


def page(first: str, *entries: dict[str, bytes]) -> str:
    """Write field 62 of an answer."""
    items = [tlv.Item(tag, value) for entry in entries for tag, value in entry.items()]
    return (first.encode() + tlv.encode(items)).hex().upper()


def asking(tags: dict[str, bytes] | None = None) -> Message:
    content = tlv.encode(tlv.Item(tag, value) for tag, value in (tags or {}).items())
    return Message("0800", {62: content.hex().upper()})


def answering(content: str | None) -> Message:
    return Message("0810", {} if content is None else {62: content})


def download_of(kind: Kind) -> Download:
    return next(each for each in DOWNLOADS.values() if kind in each.pages)


def taken(
    kind: Kind, content: str | None, before: Sequence[Brought] = (), asked: dict[str, bytes] | None = None
) -> str:
    return download_of(kind).pages[kind](asking(asked), answering(content), before)


# What is kept.


def test_parameters_are_kept_as_they_came() -> None:
    content = b"118012603".hex().upper()
    assert taken(Kind.PARAMETERS, content[:-2]) == content[:-2]


@pytest.mark.parametrize("kind", LIST_OF_EACH)
def test_a_list_is_kept_without_tags_that_are_not_its_own(kind: Kind) -> None:
    entry = LIST_OF_EACH[kind]
    stray = {"5A": bytes.fromhex("6229990000000004")}
    assert taken(kind, page("1", stray, entry | {"9F1A": b"\x01\x56"}, stray)) == page("1", entry)


def test_of_a_public_key_only_its_own_tags_are_kept() -> None:
    asked = LIST_OF_EACH[Kind.CA_KEY_LIST]
    assert taken(Kind.CA_KEY, page("1", KEY | {"5A": bytes(8)}), asked=asked) == page("1", KEY)


@pytest.mark.parametrize("content", [page("0"), page("1"), page("2", KEY)])
def test_an_entry_that_the_host_does_not_have_any_more_is_passed_over(content: str) -> None:
    assert taken(Kind.CA_KEY, content, asked=LIST_OF_EACH[Kind.CA_KEY_LIST]) == page("0")


# Whose answer it is.


@pytest.mark.parametrize("kind", LIST_OF_EACH)
def test_a_page_that_lists_what_came_before_answers_something_else(kind: Kind) -> None:
    before = [Brought(kind, page("2", LIST_OF_EACH[kind]))]
    with pytest.raises(MismatchError, match="received before"):
        taken(kind, page("1", LIST_OF_EACH[kind]), before)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (Kind.CA_KEY, {"9F06": bytes.fromhex(RID), "9F22": b"\x09"}),
        (Kind.CA_KEY, {"9F06": bytes.fromhex("A000000065"), "9F22": b"\x08"}),
        (Kind.AID, {"9F06": bytes.fromhex("A000000333010101")}),
    ],
)
def test_another_entry_than_the_one_that_was_asked_for_answers_something_else(
    kind: Kind, asked: dict[str, bytes]
) -> None:
    with pytest.raises(MismatchError, match="another entry"):
        taken(kind, page("1", KEY), asked=asked)


# What makes no sense.


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (Kind.PARAMETERS, b"99".hex()),
        (Kind.CA_KEY_LIST, None),
        (Kind.CA_KEY_LIST, page("3")),
        (Kind.CA_KEY_LIST, page("2")),
        (Kind.CA_KEY_LIST, page("1", {"9F06": bytes.fromhex(RID)})),
        (Kind.CA_KEY_LIST, page("1", {"9F06": bytes(4), "9F22": b"\x08"})),
        (Kind.CA_KEY_LIST, page("1", {"9F06": bytes(5), "9F22": b""})),
        (Kind.AID_LIST, page("1", {"9F06": bytes(4)})),
        (Kind.AID_LIST, page("1", {"9F06": bytes(17)})),
        (Kind.AID_LIST, page("1", *({"9F06": bytes([*range(4), each])} for each in range(100)))),
        (Kind.BLACKLIST, page("1", {"DF28": b"622999"})),
        (Kind.BLACKLIST, page("1", {"DF28": b"62299", "DF29": b"62299"})),
        (Kind.BLACKLIST, page("1", {"DF28": b"622999", "DF29": b"62299x"})),
        (Kind.BLACKLIST, page("1", {"DF28": b"622999", "DF29": b"6229990"})),
        (Kind.BLACKLIST, page("1", {"DF28": b"622999", "DF29": b"622998"})),
        (Kind.BLACKLIST, page("1", {"DF28": b"6229990000000004", "DF29": b"6229990000000004"})),
        (Kind.AID, page("1", {"9F06": bytes(17)})),
    ],
)
def test_what_makes_no_sense_is_refused(kind: Kind, content: str | None) -> None:
    with pytest.raises(DecodeError) as refused:
        taken(kind, content)
    assert "6229990000000004" not in str(refused.value)


@pytest.mark.parametrize("tag", ["DF02", "DF03", "DF04"])
def test_a_public_key_without_one_of_its_parts_is_refused(tag: str) -> None:
    cut = {each: value for each, value in KEY.items() if each != tag}
    with pytest.raises(DecodeError, match="modulus"):
        taken(Kind.CA_KEY, page("1", cut), asked=LIST_OF_EACH[Kind.CA_KEY_LIST])


@pytest.mark.parametrize("tag", ["DF02", "DF03", "DF04"])
def test_a_public_key_that_does_not_agree_with_its_check_value_is_a_fault(tag: str) -> None:
    changed = KEY | {tag: bytes([KEY[tag][0] ^ 1]) + KEY[tag][1:]}
    with pytest.raises(KeyFault, match="08 of A000000333"):
        taken(Kind.CA_KEY, page("1", changed), asked=LIST_OF_EACH[Kind.CA_KEY_LIST])


# What is next.


def test_parameters_are_one_page() -> None:
    follow = BY_NAME["parameters"].following
    assert follow(()) == PageAsked(Kind.PARAMETERS)
    assert follow([Brought(Kind.PARAMETERS, "")]) is None


def test_a_status_has_nothing_to_fetch() -> None:
    status = BY_NAME["status"]
    assert status.following(()) is None
    assert status.read(()) == ()
    assert status.end is Kind.STATUS


def test_a_list_is_asked_for_by_what_was_received_and_then_each_entry_by_its_name() -> None:
    follow = BY_NAME["ca-keys"].following
    first, second = LIST_OF_EACH[Kind.CA_KEY_LIST], {"9F06": bytes.fromhex(RID), "9F22": b"\x09"}
    came: list[Brought] = []
    for asked, content in (
        (PageAsked(Kind.CA_KEY_LIST, b"100".hex()), page("2", first)),
        (PageAsked(Kind.CA_KEY_LIST, b"101".hex()), page("1", second)),
        (PageAsked(Kind.CA_KEY, asking(first)[62]), page("1", KEY)),
        (PageAsked(Kind.CA_KEY, asking(second)[62]), page("0")),
    ):
        assert follow(came) == asked
        came.append(Brought(asked.kind, content))
    assert follow(came) is None


@pytest.mark.parametrize(("name", "kind"), [("ca-keys", Kind.CA_KEY_LIST), ("aids", Kind.AID_LIST)])
def test_an_empty_list_ends_it(name: str, kind: Kind) -> None:
    assert BY_NAME[name].following([Brought(kind, page("0"))]) is None


def test_a_blacklist_is_its_pages() -> None:
    follow, kind = BY_NAME["blacklist"].following, Kind.BLACKLIST
    entry = LIST_OF_EACH[kind]
    assert follow(()) == PageAsked(kind, b"100".hex())
    assert follow([Brought(kind, page("2", entry))]) == PageAsked(kind, b"101".hex())
    assert follow([Brought(kind, page("1", entry))]) is None


# What a complete download says.


def test_parameters_are_read_with_their_names_and_in_their_own_characters() -> None:
    content = b"1180" + b"22" + "测试商户".encode("gb18030").ljust(40)
    read = BY_NAME["parameters"].read([Brought(Kind.PARAMETERS, content.hex())])
    assert read == (
        Parameter("11", PARAMETERS["11"].name, "80"),
        Parameter("22", PARAMETERS["22"].name, "测试商户"),
    )


@pytest.mark.parametrize(
    ("expiry", "expires"),
    [(b"20401231", "20401231"), (bytes.fromhex("20401231"), "20401231"), (b"", ""), (b"never", "")],
)
def test_public_keys_are_read_and_those_passed_over_are_not_there(expiry: bytes, expires: str) -> None:
    entry = {tag: value for tag, value in (KEY | {"DF05": expiry}).items() if value}
    pages = [
        Brought(Kind.CA_KEY_LIST, page("1", LIST_OF_EACH[Kind.CA_KEY_LIST])),
        Brought(Kind.CA_KEY, page("1", entry)),
        Brought(Kind.CA_KEY, page("0")),
    ]
    (key,) = BY_NAME["ca-keys"].read(pages)
    assert key == CaKey(RID, "08", expires, MODULUS, b"\x03")
    assert isinstance(key, CaKey)
    assert key.bits == 512
    assert MODULUS.hex() not in repr(key)


def test_applications_and_card_ranges_are_read() -> None:
    (found,) = BY_NAME["aids"].read([Brought(Kind.AID, page("1", {"9F06": bytes(5), "DF01": b"\x01"}))])
    assert isinstance(found, Application)
    assert (found.aid, [(each.tag, each.value) for each in found.values]) == ("00" * 5, [("DF01", "01")])
    ranges = BY_NAME["blacklist"].read([Brought(Kind.BLACKLIST, page("1", {"DF28": b"622990", "DF29": b"622999"}))])
    assert ranges == (CardRange("622990", "622999"),)


def test_a_report_tells_what_is_known_of_the_devices_and_the_parameters_as_they_came() -> None:
    name = "测试商户".encode("gb18030").ljust(40)
    pages = [Brought(Kind.PARAMETERS, (b"22" + name).hex())]
    told = report(Devices(pin_pad=True, printer=False), pages)
    assert told.encode("latin-1") == b"021" + b"040" + b"22" + name
    assert report(Devices(keyboard=True, reader=True, display=True), ()) == "011031051"
