"""Our cryptography against code that is not ours: psec, pyemv and openssl."""

from __future__ import annotations

import subprocess
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pos_engine.crypto import des, keys, mac, pinblock
from pos_engine.crypto.keys import KeyUsage
from pos_engine.errors import KeyFault
from pos_engine.values import KeyBytes, Pan
from tests.vectors import crypto as known

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def oracle() -> Iterator[None]:
    """Let the oracles use what they use: both import and call what `cryptography` has announced to remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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
    assert mac.x9_9(key, data) == expected


@given(DOUBLE_KEYS, DATA)
@example(KeyBytes(bytes(16)), b"")
def test_x9_19_is_psec_s_and_pyemv_s_retail_mac(key: KeyBytes, data: bytes) -> None:
    left, right = key.reveal()[:8], key.reveal()[8:]
    with oracle():
        expected = psec.mac.generate_retail_mac(left, right, data, padding=1)
        second_opinion = pyemv.mac.mac_iso9797_3(left, right, data, padding=1)
    assert mac.x9_19(key, data) == expected == second_opinion


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
    assert mac.unionpay_ecb(key, data) == expected.encode()


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
