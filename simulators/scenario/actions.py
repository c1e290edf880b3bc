"""What a host can do on purpose, as a table, and what a combination of actions comes to.

    decision   usual  approve  decline  partial  demand_sign_on     what the books and field 39 say
    content    wrong_mac  wrong_stan  wrong_amount  malformed       what is spoilt in the answer
               header                                               what its header asks for
    time       delay  late                                          when it leaves
    link       drop  close  duplicate                               what the link does with it

A combination has at most one decision, one time and one link. Booking is separate from answering: with `book = false`
the request leaves no trace in the books, whatever is answered.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Mapping


class Group(enum.Enum):
    """What an action is about."""

    DECISION = "decision"
    CONTENT = "content"
    TIME = "time"
    LINK = "link"


class Do(enum.Enum):
    """The actions by the names that a scenario file uses."""

    USUAL = "usual"
    APPROVE = "approve"
    DECLINE = "decline"
    PARTIAL = "partial"
    DEMAND_SIGN_ON = "demand_sign_on"
    WRONG_MAC = "wrong_mac"
    WRONG_STAN = "wrong_stan"
    WRONG_AMOUNT = "wrong_amount"
    MALFORMED = "malformed"
    HEADER = "header"
    DELAY = "delay"
    LATE = "late"
    DROP = "drop"
    CLOSE = "close"
    DUPLICATE = "duplicate"


class Form(enum.Enum):
    """How an answer is malformed."""

    TRUNCATED = "truncated"
    """The first half of the message; the frame around it is whole."""
    GARBAGE = "garbage"
    """As many bytes, none of which means anything."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One row of the table: what an action does in words, and what may, and must, be said with it."""

    do: Do
    group: Group
    title: Text
    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


_BOOK: Final = frozenset({"book"})

ACTIONS: Final[Mapping[Do, ActionRow]] = {
    row.do: row
    for row in (
        ActionRow(Do.USUAL, Group.DECISION, Text("decide as without a scenario", "照常处理"), _BOOK),
        ActionRow(
            Do.APPROVE,
            Group.DECISION,
            Text("approve, whatever the issuer says", "无论发卡方意见一律批准"),
            _BOOK | {"code"},
        ),
        ActionRow(Do.DECLINE, Group.DECISION, Text("decline with a code", "以应答码拒绝"), frozenset({"code"})),
        ActionRow(
            Do.PARTIAL,
            Group.DECISION,
            Text("approve a smaller amount", "部分批准"),
            _BOOK | {"amount", "percent"},
        ),
        ActionRow(
            Do.DEMAND_SIGN_ON,
            Group.DECISION,
            Text("demand a new sign-on", "要求重新签到"),
            frozenset({"by"}),
        ),
        ActionRow(Do.WRONG_MAC, Group.CONTENT, Text("answer with a wrong MAC", "应答MAC错误"), _BOOK),
        ActionRow(Do.WRONG_STAN, Group.CONTENT, Text("answer with another STAN", "应答流水号错误"), _BOOK),
        ActionRow(Do.WRONG_AMOUNT, Group.CONTENT, Text("answer with another amount", "应答金额错误"), _BOOK),
        ActionRow(
            Do.MALFORMED,
            Group.CONTENT,
            Text("answer with bytes that are no message", "应答报文无法解析"),
            _BOOK | {"form"},
        ),
        ActionRow(
            Do.HEADER,
            Group.CONTENT,
            Text("ask in the header for something to be done afterwards", "在报文头提出处理要求"),
            _BOOK | {"digit"},
            frozenset({"digit"}),
        ),
        ActionRow(
            Do.DELAY,
            Group.TIME,
            Text("answer after a while, if the connection is still there", "延迟应答, 连接断开则不发"),
            _BOOK | {"seconds"},
            frozenset({"seconds"}),
        ),
        ActionRow(
            Do.LATE,
            Group.TIME,
            Text("answer after a while, on the terminal's next connection if need be", "迟到应答, 必要时走新连接"),
            _BOOK | {"seconds"},
            frozenset({"seconds"}),
        ),
        ActionRow(Do.DROP, Group.LINK, Text("say nothing and keep the link", "不应答并保持连接"), _BOOK),
        ActionRow(Do.CLOSE, Group.LINK, Text("say nothing and close the link", "不应答并断开连接"), _BOOK),
        ActionRow(
            Do.DUPLICATE,
            Group.LINK,
            Text("send the answer several times", "重复发送应答"),
            _BOOK | {"copies"},
        ),
    )
}
"""The actions by name."""

UNANSWERED: Final = frozenset({Do.DROP, Do.CLOSE})
"""Actions after which nothing is sent, so that neither content nor time can be spoilt."""

DECLINE_CODE: Final = "05"
DEMAND_CODES: Final = ("77", "99", "A0")
DIGITS: Final = frozenset("123456789")
"""What a header can ask for; what each means is the dialect's."""
BY_HEADER: Final = "header"
"""A demand in the header: the request is decided as usual."""
APPROVED: Final = "00"
PARTIALLY_APPROVED: Final = "10"
COPIES: Final = 2
PERCENT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action with what was said about it; `None` where nothing was."""

    do: Do
    code: str | None = None
    book: bool | None = None
    amount_minor: int | None = None
    percent: int | None = None
    seconds: float = 0.0
    copies: int = COPIES
    form: Form = Form.TRUNCATED
    by_header: bool = False
    digit: str | None = None
    """What the header asks for."""

    @property
    def group(self) -> Group:
        """What it is about; a demand in the header spoils the content and decides nothing."""
        return Group.CONTENT if self.by_header else ACTIONS[self.do].group

    @property
    def refuses(self) -> bool:
        """Whether it decides against the request."""
        return self.do in {Do.DECLINE, Do.DEMAND_SIGN_ON} and not self.by_header


def contradiction(actions: tuple[Action, ...]) -> str:
    """Say why actions cannot go together; empty when they can."""
    names = [action.do.value for action in actions]
    for group in (Group.DECISION, Group.TIME, Group.LINK):
        same = [action.do.value for action in actions if action.group is group]
        if len(same) > 1:
            return f"{same[0]} and {same[1]} cannot go together: both are the {group.value}"
    if Do.HEADER in {action.do for action in actions} and any(action.by_header for action in actions):
        return "header and demand_sign_on cannot go together: both are in the header"
    if len(set(names)) < len(names):
        return f"{next(name for name in names if names.count(name) > 1)} is there twice"
    return _unseen(actions) or _unbookable(actions)


def _unseen(actions: tuple[Action, ...]) -> str:
    """Find an action that nobody could see."""
    present = {action.do for action in actions}
    silent = next((action.do.value for action in actions if action.do in UNANSWERED), None)
    spoilt = [action.do.value for action in actions if action.group in {Group.CONTENT, Group.TIME}]
    if silent is not None and spoilt:
        return f"{silent} and {spoilt[0]} cannot go together: nothing is sent"
    hidden = [action.do.value for action in actions if action.group is Group.CONTENT and action.do is not Do.MALFORMED]
    if Do.MALFORMED in present and hidden:
        return f"malformed and {hidden[0]} cannot go together: nobody could read it"
    return ""


def _unbookable(actions: tuple[Action, ...]) -> str:
    """Find what is said about booking although it is decided otherwise."""
    said = {action.book for action in actions if action.book is not None}
    if len(said) > 1:
        return "book is both true and false"
    refusing = next((action.do.value for action in actions if action.refuses), None)
    return f"{refusing} books nothing, so book cannot be set" if refusing is not None and said else ""
