"""Old working keys end with the sign-on that replaced them: nothing of them is held, by the store or by anybody."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto import keys, mac
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Kind
from pos_engine.errors import KeyFault, NoAnswer
from pos_engine.flow.drive import Finished
from pos_engine.flow.effects import Ask, Verified, VerifyMac
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.values import Amount, KeyBytes
from simulators.acquirer import terminal_master_key
from simulators.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Literal

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.terminal import Terminal

TMK = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
STORAGE = KeyBytes(bytes(range(32)))
DATA = b"0200 and what follows"
TRACK = "6229990000000012D49122010000000000000"


def wrapped(usage: KeyUsage, number: int) -> WrappedKey:
    return keys.wrap(TMK, KeyBytes(bytes([number]) * 16), usage)


def ready() -> set[bytes]:
    """Return the clear keys of every cipher in this process that can still be used."""
    gc.collect()
    ciphers = [found for found in gc.get_objects() if isinstance(found, BlockCipher)]
    return {cipher.key.reveal() for cipher in ciphers if "closed" not in repr(cipher)}


def used(store: SoftwareKeyStore, number: int) -> tuple[WrappedKey, ...]:
    pin, code, track = (wrapped(usage, number) for usage in KeyUsage)
    store.pin_block(pin, bytes(8))
    store.mac(code, "unionpay-ecb", DATA)
    store.track(track, TRACK)
    return pin, code, track


def test_what_a_sign_on_has_replaced_is_dropped_before_its_successor_is_used() -> None:
    store = SoftwareKeyStore(TMK, STORAGE)
    used(store, 0x51)
    assert bytes([0x51]) * 16 in ready()
    store.retire([wrapped(usage, 0x52) for usage in KeyUsage])
    assert not {bytes([0x51]) * 16, bytes([0x52]) * 16} & ready()


def test_what_is_still_in_force_stays_ready() -> None:
    store = SoftwareKeyStore(TMK, STORAGE)
    pin, code, track = used(store, 0x53)
    store.retire([pin, wrapped(KeyUsage.MAC, 0x54), track])
    assert bytes([0x53]) * 16 in ready()
    store.retire([])
    store.retire([])
    assert bytes([0x53]) * 16 not in ready()
    # Handed in again, an old key still opens: the store remembers nothing about it.
    assert store.mac(code, "unionpay-ecb", DATA) == mac.generate("unionpay-ecb", KeyBytes(bytes([0x53]) * 16), DATA)


def test_a_former_key_serves_once_and_takes_nobodys_place() -> None:
    store = SoftwareKeyStore(TMK, STORAGE)
    used(store, 0x56)
    expected = mac.generate("unionpay-ecb", KeyBytes(bytes([0x55]) * 16), DATA)
    before = ready()
    assert store.mac_once(wrapped(KeyUsage.MAC, 0x55), "unionpay-ecb", DATA) == expected
    assert ready() == before
    assert bytes([0x56]) * 16 in before


def test_a_former_key_is_dropped_although_it_was_of_no_use() -> None:
    store = SoftwareKeyStore(TMK, STORAGE)
    with pytest.raises(KeyFault, match="not for 3des"):
        store.mac_once(wrapped(KeyUsage.MAC, 0x57), "sm4-xor", DATA)
    with pytest.raises(KeyFault, match="a PIN key cannot serve as MAC key"):
        store.mac_once(wrapped(KeyUsage.PIN, 0x57), "unionpay-ecb", DATA)
    with pytest.raises(KeyFault, match="check value"):
        store.mac_once(WrappedKey(KeyUsage.MAC, bytes(16), bytes(4)), "unionpay-ecb", DATA)
    assert bytes([0x57]) * 16 not in ready()


@pytest.mark.parametrize("algorithm", [Algorithm.TDES, Algorithm.SM4])
def test_a_store_says_which_cipher_its_master_key_is_for(algorithm: Algorithm) -> None:
    assert SoftwareKeyStore(TMK, STORAGE, algorithm=algorithm).algorithm is algorithm


# --- a whole terminal


class Heard:
    """Keeps every message that arrives."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def before(self, effect: Effect) -> None:
        """Ignore it."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        if direction == "received":
            self.packets.append(packet)


def in_force(bench: Bench, terminal: Terminal) -> tuple[WrappedKey, ...]:
    sign_on = bench.journal(terminal).last_approved(Kind.SIGN_ON)
    assert sign_on is not None
    return sign_on.keys


def clear(held: tuple[WrappedKey, ...]) -> set[bytes]:
    tmk = terminal_master_key("T0000001", held[0].algorithm)
    return {keys.unwrap(tmk, key).reveal() for key in held}


@pytest.mark.parametrize("key_scheme", ["des", "3des", "3des-track", "sm4"])
def test_after_a_new_sign_on_nothing_in_the_process_holds_an_older_key(key_scheme: str) -> None:
    bench = Bench(seed=7, key_scheme=key_scheme)
    terminal = bench.open()
    generations: list[set[bytes]] = []
    for _ in range(3):
        assert isinstance(terminal.sign_on(), Approved)
        old: set[bytes] = set().union(*generations)
        assert not old & ready()
        assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
        generations.append(clear(in_force(bench, terminal)))
        assert generations[-1] <= ready()
    bench.close()


def test_after_a_sign_off_no_working_key_is_held() -> None:
    bench = Bench(seed=8)
    terminal = bench.open()
    assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    held = clear(in_force(bench, terminal))
    assert held <= ready()
    assert isinstance(terminal.sign_off(), Approved)
    assert not held & ready()
    bench.close()


def test_a_sign_on_that_fails_leaves_the_keys_in_force_as_they_are() -> None:
    bench = Bench(seed=9)
    terminal = bench.open()
    assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    held = clear(in_force(bench, terminal))
    bench.link.lose_answer()
    with pytest.raises(NoAnswer):
        terminal.sign_on()
    assert held <= ready()
    bench.close()


def test_a_late_answer_is_proved_with_the_former_key_which_is_then_gone() -> None:
    bench = Bench(seed=10)
    heard = Heard()
    terminal = bench.open(trace=heard)
    assert isinstance(terminal.sale(Amount.cny("1.00")), Approved)
    approval, former = heard.packets[-1], in_force(bench, terminal)
    assert isinstance(terminal.sign_on(), Approved)
    assert isinstance(terminal.sale(Amount.cny("9.97")), InDoubt)
    answers: list[Verified] = []

    def asks(packet: Packet, key: WrappedKey) -> Generator[Effect, Happening, Finished]:
        happened = yield Ask(VerifyMac(packet, key))
        assert isinstance(happened, Verified)
        answers.append(happened)
        return Finished(happened.now)

    performer = terminal._performer  # noqa: SLF001 - the effect is asked for as a drive would
    before, mak = ready(), next(key for key in former if key.usage is KeyUsage.MAC)
    performer.run(asks(approval, mak))
    performer.run(asks(approval, WrappedKey(KeyUsage.MAC, mak.cryptogram, bytes(4))))
    performer.run(asks(approval, next(key for key in in_force(bench, terminal) if key.usage is KeyUsage.MAC)))
    assert [each.good for each in answers] == [True, False, False]
    assert ready() == before
    assert not clear(former) & before
    bench.close()
