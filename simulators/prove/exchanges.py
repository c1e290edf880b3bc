"""Real answers of the simulated host, one of each sort whose answer has a MAC, and a terminal that is given others.

A story leads a bench to the moment before one exchange; `play` lets that exchange happen, with the answer replaced on
the line where somebody wants it replaced. `capture` keeps what the two ends said, so that an answer can be judged again
and again without either: the same performer, the same codec and the same `classify`, and nothing around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pos_engine.assembly import assemble
from pos_engine.clock import ManualClock
from pos_engine.config import settle
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import PosError
from pos_engine.flow.drive import Finished
from pos_engine.flow.effects import Answered, Ask, CheckKeys, Save, Send
from pos_engine.flow.outcomes import Approved
from pos_engine.flow.states import TRANSITIONS
from pos_engine.framing.length import BE2, LengthFramer
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import State
from pos_engine.transport.base import Silence
from pos_engine.values import Amount, Card
from simulators.bench import IDENTITY, Bench, MemoryLink
from simulators.cards import CARDS
from simulators.scenario import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import OriginalRef, Packet
    from pos_engine.flow.drive import Drive
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.flow.profile import Profile
    from pos_engine.flow.states import Cue
    from pos_engine.journal.record import Record
    from pos_engine.keystore.base import KeyStore
    from pos_engine.performer import Performer
    from pos_engine.terminal import Terminal
    from simulators.acquirer import Acquirer, Reply

    Classify = Callable[[Record, Answered, Profile], tuple[Cue, str]]

TPDU_BYTES: Final = 5
HEADER_BYTES: Final = 6
BODY_AT: Final = TPDU_BYTES + HEADER_BYTES
"""Where the message begins in a frame's payload: behind addresses and header, which no MAC covers."""
TOTAL: Final = Amount.cny("12.34")
PART: Final = Amount.cny("1.25")
HALVED: Final = Amount.cny("9.10")
"""An amount of which the simulated host approves a half where the terminal takes a part."""
TAKEN: Final = frozenset({State.APPROVED, State.CHECKING})
"""Where an answer leads that counts as an approval; for a reversal: that ends it."""
TICKS_MAX: Final = 12
"""A recovery on a line without faults needs one tick, or two when the sign-on comes first."""
BETWEEN_TICKS_S: Final = 3700.0
"""Longer than any duty waits before it is tried again."""


class Middleman:
    """The host, seen through a line on which somebody replaces one answer."""

    def __init__(self, host: Acquirer) -> None:
        """Take the host that really answers."""
        self._host = host
        self._kind: Kind | None = None
        self._answer: bytes | None = None
        self.genuine: bytes | None = None
        """The answer the host gave to what was waited for."""
        self.request: bytes = b""

    def await_(self, kind: Kind, answer: bytes | None) -> None:
        """Wait for the next request of a kind, and let `answer` arrive in place of the host's, or the host's own."""
        self._kind, self._answer, self.genuine = kind, answer, None

    def handle(self, payload: bytes, now: Instant) -> Reply:
        """Pass a request on, and the answer back."""
        reply = self._host.handle(payload, now)
        if self._kind is None or reply.event.kind != self._kind.value or reply.data is None:
            return reply
        self._kind, self.genuine, self.request = None, reply.data, payload
        return reply if self._answer is None else replace(reply, data=self._answer)


@dataclass
class Witness:
    """A trace that keeps which keys came, what was sent, and what became of one record after its answer."""

    kind: Kind
    waiting: bool = False
    saved: Record | None = None
    sent: tuple[Record, Send] | None = None
    state: State | None = None
    """The first state, other than pending, in which the record was saved since the witness began to wait."""
    mac_keys: list[WrappedKey] = field(default_factory=list)

    def before(self, effect: Effect) -> None:
        """See what is about to happen."""
        match effect:
            case Save(record):
                self.saved = record
                if self.sent is not None and record.number == self.sent[0].number and record.state is not State.PENDING:
                    self.state = self.state or record.state
            case Send() if self.waiting and self.sent is None and self.saved is not None:
                if self.saved.kind is self.kind:
                    self.sent = self.saved, effect
            case Ask(CheckKeys(keys)):
                self.mac_keys += [key for key in keys if key.usage is KeyUsage.MAC and key not in self.mac_keys]

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Ignore it."""


class Scene:
    """A bench on which one story is played."""

    def __init__(self, story: Story, seed: int) -> None:
        """Set the bench up and bring the story to the moment before its exchange."""
        self.story = story
        self.bench = Bench(seed=seed)
        self.middleman = Middleman(self.bench.acquirer)
        self.bench.link = MemoryLink(self.bench.clock, self.middleman, framing=BE2, note=self.bench.conversation.note)
        if story.scenario:
            self.bench.acquirer.stage(parse(story.scenario, story.name))
        self.witness = Witness(story.kind)
        self.terminal: Terminal = self.bench.open({"peripherals.card": story.card}, trace=self.witness)
        self.original: OriginalRef | None = None
        # Two sign-ons, so that there are older keys than those in force.
        self.terminal.sign_on()
        self.bench.clock.advance(BETWEEN_TICKS_S)
        self.terminal.sign_on()
        story.prepare(self)

    def play(self, answer: bytes | None = None) -> str:
        """Let the exchange happen, with `answer` in place of the host's; say how the call ended.

        Nothing but an error of the engine's own tree is caught, so whatever else is raised comes out.
        """
        self.middleman.await_(self.story.kind, answer)
        self.witness.waiting = True
        try:
            return type(self.story.act(self)).__name__
        except PosError as error:
            return type(error).__name__

    def sell(self, amount: Amount = TOTAL, *, keyed: bool = False) -> object:
        """Sell, and keep what an approval names for what acts on it."""
        outcome = self.terminal.sale(amount, card=self.keyed() if keyed else None)
        if isinstance(outcome, Approved):
            self.original = outcome.reference
        return outcome

    def keyed(self) -> Card:
        """The card in the reader, as somebody types it in."""
        card = CARDS[self.story.card]
        return Card.keyed(card.pan.reveal(), card.expiry)

    @property
    def sold(self) -> OriginalRef:
        """What the sale before this exchange is called."""
        if self.original is None:
            reason = f"the sale that {self.story.name} acts on was not approved"
            raise AssertionError(reason)
        return self.original

    def recover(self) -> list[str]:
        """Work off what is owed on a line without faults; say what is still wrong then.

        A refund whose answer is in doubt is owed to a person, who alone can say what became of it: such a trace number
        may differ as long as the terminal says that it is owed.
        """
        self.bench.link.heal()
        for _ in range(TICKS_MAX):
            self.bench.clock.advance(BETWEEN_TICKS_S)
            self.terminal.tick()
            if all(each.kind is Kind.REFUND for each in self.terminal.status().owed):
                break
        owed = self.terminal.status().owed
        forgotten = [each for each in owed if each.kind is not Kind.REFUND]
        wrong = [f"after {TICKS_MAX} ticks the {each.kind.value} of STAN {each.stan} is owed" for each in forgotten]
        asked = tuple(f"STAN {each.stan} of batch {each.batch}:" for each in owed if each.kind is Kind.REFUND)
        return wrong + [each for each in self.bench.books.differences(self.terminal) if not each.startswith(asked)]

    def close(self) -> None:
        """Let go of everything."""
        self.bench.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How one real answer comes about: what goes before, and the call that brings it."""

    name: str
    kind: Kind
    act: Callable[[Scene], object]
    prepare: Callable[[Scene], object] = lambda _scene: None
    scenario: str = ""
    card: str = "everyday"
    signed: bool = True
    """Whether the host puts a MAC into this answer."""


def _sale_unanswered(scene: Scene, *, keyed: bool = False) -> None:
    scene.bench.link.lose_answer()
    scene.sell(keyed=keyed)


def _sale_unheard(scene: Scene) -> None:
    scene.bench.link.lose_request()
    scene.sell()


def _void_unanswered(scene: Scene) -> None:
    scene.sell()
    scene.bench.link.lose_answer()
    scene.terminal.void(scene.sold)


def _reversal_unanswered(scene: Scene) -> None:
    _sale_unanswered(scene)
    scene.bench.link.lose_answer()
    scene.terminal.tick()
    scene.bench.clock.advance(BETWEEN_TICKS_S)


def _tick(scene: Scene) -> object:
    return scene.terminal.tick()


def _approving(code: str) -> str:
    return f'[[rule]]\nname = "code"\nmatch = {{ kind = "sale" }}\naction = {{ do = "approve", code = "{code}" }}\n'


DECLINING: Final = '[[rule]]\nname = "no"\nmatch = { kind = "reversal" }\naction = { do = "decline", code = "12" }\n'

_STORIES: Final = (
    Story(name="sale", kind=Kind.SALE, act=Scene.sell),
    Story(name="sale-keyed", kind=Kind.SALE, act=partial(Scene.sell, keyed=True)),
    Story(name="sale-no-pin", kind=Kind.SALE, act=Scene.sell, card="no-pin"),
    Story(name="sale-long-number", kind=Kind.SALE, act=Scene.sell, card="long"),
    Story(name="sale-in-part", kind=Kind.SALE, act=lambda scene: scene.terminal.sale(HALVED, allow_partial=True)),
    *(
        Story(name=f"sale-{code}", kind=Kind.SALE, act=Scene.sell, scenario=_approving(code))
        for code in ("11", "A2", "A4", "A5", "A6")
    ),
    Story(name="void", kind=Kind.VOID, prepare=Scene.sell, act=lambda scene: scene.terminal.void(scene.sold)),
    Story(
        name="void-keyed",
        kind=Kind.VOID,
        prepare=partial(Scene.sell, keyed=True),
        act=lambda scene: scene.terminal.void(scene.sold, card=scene.keyed()),
    ),
    Story(
        name="refund",
        kind=Kind.REFUND,
        prepare=Scene.sell,
        act=lambda scene: scene.terminal.refund(TOTAL, original=scene.sold),
    ),
    Story(
        name="refund-in-part",
        kind=Kind.REFUND,
        prepare=partial(Scene.sell, keyed=True),
        act=lambda scene: scene.terminal.refund(PART, original=scene.sold, card=scene.keyed()),
    ),
    Story(name="balance", kind=Kind.BALANCE, act=lambda scene: scene.terminal.balance()),
    Story(name="reversal", kind=Kind.REVERSAL, prepare=_sale_unanswered, act=_tick),
    Story(name="reversal-keyed", kind=Kind.REVERSAL, prepare=partial(_sale_unanswered, keyed=True), act=_tick),
    Story(name="reversal-of-void", kind=Kind.REVERSAL, prepare=_void_unanswered, act=_tick),
    Story(name="reversal-again", kind=Kind.REVERSAL, prepare=_reversal_unanswered, act=_tick),
    Story(name="reversal-25", kind=Kind.REVERSAL, prepare=_sale_unheard, act=_tick),
    Story(name="reversal-12", kind=Kind.REVERSAL, prepare=_sale_unheard, act=_tick, scenario=DECLINING),
    Story(name="decline", kind=Kind.SALE, act=partial(Scene.sell, amount=Amount.cny("9.51")), signed=False),
)
STORIES: Final[Mapping[str, Story]] = {story.name: story for story in _STORIES}
"""Every sort of answer that has a MAC, and a decline, which the simulated host gives without one."""


class Tape:
    """A connection on which whatever is sent is answered with what is on the tape. A `Stream`."""

    peer = "tape"

    def __init__(self) -> None:
        """Begin with nothing on it."""
        self.answer = b""
        self._left = b""

    def stream(self) -> Tape:
        """Serve as the next connection."""
        return self

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:
        """Do nothing."""

    def send(self, data: bytes, timeout_s: float) -> None:
        """Take a request; the answer is there at once."""
        del data, timeout_s
        self._left = LengthFramer(BE2).send(self.answer)

    def receive(self, timeout_s: float) -> bytes:
        """Return the answer, once."""
        del timeout_s
        found, self._left = self._left, b""
        if not found:
            reason = "the tape has ended"
            raise Silence(reason)
        return found

    def stale(self) -> bool:
        """Nothing comes unasked."""
        return False

    def close(self) -> None:
        """Do nothing."""


class Captured:
    """One exchange as it was, and a performer on a tape: what would the terminal have made of another answer?"""

    def __init__(self, scene: Scene, genuine: bytes, record: Record, send: Send) -> None:
        """Keep what a scene has shown; `capture` makes these."""
        self.story = scene.story
        self.payload = genuine
        """The host's answer, as a frame's payload."""
        self.request = scene.middleman.request
        self.record = record
        self.send = send
        self.mac_keys = tuple(scene.witness.mac_keys)
        """MAC keys of all sign-ons, oldest first."""
        self.keystore: KeyStore = scene.bench.keystore()
        self._tape = Tape()
        settings = {"terminal.id": IDENTITY.terminal, "terminal.merchant": IDENTITY.merchant}
        devices = {
            "peripherals.reader": "simulated",
            "peripherals.pin_pad": "simulated",
            "peripherals.card": "everyday",
        }
        self.profile: Profile
        self._performer: Performer
        self.profile, self._performer = assemble(
            settle(settings | devices, folder=Path()),
            clock=ManualClock(),
            keystore=self.keystore,
            journal=MemoryJournal(UNIONPAY.spec),
            stream=self._tape.stream,
        )
        self._send = replace(send, deadline_s=self.profile.answer_timeout_s)

    def meet(self, payload: bytes) -> Happening:
        """Let the performer send the request and be answered with `payload`."""
        found: list[Happening] = []
        self._tape.answer = payload
        self._performer.run(_sending(self._send, found))
        self._performer.routes.close()
        return found[0]

    def taken(self, payload: bytes, classify: Classify) -> bool:
        """Tell whether an answer would be taken for an approval, or for the end of a reversal."""
        happened = self.meet(payload)
        return isinstance(happened, Answered) and self.leads(happened, classify) in TAKEN

    def leads(self, answered: Answered, classify: Classify) -> State:
        """Name the state that a message which arrived leads to."""
        cue, _ = classify(self.record, answered, self.profile)
        return TRANSITIONS[State.PENDING, cue][0]


def _sending(send: Send, found: list[Happening]) -> Drive:
    found.append((yield send))
    return Finished(found[0].now)


def capture(story: Story, seed: int) -> Captured:
    """Play a story as it should go, and keep its exchange."""
    scene = Scene(story, seed)
    try:
        scene.play()
        if scene.middleman.genuine is None or scene.witness.sent is None:
            reason = f"{story.name} brought no answer"
            raise AssertionError(reason)
        return Captured(scene, scene.middleman.genuine, *scene.witness.sent)
    finally:
        scene.close()
