"""SM4: the standard's own block, both modes, and nothing but keys of 16 bytes."""

from __future__ import annotations

import pytest

from pos_engine.crypto import sm4
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

STANDARD = known.by_id("sm4_standard")
KEY = KeyBytes(bytes.fromhex(STANDARD.input["key"]))


@pytest.mark.parametrize("vector", known.of_kind("sm4_blocks"), ids=str)
def test_a_block_is_the_one_of_the_standard(vector: known.Vector) -> None:
    key, plain = KeyBytes(bytes.fromhex(vector.input["key"])), bytes.fromhex(vector.input["plain"])
    cipher = bytes.fromhex(vector.expected["cipher"])
    assert sm4.encrypt_ecb(key, plain) == cipher
    assert sm4.decrypt_ecb(key, cipher) == plain


def test_a_million_rounds_give_the_standard_s_second_answer() -> None:
    # The standard encrypts its own result a million times; chaining zeros from it in CBC is the same, and one call.
    vector = known.by_id("sm4_standard_million")
    assert vector in known.of_kind("sm4_million_blocks")
    start = bytes.fromhex(vector.input["plain"])
    chained = sm4.encrypt_cbc(KEY, bytes(16 * 1_000_000), iv=start)
    assert chained[-16:].hex().upper() == vector.expected["cipher"]


def test_cbc_mixes_each_block_with_the_one_before_and_starts_from_zeros() -> None:
    first, second = b"0123456789abcdef", b"ABCDEFGHIJKLMNOP"
    chained = sm4.encrypt_cbc(KEY, first + second)
    assert chained[:16] == sm4.encrypt_ecb(KEY, first)
    mixed = bytes(a ^ b for a, b in zip(second, chained[:16], strict=True))
    assert chained[16:] == sm4.encrypt_ecb(KEY, mixed)
    assert sm4.decrypt_cbc(KEY, chained) == first + second


@pytest.mark.parametrize("size", [8, 24, 32])
def test_a_key_has_16_bytes(size: int) -> None:
    for work in (sm4.encrypt_ecb, sm4.decrypt_ecb, sm4.encrypt_cbc, sm4.decrypt_cbc):
        with pytest.raises(KeyFault, match="16 bytes"):
            work(KeyBytes(bytes(size)), bytes(16))


@pytest.mark.parametrize("size", [1, 8, 15, 17])
def test_incomplete_blocks_are_refused(size: int) -> None:
    for work in (sm4.encrypt_ecb, sm4.decrypt_ecb, sm4.encrypt_cbc, sm4.decrypt_cbc):
        with pytest.raises(UsageError, match="whole blocks"):
            work(KEY, bytes(size))
