from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pos_engine.errors import ConfigError
from pos_engine.values import KeyBytes
from simulators import config
from simulators.acquirer import Enrolled, terminal_master_key
from simulators.config import Listen, PortSettings, listen_at, load_ports, load_roster
from tests.support.host_client import MID, TID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "0123456789ABCDEFFEDCBA9876543210"
LISTEN = '[[port]]\nname = "shop"\nlisten = '
PORT = '[[port]]\nname = "shop"\nport = 9583\n'
TERMINAL = f'[[terminal]]\nid = "{TID}"\nmerchant = "{MID}"\ntmk = "derived"\n'


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "host.toml"


def test_ports_are_read_with_paths_from_their_file(path: Path) -> None:
    path.write_text(
        PORT
        + 'dialect = "unionpay"\nscenario = "faults.toml"\nledger = "books.db"\nforgets = true\nenrol = "/etc/t.toml"\n'
        + '[[port]]\nname = "other"\nport = 0\n'
    )
    folder = path.parent
    assert load_ports(path) == (
        PortSettings(
            name="shop",
            listen=(Listen.on(port=9583),),
            dialect="unionpay",
            scenario=folder / "faults.toml",
            ledger=folder / "books.db",
            forgets=True,
            enrol=folder.joinpath("/etc/t.toml"),
        ),
        PortSettings(name="other", dialect="unionpay"),
    )


def test_a_port_may_listen_at_several_places_with_files_for_those_that_have_tls(path: Path) -> None:
    path.write_text(
        '[[port]]\nname = "shop"\ncertificate = "host.pem"\nclient_ca = "ca.pem"\n'
        'listen = ["tls://127.0.0.1:0?framing=bcd2", "https://[::1]:9443/pay", "serial:///dev/ttyS1?baud=1200", '
        '"tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "socket://127.0.0.1:4001"]\n'
    )
    (settings,) = load_ports(path)
    folder = path.parent
    assert [(str(each.address), each.framing, each.certificate, each.client_ca) for each in settings.listen] == [
        ("tls://127.0.0.1:0", "bcd2", folder / "host.pem", folder / "ca.pem"),
        ("https://[::1]:9443/pay", "be2", folder / "host.pem", folder / "ca.pem"),
        ("serial:///dev/ttyS1", "stx", None, None),
        ("tcp://127.0.0.1:0", "be2", None, None),
        ("tcp://127.0.0.1:0", "be2", None, None),
        ("socket://127.0.0.1:4001", "stx", None, None),
    ]
    assert settings.listen[2].address.line.baud == 1200


def test_a_number_is_a_port_of_the_host_that_is_asked_for(path: Path) -> None:
    path.write_text(PORT)
    assert load_ports(path, host="::1")[0].listen == (Listen.on("::1", 9583),)


def test_the_framing_asked_for_is_that_of_addresses_without_one() -> None:
    texts = ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1?framing=le2", "serial:///dev/ttyS1")
    assert [listen_at(text, framing="bcd2").framing for text in texts] == ["bcd2", "le2", "bcd2"]


def test_a_roster_is_read_with_derived_keys_and_keys_from_files(path: Path) -> None:
    (path.parent / "whole.key").write_text(f" {KEY[:8]} {KEY[8:]}\n")
    (path.parent / "parts.key").write_text(f"{KEY}\n{'11' * 16}\n")
    rows = [TERMINAL]
    rows += [
        TERMINAL.replace(TID, f"T000000{place}").replace("derived", f"{name}.key")
        for place, name in ((2, "whole"), (3, "parts"))
    ]
    path.write_text("".join(rows))
    parts = bytes(byte ^ 0x11 for byte in bytes.fromhex(KEY))
    assert load_roster(path) == (
        Enrolled(TID, MID, terminal_master_key(TID)),
        Enrolled("T0000002", MID, KeyBytes(bytes.fromhex(KEY))),
        Enrolled("T0000003", MID, KeyBytes(parts)),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", r"needs one or more \[\[port\]\] tables"),
        ("port = 1", r"needs one or more \[\[port\]\] tables"),
        ("[port]", r"needs one or more \[\[port\]\] tables"),
        ("port = []", r"needs one or more \[\[port\]\] tables"),
        ("port = [1]", r"needs one or more \[\[port\]\] tables"),
        (PORT + "[other]", r"unknown key 'other'; the file has \[\[port\]\] tables only"),
        (PORT + "ledgr = 'x'", "port 1: unknown key 'ledgr'; did you mean ledger"),
        (
            PORT + "zzz = 'x'",
            "port 1: unknown key 'zzz'; keys are name, port, listen, certificate, client_ca, dialect, key_scheme",
        ),
        (PORT + "dialect = 'nobody'", "port 1: dialect: allowed: one of unionpay"),
        (PORT + "dialect = ['unionpay']", "port 1: dialect: allowed"),
        (PORT + "ledger = ''", "port 1: ledger: allowed: a path"),
        (PORT + "forgets = 'no'", "port 1: forgets: allowed: true or false"),
        ("[[port]]\nname = 'shop'\nport = 65536", "port 1: port: allowed: a number from 0 to 65535"),
        ("[[port]]\nname = 'shop'\nport = true", "port 1: port: allowed: a number"),
        ("[[port]]\nname = 'a shop'\nport = 0", "port 1: name: allowed: 1 to 32 letters"),
        ("[[port]]\nport = 0", "port 1: name is missing"),
        ("[[port]]\nname = 'shop'", "port 1: says either port, a number, or listen"),
        (PORT + "listen = 'tcp://127.0.0.1:1'", "port 1: says either port, a number, or listen"),
        (PORT + "certificate = 'host.pem'", "port 1: certificate and client_ca are for listen, at tls:// or https://"),
        (LISTEN + "''", "port 1: listen: an address is written tcp://"),
        (LISTEN + "[]", "port 1: listen: allowed: an address, or 1 to 8"),
        (LISTEN + "[1]", "port 1: listen: allowed: an address"),
        (LISTEN + "['tcp://127.0.0.1:1', 'nowhere']", "port 1: listen: an address is written tcp://"),
        (LISTEN + "'tls://127.0.0.1:1'", "port 1: listen: tls needs a certificate"),
        (
            LISTEN + "'tls://127.0.0.1:1'\nclient_ca = 'ca.pem'",
            "port 1: client_ca: the host itself needs a certificate",
        ),
        (LISTEN + "'tcp://127.0.0.1:1'\ncertificate = 'host.pem'", "port 1: certificate and client_ca are for listen"),
        (LISTEN + "'rfc2217://127.0.0.1:1'", "port 1: listen: a place to listen at is tcp, tls, https, serial or"),
        (
            LISTEN + "'tcp://127.0.0.1:1?answer_s=5'",
            "port 1: listen: a place to listen at is tcp, tls, https, serial or",
        ),
        (LISTEN + "['serial:///dev/ttyS1', 'serial:///dev/ttyS1?baud=1200']", "port 1: listens where another does"),
        (PORT + PORT, "port 2: name: is the same as that of another port"),
        (PORT + PORT.replace("shop", "other"), "port 2: listens where another does"),
        (
            PORT + "ledger = 'a'\n[[port]]\nname = 'other'\nport = 0\nledger = 'a'\nforgets = true",
            "port 2: forgets: another port with the same ledger says otherwise",
        ),
        ("[[port", "is not TOML"),
        ("a = " + "[" * 10_000, "is not"),
        ("[[port]]\n" * 65, "has 65 .* tables, and 64 are the most"),
    ],
)
def test_a_file_of_ports_that_cannot_be_names_file_key_and_what_is_allowed(path: Path, text: str, why: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        load_ports(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PORT, "unknown key 'port'"),
        (TERMINAL + TERMINAL, "terminal 2: id: is the same as that of another terminal"),
        (TERMINAL.replace(TID, "T1"), "terminal 1: id: allowed: 8 printable"),
        (TERMINAL.replace(TID, "T000000é"), "terminal 1: id: allowed: 8 printable"),
        (TERMINAL.replace(MID, "M1"), "terminal 1: merchant: allowed: 15 printable"),
        (TERMINAL.replace('tmk = "derived"', ""), "terminal 1: tmk is missing"),
        (TERMINAL.replace('"derived"', "1"), 'terminal 1: tmk: allowed: "derived" or the path'),
    ],
)
def test_a_roster_that_cannot_be_is_refused(path: Path, text: str, why: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        load_roster(path)


@pytest.mark.parametrize(
    "content", ["", "\n", "zz" * 16, KEY[:-1], KEY[:-2], f"{KEY}\n{KEY[:16]}", f"{KEY}\n" * 3, KEY + "é"]
)
def test_a_key_file_without_a_key_is_refused_unseen(path: Path, content: str) -> None:
    (path.parent / "tmk.key").write_text(content)
    path.write_text(TERMINAL.replace("derived", "tmk.key"))
    with pytest.raises(ConfigError, match=r"terminal 1: tmk: .*tmk\.key does not hold a key") as caught:
        load_roster(path)
    assert KEY[:14] not in str(caught.value)


@pytest.mark.parametrize("read", [load_ports, load_roster])
def test_a_file_that_cannot_be_read_is_named(path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ConfigError, match=r"host\.toml: cannot be read: no such file"):
        read(path)
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        read(path.parent)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read(path)
    path.write_bytes(b"#" * (config.FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="is larger than"):
        read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="tables"):
        read(path)


def test_a_roster_has_so_many_terminals_and_not_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "TERMINALS_MAX", 2)
    path.write_text(TERMINAL + TERMINAL.replace(TID, "T0000002"))
    assert len(load_roster(path)) == 2
    path.write_text(TERMINAL + TERMINAL.replace(TID, "T0000002") + TERMINAL.replace(TID, "T0000003"))
    with pytest.raises(ConfigError, match=r"has 3 .* tables, and 2 are the most"):
        load_roster(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*"[]\"=\n',.0é", "port", "name", "terminal", "tmk", "\0"]), max_size=30).map("".join))
def test_no_text_raises_anything_but_a_configuration_error(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    for read in (load_ports, load_roster):
        with pytest.raises(ConfigError):
            read(path)
