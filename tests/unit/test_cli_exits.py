"""The exit codes: every error and every outcome has one, and they are the documented numbers."""

from __future__ import annotations

import inspect

import pytest

from pos_engine import errors
from pos_engine.cli.exits import Exit, NothingFoundError, exit_for, exit_of
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.values import Text

EXPECTED = {
    errors.PosError: 1,
    errors.UsageError: 2,
    errors.ConfigError: 6,
    errors.ProtocolError: 7,
    errors.LocalProtocolError: 7,
    errors.RemoteProtocolError: 7,
    errors.FrameError: 7,
    errors.DecodeError: 7,
    errors.MacError: 7,
    errors.MismatchError: 7,
    errors.LinkError: 5,
    errors.NotSent: 5,
    errors.NoAnswer: 5,
    errors.NotSignedOn: 6,
    errors.KeyFault: 6,
    errors.JournalFault: 8,
    NothingFoundError: 9,
}


@pytest.mark.parametrize(("kind", "code"), EXPECTED.items())
def test_every_error_has_its_code(kind: type[errors.PosError], code: int) -> None:
    assert exit_for(kind("a reason")) == code


def test_no_error_is_forgotten() -> None:
    classes = {each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__}
    assert {each for each in classes if issubclass(each, Exception)} <= set(EXPECTED)


def test_what_nobody_foresaw_is_internal() -> None:
    assert exit_for(ValueError("a reason")) == 1


def test_every_outcome_has_its_code() -> None:
    code, text = UNIONPAY.meaning("00"), Text("a", "b")
    assert exit_of(Approved(kind=Kind.SALE, stan="000001", batch="000001", code=code)) == 0
    assert exit_of(Declined(kind=Kind.SALE, stan="000001", batch="000001", code=code)) == 3
    assert exit_of(InDoubt(kind=Kind.SALE, stan="000001", batch="000001", why=text, duty=text)) == 4


def test_the_codes_are_the_documented_ones() -> None:
    assert sorted(Exit) == [*range(10), 130]
