"""A key made ready: its sizes, what is built from it, and that all of it goes when the key does."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.cmac import CMAC

from pos_engine.crypto import cipher, des, mac
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable

DOUBLE = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
CIPHERS = pytest.mark.parametrize("algorithm", Algorithm)


def test_des_keys_expand_to_24_bytes_of_the_same_effect() -> None:
    assert cipher.expand(b"A" * 8) == b"A" * 24
    assert cipher.expand(b"A" * 8 + b"B" * 8) == b"A" * 8 + b"B" * 8 + b"A" * 8
    assert cipher.expand(b"A" * 8 + b"B" * 8 + b"C" * 8) == b"A" * 8 + b"B" * 8 + b"C" * 8


@pytest.mark.parametrize("size", [0, 7, 9, 15, 17, 23, 25, 32])
def test_other_sizes_do_not_expand(size: int) -> None:
    with pytest.raises(KeyFault, match="8, 16 or 24"):
        cipher.expand(bytes(size))


@CIPHERS
@pytest.mark.parametrize("size", [8, 16, 24, 32])
def test_a_key_has_one_of_its_cipher_s_sizes(algorithm: Algorithm, size: int) -> None:
    key = KeyBytes(bytes(size))
    if size in cipher.KEY_SIZES[algorithm]:
        assert len(BlockCipher(key, algorithm).encrypt(bytes(algorithm.block_size))) == algorithm.block_size
    else:
        with pytest.raises(KeyFault) as caught:
            BlockCipher(key, algorithm)
        assert str(caught.value) == cipher.KEY_FAULTS[algorithm]


@CIPHERS
def test_blocks_have_the_cipher_s_size_and_nothing_incomplete_is_kept_back(algorithm: Algorithm) -> None:
    ready = BlockCipher(DOUBLE, algorithm)
    size = 8 if algorithm is Algorithm.TDES else 16
    assert ready.block_size == algorithm.block_size == size
    expected = ready.encrypt(bytes(size))
    works: tuple[Callable[[bytes], bytes], ...] = (
        ready.encrypt,
        ready.decrypt,
        ready.encrypt_cbc,
        ready.decrypt_cbc,
    )
    for work in works:
        for wrong in (1, size - 1, size + 1, 2 * size - 1):
            with pytest.raises(UsageError, match=f"whole blocks of {size} bytes"):
                work(bytes(wrong))
        assert work(b"") == b""
    assert ready.encrypt(bytes(size)) == expected


@CIPHERS
def test_both_modes_undo_themselves_again_and_again(algorithm: Algorithm) -> None:
    ready = BlockCipher(DOUBLE, algorithm)
    data, iv = bytes(range(64)), bytes(range(algorithm.block_size))
    for _ in range(3):
        assert ready.decrypt(ready.encrypt(data)) == data
        assert ready.decrypt_cbc(ready.encrypt_cbc(data)) == data
        assert ready.decrypt_cbc(ready.encrypt_cbc(data, iv=iv), iv=iv) == data
    assert ready.encrypt_cbc(data) == ready.encrypt_cbc(data, iv=bytes(algorithm.block_size))
    assert ready.encrypt_cbc(data) != ready.encrypt_cbc(data, iv=iv)


@CIPHERS
@pytest.mark.parametrize("wrong", [0, 1, 7, 9, 15, 17])
def test_an_initialisation_vector_is_one_block(algorithm: Algorithm, wrong: int) -> None:
    ready = BlockCipher(DOUBLE, algorithm)
    for work in (ready.encrypt_cbc, ready.decrypt_cbc):
        with pytest.raises(UsageError, match=f"{algorithm.block_size} bytes"):
            work(b"", iv=bytes(wrong))


def test_the_first_half_is_single_des() -> None:
    half = BlockCipher(DOUBLE).first_half()
    assert half.encrypt(b"12345678") == des.encrypt_ecb(KeyBytes(DOUBLE.reveal()[:8]), b"12345678")
    for algorithm in (Algorithm.SM4, Algorithm.AES):
        with pytest.raises(KeyFault, match="16"):
            BlockCipher(DOUBLE, algorithm).first_half()


def use_up(ready: BlockCipher) -> None:
    """Have everything built that can be built from a key."""
    block = bytes(ready.block_size)
    ready.encrypt(block)
    ready.decrypt(block)
    ready.encrypt_cbc(block)
    ready.cmac(block)
    if ready.algorithm is Algorithm.TDES:
        use_up_half(ready.first_half())


def use_up_half(half: BlockCipher) -> None:
    half.encrypt(bytes(8))
    half.encrypt_cbc(bytes(8))


@CIPHERS
def test_a_closed_cipher_does_nothing_more(algorithm: Algorithm) -> None:
    ready = BlockCipher(DOUBLE, algorithm)
    assert ready.key == DOUBLE
    half = ready.first_half() if algorithm is Algorithm.TDES else ready
    use_up(ready)
    ready.close()
    ready.close()
    block = bytes(ready.block_size)
    for closed in (ready, half):
        works: tuple[Callable[[bytes], bytes], ...] = (
            closed.encrypt,
            closed.decrypt,
            closed.encrypt_cbc,
            closed.decrypt_cbc,
            closed.cmac,
            lambda iv, closed=closed: closed.encrypt_cbc(iv, iv=iv),  # type: ignore[misc]  # a default has no type here
        )
        for work in works:
            with pytest.raises(KeyFault, match="dropped"):
                work(block)
        with pytest.raises(KeyFault, match="dropped"):
            _ = closed.key
    with pytest.raises(KeyFault, match="dropped"):
        ready.first_half()


@CIPHERS
def test_closing_drops_everything_that_was_built_from_the_key(algorithm: Algorithm) -> None:
    ready = BlockCipher(DOUBLE, algorithm)
    use_up(ready)
    # A secret is compared by value, so only this one object tells whether the cipher still holds it.
    key = ready.key
    assert held_by(ready, key)
    assert built_from(ready)
    ready.close()
    assert not held_by(ready, key)
    assert built_from(ready) == []


def held_by(ready: BlockCipher, key: KeyBytes) -> bool:
    return any(held is key for held in gc.get_referents(ready))


def built_from(ready: BlockCipher) -> list[str]:
    """Names of the types from the library, or of another cipher, that `ready` refers to."""
    names = [type(held).__name__ for held in gc.get_referents(ready) if not isinstance(held, type)]
    kept = {Cipher.__name__, CMAC.__name__, BlockCipher.__name__}
    return [name for name in names if name in kept or "Context" in name]


def test_a_mac_builds_nothing_twice() -> None:
    ready = BlockCipher(DOUBLE)
    for algorithm in ("unionpay-ecb", "x9.9", "x9.19", "cbc-mac", "3des-cmac"):
        mac.compute(algorithm, ready, b"0200 anything at all")
    before = [id(held) for held in gc.get_referents(ready)]
    for algorithm in ("unionpay-ecb", "x9.9", "x9.19", "cbc-mac", "3des-cmac"):
        mac.compute(algorithm, ready, b"0200 something else")
    assert [id(held) for held in gc.get_referents(ready)] == before


def test_a_cipher_never_shows_its_key() -> None:
    ready = BlockCipher(DOUBLE)
    assert repr(ready) == "BlockCipher(***)"
    ready.close()
    assert repr(ready) == "BlockCipher(closed)"
