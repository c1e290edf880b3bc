from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind, OriginalRef, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import DecodeError, JournalFault, RemoteProtocolError, UsageError
from pos_engine.flow.checks import Order
from pos_engine.flow.effects import Answered, Emit, Happening, MacState
from pos_engine.flow.outcomes import Approved, Declined, InDoubt, outcome_of
from pos_engine.flow.plan import owed, plan
from pos_engine.flow.responses import classify
from pos_engine.flow.states import Cue
from pos_engine.framing.tpdu import Tpdu
from pos_engine.session.states import session_of
from pos_engine.values import Amount, Card
from pos_engine.wire.message import Message
from tests.support.exchange import KEYS, PROFILE, Reply, Script, answer, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.journal.memory import MemoryJournal
    from pos_engine.journal.record import Record

EXCHANGES_MAX = 6
"""Three reversals, two sign-ons between them, the order itself: the most that one call may send."""


def outcome(script: Script, order: Order) -> Approved | Declined | InDoubt | None:
    finished = script.run(order)
    assert finished.record is not None
    return outcome_of(finished.record, PROFILE.dialect)


def owes(script: Script) -> bool:
    return any(True for _ in owed(script.journal, PROFILE, script.clock.now()))


def sign_on_answer(field_60: str | None, field_62: str | None) -> Reply:
    def reply(request: Message, now: Instant) -> Happening:
        fields = {11: request[11], 39: "00", 41: request[41], 42: request[42], 60: field_60, 62: field_62}
        return Answered(now, Message("0810", {n: v for n, v in fields.items() if v is not None}), MacState.ABSENT)

    return reply


@pytest.mark.parametrize("size", [0, 1, 8, 16, 23, 25, 39, 41, 59, 104])
def test_keys_of_another_size_change_neither_keys_nor_batch(size: int) -> None:
    script = Script(signed_on("000007"), sign_on_answer("00000008003", "5A" * size))
    script.run(Order(kind=Kind.SIGN_ON))
    before = session_of(script.journal, script.clock.now(), PROFILE.session)
    script.run(Order(kind=Kind.SIGN_ON))
    after = session_of(script.journal, script.clock.now(), PROFILE.session)
    assert (after.sign_on, after.batch) == (before.sign_on, before.batch)
    # The host has handed out keys that this terminal does not have.
    assert not after.ready


@pytest.mark.parametrize("field_60", ["00000000003", "00999999003"])
def test_a_batch_number_that_cannot_be_leaves_the_one_in_force(field_60: str) -> None:
    script = Script(signed_on("000007"), sign_on_answer(field_60, KEYS), approve())
    script.run(Order(kind=Kind.SIGN_ON))
    script.run(Order(kind=Kind.SIGN_ON))
    result = outcome(script, sale())
    assert isinstance(result, Approved)
    assert result.batch == "000007"


@pytest.mark.parametrize(("field_60", "field_62"), [(None, KEYS), ("00000008003", None)])
def test_a_sign_on_answer_that_lacks_keys_or_batch_activates_nothing(
    field_60: str | None, field_62: str | None
) -> None:
    script = Script(sign_on_answer(field_60, field_62))
    finished = script.run(sale())
    assert finished.record is None
    assert session_of(script.journal, script.clock.now(), PROFILE.session).sign_on is None


def test_a_reversal_owed_under_the_old_batch_keeps_it_after_a_sign_on_that_brings_another() -> None:
    script = Script(signed_on("000001"), silence, signed_on("000002"), approve(), approve())
    script.run(sale())
    script.run(Order(kind=Kind.SIGN_ON))
    result = outcome(script, sale())
    assert isinstance(result, Approved)
    assert result.batch == "000002"
    assert [message.mti for message in script.sent] == ["0800", "0200", "0800", "0400", "0200"]
    assert script.sent[3][60].startswith("22000001")
    assert script.sent[3][11] == script.sent[1][11]


@pytest.mark.parametrize("code", ["", "  ", "0 ", " 0", "!!", "0\u00b2"])
def test_a_response_code_that_cannot_be_is_doubt_and_never_a_decline(code: str) -> None:
    script = Script(signed_on(), answer(code), approve())
    assert isinstance(outcome(script, sale()), InDoubt)
    script.run(None)
    assert script.sent[-1].mti == "0400"


def test_a_sale_that_was_reversed_cannot_be_refunded_and_neither_can_a_refund() -> None:
    script = Script(signed_on(), silence, approve(), approve(), approve())
    script.run(sale())
    script.run(None)
    first = OriginalRef("000001", "000002", "0101")
    with pytest.raises(UsageError, match="not an approved sale"):
        script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=first))
    sold = outcome(script, sale())
    assert isinstance(sold, Approved)
    given = outcome(script, Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=sold.reference))
    assert isinstance(given, Approved)
    with pytest.raises(UsageError, match="not an approved sale"):
        script.run(Order(kind=Kind.REFUND, amount=Amount.cny("1.00"), original=given.reference))


def test_one_call_sends_no_more_than_it_may() -> None:
    demand = answer("A0")
    script = Script(signed_on(), silence, demand, signed_on(), demand, signed_on(), approve(), approve())
    script.run(sale())
    before = len(script.sent)
    assert isinstance(outcome(script, sale()), Approved)
    assert len(script.sent) - before == EXCHANGES_MAX


def test_a_sign_on_that_brings_another_batch_notes_the_change() -> None:
    script = Script(signed_on("000001"), signed_on("000001"), signed_on("000009"))
    notes = []
    for _ in range(3):
        record = script.run(Order(kind=Kind.SIGN_ON)).record
        assert record is not None
        notes.append(record.notes)
    assert notes == [(), (), ("the host changes the batch from 000001 to 000009",)]


def test_what_a_host_adds_to_an_answer_is_not_kept() -> None:
    pan = "6229990000000004"
    script = Script(signed_on(), approve({2: pan, 44: pan, 47: pan.encode().hex().upper(), 63: f"CUP {pan}"}))
    record = script.run(sale()).record
    assert record is not None
    assert record.answer is not None
    assert not set(record.answer) & {2, 44, 47, 63}
    for kept in script.journal.history:
        assert pan not in kept
        assert pan.encode().hex() not in kept.lower()


def test_a_clock_that_was_set_back_within_one_boot_does_not_hold_a_duty_back() -> None:
    script = Script(signed_on(), silence, silence)
    script.clock.advance(1_000_000)
    script.run(sale())
    script.run(None)
    duty = plan(script.journal, PROFILE, replace(script.clock.now(), elapsed_s=1.0))
    assert duty is not None
    assert duty.wait_s == 0


@dataclass
class Broken:
    """A journal whose n-th save fails, and every later one with it."""

    inner: MemoryJournal
    sound: int

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def save(self, record: Record) -> None:
        self.sound -= 1
        if self.sound < 0:
            reason = "the disk is full"
            raise JournalFault(reason)
        self.inner.save(record)


@pytest.mark.parametrize("first", [approve(), silence, answer("51"), approve(mac=MacState.WRONG)])
def test_a_journal_that_fails_at_any_save_leaves_nothing_shown_that_is_not_kept(first: Reply) -> None:
    for sound in range(20):
        kept = Script(signed_on(), silence)
        kept.run(sale())
        script = Script(approve(), first, journal=Broken(kept.journal, sound))  # type: ignore[arg-type]  # the rest is handed on
        try:
            script.run(sale("5.00"))
        except JournalFault:
            ended = False
        else:
            ended = True
        for effect in script.effects:
            if isinstance(effect, Emit):
                shown = kept.journal.find(effect.record.number)
                assert shown is not None
                assert shown.state is effect.record.state
        later = Script(approve(), approve(), journal=kept.journal)
        later.run(None)
        assert not owes(later)
        if ended:
            assert sound > 0
            return
    pytest.fail("a sale saves without end")


def test_no_answer_however_damaged_puts_its_content_into_a_note_or_breaks_the_reader() -> None:
    script = Script(signed_on(), approve())
    record = script.run(sale()).record
    assert record is not None
    now = script.clock.now()
    extra = {2: "6229990000000004", 14: "3012", 38: "A12345", 44: "0102", 63: "CUP", 64: "0011223344556677"}
    happened = approve(extra)(script.sent[1], now)
    assert isinstance(happened, Answered)
    whole = pack(UNIONPAY, happened.message, tpdu=Tpdu.parse("6000000000"), header="603200320000").encode()
    chance = random.Random(20260101)
    cues = set()
    for _ in range(5000):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            packet = unpack(UNIONPAY, bytes(data))
        except RemoteProtocolError as error:
            notes = [str(error)]
        else:
            header = UNIONPAY.processing_request(packet.header)
            told = [classify(record, Answered(now, packet.message, mac, header), PROFILE) for mac in MacState]
            cues |= {cue for cue, _ in told}
            notes = [note for _, note in told]
        for note in notes:
            assert note.isascii()
            assert note.isprintable() or not note
            assert re.search(r"[0-9]{6}", note) is None
    assert {Cue.STRANGER, Cue.APPROVAL, Cue.UNPROVEN, Cue.DECLINE} <= cues


def test_key_fields_of_any_size_are_read_or_refused() -> None:
    chance = random.Random(20260101)
    for size in range(80):
        message = Message("0810", {60: "00000001003", 62: chance.randbytes(size).hex().upper()})
        try:
            UNIONPAY.read_keys(message)
        except DecodeError:
            assert size not in {32, 40}


def test_a_card_number_too_short_to_hide_anything_in_shows_nothing() -> None:
    for size in range(12, 20):
        shown = repr(Card.stripe("6" * size + "D301220100000"))
        assert "6" * 7 not in shown
    assert "***" in repr(Card.keyed("622999000004"))
