"""What a host does with one request: the actions of the rule that met it, as answers to the questions a host asks.

A host asks in this order: was the request heard, is it refused, which amount is granted, is it booked; then the answer
is rewritten, its header marked, its bytes spoilt. Everything is a pure function of the actions and the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from simulators.scenario.actions import APPROVED, PERCENT, Action, Do, Form

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect
    from pos_engine.values import Text
    from pos_engine.wire.message import Message

AMOUNT: Final = 4
STAN: Final = 11
CODE: Final = 39
PARTIAL_KINDS: Final = frozenset({Kind.SALE})
"""Requests that a host may grant in part."""
REQUEST: Final = "request"
"""The column of the header in which a host asks for something."""
GARBAGE: Final = 0xEE


@dataclass(frozen=True, slots=True)
class Ruling:
    """The actions for one request."""

    rule: str = ""
    """The rule's name, empty where none met the request."""
    title: Text | None = None
    actions: tuple[Action, ...] = ()
    failed: tuple[str, ...] = ()
    """The parts of the request that were expected to be otherwise."""

    @property
    def refusal(self) -> str | None:
        """The response code to refuse with, or `None`."""
        return next((action.code for action in self.actions if action.refuses), None)

    @property
    def approves(self) -> bool:
        """Whether the issuer is not asked."""
        return self._has(Do.APPROVE)

    @property
    def books(self) -> bool:
        """Whether the request is to leave its trace in the books."""
        return all(action.book is not False for action in self.actions)

    @property
    def unheard(self) -> bool:
        """Whether it is as if the request had never come: not booked and not answered."""
        return not self.books and (self.drops or self.closes)

    @property
    def drops(self) -> bool:
        """Whether nothing is said and the link kept."""
        return self._has(Do.DROP)

    @property
    def closes(self) -> bool:
        """Whether nothing is said and the link closed."""
        return self._has(Do.CLOSE)

    @property
    def copies(self) -> int:
        """How often the answer is sent."""
        found = self._find(Do.DUPLICATE)
        return found.copies if found is not None else 1

    @property
    def after_s(self) -> float:
        """Seconds until the answer leaves."""
        return max((action.seconds for action in self.actions), default=0.0)

    @property
    def follows(self) -> bool:
        """Whether a late answer goes to the terminal's next connection when this one has ended."""
        return self._has(Do.LATE)

    @property
    def spoils_mac(self) -> bool:
        """Whether the answer's MAC is wrong; an answer that would have none gets a wrong one."""
        return self._has(Do.WRONG_MAC)

    def granted(self, request: Message, kind: Kind | None) -> int | None:
        """Return the fen that a partial approval grants; `None` where it would not be less than was asked for."""
        partial = self._find(Do.PARTIAL)
        if partial is None or kind not in PARTIAL_KINDS or AMOUNT not in request:
            return None
        asked = int(request[AMOUNT])
        share = asked * (partial.percent or PERCENT) // PERCENT
        granted = partial.amount_minor if partial.amount_minor is not None else share
        return granted if 0 < granted < asked else None

    def code(self, code: str) -> str:
        """Return the response code that goes out: an approval may be another one, everything else stays."""
        approve = self._find(Do.APPROVE)
        return approve.code or code if approve is not None and code == APPROVED else code

    def rewrite(self, answer: Message) -> Message:
        """Return the answer as it goes out, the MAC excepted."""
        changes: dict[int, str] = {}
        if CODE in answer:
            changes[CODE] = self.code(answer[CODE])
        for do, number in ((Do.WRONG_STAN, STAN), (Do.WRONG_AMOUNT, AMOUNT)):
            if self._has(do) and number in answer:
                changes[number] = _next(answer[number])
        return answer.replace(changes)

    def header(self, header: str | None, dialect: Dialect) -> str | None:
        """Return the header's digits with the demand in them, if there is one and the dialect has a place for it."""
        asked = self._find(Do.HEADER)
        digit = asked.digit if asked is not None else None
        if any(action.by_header for action in self.actions):
            digit = min(dialect.sign_on_requests, default=None)
        if digit is None or header is None or dialect.header is None:
            return header
        parts = dialect.header.read(header)
        return "".join((parts | {REQUEST: digit}).values())

    def spoil(self, payload: bytes) -> bytes:
        """Return the bytes that leave in place of an answer's."""
        malformed = self._find(Do.MALFORMED)
        if malformed is None:
            return payload
        return payload[: len(payload) // 2] if malformed.form is Form.TRUNCATED else bytes([GARBAGE]) * len(payload)

    def _find(self, do: Do) -> Action | None:
        return next((action for action in self.actions if action.do is do), None)

    def _has(self, do: Do) -> bool:
        return self._find(do) is not None


def _next(digits: str) -> str:
    """Return other digits of the same length: one more, and zeros after all nines."""
    return f"{(int(digits) + 1) % 10 ** len(digits):0{len(digits)}d}"


USUAL: Final = Ruling()
"""No rule met the request."""
