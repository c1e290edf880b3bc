"""PIN blocks of ISO 9564 and the 16-byte block used with SM4, for software key stores, tests and the simulated host.

    format 0      PIN field    0 L P P P P p p p p p p F F        L: number of digits, 4 to C; P: digits; F: filling
                  card field   0 0 0 0 d d d d d d d d d d d d    d: the card number's last twelve digits, check digit
                  block        PIN field XOR card field              left out
    format 3      as format 0, control digit 3, filled with random digits A to F
    format 4      PIN field    4 L P P P P p p p p p p A A and 16 random digits
                  card field   M and the whole card number from the left, zeros behind; M: its length less 12
                  block        E(E(PIN field) XOR card field), with AES
    SM4           as format 0 in 32 digits: filled with F on the right, card digits at the right end. Unverified.

Where field 53 begins with 1 (no card number is at hand) format 0 takes a card field of zeros; the result is not ISO
format 1. A real PIN pad builds its blocks itself and never lets a clear one out. A block that does not read back says
only that: which digit was odd would tell something about the PIN or the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import DES_BLOCK_SIZE, WIDE_BLOCK_SIZE, Algorithm
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.crypto.cipher import BlockCipher
    from pos_engine.values import Pan

BLOCK_SIZE: Final = DES_BLOCK_SIZE
"""Bytes of a block of formats 0 and 3."""

Entropy = Callable[[int], bytes]
"""Returns as many unpredictable bytes as it is asked for."""

_CARD_DIGITS: Final = 12
_LETTERS: Final = "ABCDEF"
# So many bytes of entropy become base-6 digits that no digit is likelier than another by more than 2 to the -64.
_ENTROPY_SIZE: Final = 16

# Control digit and length; that the number of digits is that length is checked afterwards.
_FIELD_0: Final = re.compile(r"0([4-9A-C])([0-9]{4,12})F*")
_FIELD_3: Final = re.compile(r"3([4-9A-C])([0-9]{4,12})[A-F]*")
_FIELD_4: Final = re.compile(r"4([4-9A-C])([0-9]{4,12})A*[0-9A-F]{16}")


@dataclass(frozen=True, slots=True)
class PinFormat:
    """A format whose clear block is encrypted as it is: `build(pin, pan, entropy)` and `read(block, pan)`."""

    name: str
    title: Text
    cipher: Algorithm
    build: Callable[[str, Pan, Entropy], bytes]
    read: Callable[[bytes, Pan], str]


def format0(pin: str, pan: Pan) -> bytes:
    """Return the clear block of a PIN of 4 to 12 digits, bound to the card number."""
    return _xor(_pin_field("0", pin).ljust(2 * BLOCK_SIZE, "F"), _card_field(pan))


def format0_zero_pan(pin: str) -> bytes:
    """Return the clear block of a PIN where no card number is at hand (first digit of field 53 is 1)."""
    return bytes.fromhex(_pin_field("0", pin).ljust(2 * BLOCK_SIZE, "F"))


def format3(pin: str, pan: Pan, entropy: Entropy) -> bytes:
    """Return a clear block that differs from every other of the same PIN and card number by its random filling."""
    field = _pin_field("3", pin)
    return _xor(field + _random_letters(2 * BLOCK_SIZE - len(field), entropy), _card_field(pan))


def sm4_block(pin: str, pan: Pan) -> bytes:
    """Return the clear block of 16 bytes that goes with SM4. Unverified: one description was published, no exchange."""
    return _xor(_pin_field("0", pin).ljust(2 * WIDE_BLOCK_SIZE, "F"), _card_field(pan))


def read_format0(block: bytes, pan: Pan) -> str:
    """Return the PIN of a clear block; a `KeyFault` when it is not one, as after decrypting with a wrong key."""
    return _read(_xor(_sized(block, BLOCK_SIZE), _card_field(pan)), _FIELD_0)


def read_format0_zero_pan(block: bytes) -> str:
    """Return the PIN of a clear block that was built without a card number; errors as in `read_format0`."""
    return _read(bytes.fromhex(_sized(block, BLOCK_SIZE)), _FIELD_0)


def read_format3(block: bytes, pan: Pan) -> str:
    """Return the PIN of a clear block of format 3; errors as in `read_format0`."""
    return _read(_xor(_sized(block, BLOCK_SIZE), _card_field(pan)), _FIELD_3)


def read_sm4_block(block: bytes, pan: Pan) -> str:
    """Return the PIN of a clear block of 16 bytes; errors as in `read_format0`."""
    return _read(_xor(_sized(block, WIDE_BLOCK_SIZE), _card_field(pan)), _FIELD_0)


def format4_pin_field(pin: str, entropy: Entropy) -> bytes:
    """Return the 16 clear bytes that hold the PIN; 8 of them are random."""
    return bytes.fromhex(_pin_field("4", pin).ljust(2 * BLOCK_SIZE, "A")) + _taken(entropy, BLOCK_SIZE)


def format4_card_field(pan: Pan) -> bytes:
    """Return the 16 clear bytes that hold the whole card number, its length first."""
    digits = pan.reveal()
    return bytes.fromhex(f"{len(digits) - _CARD_DIGITS}{digits}".ljust(2 * WIDE_BLOCK_SIZE, "0"))


def encipher_format4(cipher: BlockCipher, pin_field: bytes, card_field: bytes) -> bytes:
    """Return the encrypted block of two clear fields; a `KeyFault` when the cipher is not AES."""
    inner = _aes(cipher).encrypt(bytes.fromhex(_sized(pin_field, WIDE_BLOCK_SIZE)))
    return cipher.encrypt(_xor(inner.hex(), _sized(card_field, WIDE_BLOCK_SIZE)))


def read_format4(cipher: BlockCipher, block: bytes, pan: Pan) -> str:
    """Return the PIN of an encrypted block of format 4; errors as in `read_format0`."""
    inner = _aes(cipher).decrypt(bytes.fromhex(_sized(block, WIDE_BLOCK_SIZE)))
    return _read(cipher.decrypt(_xor(inner.hex(), format4_card_field(pan).hex())), _FIELD_4)


def _pin_field(control: str, pin: str) -> str:
    if re.fullmatch(r"[0-9]{4,12}", pin) is None:
        reason = "a PIN has 4 to 12 digits"
        raise UsageError(reason)
    return f"{control}{len(pin):X}{pin}"


def _card_field(pan: Pan) -> str:
    # Both fields end with the block, so as a number the card field is the same in every width; a card number of twelve
    # digits leaves eleven, which a zero on the left completes.
    return pan.reveal()[:-1][-_CARD_DIGITS:]


def _random_letters(count: int, entropy: Entropy) -> str:
    value = int.from_bytes(_taken(entropy, _ENTROPY_SIZE))
    return "".join(_LETTERS[value // len(_LETTERS) ** place % len(_LETTERS)] for place in range(count))


def _taken(entropy: Entropy, size: int) -> bytes:
    taken = entropy(size)
    if len(taken) != size:
        reason = "the entropy source gave another number of bytes than it was asked for"
        raise UsageError(reason)
    return taken


def _read(field: bytes, pattern: re.Pattern[str]) -> str:
    match = pattern.fullmatch(field.hex().upper())
    if match is None or len(match[2]) != int(match[1], 16):
        reason = "not a PIN block of this format: wrong PIN key, or wrong card number"
        raise KeyFault(reason)
    return match[2]


def _sized(block: bytes, size: int) -> str:
    if len(block) != size:
        reason = f"a PIN block has {size} bytes in this format"
        raise UsageError(reason)
    return block.hex()


def _aes(cipher: BlockCipher) -> BlockCipher:
    if cipher.algorithm is not Algorithm.AES:
        reason = f"format 4 is encrypted with {Algorithm.AES.value}, not with {cipher.algorithm.value}"
        raise KeyFault(reason)
    return cipher


def _xor(one: str, other: str) -> bytes:
    return (int(one, 16) ^ int(other, 16)).to_bytes(len(one) // 2)


_ROWS: Final = (
    PinFormat(
        "iso-0",
        Text("ISO 9564 format 0, bound to the card number", "ISO 9564 格式0 (带主账号)"),
        Algorithm.TDES,
        lambda pin, pan, _entropy: format0(pin, pan),
        read_format0,
    ),
    PinFormat(
        "iso-0-zero-pan",
        Text("ISO 9564 format 0 with a card field of zeros", "ISO 9564 格式0 (不带主账号)"),
        Algorithm.TDES,
        lambda pin, _pan, _entropy: format0_zero_pan(pin),
        lambda block, _pan: read_format0_zero_pan(block),
    ),
    PinFormat(
        "iso-3",
        Text("ISO 9564 format 3, with random filling", "ISO 9564 格式3 (随机填充)"),
        Algorithm.TDES,
        format3,
        read_format3,
    ),
    PinFormat(
        "sm4",
        Text("16-byte block for SM4 (unverified)", "SM4 16字节PIN块 (未经验证)"),
        Algorithm.SM4,
        lambda pin, pan, _entropy: sm4_block(pin, pan),
        read_sm4_block,
    ),
)

FORMATS: Final[Mapping[str, PinFormat]] = {row.name: row for row in _ROWS}
"""Every format a profile may name. Format 4 is not among them: it has no single clear block, its key works twice."""
