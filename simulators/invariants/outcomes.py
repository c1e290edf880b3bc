"""What is saved and shown: I2 (saved first), I6 (never changed), I9 (one STAN, one request), I12 (keys)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.invariants.answers import decided
from simulators.invariants.forms import (
    APPROVED,
    DECLINED,
    DOUBTFUL,
    FINAL,
    NO_REQUESTS,
    PENDING,
    REVERSAL,
    SIGN_ON,
    SIGNS,
    UNSENT,
    Form,
    elements,
    label,
    place_of,
    taken_over,
)

if TYPE_CHECKING:
    from simulators.invariants.history import History
    from simulators.invariants.observations import Shown

STATES: Final = {"approved": APPROVED, "declined": DECLINED, "in doubt": DOUBTFUL, "not sent": UNSENT}
DECIDED: Final = frozenset({APPROVED, DECLINED})
IDENTITY: Final = ("kind", "stan", "batch", "opened", "original", "key")
OUTCOME: Final = ("state", "amount", "answer", "keys", "new_batch")
USAGES: Final = frozenset({"PIN", "MAC"})


def saved(history: History, text: str, form: Form) -> None:
    """Judge a form that the journal has acknowledged, and remember it."""
    number, state = form["number"], form["state"]
    before = history.forms.get(number)
    if before is None:
        _is_new(history, form)
    elif any(before[name] != form[name] for name in IDENTITY):
        history.blame("I9", f"number {number} was used for two requests: {label(before)}, {label(form)}")
    if before is not None:
        _keeps_outcome(history, before, form)
    if state == PENDING and (before is None or before["attempts"] != form["attempts"]):
        _uses_newest_keys(history, form)
    if form["kind"] not in NO_REQUESTS and state in DECIDED and (before is None or before["state"] not in FINAL):
        decided(history, form)
        if form["kind"] == SIGN_ON and state == APPROVED:
            _has_whole_key_set(history, form)
    history.acknowledged(text, form)


def _is_new(history: History, form: Form) -> None:
    if form["kind"] == REVERSAL:
        return
    other = history.originals.get(place_of(form))
    if other is not None:
        history.blame("I9", f"{label(form)} has the STAN of record {other}")


def _keeps_outcome(history: History, before: Form, form: Form) -> None:
    if before["state"] in FINAL and any(before[name] != form[name] for name in OUTCOME):
        history.blame("I6", f"{label(form)} changed after it was {before['state'].lower()}")
        return
    told = history.shown.get(form["number"], ("",))[0]
    if told == "in doubt" and form["kind"] in SIGNS and form["state"] in FINAL and not taken_over(form):
        history.blame("I6", f"{label(form)} was shown as in doubt and became {form['state'].lower()}")


def _uses_newest_keys(history: History, form: Form) -> None:
    if "3" not in elements(form["request"]):
        # Management messages have no MAC, so they use no key.
        return
    used, newest = form["signed_on_by"], history.sign_on
    # A sign-on that was not acknowledged may be in force after a restart, so a later one is no fault.
    if newest is not None and (used is None or used < newest):
        history.blame("I12", f"{label(form)} is sent under an older sign-on than that of record {newest}")


def _has_whole_key_set(history: History, form: Form) -> None:
    usages = [key[0] for key in form["keys"]]
    if not set(usages) >= USAGES or len(set(usages)) != len(usages):
        history.blame("I12", f"{label(form)} was approved without one PIN key and one MAC key")


def shown(history: History, seen: Shown) -> None:
    """Judge an outcome that reached whoever waited for it."""
    form = history.forms.get(seen.number)
    possible = [form] if form is not None else []
    possible += history.unsure.get(seen.number, ())
    if not any(_allows(history, seen, each) for each in possible):
        name = label(form) if form is not None else f"record {seen.number}"
        history.blame("I2", f"{name} was shown as {seen.outcome} without being saved so before")
    told = (seen.outcome, seen.amount_minor)
    before = history.shown.get(seen.number)
    if before is None or _may_still_change(before[0], form):
        history.shown[seen.number] = told
    elif told[0] != before[0] or (told[0] == "approved" and told != before):
        history.blame("I6", f"record {seen.number} was shown as {before[0]}, and later otherwise")


def _may_still_change(outcome: str, form: Form | None) -> bool:
    """Tell whether what was shown is no outcome yet: what is sent until it is accepted is in doubt until then."""
    return outcome == "in doubt" and form is not None and form["kind"] not in SIGNS


def _allows(history: History, seen: Shown, form: Form) -> bool:
    state: str = form["state"]
    if seen.outcome == "in doubt" and state == PENDING:
        # Its call is over: whoever asks again can be told no more than that.
        return history.saved_in.get(seen.number, 0) < history.calls
    if seen.outcome == "approved" and seen.amount_minor is not None:
        return state == APPROVED and form["amount"] is not None and bool(form["amount"][0] == seen.amount_minor)
    return state == STATES.get(seen.outcome)
