"""Our cryptography against code that is not ours: psec, pyemv and openssl."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pos_engine.crypto import des, keys, mac, pinblock, sm4, track
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage
from pos_engine.errors import KeyFault, PosError
from pos_engine.values import KeyBytes, Pan
from tests.vectors import crypto as known

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def oracle() -> Iterator[None]:
    """Let the oracles use what they use: both import and call what `cryptography` has announced to remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


with oracle():
    import psec
    import psec.des
    import psec.mac
    import psec.pinblock
    import pyemv.mac
    import pyemv.tools

SINGLE_KEYS = st.binary(min_size=8, max_size=8).map(KeyBytes)
DOUBLE_KEYS = st.binary(min_size=16, max_size=16).map(KeyBytes)
DES_KEYS = st.one_of(SINGLE_KEYS, DOUBLE_KEYS, st.binary(min_size=24, max_size=24).map(KeyBytes))
BLOCKS = st.integers(1, 40).flatmap(lambda count: st.binary(min_size=8 * count, max_size=8 * count))
DATA = st.binary(max_size=300)
WIDE_BLOCKS = st.integers(1, 20).flatmap(lambda count: st.binary(min_size=16 * count, max_size=16 * count))
AES_KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(KeyBytes)
NO_PIN_BLOCK = (
    "a PIN block has 8 bytes in this format",
    "a PIN block has 16 bytes in this format",
    "not a PIN block of this format: wrong PIN key, or wrong card number",
)
NO_TRACK = ("not an encrypted track: wrong track key", "an encrypted track has 17 to 104 hex digits")
PINS = st.text("0123456789", min_size=4, max_size=12)
# The test range of this project; the rest of a number is free.
PANS = st.text("0123456789", min_size=7, max_size=13).map(lambda rest: Pan(f"622999{rest}"))


@given(DES_KEYS, BLOCKS)
def test_ecb_is_psec_s(key: KeyBytes, data: bytes) -> None:
    with oracle():
        expected = psec.des.encrypt_tdes_ecb(key.reveal(), data)
    assert des.encrypt_ecb(key, data) == expected
    assert des.decrypt_ecb(key, expected) == data


@given(DES_KEYS, BLOCKS, st.binary(min_size=8, max_size=8))
def test_cbc_is_psec_s(key: KeyBytes, data: bytes, iv: bytes) -> None:
    with oracle():
        expected = psec.des.encrypt_tdes_cbc(key.reveal(), iv, data)
    assert des.encrypt_cbc(key, data, iv=iv) == expected
    assert des.decrypt_cbc(key, expected, iv=iv) == data


@given(DES_KEYS)
def test_check_values_are_psec_s_and_pyemv_s(key: KeyBytes) -> None:
    with oracle():
        expected = psec.des.generate_kcv(key.reveal(), 4)
        shown = pyemv.tools.key_check_digits(key.reveal(), 3)
    assert keys.check_value(key) == expected
    assert keys.show(keys.check_value(key)) == shown.hex().upper()


@given(DES_KEYS, DATA)
@example(KeyBytes(bytes(8)), b"")
def test_x9_9_is_psec_s_cbc_mac(key: KeyBytes, data: bytes) -> None:
    with oracle():
        expected = psec.mac.generate_cbc_mac(key.reveal(), data, padding=1, algorithm=psec.mac.Algorithm.DES)
    assert mac.generate("x9.9", key, data) == expected
    if len(key.reveal()) > 8:
        assert mac.generate("cbc-mac", key, data) == expected


@given(DOUBLE_KEYS, DATA)
@example(KeyBytes(bytes(16)), b"")
def test_x9_19_is_psec_s_and_pyemv_s_retail_mac(key: KeyBytes, data: bytes) -> None:
    left, right = key.reveal()[:8], key.reveal()[8:]
    with oracle():
        expected = psec.mac.generate_retail_mac(left, right, data, padding=1)
        second_opinion = pyemv.mac.mac_iso9797_3(left, right, data, padding=1)
    assert mac.generate("x9.19", key, data) == expected == second_opinion


@given(DES_KEYS, DATA)
def test_the_unionpay_mac_is_its_definition_over_psec_s_des(key: KeyBytes, data: bytes) -> None:
    padded = data.ljust(-(-len(data) // 8) * 8, b"\0") or bytes(8)
    folded = bytes(8)
    for start in range(0, len(padded), 8):
        folded = bytes(a ^ b for a, b in zip(folded, padded[start : start + 8], strict=True))
    characters = folded.hex().upper().encode()
    with oracle():
        first = psec.des.encrypt_tdes_ecb(key.reveal(), characters[:8])
        second = bytes(a ^ b for a, b in zip(first, characters[8:], strict=True))
        expected = psec.des.encrypt_tdes_ecb(key.reveal(), second).hex().upper()[:8]
    assert mac.generate("unionpay-ecb", key, data) == expected.encode()


@given(PINS, PANS)
def test_pin_blocks_are_psec_s(pin: str, pan: Pan) -> None:
    with oracle():
        expected = psec.pinblock.encode_pinblock_iso_0(pin, pan.reveal())
    assert pinblock.format0(pin, pan) == expected
    assert pinblock.read_format0(expected, pan) == pin


@given(PINS, PANS, st.integers(0, 15), st.integers(0, 15))
def test_a_block_with_one_digit_changed_reads_only_where_psec_reads_it(
    pin: str, pan: Pan, position: int, change: int
) -> None:
    block = (int.from_bytes(pinblock.format0(pin, pan)) ^ change << 4 * position).to_bytes(8)
    try:
        read = pinblock.read_format0(block, pan)
    except KeyFault:
        with oracle(), pytest.raises(ValueError, match="PIN"):
            psec.pinblock.decode_pinblock_iso_0(block, pan.reveal())
    else:
        assert pinblock.format0(read, pan) == block


@given(DES_KEYS, DES_KEYS, st.sampled_from(KeyUsage))
def test_wrapped_keys_unwrap(tmk: KeyBytes, key: KeyBytes, usage: KeyUsage) -> None:
    assert keys.unwrap(tmk, keys.wrap(tmk, key, usage)) == key


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", ["sign_on_keys_40", "check_value_double_length", "check_value_shared_key"])
def test_check_values_are_openssl_s(name: str) -> None:
    key = known.by_id(name).input["tmk"]
    command = ["openssl", "enc", "-des-ede-ecb", "-K", key, "-nopad", "-e"]
    done = subprocess.run(command, input=bytes(8), check=True, capture_output=True)
    assert keys.check_value(KeyBytes(bytes.fromhex(key))) == done.stdout[:4]


@given(PINS, PANS, st.binary(min_size=16, max_size=16))
def test_blocks_of_format_3_read_in_psec_and_psec_s_read_here(pin: str, pan: Pan, filling: bytes) -> None:
    ours = pinblock.format3(pin, pan, lambda size: filling[:size])
    with oracle():
        theirs = psec.pinblock.encode_pinblock_iso_3(pin, pan.reveal())
        assert psec.pinblock.decode_pinblock_iso_3(ours, pan.reveal()) == pin
    assert pinblock.read_format3(theirs, pan) == pin


@given(PINS, PANS, AES_KEYS, st.binary(min_size=8, max_size=8))
def test_blocks_of_format_4_read_in_psec_and_psec_s_read_here(pin: str, pan: Pan, key: KeyBytes, random: bytes) -> None:
    cipher = BlockCipher(key, Algorithm.AES)
    pin_field = pinblock.format4_pin_field(pin, lambda _size: random)
    ours = pinblock.encipher_format4(cipher, pin_field, pinblock.format4_card_field(pan))
    with oracle():
        theirs = psec.pinblock.encipher_pinblock_iso_4(key.reveal(), pin, pan.reveal())
        assert psec.pinblock.decode_pin_field_iso_4(pin_field) == pin
        assert psec.pinblock.decipher_pinblock_iso_4(key.reveal(), ours, pan.reveal()) == pin
    assert pinblock.read_format4(cipher, theirs, pan) == pin


@given(PINS, PANS)
def test_the_block_for_sm4_is_format_0_with_its_halves_apart(pin: str, pan: Pan) -> None:
    # A PIN of up to twelve digits ends in the seventh byte, and the card's digits are the last six.
    block, narrow = pinblock.sm4_block(pin, pan), pinblock.format0_zero_pan(pin)
    with oracle():
        bound = psec.pinblock.encode_pinblock_iso_0("0000", pan.reveal())
    card = bytes(a ^ b for a, b in zip(bound, bytes.fromhex("040000FFFFFFFFFF"), strict=True))
    assert block[:8] == narrow
    assert bytes(byte ^ 0xFF for byte in block[8:]) == card
    assert pinblock.read_sm4_block(block, pan) == pin


@given(st.binary(max_size=40), PANS)
def test_any_bytes_are_a_pin_block_or_a_fault_that_says_no_more(data: bytes, pan: Pan) -> None:
    cipher = BlockCipher(KeyBytes(bytes(16)), Algorithm.AES)
    readers = [row.read for row in pinblock.FORMATS.values()]
    readers.append(lambda block, pan: pinblock.read_format4(cipher, block, pan))
    for read in readers:
        try:
            pin = read(data, pan)
        except PosError as error:
            assert str(error) in NO_PIN_BLOCK  # noqa: PT017 - either outcome is right
        else:
            assert pin.isascii()
            assert pin.isdigit()
            assert 4 <= len(pin) <= 12


@given(PINS, PANS, st.sampled_from(list(pinblock.FORMATS.values())), st.data())
def test_what_still_reads_after_a_change_is_a_block_that_could_have_been_built(
    pin: str, pan: Pan, row: pinblock.PinFormat, draw: st.DataObject
) -> None:
    block = bytearray(row.build(pin, pan, bytes))
    for _ in range(draw.draw(st.integers(1, 3))):
        block[draw.draw(st.integers(0, len(block) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        read = row.read(bytes(block), pan)
    except KeyFault:
        return
    built = row.build(read, pan, bytes)
    assert built == block if row.name != "iso-3" else built[0] == block[0]


TRACKS = st.from_regex(r"[0-9][0-9D]{0,103}", fullmatch=True)


@given(DES_KEYS, TRACKS)
def test_tracks_are_their_definition_over_psec_s_des(key: KeyBytes, clear: str) -> None:
    encrypted = track.encrypt(BlockCipher(key), clear)
    filled = clear.rjust(17, "F")
    end = len(filled) - (1 if len(filled) % 2 else 2)
    with oracle():
        block = psec.des.encrypt_tdes_ecb(key.reveal(), bytes.fromhex(filled[end - 16 : end])).hex().upper()
    assert encrypted == filled[: end - 16] + block + filled[end:]
    assert track.decrypt(BlockCipher(key), encrypted) == clear


@given(DES_KEYS, st.text("0123456789ABCDEF", max_size=110))
def test_any_text_is_an_encrypted_track_or_an_error_without_it(key: KeyBytes, text: str) -> None:
    try:
        clear = track.decrypt(BlockCipher(key), text)
    except PosError as error:
        assert str(error) in NO_TRACK  # noqa: PT017 - either outcome is right
    else:
        assert track.encrypt(BlockCipher(key), clear) == text


@given(DOUBLE_KEYS, DOUBLE_KEYS, st.sampled_from(KeyUsage), st.integers(3, 8))
def test_keys_wrapped_with_sm4_unwrap(tmk: KeyBytes, key: KeyBytes, usage: KeyUsage, size: int) -> None:
    wrapped = keys.wrap(tmk, key, usage, algorithm=Algorithm.SM4, check_size=size)
    assert len(wrapped.check_value) == size
    assert keys.unwrap(tmk, wrapped) == key


def openssl(*arguments: str, data: bytes) -> bytes:
    """What openssl makes of `data`; a few examples are enough, since each starts a process."""
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def openssl_lacks(what: str, *names: str) -> bool:
    """Whether openssl was built without one of these algorithms; where there is none at all, `needs` says so."""
    if shutil.which("openssl") is None:
        return False
    done = subprocess.run(["openssl", "list", what], check=False, capture_output=True, text=True)
    return not all(name in done.stdout for name in names)


FEW = settings(max_examples=10)


@pytest.mark.needs("openssl")
@pytest.mark.skipif(openssl_lacks("-cipher-algorithms", "SM4-ECB", "SM4-CBC"), reason="openssl without SM4")
@FEW
@given(DOUBLE_KEYS, WIDE_BLOCKS, st.binary(min_size=16, max_size=16))
def test_sm4_is_openssl_s(key: KeyBytes, data: bytes, iv: bytes) -> None:
    text = key.reveal().hex()
    assert sm4.encrypt_ecb(key, data) == openssl("enc", "-sm4-ecb", "-K", text, "-nopad", data=data)
    chained = openssl("enc", "-sm4-cbc", "-K", text, "-iv", iv.hex(), "-nopad", data=data)
    assert sm4.encrypt_cbc(key, data, iv=iv) == chained
    assert sm4.decrypt_cbc(key, chained, iv=iv) == data
    zeros = openssl("enc", "-sm4-ecb", "-K", text, "-nopad", data=bytes(16))
    assert keys.check_value(key, Algorithm.SM4) == zeros[:8]


@pytest.mark.needs("openssl")
@pytest.mark.skipif(openssl_lacks("-mac-algorithms", "CMAC"), reason="openssl without CMAC")
@pytest.mark.skipif(openssl_lacks("-cipher-algorithms", "SM4-CBC"), reason="openssl without SM4")
@FEW
@given(DOUBLE_KEYS, DATA)
@example(KeyBytes(bytes(range(16))), b"")
def test_cmac_is_openssl_s(key: KeyBytes, data: bytes) -> None:
    clear = key.reveal()
    for algorithm, cipher, used in (
        ("aes-cmac", "AES-128-CBC", clear),
        ("sm4-cmac", "SM4-CBC", clear),
        ("3des-cmac", "DES-EDE3-CBC", clear + clear[:8]),
    ):
        code = openssl("mac", "-cipher", cipher, "-macopt", f"hexkey:{used.hex()}", "-binary", "CMAC", data=data)
        assert mac.generate(algorithm, key, data) == code[:8]
