"""The words that situations are written in: when the cashier is asked, what an act consists of, what it is worth."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from pos_engine.values import Text
from simulators.drill.scoring import Grade


class Moment(enum.Enum):
    """When a decision is asked for."""

    SIGNING_ON = "the sign-on has left, and its answer has not come"
    WAITING = "the till waits for the terminal to be signed on"
    CONFIRMING = "the till asks whether it should go on"
    ENDED = "the till is done with the sale"


class Move(enum.Enum):
    """What an act consists of; each is done for real, in order."""

    GO_ON = "let the terminal go on"
    STOP = "say no to what the till asks"
    LEAVE = "send the customer away"
    CASH = "take cash"
    GOODS = "hand over the goods"
    OTHER_TILL = "sell at the next till"
    OTHER_CARD = "sell with another card"
    KEY_IN_AGAIN = "key the sale in while it is under way"
    SELL_ANEW = "ring the sale up anew"
    SIGN_ON = "sign on by hand"
    RESTART = "switch the terminal off and on"
    SETTLE = "let the terminal do what it owes, then look at its status"
    LOOK = "look at the status"
    VOID = "void the sale"
    CALL = "call the acquirer's terminal service"
    NOTE_CARD = "write the card number down"
    TELL_KEY = "read the key out"


ENDS_SALE: Final = frozenset({Move.STOP, Move.LEAVE})
"""Moves that answer a question of the till with no."""
SELLS: Final = frozenset({Move.GO_ON, Move.SELL_ANEW, Move.OTHER_TILL, Move.OTHER_CARD, Move.CASH})
"""Moves that take money where the till asks whether to go on."""


class Upset(enum.Enum):
    """What goes wrong, once the sale is rung up."""

    SLOW = "the host takes its time over the sign-on"
    GAP = "the line is dead and comes back"
    DEAD = "the line is dead and stays so"
    DEMAND = "the host has lost the keys, and refuses the sale until a sign-on"
    SILENCE = "the answer to the sale is lost"
    NOTHING = "nothing: the sign-on succeeds"
    KEYS = "the host's keys are under another master key"


@dataclass(frozen=True, slots=True)
class Choice:
    """One act among those offered."""

    text: Text
    moves: tuple[Move, ...]
    grade: Grade
    why: Text
    """Why it is graded so; told at the end."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One point at which the cashier decides."""

    moment: Moment
    prompt: Text
    choices: tuple[Choice, ...]
    paid: bool = False
    """After the sale: whether it is asked of one that was paid, or of one that was not."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the table."""

    name: str
    title: Text
    scene: Text
    upset: Upset
    decisions: tuple[Decision, ...]
    lesson: Text
    """What to practise, where it went wrong."""
    card: str = "everyday"
    """The customer's card, by its name among the simulated ones."""


PAID_ALREADY: Final = Text(
    "the customer had paid by then: to say no was right, and to go on was a second charge",
    "顾客此前已付款: 此时应选择不继续, 继续交易就会重复扣款",
)


def graded(choice: Choice, moment: Moment, *, paid: bool) -> tuple[Grade, Text]:
    """Grade an act: as the table has it, unless the till asks about a sale that the customer has paid by now.

    To go on then is to charge twice, and to say no is right.
    """
    if not paid or moment is not Moment.CONFIRMING:
        return choice.grade, choice.why
    return (Grade.DANGEROUS if SELLS & set(choice.moves) else Grade.RIGHT), PAID_ALREADY
