"""MACs: the published vectors, the linear fold, padding, and the names a dialect may use."""

from __future__ import annotations

import pytest

from pos_engine.crypto import cipher, mac
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

SINGLE = KeyBytes(bytes.fromhex("0123456789ABCDEF"))
DOUBLE = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
TRIPLE = KeyBytes(bytes(range(24)))
NAMES = sorted(mac.ALGORITHMS)
CHARACTERS = ("unionpay-ecb", "sm4-xor")
PADDED = tuple(name for name in NAMES if not name.endswith("-cmac"))


@pytest.mark.parametrize("vector", known.of_kind("mac_unionpay_ecb"), ids=str)
def test_the_unionpay_mac_is_the_published_one(vector: known.Vector) -> None:
    key = KeyBytes(bytes.fromhex(vector.input["mak"]))
    field64 = mac.generate("unionpay-ecb", key, bytes.fromhex(vector.input["mab"]))
    assert field64.decode() == vector.expected["f64_ascii"]
    assert field64.decode() == vector.expected["mac_full"][:8]


@pytest.mark.parametrize("vector", known.of_kind("mac_sm4-xor"), ids=str)
def test_the_sm4_form_of_it_is_what_openssl_gives_step_by_step(vector: known.Vector) -> None:
    key = KeyBytes(bytes.fromhex(vector.input["mak"]))
    field64 = mac.generate("sm4-xor", key, bytes.fromhex(vector.input["mab"]))
    assert field64.decode() == vector.expected["f64_ascii"] == vector.expected["mac_full"][:8]


@pytest.mark.parametrize("algorithm", ["x9.19", "aes-cmac", "3des-cmac"])
def test_binary_macs_are_the_known_ones(algorithm: str) -> None:
    for vector in known.of_kind(f"mac_{algorithm}"):
        key = KeyBytes(bytes.fromhex(vector.input["mak"]))
        code = mac.generate(algorithm, key, bytes.fromhex(vector.input["mab"]))
        assert code.hex().upper() == vector.expected["mac_full"][:16]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 24, 63, 64, 65, 248])
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("unionpay-ecb", SINGLE), ("unionpay-ecb", DOUBLE), ("unionpay-ecb", TRIPLE), ("sm4-xor", DOUBLE)],
)
def test_the_fold_equals_the_scheme_written_out_byte_by_byte(algorithm: str, key: KeyBytes, size: int) -> None:
    data = bytes((7 * n + size) % 256 for n in range(size))
    ready = BlockCipher(key, mac.ALGORITHMS[algorithm].cipher)
    width = ready.block_size
    folded = bytearray(width)
    for position, byte in enumerate(data):
        folded[position % width] ^= byte
    characters = folded.hex().upper().encode()
    first = ready.encrypt(characters[:width])
    second = ready.encrypt(bytes(a ^ b for a, b in zip(first, characters[width:], strict=True)))
    assert mac.compute(algorithm, ready, data) == second.hex().upper().encode()[:8]


def test_a_single_length_key_doubled_gives_the_same_mac() -> None:
    doubled = KeyBytes(SINGLE.reveal() * 2)
    for algorithm in ("unionpay-ecb", "x9.9", "x9.19"):
        assert mac.generate(algorithm, doubled, b"0200 any") == mac.generate(algorithm, SINGLE, b"0200 any")


def test_a_real_double_length_key_gives_another_mac() -> None:
    for algorithm in ("unionpay-ecb", "x9.9", "x9.19"):
        assert mac.generate(algorithm, DOUBLE, b"0200 any") != mac.generate(algorithm, SINGLE, b"0200 any")


@pytest.mark.parametrize("algorithm", NAMES)
def test_only_a_folding_mac_cannot_see_blocks_that_trade_places(algorithm: str) -> None:
    one, other = b"A" * 16 + b"B" * 16, b"B" * 16 + b"A" * 16
    alike = mac.generate(algorithm, DOUBLE, one) == mac.generate(algorithm, DOUBLE, other)
    assert alike == (algorithm in CHARACTERS)


@pytest.mark.parametrize("algorithm", PADDED)
def test_zero_padding_fills_the_last_block(algorithm: str) -> None:
    width = mac.ALGORITHMS[algorithm].cipher.block_size
    assert mac.generate(algorithm, DOUBLE, b"0200 a") == mac.generate(algorithm, DOUBLE, b"0200 a".ljust(width, b"\0"))
    assert mac.generate(algorithm, DOUBLE, b"") == mac.generate(algorithm, DOUBLE, bytes(width))


@pytest.mark.parametrize("algorithm", sorted(set(NAMES) - set(PADDED)))
def test_cmac_tells_padding_from_data(algorithm: str) -> None:
    codes = {mac.generate(algorithm, DOUBLE, b"0200 a".ljust(size, b"\0")) for size in range(6, 17)}
    assert len(codes) == 11


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("data", [b"", b"0200", b"0200 anything at all" * 9])
def test_a_kept_cipher_gives_the_same_eight_bytes_every_time(algorithm: str, data: bytes) -> None:
    ready = BlockCipher(DOUBLE, mac.ALGORITHMS[algorithm].cipher)
    expected = mac.generate(algorithm, DOUBLE, data)
    assert len(expected) == 8
    for other in NAMES:
        if mac.ALGORITHMS[other].cipher is ready.algorithm:
            mac.compute(other, ready, b"something between")
            assert mac.compute(algorithm, ready, data) == expected


@pytest.mark.parametrize("algorithm", CHARACTERS)
def test_a_mac_in_characters_is_upper_case_hex(algorithm: str) -> None:
    for number in range(50):
        assert set(mac.generate(algorithm, DOUBLE, b"%d" % number)) <= set(b"0123456789ABCDEF")


def test_with_a_single_length_key_both_cbc_macs_are_one() -> None:
    data = b"0200 anything at all"
    assert mac.generate("x9.19", SINGLE, data) == mac.generate("x9.9", SINGLE, data)


def test_whoever_asks_for_3des_does_not_get_des() -> None:
    assert mac.generate("cbc-mac", DOUBLE, b"0200") == mac.generate("x9.9", DOUBLE, b"0200")
    for algorithm in ("cbc-mac", "3des-cmac"):
        with pytest.raises(KeyFault, match="16 bytes at least"):
            mac.generate(algorithm, SINGLE, b"0200")


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("wrong", Algorithm)
def test_a_key_for_another_cipher_is_refused(algorithm: str, wrong: Algorithm) -> None:
    right = mac.ALGORITHMS[algorithm].cipher
    if wrong is not right:
        with pytest.raises(KeyFault) as caught:
            mac.compute(algorithm, BlockCipher(DOUBLE, wrong), b"0200")
        assert str(caught.value) == f"the MAC {algorithm} takes a key for {right.value}, not for {wrong.value}"


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("size", [8, 16, 24, 32])
def test_a_key_of_a_size_the_cipher_has_not_is_refused(algorithm: str, size: int) -> None:
    if size not in cipher.KEY_SIZES[mac.ALGORITHMS[algorithm].cipher]:
        with pytest.raises(KeyFault, match="key has"):
            mac.generate(algorithm, KeyBytes(bytes(size)), b"0200")


@pytest.mark.parametrize("algorithm", NAMES)
def test_a_closed_cipher_computes_nothing(algorithm: str) -> None:
    ready = BlockCipher(DOUBLE, mac.ALGORITHMS[algorithm].cipher)
    mac.compute(algorithm, ready, b"0200")
    ready.close()
    with pytest.raises(KeyFault, match="dropped"):
        mac.compute(algorithm, ready, b"0200")


def test_an_unknown_algorithm_is_refused_with_the_names_there_are() -> None:
    for name in ("crc32", "", "X9.19", "unionpay-ecb "):
        with pytest.raises(UsageError) as kept:
            mac.compute(name, BlockCipher(DOUBLE), b"0200")
        with pytest.raises(UsageError) as once:
            mac.generate(name, KeyBytes(bytes(32)), b"0200")
        assert str(kept.value) == str(once.value)
        assert "3des-cmac, aes-cmac, cbc-mac, sm4-cmac, sm4-xor, unionpay-ecb, x9.19, x9.9" in str(kept.value)


def test_every_algorithm_says_in_both_languages_what_it_is() -> None:
    for name, row in mac.ALGORITHMS.items():
        assert row.name == name
        assert row.title.en
        assert row.title.zh
    assert "unverified" in mac.ALGORITHMS["sm4-xor"].title.en
    assert "未经验证" in mac.ALGORITHMS["sm4-xor"].title.zh


def test_macs_compare_by_their_bytes() -> None:
    assert mac.equal(b"E5805ECB", b"E5805ECB")
    assert not mac.equal(b"E5805ECB", b"E5805ECC")
    assert not mac.equal(b"E5805ECB", b"E5805EC")
