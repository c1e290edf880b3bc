"""Keys replaced and destroyed: the file changes whole or not at all, and what was in it is overwritten."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pos_engine.crypto.cipher import Algorithm
from pos_engine.crypto.keys import KeyUsage, wrap
from pos_engine.errors import ConfigError, KeyFault, UsageError
from pos_engine.keystore import files
from pos_engine.keystore.box import Box, zeroise
from pos_engine.keystore.software import HeldKey, SoftwareKeyStore
from pos_engine.keystore.wrapping import KeyFile, Passphrase
from pos_engine.system import entropy
from pos_engine.values import KeyBytes
from simulators.prove.canaries import Canary, search

ROOT = Path(__file__).parents[2]
OLD = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
NEW = KeyBytes(bytes.fromhex("11111111111111112222222222222222"))
MAK = wrap(OLD, KeyBytes(bytes(range(8))), KeyUsage.MAC)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box.create(tmp_path / "keystore.json", KeyFile(tmp_path / "wrapping.key"), tmk=OLD, entropy=entropy)


def opened(box: Box) -> Box:
    return Box.open(box.path, KeyFile(box.path.parent / "wrapping.key"))


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_new_master_key_replaces_the_old_one_under_the_same_storage_key(box: Box) -> None:
    box.path.chmod(0o400)
    box.replaced(NEW, entropy=entropy)
    again = opened(box)
    assert (again.tmk, again.storage) == (NEW, box.storage)
    assert stat.S_IMODE(box.path.stat().st_mode) == 0o600
    assert set(listing(box.path.parent)) == {"keystore.json", "wrapping.key"}
    assert SoftwareKeyStore.of(again).size_of(MAK) is None
    assert SoftwareKeyStore.of(box).size_of(MAK) == 8


def test_the_old_file_is_overwritten_under_whatever_name_it_still_has(box: Box, tmp_path: Path) -> None:
    before = json.loads(box.path.read_text())
    (tmp_path / "second name").hardlink_to(box.path)
    box.replaced(NEW, entropy=entropy)
    left = (tmp_path / "second name").read_bytes()
    assert len(left) > 100
    assert before["box"].encode() not in left
    assert before["nonce"].encode() not in left


def test_every_sealing_has_a_nonce_of_its_own(box: Box) -> None:
    nonces = [json.loads(box.path.read_text())["nonce"]]
    for key in (NEW, OLD, NEW):
        box.replaced(key, entropy=entropy)
        nonces.append(json.loads(box.path.read_text())["nonce"])
    assert len(set(nonces)) == len(nonces)


def test_a_keystore_behind_a_link_stays_behind_it(box: Box, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other medium"
    elsewhere.mkdir()
    box.path.rename(elsewhere / "keys")
    box.path.symlink_to(elsewhere / "keys")
    box.replaced(NEW, entropy=entropy)
    assert box.path.is_symlink()
    assert opened(box).tmk == NEW


def test_a_key_that_cannot_be_changes_nothing(box: Box) -> None:
    before = listing(box.path.parent)
    with pytest.raises(UsageError, match="8, 16 or 24"):
        box.replaced(KeyBytes(bytes(32)), entropy=entropy)
    assert listing(box.path.parent) == before


def test_a_full_disk_changes_nothing(box: Box, tmp_path: Path) -> None:
    before = listing(tmp_path)
    script = f"""
import resource, signal
from pathlib import Path
from pos_engine.errors import ConfigError
from pos_engine.keystore.box import Box
from pos_engine.keystore.wrapping import KeyFile
from pos_engine.system import entropy
from pos_engine.values import KeyBytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
box = Box.open(Path({str(box.path)!r}), KeyFile(Path({str(tmp_path / "wrapping.key")!r})))
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
try:
    box.replaced(KeyBytes(bytes(range(16))), entropy=entropy)
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-B", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "keystore.json: cannot be replaced: File too large" in done.stdout
    assert listing(tmp_path) == before


class Died(BaseException):
    pass


@pytest.mark.parametrize("calls", range(4))
def test_a_power_cut_leaves_the_old_key_or_the_new_one(box: Box, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    left = [calls]
    sync = os.fsync

    def cut(descriptor: int) -> None:
        if not left[0]:
            raise Died
        left[0] -= 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", cut)
    with contextlib.suppress(Died):
        box.replaced(NEW, entropy=entropy)
    monkeypatch.undo()
    # The rename stands between the first sync, of the new file, and the second, of the folder.
    assert opened(box).tmk == (NEW if calls else OLD)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([8, 16, 24, 0]).flatmap(lambda size: st.binary(min_size=size, max_size=size)), max_size=5)
)
def test_the_last_key_that_was_put_in_is_the_one_that_is_there(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    box = Box.create(folder / "keystore.json", KeyFile(folder / "wrapping.key"), tmk=OLD, entropy=entropy)
    expected: KeyBytes | None = OLD
    for clear in sequence:
        expected = KeyBytes(clear) if clear else None
        box = opened(box).replaced(expected, entropy=entropy)
    assert (opened(box).tmk, opened(box).storage) == (expected, box.storage)


def test_without_a_master_key_the_journal_s_key_is_still_there(box: Box) -> None:
    box.replaced(None, entropy=entropy)
    store = SoftwareKeyStore.of(opened(box))
    assert store.storage_key() == box.storage
    assert [key.name for key in store.held()] == ["storage key"]
    assert [name for name, _ in store.describe()] == ["storage key"]
    assert store.size_of(MAK) is None
    for use in (lambda: store.check([MAK]), lambda: store.mac(MAK, "unionpay-ecb", b"")):
        with pytest.raises(KeyFault, match="no terminal master key; `pos-engine session keys load`"):
            use()
    store.close()
    with pytest.raises(KeyFault, match="closed"):
        store.check([MAK])


def test_held_keys_tell_name_algorithm_length_and_check_value(box: Box) -> None:
    master, storage = SoftwareKeyStore.of(box).held()
    assert master == HeldKey("terminal master key", "3des", 16, "08D7B4")
    assert (storage.name, storage.algorithm, storage.size, len(storage.check_value)) == (
        *("storage key", "aes-256-gcm"),
        *(32, 6),
    )


def test_a_box_shows_no_key(box: Box) -> None:
    shown = repr(box) + str(box) + repr(SoftwareKeyStore.of(box).held())
    secrets = [each.reveal() for each in (OLD, box.storage, box.wrapping)]
    assert not any(form in shown for each in secrets for form in (each.hex(), each.hex().upper(), repr(each)))


def test_zeroised_keys_are_in_no_file_and_open_nothing(box: Box, tmp_path: Path) -> None:
    canaries = [
        Canary("wrapping key", box.wrapping.reveal()),
        Canary("sealed box", bytes.fromhex(json.loads(box.path.read_text())["box"])),
    ]
    for name in ("keystore.json", "wrapping.key"):
        (tmp_path / f"second name of {name}").hardlink_to(tmp_path / name)
    assert search([tmp_path], canaries)
    place = KeyFile(tmp_path / "wrapping.key")
    assert zeroise(box.path, place, entropy=entropy) == [place.path, box.path]
    assert sorted(listing(tmp_path)) == ["second name of keystore.json", "second name of wrapping.key"]
    assert search([tmp_path], canaries) == []
    assert zeroise(box.path, place, entropy=entropy) == []


@pytest.mark.parametrize("gone", ["keystore.json", "wrapping.key"])
def test_what_was_interrupted_is_done_again(box: Box, tmp_path: Path, gone: str) -> None:
    (tmp_path / gone).unlink()
    assert len(zeroise(box.path, KeyFile(tmp_path / "wrapping.key"), entropy=entropy)) == 1
    assert listing(tmp_path) == {}


def test_the_wrapping_key_goes_first(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(descriptor: int) -> None:
        del descriptor
        raise Died

    wrapping = (tmp_path / "wrapping.key").read_bytes()
    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(Died):
        zeroise(box.path, KeyFile(tmp_path / "wrapping.key"), entropy=entropy)
    assert (tmp_path / "wrapping.key").read_bytes() != wrapping
    assert box.path.exists()


@pytest.mark.parametrize("calls", range(3))
def test_what_an_interrupted_loading_left_goes_too(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    left = [calls]

    def cut(descriptor: int) -> None:
        del descriptor
        if not left[0]:
            raise Died
        left[0] -= 1

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(Died):
        box.replaced(NEW, entropy=entropy)
    monkeypatch.undo()
    assert len(listing(tmp_path)) == (3 if calls == 0 else 2)
    (tmp_path / "keystore.json.bak").write_text("somebody's own")
    opened(box).replaced(None, entropy=entropy)
    assert set(listing(tmp_path)) == {"keystore.json", "wrapping.key", "keystore.json.bak"}


def test_destroying_follows_a_link_and_removes_both(tmp_path: Path) -> None:
    (tmp_path / "medium").mkdir()
    (tmp_path / "medium" / "key").write_bytes(bytes(32))
    (tmp_path / "key").symlink_to(tmp_path / "medium" / "key")
    assert files.destroy(tmp_path / "key", entropy=entropy)
    assert not os.path.lexists(tmp_path / "key")
    assert list((tmp_path / "medium").iterdir()) == []


def test_what_is_no_file_is_not_destroyed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be destroyed: Is a directory"):
        files.destroy(tmp_path, entropy=entropy)


def test_a_passphrase_is_not_destroyed_and_needs_the_file(tmp_path: Path) -> None:
    path, place = tmp_path / "keystore.json", Passphrase(known=b"correct horse battery")
    Box.create(path, place, tmk=OLD, entropy=entropy, algorithm=Algorithm.SM4)
    assert zeroise(path, place, entropy=entropy) == [path]
    assert listing(tmp_path) == {}
