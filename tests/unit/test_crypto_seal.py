"""Sealing and keyed digests: nothing opens, and nothing collides, that should not."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from pos_engine.crypto import seal
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

KEY = KeyBytes(bytes(range(32)))
NONCE = bytes(range(12))


def test_the_box_is_aes_256_gcm() -> None:
    # Test case 14 of the GCM specification: zero key, zero nonce, one zero block.
    box = seal.seal(KeyBytes(bytes(32)), bytes(12), bytes(16), b"")
    assert box.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


@pytest.mark.parametrize("size", [0, 1, 16, 1000])
def test_what_is_sealed_opens(size: int) -> None:
    box = seal.seal(KEY, NONCE, bytes(size), b"record 7")
    assert len(box) == size + seal.TAG_SIZE
    assert seal.unseal(KEY, NONCE, box, b"record 7") == bytes(size)


def test_every_flipped_bit_keeps_the_box_shut() -> None:
    box = seal.seal(KEY, NONCE, b"card", b"record 7")
    for bit in range(8 * len(box)):
        changed = bytearray(box)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyFault, match="does not open"):
            seal.unseal(KEY, NONCE, bytes(changed), b"record 7")


@pytest.mark.parametrize("size", range(20))
def test_a_shortened_box_stays_shut(size: int) -> None:
    box = seal.seal(KEY, NONCE, b"card", b"record 7")
    with pytest.raises(KeyFault, match="does not open") as caught:
        seal.unseal(KEY, NONCE, box[:size], b"record 7")
    assert caught.value.__context__ is None


def test_another_key_nonce_or_association_keeps_the_box_shut() -> None:
    box = seal.seal(KEY, NONCE, b"card", b"record 7")
    for key, nonce, associated in (
        (KeyBytes(bytes(32)), NONCE, b"record 7"),
        (KEY, bytes(12), b"record 7"),
        (KEY, NONCE, b"record 8"),
    ):
        with pytest.raises(KeyFault, match="does not open"):
            seal.unseal(key, nonce, box, associated)


@pytest.mark.parametrize("size", [8, 16, 24])
def test_a_sealing_key_has_32_bytes(size: int) -> None:
    key = KeyBytes(bytes(size))
    with pytest.raises(KeyFault, match="32 bytes"):
        seal.seal(key, NONCE, b"", b"")
    with pytest.raises(KeyFault, match="32 bytes"):
        seal.unseal(key, NONCE, bytes(16), b"")
    with pytest.raises(KeyFault, match="32 bytes"):
        seal.keyed_digest(key, b"")


@pytest.mark.parametrize("size", [0, 11, 13, 16])
def test_a_nonce_has_12_bytes(size: int) -> None:
    with pytest.raises(UsageError, match="12 bytes"):
        seal.seal(KEY, bytes(size), b"", b"")
    with pytest.raises(UsageError, match="12 bytes"):
        seal.unseal(KEY, bytes(size), bytes(16), b"")


def test_the_digest_is_hmac_over_parts_with_their_lengths() -> None:
    written_out = (2).to_bytes(8, "big") + b"ab" + (0).to_bytes(8, "big") + (1).to_bytes(8, "big") + b"c"
    expected = hmac.new(KEY.reveal(), written_out, hashlib.sha256).digest()
    assert seal.keyed_digest(KEY, b"ab", b"", b"c") == expected


def test_parts_never_run_together() -> None:
    lists = [(), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"b", b"a"), (b"ab", b""), (b"", b"ab")]
    digests = {seal.keyed_digest(KEY, *parts) for parts in lists}
    assert len(digests) == len(lists)
    assert seal.keyed_digest(KeyBytes(bytes(32)), b"ab") not in digests
