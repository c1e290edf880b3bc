"""The wall clock leaps, at every moment of every kind: nothing but stamps may become other than it was.

A case is run beside the same program without the leap. What both did is compared effect by effect: what was saved and
sent, in which order, until when in elapsed seconds, after which rests, under which sign-on. Then the sign-on's age is
held against the true time.

What the terminal's date decides by rule is left to it: a void on another day than that of the sale is refused before
anything is sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Literal

from pos_engine import limits
from pos_engine.clock import Instant
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.flow.effects import Answered, Ask, Emit, Listen, Save, Send
from pos_engine.journal.record import State
from pos_engine.session.states import READY, SessionState
from pos_engine.values import Text
from simulators.invariants.observations import Ended
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.count import Count
from simulators.prove.programs import Program
from simulators.prove.verdict import faults
from simulators.scenario import Action, Do
from simulators.world.mishaps import SMOOTH, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.journal.record import Record
    from pos_engine.wire.message import Message
    from simulators.world import World
    from simulators.world.clock import WorldClock

MINUTE_S: Final = 60.0
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S
SLEEP_S: Final = 12 * HOUR_S
BRINK: Final = timedelta(milliseconds=10)
"""So shortly before an edge of the calendar a clock is set: less than an answer takes, so that it passes the edge."""
NEVER: Final = Instant(0.0, "", datetime(2000, 1, 1, tzinfo=UTC))
STAMPS: Final = (12, 13)
"""Elements of a request that tell the terminal's time."""
AGE_S: Final = 1.0
"""How far the age of a sign-on may be from the true one."""
QUICK_STRIDE: Final = 53
"""Every so manieth case is quick; a prime, so that it meets all leaps."""
PARTS: Final = 4
CUT: Final = "the power goes once it has left"
TITLE: Final = Text("the wall clock leaps at every moment", "在每一时刻跳变系统时钟")

TRUTHS: Final[Mapping[str, Mishap]] = {
    "approved": SMOOTH,
    "declined": Mishap(title="the host declines", actions=(Action(do=Do.DECLINE, code="05"),)),
    "answer lost": Mishap(title="the answer is lost", answer=Passage(lost=True)),
    CUT: SMOOTH,
}
"""What becomes of the request a program is about."""


def _by(seconds: float) -> Callable[[WorldClock], None]:
    return lambda clock: clock.set_wall(clock.now().wall + timedelta(seconds=seconds))


def _to(wall: datetime) -> Callable[[WorldClock], None]:
    return lambda clock: clock.set_wall(wall)


@dataclass(frozen=True, slots=True)
class Leap:
    """What a wall clock does, and what it does later; `sleeps`: the machine is suspended meanwhile."""

    leap: Callable[[WorldClock], None]
    later: Callable[[WorldClock], None] = lambda _clock: None
    sleeps: bool = False


def _season(edge: datetime, before_h: int, after_h: int) -> Leap:
    """Let a machine's zone change at a moment, which the clock is set to just before."""
    before, after = timezone(timedelta(hours=before_h)), timezone(timedelta(hours=after_h))

    def later(clock: WorldClock) -> None:
        wall = clock.now().wall
        if wall >= edge and wall.tzinfo is before:
            clock.set_wall(wall.astimezone(after))

    return Leap(_to((edge - BRINK).astimezone(before)), later)


LEAPS: Final[Mapping[str, Leap]] = {
    "back 1 s": Leap(_by(-1)),
    "back 1 h": Leap(_by(-HOUR_S)),
    "back 1 d": Leap(_by(-DAY_S)),
    "to 1970": Leap(_to(datetime(1970, 1, 1, tzinfo=UTC))),
    "forward 1 s": Leap(_by(1)),
    "forward 1 h": Leap(_by(HOUR_S)),
    "forward 1 d": Leap(_by(DAY_S)),
    "forward 10 y": Leap(_by(3653 * DAY_S)),
    "into 29 February": Leap(_to(datetime(2028, 2, 29, tzinfo=UTC) - BRINK)),
    "into the new year": Leap(_to(datetime(2027, 1, 1, tzinfo=UTC) - BRINK)),
    "into 19 January 2038": Leap(_to(datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC) - BRINK)),
    "into summer time": _season(datetime(2026, 3, 29, 1, tzinfo=UTC), 1, 2),
    "out of summer time": _season(datetime(2026, 10, 25, 1, tzinfo=UTC), 2, 1),
    "12 h suspended": Leap(lambda clock: clock.sleep(SLEEP_S, wall_goes_on=False), sleeps=True),
}
"""What the wall clock may do. Suspended, it stands still, and elapsed seconds go on."""
SOUND_SLEEP: Final = Leap(lambda clock: clock.sleep(SLEEP_S), sleeps=True)
"""The same without a leap of the wall clock."""


class Watch:
    """A `Trace` that keeps what the terminal did, stamps left out, and lets a clock leap at one moment."""

    def __init__(self, program: Program, leap: Leap | None, at: str, *, cuts: Kind | None = None) -> None:
        """Watch a program; the leap comes `at` a moment, and the power goes once the first request of a kind left."""
        self.moments: list[str] = []
        """The moments that were passed, by name."""
        self.did: list[tuple[object, ...]] = []
        """What was done, in order."""
        self.has_leapt = False
        self._world: World = program.world
        self._leap = leap
        self._at = at
        self._cuts = cuts
        self._answered_s = 0.0
        self._signed_on: dict[int, float] = {}
        program.between = self._between
        self._world.trace = self
        self._world.open()

    def before(self, effect: Effect) -> None:
        """Pass the moment before an effect, and perhaps one while it waits."""
        if self.moments:
            number = sum(each.startswith("effect") for each in self.moments) + 1
            self._moment(f"effect {number}")
            self._keep("does", *_of(effect, self._world.clock.now().elapsed_s))
            if isinstance(effect, Send | Listen) and self._is_now(f"wait {number}"):
                self._world.leaps = self._while_waiting
        self._world.power.before(effect)

    def after(self, effect: Effect, happened: Happening) -> None:
        """Keep what came of an effect; cut the power where that is the case."""
        self._world.leaps = None
        if self.moments:
            self._keep(type(happened).__name__, *((happened.mac.name,) if isinstance(happened, Answered) else ()))
        if isinstance(happened, Answered):
            self._answered_s = self._world.clock.true_s
        if isinstance(effect, Save) and effect.record.kind is Kind.SIGN_ON and effect.record.state is State.APPROVED:
            self._signed_on[effect.record.number] = self._answered_s
        if self.moments and isinstance(effect, Send) and self._cuts is not None and _kind(effect.message) is self._cuts:
            self._cuts, self._world.power.left = None, 0
        self._world.power.after(effect, happened)

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        """Keep a message's elements."""
        if self.moments:
            self._keep(direction, packet.message.without(*(STAMPS if direction == "sent" else ())))

    def objections(self) -> Iterator[str]:
        """Hold the age of the sign-on in force against the true time; this takes a day."""
        terminal, clock = self._world.terminal, self._world.clock
        sign_on, state = self._world.disk.contents.last_approved(Kind.SIGN_ON), terminal.status(recent=0).session
        if state is SessionState.SIGNED_OFF:
            return
        if sign_on is None or state not in READY:
            yield "the terminal is not signed on at its end"
            return
        left_s = limits.SIGN_ON_AGE_MAX_S - (clock.true_s - self._signed_on[sign_on.number])
        told_s = terminal.status(recent=0).left_s
        if told_s is None or abs(told_s - left_s) > AGE_S:
            yield "the sign-on's age is not the true one"
        clock.advance(left_s - AGE_S)
        if terminal.status(recent=0).session not in READY:
            yield "the sign-on ended before its time"
        clock.advance(2 * AGE_S)
        if terminal.status(recent=0).session is not SessionState.EXPIRED:
            yield "the sign-on did not end in time"

    def _keep(self, *what: object) -> None:
        now = self._world.clock.now()
        self.did.append((now.elapsed_s, now.boot, *what))

    def _between(self) -> None:
        self._moment(f"call {sum(each.startswith('call') for each in self.moments) + 1}")

    def _moment(self, name: str) -> None:
        if self._leap is not None and self.has_leapt:
            self._leap.later(self._world.clock)
        if self._is_now(name):
            self._let_leap()

    def _is_now(self, name: str) -> bool:
        self.moments.append(name)
        return self._leap is not None and name == self._at

    def _let_leap(self) -> None:
        if self._leap is not None and not self.has_leapt:
            self.has_leapt = True
            self._leap.leap(self._world.clock)
            self._world.chronicle.note("** the wall clock leaps")

    def _while_waiting(self, _wall: datetime) -> datetime:
        self._let_leap()
        return self._world.clock.now().wall


def _kind(message: Message) -> Kind | None:
    row = UNIONPAY.kind_of(message)
    return row.kind if row is not None else None


def _of(effect: Effect, now_s: float) -> tuple[object, ...]:
    """Return what an effect is, without stamps; deadlines as seconds that are left."""
    match effect:
        case Save(record) | Emit(record):
            return type(effect).__name__, _unstamped(record)
        case Send(message, deadline_s, seal_key, mac_key):
            return "Send", message.without(*STAMPS), deadline_s - now_s, seal_key, mac_key
        case Listen(deadline_s, seal_key, mac_key):
            return "Listen", deadline_s - now_s, seal_key, mac_key
        case Ask(question):
            return "Ask", type(question).__name__


def _unstamped(record: Record) -> Record:
    """Return a record without what the wall clock has stamped on it."""
    resolution = record.resolution
    return replace(
        record,
        request=record.request.without(*STAMPS),
        opened=replace(record.opened, wall=NEVER.wall),
        changed=replace(record.changed, wall=NEVER.wall),
        resolution=replace(resolution, at=replace(resolution.at, wall=NEVER.wall)) if resolution is not None else None,
        strays=tuple(replace(stray, at=replace(stray.at, wall=NEVER.wall)) for stray in record.strays),
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A kind, what became of it, a leap, and when."""

    kind: Kind
    truth: str
    leap: str
    at: str

    def __str__(self) -> str:
        """Name it, as `repeat` reads it."""
        return f"{self.kind.value}/{self.truth}/{self.leap}/{self.at}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read a case's name; `UsageError` when it is none."""
        parts = text.split("/")
        known = len(parts) == PARTS and parts[0] in {each.value for each in UNIONPAY.kinds}
        if not (known and parts[1] in TRUTHS and parts[2] in LEAPS and _is_moment(parts[3])):
            reason = f"a case is KIND/TRUTH/LEAP/MOMENT, with a moment such as 'effect 3'; {', '.join(LEAPS)}"
            raise UsageError(reason)
        return cls(Kind(parts[0]), *parts[1:])

    def live(self, *, tells: bool = False) -> Life:
        """Run it."""
        return Life.of(self.kind, self.truth, LEAPS[self.leap], self.at, tells=tells)


def _is_moment(text: str) -> bool:
    word, _, number = text.partition(" ")
    return word in {"call", "effect", "wait"} and number.isascii() and number.isdigit()


@dataclass(slots=True)
class Life:
    """A program that was run to its end, and what was seen of it."""

    kind: Kind
    program: Program
    watch: Watch
    rests: bool
    books: tuple[object, ...] = ()
    ended: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, kind: Kind, truth: str, leap: Leap | None = None, at: str = "", *, tells: bool = False) -> Life:
        """Run a program."""
        program = Program(kind, TRUTHS[truth], tells=tells)
        watch = Watch(program, leap, at, cuts=kind if truth == CUT else None)
        rests = program.run()
        world = program.world
        ended = Counter(each.how for each in world.chronicle.seen if isinstance(each, Ended))
        return cls(kind, program, watch, rests, world.host.books(world.profile.identity.terminal), ended)

    @property
    def is_refused(self) -> bool:
        """Whether the terminal's date has refused a void, as it may."""
        return self.kind is Kind.VOID and bool(self.ended["UsageError"])

    def objections(self, other: Life) -> Iterator[str]:
        """Say in what it is not as another life was, and whether its sign-on is as old as it says."""
        if self.is_refused:
            voids = self.program.world.disk.contents.kind_records(Kind.VOID, since_day="")
            if voids or not self.rests:
                yield "a void that the date refuses left something behind"
            return
        if self.books != other.books:
            yield "the host's books are other than without the leap"
        for number, (one, two) in enumerate(zip(self.watch.did, other.watch.did, strict=False), 1):
            if one != two:
                yield f"without the leap, step {number} is {_name(two)}, and with it {_name(one)}"
                return
        if len(self.watch.did) != len(other.watch.did):
            yield f"{len(other.watch.did)} steps without the leap, and {len(self.watch.did)} with it"
        yield from self.watch.objections()


def _name(step: tuple[object, ...]) -> str:
    """Name a step without showing what is in it."""
    elapsed_s, boot, *what = step
    words = [_word(each) for each in what]
    return f"{' '.join(filter(None, words))} at {elapsed_s:.3f} s of {boot}"


def _word(what: Any) -> str:  # noqa: ANN401 - whatever a step is made of
    if isinstance(what, str | float):
        return f"{what:.3f}" if isinstance(what, float) else what
    state, kind = getattr(what, "state", None), getattr(what, "kind", None)
    return f"{kind.value} {state.name}" if isinstance(state, State) and isinstance(kind, Kind) else ""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The campaign."""

    name: str = "clocks"
    title: Text = TITLE

    def lacks(self) -> str:
        """Need nothing that is not here."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Run a shard's cases."""
        count, number = Count(), 0
        stride = QUICK_STRIDE if shard.scale is Scale.QUICK else 1
        for kind in UNIONPAY.kinds:
            for truth in TRUTHS:
                calm = Life.of(kind, truth)
                for at in calm.watch.moments:
                    for leap in LEAPS:
                        number += 1
                        if number % stride == 0 and shard.takes(number // stride):
                            _judge(Case(kind, truth, leap, at), calm, count)
        return count.tally()

    def repeat(self, case: str, seed: int) -> str:
        """Tell one case's history."""
        del seed
        found = Case.parse(case)
        life = found.live(tells=True)
        if not life.watch.has_leapt:
            reason = f"there is no such moment; there are {', '.join(life.watch.moments)}"
            raise UsageError(reason)
        world = life.program.world
        judged = faults(world, rests=life.rests)
        objections = life.objections(_beside(found, Life.of(found.kind, found.truth)))
        return world.history() + "".join(f"!! {each}\n" for each in (*judged, *objections))


CLOCKS: Final = Clocks()


def _beside(case: Case, calm: Life) -> Life:
    """Return what a case is compared with: the same without a leap, and suspended where that is."""
    return Life.of(case.kind, case.truth, SOUND_SLEEP, case.at) if LEAPS[case.leap].sleeps else calm


def _judge(case: Case, calm: Life, count: Count) -> None:
    life = case.live()
    count.judge(str(case), life.program.world, rests=life.rests)
    count.counts[f"cases of {case.kind.value}"] += 1
    count.counts["voids that the terminal's date refuses"] += life.is_refused
    if not life.watch.has_leapt:
        count.counts["moments that never came"] += 1
    for objection in life.objections(_beside(case, calm)):
        count.counts["findings"] += 1
        count.findings.append(Finding(objection, str(case)))
