"""What the engine asks of whatever guards the terminal master key: a PIN pad, a security module, a file.

The store holds the master key and one storage key, nothing else. Working keys rest in the journal as the cryptograms
the host sent, and are handed in with every call, so that a sign-on becomes current in one commit and a store needs no
update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.values import KeyBytes, PinBlock


class KeyStore(Protocol):
    """The master key's guardian; every method raises `KeyFault` when a key is missing, wrong or closed."""

    def check(self, wrapped: Iterable[WrappedKey]) -> None:
        """Unwrap every key and compare its check value; the `KeyFault` names the usage of the first that is wrong."""
        ...

    def mac(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return the MAC over `data`, as it is sent; `algorithm` is a name of `crypto.mac.ALGORITHMS`."""
        ...

    def mac_once(self, wrapped: WrappedKey, algorithm: str, data: bytes) -> bytes:
        """Return the MAC under a key that may be in force no more: nothing of it is kept, and no kept key makes room.

        For an answer that came late, and was made with the key of its request's time.
        """
        ...

    def retire(self, in_force: Iterable[WrappedKey]) -> None:
        """Forget whatever is held of working keys other than these: a sign-on has replaced them.

        From then on an old key serves only where it is handed in again.
        """
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The cipher that the master key is for."""
        ...

    def pin_block(self, wrapped: WrappedKey, clear_block: bytes) -> PinBlock:
        """Encrypt a clear PIN block, one block of the key's cipher: 8 bytes with 3DES, 16 with SM4.

        For software stores and tests: a PIN pad takes the PIN itself.
        """
        ...

    def track(self, wrapped: WrappedKey, track: str) -> str:
        """Return a track as fields 35 and 36 carry it where field 53 says that tracks are encrypted."""
        ...

    def storage_key(self) -> KeyBytes:
        """Return the 32-byte key under which card data is sealed and the journal is chained."""
        ...

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Return the held keys as `(name, check value in six hex digits)`, safe to show and to print."""
        ...

    def close(self) -> None:
        """Forget every key; closing twice is allowed."""
        ...
