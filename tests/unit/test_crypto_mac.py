"""MACs: the published vectors, the linear fold, padding, and the names a dialect may use."""

from __future__ import annotations

import pytest

from pos_engine.crypto import des, mac
from pos_engine.errors import UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

SINGLE = KeyBytes(bytes.fromhex("0123456789ABCDEF"))
DOUBLE = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))


@pytest.mark.parametrize("vector", known.of_kind("mac_unionpay_ecb"), ids=str)
def test_the_unionpay_mac_is_the_published_one(vector: known.Vector) -> None:
    key = KeyBytes(bytes.fromhex(vector.input["mak"]))
    field64 = mac.unionpay_ecb(key, bytes.fromhex(vector.input["mab"]))
    assert field64.decode() == vector.expected["f64_ascii"]
    assert field64.decode() == vector.expected["mac_full"][:8]


@pytest.mark.parametrize("vector", known.of_kind("mac_x9.19"), ids=str)
def test_the_retail_mac_is_the_known_one(vector: known.Vector) -> None:
    key = KeyBytes(bytes.fromhex(vector.input["mak"]))
    assert mac.x9_19(key, bytes.fromhex(vector.input["mab"])).hex().upper() == vector.expected["mac_full"]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 63, 64])
@pytest.mark.parametrize("key", [SINGLE, DOUBLE, KeyBytes(bytes(range(24)))])
def test_the_fold_equals_the_scheme_written_out_byte_by_byte(key: KeyBytes, size: int) -> None:
    data = bytes((7 * n + size) % 256 for n in range(size))
    folded = bytearray(8)
    for position, byte in enumerate(data):
        folded[position % 8] ^= byte
    characters = folded.hex().upper().encode()
    first = des.encrypt_ecb(key, characters[:8])
    second = des.encrypt_ecb(key, bytes(a ^ b for a, b in zip(first, characters[8:], strict=True)))
    assert mac.unionpay_ecb(key, data) == second.hex().upper().encode()[:8]


def test_a_single_length_key_doubled_gives_the_same_mac() -> None:
    doubled = KeyBytes(SINGLE.reveal() * 2)
    assert mac.unionpay_ecb(doubled, b"0200 anything") == mac.unionpay_ecb(SINGLE, b"0200 anything")


def test_a_real_double_length_key_gives_another_mac() -> None:
    assert mac.unionpay_ecb(DOUBLE, b"0200 anything") != mac.unionpay_ecb(SINGLE, b"0200 anything")


def test_the_unionpay_mac_cannot_see_blocks_that_trade_places_and_the_others_can() -> None:
    one, other = b"AAAAAAAABBBBBBBB", b"BBBBBBBBAAAAAAAA"
    assert mac.unionpay_ecb(DOUBLE, one) == mac.unionpay_ecb(DOUBLE, other)
    assert mac.x9_9(DOUBLE, one) != mac.x9_9(DOUBLE, other)
    assert mac.x9_19(DOUBLE, one) != mac.x9_19(DOUBLE, other)


@pytest.mark.parametrize("algorithm", sorted(mac.ALGORITHMS))
def test_zero_padding_fills_the_last_block(algorithm: str) -> None:
    function = mac.ALGORITHMS[algorithm]
    assert function(DOUBLE, b"0200 a") == function(DOUBLE, b"0200 a\0\0")
    assert function(DOUBLE, b"") == function(DOUBLE, bytes(8))


@pytest.mark.parametrize("algorithm", sorted(mac.ALGORITHMS))
def test_a_kept_cipher_gives_the_same_mac_every_time(algorithm: str) -> None:
    cipher = des.BlockCipher(DOUBLE)
    expected = mac.ALGORITHMS[algorithm](DOUBLE, b"0200 anything at all")
    assert len(expected) == 8
    for _ in range(3):
        assert mac.compute(algorithm, cipher, b"0200 anything at all") == expected


def test_with_a_single_length_key_both_cbc_macs_are_one() -> None:
    assert mac.x9_19(SINGLE, b"0200 anything at all") == mac.x9_9(SINGLE, b"0200 anything at all")


def test_an_unknown_algorithm_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"unionpay-ecb, x9\.19, x9\.9"):
        mac.compute("crc32", des.BlockCipher(DOUBLE), b"0200")


def test_macs_compare_by_their_bytes() -> None:
    assert mac.equal(b"E5805ECB", b"E5805ECB")
    assert not mac.equal(b"E5805ECB", b"E5805ECC")
    assert not mac.equal(b"E5805ECB", b"E5805EC")
