"""What decides a record: I10 (an answer to this very request), I11 (a proven one), and the end of a reversal (I5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.invariants.forms import APPROVED, REVERSAL, REVERSAL_ENDS, SIGNS, Form, elements, label

if TYPE_CHECKING:
    from simulators.invariants.frames import Frame
    from simulators.invariants.history import Arrival, History

APPROVALS: Final = frozenset({"00", "10", "11", "A2", "A4", "A5", "A6"})
PARTIAL: Final = "10"
NOTHING: Final = "000000000000"
REMEMBERED: Final = tuple((number, str(number)) for number in (3, 4, 11, 13, 37, 38, 39, 41, 42, 49, 60))
"""Elements of an answer that are kept on record, where it has them."""
ALWAYS: Final = ("11", "41")
WHERE_BOTH: Final = ("3", "42", "49")
OF_MONEY: Final = frozenset({"3", "4", "11", "41", "42", "49", "60"})
"""What an approval of money has to echo."""
AMOUNT: Final = "4"
BATCH: Final = slice(2, 8)
NETWORK_CODE: Final = slice(8, 11)
MAC: Final = 64


def decided(history: History, form: Form) -> None:
    """Judge a record that has just become approved or declined."""
    number, fields = form["number"], elements(form["answer"])
    start = history.waits_from.get(number)
    if form["answer"] is None or start is None:
        lacking = "an answer" if start is not None else "having been sent"
        history.blame("I10", f"{label(form)} was {form['state'].lower()} without {lacking}")
        return
    if form["state"] == APPROVED:
        _approves(history, form, fields.get("39", ""))
    mismatch = _mismatch(form, fields)
    if mismatch:
        history.blame("I10", f"{label(form)} was {form['state'].lower()} by an answer {mismatch}")
        return
    same = [each for each in history.arrivals[start:] if _is_kept(form, each.frame)]
    _use(history, form, same)


def _approves(history: History, form: Form, code: str) -> None:
    if form["kind"] == REVERSAL:
        if code not in REVERSAL_ENDS:
            history.blame("I5", f"{label(form)} counts as accepted, and its answer ends no reversal")
    elif code not in APPROVALS:
        history.blame("I10", f"{label(form)} counts as approved, and its answer approves nothing")
    digits = elements(form["answer"]).get(AMOUNT, elements(form["request"]).get(AMOUNT))
    if digits is not None and form["amount"] is not None and int(digits) != form["amount"][0]:
        history.blame("I10", f"{label(form)} was approved with another amount than it was answered with")


def _mismatch(form: Form, answer: dict[str, str]) -> str:
    """Say what makes an answer one to another request; empty when it belongs to this one."""
    mti, request = form["request"]
    if form["answer"][0] != f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}":
        return "with another MTI"
    for name in ALWAYS:
        if name in request and answer.get(name) != request[name]:
            return f"with another field {name}"
    for name in WHERE_BOTH:
        if name in request and name in answer and answer[name] != request[name]:
            return f"with another field {name}"
    if AMOUNT in request and AMOUNT in answer and not _same_amount(request[AMOUNT], answer):
        return "with another field 4"
    return _private_mismatch(form, request.get("60", ""), answer)


def _same_amount(asked: str, answer: dict[str, str]) -> bool:
    given = answer[AMOUNT]
    return given == asked or (answer.get("39") == PARTIAL and NOTHING < given < asked)


def _private_mismatch(form: Form, asked: str, answer: dict[str, str]) -> str:
    kind = form["kind"]
    if kind in SIGNS and form["state"] == APPROVED and not answer.keys() >= OF_MONEY:
        return "that lacks what it must echo"
    told = answer.get("60")
    if told is None:
        return ""
    if (kind in SIGNS or kind == REVERSAL) and told[BATCH] != asked[BATCH]:
        return "of another batch"
    if "3" not in form["request"][1] and told[NETWORK_CODE] != asked[NETWORK_CODE]:
        return "with another field 60.3"
    return ""


def _is_kept(form: Form, frame: Frame | None) -> bool:
    """Tell whether a frame is the answer that is on record."""
    if frame is None:
        return False
    mti, answer = form["answer"]
    return frame.mti == mti and all(frame.fields.get(number) == answer.get(name) for number, name in REMEMBERED)


def _use(history: History, form: Form, same: list[Arrival]) -> None:
    free = [each for each in same if each.decided is None]
    if not free:
        again = "decided another record before" if same else "never arrived after its request had left"
        history.blame("I10", f"{label(form)} was {form['state'].lower()} by an answer that {again}")
        return
    chosen = next((each for each in free if each.authentic), free[0])
    chosen.decided = form["number"]
    if form["state"] == APPROVED and not _is_proven(form, chosen):
        history.blame("I11", f"{label(form)} was approved by an answer that is not authentic")


def _is_proven(form: Form, arrival: Arrival) -> bool:
    """Tell whether an answer may move money. Those to management messages have no MAC; a reversal's may lack one."""
    if "3" not in form["request"][1]:
        return True
    has_mac = arrival.frame is not None and arrival.frame.carries(MAC)
    return arrival.authentic and (has_mac or form["kind"] == REVERSAL)
