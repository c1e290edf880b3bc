"""Answers that somebody makes up who has seen the line: without a MAC, with another one, or sent before.

Each trick makes its answer from a captured exchange. Some need a key, as an older answer has one: they are sealed here
with the keys that the terminal was given, because that is what a recording of the line would hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Verdict, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.framing.tpdu import Tpdu

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import Packet
    from pos_engine.wire.message import Message
    from simulators.prove.exchanges import Captured

CODE, STAN, DATE, MAC, PRIVATE = 39, 11, 13, 64, 60
ALGORITHM: Final = "unionpay-ecb"
MAC_BYTES: Final = 8
DECLINED_CODES: Final = tuple(code for code, row in sorted(UNIONPAY.codes.items()) if row.verdict is Verdict.DECLINE)
"""The codes that decline, as the dialect lists them."""
OLDER_BATCH: Final = "000009"
OTHER_STAN: Final = "000777"


@dataclass(frozen=True, slots=True)
class Trick:
    """One way to forge: its name in a case, what it is, and what it makes; `None` where it makes nothing new."""

    name: str
    title: str
    forge: Callable[[Captured], bytes | None]


def _genuine(captured: Captured) -> Packet:
    return unpack(UNIONPAY, captured.payload)


def sealed(captured: Captured, message: Message, key: WrappedKey | None) -> bytes:
    """Send a message as the host would, under a key that the terminal was given, or without a MAC."""
    genuine = _genuine(captured)
    bare = message.without(MAC)

    def mac(covered: bytes) -> bytes:
        return captured.keystore.mac(key, ALGORITHM, covered) if key is not None else b""

    return pack(UNIONPAY, bare, tpdu=genuine.tpdu, header=genuine.header, mac=mac if key is not None else None).encode()


def sealed_decline(captured: Captured, code: str) -> tuple[bytes, bytes, bytes, int]:
    """Seal a decline under the key in force: what stands before it, what is covered, the MAC, and where field 39 is."""
    approval = sealed(captured, _genuine(captured).message.replace({CODE: "00"}), captured.send.mac_key)
    decline = sealed(captured, _genuine(captured).message.replace({CODE: code}), captured.send.mac_key)
    start = len(decline) - len(unpack(UNIONPAY, decline).body)
    covered, other = decline[start:-MAC_BYTES], approval[start:-MAC_BYTES]
    differing = next(at for at, (one, two) in enumerate(zip(covered, other, strict=True)) if one != two)
    # A code that begins with 0 differs in its second character only.
    return decline[:start], covered, decline[-MAC_BYTES:], differing - (code[0] == "0")


def _unsealed(captured: Captured) -> bytes:
    return sealed(captured, _genuine(captured).message, None)


def _with_mac(change: Callable[[bytes], bytes]) -> Callable[[Captured], bytes]:
    return lambda captured: captured.payload[:-MAC_BYTES] + change(captured.payload[-MAC_BYTES:])


def _lower_case(captured: Captured) -> bytes | None:
    """Write the MAC in small letters; one without letters stays what it is."""
    forged = captured.payload[:-MAC_BYTES] + captured.payload[-MAC_BYTES:].lower()
    return None if forged == captured.payload else forged


def _under_older_keys(captured: Captured) -> bytes:
    """An answer of the day before: the same numbers, under the MAC key of that day's sign-on."""
    return sealed(captured, _genuine(captured).message, captured.mac_keys[0])


def _of_another_batch(captured: Captured) -> bytes:
    message = _genuine(captured).message
    layout = UNIONPAY.layouts[PRIVATE]
    value = message[PRIVATE]
    batch = layout.get(value, "60.2") or ""
    at = value.index(batch, 2)
    older = value[:at] + OLDER_BATCH + value[at + len(batch) :]
    return sealed(captured, message.replace({PRIVATE: older}), captured.send.mac_key)


def _of_another_stan(captured: Captured) -> bytes:
    return sealed(captured, _genuine(captured).message.replace({STAN: OTHER_STAN}), captured.send.mac_key)


def _of_another_kind(captured: Captured) -> bytes:
    """The answer to another kind of request, field 3, under the same numbers."""
    message = _genuine(captured).message
    other = "200000" if message[3] == "000000" else "000000"
    return sealed(captured, message.replace({3: other}), captured.send.mac_key)


def _reflected(captured: Captured) -> bytes:
    return captured.request


def _reflected_as_answer(captured: Captured) -> bytes:
    """The request with the answer's MTI and an approving code, under the MAC the terminal itself made."""
    request = unpack(UNIONPAY, captured.request)
    message = request.message.replace({CODE: "00"}, mti=_genuine(captured).message.mti)
    tpdu = Tpdu.swapped(request.tpdu) if request.tpdu is not None else None
    return pack(UNIONPAY, message, tpdu=tpdu, header=request.header).encode()


TRICKS: Final = (
    Trick("no-mac", "an answer without a MAC", _unsealed),
    Trick("short-mac", "an answer that ends after four bytes of its MAC", lambda captured: captured.payload[:-4]),
    Trick(
        "no-mac-bytes", "an answer that announces a MAC and has none", lambda captured: captured.payload[:-MAC_BYTES]
    ),
    Trick("zero-mac", "a MAC of zeros", _with_mac(lambda _mac: b"0" * MAC_BYTES)),
    Trick("empty-mac", "a MAC of zero bytes", _with_mac(lambda _mac: bytes(MAC_BYTES))),
    Trick("half-mac", "a MAC of which half is right", _with_mac(lambda mac: mac[:4] + b"0000")),
    Trick("reversed-mac", "a MAC backwards", _with_mac(lambda mac: mac[::-1])),
    Trick("lower-case-mac", "a MAC in small letters", _lower_case),
    Trick("reflected", "the terminal's own request", _reflected),
    Trick("reflected-as-answer", "the terminal's own request as an answer, with its own MAC", _reflected_as_answer),
    Trick("older-keys", "an approval of an earlier day, under the keys of that day", _under_older_keys),
    Trick(
        "older-batch", "an approval under the same STAN of another batch, under the keys in force", _of_another_batch
    ),
    Trick("other-stan", "the approval of another request, under the keys in force", _of_another_stan),
    Trick("other-kind", "the approval of another kind of request, under the keys in force", _of_another_kind),
)
"""Every trick."""
