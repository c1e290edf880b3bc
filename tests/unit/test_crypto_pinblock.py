"""PIN blocks of format 0: published blocks, and no malformed block that reads as a PIN."""

from __future__ import annotations

import pytest

from pos_engine.crypto import des, pinblock
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes, Pan
from tests.vectors import crypto as known

PAN = Pan("6229991234567891")


def block_of(pin_field: str, pan: Pan = PAN) -> bytes:
    """Bind a hand-written PIN field to the card number."""
    card_field = int(pan.reveal()[-13:-1], 16)
    return (int(pin_field, 16) ^ card_field).to_bytes(8)


@pytest.mark.parametrize("vector", known.of_kind("pin_block"), ids=str)
def test_clear_blocks_are_the_published_ones(vector: known.Vector) -> None:
    pan = Pan(vector.input["pan"])
    block = pinblock.format0(vector.input["pin"], pan)
    assert block.hex().upper() == vector.expected["clear_block"]
    assert pinblock.read_format0(block, pan) == vector.input["pin"]


def test_an_encrypted_block_is_the_published_one() -> None:
    vector = known.by_id("pin_block_123456")
    pik = KeyBytes(bytes.fromhex(vector.input["pik"]))
    block = pinblock.format0(vector.input["pin"], Pan(vector.input["pan"]))
    assert des.encrypt_ecb(pik, block).hex().upper() == vector.expected["encrypted_block"]


def test_without_a_card_number_the_pin_field_stands_alone() -> None:
    block = pinblock.format0_zero_pan("123456")
    assert block.hex().upper() == "06123456FFFFFFFF"
    assert pinblock.read_format0_zero_pan(block) == "123456"


@pytest.mark.parametrize("digits", range(4, 13))
def test_every_allowed_length_reads_back(digits: int) -> None:
    pin = "123456789012"[:digits]
    assert pinblock.read_format0(pinblock.format0(pin, PAN), PAN) == pin
    assert pinblock.read_format0_zero_pan(pinblock.format0_zero_pan(pin)) == pin


@pytest.mark.parametrize(
    "pin",
    [
        "",
        "123",
        "1234567890123",
        "12 34",
        "-1234",
        "12a4",
        "1234\n",
        "\u0661\u0662\u0663\u0664",
        "\uff11\uff12\uff13\uff14",
    ],
)
def test_what_is_no_pin_is_refused_without_being_quoted(pin: str) -> None:
    with pytest.raises(UsageError) as bound:
        pinblock.format0(pin, PAN)
    with pytest.raises(UsageError) as unbound:
        pinblock.format0_zero_pan(pin)
    assert str(bound.value) == str(unbound.value) == "a PIN has 4 to 12 digits"


@pytest.mark.parametrize("control", range(256))
def test_of_all_256_control_bytes_only_the_true_length_reads(control: int) -> None:
    for digits in range(4, 13):
        block = block_of(f"{control:02X}" + "123456789012"[:digits].ljust(14, "F"))
        if control == digits:
            assert pinblock.read_format0(block, PAN) == "123456789012"[:digits]
        else:
            with pytest.raises(KeyFault, match="not a PIN block"):
                pinblock.read_format0(block, PAN)


@pytest.mark.parametrize(
    "pin_field",
    [
        "041234FFFFFFFFF0",  # the filling ends too early
        "041234FFFF5FFFFF",  # a digit within the filling
        "0412F4FFFFFFFFFF",  # filling within the digits
        "0412A4FFFFFFFFFF",  # no digit
        "0412345FFFFFFFFF",  # a digit more than the length says
        "04123FFFFFFFFFFF",  # a digit less
        "0D1234567890123F",  # thirteen digits
        "0E12345678901234",  # fourteen, without any filling
        "00FFFFFFFFFFFFFF",
        "FFFFFFFFFFFFFFFF",
        "0000000000000000",
    ],
)
def test_malformed_fields_do_not_read(pin_field: str) -> None:
    with pytest.raises(KeyFault, match="not a PIN block"):
        pinblock.read_format0(block_of(pin_field), PAN)
    with pytest.raises(KeyFault, match="not a PIN block"):
        pinblock.read_format0_zero_pan(bytes.fromhex(pin_field))


def test_another_card_number_does_not_read_the_block() -> None:
    block = pinblock.format0("123456", PAN)
    with pytest.raises(KeyFault, match="wrong card number"):
        pinblock.read_format0(block, Pan("6229999999999994"))


def test_the_check_digit_plays_no_part() -> None:
    assert pinblock.format0("1234", Pan("6229991234567891")) == pinblock.format0("1234", Pan("6229991234567890"))


def test_a_card_number_of_twelve_digits_is_filled_up_on_the_left() -> None:
    block = pinblock.format0("1234", Pan("622999123456"))
    assert block == bytes(
        a ^ b for a, b in zip(bytes.fromhex("041234FFFFFFFFFF"), bytes.fromhex("0000062299912345"), strict=True)
    )


@pytest.mark.parametrize("size", [0, 7, 9, 16])
def test_a_block_has_eight_bytes(size: int) -> None:
    with pytest.raises(UsageError, match="8 bytes"):
        pinblock.read_format0(bytes(size), PAN)
