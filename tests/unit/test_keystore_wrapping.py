"""Where a wrapping key comes from: files, credentials, passphrases, and what each refuses without showing anything."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.errors import ConfigError, KeyFault, PosError, UsageError
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.keystore.wrapping import Credential, Derivation, KeyFile, Passphrase, wrapping_key
from pos_engine.system import entropy
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from pathlib import Path

TMK = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
WORDS = "correct horse battery"


def fed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))


def piped(text: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    return reading


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    return tmp_path / "keystore.json"


@pytest.fixture
def sealed(keystore: Path) -> Path:
    """A keystore that opens with WORDS."""
    SoftwareKeyStore.create(keystore, Passphrase(known=WORDS.encode()), tmk=TMK, entropy=entropy).close()
    return keystore


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "tmk-wrap").write_bytes(bytes(range(32)))
    (folder / "tmk-wrap").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def test_every_setting_names_its_place(tmp_path: Path) -> None:
    assert wrapping_key(tmp_path) == KeyFile(tmp_path)
    assert wrapping_key("credential:tmk-wrap") == Credential("tmk-wrap")
    assert wrapping_key("passphrase") == Passphrase()
    assert wrapping_key("passphrase:3") == Passphrase(3)
    named: list[Path | str] = [tmp_path, "credential:a", "passphrase", "passphrase:3"]
    assert [str(wrapping_key(each)) for each in named] == [str(each) for each in named]


@pytest.mark.parametrize("setting", ["", "credential", "credential:", "passphrase:x", "passphrase:²", "env:TMK"])
def test_another_setting_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="a wrapping key is"):
        wrapping_key(setting)


def test_a_passphrase_opens_what_it_sealed(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed(monkeypatch, f"{WORDS}\n".encode())
    made = SoftwareKeyStore.create(keystore, Passphrase(), tmk=TMK, entropy=entropy)
    assert list(keystore.parent.iterdir()) == [keystore]
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600
    assert set(json.loads(keystore.read_text())) == {"version", "scrypt", "nonce", "box"}
    fed(monkeypatch, f"{WORDS}\nthe next line\n".encode())
    assert SoftwareKeyStore.open(keystore, Passphrase()).describe() == made.describe()
    # What follows the passphrase is for the card reader.
    assert sys.stdin.readline() == "the next line\n"


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\nfor somebody else\n"])
def test_a_passphrase_may_come_from_a_descriptor(sealed: Path, ending: bytes) -> None:
    descriptor = piped(WORDS.encode() + ending)
    SoftwareKeyStore.open(sealed, Passphrase(descriptor)).close()
    rest = os.read(descriptor, 100)
    os.close(descriptor)
    assert rest == (b"for somebody else\n" if b"else" in ending else b"")


def test_a_passphrase_is_the_same_however_a_keyboard_composes_it(keystore: Path) -> None:
    composed, decomposed = piped("größere Läden".encode()), piped("gro\u0308ßere La\u0308den".encode())
    SoftwareKeyStore.create(keystore, Passphrase(composed), tmk=TMK, entropy=entropy).close()
    SoftwareKeyStore.open(keystore, Passphrase(decomposed)).close()
    os.close(composed)
    os.close(decomposed)


def test_bytes_that_are_no_text_are_a_passphrase_too(keystore: Path) -> None:
    words = b"\xff\xfe correct horse"
    first, again = piped(words), piped(words)
    SoftwareKeyStore.create(keystore, Passphrase(first), tmk=TMK, entropy=entropy).close()
    SoftwareKeyStore.open(keystore, Passphrase(again)).close()
    os.close(first)
    os.close(again)


def test_another_passphrase_does_not_open_it_and_is_not_shown(sealed: Path) -> None:
    with pytest.raises(KeyFault, match="the passphrase does not open it") as caught:
        SoftwareKeyStore.open(sealed, Passphrase(known=b"correct horse batterx"))
    assert "batter" not in str(caught.value)
    assert caught.value.__context__ is None
    assert WORDS not in repr(Passphrase(known=WORDS.encode()))


@pytest.mark.parametrize("text", [b"", b"\n", b"x" * 1025])
def test_no_passphrase_or_an_endless_one_is_refused(sealed: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    fed(monkeypatch, text)
    with pytest.raises(ConfigError, match="at most 1024 bytes, as one line of standard input"):
        SoftwareKeyStore.open(sealed, Passphrase())


def test_a_descriptor_that_is_not_open_is_named(sealed: Path) -> None:
    with pytest.raises(ConfigError, match="descriptor 999 cannot be read: Bad file descriptor"):
        SoftwareKeyStore.open(sealed, Passphrase(999))


def test_a_new_passphrase_is_not_short(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed(monkeypatch, b"elevenchars\n")
    with pytest.raises(UsageError, match="at least 12 characters"):
        SoftwareKeyStore.create(keystore, Passphrase(), tmk=TMK, entropy=entropy)
    assert not keystore.exists()


def test_what_is_asked_beforehand_is_not_asked_again(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed(monkeypatch, f"{WORDS}\n".encode())
    asked = Passphrase().asked()
    SoftwareKeyStore.create(keystore, asked, tmk=TMK, entropy=entropy).close()
    SoftwareKeyStore.open(keystore, asked).close()
    assert sys.stdin.read() == ""


def test_a_passphrase_and_a_file_are_not_taken_for_each_other(sealed: Path, tmp_path: Path, credentials: Path) -> None:
    other = tmp_path / "other.json"
    SoftwareKeyStore.create(other, tmp_path / "wrapping.key", tmk=TMK, entropy=entropy).close()
    assert credentials.exists()
    for place in (tmp_path / "wrapping.key", Credential("tmk-wrap")):
        with pytest.raises(ConfigError, match="was made with a passphrase"):
            SoftwareKeyStore.open(sealed, place)
    with pytest.raises(ConfigError, match="was not made with a passphrase"):
        SoftwareKeyStore.open(other, Passphrase(known=WORDS.encode()))


GOOD: dict[str, Any] = {"salt": "00" * 16, "n": 2**15, "r": 8, "p": 3}


@pytest.mark.parametrize(
    "changed",
    [
        {"n": 2**15 + 1},
        {"n": 2**13},
        {"n": 2**21, "r": 1, "p": 1},
        {"n": -(2**15)},
        {"n": 2**20, "r": 8},
        {"r": 0},
        {"p": 0},
        {"p": 17},
        {"r": 17, "p": 1},
        {"r": "8"},
        {"n": 32768.0},
        {"salt": "00" * 15},
        {"salt": "00" * 65},
        {"salt": "zz" * 16},
        {"salt": 7},
    ],
)
def test_a_derivation_that_would_cost_too_much_or_too_little_is_no_keystore(
    sealed: Path, changed: dict[str, Any]
) -> None:
    content = json.loads(sealed.read_text())
    sealed.write_text(json.dumps(content | {"scrypt": GOOD | changed}))
    with pytest.raises(ConfigError, match="not a keystore of version 1") as caught:
        SoftwareKeyStore.open(sealed, Passphrase(known=WORDS.encode()))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("changed", [{"salt": "01" * 16}, {"n": 2**14}, {"p": 1}])
def test_a_changed_derivation_opens_nothing(sealed: Path, changed: dict[str, Any]) -> None:
    content = json.loads(sealed.read_text())
    sealed.write_text(json.dumps(content | {"scrypt": content["scrypt"] | changed}))
    with pytest.raises(KeyFault, match="does not open it"):
        SoftwareKeyStore.open(sealed, Passphrase(known=WORDS.encode()))


@given(st.binary(min_size=16, max_size=64), st.integers(14, 16), st.integers(1, 8), st.integers(1, 4))
def test_a_derivation_is_read_back_as_it_was_written(salt: bytes, power: int, block: int, passes: int) -> None:
    written = Derivation(salt, 2**power, block, passes)
    assert Derivation.parse(json.loads(json.dumps(written.as_json()))) == written


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["salt", "n", "r", "p"]), inner), max_leaves=6))  # fmt: skip
def test_anything_else_is_a_value_error(content: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Derivation.parse(content)


def test_the_derivation_is_scrypt() -> None:
    derivation = Derivation(bytes(16), 2**14, 8, 1)
    expected = hashlib.scrypt(WORDS.encode(), salt=bytes(16), n=2**14, r=8, p=1, dklen=32, maxmem=2**25)
    assert derivation.key(WORDS.encode()).reveal() == expected


def test_a_credential_opens_a_keystore_and_none_is_ever_written(keystore: Path, credentials: Path) -> None:
    before = {path: path.read_bytes() for path in credentials.iterdir()}
    made = SoftwareKeyStore.create(keystore, Credential("tmk-wrap"), tmk=TMK, entropy=entropy)
    assert SoftwareKeyStore.open(keystore, Credential("tmk-wrap")).describe() == made.describe()
    assert {path: path.read_bytes() for path in credentials.iterdir()} == before
    keystore.write_text("taken")
    with pytest.raises(ConfigError, match="exists already"):
        SoftwareKeyStore.create(keystore, Credential("tmk-wrap"), tmk=TMK, entropy=entropy)
    assert {path: path.read_bytes() for path in credentials.iterdir()} == before


@pytest.mark.parametrize(("mode", "is_taken"), [(0o400, True), (0o440, True), (0o444, False), (0o460, False)])
def test_a_credential_may_show_an_access_list_but_not_everybody(
    keystore: Path, credentials: Path, mode: int, *, is_taken: bool
) -> None:
    (credentials / "tmk-wrap").chmod(mode)
    if is_taken:
        SoftwareKeyStore.create(keystore, Credential("tmk-wrap"), tmk=TMK, entropy=entropy).close()
        return
    with pytest.raises(ConfigError, match="open to others"):
        SoftwareKeyStore.create(keystore, Credential("tmk-wrap"), tmk=TMK, entropy=entropy)


def test_a_credential_that_is_not_there_is_named(
    keystore: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(name: str) -> str:
        with pytest.raises(PosError) as caught:
            SoftwareKeyStore.create(keystore, Credential(name), tmk=TMK, entropy=entropy)
        return str(caught.value)

    assert "nothing-here: cannot be read: No such file" in refusal("nothing-here")
    (credentials / "short").write_bytes(bytes(31))
    (credentials / "short").chmod(0o400)
    assert refusal("short") == "credential:short: a wrapping key has 32 bytes"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "CREDENTIALS_DIRECTORY is not set" in refusal("tmk-wrap")
