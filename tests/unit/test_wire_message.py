from __future__ import annotations

import pytest

from pos_engine.wire.message import Message


def test_fields_are_in_ascending_order() -> None:
    assert list(Message("0200", {11: "000001", 3: "000000"})) == [3, 11]


def test_a_message_does_not_change() -> None:
    fields = {3: "000000"}
    message = Message("0200", fields)
    fields[3] = "200000"
    assert message[3] == "000000"
    assert message.replace({3: "200000"})[3] == "200000"
    assert message.replace({4: "1"}, mti="0400") == Message("0400", {3: "000000", 4: "1"})
    assert message.without(3, 4) == Message("0200", {})
    assert message == Message("0200", {3: "000000"})


def test_equality_covers_mti_and_values_and_agrees_with_hash() -> None:
    first, second = Message("0200", {3: "0", 4: "1"}), Message("0200", {4: "1", 3: "0"})
    assert first == second
    assert hash(first) == hash(second)
    assert first != Message("0210", dict(first))
    assert first != dict(first)


def test_an_absent_field_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Message("0200", {})[3]


def test_repr_names_fields_without_values() -> None:
    message = Message("0200", {2: "6229990000000004", 3: "314159"})
    assert repr(message) == f"{message}" == "<Message 0200 with fields 2 3>"
