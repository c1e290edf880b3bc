"""What makes a journal tell-tale and its card data erasable: a chain of keyed digests, and a key of its own per record.

All keys are derived from the storage key and the terminal the journal belongs to, so nothing fits into another journal.
Destroying a record's own key destroys its card data for whoever holds the storage key too; a receipt is left in its
place, so that data which was erased on purpose is told from data that got lost.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from pos_engine.crypto.seal import KEY_SIZE, NONCE_SIZE, keyed_digest, seal, unseal
from pos_engine.errors import KeyFault, UsageError
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable

GENESIS: Final = bytes(32)
"""What the first entry is chained to."""
NUMBER_BYTES: Final = 8
STAN_BYTES: Final = 4
MARK_BYTES: Final = NUMBER_BYTES + STAN_BYTES + 2 * len(GENESIS)
"""A high-water mark: how many entries there are, the last STAN, the digest of the last entry, and one over all that."""


class Head(NamedTuple):
    """The end of the chain: how many entries there are, and the digest of the last one."""

    entries: int
    digest: bytes
    stan: int = 0
    """The last STAN that was used, 0 for none: should the entries be lost, no number before it is used again."""


class Sealing:
    """The keys of one terminal's journal and what is done with them."""

    __slots__ = ("_card_key", "_chain_key", "_entropy", "_mark_key", "_receipt_key", "owner", "owner_check")

    def __init__(self, storage_key: KeyBytes, owner: str, entropy: Callable[[int], bytes]) -> None:
        """Derive the keys; `entropy(n)` gives n unpredictable bytes."""

        def derived(purpose: bytes) -> KeyBytes:
            return KeyBytes(keyed_digest(storage_key, b"journal", purpose, owner.encode()))

        self._chain_key = derived(b"chain")
        self._card_key = derived(b"card data")
        self._mark_key = derived(b"mark")
        self._receipt_key = derived(b"receipt")
        self._entropy = entropy
        self.owner: Final = owner
        """Whose journal it is."""
        self.owner_check = derived(b"check").reveal().hex()
        """Kept in the journal, so that another storage key is told from damage."""

    def link(self, previous: bytes, number: int, body: str, *, sealed: bool) -> bytes:
        """Return an entry's digest; `sealed` says that a record's card data was sealed with this entry."""
        count = number.to_bytes(NUMBER_BYTES)
        return keyed_digest(self._chain_key, previous, count, b"sealed" if sealed else b"", body.encode())

    def holds(self, digest: object, previous: bytes, number: object, body: object, *, sealed: object) -> bool:
        """Whether an entry that a file gave is the one that was chained; damage may have changed even its types."""
        if not isinstance(digest, bytes) or not isinstance(body, str) or sealed not in {0, 1}:
            return False
        if not isinstance(number, int) or number < 0:
            return False
        return hmac.compare_digest(digest, self.link(previous, number, body, sealed=bool(sealed)))

    def mark(self, head: Head) -> bytes:
        """Write down how far the journal goes."""
        content = head.entries.to_bytes(NUMBER_BYTES) + head.stan.to_bytes(STAN_BYTES) + head.digest
        return content + keyed_digest(self._mark_key, content)

    def read_mark(self, mark: bytes) -> Head | None:
        """Read what `mark` wrote, or `None` when it is not that."""
        content = mark[: NUMBER_BYTES + STAN_BYTES + len(GENESIS)]
        if not hmac.compare_digest(mark, content + keyed_digest(self._mark_key, content)):
            return None
        entries, stan = content[:NUMBER_BYTES], content[NUMBER_BYTES:][:STAN_BYTES]
        return Head(int.from_bytes(entries), content[NUMBER_BYTES + STAN_BYTES :], int.from_bytes(stan))

    def box(self, number: int, card_data: bytes) -> tuple[bytes, bytes]:
        """Seal card data under a fresh key, and that key under the storage key; returns wrapped key and box."""
        own_key = KeyBytes(self._entropy(KEY_SIZE))
        about = _about(number)
        wrapped = self._sealed(self._card_key, own_key.reveal(), about)
        return wrapped, self._sealed(own_key, card_data, about)

    def unbox(self, number: int, wrapped: object, box: object) -> bytes | None:
        """Open what `box` sealed, or `None` when it does not open."""
        if not isinstance(wrapped, bytes) or not isinstance(box, bytes):
            return None
        about = _about(number)
        try:
            own_key = KeyBytes(unseal(self._card_key, wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], about))
            return unseal(own_key, box[:NONCE_SIZE], box[NONCE_SIZE:], about)
        except (KeyFault, UsageError):
            return None

    def receipt(self, number: int) -> bytes:
        """Return the proof that a record's card data was erased on purpose."""
        return keyed_digest(self._receipt_key, _about(number))

    def _sealed(self, key: KeyBytes, clear: bytes, about: bytes) -> bytes:
        nonce = self._entropy(NONCE_SIZE)
        return nonce + seal(key, nonce, clear, about)


def _about(number: int) -> bytes:
    return b"record %d" % number
