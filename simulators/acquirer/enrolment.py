"""Terminals as the host knows them: whose they are, and the working keys of their last sign-on.

Either a terminal is enrolled by its first sign-on, and its master key (TMK) is derived from its id and a test key that
everybody knows, so that a simulated terminal and this host agree without sharing a file. Or the host is given a roster,
and serves nobody else (97). TEST KEYS ONLY: whoever knows a terminal's id knows its derived TMK.

Which keys a terminal gets is what its sign-on asks for, unless the roster names its key scheme; then a sign-on for
other keys is not supported (40). Field 62 of the answer has the first layout of the scheme. That of 3des has room for a
MAK of 16 bytes, and gets one of 8 and zeros, as most hosts do it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto import des, keys, pinblock, sm4, track
from pos_engine.crypto.cipher import DES_BLOCK_SIZE, Algorithm
from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes
from simulators.acquirer.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pos_engine.dialects.base import Dialect, KeyScheme
    from pos_engine.values import Pan

TEST_ROOT_KEY: Final = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
"""The well-known test key that terminal master keys derive from."""
TERMINAL_ID_SIZE: Final = 8
SHORT_MAK: Final = frozenset({USUAL})
"""Schemes whose hosts fill the place of a double-length MAK with a single-length one and zeros."""
WITHOUT_PAN: Final = "1"
"""First digit of field 53: the PIN block was made without the card number."""
ENCIPHERED: Final = "1"
"""Third digit of field 53: tracks are enciphered."""
ZERO_PAN: Final = "iso-0-zero-pan"
TERMINALS_MAX: Final = 10_000
"""Terminals one host enrols: anybody may sign on under any name, and names must not fill the memory."""


def terminal_master_key(tid: str, algorithm: Algorithm = Algorithm.TDES) -> KeyBytes:
    """Derive the master key of a simulated terminal from its id (field 41): 16 bytes. For tests only.

    One for 3DES has odd parity, one for SM4 none.
    """
    name = tid.encode("latin-1", "replace")
    if len(name) != TERMINAL_ID_SIZE:
        reason = f"a terminal id has {TERMINAL_ID_SIZE} characters"
        raise UsageError(reason)
    block = name + bytes(0xFF - byte for byte in name)
    if algorithm is Algorithm.SM4:
        return KeyBytes(sm4.encrypt_ecb(TEST_ROOT_KEY, block))
    return KeyBytes(odd_parity(des.encrypt_ecb(TEST_ROOT_KEY, block)))


def schemes_of(dialect: Dialect) -> dict[str, KeyScheme]:
    """Return what a host of a dialect may be asked for by 60.3: the key schemes that share the dialect's cipher."""
    usual = dialect.scheme or SCHEMES[USUAL]
    shared = (scheme for scheme in dialect.schemes.values() if scheme.algorithm is usual.algorithm)
    return {scheme.network_code: scheme for scheme in (*shared, usual)}


def odd_parity(key: bytes) -> bytes:
    """Set the lowest bit of each byte so that the number of ones is odd, as DES keys are written."""
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in key)


@dataclass(frozen=True, slots=True)
class WorkingKeys:
    """The keys of one sign-on, as ready ciphers, because most are used for every message."""

    pin: des.BlockCipher
    mac: des.BlockCipher
    track: des.BlockCipher | None = None
    """`None` where the scheme enciphers no tracks."""
    scheme: KeyScheme = SCHEMES[USUAL]

    def read_pin(self, block: bytes, security: str, pan: Pan) -> str | None:
        """Return the PIN of field 52 in clear, `None` when field 53 or the block is not as the scheme has it."""
        with_pan, cipher = security[:1] != WITHOUT_PAN, security[1:2]
        if len(block) != self.scheme.pin_block_bytes or cipher != self.scheme.cipher_digit:
            return None
        clear = self.pin.decrypt(block)
        try:
            return pinblock.FORMATS[self.scheme.pin_format if with_pan else ZERO_PAN].read(clear, pan)
        except (KeyFault, UsageError):
            return None

    def read_track(self, digits: str, security: str) -> str | None:
        """Return a track in clear, `None` when it is not as the scheme has it: enciphered, or not, and in which key."""
        if (security[2:3] == ENCIPHERED) != self.scheme.enciphers_tracks:
            return None
        if self.track is None:
            return digits
        try:
            return track.decrypt(self.track, digits)
        except (KeyFault, UsageError):
            return None

    def field_62(self, tmk: KeyBytes) -> str:
        """Return the working keys under the terminal's master key, as the sign-on's answer has them."""
        parts, algorithm = [], self.scheme.algorithm
        held = (cipher for cipher in (self.pin, self.mac, self.track) if cipher is not None)
        for cipher, place in zip(held, self.scheme.layouts[0].places, strict=True):
            wrapped = keys.wrap(tmk, cipher.key, place.usage, algorithm=algorithm, check_size=place.check_bytes)
            parts += [wrapped.cryptogram.ljust(place.key_bytes, b"\0"), wrapped.check_value]
        return b"".join(parts).hex().upper()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One row of a roster: whose terminal it is, its master key, and its key scheme where only one will do."""

    terminal: str
    merchant: str
    tmk: KeyBytes
    key_scheme: str | None = None


@dataclass(frozen=True, slots=True)
class Terminal:
    """One enrolled terminal. `keys` is `None` until it has signed on, and after it signed off or the host forgot."""

    merchant: str
    tmk: KeyBytes
    keys: WorkingKeys | None = None
    key_scheme: str | None = None


class Enrolment:
    """All terminals of the host by their ids."""

    def __init__(self, entropy: Callable[[int], bytes], roster: Iterable[Enrolled] | None = None) -> None:
        """Take the source of new keys, a function that returns that many random bytes, and who may come.

        Without a roster anybody may, up to `TERMINALS_MAX`.
        """
        self._entropy = entropy
        self.is_closed = roster is not None
        self._terminals = {
            each.terminal: Terminal(each.merchant, each.tmk, key_scheme=each.key_scheme) for each in roster or ()
        }

    def find(self, tid: str) -> Terminal | None:
        """Look a terminal up."""
        return self._terminals.get(tid)

    def sign_on(
        self, tid: str, merchant: str, scheme: KeyScheme = SCHEMES[USUAL]
    ) -> tuple[Terminal, WorkingKeys] | Code:
        """Give a terminal new working keys of a scheme, and enrol it first if need be; the code says why not.

        The old keys end here.
        """
        known = self._terminals.get(tid)
        if known is None and (self.is_closed or len(self._terminals) >= TERMINALS_MAX):
            return Code.TERMINAL_UNKNOWN
        if known is not None and known.merchant != merchant:
            return Code.WRONG_MERCHANT
        if known is not None and known.key_scheme not in {None, scheme.name}:
            return Code.UNSUPPORTED
        handed_out = self._new_keys(scheme)
        signed_on = replace(known or Terminal(merchant, terminal_master_key(tid, scheme.algorithm)), keys=handed_out)
        self._terminals[tid] = signed_on
        return signed_on, handed_out

    def sign_off(self, tid: str) -> None:
        """End a terminal's working keys."""
        self._terminals[tid] = replace(self._terminals[tid], keys=None)

    def forget_keys(self) -> None:
        """Lose every working key, as a host that restarts does; merchants stay."""
        self._terminals = {tid: replace(terminal, keys=None) for tid, terminal in self._terminals.items()}

    def _new_keys(self, scheme: KeyScheme) -> WorkingKeys:
        made = {}
        for place in scheme.layouts[0].places:
            short = place.usage is KeyUsage.MAC and scheme.name in SHORT_MAK
            made[place.usage] = self._new_key(DES_BLOCK_SIZE if short else place.key_bytes, scheme.algorithm)
        return WorkingKeys(made[KeyUsage.PIN], made[KeyUsage.MAC], made.get(KeyUsage.TRACK), scheme)

    def _new_key(self, size: int, algorithm: Algorithm) -> des.BlockCipher:
        clear = self._entropy(size)
        key = odd_parity(clear) if algorithm is Algorithm.TDES else clear
        return des.BlockCipher(KeyBytes(key), algorithm)
