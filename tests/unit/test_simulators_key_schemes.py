"""The host's side of key schemes: what a sign-on asks for is what it gets, and PIN and track are read as that says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from pos_engine.clock import ManualClock
from pos_engine.crypto import mac, pinblock, track
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, unwrap
from pos_engine.dialects.base import Draft, Kind, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY, with_scheme
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.errors import ConfigError, UsageError
from pos_engine.flow.outcomes import Approved
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import Amount, EncipheredTrack, Identity, KeyBytes
from pos_engine.wire.message import Message
from simulators.acquirer import Acquirer, Enrolled, terminal_master_key
from simulators.acquirer.enrolment import TEST_ROOT_KEY, Enrolment, schemes_of
from simulators.bench import Bench
from simulators.cards import CARDS
from simulators.config import PortSettings, load_ports, load_roster
from tests.support.host_client import MID, TID, counting_entropy

if TYPE_CHECKING:
    from pathlib import Path

CARD = CARDS["everyday"]
TRACK = CARD.track2.reveal()
TERMINAL = f'[[terminal]]\nid = "{TID}"\nmerchant = "{MID}"\ntmk = "derived"\n'
DES_FAMILY = ["des", "3des", "3des-track"]


class Client:
    """A terminal of a scheme without a flow: it signs on, and sends what a test has made."""

    def __init__(self, acquirer: Acquirer, name: str, tid: str = TID) -> None:
        self.acquirer, self.dialect, self.identity = acquirer, with_scheme(name), Identity(tid, MID)
        self.scheme, self.stan = SCHEMES[name], 0
        self.ciphers: dict[KeyUsage, BlockCipher] = {}
        self.signed_on = self.exchange(Message("0800", self.dialect.compose(self.draft(Kind.SIGN_ON))), sealed=False)
        if 62 in self.signed_on:
            tmk = terminal_master_key(tid, self.scheme.algorithm)
            read = self.dialect.read_keys(self.signed_on)
            self.ciphers = {key.usage: BlockCipher(unwrap(tmk, key), key.algorithm) for key in read}

    def draft(self, kind: Kind, pin: str | None = None) -> Draft:
        self.stan += 1
        form = pinblock.FORMATS[self.scheme.pin_format]
        block = None if pin is None else self.ciphers[KeyUsage.PIN].encrypt(form.build(pin, CARD.pan, bytes))
        tdk = self.ciphers.get(KeyUsage.TRACK)
        return Draft(
            row=self.dialect.kinds[kind],
            identity=self.identity,
            stan=f"{self.stan:06d}",
            batch="000001",
            amount=Amount(100) if kind is Kind.SALE else None,
            card=CARD.card if kind is Kind.SALE else None,
            pin_block=block,
            enciphered_track=None if tdk is None else EncipheredTrack(track.encrypt(tdk, TRACK)),
        )

    def sale(self, changes: dict[int, str] | None = None, pin: str | None = "123456") -> str:
        message = Message("0200", self.dialect.compose(self.draft(Kind.SALE, pin)) | (changes or {}))
        return self.exchange(message)[39]

    def exchange(self, message: Message, *, sealed: bool = True) -> Message:
        def seal(data: bytes) -> bytes:
            return mac.compute(self.scheme.mac, self.ciphers[KeyUsage.MAC], data)

        tpdu = Tpdu("0003", "0001")
        packet = pack(self.dialect, message, tpdu=tpdu, header="603100310000", mac=seal if sealed else None)
        reply = self.acquirer.handle(packet.encode(), ManualClock().now())
        assert reply.data is not None
        return unpack(self.dialect, reply.data).message


def host(name: str = "3des", roster: list[Enrolled] | None = None) -> Acquirer:
    return Acquirer(entropy=counting_entropy(), dialect=with_scheme(name), roster=roster)


# --- who is served


def test_terminals_of_three_schemes_share_one_host_and_each_gets_its_own_keys() -> None:
    acquirer = host()
    sizes = {}
    for place, name in enumerate(DES_FAMILY, 1):
        client = Client(acquirer, name, f"T000000{place}")
        assert client.signed_on[39] == "00"
        assert client.signed_on[60] == f"00000001{SCHEMES[name].network_code}"
        sizes[name] = len(client.signed_on[62]) // 2
        assert client.sale() == "00"
    assert sizes == {"des": 24, "3des": 40, "3des-track": 60}


def test_a_terminal_that_asks_for_other_keys_the_next_time_gets_them() -> None:
    acquirer = host()
    for name in (*DES_FAMILY, "3des"):
        assert Client(acquirer, name).signed_on[39] == "00"


def test_a_host_of_sm4_serves_sm4_alone() -> None:
    assert list(schemes_of(with_scheme("sm4")).values()) == [SCHEMES["sm4"]]
    client = Client(host("sm4"), "sm4")
    assert len(client.signed_on[62]) // 2 == 48
    assert client.sale() == "00"


@pytest.mark.parametrize(("host_of", "asks"), [("sm4", "des"), ("sm4", "3des-track")])
def test_a_sign_on_that_no_scheme_of_the_host_has_is_not_supported(host_of: str, asks: str) -> None:
    assert Client(host(host_of), asks).signed_on[39] == "40"


@pytest.mark.parametrize("named", DES_FAMILY)
@pytest.mark.parametrize("asks", DES_FAMILY)
def test_a_roster_that_names_a_scheme_has_it_kept(named: str, asks: str) -> None:
    acquirer = host(roster=[Enrolled(TID, MID, terminal_master_key(TID), named)])
    assert Client(acquirer, asks).signed_on[39] == ("00" if named == asks else "40")


def test_what_a_terminal_speaks_of_comes_from_its_id() -> None:
    block = TID.encode() + bytes(0xFF - byte for byte in TID.encode())
    expected = Cipher(SM4(TEST_ROOT_KEY.reveal()), modes.ECB()).encryptor().update(block)  # noqa: S305 - one block
    assert terminal_master_key(TID, Algorithm.SM4).reveal() == expected
    assert terminal_master_key(TID) != terminal_master_key(TID, Algorithm.SM4)
    with pytest.raises(UsageError):
        terminal_master_key("T1", Algorithm.SM4)


# --- what is read


@pytest.mark.parametrize("name", list(SCHEMES))
def test_a_wrong_pin_and_an_unreadable_one_are_told_apart(name: str) -> None:
    client = Client(host(name), name)
    assert client.sale(pin="654321") == "55"
    size = SCHEMES[name].pin_block_bytes
    assert client.sale({52: "00" * size}) == "99"


@pytest.mark.parametrize(("name", "digit"), [("des", "6"), ("3des", "0"), ("3des-track", "3"), ("sm4", "6")])
def test_a_pin_that_says_it_is_of_another_cipher_is_unreadable(name: str, digit: str) -> None:
    client = Client(host(name), name)
    message = client.dialect.compose(client.draft(Kind.SALE, "123456"))
    assert client.sale({53: message[53][0] + digit + message[53][2:]}) == "99"


def test_an_sm4_block_without_a_card_number_is_no_form_that_is_known() -> None:
    assert Client(host("sm4"), "sm4").sale({53: "1300000000000000"}) == "99"


def test_a_track_is_taken_only_as_the_keys_have_it() -> None:
    acquirer = host()
    tracking, plain = Client(acquirer, "3des-track"), Client(acquirer, "3des", "T0000002")
    assert tracking.sale() == "00"
    assert tracking.sale({35: TRACK, 53: "2600000000000000"}) == "30"
    assert tracking.sale({35: TRACK}) == "30"
    assert tracking.sale({35: TRACK[:16]}) == "30"
    other = BlockCipher(KeyBytes(bytes(range(16))))
    assert tracking.sale({35: track.encrypt(other, TRACK)}) == "30"
    assert plain.sale() == "00"
    assert plain.sale({53: "2610000000000000"}) == "30"


def test_a_second_track_is_deciphered_too() -> None:
    client = Client(host(), "3des-track")
    third = track.encrypt(client.ciphers[KeyUsage.TRACK], "99" + TRACK.replace("D", "=") + "0" * 40)
    assert client.sale({36: third}) == "00"
    assert client.sale({36: TRACK + "00"}) == "30"


@pytest.mark.parametrize("name", list(SCHEMES))
def test_keys_of_a_sign_on_differ_and_have_their_sizes(name: str) -> None:
    scheme = SCHEMES[name]
    signed_on = Enrolment(counting_entropy()).sign_on(TID, MID, scheme)
    assert isinstance(signed_on, tuple)
    _, held = signed_on
    keys = [cipher.key.reveal() for cipher in (held.pin, held.mac, held.track) if cipher is not None]
    assert len(set(keys)) == len(keys) == len(scheme.usages)
    expected = [place.key_bytes for place in scheme.layouts[0].places]
    assert [len(key) for key in keys] == ([16, 8] if name == "3des" else expected)


# --- files and benches


def test_a_roster_names_schemes_that_its_host_serves(tmp_path: Path) -> None:
    path = tmp_path / "terminals.toml"
    path.write_text(TERMINAL + 'key_scheme = "des"\n')
    assert load_roster(path) == (Enrolled(TID, MID, terminal_master_key(TID), "des"),)
    with pytest.raises(ConfigError, match="terminal 1: key_scheme: this host has sm4"):
        load_roster(path, dialect=with_scheme("sm4"))
    path.write_text(TERMINAL + 'key_scheme = "sm4"\n')
    assert load_roster(path, dialect=with_scheme("sm4"))[0].tmk == terminal_master_key(TID, Algorithm.SM4)
    with pytest.raises(ConfigError, match="this host has des and 3des and 3des-track"):
        load_roster(path)
    path.write_text(TERMINAL + 'key_scheme = "rot13"\n')
    with pytest.raises(ConfigError, match="terminal 1: key_scheme: allowed: one of des, 3des, 3des-track, sm4"):
        load_roster(path)


def test_a_key_of_another_size_than_the_cipher_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tmk.key").write_text("0123456789ABCDEF\n")
    path = tmp_path / "terminals.toml"
    path.write_text(TERMINAL.replace("derived", "tmk.key"))
    assert load_roster(path)[0].tmk == KeyBytes(bytes.fromhex("0123456789ABCDEF"))
    with pytest.raises(ConfigError, match="terminal 1: tmk: an SM4 key has 16 bytes"):
        load_roster(path, dialect=with_scheme("sm4"))


def test_a_port_has_a_key_scheme_of_its_dialect(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    path.write_text('[[port]]\nname = "shop"\nport = 0\nkey_scheme = "sm4"\n')
    assert load_ports(path) == (PortSettings(name="shop", dialect="unionpay", key_scheme="sm4"),)
    path.write_text('[[port]]\nname = "shop"\nport = 0\ndialect = "iso87"\nkey_scheme = "sm4"\n')
    with pytest.raises(ConfigError, match="port 1: key_scheme: dialect iso87 has 3des"):
        load_ports(path)


@pytest.mark.parametrize("name", list(SCHEMES))
def test_a_bench_of_each_scheme_sells(name: str) -> None:
    bench = Bench(seed=3, key_scheme=name)
    terminal = bench.open()
    assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    assert bench.books.differences(terminal) == []
    bench.close()


def test_terminals_of_a_bench_may_differ_within_a_cipher_and_not_beyond() -> None:
    bench = Bench(seed=4)
    for place, name in enumerate(DES_FAMILY, 1):
        terminal = bench.open({"acquirer.key_scheme": name, "terminal.id": f"T000000{place}"})
        assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    with pytest.raises(ConfigError, match="sm4 takes a master key for sm4"):
        bench.open({"acquirer.key_scheme": "sm4"})
    bench.close()


def test_a_dialect_without_schemes_is_served_with_the_usual_keys() -> None:
    assert schemes_of(replace(UNIONPAY, scheme=None, schemes={})) == {"003": SCHEMES["3des"]}
