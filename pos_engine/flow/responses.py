"""What an answer means. `classify` alone turns a message into a cue: matching, response code, MAC, completeness.

Matching comes first: an answer belongs to one request (MTI pair, STAN, terminal, every element both carry). What does
not match is a stranger, noted and passed over, never an outcome. Then: an approval needs a valid MAC and every
element it must have; a decline counts with a valid MAC or with none; a wrong MAC on a decline makes it a stranger. A
reversal ends with 00, 12 or 25 and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, OnSilence, Verdict
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.states import Cue

if TYPE_CHECKING:
    from pos_engine.dialects.base import Dialect, KindRow
    from pos_engine.journal.record import Record
    from pos_engine.wire.message import Message

REVERSAL_ENDS: Final = frozenset({"00", "12", "25"})
"""Accepted; never heard of it; no such original: after each of these nothing is left to reverse."""
PARTIAL_APPROVAL: Final = "10"


def classify(record: Record, answer: Answered, dialect: Dialect) -> tuple[Cue, str]:
    """Say what a message that arrived means for the pending record, and why where it is not the plain answer."""
    row = dialect.kinds[record.kind]
    difference = mismatch(record.request, answer.message, row, dialect)
    if difference:
        return Cue.STRANGER, f"passed over {answer.message.mti}: {difference}"
    code = answer.message.get(39, "")
    verdict = dialect.meaning(code).verdict if code.isascii() and code.isalnum() else None
    if row.on_silence is OnSilence.REPEAT:
        return _of_repeated(code, verdict, answer.mac, row)
    if verdict is Verdict.APPROVAL:
        return _of_approval(record, answer, row)
    return _of_decline(verdict, answer.mac, row)


def mismatch(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> str:
    """Name the first element in which an answer differs from its request; empty when it belongs to it."""
    if answer.mti != row.answer_mti:
        return "MTI differs"
    for number in (11, 41):
        if number in request and answer.get(number) != request[number]:
            return f"field {number} differs"
    for number in dialect.echoes:
        if number in request and number in answer and answer[number] != request[number]:
            return f"field {number} differs"
    return _batch_mismatch(request, answer, row, dialect)


def _batch_mismatch(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> str:
    layout, sent, received = dialect.layouts.get(60), request.get(60), answer.get(60)
    if not row.financial or layout is None or sent is None or received is None:
        return ""
    return "" if layout.get(sent, "60.2") == layout.get(received, "60.2") else "field 60.2 differs"


def _of_repeated(code: str, verdict: Verdict | None, mac: MacState, row: KindRow) -> tuple[Cue, str]:
    if code in REVERSAL_ENDS and not (row.mac and mac is MacState.WRONG):
        return Cue.APPROVAL, ""
    if verdict is Verdict.SIGN_ON:
        return Cue.NOT_ACCEPTED_DEMAND, f"not accepted: {code}"
    return Cue.NOT_ACCEPTED, "not accepted: its MAC is wrong" if code in REVERSAL_ENDS else "not accepted"


def _of_approval(record: Record, answer: Answered, row: KindRow) -> tuple[Cue, str]:
    if row.mac and answer.mac is not MacState.VALID:
        return Cue.UNPROVEN, f"an approval whose MAC is {answer.mac.name.lower()}"
    lacking = row.answered_with - set(answer.message)
    if lacking:
        return Cue.UNWANTED, f"an approval without fields {', '.join(map(str, sorted(lacking)))}"
    if answer.message[39] == PARTIAL_APPROVAL:
        return Cue.UNWANTED, "a partial approval that was not asked for"
    return (Cue.KEYS_OFFERED if record.kind is Kind.SIGN_ON else Cue.APPROVAL), ""


def _of_decline(verdict: Verdict | None, mac: MacState, row: KindRow) -> tuple[Cue, str]:
    trusted = not row.mac or mac is not MacState.WRONG
    if verdict is Verdict.SIGN_ON:
        # These codes act as a hint even when their MAC is wrong, because differing keys are what they report.
        return (Cue.DEMAND, "") if trusted else (Cue.NOT_ACCEPTED_DEMAND, "a demand to sign on whose MAC is wrong")
    if verdict is None:
        return Cue.UNREADABLE, "an answer without a response code"
    return (Cue.DECLINE, "") if trusted else (Cue.STRANGER, "passed over a decline whose MAC is wrong")
