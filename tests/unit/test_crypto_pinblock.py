"""PIN blocks: published and written-out blocks, and no malformed block that reads as a PIN."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pos_engine.crypto import des, pinblock, sm4
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes, Pan
from tests.vectors import crypto as known

PAN = Pan("6229991234567891")
KEY = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))


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


def counted(size: int) -> bytes:
    """Entropy that is none, so that a block can be written out: the bytes 0, 1, 2 and so on."""
    return bytes(range(size))


@pytest.mark.parametrize("vector", known.of_kind("pin_block_sm4"), ids=str)
def test_the_block_for_sm4_is_the_published_one(vector: known.Vector) -> None:
    pan, pik = Pan(vector.input["pan"]), KeyBytes(bytes.fromhex(vector.input["pik"]))
    block = pinblock.sm4_block(vector.input["pin"], pan)
    assert block.hex().upper() == vector.expected["clear_block"]
    assert pinblock.read_sm4_block(block, pan) == vector.input["pin"]
    assert sm4.encrypt_ecb(pik, block).hex().upper() == vector.expected["encrypted_block"]


def test_format_3_is_filled_with_letters_that_the_entropy_chose() -> None:
    block = pinblock.format3("1234", PAN, counted)
    field = block_of(block.hex()).hex().upper()
    assert field[:6] == "341234"
    assert set(field[6:]) <= set("ABCDEF")
    assert pinblock.format3("1234", PAN, counted) == block
    assert pinblock.format3("1234", PAN, lambda size: b"\x07" * size) != block
    assert pinblock.read_format3(block, PAN) == "1234"


def test_every_letter_is_equally_likely_in_the_filling() -> None:
    letters = Counter(
        block_of(pinblock.format3("1234", PAN, random.Random(seed).randbytes).hex()).hex()[6:] for seed in range(600)
    )
    spread = Counter(letter for field in letters for letter in field)
    assert set(spread) == set("abcdef")
    # 6000 letters, 1000 of each expected; five standard deviations are 144.
    assert all(850 < count < 1150 for count in spread.values())


def test_the_filling_of_format_3_may_be_as_short_as_the_longest_pin_leaves() -> None:
    block = pinblock.format3("123456789012", PAN, counted)
    assert block_of(block.hex()).hex().upper()[:14] == "3C123456789012"
    assert pinblock.read_format3(block, PAN) == "123456789012"


def test_format_4_fields_are_laid_out_as_the_standard_draws_them() -> None:
    assert pinblock.format4_pin_field("12345", counted).hex().upper() == "4512345AAAAAAAAA" + "0001020304050607"
    assert pinblock.format4_card_field(Pan("622999123456")).hex() == "0622999123456".ljust(32, "0")
    assert pinblock.format4_card_field(PAN).hex() == "46229991234567891".ljust(32, "0")
    assert pinblock.format4_card_field(Pan("6229991234567891234")).hex() == "76229991234567891234".ljust(32, "0")


def test_format_4_works_twice_with_its_key() -> None:
    cipher = BlockCipher(KEY, Algorithm.AES)
    pin_field, card_field = pinblock.format4_pin_field("123456", counted), pinblock.format4_card_field(PAN)
    block = pinblock.encipher_format4(cipher, pin_field, card_field)
    inner = bytes(a ^ b for a, b in zip(cipher.encrypt(pin_field), card_field, strict=True))
    assert block == cipher.encrypt(inner)
    assert pinblock.read_format4(cipher, block, PAN) == "123456"
    assert pinblock.read_format4(cipher, encrypted4(cipher, "46123456" + "A" * 8 + "F" * 16), PAN) == "123456"


def encrypted4(cipher: BlockCipher, pin_field: str) -> bytes:
    """Encrypt a hand-written PIN field of format 4."""
    return pinblock.encipher_format4(cipher, bytes.fromhex(pin_field), pinblock.format4_card_field(PAN))


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
def test_format_4_is_for_aes_alone(algorithm: Algorithm) -> None:
    cipher = BlockCipher(KEY, algorithm)
    with pytest.raises(KeyFault, match=f"aes, not with {algorithm.value}"):
        pinblock.encipher_format4(cipher, bytes(16), bytes(16))
    with pytest.raises(KeyFault, match=f"aes, not with {algorithm.value}"):
        pinblock.read_format4(cipher, bytes(16), PAN)


def test_another_key_or_card_number_does_not_read_format_4() -> None:
    cipher, other = BlockCipher(KEY, Algorithm.AES), BlockCipher(KeyBytes(bytes(16)), Algorithm.AES)
    block = encrypted4(cipher, "46123456AAAAAAAA0123456789ABCDEF")
    with pytest.raises(KeyFault, match="not a PIN block"):
        pinblock.read_format4(other, block, PAN)
    with pytest.raises(KeyFault, match="not a PIN block"):
        pinblock.read_format4(cipher, block, Pan("6229999999999994"))


# Filling that each format's own rules accept, after a PIN of any length.
FILLED = {
    "3": lambda start: start.ljust(16, "C"),
    "4": lambda start: start.ljust(16, "A") + "0123456789ABCDEF",
    "sm4": lambda start: start.ljust(32, "F"),
}


def read_field(name: str, pin_field: str) -> str:
    """Read a hand-written PIN field through the format's own card binding and cipher."""
    if name == "4":
        cipher = BlockCipher(KEY, Algorithm.AES)
        return pinblock.read_format4(cipher, encrypted4(cipher, pin_field), PAN)
    card_field = int(PAN.reveal()[-13:-1], 16)
    block = (int(pin_field, 16) ^ card_field).to_bytes(len(pin_field) // 2)
    return (pinblock.read_format3 if name == "3" else pinblock.read_sm4_block)(block, PAN)


@pytest.mark.parametrize("name", FILLED)
@pytest.mark.parametrize("control", range(256))
def test_of_all_256_control_bytes_only_the_true_one_reads_in_any_format(name: str, control: int) -> None:
    first = {"3": 0x30, "4": 0x40, "sm4": 0x00}[name]
    for digits in range(4, 13):
        pin = "123456789012"[:digits]
        field = FILLED[name](f"{control:02X}{pin}")
        if control == first + digits:
            assert read_field(name, field) == pin
        else:
            with pytest.raises(KeyFault, match="not a PIN block"):
                read_field(name, field)


@pytest.mark.parametrize(
    ("name", "pin_field"),
    [
        ("3", "341234FFFFFFFF9F"),  # a digit within the filling
        ("3", "3412A4FFFFFFFFFF"),  # filling within the digits
        ("3", "3D1234567890123F"),  # thirteen digits
        ("3", "0000000000000000"),
        ("3", "FFFFFFFFFFFFFFFF"),
        ("4", "441234AAAAAAAABA" + "0" * 16),  # filling that is not A
        ("4", "441234AAAA5AAAAA" + "0" * 16),  # a digit within the filling
        ("4", "4412A4AAAAAAAAAA" + "0" * 16),
        ("4", "4D1234567890123A" + "0" * 16),
        ("4", "0" * 32),
        ("4", "F" * 32),
        ("sm4", "041234FFFFFFFFFF0123456789ABCDEF"),  # format 0 in front of something else
        ("sm4", "041234" + "F" * 25 + "0"),
        ("sm4", "04123" + "F" * 27),
        ("sm4", "0412345" + "F" * 25),
        ("sm4", "0D1234567890123" + "F" * 17),
        ("sm4", "0" * 32),
        ("sm4", "F" * 32),
    ],
)
def test_malformed_fields_of_the_other_formats_do_not_read(name: str, pin_field: str) -> None:
    with pytest.raises(KeyFault) as caught:
        read_field(name, pin_field)
    assert str(caught.value) == "not a PIN block of this format: wrong PIN key, or wrong card number"


@pytest.mark.parametrize("size", [0, 7, 8, 9, 15, 16, 17, 32])
def test_a_block_has_the_size_of_its_format(size: int) -> None:
    cipher = BlockCipher(KEY, Algorithm.AES)
    if size != 8:
        with pytest.raises(UsageError, match="8 bytes"):
            pinblock.read_format3(bytes(size), PAN)
        with pytest.raises(UsageError, match="8 bytes"):
            pinblock.read_format0_zero_pan(bytes(size))
    if size != 16:
        for fields in ((bytes(size), bytes(16)), (bytes(16), bytes(size))):
            with pytest.raises(UsageError, match="16 bytes"):
                pinblock.encipher_format4(cipher, *fields)
        with pytest.raises(UsageError, match="16 bytes"):
            pinblock.read_format4(cipher, bytes(size), PAN)
        with pytest.raises(UsageError, match="16 bytes"):
            pinblock.read_sm4_block(bytes(size), PAN)


@pytest.mark.parametrize("given", [0, 7, 15, 17, 100])
def test_a_source_that_gives_too_little_is_no_entropy(given: int) -> None:
    with pytest.raises(UsageError, match="entropy source"):
        pinblock.format3("1234", PAN, lambda _size: bytes(given))
    with pytest.raises(UsageError, match="entropy source"):
        pinblock.format4_pin_field("1234", lambda _size: bytes(given))


@pytest.mark.parametrize("pin", ["", "123", "1234567890123", "12a4", "1234\n", "-1234", "\uff11\uff12\uff13\uff14"])
def test_what_is_no_pin_is_refused_in_every_format(pin: str) -> None:
    for row in pinblock.FORMATS.values():
        with pytest.raises(UsageError, match="a PIN has 4 to 12 digits"):
            row.build(pin, PAN, counted)
    with pytest.raises(UsageError, match="a PIN has 4 to 12 digits"):
        pinblock.format4_pin_field(pin, counted)


@pytest.mark.parametrize("name", pinblock.FORMATS)
def test_every_named_format_builds_and_reads_one_block_of_its_cipher(name: str) -> None:
    row = pinblock.FORMATS[name]
    assert row.name == name
    assert row.title.en
    assert row.title.zh
    for digits in range(4, 13):
        pin = "123456789012"[:digits]
        block = row.build(pin, PAN, counted)
        assert len(block) == row.cipher.block_size
        assert row.read(block, PAN) == pin


def test_formats_are_not_taken_for_one_another() -> None:
    for one in pinblock.FORMATS.values():
        for other in pinblock.FORMATS.values():
            if one is not other and one.cipher is other.cipher:
                with pytest.raises(KeyFault, match="not a PIN block"):
                    other.read(one.build("123456", PAN, counted), PAN)
