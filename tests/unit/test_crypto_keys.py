"""Key wrapping and check values, down to the chain from a master key to a published MAC."""

from __future__ import annotations

import pytest

from pos_engine.crypto import des, keys, mac, sm4
from pos_engine.crypto.cipher import Algorithm
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

TMK = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
SINGLE = KeyBytes(bytes.fromhex("1112131415161718"))
DOUBLE = KeyBytes(bytes.fromhex("21222324252627283132333435363738"))


def key_of(text: str) -> KeyBytes:
    """Read a key as the vectors write it."""
    return KeyBytes(bytes.fromhex(text))


@pytest.mark.parametrize("vector", known.of_kind("check_value"), ids=str)
def test_check_values_are_the_published_ones(vector: known.Vector) -> None:
    check = bytes.fromhex(vector.expected["check_value"])
    if "key" in vector.input:
        assert keys.check_value(key_of(vector.input["key"])) == check
        return
    wrapped = WrappedKey(KeyUsage.PIN, bytes.fromhex(vector.input["key_enc"]), check)
    assert keys.unwrap(key_of(vector.input["tmk"]), wrapped) == key_of(vector.expected["key_clear"])


def test_a_sign_on_answer_leads_from_the_master_key_to_the_published_mac() -> None:
    vector = known.by_id("sign_on_keys_40")
    tmk, field = key_of(vector.input["tmk"]), bytes.fromhex(vector.input["f62"])
    pik = keys.unwrap(tmk, WrappedKey(KeyUsage.PIN, field[:16], field[16:20]))
    mak = keys.unwrap(tmk, WrappedKey(KeyUsage.MAC, field[20:36], field[36:40]))
    assert pik == key_of(vector.expected["pik_clear"])
    assert mak == key_of(vector.expected["mak_clear"])
    assert keys.check_value(pik).hex().upper() == vector.expected["pik_check"]
    assert keys.check_value(mak).hex().upper() == vector.expected["mak_check"]
    sale = known.by_id("mac_qr_sale")
    field64 = mac.generate("unionpay-ecb", mak, bytes.fromhex(sale.input["mab"]))
    assert field64 == b"E5805ECB"
    assert field64.hex().upper() == sale.expected["f64_hex"]


def test_a_sign_on_answer_of_24_bytes_is_two_single_length_keys() -> None:
    vector = known.by_id("sign_on_keys_24")
    tmk = key_of(vector.input["tmk"])
    pik = keys.wrap(tmk, key_of(vector.input["pik_clear"]), KeyUsage.PIN)
    mak = keys.wrap(tmk, key_of(vector.input["mak_clear"]), KeyUsage.MAC)
    field = pik.cryptogram + pik.check_value + mak.cryptogram + mak.check_value
    assert field.hex().upper() == vector.expected["f62"]


@pytest.mark.parametrize("name", ["mac_single_length_key", "pin_block_123456"])
def test_published_cryptograms_unwrap(name: str) -> None:
    vector = known.by_id(name)
    usage, short = (KeyUsage.MAC, "mak") if "mak" in vector.input else (KeyUsage.PIN, "pik")
    clear = key_of(vector.input[short])
    wrapped = WrappedKey(usage, bytes.fromhex(vector.input[f"{short}_enc"]), keys.check_value(clear))
    assert keys.unwrap(key_of(vector.input["tmk"]), wrapped) == clear


def test_every_published_vector_has_a_test() -> None:
    tested = {
        "check_value",
        "des_blocks",
        "mac_3des-cmac",
        "mac_aes-cmac",
        "mac_sm4-xor",
        "mac_unionpay_ecb",
        "mac_x9.19",
        "pin_block",
        "pin_block_sm4",
        "sign_on_keys_24",
        "sign_on_keys_40",
        "sm4_blocks",
        "sm4_check_value",
        "sm4_million_blocks",
        "track_encryption",
    }
    assert {vector.kind for vector in known.ALL} == tested


@pytest.mark.parametrize("usage", KeyUsage)
@pytest.mark.parametrize("key", [SINGLE, DOUBLE, KeyBytes(bytes(range(24)))])
def test_what_is_wrapped_unwraps(key: KeyBytes, usage: KeyUsage) -> None:
    wrapped = keys.wrap(TMK, key, usage)
    assert wrapped.usage is usage
    assert keys.unwrap(TMK, wrapped) == key


@pytest.mark.parametrize("filling", [bytes(8), b"\xff" * 8])
def test_a_mac_field_of_16_bytes_may_hold_a_single_length_key(filling: bytes) -> None:
    wrapped = keys.wrap(TMK, SINGLE, KeyUsage.MAC)
    padded = WrappedKey(KeyUsage.MAC, wrapped.cryptogram + filling, wrapped.check_value)
    assert keys.unwrap(TMK, padded) == SINGLE


def test_a_real_double_length_mac_key_is_taken_whole() -> None:
    assert keys.unwrap(TMK, keys.wrap(TMK, DOUBLE, KeyUsage.MAC)) == DOUBLE


@pytest.mark.parametrize("usage", [KeyUsage.PIN, KeyUsage.TRACK])
def test_only_a_mac_key_may_fill_half_its_field(usage: KeyUsage) -> None:
    wrapped = keys.wrap(TMK, SINGLE, usage)
    with pytest.raises(KeyFault, match=usage.value):
        keys.unwrap(TMK, WrappedKey(usage, wrapped.cryptogram + bytes(8), wrapped.check_value))


@pytest.mark.parametrize("usage", KeyUsage)
@pytest.mark.parametrize("position", range(4))
def test_one_wrong_bit_in_the_check_value_is_a_fault_that_names_the_usage(usage: KeyUsage, position: int) -> None:
    wrapped = keys.wrap(TMK, DOUBLE, usage)
    wrong = bytearray(wrapped.check_value)
    wrong[position] ^= 1
    with pytest.raises(KeyFault) as caught:
        keys.unwrap(TMK, WrappedKey(usage, wrapped.cryptogram, bytes(wrong)))
    assert str(caught.value) == f"the check value of the {usage.value} does not match"


def test_another_master_key_is_a_fault() -> None:
    with pytest.raises(KeyFault, match="check value"):
        keys.unwrap(DOUBLE, keys.wrap(TMK, SINGLE, KeyUsage.MAC))


def test_bad_parity_is_no_reason_to_refuse() -> None:
    even = KeyBytes(bytes(16))
    assert keys.unwrap(TMK, keys.wrap(TMK, even, KeyUsage.PIN)) == even


@pytest.mark.parametrize("size", [3, 4, 8])
def test_as_many_bytes_of_check_value_are_compared_as_came(size: int) -> None:
    full = des.encrypt_ecb(DOUBLE, bytes(8))
    cryptogram = keys.wrap(TMK, DOUBLE, KeyUsage.PIN).cryptogram
    assert keys.unwrap(TMK, WrappedKey(KeyUsage.PIN, cryptogram, full[:size])) == DOUBLE
    wrong = full[: size - 1] + bytes([full[size - 1] ^ 0x80])
    with pytest.raises(KeyFault, match="check value"):
        keys.unwrap(TMK, WrappedKey(KeyUsage.PIN, cryptogram, wrong))


@pytest.mark.parametrize("size", [0, 1, 2, 9, 16])
def test_a_check_value_that_would_match_too_much_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="3 to 8"):
        WrappedKey(KeyUsage.PIN, bytes(16), bytes(size))


@pytest.mark.parametrize("size", [0, 7, 9, 15, 17, 32])
def test_a_cryptogram_has_a_key_s_size(size: int) -> None:
    with pytest.raises(UsageError, match="8, 16 or 24"):
        WrappedKey(KeyUsage.PIN, bytes(size), bytes(4))


def test_three_bytes_are_shown_and_the_cryptogram_is_not() -> None:
    wrapped = WrappedKey(KeyUsage.MAC, bytes(range(16)), bytes.fromhex("B8F616DC"))
    assert repr(wrapped) == str(wrapped) == "WrappedKey(MAC, B8F616)"
    assert keys.show(bytes.fromhex("14AE01BB")) == "14AE01"


@pytest.mark.parametrize("vector", known.of_kind("sm4_check_value"), ids=str)
def test_an_sm4_working_key_is_the_published_one(vector: known.Vector) -> None:
    tmk, clear = key_of(vector.input["tmk"]), key_of(vector.expected["key_clear"])
    check = bytes.fromhex(vector.expected["check_value_8"])
    wrapped = WrappedKey(KeyUsage.PIN, bytes.fromhex(vector.input["key_enc"]), check, Algorithm.SM4)
    assert keys.unwrap(tmk, wrapped) == clear
    assert keys.wrap(tmk, clear, KeyUsage.PIN, algorithm=Algorithm.SM4) == wrapped
    assert keys.check_value(clear, Algorithm.SM4) == check
    assert keys.check_value(clear, Algorithm.SM4, size=4) == check[:4]


@pytest.mark.parametrize("usage", KeyUsage)
@pytest.mark.parametrize("size", [3, 4, 8])
def test_what_is_wrapped_with_sm4_unwraps_whatever_the_check_value_s_size(usage: KeyUsage, size: int) -> None:
    wrapped = keys.wrap(TMK, DOUBLE, usage, algorithm=Algorithm.SM4, check_size=size)
    assert wrapped.check_value == sm4.encrypt_ecb(DOUBLE, bytes(16))[:size]
    assert keys.unwrap(TMK, wrapped) == DOUBLE
    wrong = bytearray(wrapped.check_value)
    wrong[-1] ^= 1
    with pytest.raises(KeyFault, match=usage.value):
        keys.unwrap(TMK, WrappedKey(usage, wrapped.cryptogram, bytes(wrong), Algorithm.SM4))


def test_an_sm4_mac_key_never_fills_half_its_field() -> None:
    half = keys.wrap(TMK, SINGLE, KeyUsage.MAC)
    with pytest.raises(KeyFault, match="check value"):
        keys.unwrap(TMK, WrappedKey(KeyUsage.MAC, half.cryptogram + bytes(8), half.check_value, Algorithm.SM4))


def test_a_key_is_not_taken_for_one_of_another_cipher() -> None:
    for one, other in ((Algorithm.TDES, Algorithm.SM4), (Algorithm.SM4, Algorithm.TDES)):
        wrapped = keys.wrap(TMK, DOUBLE, KeyUsage.PIN, algorithm=one)
        with pytest.raises(KeyFault, match="check value"):
            keys.unwrap(TMK, WrappedKey(KeyUsage.PIN, wrapped.cryptogram, wrapped.check_value, other))


@pytest.mark.parametrize("size", [8, 24])
def test_sm4_keys_and_cryptograms_have_16_bytes(size: int) -> None:
    with pytest.raises(UsageError, match="16 bytes"):
        WrappedKey(KeyUsage.PIN, bytes(size), bytes(8), Algorithm.SM4)
    with pytest.raises(KeyFault, match="16 bytes"):
        keys.wrap(TMK, KeyBytes(bytes(size)), KeyUsage.PIN, algorithm=Algorithm.SM4)
    with pytest.raises(KeyFault, match="16 bytes"):
        keys.wrap(KeyBytes(bytes(size)), DOUBLE, KeyUsage.PIN, algorithm=Algorithm.SM4)


@pytest.mark.parametrize("size", [0, 2, 9, 16, -1])
def test_a_check_value_is_never_made_too_short_or_too_long(size: int) -> None:
    for algorithm in keys.CHECK_VALUE_SIZES:
        with pytest.raises(UsageError, match="3 to 8"):
            keys.check_value(DOUBLE, algorithm, size=size)


def test_no_layout_wraps_keys_with_aes() -> None:
    with pytest.raises(UsageError, match="aes"):
        WrappedKey(KeyUsage.PIN, bytes(16), bytes(4), Algorithm.AES)
    with pytest.raises(UsageError, match="aes"):
        keys.check_value(DOUBLE, Algorithm.AES)


def test_a_wrapped_key_says_when_it_is_not_for_3des() -> None:
    wrapped = keys.wrap(TMK, DOUBLE, KeyUsage.PIN, algorithm=Algorithm.SM4)
    assert repr(wrapped) == f"WrappedKey(PIN, sm4, {wrapped.check_value.hex().upper()[:6]})"
