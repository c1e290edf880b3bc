"""One situation, played: a real till sells, a cashier is asked at the moments that the table names, and acts for real.

`play` needs a `Trainee`: whoever is shown the display, chooses, and lets time pass. Nothing here waits: the clock is a
bench's, and the time that a trainee takes passes on it too, up to a bound, so that nobody thinks a terminal to death.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pos_engine.dialects.base import Kind
from pos_engine.dialects.registry import DIALECTS
from pos_engine.errors import PosError
from pos_engine.flow.outcomes import STANDINGS, Approved
from pos_engine.merchant.till import Till
from pos_engine.session.states import READY
from pos_engine.values import Text
from simulators.cards import CARDS
from simulators.drill.acts import ENDS_SALE, Moment, Move, graded
from simulators.drill.books import Books
from simulators.drill.diary import (
    UNSEEN,
    Entry,
    Who,
    joined,
    plain,
    told_of_diagnosis,
    told_of_error,
    told_of_outcome,
    told_of_record,
)
from simulators.drill.scoring import Mark, Score, score
from simulators.drill.shop import GOODS, TOTAL, Shop
from simulators.world.power import PowerCut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.merchant.till import Question
    from pos_engine.values import Amount, Card
    from simulators.drill.acts import Choice, Decision, Situation

DIALECT: Final = DIALECTS["unionpay"]
THOUGHT_MAX_S: Final = 20.0
"""How much of a trainee's thinking passes on the shop's clock: less than a terminal waits for an answer."""
WALK_S: Final = 10.0
"""To the next till, and a sale there."""
RESTART_S: Final = 15.0
RECENT: Final = 10

_RUNG_UP: Final = Text("the sale is rung up: {}", "开始收款: {}")
_SIGNS_ON: Final = Text("the terminal is signing on; please wait", "终端正在签到, 请稍候")
_CARD: Final = Text("the terminal takes card and PIN", "顾客刷卡并输入密码")
_DEAD: Final = Text("the line to the host is dead", "到主机的线路不通")
_BACK: Final = Text("the line to the host is back", "到主机的线路恢复")
_CASH: Final = Text("the customer pays {} in cash", "顾客付现金{}")
_GOODS: Final = Text("the goods go to the customer", "商品交给顾客")
_AWAY: Final = Text("the customer leaves without the goods", "顾客离开, 未取商品")
_STARTS: Final = Text("the terminal is switched off and on", "终端关机后重新启动")
_CALLED: Final = Text("the acquirer's terminal service takes the case up", "收单机构终端服务部门已受理报修")
_NOTED: Final = Text("a card number lies on the counter", "柜台上留下了写有卡号的纸条")
_TOLD: Final = Text("the key is known to a stranger", "密钥已被陌生人知道")
_OWED: Final = Text("{} still owed", "待了结{}笔")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a trainee is asked, in the order in which the choices are shown."""

    situation: Situation
    decision: Decision
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a trainee chose: its place among the choices, from 0, and the seconds that it took."""

    place: int
    seconds: float


class Trainee(Protocol):
    """Who is being drilled."""

    def see(self, entry: Entry) -> None:
        """See what the display shows, and what happens in the shop."""
        ...

    def choose(self, asked: Asked) -> Answer:
        """Choose one of the acts."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Let time pass that has passed in the shop; at once, where nobody watches."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """How a situation went."""

    situation: Situation
    timeline: tuple[Entry, ...]
    books: Books

    @property
    def acts(self) -> tuple[Entry, ...]:
        """What was chosen."""
        return tuple(entry for entry in self.timeline if entry.mark is not None)

    @property
    def score(self) -> Score:
        """What it came to."""
        marks = tuple(entry.mark for entry in self.acts if entry.mark is not None)
        return score(marks, len(self.books.findings))


def play(situation: Situation, trainee: Trainee, *, seed: int | None = None) -> Played:
    """Play a situation to its end. `seed` shuffles the choices, the same way each time; without it they stay."""
    return _Play(situation, trainee, seed).run()


def ordered(decision: Decision, situation: Situation, seed: int | None) -> tuple[Choice, ...]:
    """Return the choices in the order of a seed."""
    choices = list(decision.choices)
    if seed is not None:
        place = situation.decisions.index(decision)
        Random(f"{seed} {situation.name} {place}").shuffle(choices)  # noqa: S311 - the same seed, the same order
    return tuple(choices)


@dataclass(slots=True)
class _Counter:
    """What has happened at the counter, as the cashier believes."""

    approved_minor: int = 0
    cash_minor: int = 0
    sold: list[Approved] = field(default_factory=list)
    has_goods: bool = False
    has_left: bool = False

    @property
    def paid_minor(self) -> int:
        return self.approved_minor + self.cash_minor

    @property
    def is_over(self) -> bool:
        return self.has_goods or self.has_left


class _Play:
    """The face of the till, the reader, and an observer of the terminal, in one shop."""

    def __init__(self, situation: Situation, trainee: Trainee, seed: int | None) -> None:
        self._situation = situation
        self._trainee = trainee
        self._seed = seed
        self._shop = Shop(situation, reader=self, trace=self)
        self._counter = _Counter()
        self._entries: list[Entry] = []
        self._asked: list[Decision] = []
        self._later: list[Move] = []
        """What an act consists of besides, once the till is done with the sale."""
        self._begun_s: float | None = None
        self._passed_s = 0.0
        self._is_in_sale = False
        self._is_answered = True
        """False while a trainee is asked: what is raised then is the trainee's, and no matter of the till."""

    def run(self) -> Played:
        """Play it to its end."""
        try:
            self._shop.begin()
            self._begun_s = self._passed_s = self._shop.clock.now().elapsed_s
            self._tell(Who.SHOP, self._situation.scene)
            if self._shop.bench.link.is_unplugged:
                self._tell(Who.LINE, _DEAD)
            self._sell()
            while (decision := self._due(Moment.ENDED)) is not None:
                self._ask(decision)
            self._end()
            return Played(self._situation, tuple(self._entries), self._books())
        finally:
            self._shop.close()

    # The till's face.

    def show(self, text: Text) -> None:
        self._tell(Who.DISPLAY, text)

    def confirm(self, question: Question) -> bool:
        self._tell(Who.DISPLAY, joined(question.why, plain(question.amount), by=" "))
        decision = self._due(Moment.CONFIRMING)
        return self._ask(decision) if decision is not None else not self._counter.paid_minor

    def wait(self, seconds: float) -> bool:
        decision = self._due(Moment.WAITING)
        if decision is not None:
            self._diagnose()
            if not self._ask(decision):
                return False
        self._pass(seconds)
        return True

    # The reader, and the observer of the terminal.

    def read(self, amount: Amount | None) -> Card:
        del amount
        self._tell(Who.SHOP, _CARD)
        return CARDS[self._situation.card].card

    def before(self, effect: Effect) -> None:
        """Ignore it: messages are enough."""

    def after(self, effect: Effect, happened: Happening) -> None:
        """Ignore it: the journal tells."""

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        row = DIALECT.kind_of(packet.message) if direction == "sent" else None
        if self._begun_s is None or row is None or row.kind is not Kind.SIGN_ON:
            return
        decision = self._due(Moment.SIGNING_ON)
        if decision is not None:
            self._tell(Who.DISPLAY, _SIGNS_ON)
            self._ask(decision)

    # A sale.

    def _sell(self, card: Card | None = None) -> None:
        terminal = self._shop.terminal
        self._tell(Who.SHOP, _with(_RUNG_UP, TOTAL))
        status = terminal.status(recent=0)
        if status.session not in READY:
            self._tell(Who.DISPLAY, status.why)
        if card is not None:
            self._tell(Who.SHOP, _CARD)
        self._is_in_sale = True
        try:
            self._have(Till(terminal, self).sale(TOTAL, goods=GOODS, card=card))
        except PowerCut:
            self._start_again()
        except PosError as error:
            if not self._is_answered:
                raise
            self._refused(error)
        finally:
            self._is_in_sale = False
        later, self._later = self._later, []
        self._perform(later)

    def _have(self, outcome: Outcome) -> None:
        """Show an outcome, and believe it."""
        self._tell(Who.DISPLAY, told_of_outcome(outcome))
        if not isinstance(outcome, Approved) or outcome.amount is None:
            return
        if outcome.kind is Kind.SALE:
            self._counter.approved_minor += outcome.amount.minor
            self._counter.sold.append(outcome)
        elif outcome.kind is Kind.VOID:
            self._counter.approved_minor -= outcome.amount.minor

    def _refused(self, error: PosError) -> None:
        self._tell(Who.DISPLAY, told_of_error(error))
        self._diagnose()

    def _diagnose(self) -> None:
        diagnosis = self._shop.terminal.diagnosis()
        for text in told_of_diagnosis(diagnosis) if diagnosis is not None else ():
            self._tell(Who.DISPLAY, text)

    # A decision.

    def _due(self, moment: Moment) -> Decision | None:
        """Find what is to be asked now; once the customer has gone, or has paid twice, there is nothing to decide."""
        paid_minor = self._counter.paid_minor
        if self._counter.is_over or paid_minor > TOTAL.minor:
            return None
        paid = paid_minor > 0
        return next(
            (
                each
                for each in self._situation.decisions
                if each.moment is moment and each not in self._asked
                if moment is not Moment.ENDED or each.paid is paid
            ),
            None,
        )

    def _ask(self, decision: Decision) -> bool:
        """Ask, score, and do it; whether the till is to go on."""
        self._asked.append(decision)
        self._catch_up()
        choices = ordered(decision, self._situation, self._seed)
        self._is_answered = False
        answer = self._trainee.choose(Asked(self._situation, decision, choices))
        self._is_answered = True
        # The trainee has waited for this already.
        thought_s = min(max(answer.seconds, 0.0), THOUGHT_MAX_S)
        self._passed_s += thought_s
        self._pass(thought_s)
        choice = choices[answer.place]
        grade, why = graded(choice, decision.moment, paid=self._counter.paid_minor > 0)
        self._tell(Who.CASHIER, choice.text, Mark(grade, answer.seconds), why)
        self._perform(choice.moves)
        return not ENDS_SALE & set(choice.moves)

    def _perform(self, moves: tuple[Move, ...] | list[Move]) -> None:
        """Do what an act consists of; what needs the till waits until that is done with the sale."""
        if self._is_in_sale:
            self._later += [move for move in moves if move in _NEEDS_TILL]
        for move in moves:
            if not self._is_in_sale or move not in _NEEDS_TILL:
                _MOVES[move](self)

    # Moves.

    def _go_on(self) -> None:
        """Leave it to the till."""

    def _leave(self) -> None:
        if self._counter.paid_minor:
            return
        self._counter.has_left = True
        self._tell(Who.SHOP, _AWAY)

    def _take_cash(self) -> None:
        self._counter.cash_minor += TOTAL.minor
        self._tell(Who.SHOP, _with(_CASH, TOTAL))

    def _hand_over(self) -> None:
        self._counter.has_goods = True
        self._tell(Who.SHOP, _GOODS)

    def _sell_at_next_till(self) -> None:
        self._pass(WALK_S)
        outcome = self._shop.next_terminal.sale(TOTAL)
        self._tell(Who.NEXT_TILL, told_of_outcome(outcome))
        if isinstance(outcome, Approved):
            self._counter.approved_minor += TOTAL.minor

    def _sell_with_other_card(self) -> None:
        self._sell(CARDS["everyday"].card)

    def _key_in_again(self) -> None:
        try:
            self._have(self._shop.terminal.sale(TOTAL))
        except PosError as error:
            self._tell(Who.DISPLAY, told_of_error(error))

    def _sign_on(self) -> None:
        try:
            self._have(self._shop.terminal.sign_on())
        except PosError as error:
            self._tell(Who.DISPLAY, told_of_error(error, Kind.SIGN_ON))

    def _restart(self) -> None:
        if self._is_in_sale:
            raise PowerCut
        self._start_again()

    def _start_again(self) -> None:
        self._shop.restart()
        self._tell(Who.SHOP, _STARTS)
        self._pass(RESTART_S)

    def _settle(self) -> None:
        for outcome in self._shop.terminal.tick().done:
            self._have(outcome)
        self._look()

    def _look(self) -> None:
        status = self._shop.terminal.status(recent=RECENT)
        for line in reversed(status.recent):
            if line.about_money:
                number = plain(f"STAN {line.stan} {line.amount}")
                title = joined(DIALECT.kinds[line.kind].title, number, by=" ")
                self._tell(Who.DISPLAY, joined(title, STANDINGS[line.standing]))
        if status.owed:
            self._tell(Who.DISPLAY, _with(_OWED, len(status.owed)))

    def _void(self) -> None:
        self._have(self._shop.terminal.void(self._counter.sold[-1].reference))

    def _call(self) -> None:
        self._tell(Who.SHOP, _CALLED)

    def _note_card(self) -> None:
        self._tell(Who.SHOP, _NOTED)

    def _tell_key(self) -> None:
        self._tell(Who.SHOP, _TOLD)

    # Time, the timeline, and the end.

    def _pass(self, seconds: float) -> None:
        until_s = self._shop.clock.now().elapsed_s + seconds
        if self._shop.pass_time(seconds):
            self._tell(Who.LINE, _BACK)
            self._shop.pass_time(until_s - self._shop.clock.now().elapsed_s)
        self._catch_up()

    def _catch_up(self) -> None:
        """Let the trainee wait for what has passed in the shop."""
        behind_s = self._shop.clock.now().elapsed_s - self._passed_s
        if behind_s > 0:
            self._passed_s += behind_s
            self._trainee.pass_time(behind_s)

    def _tell(self, who: Who, text: Text, mark: Mark | None = None, why: Text | None = None) -> None:
        self._read_journals()
        self._catch_up()
        self._write(Entry(self._at_s(self._shop.clock.now().elapsed_s), who, text, mark, why))

    def _read_journals(self) -> None:
        for is_next, record in self._shop.news():
            text = told_of_record(record, DIALECT)
            who = Who.NEXT_TILL if is_next else Who.TERMINAL
            self._entries.append(Entry(self._at_s(record.changed.elapsed_s), who, text))

    def _write(self, entry: Entry) -> None:
        self._entries.append(entry)
        if entry.who not in UNSEEN and entry.mark is None:
            self._trainee.see(entry)

    def _at_s(self, elapsed_s: float) -> float:
        return round(elapsed_s - (self._begun_s or 0.0), 1)

    def _end(self) -> None:
        """Give the goods to whoever has paid, and let the terminals do what they owe."""
        counter = self._counter
        if not counter.is_over and counter.paid_minor >= TOTAL.minor:
            self._hand_over()
        elif not counter.is_over:
            self._leave()
        self._shop.evening()
        self._read_journals()

    def _books(self) -> Books:
        return Books(
            due_minor=TOTAL.minor,
            effects=tuple(self._shop.effects()),
            believed_minor=self._counter.paid_minor,
            cash_minor=self._counter.cash_minor,
            has_goods=self._counter.has_goods,
            differences=tuple(self._shop.differences()),
        )


def _with(text: Text, *values: object) -> Text:
    return Text(text.en.format(*values), text.zh.format(*values))


_NEEDS_TILL: Final = frozenset({Move.SELL_ANEW, Move.OTHER_CARD, Move.SETTLE, Move.LOOK, Move.VOID})
_MOVES: Final[Mapping[Move, Callable[[_Play], None]]] = {
    Move.GO_ON: _Play._go_on,  # noqa: SLF001 - its own
    Move.STOP: _Play._go_on,  # noqa: SLF001 - its own
    Move.LEAVE: _Play._leave,  # noqa: SLF001 - its own
    Move.CASH: _Play._take_cash,  # noqa: SLF001 - its own
    Move.GOODS: _Play._hand_over,  # noqa: SLF001 - its own
    Move.OTHER_TILL: _Play._sell_at_next_till,  # noqa: SLF001 - its own
    Move.OTHER_CARD: _Play._sell_with_other_card,  # noqa: SLF001 - its own
    Move.KEY_IN_AGAIN: _Play._key_in_again,  # noqa: SLF001 - its own
    Move.SELL_ANEW: _Play._sell,  # noqa: SLF001 - its own
    Move.SIGN_ON: _Play._sign_on,  # noqa: SLF001 - its own
    Move.RESTART: _Play._restart,  # noqa: SLF001 - its own
    Move.SETTLE: _Play._settle,  # noqa: SLF001 - its own
    Move.LOOK: _Play._look,  # noqa: SLF001 - its own
    Move.VOID: _Play._void,  # noqa: SLF001 - its own
    Move.CALL: _Play._call,  # noqa: SLF001 - its own
    Move.NOTE_CARD: _Play._note_card,  # noqa: SLF001 - its own
    Move.TELL_KEY: _Play._tell_key,  # noqa: SLF001 - its own
}
