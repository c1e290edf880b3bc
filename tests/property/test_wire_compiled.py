from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.dialects.iso87.fields import SPEC as ISO87
from pos_engine.dialects.unionpay.fields import SPEC as UNIONPAY
from pos_engine.dialects.unionpay.kinds import KINDS
from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.limits import SHAPES_MAX
from pos_engine.wire import codec, compiled, reference
from pos_engine.wire.compiled import decoder, encoder
from pos_engine.wire.field import Content, Encoding, Length
from pos_engine.wire.message import Message
from pos_engine.wire.spec import MessageSpec, combine, table
from tests.support import mangling, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import KindRow

CASES = int(os.environ.get("POS_ENGINE_CASES", "30000"))
"""Comparisons of the campaign: some seconds' worth; a night takes millions. Always the same messages for a number."""

each_spec = pytest.mark.parametrize("spec", mangling.SPECS, ids=lambda spec: spec.name)


def functions(table: Mapping[bytes, object] | Mapping[tuple[int, ...], object]) -> int:
    """How many entries are compiled; the others still stand for a function to come."""
    return sum(hasattr(entry, "__code__") for entry in table.values())


def fresh(spec: MessageSpec) -> MessageSpec:
    """The same format with nothing compiled yet."""
    return MessageSpec(spec.name, spec.mti, spec.bitmap, spec.bitmaps, spec.fields, spec.catalogue)


@given(seed=st.integers(0, 2**64 - 1))
def test_compiled_and_reference_agree_on_every_message_whole_or_damaged(seed: int) -> None:
    assert mangling.differs(Random(seed)) is None


def test_compiled_and_reference_agree_in_a_campaign() -> None:
    for seed in range(CASES // mangling.COMPARISONS):
        difference = mangling.differs(Random(seed))
        assert difference is None, f"seed {seed}: {difference}"


@each_spec
def test_every_declared_set_of_elements_is_read_and_written_without_the_reference(spec: MessageSpec) -> None:
    random = Random(spec.name)
    for numbers in spec.catalogue:
        fields = {number: mangling.whole_value(random, spec.fields[number]) for number in numbers}
        message = Message("0200", fields)
        raw = reference.encode(message, spec)
        assert encoder.build(spec, numbers)("0200", tuple(fields[number] for number in sorted(numbers))) == raw
        assert decoder.build(spec, numbers)(raw) == message


@given(fields=st.data(), spec=st.sampled_from((UNIONPAY, specs.ASCII, specs.ODD)))
def test_functions_for_any_set_of_elements_are_right(fields: st.DataObject, spec: MessageSpec) -> None:
    message = fields.draw(specs.messages(spec))
    raw = reference.encode(message, spec)
    # `None` is always allowed: it means that the reference is asked.
    assert encoder.build(spec, message)(message.mti, tuple(message.values())) in {raw, None}
    assert decoder.build(spec, message)(raw) in {message, None}


@each_spec
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_read_or_refused_as_the_reference_does(spec: MessageSpec, kind: type) -> None:
    message = mangling.message(Random(1), spec)
    data = kind(reference.encode(message, spec))
    answers: list[Message | str] = []
    for decode in (codec.decode, reference.decode):
        try:
            answers.append(decode(data, spec))
        except AttributeError as error:  # the text of a memoryview is not for the reference
            answers.append(str(error))
    assert answers[0] == answers[1]


def test_nothing_is_compiled_until_it_is_needed() -> None:
    spec = fresh(UNIONPAY)
    assert not spec.shapes.ready
    compiled.prepare(spec)
    assert len(spec.shapes.encoders) == len(spec.catalogue)
    assert functions(spec.shapes.decoders) == functions(spec.shapes.encoders) == 0
    message = Message("0800", {11: "000001", 41: "T0000001", 42: "M00000000000001", 60: "00000001003", 63: "01 "})
    raw = codec.encode(message, spec)
    assert (functions(spec.shapes.encoders), functions(spec.shapes.decoders)) == (1, 0)
    assert codec.decode(raw, spec) == codec.decode(raw, spec) == message
    assert (functions(spec.shapes.encoders), functions(spec.shapes.decoders)) == (1, 1)


@each_spec
def test_ten_thousand_bitmaps_of_a_peer_compile_nothing_and_leave_nothing_behind(spec: MessageSpec) -> None:
    spec = fresh(spec)
    compiled.prepare(spec)
    random = Random(8583)
    entries = len(spec.shapes.decoders)
    declared = {frozenset(numbers) for numbers in spec.catalogue}
    sent = 0
    while sent < 10_000:
        numbers = frozenset(random.sample(sorted(spec.fields), random.randint(1, len(spec.fields))))
        if numbers in declared:
            continue
        head = reference.encode(Message("0200", {}), spec)[: 2 if spec.mti is Encoding.BCD else 4]
        bitmap = mangling.bitmap(numbers, spec)
        with pytest.raises(DecodeError):
            codec.decode(head + bitmap, spec)
        sent += 1
    assert functions(spec.shapes.decoders) == functions(spec.shapes.encoders) == 0
    assert len(spec.shapes.decoders) == entries


def test_a_message_of_our_own_outside_the_catalogue_compiles_nothing_either() -> None:
    spec = fresh(UNIONPAY)
    message = Message("0200", {3: "000000", 12: "000000"})
    for _ in range(3):
        assert codec.decode(codec.encode(message, spec), spec) == message
    assert functions(spec.shapes.encoders) == functions(spec.shapes.decoders) == 0
    assert len(spec.shapes.encoders) == len(spec.catalogue)


@pytest.mark.parametrize(("sets", "allowed"), [(SHAPES_MAX, True), (SHAPES_MAX + 1, False)])
def test_a_catalogue_holds_no_more_than_its_limit(sets: int, *, allowed: bool) -> None:
    fields = table(*(specs.field(number, Content.N, Length(2), Encoding.BCD) for number in range(2, 12)))
    catalogue = frozenset(
        sorted(combine(*((frozenset(), frozenset({number})) for number in fields)), key=sorted)[:sets]
    )
    assert len(catalogue) == sets
    if allowed:
        assert MessageSpec("full", Encoding.BCD, Encoding.BINARY, 1, fields, catalogue).catalogue == catalogue
    else:
        with pytest.raises(LocalProtocolError, match=f"at most {SHAPES_MAX} are allowed"):
            MessageSpec("full", Encoding.BCD, Encoding.BINARY, 1, fields, catalogue)


def test_a_catalogue_names_listed_elements_only() -> None:
    fields = table(specs.field(3, Content.N, Length(6), Encoding.BCD))
    with pytest.raises(LocalProtocolError, match="is in the catalogue but not an element") as caught:
        MessageSpec("wrong", Encoding.BCD, Encoding.BINARY, 1, fields, frozenset({frozenset({3, 4})}))
    assert caught.value.field == 4


@pytest.mark.parametrize("row", [row for row in KINDS.values() if row.financial], ids=lambda row: row.kind.value)
def test_the_catalogue_has_the_requests_of_every_financial_kind(row: KindRow) -> None:
    bare = row.needed | ({64} if row.mac else set())
    assert any(bare <= numbers for numbers in UNIONPAY.catalogue)


def test_the_1987_table_lists_every_element_of_two_bitmaps() -> None:
    assert set(ISO87.fields) == set(range(2, 129)) - {65}


def test_generated_text_holds_numbers_and_names_of_ours_only() -> None:
    read = decoder.build(UNIONPAY, {2, 41})
    assert read.__code__.co_filename == "<decoder unionpay 2 41>"
    assert set(read.__code__.co_names) <= {
        *("hex", "translate", "decode", "upper", "len", "LookupError", "new", "Message", "mti"),
        *("_numbers", "_places", "_values"),
        *read.__globals__,
    }
