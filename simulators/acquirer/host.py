"""What happens to a request: read, known kind, complete, enrolled, signed on, MAC, batch, scenario, decision.

Nothing about money is looked at before the MAC was verified, and nothing is answered that is not a request. Bytes that
are no message are answered with a format error where enough could be read to answer at all; `handle` raises for no
bytes. What it raises comes from whoever keeps the books in a file and could not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto import mac
from pos_engine.dialects.base import Kind, Packet, pack, unpack, with_enciphered_tracks
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import DecodeError, FrameError
from pos_engine.framing.tpdu import TPDU_BYTES, Tpdu
from pos_engine.wire.message import Message
from simulators.acquirer.answers import HOST_ZONE, Decision, answer, refuse
from simulators.acquirer.codes import Code
from simulators.acquirer.downloads import Downloads, Files
from simulators.acquirer.enrolment import Enrolled, Enrolment, Terminal, WorkingKeys, schemes_of
from simulators.acquirer.events import Event, Fate, Reply, What
from simulators.acquirer.issuer import Issuer
from simulators.acquirer.management import Management
from simulators.acquirer.request import ON_PURPOSE, Request
from simulators.acquirer.transactions import Transactions
from simulators.cards import CARDS, SimulatedCard
from simulators.ledger import Handled, Key, Ledger
from simulators.scenario import AMOUNTS, Facts, Play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pos_engine.clock import Instant
    from pos_engine.crypto.des import BlockCipher
    from pos_engine.dialects.base import Dialect, KindRow, MacRule
    from simulators.scenario import Ruling, Scenario

REQUEST_FUNCTIONS: Final = frozenset("02")
"""Third digits of an MTI that asks for an answer: request and advice."""

TRACKS: Final = frozenset({35, 36})
SECURITY: Final = 53
TAKES_PART: Final = "1"
"""Field 60.6 of a terminal that can do with less than it asks for."""


class Acquirer:
    """The simulated host: terminals, cards, ledger, and a scenario of faults. Not for two threads at once."""

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        dialect: Dialect = UNIONPAY,
        cards: Iterable[SimulatedCard] = tuple(CARDS.values()),
        scenario: Scenario = AMOUNTS,
        ledger: Ledger | None = None,
        roster: Iterable[Enrolled] | None = None,
        remembers_unknown_reversals: bool = True,
        files: Files | None = None,
    ) -> None:
        """Open the books, or go on with those of `ledger`; several hosts may share one.

        `entropy` returns that many random bytes, for working keys. `scenario` is what the host does on purpose;
        `Scenario()`: nothing. With a `roster` only its terminals are served. With `remembers_unknown_reversals=False`
        the host is naive: it books an original that arrives after its reversal. `files` is what terminals may download.
        """
        self.play = Play(scenario)
        """The scenario and what has come of it; `stage` begins another."""
        self.ledger = Ledger() if ledger is None else ledger
        self.dialect = dialect
        # What asks for other keys of the same cipher is read the same way: only 60.3 of the sign-on differs, and tracks
        # may be enciphered.
        if any(scheme.enciphers_tracks for scheme in schemes_of(dialect).values()):
            dialect = self.dialect = replace(dialect, spec=with_enciphered_tracks(dialect.spec))
        sign_on = dialect.kinds[Kind.SIGN_ON]
        self._variants = tuple(
            replace(dialect, kinds={**dialect.kinds, Kind.SIGN_ON: replace(sign_on, network_code=code)})
            for code in schemes_of(dialect)
        )
        self._enrolment = Enrolment(entropy, roster)
        self._issuer = Issuer(cards, self.ledger)
        self.downloads = Downloads(dialect, files or Files())
        """What terminals may download, what is demanded of them, and what they told of themselves."""
        self._management = Management(dialect, self._enrolment, self.ledger, self.downloads)
        self._transactions = Transactions(
            self.ledger,
            self._issuer,
            dialect.layouts.get(61),
            remembers_unknown_reversals=remembers_unknown_reversals,
        )

    def handle(self, payload: bytes, now: Instant) -> Reply:
        """Take one frame's payload and say what goes back; `now.wall` stamps the answer. Never raises for any bytes."""
        at = now.wall.astimezone(HOST_ZONE)
        packet, fault = self._read(payload)
        if packet is None or packet.message.mti[2] not in REQUEST_FUNCTIONS:
            event = Event(at=at, what=What.UNREADABLE, fate=Fate.SILENT, note=fault or "not a request")
            return Reply(None, Fate.SILENT, event)
        case = self._case(packet, now, at)
        decision = refuse(Code.FORMAT_ERROR, fault) if fault else self._decide(case)
        reply = self._reply(case, decision)
        self._remember(case, reply)
        return reply

    def stage(self, scenario: Scenario) -> None:
        """Play another scenario from now on, from its beginning."""
        self.play = Play(scenario)

    def demand(self, terminal: str, digit: str) -> None:
        """Demand with a digit of the header that a terminal fetches or tells something, until it has done it."""
        self.downloads.demand(terminal, digit)

    def forget_sessions(self) -> None:
        """Lose every working key, as a host that restarts may: all terminals must sign on (77). The ledger stays."""
        self._enrolment.forget_keys()

    def forget_everything(self) -> None:
        """Lose every key and all books, as a host without a memory that restarts; the cards are as at the beginning."""
        self._enrolment.forget_keys()
        self.ledger.restore(Ledger().snapshot())
        self._issuer.open_accounts()
        self.ledger.commit()

    def _read(self, payload: bytes) -> tuple[Packet | None, str]:
        """Take a payload apart; of a message that breaks off, return what stands before the fault, and the fault."""
        try:
            return unpack(self.dialect, payload), ""
        except FrameError as error:
            return None, str(error)
        except DecodeError as error:
            broken = error
        if broken.mti is None:
            return None, str(broken)
        # The message was reached, so the addresses and the header before it are sound.
        start = TPDU_BYTES if self.dialect.tpdu_default is not None else 0
        tpdu = Tpdu.decode(payload[:start]) if start else None
        size = sum(column.width for column in self.dialect.header.columns) // 2 if self.dialect.header else 0
        header = payload[start : start + size].hex().upper() if size else None
        return Packet(tpdu, header, Message(broken.mti, broken.decoded), b""), str(broken)

    def _case(self, packet: Packet, now: Instant, at: datetime) -> _Case:
        message = packet.message
        terminal = message.get(41, "")
        amount = message.get(4)
        return _Case(
            packet=packet,
            row=self._row_of(message),
            key=Key(terminal, self._batch(message, terminal), message.get(11, "")),
            amount_minor=None if amount is None else int(amount),
            now=now,
            at=at,
        )

    def _row_of(self, message: Message) -> KindRow | None:
        rows = (dialect.kind_of(message) for dialect in (self.dialect, *self._variants))
        return next((row for row in rows if row is not None), None)

    def _batch(self, message: Message, terminal: str) -> str:
        """Read the batch of a request; a dialect whose requests have none means the open one."""
        layout = self.dialect.layouts.get(60)
        return self.ledger.batch(terminal) if layout is None else layout.get(message.get(60, ""), "60.2") or ""

    def _decide(self, case: _Case) -> Decision:
        if case.row is None:
            return refuse(Code.UNSUPPORTED, "this host does not serve such requests")
        lacking = case.row.needed - set(case.message)
        if lacking:
            return refuse(Code.FORMAT_ERROR, f"fields {', '.join(map(str, sorted(lacking)))} are missing")
        terminal = self._enrolment.find(case.key.terminal)
        if terminal is None and self._enrolment.is_closed:
            return refuse(Code.TERMINAL_UNKNOWN, "the terminal is not on the roster")
        # What has a processing code, and its reversal, is about a card.
        if case.row.processing_code is None and case.row.kind is not Kind.REVERSAL:
            return self._manage(case, case.row)
        return self._serve(case, case.row, terminal)

    def _manage(self, case: _Case, row: KindRow) -> Decision:
        ruling = self._meet(case)
        if ruling.refusal is not None:
            return Decision(code=ruling.refusal, what=What.REFUSED, note=ON_PURPOSE, ruling=ruling)
        return self._ruled(case, ruling, lambda: self._management.decide(case.message, row, case.at))

    def _serve(self, case: _Case, row: KindRow, terminal: Terminal | None) -> Decision:
        """Serve a request about a card, once its sender has proved who it is."""
        if terminal is None or terminal.keys is None:
            return refuse(Code.SIGN_ON_FIRST, "the terminal is not signed on")
        refusal = self._check_sender(case.packet, terminal, terminal.keys)
        if refusal is not None:
            return refusal
        read = _in_clear(case, terminal.keys)
        if read is None:
            return refuse(Code.FORMAT_ERROR, "the track is not enciphered as the terminal's keys have it")
        case = read
        # A reversal names its original's batch, which may have been settled meanwhile.
        if row.kind is not Kind.REVERSAL and case.key.batch != self.ledger.batch(case.key.terminal):
            return refuse(Code.SIGN_ON_FIRST, "the batch is not the open one")
        ruling = self._meet(case)
        granted_minor = ruling.granted(case.message, row.kind)
        request = Request(
            message=case.message,
            kind=row.kind,
            key=case.key,
            merchant=terminal.merchant,
            keys=terminal.keys,
            at=case.at,
            ruling=ruling,
            takes_part=row.kind is Kind.SALE and (granted_minor is not None or self._takes_part(case.message)),
            granted_minor=granted_minor,
        )
        return self._ruled(case, ruling, lambda: self._transactions.decide(request))

    def _meet(self, case: _Case) -> Ruling:
        """Ask the scenario about a request that is going to be served."""

        def card() -> str:
            found = self._issuer.identify(case.message)
            return found.name if isinstance(found, SimulatedCard) else ""

        return self.play.meet(Facts(case.message, case.kind, self.dialect.cut, card), case.now)

    def _ruled(self, case: _Case, ruling: Ruling, decide: Callable[[], Decision]) -> Decision:
        """Decide, unless the scenario says that the request never came; book it, unless it says otherwise."""
        if ruling.unheard:
            return Decision(code="", what=What.LOST, note=str(ruling.title or ""), ruling=ruling)
        before = None if ruling.books else self.ledger.snapshot()
        decision = replace(decide(), ruling=ruling)
        if before is None:
            return decision
        self.ledger.restore(before)
        # The reference number has left the house, so nobody else gets it.
        self.ledger.next_rrn(case.at)
        return replace(decision, effect_minor=0, note="not booked")

    def _takes_part(self, message: Message) -> bool:
        layout = self.dialect.layouts.get(60)
        return layout is not None and layout.get(message.get(60, ""), "60.6") == TAKES_PART

    def _check_sender(self, packet: Packet, terminal: Terminal, keys: WorkingKeys) -> Decision | None:
        rule = self.dialect.mac
        if rule is not None:
            received = bytes.fromhex(packet.message.get(rule.field, ""))
            if not mac.equal(received, mac.compute(rule.algorithm, keys.mac, packet.mac_input())):
                return refuse(Code.WRONG_MAC, "the MAC is wrong" if received else "the MAC is missing")
        if packet.message[42] != terminal.merchant:
            return refuse(Code.WRONG_MERCHANT, "the terminal belongs to another merchant")
        return None

    def _reply(self, case: _Case, decision: Decision) -> Reply:
        ruling = decision.ruling
        fate = Fate.CLOSE if ruling.closes else Fate.SILENT if ruling.drops else Fate.SEND
        event = _event(case, decision, fate)
        if fate is not Fate.SEND:
            return Reply(None, fate, event)
        data = ruling.spoil(self._encode(case, decision))
        return Reply(data, fate, event, ruling.after_s, ruling.copies, ruling.follows)

    def _remember(self, case: _Case, reply: Reply) -> None:
        """Keep a message for the story of its trace number, and let whoever keeps the books keep what it did."""
        event = reply.event
        if case.key.stan:
            line = Handled(
                key=case.key,
                at=case.at,
                mti=event.mti,
                kind=case.kind,
                what=event.what,
                code=event.code,
                effect_minor=event.effect_minor,
                answered=reply.fate is Fate.SEND,
                note=event.note,
            )
            self.ledger.note(line)
        self.ledger.commit()

    def _encode(self, case: _Case, decision: Decision) -> bytes:
        ruling = decision.ruling
        mti = case.row.answer_mti if case.row is not None else _answer_mti(case.message.mti)
        message = ruling.rewrite(answer(case.message, mti, case.row, decision, case.at))
        tpdu = case.packet.tpdu.swapped() if case.packet.tpdu is not None else None
        header = self.downloads.header(case.key.terminal, ruling.header(case.packet.header, self.dialect))
        return pack(self.dialect, message, tpdu=tpdu, header=header, mac=self._seal(case, decision)).encode()

    def _seal(self, case: _Case, decision: Decision) -> Callable[[bytes], bytes] | None:
        """Return what makes the answer's MAC, if it has one; a wrong one is put on purpose also where none belongs."""
        rule, cipher, spoiled = self.dialect.mac, decision.sealed_with, decision.ruling.spoils_mac
        if cipher is None and spoiled and case.row is not None and case.row.mac:
            terminal = self._enrolment.find(case.key.terminal)
            cipher = terminal.keys.mac if terminal is not None and terminal.keys is not None else None
        return _seal(rule, cipher, spoiled=spoiled) if rule is not None and cipher is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A request as far as it could be read: a broken one lacks fields, and one nobody serves has no row."""

    packet: Packet
    row: KindRow | None
    key: Key
    amount_minor: int | None
    now: Instant
    at: datetime
    """The moment as the host's calendar has it."""

    @property
    def message(self) -> Message:
        return self.packet.message

    @property
    def kind(self) -> Kind | None:
        return self.row.kind if self.row is not None else None


def _in_clear(case: _Case, keys: WorkingKeys) -> _Case | None:
    """Return a request with its tracks in clear; `None` where they are not as the key scheme has them."""
    message, clear = case.message, {}
    for number in TRACKS & message.keys():
        read = keys.read_track(message[number], message.get(SECURITY, ""))
        if read is None:
            return None
        clear[number] = read
    return replace(case, packet=case.packet._replace(message=message.replace(clear))) if clear else case


def _seal(rule: MacRule, cipher: BlockCipher, *, spoiled: bool) -> Callable[[bytes], bytes]:
    def seal(covered: bytes) -> bytes:
        code = mac.compute(rule.algorithm, cipher, covered)
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
        code=decision.ruling.code(str(decision.code)),
        effect_minor=decision.effect_minor,
        card=decision.card.pan.masked if decision.card is not None else "",
        rrn=decision.rrn,
        rule=decision.ruling.rule,
        failed=decision.ruling.failed,
        note=decision.note,
    )


def _answer_mti(mti: str) -> str:
    """Return the MTI of the answer to a request that no row describes: the third digit is one higher there too."""
    return f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}"
