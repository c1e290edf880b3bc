"""A record at rest: what goes in comes back, what is secret does not go in, and nonsense is refused in one way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.clock import Instant
from pos_engine.crypto.cipher import Algorithm
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, Trouble
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, Resolution, State, card_part, freeze, open_part, thaw
from pos_engine.values import CNY, Amount, Currency
from pos_engine.wire.field import Sensitivity
from pos_engine.wire.message import Message
from tests.support.records import EXPIRY, KEYED, PAN, PIN_BLOCK, SPEC, TRACK, answered, new_record

# Text as a careless peer or a broken locale may make it: lone surrogates and zero bytes too.
ANY_TEXT = st.text(st.characters(), max_size=20)
WALLS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
INSTANTS = st.builds(Instant, st.floats(allow_nan=False), ANY_TEXT, WALLS)
CURRENCIES = st.builds(Currency, st.text("0123456789", min_size=3, max_size=3), ANY_TEXT, st.integers(0, 4))
AMOUNTS = st.builds(Amount, st.integers(0, 999_999_999_999), st.just(CNY) | CURRENCIES)
KEYS = st.builds(
    WrappedKey,
    st.sampled_from(KeyUsage),
    st.sampled_from((8, 16, 24)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.binary(min_size=3, max_size=8),
)
# A record keeps values without asking what they mean, so any text will do.
MESSAGES = st.builds(
    Message,
    st.text("0123456789", min_size=4, max_size=4),
    st.dictionaries(st.sampled_from(sorted(SPEC.fields)), ANY_TEXT),
)
RECORDS = st.builds(
    Record,
    number=st.integers(1, 2**62),
    kind=st.sampled_from(Kind),
    state=st.sampled_from(State),
    stan=ANY_TEXT,
    batch=ANY_TEXT,
    request=MESSAGES,
    opened=INSTANTS,
    changed=INSTANTS,
    amount=st.none() | AMOUNTS,
    card=st.none() | ANY_TEXT,
    answer=st.none() | MESSAGES,
    keys=st.lists(KEYS, max_size=3).map(tuple),
    new_batch=st.none() | ANY_TEXT,
    trouble=st.none() | st.sampled_from(Trouble),
    reason=st.none() | ANY_TEXT,
    original=st.none() | st.integers(1, 2**62),
    attempts=st.integers(0, 10**6),
    signed_on_by=st.none() | st.integers(1, 2**62),
    demands_sign_on=st.booleans(),
    approval_proven=st.booleans(),
    notes=st.lists(ANY_TEXT, max_size=3).map(tuple),
    late=st.none() | MESSAGES,
    resolution=st.none() | st.builds(Resolution, ANY_TEXT, ANY_TEXT, INSTANTS, st.none() | st.booleans()),
    wanted=st.none() | ANY_TEXT,
    page=st.none() | st.integers(0, 999),
    brought=st.none() | ANY_TEXT,
    asked_by=st.none() | st.integers(1, 2**62),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def kept(message: Message) -> Message:
    """Leave out what no record keeps."""
    levels = {Sensitivity.OPEN, Sensitivity.PAN, Sensitivity.CARD}
    return message.without(*(n for n in message if SPEC.fields[n].sensitivity not in levels))


@given(RECORDS)
def test_every_field_comes_back_except_the_secrets(record: Record) -> None:
    rest = freeze(record, SPEC)
    answer, late = (None if each is None else open_part(each, SPEC) for each in (record.answer, record.late))
    expected = replace(record, request=kept(record.request), answer=answer, late=late)
    assert thaw(rest.body, rest.card_data) == expected


@given(RECORDS)
def test_without_its_card_data_a_record_keeps_its_open_elements(record: Record) -> None:
    assert thaw(freeze(record, SPEC).body).request == open_part(record.request, SPEC)


@given(RECORDS)
def test_a_record_has_one_form_at_rest_and_it_is_ascii(record: Record) -> None:
    rest = freeze(record, SPEC)
    again = freeze(thaw(rest.body, rest.card_data), SPEC)
    assert again == rest
    assert rest.body.isascii()


def test_parts_are_cut_by_sensitivity() -> None:
    request = new_record(MemoryJournal(SPEC), card=KEYED).request
    assert card_part(request, SPEC) == {2: PAN, 14: EXPIRY}
    assert set(open_part(request, SPEC)) == set(request) - {2, 14, 52}


def test_an_element_that_the_spec_does_not_know_is_neither_kept_nor_shown() -> None:
    strange = Message("0200", {5: "1", 11: "000001"})
    assert 5 not in SPEC.fields
    assert open_part(strange, SPEC) == Message("0200", {11: "000001"})
    assert card_part(strange, SPEC) == {}


def test_the_readable_part_holds_no_secret() -> None:
    journal = MemoryJournal(SPEC)
    for record in (new_record(journal), new_record(journal, card=KEYED)):
        body = freeze(answered(record, State.APPROVED), SPEC).body
        assert not [
            secret for secret in (PAN, EXPIRY, TRACK, PIN_BLOCK.hex(), PIN_BLOCK.hex().upper()) if secret in body
        ]
        assert "622999******4683" in body


def test_the_form_at_rest_hides_its_card_data_in_a_traceback() -> None:
    assert PAN not in repr(freeze(new_record(MemoryJournal(SPEC), card=KEYED), SPEC))


def test_an_answer_without_elements_is_still_an_answer() -> None:
    record = replace(new_record(MemoryJournal(SPEC)), answer=Message("0210", {}))
    assert thaw(freeze(record, SPEC).body).answer == Message("0210", {})
    assert record.code is None


def test_the_response_code_is_the_answers() -> None:
    record = new_record(MemoryJournal(SPEC))
    assert record.code is None
    assert answered(record, State.DECLINED, "51").code == "51"


GOOD = json.loads(freeze(answered(new_record(MemoryJournal(SPEC), Kind.SIGN_ON), State.APPROVED), SPEC).body)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_record_that_lacks_a_part_is_refused(name: str) -> None:
    body = json.dumps({key: value for key, value in GOOD.items() if key != name})
    with pytest.raises(JournalFault, match="does not read as one"):
        thaw(body)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_a_wrong_part_is_refused_or_reads_and_nothing_else_happens(name: str, value: object) -> None:
    body = json.dumps({**GOOD, name: value})
    fault: JournalFault | None = None
    try:
        assert isinstance(thaw(body), Record)
    except JournalFault as refused:
        fault = refused
    if fault is not None:
        assert str(fault) == "a journal record does not read as one"
        assert (fault.__context__, fault.__cause__) == (None, None)


@pytest.mark.parametrize("body", ["", "{", "null", "[]", "1", '"x"', "[" * 100_000, "{}"])
def test_what_is_no_record_is_refused(body: str) -> None:
    with pytest.raises(JournalFault) as caught:
        thaw(body)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("card_data", [b"[]", b"\xff", b'{"x":"1"}', b"{"])
def test_card_data_that_is_none_is_refused(card_data: bytes) -> None:
    with pytest.raises(JournalFault):
        thaw(json.dumps(GOOD), card_data)


def test_the_form_at_rest_is_sorted_and_has_no_spaces() -> None:
    frozen = freeze(new_record(MemoryJournal(SPEC), card=KEYED), SPEC)
    for text in (frozen.body, frozen.card_data.decode()):
        assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)
        assert " " not in text
    assert list(json.loads(frozen.body)) == sorted(json.loads(frozen.body))


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
def test_a_working_key_comes_back_with_its_algorithm(algorithm: Algorithm) -> None:
    record = answered(new_record(MemoryJournal(SPEC), Kind.SIGN_ON), State.APPROVED)
    keyed = replace(record, keys=tuple(replace(key, algorithm=algorithm) for key in record.keys))
    assert thaw(freeze(keyed, SPEC).body).keys == keyed.keys
