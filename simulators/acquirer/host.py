"""What happens to a request, in this order: read, known kind, complete, signed on, MAC, batch, scenario, decision.

Nothing about money is looked at before the MAC was verified, and nothing is answered that is not a request. Bytes that
are no message are answered with a format error where enough could be read to answer at all; `handle` raises for no
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from pos_engine.crypto import mac
from pos_engine.dialects.base import Kind, Packet, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import DecodeError, FrameError
from pos_engine.framing.tpdu import TPDU_BYTES, Tpdu
from pos_engine.wire.message import Message
from simulators.acquirer.answers import HOST_ZONE, Decision, answer, refuse
from simulators.acquirer.codes import Code
from simulators.acquirer.enrolment import Enrolment, Terminal, WorkingKeys, key_field
from simulators.acquirer.events import Event, Fate, Reply, What
from simulators.acquirer.issuer import Issuer
from simulators.acquirer.transactions import Request, Transactions
from simulators.cards import CARDS
from simulators.ledger import Key, Ledger
from simulators.scenario import TRIGGERS, Fault, triggered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from pos_engine.clock import Instant
    from pos_engine.crypto.des import BlockCipher
    from pos_engine.dialects.base import Dialect, KindRow, MacRule
    from simulators.cards import SimulatedCard
    from simulators.scenario import Trigger

REQUEST_FUNCTIONS: Final = frozenset("02")
"""Third digits of an MTI that asks for an answer: request and advice."""

MAC: Final = cast("MacRule", UNIONPAY.mac)
"""The dialect has one; that is why the table's type, which allows for none, is narrowed here."""

FATES: Final[Mapping[Fault | None, Fate]] = {
    Fault.LOSE_REQUEST: Fate.CLOSE,
    Fault.LOSE_ANSWER: Fate.CLOSE,
    Fault.STAY_SILENT: Fate.SILENT,
}
"""What a fault does to the link; every other one lets the answer go."""


class Acquirer:
    """The simulated UnionPay host: terminals, cards, ledger, and a scenario of faults. Not for two threads at once."""

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        cards: Iterable[SimulatedCard] = tuple(CARDS.values()),
        triggers: Mapping[int, Trigger] = TRIGGERS,
        remembers_unknown_reversals: bool = True,
    ) -> None:
        """Open the books.

        `entropy` returns that many random bytes, for working keys. `triggers` is what the host does on purpose; `{}`:
        nothing. With `remembers_unknown_reversals=False` the host is naive: it books an original that arrives after its
        reversal.
        """
        self.ledger = Ledger()
        self._dialect: Dialect = UNIONPAY
        self._triggers = triggers
        self._enrolment = Enrolment(entropy)
        self._transactions = Transactions(
            self.ledger,
            Issuer(cards, self.ledger),
            self._dialect.layouts[61],
            remembers_unknown_reversals=remembers_unknown_reversals,
        )

    def handle(self, payload: bytes, now: Instant) -> Reply:
        """Take one frame's payload and say what goes back; `now.wall` stamps the answer. Never raises for any bytes."""
        at = now.wall.astimezone(HOST_ZONE)
        packet, fault = self._read(payload)
        if packet is None or packet.message.mti[2] not in REQUEST_FUNCTIONS:
            event = Event(at=at, what=What.UNREADABLE, fate=Fate.SILENT, note=fault or "not a request")
            return Reply(None, Fate.SILENT, event)
        case = self._case(packet, at)
        decision = refuse(Code.FORMAT_ERROR, fault) if fault else self._decide(case)
        return self._reply(case, decision)

    def forget_sessions(self) -> None:
        """Lose every working key, as a host that restarts may: all terminals must sign on (77). The ledger stays."""
        self._enrolment.forget_keys()

    def _read(self, payload: bytes) -> tuple[Packet | None, str]:
        """Take a payload apart; of a message that breaks off, return what stands before the fault, and the fault."""
        try:
            return unpack(self._dialect, payload), ""
        except FrameError as error:
            return None, str(error)
        except DecodeError as error:
            broken = error
        if broken.mti is None:
            return None, str(broken)
        # The message was reached, so the addresses and the header before it are sound.
        message = Message(broken.mti, broken.decoded)
        tpdu = Tpdu.decode(payload[:TPDU_BYTES])
        header = payload[TPDU_BYTES : TPDU_BYTES + len(self._dialect.header_default) // 2].hex().upper()
        return Packet(tpdu, header, message, b""), str(broken)

    def _case(self, packet: Packet, at: datetime) -> _Case:
        message = packet.message
        row = self._dialect.kind_of(message)
        batch = self._dialect.layouts[60].get(message.get(60, ""), "60.2") or ""
        amount = message.get(4)
        return _Case(
            packet=packet,
            row=row,
            key=Key(message.get(41, ""), batch, message.get(11, "")),
            amount_minor=None if amount is None else int(amount),
            at=at,
        )

    def _decide(self, case: _Case) -> Decision:
        if case.row is None:
            return refuse(Code.UNSUPPORTED, "this host does not serve such requests")
        lacking = case.row.needed - set(case.message)
        if lacking:
            return refuse(Code.FORMAT_ERROR, f"fields {', '.join(map(str, sorted(lacking)))} are missing")
        if case.row.kind is Kind.SIGN_ON:
            return self._sign_on(case.message, case.row, case.at)
        return self._serve(case, case.row)

    def _sign_on(self, message: Message, row: KindRow, at: datetime) -> Decision:
        signed_on = self._enrolment.sign_on(message[41], message[42])
        if isinstance(signed_on, Code):
            return refuse(signed_on, "no place for another terminal, or it belongs to another merchant")
        terminal, keys = signed_on
        open_batch = self._dialect.layouts[60].join((row.message_type, terminal.batch, row.network_code))
        return Decision(
            code=Code.APPROVED,
            what=What.SIGNED_ON,
            rrn=self._transactions.next_rrn(at),
            extra={60: open_batch, 62: key_field(message[41], keys)},
        )

    def _serve(self, case: _Case, row: KindRow) -> Decision:
        """Serve a request about money, once its sender has proved who it is."""
        terminal = self._enrolment.find(case.key.terminal)
        if terminal is None or terminal.keys is None:
            return refuse(Code.SIGN_ON_FIRST, "the terminal is not signed on")
        refusal = self._check_sender(case.packet, terminal, terminal.keys)
        if refusal is not None:
            return refusal
        # A reversal names its original's batch, which may have been settled meanwhile.
        if row.kind is not Kind.REVERSAL and case.key.batch != terminal.batch:
            return refuse(Code.SIGN_ON_FIRST, "the batch is not the open one")
        trigger = triggered(self._triggers, row.kind, int(case.message[4]))
        if trigger is not None and trigger.fault is Fault.LOSE_REQUEST:
            return Decision(code="", what=What.LOST, note=trigger.title.en, trigger=trigger)
        request = Request(
            message=case.message,
            kind=row.kind,
            key=case.key,
            merchant=terminal.merchant,
            keys=terminal.keys,
            at=case.at,
            trigger=trigger,
        )
        return replace(self._transactions.decide(request), trigger=trigger)

    def _check_sender(self, packet: Packet, terminal: Terminal, keys: WorkingKeys) -> Decision | None:
        received = bytes.fromhex(packet.message.get(MAC.field, ""))
        if not mac.equal(received, mac.compute(MAC.algorithm, keys.mac, packet.mac_input())):
            return refuse(Code.WRONG_MAC, "the MAC is wrong" if received else "the MAC is missing")
        if packet.message[42] != terminal.merchant:
            return refuse(Code.WRONG_MERCHANT, "the terminal belongs to another merchant")
        return None

    def _reply(self, case: _Case, decision: Decision) -> Reply:
        fault = decision.trigger.fault if decision.trigger is not None else None
        fate = FATES.get(fault, Fate.SEND)
        event = _event(case, decision, fate)
        if fate is not Fate.SEND:
            return Reply(None, fate, event)
        return Reply(self._encode(case, decision, spoiled=fault is Fault.SPOIL_MAC), fate, event)

    def _encode(self, case: _Case, decision: Decision, *, spoiled: bool) -> bytes:
        mti = case.row.answer_mti if case.row is not None else _answer_mti(case.message.mti)
        message = answer(case.message, mti, case.kind, decision, case.at)
        tpdu = case.packet.tpdu.swapped() if case.packet.tpdu is not None else None
        seal = _seal(decision.sealed_with, spoiled=spoiled) if decision.sealed_with is not None else None
        return pack(self._dialect, message, tpdu=tpdu, header=case.packet.header, mac=seal).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A request as far as it could be read: a broken one lacks fields, and one nobody serves has no row."""

    packet: Packet
    row: KindRow | None
    key: Key
    amount_minor: int | None
    at: datetime

    @property
    def message(self) -> Message:
        return self.packet.message

    @property
    def kind(self) -> Kind | None:
        return self.row.kind if self.row is not None else None


def _seal(cipher: BlockCipher, *, spoiled: bool) -> Callable[[bytes], bytes]:
    def seal(covered: bytes) -> bytes:
        code = mac.compute(MAC.algorithm, cipher, covered)
        # The first character of a spoiled one is another character that a MAC may have.
        return ((b"1" if code[:1] == b"0" else b"0") + code[1:]) if spoiled else code

    return seal


def _event(case: _Case, decision: Decision, fate: Fate) -> Event:
    return Event(
        at=case.at,
        what=decision.what,
        fate=fate,
        mti=case.message.mti,
        kind=case.kind.value if case.kind is not None else "",
        terminal=case.key.terminal,
        batch=case.key.batch,
        stan=case.key.stan,
        amount_minor=case.amount_minor,
        code=str(decision.code),
        effect_minor=decision.effect_minor,
        card=decision.card.pan.masked if decision.card is not None else "",
        rrn=decision.rrn,
        trigger=decision.trigger.digits if decision.trigger is not None else None,
        note=decision.note,
    )


def _answer_mti(mti: str) -> str:
    """Return the MTI of the answer to a request that no row describes: the third digit is one higher there too."""
    return f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}"
