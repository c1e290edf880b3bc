"""Track encryption: the known tracks, every length, and what is no track."""

from __future__ import annotations

import pytest

from pos_engine.crypto import des, track
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

TDK = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
CIPHER = BlockCipher(TDK)
TRACK = "6229990000000038D15111018546801584400"


@pytest.mark.parametrize("vector", known.of_kind("track_encryption"), ids=str)
def test_tracks_are_the_known_ones(vector: known.Vector) -> None:
    cipher = BlockCipher(KeyBytes(bytes.fromhex(vector.input["tdk"])))
    clear, encrypted = vector.input["track"], vector.expected["track_enc"]
    assert track.encrypt(cipher, clear) == encrypted
    assert track.encrypt(cipher, clear.replace("D", "=")) == encrypted
    assert track.decrypt(cipher, encrypted) == clear


@pytest.mark.parametrize("length", range(1, 105))
def test_every_length_comes_back_and_only_one_block_changes(length: int) -> None:
    clear = (TRACK * 3)[:length]
    encrypted = track.encrypt(CIPHER, clear)
    assert len(encrypted) == max(17, length)
    assert track.decrypt(CIPHER, encrypted) == clear
    filled = clear.rjust(17, "F")
    kept = 1 if len(filled) % 2 else 2
    assert encrypted[-kept:] == filled[-kept:]
    assert encrypted[: -kept - 16] == filled[: -kept - 16]
    block = des.encrypt_ecb(TDK, bytes.fromhex(filled[-kept - 16 : -kept]))
    assert encrypted[-kept - 16 : -kept] == block.hex().upper()


@pytest.mark.parametrize("clear", ["6229990000000038=1511", "6229990000000038d1511"])
def test_every_separator_becomes_d(clear: str) -> None:
    assert track.decrypt(CIPHER, track.encrypt(CIPHER, clear)) == "6229990000000038D1511"


@pytest.mark.parametrize(
    "clear",
    [
        "",
        "D1511",
        "=1511",
        "F" * 17,
        "622999A000000038D1511",
        "6229990000000038D1511?",
        ";6229990000000038=1511",
        "6229990000000038D15 1",
        "6229990000000038D1511\n",
        "-229990000000038D1511",
        "\uff16229990000000038D1511",
        "\u0666229990000000038D1511",
        "6" * 105,
    ],
)
def test_what_is_no_track_is_refused_without_being_quoted(clear: str) -> None:
    with pytest.raises(UsageError) as caught:
        track.encrypt(CIPHER, clear)
    assert str(caught.value) == "a track has 1 to 104 digits and separators, a digit first"


@pytest.mark.parametrize(
    "encrypted", ["", "6" * 16, "6" * 105, "g" * 20, "6" * 19 + "=", "6" * 19 + "a", "\uff16" * 20, "6" * 17 + "\n"]
)
def test_what_is_no_encrypted_track_is_refused(encrypted: str) -> None:
    with pytest.raises(UsageError, match="17 to 104 hex digits"):
        track.decrypt(CIPHER, encrypted)


def test_another_key_gives_no_track() -> None:
    other = BlockCipher(KeyBytes(bytes(range(16))))
    with pytest.raises(KeyFault, match="wrong track key"):
        track.decrypt(other, track.encrypt(CIPHER, TRACK))


def test_a_track_of_nothing_but_filling_is_no_track() -> None:
    block = des.encrypt_ecb(TDK, b"\xff" * 8).hex().upper()
    with pytest.raises(KeyFault, match="wrong track key"):
        track.decrypt(CIPHER, block + "F")


def test_filling_before_a_longer_track_is_no_track() -> None:
    block = des.encrypt_ecb(TDK, bytes.fromhex("6229990000000038")).hex().upper()
    with pytest.raises(KeyFault, match="wrong track key"):
        track.decrypt(CIPHER, f"FF{block}1")


@pytest.mark.parametrize("algorithm", [Algorithm.SM4, Algorithm.AES])
def test_a_key_for_another_cipher_is_refused(algorithm: Algorithm) -> None:
    wrong = BlockCipher(TDK, algorithm)
    with pytest.raises(KeyFault, match=f"not with {algorithm.value}"):
        track.encrypt(wrong, TRACK)
    with pytest.raises(KeyFault, match=f"not with {algorithm.value}"):
        track.decrypt(wrong, TRACK)
