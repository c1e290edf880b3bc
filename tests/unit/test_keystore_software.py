"""The software keystore on real files: modes, atomicity, refusals, and no key where none belongs."""

from __future__ import annotations

import gc
import json
import os
import resource
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from pos_engine import limits
from pos_engine.crypto import keys, mac
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.errors import ConfigError, KeyFault, PosError, UsageError
from pos_engine.keystore.base import KeyStore
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.system import entropy
from pos_engine.values import KeyBytes
from tests.vectors import crypto as known

ROOT = Path(__file__).parents[2]
SIGN_ON = known.by_id("sign_on_keys_40")
FIELD62 = bytes.fromhex(SIGN_ON.input["f62"])
TMK = KeyBytes(bytes.fromhex(SIGN_ON.input["tmk"]))
PIK = WrappedKey(KeyUsage.PIN, FIELD62[:16], FIELD62[16:20])
MAK = WrappedKey(KeyUsage.MAC, FIELD62[20:36], FIELD62[36:40])
MAB = bytes.fromhex(known.by_id("mac_qr_sale").input["mab"])
TRACK = known.by_id("track_odd_37").input["track"]
SM4_KEY = known.by_id("sm4_working_key")
SM4_TMK = KeyBytes(bytes.fromhex(SM4_KEY.input["tmk"]))


@pytest.fixture(name="paths")
def two_paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "terminal.keys", tmp_path / "wrapping.key"


@pytest.fixture(name="store")
def new_store(paths: tuple[Path, Path]) -> SoftwareKeyStore:
    return SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_a_key_store(store: SoftwareKeyStore) -> None:
    as_protocol: KeyStore = store
    assert {name for name in vars(KeyStore) if not name.startswith("_")} <= set(dir(store))
    as_protocol.check([PIK, MAK])
    assert as_protocol.mac(MAK, "unionpay-ecb", MAB) == b"E5805ECB"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_files_get_their_modes_whatever_the_umask(paths: tuple[Path, Path], umask: int) -> None:
    before = os.umask(umask)
    try:
        SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    finally:
        os.umask(before)
    assert [mode_of(path) for path in paths] == [0o600, 0o400]
    assert len(paths[1].read_bytes()) == 32


def test_nothing_else_is_left_in_the_folder(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    assert set(paths[0].parent.iterdir()) == set(paths)
    store.close()


def test_what_was_created_opens_with_the_same_keys(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    opened = SoftwareKeyStore.open(*paths)
    assert opened.storage_key() == store.storage_key()
    assert opened.describe() == store.describe()
    assert opened.mac(MAK, "unionpay-ecb", MAB) == b"E5805ECB"


@pytest.mark.parametrize("size", [8, 16, 24])
def test_a_master_key_may_have_every_des_size(paths: tuple[Path, Path], size: int) -> None:
    tmk = KeyBytes(bytes(range(size)))
    SoftwareKeyStore.create(*paths, tmk=tmk, entropy=entropy)
    SoftwareKeyStore.open(*paths).check([keys.wrap(tmk, KeyBytes(bytes(range(16))), KeyUsage.PIN)])


def test_a_master_key_of_another_size_is_refused_before_anything_is_written(paths: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="8, 16 or 24"):
        SoftwareKeyStore.create(*paths, tmk=KeyBytes(bytes(32)), entropy=entropy)
    assert list(paths[0].parent.iterdir()) == []


def test_every_store_has_its_own_storage_key(tmp_path: Path) -> None:
    stores = [
        SoftwareKeyStore.create(tmp_path / f"{n}.keys", tmp_path / f"{n}.wrap", tmk=TMK, entropy=entropy)
        for n in range(3)
    ]
    assert len({store.storage_key().reveal() for store in stores}) == 3
    assert all(len(store.storage_key().reveal()) == 32 for store in stores)


@pytest.mark.parametrize("existing", [0, 1])
def test_an_existing_file_is_never_overwritten(paths: tuple[Path, Path], existing: int) -> None:
    paths[existing].write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists already") as caught:
        SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    assert str(paths[existing]) in str(caught.value)
    assert paths[existing].read_bytes() == b"precious"
    assert list(paths[0].parent.iterdir()) == [paths[existing]]


def test_a_dangling_link_is_never_written_through(paths: tuple[Path, Path], tmp_path: Path) -> None:
    paths[0].symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="exists already"):
        SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    assert not (tmp_path / "elsewhere").exists()


def test_one_path_for_both_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "both"
    with pytest.raises(ConfigError, match="exists already"):
        SoftwareKeyStore.create(path, path, tmk=TMK, entropy=entropy)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "terminal.keys"
    with pytest.raises(ConfigError, match=r"terminal\.keys: cannot be written: No such file"):
        SoftwareKeyStore.create(path, tmp_path / "wrapping.key", tmk=TMK, entropy=entropy)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    script = f"""
import resource, signal
from pathlib import Path
from pos_engine.errors import ConfigError
from pos_engine.keystore.base import KeyStore
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.system import entropy
from pos_engine.values import KeyBytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
try:
    SoftwareKeyStore.create(folder / "keys", folder / "wrap", tmk=KeyBytes(bytes(16)), entropy=entropy)
except ConfigError as error:
    print(error)
"""
    # The wrapping key still fits into 40 bytes, the keystore does not.
    done = subprocess.run([sys.executable, "-B", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "keys: cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o402, 0o410, 0o401, 0o644, 0o666])
def test_a_wrapping_key_open_to_others_is_refused(paths: tuple[Path, Path], mode: int) -> None:
    SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    paths[1].chmod(mode)
    with pytest.raises(ConfigError, match="open to others") as caught:
        SoftwareKeyStore.open(*paths)
    assert str(paths[1]) in str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_wrapping_key_of_its_owner_is_accepted(paths: tuple[Path, Path], mode: int) -> None:
    SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    paths[1].chmod(mode)
    SoftwareKeyStore.open(*paths).check([MAK])


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_wrapping_key_has_32_bytes(store: SoftwareKeyStore, paths: tuple[Path, Path], size: int) -> None:
    store.close()
    paths[1].unlink()
    paths[1].write_bytes(bytes(size))
    paths[1].chmod(0o400)
    with pytest.raises(ConfigError, match=r"wrapping\.key: (a wrapping key has 32 bytes|too large)"):
        SoftwareKeyStore.open(*paths)


@pytest.mark.parametrize("which", [0, 1])
def test_missing_files_folders_and_pipes_are_named(paths: tuple[Path, Path], which: int) -> None:
    SoftwareKeyStore.create(*paths, tmk=TMK, entropy=entropy)
    paths[which].unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        SoftwareKeyStore.open(*paths)
    paths[which].mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        SoftwareKeyStore.open(*paths)
    paths[which].rmdir()
    os.mkfifo(paths[which], 0o600)
    with pytest.raises(ConfigError, match="not a regular file") as caught:
        SoftwareKeyStore.open(*paths)
    assert str(paths[which]) in str(caught.value)


def test_another_wrapping_key_does_not_open_it(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    store.close()
    paths[1].chmod(0o600)
    paths[1].write_bytes(bytes(32))
    with pytest.raises(KeyFault, match="does not open it") as caught:
        SoftwareKeyStore.open(*paths)
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_changed_box_does_not_open(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    store.close()
    content = json.loads(paths[0].read_text())
    for name in ("nonce", "box"):
        changed = dict(content)
        changed[name] = f"{int(content[name][:2], 16) ^ 1:02x}" + content[name][2:]
        paths[0].write_text(json.dumps(changed))
        with pytest.raises(KeyFault, match="does not open it"):
            SoftwareKeyStore.open(*paths)


MALFORMED = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no JSON": b'{"version": 1, "nonce": "SECRET',
    "no object": b'["SECRET"]',
    "deep": b"[" * limits.KEYSTORE_BYTES_MAX,
    "next version": b'{"version": 2, "nonce": "000000000000000000000000", "box": "SECRET"}',
    "no version": b'{"nonce": "000000000000000000000000", "box": "00"}',
    "no box": b'{"version": 1, "nonce": "000000000000000000000000"}',
    "box is no text": b'{"version": 1, "nonce": "000000000000000000000000", "box": 7}',
    "box is no hex": b'{"version": 1, "nonce": "000000000000000000000000", "box": "SECRET"}',
    "unknown algorithm": b'{"version": 1, "algorithm": "SECRET", "nonce": "000000000000000000000000", "box": "00"}',
    "algorithm is no text": b'{"version": 1, "algorithm": [], "nonce": "000000000000000000000000", "box": "00"}',
    "unfit algorithm": b'{"version": 1, "algorithm": "aes", "nonce": "000000000000000000000000", "box": "00"}',
    "short nonce": b'{"version": 1, "nonce": "0000000000000000000000", "box": "00"}',
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_keystore_is_named_and_not_quoted(
    store: SoftwareKeyStore, paths: tuple[Path, Path], content: bytes
) -> None:
    store.close()
    paths[0].write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        SoftwareKeyStore.open(*paths)
    assert str(caught.value) == f"{paths[0]}: not a keystore of version 1"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("size", "reason"), [(4096, "not a keystore"), (4097, "too large")])
def test_a_keystore_is_small(store: SoftwareKeyStore, paths: tuple[Path, Path], size: int, reason: str) -> None:
    store.close()
    paths[0].write_bytes(b" " * size)
    with pytest.raises(ConfigError, match=reason):
        SoftwareKeyStore.open(*paths)


def test_no_file_but_the_wrapping_key_holds_a_key(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    content = paths[0].read_bytes()
    for clear in (TMK.reveal(), store.storage_key().reveal(), paths[1].read_bytes()):
        assert clear not in content
        assert clear.hex().encode() not in content.lower()


def test_check_names_the_first_key_that_is_wrong(store: SoftwareKeyStore) -> None:
    store.check([])
    store.check([PIK, MAK])
    for key in (PIK, MAK):
        wrong = WrappedKey(key.usage, key.cryptogram, bytes(4))
        with pytest.raises(KeyFault, match=f"check value of the {key.usage.value} "):
            store.check([wrong, PIK, MAK])


def test_pin_blocks_are_encrypted_under_the_pin_key(paths: tuple[Path, Path]) -> None:
    vector = known.by_id("pin_block_123456")
    tmk, pik = (KeyBytes(bytes.fromhex(vector.input[name])) for name in ("tmk", "pik"))
    store = SoftwareKeyStore.create(*paths, tmk=tmk, entropy=entropy)
    wrapped = keys.wrap(tmk, pik, KeyUsage.PIN)
    assert wrapped.cryptogram.hex().upper() == vector.input["pik_enc"]
    block = store.pin_block(wrapped, bytes.fromhex(vector.expected["clear_block"]))
    assert block.reveal().hex().upper() == vector.expected["encrypted_block"]
    assert "***" in repr(block)


@pytest.mark.parametrize("size", [0, 7, 9, 16])
def test_a_clear_pin_block_has_eight_bytes(store: SoftwareKeyStore, size: int) -> None:
    with pytest.raises(UsageError, match="8 bytes"):
        store.pin_block(PIK, bytes(size))


def test_a_key_serves_its_usage_only(store: SoftwareKeyStore) -> None:
    with pytest.raises(KeyFault, match="a PIN key cannot serve as MAC key"):
        store.mac(PIK, "unionpay-ecb", MAB)
    with pytest.raises(KeyFault, match="a MAC key cannot serve as PIN key"):
        store.pin_block(MAK, bytes(8))
    for key in (PIK, MAK):
        with pytest.raises(KeyFault, match=f"a {key.usage.value} cannot serve as track key"):
            store.track(key, TRACK)
    tdk = keys.wrap(TMK, KeyBytes(bytes(16)), KeyUsage.TRACK)
    with pytest.raises(KeyFault, match="a track key cannot serve as MAC key"):
        store.mac(tdk, "unionpay-ecb", MAB)
    with pytest.raises(KeyFault, match="a track key cannot serve as PIN key"):
        store.pin_block(tdk, bytes(8))


@pytest.mark.parametrize("vector", known.of_kind("track_encryption"), ids=str)
def test_tracks_are_encrypted_under_the_track_key(store: SoftwareKeyStore, vector: known.Vector) -> None:
    tdk = keys.wrap(TMK, KeyBytes(bytes.fromhex(vector.input["tdk"])), KeyUsage.TRACK)
    assert store.track(tdk, vector.input["track"]) == vector.expected["track_enc"]


@pytest.mark.parametrize("algorithm", ["unionpay-ecb", "x9.9", "x9.19"])
def test_every_algorithm_of_a_single_length_key_works_through_the_store(
    store: SoftwareKeyStore, algorithm: str
) -> None:
    clear = keys.unwrap(TMK, MAK)
    for data in (MAB, b"", b"0200"):
        assert store.mac(MAK, algorithm, data) == mac.generate(algorithm, clear, data)


@pytest.mark.parametrize("algorithm", sorted(mac.ALGORITHMS))
def test_a_key_for_3des_serves_the_algorithms_of_3des_only(store: SoftwareKeyStore, algorithm: str) -> None:
    clear = KeyBytes(bytes(range(16)))
    wrapped = keys.wrap(TMK, clear, KeyUsage.MAC)
    if mac.ALGORITHMS[algorithm].cipher is Algorithm.TDES:
        assert store.mac(wrapped, algorithm, MAB) == mac.generate(algorithm, clear, MAB)
    else:
        with pytest.raises(KeyFault, match="not for 3des"):
            store.mac(wrapped, algorithm, MAB)


def test_an_unknown_algorithm_is_refused(store: SoftwareKeyStore) -> None:
    with pytest.raises(UsageError, match="no MAC algorithm"):
        store.mac(MAK, "none", MAB)


def test_keys_that_take_turns_each_give_their_own_mac(store: SoftwareKeyStore) -> None:
    other = KeyBytes(bytes(range(16)))
    replaced = keys.wrap(TMK, other, KeyUsage.MAC)
    for _ in range(3):
        assert store.mac(MAK, "unionpay-ecb", MAB) == b"E5805ECB"
        assert store.mac(replaced, "unionpay-ecb", MAB) == mac.generate("unionpay-ecb", other, MAB)


def test_a_bad_new_key_leaves_the_good_old_one_in_use(store: SoftwareKeyStore) -> None:
    assert store.mac(MAK, "unionpay-ecb", MAB) == b"E5805ECB"
    with pytest.raises(KeyFault, match="check value"):
        store.mac(WrappedKey(KeyUsage.MAC, MAK.cryptogram, bytes(4)), "unionpay-ecb", MAB)
    assert store.mac(MAK, "unionpay-ecb", MAB) == b"E5805ECB"


def usable_ciphers() -> int:
    gc.collect()
    return sum(isinstance(found, BlockCipher) and "***" in repr(found) for found in gc.get_objects())


def test_a_replaced_key_is_dropped_at_once_and_all_are_on_close(store: SoftwareKeyStore) -> None:
    before = usable_ciphers()
    for number in range(10):
        store.mac(keys.wrap(TMK, KeyBytes(bytes([number]) * 16), KeyUsage.MAC), "unionpay-ecb", MAB)
        store.pin_block(keys.wrap(TMK, KeyBytes(bytes([number]) * 16), KeyUsage.PIN), bytes(8))
        store.track(keys.wrap(TMK, KeyBytes(bytes([number]) * 16), KeyUsage.TRACK), TRACK)
        assert usable_ciphers() == before + 3
    store.close()
    assert usable_ciphers() == before


def test_a_closed_store_does_nothing_more(store: SoftwareKeyStore) -> None:
    store.mac(MAK, "unionpay-ecb", MAB)
    store.close()
    store.close()
    with pytest.raises(KeyFault, match="closed"):
        store.mac(MAK, "unionpay-ecb", MAB)
    with pytest.raises(KeyFault, match="closed"):
        store.pin_block(PIK, bytes(8))
    with pytest.raises(KeyFault, match="closed"):
        store.track(keys.wrap(TMK, TMK, KeyUsage.TRACK), TRACK)
    with pytest.raises(KeyFault, match="closed"):
        store.check([MAK])
    with pytest.raises(KeyFault, match="closed"):
        store.storage_key()
    with pytest.raises(KeyFault, match="closed"):
        store.describe()


def test_the_description_has_three_bytes_of_each_check_value(store: SoftwareKeyStore) -> None:
    (tmk_name, tmk_check), (storage_name, storage_check) = store.describe()
    assert (tmk_name, storage_name) == ("terminal master key", "storage key")
    assert tmk_check == keys.check_value(TMK)[:3].hex().upper()
    assert len(storage_check) == 6
    assert storage_check.lower() not in store.storage_key().reveal().hex()


def test_no_rendering_and_no_traceback_shows_a_key(store: SoftwareKeyStore) -> None:
    shown = [repr(store), str(store), repr(store.describe())]
    try:
        store.check([WrappedKey(KeyUsage.MAC, MAK.cryptogram, bytes(4))])
    except PosError as error:
        shown += traceback.format_exception(error)
    store.close()
    shown.append(repr(store))
    secrets = (TMK.reveal(), keys.unwrap(TMK, MAK).reveal())
    for text in shown:
        assert not any(secret.hex() in text.lower() for secret in secrets)


def test_opening_leaks_no_descriptor(store: SoftwareKeyStore, paths: tuple[Path, Path]) -> None:
    store.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        for _ in range(300):
            SoftwareKeyStore.open(*paths).close()
            with pytest.raises(ConfigError, match="Is a directory"):
                SoftwareKeyStore.open(paths[0].parent, paths[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(name="sm4_store")
def new_sm4_store(paths: tuple[Path, Path]) -> SoftwareKeyStore:
    SoftwareKeyStore.create(*paths, tmk=SM4_TMK, entropy=entropy, algorithm=Algorithm.SM4).close()
    return SoftwareKeyStore.open(*paths)


def test_a_store_for_sm4_unwraps_the_published_key_and_computes_with_it(sm4_store: SoftwareKeyStore) -> None:
    cryptogram, check = bytes.fromhex(SM4_KEY.input["key_enc"]), bytes.fromhex(SM4_KEY.expected["check_value_8"])
    pik, mak = (WrappedKey(usage, cryptogram, check, Algorithm.SM4) for usage in (KeyUsage.PIN, KeyUsage.MAC))
    sm4_store.check([pik, mak, WrappedKey(KeyUsage.PIN, cryptogram, check[:4], Algorithm.SM4)])
    block = known.by_id("sm4_pin_block")
    encrypted = sm4_store.pin_block(pik, bytes.fromhex(block.expected["clear_block"]))
    assert encrypted.reveal().hex().upper() == block.expected["encrypted_block"]
    assert sm4_store.mac(mak, "sm4-xor", MAB) == known.by_id("sm4_xor_qr_sale").expected["f64_ascii"].encode()
    with pytest.raises(KeyFault, match="not for sm4"):
        sm4_store.mac(mak, "unionpay-ecb", MAB)
    with pytest.raises(UsageError, match="16 bytes with sm4"):
        sm4_store.pin_block(pik, bytes(8))


def test_tracks_are_not_encrypted_with_sm4(sm4_store: SoftwareKeyStore) -> None:
    tdk = keys.wrap(SM4_TMK, KeyBytes(bytes(16)), KeyUsage.TRACK, algorithm=Algorithm.SM4)
    with pytest.raises(KeyFault, match="not with sm4"):
        sm4_store.track(tdk, TRACK)


def test_a_master_key_serves_one_cipher(sm4_store: SoftwareKeyStore, tmp_path: Path) -> None:
    des_paths = (tmp_path / "des.keys", tmp_path / "des.wrap")
    des_store = SoftwareKeyStore.create(*des_paths, tmk=SM4_TMK, entropy=entropy)
    for store, other in ((sm4_store, Algorithm.TDES), (des_store, Algorithm.SM4)):
        wrapped = keys.wrap(SM4_TMK, KeyBytes(bytes(16)), KeyUsage.MAC, algorithm=other)
        with pytest.raises(KeyFault, match=f"a MAC key for {other.value} under a key for "):
            store.check([wrapped])
        with pytest.raises(KeyFault, match=f"a MAC key for {other.value} under a key for "):
            store.mac(wrapped, "unionpay-ecb", MAB)


def test_the_description_of_a_master_key_for_sm4_is_its_own_check_value(sm4_store: SoftwareKeyStore) -> None:
    assert sm4_store.describe()[0][1] == keys.check_value(SM4_TMK, Algorithm.SM4)[:3].hex().upper()


@pytest.mark.parametrize("algorithm", ["3des", None])
def test_nobody_turns_an_sm4_master_key_into_a_3des_key(
    sm4_store: SoftwareKeyStore, paths: tuple[Path, Path], algorithm: str | None
) -> None:
    sm4_store.close()
    content = json.loads(paths[0].read_text())
    assert content.pop("algorithm") == "sm4"
    paths[0].write_text(json.dumps(content | ({"algorithm": algorithm} if algorithm else {})))
    with pytest.raises(KeyFault, match="does not open it"):
        SoftwareKeyStore.open(*paths)


@pytest.mark.parametrize(("algorithm", "size"), [(Algorithm.SM4, 8), (Algorithm.SM4, 24), (Algorithm.AES, 16)])
def test_a_master_key_its_cipher_cannot_have_is_refused(
    paths: tuple[Path, Path], algorithm: Algorithm, size: int
) -> None:
    with pytest.raises(UsageError):
        SoftwareKeyStore.create(*paths, tmk=KeyBytes(bytes(size)), entropy=entropy, algorithm=algorithm)
    assert list(paths[0].parent.iterdir()) == []
