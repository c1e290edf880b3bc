"""Driving the flow by hand: a script of what the world answers, and the effects that were yielded for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pos_engine.clock import Instant, ManualClock
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.checks import Order
from pos_engine.flow.drive import Drive, Finished, drive
from pos_engine.flow.effects import (
    NO_WAY,
    Answered,
    Ask,
    Authorise,
    Authorised,
    CheckKeys,
    Done,
    Effect,
    Emit,
    Happening,
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
    Way,
)
from pos_engine.flow.plan import Duty, plan
from pos_engine.flow.profile import Profile
from pos_engine.journal.memory import MemoryJournal
from pos_engine.values import Amount, Card, Identity
from pos_engine.wire.message import Message

TRACK = "6229990000000004D30122010000012300000"
IDENTITY = Identity("T0000001", "M00000000000001")
PROFILE = Profile(UNIONPAY, IDENTITY)
KEYS = "00" * 40
"""Field 62 of a sign-on answer; whether it decrypts is the keystore's business, which a script plays."""

Reply = Callable[[Message, Instant], Happening]


def approve(extra: dict[int, str] | None = None, mac: MacState = MacState.VALID) -> Reply:
    """Answer 00 with everything an approval must have."""
    return answer("00", extra, mac)


def answer(
    code: str, extra: dict[int, str] | None = None, mac: MacState = MacState.VALID, header: str | None = None
) -> Reply:
    """Answer a code, echoing the request."""

    def reply(request: Message, now: Instant) -> Happening:
        echoed = {n: request[n] for n in (3, 4, 11, 25, 41, 42, 49, 60) if n in request}
        fields = echoed | {12: "120000", 13: "0101", 37: "000000000001", 39: code} | (extra or {})
        mti = f"{request.mti[:2]}{int(request.mti[2]) + 1}{request.mti[3]}"
        return Answered(now, Message(mti, fields), mac, header)

    return reply


def signed_on(batch: str = "000001") -> Reply:
    """Answer a sign-on with keys and a batch."""

    def reply(request: Message, now: Instant) -> Happening:
        return approve({60: f"00{batch}003", 62: KEYS}, MacState.ABSENT)(request, now)

    return reply


def silence(_request: Message, now: Instant) -> Happening:
    """Let the deadline pass."""
    return Silent(now, "silence")


def unsent(_request: Message, now: Instant) -> Happening:
    """Let nothing leave."""
    return NothingSent(now, "connection refused")


@dataclass(frozen=True)
class Found:
    """A reply that comes once what lay in the road before the request was told."""

    strays: Callable[[Message, Instant], tuple[Answered | Unreadable, ...]]
    then: Reply
    way: Way = NO_WAY

    def __call__(self, request: Message, now: Instant) -> Happening:
        return Sent(now, self.strays(request, now), self.way)


class Script:
    """Answers each request with the next reply of a script, and keeps every effect."""

    def __init__(
        self, *replies: Reply, journal: MemoryJournal | None = None, keys_good: bool = True, profile: Profile = PROFILE
    ) -> None:
        self.replies = list(replies)
        self.journal = journal or MemoryJournal(UNIONPAY.spec)
        self.clock = ManualClock()
        self.effects: list[Effect] = []
        self.keys_good = keys_good
        self.profile = profile
        self.supervisor_allows = True
        self.card = Card.stripe(TRACK)
        self._request: Message | None = None

    def run(self, order: Order | None) -> Finished:
        """Drive an order, or only what is due."""
        return self.play(drive(order, self.journal, self.profile, self.clock.now()))

    def next_duty(self) -> Duty | None:
        """Name what is owed next, were it asked now."""
        return plan(self.journal, self.profile, self.clock.now())

    def play(self, driver: Drive) -> Finished:
        """Perform a drive to its end."""
        try:
            effect = next(driver)
            while True:
                self.effects.append(effect)
                effect = driver.send(self.perform(effect))
        except StopIteration as end:
            finished: Finished = end.value
            return finished

    def perform(self, effect: Effect) -> Happening:
        """Play the world for one effect."""
        now = self.clock.now()
        match effect:
            case Save(record):
                self.journal.save(record)
            case Send(message):
                self._request = message
                reply = self.replies.pop(0)
                if isinstance(reply, Found):
                    self.replies.insert(0, reply.then)
                return reply(message, now)
            case Listen():
                assert self._request is not None
                return self.replies.pop(0)(self._request, now)
            case Ask(TakeCard()):
                return self.card_of()
            case Ask(CheckKeys()):
                return KeysChecked(
                    now, self.keys_good, "" if self.keys_good else "the check value of the MAC key does not match"
                )
            case Ask(Authorise()):
                return Authorised(now, self.supervisor_allows)
            case Emit():
                pass
        return Done(now)

    def card_of(self) -> Presented:
        """Present the card; without a PIN."""
        return Presented(self.clock.now(), self.card)

    @property
    def sent(self) -> list[Message]:
        """Every message that was sent."""
        return [effect.message for effect in self.effects if isinstance(effect, Send)]


def sale(text: str = "12.34") -> Order:
    """Order a sale."""
    return Order(kind=Kind.SALE, amount=Amount.cny(text))
