"""`session keys`: listing, loading under dual control, and destroying, with a real host and on a real terminal."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto.keys import check_value, show
from pos_engine.journal.lock import WriterLock
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.values import KeyBytes
from simulators.acquirer import terminal_master_key
from simulators.prove.canaries import Canary, search
from tests.support.commands import CARD, MERCHANT, PROGRAM, WAIT_S, Done, Shop, environment, new_shop, on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path

OTHER = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
OTHER_CHECK = "08D7B4"
WORDS = "correct horse battery"


def in_parts(key: bytes, count: int = 2) -> list[bytes]:
    """Take a key apart; the first components are visibly made up."""
    parts = [bytes(range(7 * number + 1, 7 * number + 1 + len(key))) for number in range(count - 1)]
    last = key
    for part in parts:
        last = bytes(a ^ b for a, b in zip(last, part, strict=True))
    return [*parts, last]


def files_of(shop: Shop, parts: list[bytes], mode: int = 0o400) -> list[str]:
    """Write each component into a file, and return the options that name them."""
    options = []
    for number, part in enumerate(parts):
        path = shop.folder / f"part {number}"
        path.unlink(missing_ok=True)
        path.write_text(part.hex(" ").upper() + "\n")
        path.chmod(mode)
        options += ["--part", str(path)]
    return options


def check_of(key: bytes) -> str:
    return show(check_value(KeyBytes(key)))


def load(shop: Shop, key: bytes, *more: str, count: int = 2) -> Done:
    return shop.run(
        "session", "keys", "load", *files_of(shop, in_parts(key, count)), "--check-value", check_of(key), *more
    )


def host_key(shop: Shop) -> bytes:
    return terminal_master_key(shop.terminal).reveal()


def key_files(shop: Shop) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shop.folder.iterdir() if path.name.endswith((".json", ".key"))}


def listed(shop: Shop) -> dict[str, tuple[str, int, str, bool]]:
    keys = shop.run("session", "keys", "list", "--json").json()["keys"]
    return {key["name"]: (key["algorithm"], key["length"], key["check_value"], key["opens"]) for key in keys}


def test_every_key_is_listed_by_its_check_value(shop: Shop) -> None:
    assert set(listed(shop)) == {"terminal master key", "storage key"}
    assert shop.run("sign-on").code == 0
    keys = listed(shop)
    assert keys["terminal master key"] == ("3des", 16, check_of(host_key(shop)), True)
    assert keys["storage key"][:2] == ("aes-256-gcm", 32)
    # The MAC key is a single-length key in a field of 16 bytes.
    assert keys["PIN key"][:2] + keys["MAC key"][:2] == ("3des", 16, "3des", 8)
    assert all(re.fullmatch("[0-9A-F]{6}", check) for _, _, check, _ in keys.values())
    text = shop.run("session", "keys")
    assert (text.code, text.err) == (0, "")
    assert all(name in text.out for name in keys)
    assert shop.run("session", "keys", "list").out == text.out


@pytest.mark.parametrize("count", [2, 3])
def test_a_key_loaded_from_files_is_the_one_the_host_has(tmp_path: Path, port: int, count: int) -> None:
    shop = new_shop(tmp_path, port)
    ids = ("--terminal", shop.terminal, "--merchant", MERCHANT, "--address", shop.address)
    assert shop.run("init", *ids, stdin=OTHER.hex()).code == 0
    assert shop.run("sign-on").code == 6
    done = load(shop, host_key(shop), "--json", count=count)
    told = done.json()
    assert (done.code, told["check_value"], told["length"]) == (0, check_of(host_key(shop)), 16)
    expected = [{"check_value": check_of(part)} for part in in_parts(host_key(shop), count)]
    assert (told["components"], told["odd_parity"], told["replaced"]) == (expected, True, True)
    assert shop.run("sale", "12.34", stdin=f"{CARD.track2.reveal().replace('D', '=')}\n{CARD.pin}\n").code == 0


def test_after_loading_the_sign_on_is_due_and_no_money_moves_under_a_wrong_key(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    signed_on = listed(shop)
    done = load(shop, OTHER)
    assert done.code == 0
    assert f"check value {OTHER_CHECK}" in done.out
    assert "the old one is gone" in done.out
    assert "signs on first" in done.out
    now = listed(shop)
    assert now["terminal master key"][2:] == (OTHER_CHECK, True)
    assert now["storage key"] == signed_on["storage key"]
    assert [now[name][3] for name in ("PIN key", "MAC key")] == [False, False]
    refused = shop.run("sale", "1.00")
    assert (refused.code, refused.out) == (6, "")
    assert "check value" in refused.error()
    assert load(shop, host_key(shop)).code == 0
    sold = shop.run("sale", "2.00", "--json")
    assert sold.code == 0
    assert sold.json()["outcome"] == "approved"
    assert shop.run("balance").code == 0


def test_a_reversal_that_is_owed_outlives_a_change_of_the_key(shop: Shop) -> None:
    assert shop.run("sale", "9.96", "--set", "acquirer.answer_timeout_s=0.5").code == 4
    assert load(shop, OTHER).code == 0
    assert shop.run("sale", "1.00").code == 6
    assert len(shop.run("status", "--json").json()["owed"]) == 1
    assert load(shop, host_key(shop)).code == 0
    assert shop.run("sale", "2.00").code == 0
    assert shop.run("status", "--json").json()["owed"] == []


def test_a_wrong_check_value_changes_nothing(shop: Shop) -> None:
    before = key_files(shop)
    refused = shop.run("session", "keys", "load", *files_of(shop, in_parts(OTHER)), "--check-value", "08D7B5")
    assert (refused.code, refused.out) == (6, "")
    assert f"check value is {OTHER_CHECK}, not the one given: nothing was changed" in refused.error()
    assert key_files(shop) == before


@pytest.mark.parametrize("digits", ["08D7B4", "08 d7 b4", "08D7B4CC", "08D7B4CCCCCCCCCC"])
def test_a_check_value_may_have_three_to_eight_bytes(shop: Shop, digits: str) -> None:
    right = check_value(KeyBytes(OTHER), size=8).hex()
    given = digits if len(digits) in {6, 8} and "C" not in digits else right[: len(digits.replace(" ", ""))]
    assert shop.run("session", "keys", "load", *files_of(shop, in_parts(OTHER)), "--check-value", given).code == 0


@pytest.mark.parametrize("digits", ["08D7", "08D7B", "", "zzzzzz", "08D7B4" * 3])
def test_a_check_value_that_cannot_be_is_refused(shop: Shop, digits: str) -> None:
    refused = shop.run("session", "keys", "load", *files_of(shop, in_parts(OTHER)), "--check-value", digits)
    assert (refused.code, refused.error()) == (2, "--check-value takes 6 to 16 hex digits")


ONE, TWO = bytes(range(1, 17)), bytes(range(33, 49))
REFUSED = {
    "one": ([OTHER], "2 or 3 components"),
    "four": ([ONE, TWO, OTHER, bytes(range(65, 81))], "2 or 3 components"),
    "different lengths": ([ONE, TWO[:8]], "different lengths"),
    "the same twice": ([ONE, TWO, ONE], "two components are the same"),
    "nothing left": ([ONE, TWO, bytes(a ^ b for a, b in zip(ONE, TWO, strict=True))], "cancel each other out"),
    "zeros": ([ONE, bytes(16)], "a component of zeros"),
    "too short": ([ONE[:4], TWO[:4]], "16 or 32 or 48 hex digits"),
    "empty": ([b"", ONE], "16 or 32 or 48 hex digits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_components_that_do_not_make_a_key_of_all_custodians_are_refused(shop: Shop, name: str) -> None:
    parts, reason = REFUSED[name]
    before = key_files(shop)
    refused = shop.run("session", "keys", "load", *files_of(shop, parts), "--check-value", "000000")
    assert (refused.code, refused.out) == (2, "")
    assert reason in refused.error()
    assert not any(part.hex(" ").upper()[:11] in refused.err for part in parts if any(part))
    assert key_files(shop) == before


def test_a_component_that_others_can_read_is_refused(shop: Shop) -> None:
    options = files_of(shop, in_parts(OTHER), mode=0o644)
    refused = shop.run("session", "keys", "load", *options, "--check-value", OTHER_CHECK)
    assert refused.code == 6
    assert "part 0: open to others than its owner" in refused.error()


@pytest.mark.parametrize("arguments", [[], ["--check-value", "08D7B4"], ["--custodians", "3"]])
def test_without_a_terminal_nothing_is_asked(shop: Shop, arguments: list[str]) -> None:
    before = key_files(shop)
    refused = shop.run("session", "keys", "load", *arguments, stdin=f"{OTHER.hex()}\nyes\n" * 3)
    assert refused.code == 2
    assert "nobody is there to be asked" in refused.error()
    assert OTHER.hex() not in refused.err
    options = files_of(shop, in_parts(OTHER))
    assert "nobody is there" in shop.run("session", "keys", "load", *options).error()
    assert "not from both" in shop.run("session", "keys", "load", *options, "--custodians", "2").error()
    assert key_files(shop) == before


def test_bad_parity_warns_and_refuses_nothing(shop: Shop) -> None:
    even = bytes(range(0, 32, 2))
    done = load(shop, even)
    assert done.code == 0
    assert "odd parity" in done.err
    assert "odd parity" not in load(shop, host_key(shop)).err


def test_a_running_terminal_is_not_given_another_key_under_its_feet(shop: Shop) -> None:
    assert shop.run("sign-on").code == 0
    before = key_files(shop)
    lock = WriterLock.acquire(shop.journal)
    try:
        for arguments in (
            ["load", *files_of(shop, in_parts(OTHER)), "--check-value", OTHER_CHECK],
            ["zeroise", "--yes"],
        ):
            refused = shop.run("session", "keys", *arguments)
            assert refused.code == 8
            assert "held by pid" in refused.error()
        assert key_files(shop) == before
        gone = shop.run("session", "keys", "zeroise", "--yes", "--anyway", "--json")
        assert gone.code == 0
        assert "held by pid" in gone.json()["running"]
        assert key_files(shop) == {}
    finally:
        lock.release()


def test_custodians_enter_their_components_unseen_and_confirm_them(shop: Shop) -> None:
    first, second = (part.hex() for part in in_parts(OTHER))
    typed = f"{first}\nyes\n{first[:-1]}\n{first}\nno\n{second}\nYES\nyes\n"
    code, shown = on_a_terminal(shop, "session", "keys", "load", typed=typed)
    assert code == 0, shown
    assert f"check value of component 1: {check_of(bytes.fromhex(first))}" in shown
    assert f"check value of component 2: {check_of(bytes.fromhex(second))}" in shown
    assert "enter component 2 again" in shown
    assert f"check value of the terminal master key: {OTHER_CHECK}" in shown
    assert not any(secret in shown for secret in (first, second, first[:-1], OTHER.hex()))
    assert listed(shop)["terminal master key"][2] == OTHER_CHECK


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["no"] * 9, "component 1 was not confirmed: nothing was changed"),
        (["yes", "yes", "no"], "the key was not confirmed: nothing was changed"),
        (["yes", ""], "component 2 was not confirmed"),
    ],
)
def test_what_is_not_confirmed_changes_nothing(shop: Shop, answers: list[str], reason: str) -> None:
    parts = [part.hex() for part in in_parts(OTHER)]
    before = key_files(shop)
    pairs = [(parts[1] if number and answers[0] == "yes" else parts[0], each) for number, each in enumerate(answers)]
    lines = [line for pair in pairs for line in pair]
    if answers == ["yes", "yes", "no"]:
        lines = [parts[0], "yes", parts[1], "yes", "no"]
    if answers == ["yes", ""]:
        lines = [parts[0], "yes", *(parts[1], "") * 3]
    code, shown = on_a_terminal(shop, "session", "keys", "load", typed="\n".join(lines) + "\n")
    assert code == 2
    assert reason in shown
    assert key_files(shop) == before


@pytest.mark.parametrize(("typed", "code"), [("\x03", 130), ("\x04", 2)])
@pytest.mark.parametrize("arguments", [["load"], ["zeroise"]])
def test_whoever_walks_away_changes_nothing(shop: Shop, arguments: list[str], typed: str, code: int) -> None:
    before = key_files(shop)
    first = f"{in_parts(OTHER)[0].hex()}\n" if arguments == ["load"] else ""
    ended, shown = on_a_terminal(shop, "session", "keys", *arguments, typed=f"{first}{typed}\n")
    assert (ended, "internal error" in shown) == (code, False), shown
    assert key_files(shop) == before


def test_three_custodians_and_a_known_check_value_need_no_last_word(shop: Shop) -> None:
    typed = "".join(f"{part.hex()}\nyes\n" for part in in_parts(OTHER, 3))
    arguments = ("session", "keys", "load", "--custodians", "3", "--check-value", OTHER_CHECK)
    code, shown = on_a_terminal(shop, *arguments, typed=typed)
    assert code == 0, shown
    assert "Component 3 of 3" in shown


def test_no_command_line_shows_a_component(shop: Shop) -> None:
    refused = shop.run("session", "keys", "load", OTHER.hex())
    assert refused.code == 2
    assert OTHER.hex() not in refused.err


def canaries_of(shop: Shop) -> list[Canary]:
    store = SoftwareKeyStore.open(shop.folder / "keystore.json", shop.folder / "wrapping.key")
    content = json.loads((shop.folder / "keystore.json").read_text())
    return [
        Canary("master key", host_key(shop)),
        Canary("storage key", store.storage_key().reveal()),
        Canary("wrapping key", (shop.folder / "wrapping.key").read_bytes()),
        Canary("sealed box", bytes.fromhex(content["box"])),
    ]


def test_zeroised_keys_are_in_no_file_and_what_is_lost_is_said(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    looked_for = canaries_of(shop)
    assert {found.split(" as ")[0].split(": ")[1] for found in search([shop.folder], looked_for)} == {
        "wrapping key",
        "sealed box",
    }
    done = shop.run("session", "keys", "zeroise", "--yes")
    assert (done.code, done.err) == (0, "")
    assert f"destroyed: {shop.folder / 'wrapping.key'}\ndestroyed: {shop.folder / 'keystore.json'}\n" in done.out
    assert "sealed in the journal and its backups can no longer be read" in done.out
    assert "can no longer be opened, verified or continued" in done.out
    assert search([shop.folder], looked_for) == []
    assert shop.run("sale", "1.00").code == 6
    assert shop.run("journal", "verify").code == 6
    assert shop.run("session", "keys", "zeroise", "--yes").code == 9
    # A new keystore would not open the old journal: that is said before anybody enters a component.
    refused = load(shop, OTHER)
    assert refused.code == 6
    assert "move the journal away first" in refused.error()


def test_only_the_master_key_goes_and_another_one_comes(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    looked_for = [each for each in canaries_of(shop) if each.name in {"master key", "sealed box"}]
    done = shop.run("session", "keys", "zeroise", "--tmk-only", "--yes")
    assert (done.code, done.err) == (0, "")
    assert "the journal can be read and verified as before" in done.out
    assert search([shop.folder], looked_for) == []
    assert shop.run("journal", "verify").code == 0
    assert shop.run("status").code == 0
    assert "terminal master key" not in listed(shop)
    refused = shop.run("sale", "1.00")
    assert refused.code == 6
    assert "session keys load" in refused.error()
    assert shop.run("session", "keys", "zeroise", "--tmk-only", "--yes").code == 9
    loaded = load(shop, host_key(shop), "--json")
    assert loaded.json()["replaced"] is False
    assert shop.run("sale", "2.00").code == 0


@pytest.mark.parametrize("scope", [[], ["--tmk-only"]])
def test_what_is_owed_is_not_stranded_without_a_word(shop: Shop, scope: list[str]) -> None:
    assert shop.run("sale", "9.96", "--set", "acquirer.answer_timeout_s=0.5").code == 4
    before = key_files(shop)
    refused = shop.run("session", "keys", "zeroise", "--yes", *scope)
    assert (refused.code, refused.out) == (4, "")
    assert re.search(r"reverse  sale  9\.96 CNY  STAN 000002", refused.err)
    assert "--anyway" in refused.err
    told = shop.run("session", "keys", "zeroise", "--yes", "--json", *scope)
    (line,) = told.out.splitlines()
    assert (told.code, json.loads(line)["zeroised"], len(json.loads(line)["owed"])) == (4, False, 1)
    assert key_files(shop) == before
    done = shop.run("session", "keys", "zeroise", "--yes", "--anyway", "--json", *scope)
    assert (done.code, done.json()["zeroised"]) == (0, True)
    assert done.json()["owed"][0]["stan"] == "000002"
    assert "STAN 000002" in done.err
    assert key_files(shop) != before


def test_where_nobody_can_tell_what_is_owed_the_keys_stay_without_a_word(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    (shop.folder / "wrapping.key").unlink()
    refused = shop.run("session", "keys", "zeroise", "--yes")
    assert refused.code == 6
    assert "--anyway does" in refused.error()
    assert "--anyway" not in shop.run("session", "keys", "zeroise", "--yes", "--tmk-only", "--anyway").error()
    assert (shop.folder / "keystore.json").exists()
    done = shop.run("session", "keys", "zeroise", "--yes", "--anyway")
    assert done.code == 0
    assert "what is owed is not known" in done.err
    assert "wrapping.key is not here to be destroyed" in done.out
    assert key_files(shop) == {}


def test_a_damaged_journal_keeps_the_keys_unless_it_does_not_matter(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    shop.journal.write_bytes(b"no journal")
    refused = shop.run("session", "keys", "zeroise", "--tmk-only", "--yes")
    assert refused.code == 8
    assert "nothing was destroyed (--anyway does)" in refused.error()
    assert shop.run("session", "keys", "zeroise", "--tmk-only", "--yes", "--anyway").code == 0
    assert "terminal master key" not in {name for name, _ in store_of(shop).describe()}


def store_of(shop: Shop) -> SoftwareKeyStore:
    return SoftwareKeyStore.open(shop.folder / "keystore.json", shop.folder / "wrapping.key")


def test_zeroising_is_confirmed_by_typing_the_terminal_s_id(shop: Shop) -> None:
    before = key_files(shop)
    refused = shop.run("session", "keys", "zeroise", stdin=f"{shop.terminal}\n")
    assert refused.code == 2
    assert "--yes" in refused.error()
    code, shown = on_a_terminal(shop, "session", "keys", "zeroise", typed="yes\n")
    assert (code, "not confirmed: nothing was destroyed" in shown) == (2, True)
    assert key_files(shop) == before
    code, shown = on_a_terminal(shop, "session", "keys", "zeroise", typed=f"{shop.terminal}\n")
    assert (code, "destroyed" in shown) == (0, True)
    assert key_files(shop) == {}


def test_a_keystore_is_made_where_there_is_none(shop: Shop) -> None:
    assert shop.run("session", "keys", "zeroise", "--yes").code == 0
    assert load(shop, host_key(shop), count=3).code == 0
    assert {name: path.stat().st_mode & 0o777 for name, path in ((n, shop.folder / n) for n in key_files(shop))} == {
        "keystore.json": 0o600,
        "wrapping.key": 0o400,
    }
    assert shop.run("sale", "12.34").code == 0


def test_a_passphrase_opens_the_keystore_of_every_command(tmp_path: Path, port: int) -> None:
    shop = new_shop(tmp_path, port)
    ids = ("--terminal", shop.terminal, "--merchant", MERCHANT, "--address", shop.address)
    made = shop.run("init", *ids, "--wrapping-key", "passphrase", "--json", stdin=f"{WORDS}\n{host_key(shop).hex()}\n")
    assert made.json()["wrapping_key"] == "passphrase"
    assert set(key_files(shop)) == {"keystore.json"}
    track = CARD.track2.reveal().replace("D", "=")
    sold = shop.run("sale", "12.34", stdin=f"{WORDS}\n{track}\n{CARD.pin}\n")
    assert (sold.code, sold.err) == (0, "")
    for command in (["status"], ["journal", "verify"], ["session", "keys"], ["config", "check"]):
        assert shop.run(*command, stdin=f"{WORDS}\n").code == 0
    wrong = shop.run("status", stdin="incorrect horse battery\n")
    assert wrong.code == 6
    assert "the passphrase does not open it" in wrong.error()
    assert "standard input" in shop.run("status").error()
    loading = ("session", "keys", "load", *files_of(shop, in_parts(OTHER)), "--check-value", OTHER_CHECK)
    assert shop.run(*loading, stdin=f"{WORDS}\n").code == 0
    gone = shop.run("session", "keys", "zeroise", "--yes", stdin=f"{WORDS}\n")
    assert gone.code == 0
    assert "passphrase is not here to be destroyed" in gone.out


def test_a_passphrase_is_asked_for_unseen_and_a_new_one_twice(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "T9999999")
    arguments = ("init", "--simulated", "--terminal", shop.terminal, "--wrapping-key", "passphrase")
    code, shown = on_a_terminal(shop, *arguments, typed=f"{WORDS}\n{WORDS[:-1]}\n")
    assert (code, "the two passphrases differ" in shown) == (2, True)
    assert list(shop.folder.iterdir()) == []
    code, shown = on_a_terminal(shop, *arguments, typed=f"{WORDS}\n{WORDS}\n")
    assert (code, WORDS in shown) == (0, False)
    code, shown = on_a_terminal(shop, "session", "keys", "list", typed=f"{WORDS}\n")
    assert (code, "Passphrase of the keystore" in shown, WORDS in shown) == (0, True, False)
    assert "storage key" in shown


def test_a_passphrase_comes_from_a_descriptor_and_a_credential_from_systemd(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "T9999999")
    made = shop.run("init", "--simulated", "--wrapping-key", "passphrase", stdin=f"{WORDS}\n")
    assert made.code == 0
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 3<<EOF\ncorrect horse battery\nEOF', "sh", *PROGRAM, "session", "keys", "list"],
        cwd=shop.folder,
        env=environment(shop.folder, POS_ENGINE_STORAGE_WRAPPING_KEY="passphrase:3"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "wrap").write_bytes(bytes(range(32)))
    (credentials / "wrap").chmod(0o400)
    other = Shop(tmp_path / "other", "T9999999", variables={"CREDENTIALS_DIRECTORY": str(credentials)})
    other.folder.mkdir()
    assert other.run("init", "--simulated", "--wrapping-key", "credential:wrap").code == 0
    assert set(key_files(other)) == {"keystore.json"}
    assert other.run("session", "keys").code == 0
    missing = Shop(other.folder, other.terminal).run("session", "keys")
    assert (missing.code, "CREDENTIALS_DIRECTORY is not set" in missing.error()) == (6, True)
    gone = other.run("session", "keys", "zeroise", "--yes", "--json")
    assert gone.json()["kept"] == "credential:wrap"
    assert (credentials / "wrap").read_bytes() == bytes(range(32))


def test_a_wrapping_key_that_others_can_read_is_refused(shop: Shop) -> None:
    (shop.folder / "wrapping.key").chmod(0o440)
    refused = shop.run("session", "keys")
    assert refused.code == 6
    assert "wrapping.key: open to others than its owner; its mode must be 0400 or 0600" in refused.error()


def test_everything_is_said_in_chinese_too(shop: Shop) -> None:
    assert "校验值" in shop.run("session", "keys", "--lang", "zh").out
    assert "已装入主密钥" in load(shop, OTHER, "--lang", "zh").out
    assert "已销毁" in shop.run("session", "keys", "zeroise", "--yes", "--lang", "zh").out
