"""The words of the trade: amounts and ids are checked when they are made, and a secret shows itself nowhere."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import UsageError
from pos_engine.values import Amount, Balance, Card, Currency, Identity, KeyBytes, Pan, PinBlock, Track2

if TYPE_CHECKING:
    from collections.abc import Callable

PAN = "6229990000000004"
YEN = Currency("392", "JPY", 0)
SECRETS = (Pan(PAN), Track2(f"{PAN}D30122010000012300000"), PinBlock(bytes(range(8))), KeyBytes(bytes(range(16))))


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_no_rendering_of_a_secret_shows_more_than_a_mask(secret: Pan | Track2 | PinBlock | KeyBytes) -> None:
    mask = "622999******0004" if isinstance(secret, Pan) else "***"
    assert [str(secret), repr(secret), f"{secret:>20}"] == [
        mask,
        f"{type(secret).__name__}({mask})",
        mask.rjust(20),
    ]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_a_secret_is_not_pickled(secret: Pan | Track2 | PinBlock | KeyBytes) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_secrets_are_equal_by_kind_and_content() -> None:
    assert Pan(PAN) == Pan(PAN)
    assert len({Pan(PAN), Pan(PAN), Pan("6229990000000012")}) == 2
    assert KeyBytes(bytes(8)) != PinBlock(bytes(8))
    assert Pan(PAN) != PAN


@pytest.mark.parametrize("size", [0, 7, 9, 31, 33])
def test_a_key_has_a_size_that_a_cipher_takes(size: int) -> None:
    with pytest.raises(UsageError, match="8, 16, 24 or 32 bytes"):
        KeyBytes(bytes(size))


@pytest.mark.parametrize("expiry", ["", "3113", "3100", "312", "31122", "３１１２"])
def test_an_expiry_is_a_year_and_a_month(expiry: str) -> None:
    with pytest.raises(UsageError, match="YYMM"):
        Card.keyed(PAN, expiry)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Identity("T000001", "M00000000000001"), "terminal"),
        (lambda: Identity("T000000é", "M00000000000001"), "terminal"),
        (lambda: Identity("T0000001", "M000000000000001"), "merchant"),
        (lambda: Identity("T0000001", "M0000000000000\n"), "merchant"),
    ],
)
def test_an_id_fills_its_field(make: Callable[[], Identity], name: str) -> None:
    with pytest.raises(UsageError, match=f"a {name} id has"):
        make()


@pytest.mark.parametrize("minor", [-1, 10**12])
def test_an_amount_fits_field_4(minor: int) -> None:
    assert Amount(10**12 - 1).digits == "9" * 12
    with pytest.raises(UsageError, match="twelve digits"):
        Amount(minor)


@pytest.mark.parametrize(
    ("text", "currency"),
    [("", None), ("-1", None), ("1.234", None), ("1.", None), (" 1", None), ("1e2", None), ("１", None), ("1.5", YEN)],
)
def test_an_amount_is_written_plainly(text: str, currency: Currency | None) -> None:
    with pytest.raises(UsageError, match="is written like"):
        Amount.cny(text) if currency is None else Amount.parse(text, currency)


def test_an_amount_is_shown_with_as_many_decimals_as_its_currency_has() -> None:
    assert [str(Amount.cny(text)) for text in ("0", "0.5", "12.34")] == ["0.00 CNY", "0.50 CNY", "12.34 CNY"]
    assert [str(Amount(120, YEN)), str(Balance(-5)), str(Balance(5))] == ["120 JPY", "-0.05 CNY", "0.05 CNY"]
