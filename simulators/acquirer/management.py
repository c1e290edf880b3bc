"""What terminals ask beside transactions: sign-on, sign-off, echo test, downloads, status upload. None has a MAC.

Decided where sources are silent: a sign-off of a terminal that has no session is answered like any other, because the
answer to the first one may have been lost. An echo test and downloads need no session. A terminal whose first
message is not a sign-on is told to sign on (77) where anybody may come, and is unknown (97) where there is a roster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine.dialects.base import Kind
from simulators.acquirer.answers import Decision, refuse
from simulators.acquirer.codes import Code
from simulators.acquirer.enrolment import schemes_of
from simulators.acquirer.events import What

if TYPE_CHECKING:
    from datetime import datetime

    from pos_engine.dialects.base import Dialect, KindRow
    from pos_engine.wire.message import Message
    from simulators.acquirer.downloads import Downloads
    from simulators.acquirer.enrolment import Enrolment
    from simulators.ledger import Ledger


class Management:
    """Serves the requests that are not about money."""

    def __init__(self, dialect: Dialect, enrolment: Enrolment, ledger: Ledger, downloads: Downloads) -> None:
        """Take the terminals, the ledger for their batches, and what is given to them."""
        self._downloads = downloads
        self._dialect = dialect
        self._enrolment = enrolment
        self._ledger = ledger

    def decide(self, message: Message, row: KindRow, at: datetime) -> Decision:
        """Decide about one request that is complete."""
        if row.kind is Kind.SIGN_ON:
            return self._sign_on(message, row, at)
        if row.kind is Kind.SIGN_OFF:
            return self._sign_off(message, at)
        return self._take(message, row.kind, at)

    def _sign_on(self, message: Message, row: KindRow, at: datetime) -> Decision:
        scheme = schemes_of(self._dialect)[row.network_code]
        signed_on = self._enrolment.sign_on(message[41], message[42], scheme)
        if isinstance(signed_on, Code):
            other = "the terminal is not enrolled, or it belongs to another merchant"
            return refuse(signed_on, "the roster names other keys" if signed_on is Code.UNSUPPORTED else other)
        terminal, keys = signed_on
        handed_out = {62: keys.field_62(terminal.tmk)}
        if 60 in self._dialect.layouts:  # noqa: PLR2004 - the field that has the batch
            batch = self._ledger.batch(message[41])
            handed_out[60] = self._dialect.layouts[60].join((row.message_type, batch, row.network_code))
        return Decision(
            code=Code.APPROVED,
            what=What.SIGNED_ON,
            rrn=self._ledger.next_rrn(at),
            extra={number: value for number, value in handed_out.items() if number in row.answered_with},
        )

    def _sign_off(self, message: Message, at: datetime) -> Decision:
        terminal = self._enrolment.find(message[41])
        if terminal is None:
            return refuse(Code.SIGN_ON_FIRST, "the terminal has never signed on")
        if terminal.merchant != message[42]:
            return refuse(Code.WRONG_MERCHANT, "the terminal belongs to another merchant")
        self._enrolment.sign_off(message[41])
        return Decision(code=Code.APPROVED, what=What.SIGNED_OFF, rrn=self._ledger.next_rrn(at))

    def _take(self, message: Message, kind: Kind, at: datetime) -> Decision:
        terminal = self._enrolment.find(message[41])
        if terminal is not None and terminal.merchant != message[42]:
            return refuse(Code.WRONG_MERCHANT, "the terminal belongs to another merchant")
        if kind is Kind.ECHO:
            return Decision(code=Code.APPROVED, what=What.ECHOED)
        decision = self._downloads.decide(message, kind)
        has_number = decision.code == Code.APPROVED and kind is not Kind.STATUS
        return replace(decision, rrn=self._ledger.next_rrn(at)) if has_number else decision
