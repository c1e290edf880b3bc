"""A terminal reduced to what a test of the host needs: it builds, seals and checks messages, and decides nothing."""

from __future__ import annotations

import dataclasses
import socket
from typing import TYPE_CHECKING

from pos_engine.clock import ManualClock
from pos_engine.crypto import des, mac
from pos_engine.crypto.keys import KeyUsage, unwrap
from pos_engine.crypto.pinblock import format0
from pos_engine.dialects.base import Draft, Kind, OriginalRef, Packet, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.tpdu import Tpdu
from pos_engine.values import Amount, Card, Identity
from pos_engine.wire.message import Message
from simulators.acquirer import Acquirer, Reply, terminal_master_key
from simulators.cards import CARDS
from simulators.ledger import card_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pos_engine.crypto.des import BlockCipher
    from pos_engine.values import KeyBytes
    from simulators.acquirer import Enrolled
    from simulators.cards import SimulatedCard
    from simulators.ledger import Ledger

TID = "T0000001"
MID = "M00000000000001"
TPDU = Tpdu("0003", "0001")
HEADER = "603100310000"
EVERYDAY = CARDS["everyday"]
PIN = "123456"
WAIT_S = 10.0


class HostClient:
    """One terminal at the other end of `exchange`, which carries a payload there and brings the answer, if any."""

    def __init__(self, exchange: Callable[[bytes], bytes | None], tid: str = TID, merchant: str = MID) -> None:
        """Begin without keys, in the first batch."""
        self._exchange = exchange
        self.identity = Identity(tid, merchant)
        self.batch = "000001"
        self.pin_key: KeyBytes | None = None
        self.mac_key: BlockCipher | None = None
        self.tmk = terminal_master_key(tid)
        self._stan = 0

    def next_stan(self) -> str:
        """Take the next number."""
        self._stan += 1
        return f"{self._stan:06d}"

    def sign_on(self) -> Message:
        """Sign on, and take keys and batch when they are offered."""
        answer = self.send(self.signing_on(), sealed=False)
        assert answer is not None
        self.take(answer)
        return answer

    def signing_on(self) -> Message:
        """Compose a sign-on."""
        return self._management(Kind.SIGN_ON)

    def take(self, answer: Message) -> None:
        """Take keys and batch of a sign-on's answer, when they are offered."""
        if 62 in answer:
            keys = {key.usage: key for key in UNIONPAY.read_keys(answer)}
            self.pin_key = unwrap(self.tmk, keys[KeyUsage.PIN])
            self.mac_key = des.BlockCipher(unwrap(self.tmk, keys[KeyUsage.MAC]))
            self.batch = UNIONPAY.read_batch(answer) or self.batch

    def sign_off(self) -> Message:
        """Compose a sign-off."""
        return self._management(Kind.SIGN_OFF)

    def echo(self) -> Message:
        """Compose an echo test."""
        return self._management(Kind.ECHO)

    def status(self, report: str = "011021") -> Message:
        """Compose a status upload."""
        return self._management(Kind.STATUS, report)

    def page(self, kind: Kind, asks: str = "") -> Message:
        """Compose a request for a page of a download, or the end of one; `asks` is field 62 in hex."""
        row = UNIONPAY.kinds[kind]
        return Message(row.mti, UNIONPAY.compose(dataclasses.replace(self._draft(kind, ""), asks=asks)))

    def pages(self) -> dict[Kind, Message]:
        """Compose a request of every kind of page, and every end."""
        key, application, first = "9F0605A0000003339F220108", "9F0608A000000333010101", "313030"
        asks = {Kind.CA_KEY_LIST: first, Kind.CA_KEY: key, Kind.AID_LIST: first, Kind.AID: application}
        asks[Kind.BLACKLIST] = first
        kinds = UNIONPAY.page_kinds
        return {kind: self.page(kind, asks.get(kind, "")) for kind in kinds}

    def balance(self, card: SimulatedCard = EVERYDAY, *, pin: str | None = PIN, stan: str | None = None) -> Message:
        """Compose a balance inquiry."""
        block = self.pin_block(pin, card)
        draft = self._draft(Kind.BALANCE, stan or self.next_stan(), None, card.card, pin_block=block)
        return Message("0200", UNIONPAY.compose(draft))

    def void(
        self,
        amount_minor: int,
        original: OriginalRef,
        card: SimulatedCard | None = EVERYDAY,
        *,
        stan: str | None = None,
    ) -> Message:
        """Compose a sale void; without a card, field 22 says that nothing was read."""
        presented = card.card if card is not None else None
        draft = self._draft(Kind.VOID, stan or self.next_stan(), amount_minor, presented, original=original)
        fields = UNIONPAY.compose(draft)
        return Message("0200", {22: "002"} | fields)

    def sale(
        self,
        amount_minor: int,
        card: SimulatedCard = EVERYDAY,
        *,
        pin: str | None = PIN,
        stan: str | None = None,
        keyed: bool = False,
        partial: bool = False,
    ) -> Message:
        """Compose a sale; `partial` says that a part will do."""
        presented = Card.keyed(card.pan.reveal(), card.expiry) if keyed else card.card
        block = self.pin_block(pin, card)
        draft = self._draft(Kind.SALE, stan or self.next_stan(), amount_minor, presented, pin_block=block)
        draft = dataclasses.replace(draft, allows_partial=partial)
        return Message("0200", UNIONPAY.compose(draft))

    def refund(
        self,
        amount_minor: int,
        original: OriginalRef,
        card: SimulatedCard = EVERYDAY,
        *,
        stan: str | None = None,
    ) -> Message:
        """Compose a refund."""
        draft = self._draft(Kind.REFUND, stan or self.next_stan(), amount_minor, card.card, original=original)
        return Message("0220", UNIONPAY.compose(draft))

    def reversal(self, request: Message, reason: str = "98") -> Message:
        """Compose the reversal of a request."""
        return UNIONPAY.compose_reversal(request, reason, None, None)

    def pin_block(self, pin: str | None, card: SimulatedCard = EVERYDAY) -> bytes | None:
        """Encrypt a PIN."""
        if pin is None or self.pin_key is None:
            return None
        return des.encrypt_ecb(self.pin_key, format0(pin, card.pan))

    def payload(self, message: Message, *, sealed: bool = True) -> bytes:
        """Return a frame's payload."""
        seal = self._mac if sealed and self.mac_key is not None else None
        return pack(UNIONPAY, message, tpdu=TPDU, header=HEADER, mac=seal).encode()

    def send(self, message: Message, *, sealed: bool = True) -> Message | None:
        """Send a request and return the answer, `None` where there was none; addresses are checked on the way."""
        packet = self.send_bytes(self.payload(message, sealed=sealed))
        return None if packet is None else packet.message

    def send_bytes(self, payload: bytes) -> Packet | None:
        """Send bytes and return the answer taken apart."""
        data = self._exchange(payload)
        return None if data is None else self.read(data)

    def read(self, data: bytes) -> Packet:
        """Take an answer apart."""
        packet = unpack(UNIONPAY, data)
        assert (packet.tpdu, packet.header) == (TPDU.swapped(), HEADER)
        return packet

    def ask(self, message: Message) -> str:
        """Send a request and return the response code; an answer that has a MAC must have the right one."""
        packet = self.send_bytes(self.payload(message))
        assert packet is not None
        if 64 in packet.message:
            assert self.proves(packet)
        return packet.message[39]

    def proves(self, packet: Packet) -> bool:
        """Whether an answer's MAC is made with this terminal's key."""
        return bytes.fromhex(packet.message.get(64, "")) == self._mac(packet.mac_input())

    def original(self, request: Message, answer: Message) -> OriginalRef:
        """Name an approved sale, for a refund or a void."""
        return OriginalRef(self.batch, request[11], answer[13], answer[37])

    def _mac(self, covered: bytes) -> bytes:
        assert self.mac_key is not None
        return mac.compute("unionpay-ecb", self.mac_key, covered)

    def _management(self, kind: Kind, report: str = "") -> Message:
        row = UNIONPAY.kinds[kind]
        draft = self._draft(kind, self.next_stan() if row.numbered else "")
        return Message(row.mti, UNIONPAY.compose(dataclasses.replace(draft, report=report)))

    def _draft(
        self,
        kind: Kind,
        stan: str,
        amount_minor: int | None = None,
        card: Card | None = None,
        *,
        pin_block: bytes | None = None,
        original: OriginalRef | None = None,
    ) -> Draft:
        return Draft(
            row=UNIONPAY.kinds[kind],
            identity=self.identity,
            stan=stan,
            batch=self.batch,
            amount=None if amount_minor is None else Amount(amount_minor),
            card=card,
            pin_block=pin_block,
            original=original,
        )


def counting_entropy() -> Callable[[int], bytes]:
    """Bytes that are different each time and the same in each run."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return bytes((count * 37 + place * 11) % 256 for place in range(size))

    return entropy


class Bench:
    """A host without a link: what a client sends is handled at once, and every reply is kept."""

    def __init__(
        self,
        *,
        cards: Iterable[SimulatedCard] = tuple(CARDS.values()),
        remembers: bool = True,
        ledger: Ledger | None = None,
        roster: Iterable[Enrolled] | None = None,
    ) -> None:
        """Start with a new host, on new books or on these."""
        self.clock = ManualClock()
        self.acquirer = Acquirer(
            entropy=counting_entropy(),
            cards=cards,
            remembers_unknown_reversals=remembers,
            ledger=ledger,
            roster=roster,
        )
        self.replies: list[Reply] = []

    def exchange(self, payload: bytes) -> bytes | None:
        """Handle one payload."""
        reply = self.acquirer.handle(payload, self.clock.now())
        self.replies.append(reply)
        return reply.data

    def client(self, tid: str = TID, merchant: str = MID) -> HostClient:
        """Return a terminal that has not signed on."""
        return HostClient(self.exchange, tid, merchant)

    def signed_on(self, tid: str = TID, merchant: str = MID) -> HostClient:
        """Return a terminal that has signed on."""
        client = self.client(tid, merchant)
        assert client.sign_on()[39] == "00"
        return client

    def charged(self, name: str = "everyday") -> int:
        """Fen that a card has paid since the beginning."""
        return CARDS[name].balance_minor - self.acquirer.ledger.balance(card_account(name))


class Line:
    """A TCP connection to a host."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self._framer = LengthFramer()
        self._arrived: list[bytes] = []

    def close(self) -> None:
        """Disconnect."""
        self.socket.close()

    def exchange(self, payload: bytes) -> bytes | None:
        """Send a payload and wait for the answer; `None` when the host closes instead."""
        self.send(payload)
        return self.receive()

    def send(self, payload: bytes) -> None:
        """Send a payload."""
        self.socket.sendall(self._framer.send(payload))

    def receive(self) -> bytes | None:
        """Wait for one payload; `None` at the end of the connection."""
        while not self._arrived and (data := self.socket.recv(4096)):
            self._arrived += self._framer.receive(data, 0.0).frames
        return self._arrived.pop(0) if self._arrived else None
