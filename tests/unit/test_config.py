"""The configuration: where values come from, which one wins, and that whatever is wrong is named and never repeated."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import config, limits
from pos_engine.config import Config, load, template
from pos_engine.config.keys import KEYS, SECTIONS
from pos_engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.config.keys import Value

KEYS_MAX = 40
IDS: dict[str, Value] = {"terminal.id": "T0000001", "terminal.merchant": "M00000000000001"}
MINIMAL = '[terminal]\nid = "T0000001"\nmerchant = "M00000000000001"\n'
SECRET = "6229990000000012"


def written(folder: Path, text: str = MINIMAL, name: str = config.FILE_NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(
    folder: Path,
    text: str | None = MINIMAL,
    *,
    path: Path | str | None = None,
    overrides: Mapping[str, Value] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    if text is not None:
        written(folder, text)
    return load(path, overrides=overrides, environment=environment or {}, folder=folder)


def refusal(folder: Path, text: str | None = MINIMAL, **more: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, overrides=more.get("overrides"), environment=more.get("environment"))
    message = str(caught.value)
    assert SECRET not in message
    assert "\n" not in message
    return message


def test_two_ids_are_enough_and_the_rest_has_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings == Config(
        terminal_id="T0000001",
        merchant_id="M00000000000001",
        operator="01",
        dialect="unionpay",
        production=False,
        address="tcp://127.0.0.1:9583",
        framing="be2",
        key_scheme="3des",
        tpdu="6000000000",
        header="603200320000",
        ca=None,
        certificate=None,
        connect_timeout_s=limits.CONNECT_TIMEOUT_S,
        answer_timeout_s=limits.ANSWER_TIMEOUT_S,
        unsigned_decline="accept",
        unsigned_reversal="accept",
        sign_on_age_max_s=limits.SIGN_ON_AGE_MAX_S,
        sign_on_lead_s=limits.SIGN_ON_LEAD_S,
        sign_on_host_day=False,
        sign_on_exchanges_max=None,
        busy_hours=None,
        contingency=None,
        repeat_refused="offer",
        transaction_max=None,
        day_max=None,
        card_day_max=None,
        journal=tmp_path / "journal.db",
        mark=None,
        keystore=tmp_path / "keystore.json",
        wrapping_key=tmp_path / "wrapping.key",
        reader="console",
        pin_pad="console",
        card=None,
        origins=settings.origins,
    )


def test_every_key_has_an_attribute_an_origin_and_a_help_in_both_languages(tmp_path: Path) -> None:
    attributes = {field.name for field in dataclasses.fields(Config)} - {"origins"}
    assert {key.attribute for key in KEYS} == attributes
    assert len(KEYS) == len(attributes) == len({key.variable for key in KEYS})
    assert set(loaded(tmp_path).origins) == {key.name for key in KEYS}
    assert [key.name for key in KEYS if not (key.help.en and key.help.zh and key.allowed)] == []


def test_there_are_few_keys() -> None:
    assert len(KEYS) <= KEYS_MAX


def test_the_strongest_place_wins_key_by_key(tmp_path: Path) -> None:
    here, user = tmp_path / "here", tmp_path / "user"
    asked = written(tmp_path / "asked", '[acquirer]\naddress = "tcp://asked:1"\nanswer_timeout_s = 1\n')
    written(here, MINIMAL + '[acquirer]\naddress = "tcp://here:1"\nanswer_timeout_s = 2\nconnect_timeout_s = 2\n')
    written(user / "pos-engine", "[acquirer]\nconnect_timeout_s = 3\n[session]\nsign_on_age_max_s = 3000\n")
    environment = {
        "XDG_CONFIG_HOME": str(user),
        "POS_ENGINE_ACQUIRER_ADDRESS": "tcp://environment:1",
        "POS_ENGINE_TERMINAL_OPERATOR": "05",
    }
    settings = loaded(here, None, path=asked, environment=environment, overrides={"acquirer.address": "tcp://flag:1"})
    assert (settings.address, settings.origins["acquirer.address"]) == ("tcp://flag:1", "flag")
    assert (settings.operator, settings.origins["terminal.operator"]) == ("05", "POS_ENGINE_TERMINAL_OPERATOR")
    assert (settings.answer_timeout_s, settings.origins["acquirer.answer_timeout_s"]) == (1.0, str(asked))
    assert (settings.connect_timeout_s, settings.terminal_id) == (2.0, "T0000001")
    assert settings.sign_on_age_max_s == 3000
    assert settings.origins["terminal.dialect"] == "default"
    without_flag = loaded(here, None, path=asked, environment=environment)
    assert without_flag.address == "tcp://environment:1"


def test_the_environment_names_the_file_and_a_path_beats_it(tmp_path: Path) -> None:
    one = written(tmp_path / "one", MINIMAL + '[acquirer]\naddress = "tcp://one:1"\n')
    two = written(tmp_path / "two", MINIMAL + '[acquirer]\naddress = "tcp://two:1"\n')
    environment = {"POS_ENGINE_CONFIG": str(one)}
    assert loaded(tmp_path, None, environment=environment).address == "tcp://one:1"
    assert loaded(tmp_path, None, path=str(two), environment=environment).address == "tcp://two:1"


def test_the_home_folder_stands_in_for_the_user_s_configuration_folder(tmp_path: Path) -> None:
    written(tmp_path / ".config" / "pos-engine")
    assert loaded(tmp_path / "nowhere", None, environment={"HOME": str(tmp_path)}).terminal_id == "T0000001"


def test_the_process_s_own_folder_and_environment_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POS_ENGINE_TERMINAL_OPERATOR", "07")
    monkeypatch.delenv("POS_ENGINE_CONFIG", raising=False)
    assert load().operator == "07"


def test_relative_paths_start_from_the_place_that_sets_them(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    text = MINIMAL + '[storage]\njournal = "data/j.db"\nkeystore = "/etc/keys.json"\n'
    asked = written(tmp_path / "asked", text)
    environment = {"POS_ENGINE_STORAGE_WRAPPING_KEY": "w.key", "POS_ENGINE_STORAGE_MARK": "../mark"}
    settings = loaded(here, None, path=asked, environment=environment)
    assert settings.journal == tmp_path / "asked" / "data" / "j.db"
    assert settings.keystore == Path("/etc/keys.json")
    assert settings.wrapping_key == here / "w.key"
    assert settings.mark == here / "../mark"
    assert loaded(here, None, path="../asked/pos-engine.toml").journal.resolve() == settings.journal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w.key", "w.key"),
        ("file:w.key", "w.key"),
        ("file:/media/w.key", "/media/w.key"),
        ("./passphrase", "passphrase"),
        ("./credential:a", "credential:a"),
    ],
)
def test_a_wrapping_key_may_be_a_file_by_either_spelling(tmp_path: Path, text: str, expected: str) -> None:
    settings = loaded(tmp_path, f'{MINIMAL}[storage]\nwrapping_key = "{text}"\n')
    assert settings.wrapping_key == tmp_path / expected


@pytest.mark.parametrize("text", ["credential:wrap", "credential:a.b-c_1", "passphrase", "passphrase:3"])
def test_a_wrapping_key_may_be_no_file_at_all(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, environment={"POS_ENGINE_STORAGE_WRAPPING_KEY": text}).wrapping_key == text


@pytest.mark.parametrize(
    "text", ["", "file:", "credential:", "credential:../a", "credential:a/b", "credential:.a", "passphrase:x"]
)
def test_a_wrapping_key_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, environment={"POS_ENGINE_STORAGE_WRAPPING_KEY": text})
    assert "storage.wrapping_key: allowed: file:PATH or just a path" in message


def test_variables_and_flags_are_read_as_the_key_s_type(tmp_path: Path) -> None:
    environment = {"POS_ENGINE_ACQUIRER_ANSWER_TIMEOUT_S": "2.5", "POS_ENGINE_TERMINAL_PRODUCTION": "False"}
    overrides: dict[str, Value] = {"acquirer.connect_timeout_s": "3", "session.sign_on_age_max_s": 90}
    settings = loaded(tmp_path, environment=environment, overrides=overrides)
    assert (settings.answer_timeout_s, settings.connect_timeout_s, settings.sign_on_age_max_s) == (2.5, 3.0, 90.0)
    assert settings.production is False


def test_no_configuration_at_all_says_what_to_run(tmp_path: Path) -> None:
    message = refusal(tmp_path, None)
    assert "pos-engine init --simulated" in message
    assert "terminal.id" in message


def test_a_named_file_that_is_missing_is_an_error_even_with_others_there(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: no such file.*pos-engine init --simulated"):
        loaded(tmp_path, None, path="nowhere.toml")


def test_a_required_key_that_is_missing_is_named_with_its_form(tmp_path: Path) -> None:
    message = refusal(tmp_path, '[terminal]\nid = "T0000001"\n')
    assert "terminal.merchant" in message
    assert "15 printable ASCII characters" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[terminal]\nidd = "6229990000000012"\n', "'terminal.idd'; did you mean terminal.id?"),
        ('[keys]\ntmk = "6229990000000012"\n', "unknown section or key 'keys'; sections are [terminal], "),
        ("[storage]\nwarpping_key_hex = 1\n", "unknown key 'storage.warpping_key_hex'"),
        ("terminal = 6229990000000012\n", "terminal is a section, written [terminal]"),
        ('id = "T0000001"\n', "unknown section or key 'id'"),
        ("[terminal\n", "is not TOML"),
        ("[terminal]\nid = 1\nid = 2\n", "is not TOML"),
    ],
)
def test_a_file_that_is_no_configuration_is_named_with_the_reason(tmp_path: Path, text: str, expected: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / config.FILE_NAME}: ")
    assert expected in message


BAD_VALUES = [
    ("terminal.id", '"T000001"'),
    ("terminal.id", '"T00000\\u00e9\\u00e9"'),
    ("terminal.id", "62299900"),
    ("terminal.merchant", f'"{SECRET}"'),
    ("terminal.operator", '"1"'),
    ("terminal.operator", "1"),
    ("terminal.dialect", '"6229990000000012"'),
    ("terminal.production", '"true"'),
    ("terminal.production", "0"),
    ("acquirer.address", f'"{SECRET}"'),
    ("acquirer.address", '"tcp://127.0.0.1"'),
    ("acquirer.address", '"tcp://127.0.0.1:0"'),
    ("acquirer.address", '"tcp://127.0.0.1:65536"'),
    ("acquirer.address", '"http://127.0.0.1:80"'),
    ("acquirer.address", '"tcp://a b:80"'),
    ("acquirer.tpdu", '"600000000"'),
    ("acquirer.tpdu", '"7000000000"'),
    ("acquirer.tpdu", "6000000000"),
    ("acquirer.header", '"6032003200"'),
    ("acquirer.header", '"60320032000"'),
    ("acquirer.header", '"60320032000A"'),
    ("acquirer.answer_timeout_s", "0"),
    ("acquirer.answer_timeout_s", "-1"),
    ("acquirer.answer_timeout_s", "301"),
    ("acquirer.answer_timeout_s", "nan"),
    ("acquirer.answer_timeout_s", "inf"),
    ("acquirer.answer_timeout_s", "true"),
    ("acquirer.answer_timeout_s", '"60"'),
    ("acquirer.answer_timeout_s", "1" * 500),
    ("acquirer.unsigned_decline", '"refuse"'),
    ("acquirer.unsigned_decline", "true"),
    ("session.sign_on_age_max_s", "59"),
    ("limits.transaction", '"500.001"'),
    ("limits.transaction", "500"),
    ("limits.day", '"-1"'),
    ("limits.day", '""'),
    ("limits.card_day", '"1e3"'),
    ("storage.journal", '""'),
    ("storage.journal", '"a\\u0000b"'),
    ("storage.journal", '["journal.db"]'),
    ("peripherals.reader", '"keyboard"'),
    ("peripherals.pin_pad", '""'),
    ("peripherals.card", '"No Such"'),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_value_out_of_range_is_named_with_what_is_allowed(tmp_path: Path, name: str, value: str) -> None:
    section, _, key = name.partition(".")
    lines = {"terminal": {"id": '"T0000001"', "merchant": '"M00000000000001"'}}
    lines.setdefault(section, {})[key] = value
    text = "".join(f"[{head}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for head, keys in lines.items())
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / config.FILE_NAME}: {name}: ")
    assert "allowed: " in message or "has one of" in message


@pytest.mark.parametrize("value", ["", "x", "1e3", "-1", "0x10", "１", "nan", "1" * 40])
def test_a_variable_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, environment={"POS_ENGINE_ACQUIRER_ANSWER_TIMEOUT_S": value})
    assert message == "POS_ENGINE_ACQUIRER_ANSWER_TIMEOUT_S: acquirer.answer_timeout_s: allowed: 0.1 to 300 seconds"


def test_a_variable_of_our_sections_that_sets_nothing_is_an_error(tmp_path: Path) -> None:
    message = refusal(tmp_path, environment={"POS_ENGINE_ACQUIRER_ADRESS": "tcp://a:1"})
    assert message == ("environment: POS_ENGINE_ACQUIRER_ADRESS sets no key; did you mean POS_ENGINE_ACQUIRER_ADDRESS?")


def test_other_variables_are_not_ours(tmp_path: Path) -> None:
    environment = {"POS_ENGINE_REQUIRE_ALL": "1", "_POS_ENGINE_COMPLETE": "bash_source", "POS_ENGINE_SERVICE_HOST": "a"}
    assert loaded(tmp_path, environment=environment).terminal_id == "T0000001"


def test_a_flag_that_sets_nothing_or_is_out_of_range_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, overrides={"acquirer.port": "1"}).startswith("flag: unknown key 'acquirer.port'")
    message = refusal(tmp_path, overrides={"peripherals.reader": SECRET})
    assert message == 'flag: peripherals.reader: allowed: "console" or "simulated"'


@pytest.mark.parametrize(
    ("peripherals", "expected"),
    [
        ('card = "everyday"', "peripherals.card: goes with"),
        ('reader = "simulated"', "peripherals.card: goes with"),
        ('pin_pad = "simulated"', "peripherals.pin_pad: a simulated one needs"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, peripherals: str, expected: str) -> None:
    message = refusal(tmp_path, f"{MINIMAL}[peripherals]\n{peripherals}\n")
    assert f"{tmp_path / config.FILE_NAME}: {expected}" in message


def test_production_is_refused_with_every_reason(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + "production = true\n")
    for reason in ("verified TLS", "linear MAC", "software keystore", "keyed on the console", "PIN pad is the console"):
        assert reason in message
    trial = '[peripherals]\nreader = "simulated"\npin_pad = "simulated"\ncard = "everyday"\n'
    assert "the card reader is simulated" in refusal(tmp_path, f"{MINIMAL}production = true\n{trial}")


def test_production_asks_for_protection_on_every_road(tmp_path: Path) -> None:
    def said(address: str) -> str:
        return refusal(tmp_path, f'{MINIMAL}production = true\n[acquirer]\naddress = "{address}"\n')

    assert "verified TLS" not in said("tls://pos.example:9583, https://pos.example/tunnel")
    assert "verified TLS" in said("tls://pos.example:9583, serial:///dev/ttyS0")


def test_a_road_has_no_more_patience_than_its_terminal(tmp_path: Path) -> None:
    text = f'{MINIMAL}[acquirer]\naddress = "tcp://h:1, tcp://i:1?answer_s=61"\n'
    assert "acquirer.address: answer_s of an address is at most" in refusal(tmp_path, text)
    assert [each.answer_s for each in loaded(tmp_path, text.replace("61", "60")).addresses] == [None, 60.0]


def test_production_is_refused_even_without_a_pin_pad(tmp_path: Path) -> None:
    message = refusal(tmp_path, f'{MINIMAL}production = true\n[peripherals]\npin_pad = "none"\n')
    assert "verified TLS" in message
    assert "PIN pad" not in message


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[a]\n" * 40_000, b"a = " + b"[" * 20_000, b"\0"])
def test_a_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / config.FILE_NAME).write_bytes(content)
    assert refusal(tmp_path, None).startswith(f"{tmp_path / config.FILE_NAME}: ")


def test_a_folder_or_a_pipe_in_the_file_s_place_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / config.FILE_NAME).mkdir()
    assert "cannot be read: is a directory" in refusal(tmp_path, None)
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=r"terminal\.id"):
        loaded(tmp_path / "empty", None, path=pipe)


def test_a_template_shows_every_key_and_loads_back(tmp_path: Path) -> None:
    values: dict[str, Value] = {
        **IDS,
        "terminal.operator": "09",
        "acquirer.address": "tcp://[::1]:65535",
        "acquirer.tpdu": "6000030000",
        "acquirer.answer_timeout_s": 2.5,
        "acquirer.unsigned_decline": "reverse",
        "storage.journal": 'a "journal"\\.db',
        "peripherals.reader": "simulated",
        "peripherals.card": "everyday",
    }
    text = template(values)
    settings = loaded(tmp_path, text)
    by_name = {key.name: key for key in KEYS}
    for name, value in values.items():
        read = getattr(settings, by_name[name].attribute)
        assert read == (tmp_path / str(value) if by_name[name].type is Path else value)
    assert {name for name, origin in settings.origins.items() if origin != "default"} == set(values)
    for key in KEYS:
        assert f"{key.name.partition('.')[2]} =" in text
        assert key.help.en in text
    assert [line for line in text.splitlines() if line.startswith("[")] == [f"[{section}]" for section in SECTIONS]


def test_a_template_is_commented_in_the_chosen_language() -> None:
    text = template(IDS, language="zh")
    assert "终端号" in text
    assert tomllib.loads(text)["terminal"] == {"id": "T0000001", "merchant": "M00000000000001"}


def test_every_commented_default_is_the_default(tmp_path: Path) -> None:
    plain = loaded(tmp_path, template(IDS))
    uncommented = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line and ": " not in line else line
        for line in template(IDS).splitlines()
    ]
    spelled_out = loaded(tmp_path, "\n".join(line for line in uncommented if not line.endswith("=")))
    assert dataclasses.replace(spelled_out, origins={}) == dataclasses.replace(plain, origins={})


def test_a_template_refuses_what_would_not_load() -> None:
    with pytest.raises(ConfigError, match=r"flag: terminal\.id: allowed: 8 printable"):
        template({"terminal.id": SECRET})


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=8, max_size=8))
def test_any_terminal_id_survives_the_template(identity: str) -> None:
    text = template({"terminal.id": identity, "terminal.merchant": "M00000000000001"})
    assert tomllib.loads(text)["terminal"]["id"] == identity
