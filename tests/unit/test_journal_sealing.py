"""Seals and chains by themselves: nothing of another sort, number or order passes for what was kept."""

from __future__ import annotations

import pytest

from pos_engine.journal.sealing import GENESIS, Head, Sealing
from tests.support.records import STORAGE_KEY, counting_entropy

CARD_DATA = b'{"2":"6229991357924683"}'


@pytest.fixture
def sealing() -> Sealing:
    return Sealing(STORAGE_KEY, "T0000001M00000000000001", counting_entropy())


@pytest.mark.parametrize("sealed", [False, True])
def test_a_link_holds_what_was_chained(sealing: Sealing, sealed: bool) -> None:  # noqa: FBT001 - a case
    digest = sealing.link(GENESIS, 0, "{}", sealed=sealed)
    assert sealing.holds(digest, GENESIS, 0, "{}", sealed=int(sealed))
    assert not sealing.holds(digest, GENESIS, 0, "{}", sealed=int(not sealed))
    assert not sealing.holds(digest, GENESIS, 1, "{}", sealed=int(sealed))
    assert not sealing.holds(digest, GENESIS, 0, "{ }", sealed=int(sealed))
    assert not sealing.holds(digest, digest, 0, "{}", sealed=int(sealed))


@pytest.mark.parametrize(
    ("digest", "number", "body", "sealed"),
    [
        ("text", 1, "{}", 0),
        (None, 1, "{}", 0),
        (b"", 1, b"{}", 0),
        (b"", 1, None, 0),
        (b"", 1, "{}", 2),
        (b"", 1, "{}", "1"),
        (b"", -1, "{}", 0),
        (b"", "1", "{}", 0),
        (b"", None, "{}", 0),
    ],
)
def test_what_damage_made_of_an_entry_does_not_hold(
    sealing: Sealing, digest: object, number: object, body: object, sealed: object
) -> None:
    given = sealing.link(GENESIS, 1, "{}", sealed=False) if digest == b"" else digest
    assert sealing.holds(given, GENESIS, number, body, sealed=sealed) is False


def test_a_box_opens_under_its_own_number_only(sealing: Sealing) -> None:
    wrapped, box = sealing.box(7, CARD_DATA)
    other_wrapped, other_box = sealing.box(7, CARD_DATA)
    assert sealing.unbox(7, wrapped, box) == CARD_DATA
    assert CARD_DATA not in wrapped + box
    assert (wrapped, box) != (other_wrapped, other_box)
    assert sealing.unbox(8, wrapped, box) is None
    assert sealing.unbox(7, wrapped, other_box) is None
    assert sealing.unbox(7, wrapped[:-1], box) is None


@pytest.mark.parametrize(("wrapped", "box"), [(None, b""), ("text", b""), (b"", None), (b"", "text"), (b"", b"")])
def test_what_is_no_box_does_not_open(sealing: Sealing, wrapped: object, box: object) -> None:
    good_wrapped, good_box = sealing.box(7, CARD_DATA)
    assert sealing.unbox(7, wrapped, good_box) is None
    assert sealing.unbox(7, good_wrapped, box) is None


def test_a_receipt_is_of_one_record_and_one_journal(sealing: Sealing) -> None:
    other = Sealing(STORAGE_KEY, "T0000002M00000000000001", counting_entropy())
    receipts = {sealing.receipt(number) for number in range(5)} | {other.receipt(number) for number in range(5)}
    assert len(receipts) == 10
    assert sealing.receipt(3) == sealing.receipt(3)
    assert sealing.owner_check != other.owner_check


def test_a_mark_is_read_back_and_nothing_else_is_one(sealing: Sealing) -> None:
    head = Head(3, sealing.link(GENESIS, 1, "{}", sealed=False), 999_999)
    mark = sealing.mark(head)
    assert sealing.read_mark(mark) == head
    for place in range(len(mark)):
        assert sealing.read_mark(mark[:place] + bytes([mark[place] ^ 1]) + mark[place + 1 :]) is None
    assert sealing.read_mark(mark[:-1]) is None
    assert sealing.read_mark(mark + b"\0") is None


def test_a_journal_of_an_older_version_still_opens_because_its_form_has_not_changed(sealing: Sealing) -> None:
    first = sealing.link(GENESIS, 1, "{}", sealed=False)
    second = sealing.link(first, 2, "{}", sealed=True)
    wrapped, box = sealing.box(7, b"{}")
    kept = (bytes.fromhex(sealing.owner_check), first, second, sealing.mark(Head(2, second, 3)))
    # The last bytes of each: a change in how keys are derived or what is digested would change them all.
    assert [each[-4:].hex() for each in (*kept, sealing.receipt(7), wrapped, box)] == [
        "f0a694dc",
        "90f5bde0",
        "c5ac7e13",
        "45ec2252",
        "b5dc0100",
        "b411eb05",
        "4a1cd52e",
    ]
