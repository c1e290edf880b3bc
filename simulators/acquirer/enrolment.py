"""Terminals as the host knows them: whose they are, and the working keys of their last sign-on.

Either a terminal is enrolled by its first sign-on, and its master key (TMK) is derived from its id and a test key that
everybody knows, so that a simulated terminal and this host agree without sharing a file. Or the host is given a roster,
and serves nobody else (97). TEST KEYS ONLY: whoever knows a terminal's id knows its derived TMK.

    field 62 of the answer    PIK 16 | check value 4 | MAK 8 | zeros 8 | check value 4
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto import des
from pos_engine.crypto.keys import KeyUsage, wrap
from pos_engine.errors import UsageError
from pos_engine.values import KeyBytes
from simulators.acquirer.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TEST_ROOT_KEY: Final = KeyBytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
"""The well-known test key that terminal master keys derive from."""
TERMINAL_ID_SIZE: Final = 8
PIK_SIZE: Final = 16
MAK_SIZE: Final = 8
TERMINALS_MAX: Final = 10_000
"""Terminals one host enrols: anybody may sign on under any name, and names must not fill the memory."""


def terminal_master_key(tid: str) -> KeyBytes:
    """Derive the master key of a simulated terminal from its id (field 41): 16 bytes of odd parity. For tests only."""
    name = tid.encode("latin-1", "replace")
    if len(name) != TERMINAL_ID_SIZE:
        reason = f"a terminal id has {TERMINAL_ID_SIZE} characters"
        raise UsageError(reason)
    complement = bytes(0xFF - byte for byte in name)
    return KeyBytes(odd_parity(des.encrypt_ecb(TEST_ROOT_KEY, name + complement)))


def odd_parity(key: bytes) -> bytes:
    """Set the lowest bit of each byte so that the number of ones is odd, as DES keys are written."""
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in key)


@dataclass(frozen=True, slots=True)
class WorkingKeys:
    """The keys of one sign-on. The MAC key is kept as a ready cipher, because it is used for every message."""

    pin: KeyBytes
    mac: des.BlockCipher


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One row of a roster: whose terminal it is, and its master key."""

    terminal: str
    merchant: str
    tmk: KeyBytes


@dataclass(frozen=True, slots=True)
class Terminal:
    """One enrolled terminal. `keys` is `None` until it has signed on, and after it signed off or the host forgot."""

    merchant: str
    tmk: KeyBytes
    keys: WorkingKeys | None = None


class Enrolment:
    """All terminals of the host by their ids."""

    def __init__(self, entropy: Callable[[int], bytes], roster: Iterable[Enrolled] | None = None) -> None:
        """Take the source of new keys, a function that returns that many random bytes, and who may come.

        Without a roster anybody may, up to `TERMINALS_MAX`.
        """
        self._entropy = entropy
        self.is_closed = roster is not None
        self._terminals = {each.terminal: Terminal(each.merchant, each.tmk) for each in roster or ()}

    def find(self, tid: str) -> Terminal | None:
        """Look a terminal up."""
        return self._terminals.get(tid)

    def sign_on(self, tid: str, merchant: str) -> tuple[Terminal, WorkingKeys] | Code:
        """Give a terminal new working keys, and enrol it first if need be; the code says why not.

        The old keys end here.
        """
        known = self._terminals.get(tid)
        if known is None and (self.is_closed or len(self._terminals) >= TERMINALS_MAX):
            return Code.TERMINAL_UNKNOWN
        if known is not None and known.merchant != merchant:
            return Code.WRONG_MERCHANT
        keys = WorkingKeys(self._new_key(PIK_SIZE), des.BlockCipher(self._new_key(MAK_SIZE)))
        signed_on = replace(known or Terminal(merchant, terminal_master_key(tid)), keys=keys)
        self._terminals[tid] = signed_on
        return signed_on, keys

    def sign_off(self, tid: str) -> None:
        """End a terminal's working keys."""
        self._terminals[tid] = replace(self._terminals[tid], keys=None)

    def forget_keys(self) -> None:
        """Lose every working key, as a host that restarts does; merchants stay."""
        self._terminals = {tid: replace(terminal, keys=None) for tid, terminal in self._terminals.items()}

    def _new_key(self, size: int) -> KeyBytes:
        return KeyBytes(odd_parity(self._entropy(size)))


def key_field(tmk: KeyBytes, keys: WorkingKeys) -> str:
    """Return field 62: the working keys under the terminal's master key."""
    pik = wrap(tmk, keys.pin, KeyUsage.PIN)
    mak = wrap(tmk, keys.mac.key, KeyUsage.MAC)
    filling = bytes(PIK_SIZE - MAK_SIZE)
    return (pik.cryptogram + pik.check_value + mak.cryptogram + filling + mak.check_value).hex().upper()
