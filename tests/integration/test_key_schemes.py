"""Terminal and host of every key scheme over real sockets: what goes well, what is lost, and keys that are wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pos_engine import config, system
from pos_engine.crypto import mac, track
from pos_engine.crypto.cipher import BlockCipher
from pos_engine.crypto.keys import KeyUsage, unwrap
from pos_engine.dialects.base import Kind, Packet, pack, unpack
from pos_engine.dialects.registry import dialect_of
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.errors import ConfigError, KeyFault, NotSent, NotSignedOn
from pos_engine.flow.outcomes import Approved, Declined, InDoubt
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.terminal import Terminal
from pos_engine.values import Amount, Card
from simulators.acquirer import Acquirer, Enrolled, Fate, Reply, terminal_master_key
from simulators.cards import CARDS
from simulators.server import BackgroundServer
from tests.support.commands import new_shop, running_host

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Literal

    from pos_engine.clock import Instant
    from pos_engine.config.keys import Value
    from pos_engine.dialects.base import KeyScheme
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.journal.record import Record

TID, MID = "T0000001", "M00000000000001"
TRACK = CARDS["everyday"].track2.reveal()
EVERY = pytest.mark.parametrize("name", list(SCHEMES))
WRONG = [(name, usage) for name, scheme in SCHEMES.items() for usage in KeyUsage if usage in scheme.usages]


@dataclass
class Wire:
    """Keeps every message of a terminal, as a trace."""

    sent: list[Packet] = field(default_factory=list)
    received: list[Packet] = field(default_factory=list)

    def before(self, effect: Effect) -> None:
        """Ignore it."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        (self.sent if direction == "sent" else self.received).append(packet)

    def requests(self, mti: str) -> list[Packet]:
        return [packet for packet in self.sent if packet.message.mti == mti]


class Shop:
    """One terminal's folder: its configuration, and a keystore whose master key the host derives too."""

    def __init__(self, folder: Path, port: int, name: str, *, keys_for: str = "") -> None:
        self.folder, self.port, self.scheme = folder, port, SCHEMES[name]
        self.wire = Wire()
        self.write(name)
        algorithm = SCHEMES[keys_for or name].algorithm
        self.tmk = terminal_master_key(TID, algorithm)
        SoftwareKeyStore.create(
            folder / "keystore.json", folder / "wrapping.key", tmk=self.tmk, entropy=system.entropy, algorithm=algorithm
        ).close()

    def write(self, name: str) -> None:
        text = config.template(
            {
                "terminal.id": TID,
                "terminal.merchant": MID,
                "acquirer.address": f"tcp://127.0.0.1:{self.port}",
                "acquirer.key_scheme": name,
                "acquirer.answer_timeout_s": 5,
                "peripherals.reader": "simulated",
                "peripherals.pin_pad": "simulated",
                "peripherals.card": "everyday",
            }
        )
        (self.folder / "pos-engine.toml").write_text(text, encoding="utf-8")

    def open(self) -> Terminal:
        return Terminal.open(self.folder / "pos-engine.toml", trace=self.wire)

    def keys(self, generation: int = -1) -> dict[KeyUsage, BlockCipher]:
        """Return the working keys of a sign-on, opened by hand from what came over the wire."""
        answers = [packet.message for packet in self.wire.received if packet.message.mti == "0810"]
        read = dialect_of("unionpay", self.scheme.name).read_keys(answers[generation])
        return {key.usage: BlockCipher(unwrap(self.tmk, key), key.algorithm) for key in read}


def host_of(name: str, roster: Iterable[Enrolled] | None = None) -> Acquirer:
    return Acquirer(entropy=system.entropy, dialect=dialect_of("unionpay", name), roster=roster)


def believed(shop: Shop) -> int:
    with shop.open() as terminal:
        return sum(line.moved_minor for line in terminal.status(recent=100).recent if line.about_money)


def booked(host: BackgroundServer) -> int:
    ledger = host.ledger()
    return sum(ledger.effects_of(each.key.terminal, each.key.batch, each.key.stan) for each in ledger.transactions)


def files_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


# --- what goes well


@EVERY
def test_a_day_of_each_scheme_ends_with_equal_books(name: str, tmp_path: Path) -> None:
    with BackgroundServer(host_of(name)) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sign_on(), Approved)
            first = terminal.sale(Amount.cny("12.34"))
            assert isinstance(first, Approved)
            assert isinstance(terminal.void(first.reference), Approved)
            second = terminal.sale(Amount.cny("20.00"))
            assert isinstance(second, Approved)
            assert isinstance(terminal.refund(Amount.cny("5.00"), original=second.reference), Approved)
            balance = terminal.balance()
            assert isinstance(balance, Approved)
            assert str(balance.balance) == "99985.00 CNY"
            keyed = terminal.sale(Amount.cny("1.00"), card=Card.keyed(CARDS["everyday"].pan.reveal(), "4912"))
            assert isinstance(keyed, Approved)
            assert isinstance(terminal.sign_off(), Approved)
        assert believed(shop) == booked(host) == 1600
    assert [packet.message[60][8:11] for packet in shop.wire.requests("0800")] == [SCHEMES[name].network_code]


@EVERY
def test_what_leaves_is_made_with_the_keys_that_came(name: str, tmp_path: Path) -> None:
    """PIN block, MAC and track are taken apart here by hand, with keys that were opened by hand."""
    with BackgroundServer(host_of(name)) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("12.34")), Approved)
    scheme, held = shop.scheme, shop.keys()
    (sale,) = shop.wire.requests("0200")
    message = sale.message
    form = "2" + scheme.cipher_digit + ("1" if scheme.enciphers_tracks else "0")
    assert message[53] == form.ljust(16, "0")
    clear = held[KeyUsage.PIN].decrypt(bytes.fromhex(message[52]))
    card_field = int(CARDS["everyday"].pan.reveal()[3:15], 16)
    pin_field = int.from_bytes(clear) ^ card_field
    assert f"{pin_field:0{2 * scheme.pin_block_bytes}X}" == "06123456".ljust(2 * scheme.pin_block_bytes, "F")
    assert bytes.fromhex(message[64]) == mac.compute(scheme.mac, held[KeyUsage.MAC], sale.mac_input())
    if scheme.enciphers_tracks:
        assert message[35] != TRACK
        assert track.decrypt(held[KeyUsage.TRACK], message[35]) == TRACK
    else:
        assert message[35] == TRACK


@EVERY
def test_neither_track_nor_key_is_in_any_file(name: str, tmp_path: Path) -> None:
    with BackgroundServer(host_of(name)) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("12.34")), Approved)
            assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
            terminal.tick()
    kept = files_of(tmp_path)
    tracks = {packet.message[35] for packet in shop.wire.sent if 35 in packet.message} | {TRACK}
    blocks = {packet.message[52] for packet in shop.wire.sent if 52 in packet.message}
    keys = {cipher.key.reveal().hex().upper() for cipher in shop.keys().values()}
    for secret in (*tracks, *blocks, *keys):
        packed = bytes.fromhex(secret + "0" * (len(secret) % 2))
        assert not any(form in kept for form in (secret.encode(), secret.lower().encode(), packed))


# --- what is lost


@EVERY
def test_a_lost_answer_is_reversed_under_each_scheme(name: str, tmp_path: Path) -> None:
    with BackgroundServer(host_of(name)) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
            assert terminal.tick().owed == 0
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        assert believed(shop) == booked(host) == 100
    (reversal,) = shop.wire.requests("0400")
    assert not {35, 36, 52, 53} & reversal.message.keys()


@EVERY
def test_a_pending_reversal_goes_out_under_the_key_of_the_new_sign_on(name: str, tmp_path: Path) -> None:
    with BackgroundServer(host_of(name)) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
            assert isinstance(terminal.sign_on(), Approved)
            assert terminal.tick().owed == 0
        assert believed(shop) == booked(host) == 0
    (reversal,) = shop.wire.requests("0400")
    old, new = shop.keys(0)[KeyUsage.MAC], shop.keys(1)[KeyUsage.MAC]
    code = bytes.fromhex(reversal.message[64])
    assert code == mac.compute(shop.scheme.mac, new, reversal.mac_input())
    assert code != mac.compute(shop.scheme.mac, old, reversal.mac_input())


def test_a_track_is_enciphered_under_the_key_in_force_when_its_request_is_made(tmp_path: Path) -> None:
    with BackgroundServer(host_of("3des-track")) as host:
        shop = Shop(tmp_path, host.port, "3des-track")
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
            host.acquirer.forget_sessions()
            terminal.sale(Amount.cny("2.00"))
            assert isinstance(terminal.sale(Amount.cny("3.00")), Approved)
    sent = shop.wire.requests("0200")
    assert track.decrypt(shop.keys(0)[KeyUsage.TRACK], sent[0].message[35]) == TRACK
    assert track.decrypt(shop.keys(-1)[KeyUsage.TRACK], sent[-1].message[35]) == TRACK
    assert sent[0].message[35] != sent[-1].message[35]


# --- keys that are wrong


class Garbling(Acquirer):
    """A host that hands out one key with a wrong check value while `spoils` names its usage."""

    spoils: KeyUsage | None = None
    scheme: KeyScheme = SCHEMES["3des"]

    def handle(self, payload: bytes, now: Instant) -> Reply:
        reply = super().handle(payload, now)
        if reply.data is None or self.spoils is None or reply.fate is not Fate.SEND:
            return reply
        packet = unpack(self.dialect, reply.data)
        if 62 not in packet.message:
            return reply
        data = bytearray.fromhex(packet.message[62])
        layout, end = self.scheme.layout(len(data)), 0
        assert layout is not None
        for place in layout.places:
            end += place.key_bytes + place.check_bytes
            if place.usage is self.spoils:
                data[end - 1] ^= 1
        message = packet.message.replace({62: data.hex().upper()})
        changed = pack(self.dialect, message, tpdu=packet.tpdu, header=packet.header).encode()
        return Reply(changed, reply.fate, reply.event)


def sign_ons(terminal: Terminal) -> list[Record]:
    journal = terminal._performer.journal  # noqa: SLF001 - what a failed sign-on has kept is shown nowhere else
    return [each for each in journal.recent(100) if each.kind is Kind.SIGN_ON]


@pytest.mark.parametrize(("name", "usage"), WRONG, ids=[f"{name}-{usage.name}" for name, usage in WRONG])
def test_one_wrong_check_value_activates_nothing(name: str, usage: KeyUsage, tmp_path: Path) -> None:
    acquirer = Garbling(entropy=system.entropy, dialect=dialect_of("unionpay", name))
    acquirer.scheme = SCHEMES[name]
    with BackgroundServer(acquirer) as host:
        shop = Shop(tmp_path, host.port, name)
        with shop.open() as terminal:
            assert isinstance(terminal.sign_on(), Approved)
            before = terminal.status().keys
            acquirer.spoils = usage
            with pytest.raises(KeyFault, match=f"the check value of the {usage.value} does not match"):
                terminal.sign_on()
            failed = sign_ons(terminal)[0]
            assert (failed.keys, failed.notes) == ((), (f"the check value of the {usage.value} does not match",))
            assert terminal.status().keys == before
            acquirer.spoils = None
            assert isinstance(terminal.sign_on(), Approved)
            assert len(set(terminal.status().keys) & set(before)) == 0
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        assert believed(shop) == booked(host) == 100


@pytest.mark.parametrize(("ours", "theirs"), [("sm4", "3des"), ("3des", "sm4"), ("3des-track", "sm4")])
def test_a_host_of_another_cipher_activates_nothing(ours: str, theirs: str, tmp_path: Path) -> None:
    with BackgroundServer(host_of(theirs)) as host:
        shop = Shop(tmp_path, host.port, ours)
        with shop.open() as terminal:
            with pytest.raises((KeyFault, NotSignedOn, NotSent)):
                terminal.sale(Amount.cny("1.00"))
            assert terminal.status().keys == ()
        assert booked(host) == 0


def test_a_roster_may_name_the_keys_and_a_sign_on_for_others_is_refused(tmp_path: Path) -> None:
    roster = [Enrolled(TID, MID, terminal_master_key(TID), "3des-track")]
    with BackgroundServer(host_of("3des", roster)) as host:
        shop = Shop(tmp_path, host.port, "3des")
        with shop.open() as terminal:
            refused = terminal.sign_on()
            assert isinstance(refused, Declined)
            assert refused.code.code == "40"
        shop.write("3des-track")
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    assert host.events[0].note == "the roster names other keys"


# --- a scheme that is changed, or cannot be


@pytest.mark.parametrize(("first", "then"), [("3des", "3des-track"), ("des", "3des"), ("3des-track", "des")])
def test_another_scheme_in_the_configuration_signs_on_before_a_card_is_taken(
    first: str, then: str, tmp_path: Path
) -> None:
    with BackgroundServer(host_of("3des")) as host:
        shop = Shop(tmp_path, host.port, first)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("9.96")), InDoubt)
        shop.write(then)
        with shop.open() as terminal:
            assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        assert believed(shop) == booked(host) == 100
    codes = [packet.message[60][8:11] for packet in shop.wire.requests("0800")]
    assert codes == [SCHEMES[first].network_code, SCHEMES[then].network_code]


@pytest.mark.parametrize(("keys_for", "name"), [("3des", "sm4"), ("sm4", "3des"), ("sm4", "3des-track")])
def test_a_master_key_for_another_cipher_is_a_configuration_error(keys_for: str, name: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, 9583, name, keys_for=keys_for)
    ours, theirs = SCHEMES[name].algorithm.value, SCHEMES[keys_for].algorithm.value
    expected = f"acquirer.key_scheme: {name} takes a master key for {ours}, and the keystore's is for {theirs}"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        shop.open()
    assert not (tmp_path / "journal.db").exists()


def test_a_scheme_that_the_dialect_has_not_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        f'[terminal]\nid = "{TID}"\nmerchant = "{MID}"\ndialect = "iso87"\n[acquirer]\nkey_scheme = "sm4"\n'
    )
    with pytest.raises(ConfigError, match=r"acquirer\.key_scheme: dialect iso87 has 3des"):
        config.load(tmp_path / "x.toml", environment={})


def test_an_unverified_scheme_is_not_for_production(tmp_path: Path) -> None:
    values: dict[str, Value] = {
        "terminal.id": TID,
        "terminal.merchant": MID,
        "terminal.production": True,
        "acquirer.key_scheme": "sm4",
    }
    with pytest.raises(ConfigError, match="the key scheme sm4 is unverified"):
        config.settle(values, folder=tmp_path)


# --- the commands


def test_sm4_on_the_command_line_from_init_to_a_sale(tmp_path: Path) -> None:
    folder, house = tmp_path / "shop", tmp_path / "host"
    folder.mkdir()
    house.mkdir()
    with running_host(house, "--key-scheme", "sm4") as (_, first):
        shop = new_shop(folder, int(first["port"]))
        identity = ("--terminal", shop.terminal, "--merchant", MID, "--address", shop.address)
        made = shop.run("init", "--simulated", "--key-scheme", "sm4", *identity, "--json").json()
        assert (made["key_scheme"], made["key_scheme_verified"]) == ("sm4", False)
        assert made["next"][0].endswith(f"acquirer --port {first['port']} --key-scheme sm4")
        checked = shop.run("config", "check", "--json").json()
        assert checked["key_scheme"]["name"] == "sm4"
        assert checked["key_scheme"]["verified"] is False
        assert "unverified" in shop.run("config", "check").out
        assert "key scheme: sm4, keys for SM4 (unverified: " in shop.run("config", "show").out
        assert shop.run("sale", "12.34").code == 0
        keys = shop.run("session", "keys", "list", "--json").json()["keys"]
        assert {key["algorithm"] for key in keys if key["name"] != "storage key"} == {"sm4"}
        assert all(key["opens"] for key in keys)
    assert 'key_scheme = "sm4"' in (folder / "pos-engine.toml").read_text(encoding="utf-8")


def test_a_scheme_that_is_none_is_refused_by_the_commands(tmp_path: Path) -> None:
    shop = new_shop(tmp_path, 9583)
    assert "key_scheme" in shop.run("init", "--simulated", "--key-scheme", "rot13").error()
    assert list(tmp_path.iterdir()) == []
    assert "no key scheme of that name" in shop.run("acquirer", "--key-scheme", "rot13").error()
    assert "no key scheme of that name" in shop.run("dialect", "show", "iso87", "--key-scheme", "sm4").error()
    short = shop.run(
        *("init", "--terminal", shop.terminal, "--merchant", MID, "--key-scheme", "sm4"), stdin="0123456789ABCDEF\n"
    )
    assert "does not fit the key scheme sm4: an SM4 key has 16 bytes" in short.error()
    assert list(tmp_path.iterdir()) == []


def test_what_is_unverified_says_so_where_a_dialect_is_shown(tmp_path: Path) -> None:
    shop = new_shop(tmp_path, 9583)
    shown = shop.run("dialect", "show", "unionpay", "--key-scheme", "sm4").out
    (line,) = (each for each in shown.splitlines() if each.startswith("sm4 *"))
    assert "unverified" in line
    assert "未经验证" in shop.run("dialect", "show", "unionpay", "--lang", "zh").out
    table = shop.run("dialect", "show", "unionpay", "--key-scheme", "sm4", "--json").json()
    assert table["key_scheme"] == "sm4"
    assert next(each for each in table["fields"] if each["number"] == 52)["type"] == "b 16"
