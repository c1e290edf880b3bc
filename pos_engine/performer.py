"""What the driver's effects do on a real terminal: write the journal, use the link, ask keystore, reader and PIN pad.

The order in which effects come is the driver's; here each is done once, and what came of it is told truthfully. A
failure of the journal is not told but raised: it ends the drive, because nothing may be sent past a journal that
cannot be written.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.mac import equal
from pos_engine.dialects.base import Dialect, Kind, Packet, pack, unpack
from pos_engine.errors import (
    FrameError,
    KeyFault,
    LocalProtocolError,
    NoAnswer,
    NotSent,
    RemoteProtocolError,
    Trouble,
)
from pos_engine.flow.effects import (
    Answered,
    Ask,
    Authorise,
    Authorised,
    CheckKeys,
    Done,
    Emit,
    Enciphered,
    EncipherTrack,
    KeysChecked,
    Listen,
    MacState,
    NothingSent,
    Presented,
    Save,
    Send,
    Sent,
    Silent,
    TakeCard,
    Unreadable,
    Verified,
    VerifyMac,
    Way,
)
from pos_engine.journal.record import State
from pos_engine.trace import NoTrace, Trace
from pos_engine.values import EncipheredTrack

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.clock import Clock
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.flow.drive import Drive, Finished
    from pos_engine.flow.effects import Effect, Happening, Question
    from pos_engine.framing.tpdu import Tpdu
    from pos_engine.journal.view import Journal
    from pos_engine.keystore.base import KeyStore
    from pos_engine.peripherals.base import CardReader, PinPad, Supervisor
    from pos_engine.routes import Routes

ENDS_KEYS: Final = frozenset({Kind.SIGN_ON, Kind.SIGN_OFF})
"""Requests with whose approval the working keys change or end."""

Received = Answered | Silent | Unreadable
"""What becomes of a request that was sent."""


@dataclass(slots=True)
class Performer:
    """One terminal's means to do what a drive asks."""

    dialect: Dialect
    journal: Journal
    routes: Routes
    keystore: KeyStore
    reader: CardReader
    pin_pad: PinPad
    clock: Clock
    tpdu: Tpdu | None
    header: str | None
    supervisor: Supervisor | None = None
    trace: Trace = field(default_factory=NoTrace)

    def run(self, drive: Drive) -> Finished:
        """Perform a drive to its end and return how it ended."""
        happened: Happening | None = None
        try:
            while True:
                try:
                    effect = next(drive) if happened is None else drive.send(happened)
                except StopIteration as end:
                    finished: Finished = end.value
                    return finished
                self.trace.before(effect)
                happened = self._perform(effect)
                self.trace.after(effect, happened)
        finally:
            drive.close()

    def _perform(self, effect: Effect) -> Happening:
        match effect:
            case Save(record):
                self.journal.save(record)
                if record.kind in ENDS_KEYS and record.state is State.APPROVED:
                    # Only now are the old keys of no more use; a sign-off leaves none in force.
                    self.keystore.retire(record.keys)
            case Send():
                return self._send(effect)
            case Listen():
                return self._receive(effect)
            case Ask(question):
                return self._ask(question)
            case Emit(record):
                # Whoever waits for the outcome gets it when the drive ends; observers see it now. After a doubt nothing
                # more is expected on this connection: what still comes must not be taken for another answer.
                if record.state is State.DOUBTFUL:
                    self.routes.part()
                self.routes.done()
        return Done(self.clock.now())

    def _ask(self, question: Question) -> Happening:
        match question:
            case TakeCard():
                return self._take_card(question)
            case Authorise(kind, amount, stan):
                granted = self.supervisor is None or self.supervisor.allows(kind, amount, stan)
                return Authorised(self.clock.now(), granted)
            case VerifyMac():
                return self._verify_again(question)
            case EncipherTrack(track, key):
                return Enciphered(self.clock.now(), EncipheredTrack(self.keystore.track(key, track.reveal())))
            case CheckKeys(keys):
                return self._check_keys(keys)

    def _send(self, send: Send) -> Happening:
        mac = self._mac_function(send.seal_key)
        try:
            packet = pack(self.dialect, send.message, tpdu=self.tpdu, header=self.header, mac=mac)
        except (KeyFault, LocalProtocolError) as error:
            of_keys = isinstance(error, KeyFault)
            trouble = Trouble.KEY if of_keys else Trouble.UNBUILDABLE
            return NothingSent(self.clock.now(), str(error), keys_failed=of_keys, trouble=trouble)
        self.trace.message("sent", packet)
        failed: NothingSent | Silent | None = None
        try:
            self.routes.send(packet.encode(), send.deadline_s, road=send.road)
        except NotSent as error:
            failed = NothingSent(self.clock.now(), str(error), trouble=error.trouble)
        except NoAnswer as error:
            failed = Silent(self.clock.now(), str(error), trouble=error.trouble)
        way, strays = Way(*self.routes.way()), self._set_aside(send)
        if isinstance(failed, NothingSent):
            return replace(failed, set_aside=strays)
        if failed is not None:
            return replace(failed, set_aside=strays, way=way)
        if strays or not way.is_first:
            # Told before the wait, which may be cut short: nobody else knows of it.
            return Sent(self.clock.now(), strays, way)
        return replace(self._receive(send), way=way)

    def _set_aside(self, send: Send) -> tuple[Answered | Unreadable, ...]:
        """Read what the link found that no request was waiting for; what is no message proves nothing."""
        return tuple(self._read(frame, send) for frame in self.routes.leftovers())

    def _receive(self, wait: Send | Listen) -> Received:
        try:
            frame = self.routes.receive(wait.deadline_s)
        except NoAnswer as error:
            return Silent(self.clock.now(), str(error), trouble=error.trouble)
        return self._read(frame, wait)

    def _read(self, frame: bytes, wait: Send | Listen) -> Answered | Unreadable:
        """Tell of a frame."""
        try:
            packet = unpack(self.dialect, frame)
            self.trace.message("received", packet)
            return self._answered(packet, wait)
        except (KeyFault, RemoteProtocolError) as error:
            failed = isinstance(error, KeyFault)
            return Unreadable(self.clock.now(), str(error), keys_failed=failed, trouble=_unread(error))

    def _answered(self, packet: Packet, wait: Send | Listen) -> Answered:
        """Tell of a message. Raises `KeyFault` when the key does not open under which it has to be verified."""
        asked = self.dialect.processing_request(packet.header)
        return Answered(self.clock.now(), packet.message, self._mac_state(packet, wait), asked, packet=packet)

    def _mac_function(self, key: WrappedKey | None) -> Callable[[bytes], bytes] | None:
        rule = self.dialect.mac
        if rule is None or key is None:
            return None
        return lambda covered: self.keystore.mac(key, rule.algorithm, covered)

    def _mac_state(self, packet: Packet, wait: Send | Listen) -> MacState:
        rule, key = self.dialect.mac, wait.mac_key
        if key is None or rule is None or rule.field not in packet.message:
            return MacState.ABSENT
        try:
            return MacState.VALID if self._verifies(packet, key) else MacState.WRONG
        except KeyFault:
            if wait.seal_key is not None:
                raise
            # A sign-on must not fail for the very keys that it is to replace.
            return MacState.WRONG

    def _verifies(self, packet: Packet, key: WrappedKey) -> bool:
        compute, rule = self._mac_function(key), self.dialect.mac
        if compute is None or rule is None:
            return False
        return equal(bytes.fromhex(packet.message.get(rule.field, "")), compute(packet.mac_input()))

    def _verify_again(self, question: VerifyMac) -> Verified:
        """Verify under an earlier key, for this once; one that does not open any more proves nothing."""
        rule, packet, good = self.dialect.mac, question.packet, False
        if rule is not None:
            with suppress(KeyFault):
                code = self.keystore.mac_once(question.key, rule.algorithm, packet.mac_input())
                good = equal(bytes.fromhex(packet.message.get(rule.field, "")), code)
        return Verified(self.clock.now(), good)

    def _take_card(self, question: TakeCard) -> Presented:
        card = self.reader.read(question.amount)
        pin_block = self.pin_pad.pin_block(card.pan, question.amount, question.pin_key)
        return Presented(self.clock.now(), card, pin_block)

    def _check_keys(self, keys: tuple[WrappedKey, ...]) -> KeysChecked:
        try:
            self.keystore.check(keys)
        except KeyFault as fault:
            return KeysChecked(self.clock.now(), good=False, why=str(fault))
        return KeysChecked(self.clock.now(), good=True)


def _unread(error: KeyFault | RemoteProtocolError) -> Trouble:
    """Say what is wrong with a frame: the key it would be verified under, what stands before the message, or that."""
    if isinstance(error, KeyFault):
        return Trouble.KEY
    return Trouble.TPDU if isinstance(error, FrameError) else Trouble.BAD_MESSAGE
