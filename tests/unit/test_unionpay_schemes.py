"""Key schemes as data: what each asks for, reads, writes into a request, and never lets out; judged by oracles."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.utils import CryptographyDeprecationWarning

from pos_engine.crypto import keys, pinblock
from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.crypto.mac import ALGORITHMS
from pos_engine.dialects.base import UNVERIFIED, Draft, KeyLayout, KeyScheme, Kind, pack, unpack
from pos_engine.dialects.check import findings
from pos_engine.dialects.registry import DIALECTS, KEY_SCHEMES, dialect_of
from pos_engine.dialects.table import as_table
from pos_engine.dialects.unionpay import UNIONPAY, with_scheme
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.dialects.unionpay.sign_on import LAYOUTS, UNCHECKED_TRACK_KEY, build_keys, parse_keys, read_keys
from pos_engine.errors import DecodeError, LocalProtocolError, UsageError
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.peripherals.simulated import SimulatedPinPad
from pos_engine.values import Amount, Card, EncipheredTrack, Identity, KeyBytes, Pan
from pos_engine.wire.field import Content
from pos_engine.wire.message import Message
from tests.vectors import crypto as known

if TYPE_CHECKING:
    from collections.abc import Callable

with warnings.catch_warnings():
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    import psec.des
    import psec.pinblock

EVERY = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
LAID_OUT = [(scheme, layout) for scheme in SCHEMES.values() for layout in scheme.layouts]
TMK = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
STORAGE = KeyBytes(bytes(range(32)))
TRACK = "6229990000000012D49122010000000000000"
PIN = "123456"
PAN = Pan("6229990000000012")
ENCIPHERED = EncipheredTrack("6229990000000012D49" + "0123456789ABCDEF" + "00")


def answer(data: bytes, scheme: KeyScheme) -> Message:
    return Message("0810", {60: f"00000001{scheme.network_code}", 62: data.hex().upper()})


def made(scheme: KeyScheme, size: int) -> tuple[bytes, dict[KeyUsage, bytes]]:
    """Keys of a layout as a host would send them, wrapped here by hand."""
    layout, data, clear = scheme.layout(size), b"", {}
    assert layout is not None
    for place in layout.places:
        key = bytes(17 * (len(place.usage.value) + each) % 251 for each in range(place.key_bytes))
        clear[place.usage] = key
        wrapped = keys.wrap(TMK, KeyBytes(key), place.usage, algorithm=scheme.algorithm, check_size=place.check_bytes)
        data += wrapped.cryptogram + wrapped.check_value
    return data, clear


def composed(scheme: KeyScheme, card: Card, pin_block: bytes | None) -> dict[int, str]:
    draft = Draft(
        row=UNIONPAY.kinds[Kind.SALE],
        identity=Identity("T0000001", "M00000000000001"),
        stan="000001",
        batch="000001",
        amount=Amount(1234),
        card=card,
        pin_block=pin_block,
        enciphered_track=ENCIPHERED if scheme.enciphers_tracks else None,
    )
    return with_scheme(scheme.name).compose(draft)


# --- the table


def test_the_table_says_what_is_known_of_each_scheme() -> None:
    told = {
        name: (each.network_code, [layout.size for layout in each.layouts], each.cipher_digit, each.pin_block_bytes)
        for name, each in SCHEMES.items()
    }
    assert told == {
        "des": ("001", [24], "0", 8),
        "3des": ("003", [40, 32], "6", 8),
        "3des-track": ("004", [60, 84], "6", 8),
        "sm4": ("003", [48, 40], "3", 16),
    }


def test_what_no_public_source_confirms_says_so_wherever_it_is_shown() -> None:
    doubted = {name for name, each in SCHEMES.items() if not each.verified}
    assert doubted == {"sm4"}
    assert {(each.name, layout.size) for each, layout in LAID_OUT if not layout.verified} == {
        ("sm4", 48),
        ("sm4", 40),
        ("3des-track", 84),
    }
    told = {each["name"]: each for each in as_table(UNIONPAY)["key_schemes"]}
    assert {name for name, each in told.items() if not each["verified"]} == doubted
    assert [each["verified"] for each in told["3des-track"]["layouts"]] == [True, False]
    assert "unverified" in UNVERIFIED.en
    assert "未经验证" in UNVERIFIED.zh


@EVERY
def test_each_scheme_is_of_one_piece(scheme: KeyScheme) -> None:
    form = pinblock.FORMATS[scheme.pin_format]
    assert form.cipher is scheme.algorithm is ALGORITHMS[scheme.mac].cipher
    assert scheme.pin_block_bytes == scheme.algorithm.block_size
    assert len({layout.size for layout in scheme.layouts}) == len(scheme.layouts)
    assert all(scheme.usages == {each.usage for each in layout.places} for layout in scheme.layouts)
    assert all(place.check_bytes >= 3 for layout in scheme.layouts for place in layout.places)


@EVERY
def test_a_dialect_is_made_once_for_each_scheme_and_agrees_with_itself(scheme: KeyScheme) -> None:
    dialect = dialect_of("unionpay", scheme.name)
    assert dialect is with_scheme(scheme.name)
    assert findings(dialect) == ()
    assert dialect.scheme is scheme
    assert dialect.kinds[Kind.SIGN_ON].network_code == scheme.network_code
    assert dialect.spec.fields[52].length.size == scheme.pin_block_bytes
    assert dialect.mac is not None
    assert dialect.mac.algorithm == scheme.mac
    assert as_table(dialect)["key_scheme"] == scheme.name
    assert (dialect.spec is UNIONPAY.spec) == (scheme.name in {"des", "3des"})
    assert (dialect.spec.fields[35].content is Content.H) == scheme.enciphers_tracks


def test_there_is_one_way_to_get_a_dialect() -> None:
    assert dialect_of("unionpay") is dialect_of("unionpay", "3des") is UNIONPAY
    assert dialect_of("iso87") is dialect_of("iso87", "3des") is DIALECTS["iso87"]
    assert tuple(SCHEMES) == KEY_SCHEMES
    assert as_table(replace(UNIONPAY, scheme=None, schemes={}))["key_scheme"] is None
    with pytest.raises(UsageError, match="no dialect of that name; there are: unionpay, iso87"):
        dialect_of("iso93")
    with pytest.raises(UsageError, match="dialect iso87 has no key scheme of that name; it has: 3des"):
        dialect_of("iso87", "sm4")
    with pytest.raises(UsageError, match="has no key scheme"):
        dialect_of("unionpay", "")
    with pytest.raises(KeyError):
        with_scheme("aes")


def test_iso87_has_its_own_mac_with_the_usual_keys() -> None:
    iso87 = DIALECTS["iso87"]
    assert iso87.scheme is not None
    assert iso87.mac is not None
    assert iso87.mac.algorithm == iso87.scheme.mac == "x9.19"


# --- field 62


@pytest.mark.parametrize(("scheme", "layout"), LAID_OUT, ids=[f"{each.name}-{lay.size}" for each, lay in LAID_OUT])
def test_every_layout_is_read_opened_and_written_back(scheme: KeyScheme, layout: KeyLayout) -> None:
    data, clear = made(scheme, layout.size)
    assert len(data) == layout.size
    read = with_scheme(scheme.name).read_keys(answer(data, scheme))
    assert {key.usage: keys.unwrap(TMK, key).reveal() for key in read} == clear
    assert {key.algorithm for key in read} == {scheme.algorithm}
    assert scheme.serves(read)
    assert build_keys(parse_keys(data)) == data


@EVERY
def test_a_layout_that_is_a_byte_short_or_long_is_refused(scheme: KeyScheme) -> None:
    sizes = {layout.size for layout in scheme.layouts}
    for size in sizes:
        for wrong in (size - 1, size + 1):
            with pytest.raises(DecodeError, match=f"working keys of {wrong} bytes; the key scheme") as caught:
                read_keys(answer(bytes(wrong), scheme), scheme)
            assert caught.value.field == 62
            with pytest.raises(DecodeError, match=f"{wrong} bytes"):
                parse_keys(bytes(wrong))


@EVERY
def test_a_layout_of_another_scheme_is_refused(scheme: KeyScheme) -> None:
    for size in {0, 104, *LAYOUTS} - {layout.size for layout in scheme.layouts}:
        with pytest.raises(DecodeError, match=f"the key scheme {scheme.name} has"):
            read_keys(answer(bytes(size), scheme), scheme)


def test_a_track_key_that_cannot_be_checked_is_refused_and_can_be_shown() -> None:
    scheme = SCHEMES["3des-track"]
    data = bytes(range(1, 57))
    with pytest.raises(DecodeError, match="its track key has no check value"):
        read_keys(answer(data, scheme), scheme)
    assert [key.usage for key in parse_keys(data, "004")] == list(KeyUsage)
    assert UNCHECKED_TRACK_KEY.size == 56


def test_the_length_of_a_captured_answer_names_the_layout_that_is_known() -> None:
    assert sorted(LAYOUTS) == [24, 32, 40, 48, 56, 60, 84]
    assert {size for size, layout in LAYOUTS.items() if not layout.verified} == {48, 84}


def sm4(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(SM4(key), modes.ECB())  # noqa: S305 - the oracle for single blocks


@pytest.mark.parametrize("check_bytes", [8, 4])
def test_a_sign_on_with_the_published_sm4_key_opens_and_is_checked(check_bytes: int) -> None:
    vector, scheme = known.by_id("sm4_working_key"), SCHEMES["sm4"]
    tmk, cryptogram = (bytes.fromhex(vector.input[name]) for name in ("tmk", "key_enc"))
    check = bytes.fromhex(vector.expected["check_value_8"])[:check_bytes]
    read = with_scheme("sm4").read_keys(answer((cryptogram + check) * 2, scheme))
    assert [key.usage for key in read] == [KeyUsage.PIN, KeyUsage.MAC]
    expected = sm4(tmk).decryptor().update(cryptogram)
    assert expected.hex().upper() == vector.expected["key_clear"]
    assert sm4(expected).encryptor().update(bytes(16))[:check_bytes] == check
    store = SoftwareKeyStore(KeyBytes(tmk), STORAGE, algorithm=Algorithm.SM4)
    store.check(read)
    assert [keys.unwrap(KeyBytes(tmk), key).reveal() for key in read] == [expected, expected]
    qr_sale = known.by_id("sm4_xor_qr_sale")
    code = store.mac(read[1], scheme.mac, bytes.fromhex(qr_sale.input["mab"]))
    assert code == qr_sale.expected["f64_ascii"].encode()


@EVERY
def test_keys_serve_a_scheme_by_usage_cipher_and_size(scheme: KeyScheme) -> None:
    data, _ = made(scheme, scheme.layouts[0].size)
    read = read_keys(answer(data, scheme), scheme)
    assert not scheme.serves(())
    for gone in read:
        assert not scheme.serves([key for key in read if key is not gone])
    for other in (each for each in SCHEMES.values() if each is not scheme):
        theirs = read_keys(answer(made(other, other.layouts[0].size)[0], other), other)
        # Whoever has a track key beside the two others can do without it.
        assert scheme.serves(theirs) == ((scheme.name, other.name) == ("3des", "3des-track"))


# --- field 53, PIN blocks and tracks


@pytest.mark.parametrize(
    ("name", "swiped_with_pin", "swiped", "keyed_with_pin"),
    [
        ("des", "200", "000", "200"),
        ("3des", "260", "060", "260"),
        ("3des-track", "261", "061", "260"),
        ("sm4", "230", "030", "230"),
    ],
)
def test_field_53_says_what_was_done(name: str, swiped_with_pin: str, swiped: str, keyed_with_pin: str) -> None:
    scheme = SCHEMES[name]
    block, stripe, keyed = bytes(scheme.pin_block_bytes), Card.stripe(TRACK), Card.keyed(PAN.reveal(), "4912")
    zeros = "0" * 13
    assert composed(scheme, stripe, block)[53] == swiped_with_pin + zeros
    assert composed(scheme, stripe, None)[53] == swiped + zeros
    assert composed(scheme, keyed, block)[53] == keyed_with_pin + zeros
    assert not {35, 52, 53} & composed(scheme, keyed, None).keys()


def test_a_track_leaves_enciphered_or_not_at_all() -> None:
    scheme = SCHEMES["3des-track"]
    assert composed(scheme, Card.stripe(TRACK), None)[35] == ENCIPHERED.reveal()
    assert composed(SCHEMES["3des"], Card.stripe(TRACK), None)[35] == TRACK
    draft = Draft(
        row=UNIONPAY.kinds[Kind.SALE],
        identity=Identity("T0000001", "M00000000000001"),
        stan="000001",
        batch="000001",
        amount=Amount(1234),
        card=Card.stripe(TRACK),
    )
    with pytest.raises(LocalProtocolError, match="tracks enciphered") as caught:
        with_scheme("3des-track").compose(draft)
    assert caught.value.field == 35
    assert TRACK not in str(caught.value)


@EVERY
def test_a_request_of_each_scheme_travels_and_no_other_size_of_pin_block_does(scheme: KeyScheme) -> None:
    dialect = with_scheme(scheme.name)
    message = Message("0200", composed(scheme, Card.stripe(TRACK), bytes(range(scheme.pin_block_bytes))))
    packet = pack(dialect, message, tpdu=None, header="603200320000", mac=lambda _: bytes(8))
    payload = bytes.fromhex("6000000000") + packet.encode()
    assert unpack(dialect, payload).message == packet.message
    other = Message("0200", composed(scheme, Card.stripe(TRACK), bytes(24 - scheme.pin_block_bytes)))
    with pytest.raises(LocalProtocolError):
        pack(dialect, other, tpdu=None, header=None)


def pad(scheme: KeyScheme, tmk: KeyBytes) -> Callable[[WrappedKey, str, Pan], bytes]:
    store = SoftwareKeyStore(tmk, STORAGE, algorithm=scheme.algorithm)

    def block(key: WrappedKey, pin: str, pan: Pan) -> bytes:
        made_block = SimulatedPinPad(store, pin, pinblock.FORMATS[scheme.pin_format]).pin_block(pan, None, key)
        assert made_block is not None
        return made_block.reveal()

    return block


@pytest.mark.parametrize("name", ["des", "3des", "3des-track"])
@pytest.mark.parametrize("pin", ["1234", "123456", "123456789012"])
def test_pin_blocks_and_check_values_of_des_are_those_of_an_oracle(name: str, pin: str) -> None:
    scheme = SCHEMES[name]
    for layout in scheme.layouts:
        data, clear = made(scheme, layout.size)
        read = {key.usage: key for key in read_keys(answer(data, scheme), scheme)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            expected = psec.des.encrypt_tdes_ecb(
                clear[KeyUsage.PIN], psec.pinblock.encode_pinblock_iso_0(pin, PAN.reveal())
            )
            checks = {usage: psec.des.generate_kcv(key, 4) for usage, key in clear.items()}
        assert pad(scheme, TMK)(read[KeyUsage.PIN], pin, PAN) == expected
        assert {usage: key.check_value for usage, key in read.items()} == checks


def test_an_sm4_pin_block_is_the_published_one_enciphered_by_an_oracle() -> None:
    vector, scheme = known.by_id("sm4_pin_block"), SCHEMES["sm4"]
    pik = bytes.fromhex(vector.input["pik"])
    wrapped = keys.wrap(TMK, KeyBytes(pik), KeyUsage.PIN, algorithm=Algorithm.SM4)
    block = pad(scheme, TMK)(wrapped, vector.input["pin"], Pan(vector.input["pan"]))
    assert block == sm4(pik).encryptor().update(bytes.fromhex(vector.expected["clear_block"]))
    assert block.hex().upper() == vector.expected["encrypted_block"]


def test_a_simulated_pad_without_a_pin_gives_none() -> None:
    store = SoftwareKeyStore(TMK, STORAGE)
    key = keys.wrap(TMK, KeyBytes(bytes(16)), KeyUsage.PIN)
    assert SimulatedPinPad(store, None).pin_block(PAN, None, key) is None
    assert PIN not in repr(SimulatedPinPad(store, PIN))


@pytest.mark.parametrize("digits", ["", "6" * 16, "6" * 105, "6" * 17 + "a", "6" * 16 + "="])
def test_an_enciphered_track_is_hex_and_never_shown(digits: str) -> None:
    with pytest.raises(UsageError, match="17 to 104 hex digits"):
        EncipheredTrack(digits)
    assert ENCIPHERED.reveal() not in repr(ENCIPHERED) + str(ENCIPHERED)


def test_a_track_under_the_track_key_is_what_single_blocks_of_an_oracle_give() -> None:
    scheme = SCHEMES["3des-track"]
    data, clear = made(scheme, 60)
    tdk = next(key for key in read_keys(answer(data, scheme), scheme) if key.usage is KeyUsage.TRACK)
    enciphered = SoftwareKeyStore(TMK, STORAGE).track(tdk, TRACK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        block = psec.des.encrypt_tdes_ecb(clear[KeyUsage.TRACK], bytes.fromhex(TRACK[-17:-1]))
    assert enciphered == TRACK[:-17] + block.hex().upper() + TRACK[-1]
    assert BlockCipher(KeyBytes(clear[KeyUsage.TRACK])).decrypt(block) == bytes.fromhex(TRACK[-17:-1])
