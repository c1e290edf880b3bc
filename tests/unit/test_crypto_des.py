"""DES: published blocks, both modes, and no warning from the library below."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pos_engine.crypto import des
from pos_engine.errors import UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

ROOT = Path(__file__).parents[2]
SINGLE = KeyBytes(bytes.fromhex("0123456789ABCDEF"))
DOUBLE = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
TRIPLE = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA987654321089ABCDEF01234567"))


@pytest.mark.parametrize("vector", known.of_kind("des_blocks"), ids=str)
def test_single_des_gives_the_blocks_of_its_standard(vector: known.Vector) -> None:
    key, plain = (KeyBytes(bytes.fromhex(vector.input["key"])), bytes.fromhex(vector.input["plain"]))
    cipher = bytes.fromhex(vector.expected["cipher"])
    if "iv" in vector.input:
        iv = bytes.fromhex(vector.input["iv"])
        assert des.encrypt_cbc(key, plain, iv=iv) == cipher
        assert des.decrypt_cbc(key, cipher, iv=iv) == plain
    else:
        assert des.encrypt_ecb(key, plain) == cipher
        assert des.decrypt_ecb(key, cipher) == plain


def test_double_length_3des_gives_the_known_check_value() -> None:
    assert des.encrypt_ecb(DOUBLE, des.ZERO_BLOCK).hex().upper().startswith("08D7B4")


@pytest.mark.parametrize("key", [SINGLE, DOUBLE, TRIPLE])
def test_decrypting_undoes_encrypting(key: KeyBytes) -> None:
    data = bytes(range(32))
    cipher = des.BlockCipher(key)
    assert cipher.decrypt(cipher.encrypt(data)) == data
    assert des.decrypt_ecb(key, des.encrypt_ecb(key, data)) == data
    assert des.decrypt_cbc(key, des.encrypt_cbc(key, data, iv=b"12345678"), iv=b"12345678") == data


def test_ecb_treats_each_block_by_itself() -> None:
    cipher = des.BlockCipher(DOUBLE)
    assert cipher.encrypt(b"12345678" * 3) == cipher.encrypt(b"12345678") * 3
    assert cipher.encrypt(b"") == b""


def test_cbc_mixes_each_block_with_the_one_before() -> None:
    first, second = b"12345678", b"abcdefgh"
    chained = des.encrypt_cbc(DOUBLE, first + second)
    assert chained[:8] == des.encrypt_ecb(DOUBLE, first)
    mixed = bytes(a ^ b for a, b in zip(second, chained[:8], strict=True))
    assert chained[8:] == des.encrypt_ecb(DOUBLE, mixed)


@pytest.mark.parametrize("size", [1, 7, 9, 15])
def test_incomplete_blocks_are_refused_and_leave_no_trace(size: int) -> None:
    cipher = des.BlockCipher(DOUBLE)
    expected = cipher.encrypt(b"12345678")
    for work in (cipher.encrypt, cipher.decrypt):
        with pytest.raises(UsageError, match="whole blocks"):
            work(bytes(size))
    with pytest.raises(UsageError, match="whole blocks"):
        des.encrypt_cbc(DOUBLE, bytes(size))
    assert cipher.encrypt(b"12345678") == expected


def test_an_initialisation_vector_is_one_block() -> None:
    for work in (des.encrypt_cbc, des.decrypt_cbc):
        with pytest.raises(UsageError, match="8 bytes"):
            work(DOUBLE, bytes(8), iv=bytes(7))


def test_every_key_size_works_without_a_deprecation_warning_in_a_fresh_process() -> None:
    script = (
        "from pos_engine.crypto import des\n"
        "from pos_engine.values import KeyBytes\n"
        "for size in (8, 16, 24):\n"
        "    key = KeyBytes(bytes(range(size)))\n"
        "    des.BlockCipher(key).decrypt(des.encrypt_cbc(key, bytes(8)))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=ROOT)
