"""What leaves the terminal: I1 (saved first), I7 (what a reversal says), I8 (nothing new while something is owed)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.invariants.forms import APPROVED, Form, elements, label
from simulators.invariants.frames import Frame, read

if TYPE_CHECKING:
    from simulators.invariants.history import History

REVERSAL_MTI: Final = "0400"
MANAGEMENT: Final = "08"
INQUIRY: Final = "310000"
"""Field 3 of a balance inquiry, which moves nothing."""
REASONS: Final = frozenset({"98", "96", "A0", "06"})
COPIED: Final = (3, 4, 41, 42, 49)
"""Elements a reversal has in common with its original; it is found by batch and STAN, so these are too."""
FORBIDDEN: Final = (35, 36, 52)
TYPE: Final = slice(0, 8)
"""Field 60.1 and 60.2."""
ITSELF: Final = slice(0, 12)
"""Field 61.1 and 61.2: batch and STAN of what a reversal takes back."""


def left(history: History, data: bytes) -> None:
    """Judge bytes of a request that left."""
    frame = read(data)
    if frame is None:
        history.blame("I1", "bytes left that are no message, so nothing saved can account for them")
        return
    form = history.waiting(frame)
    if form is not None:
        history.waits_from.setdefault(form["number"], len(history.arrivals))
        history.sent.setdefault(form["number"], frame)
    if frame.mti.startswith(MANAGEMENT):
        return
    _saved_first(history, frame, form)
    if frame.mti == REVERSAL_MTI:
        _reversal(history, frame, form)
    elif frame.fields.get(3) != INQUIRY and (form is None or form["attempts"] <= 1):
        _nothing_owed(history, frame, form)


def _saved_first(history: History, frame: Frame, form: Form | None) -> None:
    if form is None:
        history.blame("I1", f"{_title(frame)} left, and no record of it was saved as pending")
        return
    saved = elements(form["request"])
    amount = None if form["amount"] is None else f"{form['amount'][0]:012d}"
    if frame.fields.get(3) != saved.get("3") or not frame.fields.get(4) == saved.get("4") == amount:
        history.blame("I1", f"{_title(frame)} left with another field 3 or 4 than {label(form)} was saved with")


def _nothing_owed(history: History, frame: Frame, form: Form | None) -> None:
    for owing in history.surely_owing(form["number"] if form is not None else None):
        history.blame("I8", f"{_title(frame)} left while {label(owing)} was in doubt and not reversed")


def _reversal(history: History, frame: Frame, form: Form | None) -> None:
    place = frame.fields.get(60, "")[2:8], frame.fields.get(11, "")
    number = history.originals.get(place)
    original = history.forms.get(number) if number is not None else None
    if number is None or original is None:
        history.blame("I7", f"{_title(frame)} takes back what no record knows")
        return
    if original["state"] == APPROVED or history.shown.get(number, ("",))[0] == "approved":
        history.blame("I6", f"a reversal left of {label(original)}, which was approved")
    for fault in _reversal_faults(history, frame, form, original):
        history.blame("I7", f"the reversal of {label(original)} {fault}")


def _reversal_faults(history: History, frame: Frame, form: Form | None, original: Form) -> list[str]:
    fields = frame.fields
    request = history.sent.get(original["number"])
    known = request.fields if request is not None else {int(n): v for n, v in elements(original["request"]).items()}
    faults = [f"has another field {number}" for number in COPIED if fields.get(number) != known.get(number)]
    faults += [f"carries field {number}" for number in FORBIDDEN if frame.carries(number)]
    if fields.get(60, "")[TYPE] != known.get(60, "")[TYPE]:
        faults.append("has another field 60.1 or 60.2")
    itself = fields.get(60, "")[2:8] + fields.get(11, "")
    if (61 in fields) != (61 in known) or fields.get(61, itself)[ITSELF] != itself:  # noqa: PLR2004 - the field's number
        faults.append("does not name what it takes back in field 61")
    if fields.get(39) not in REASONS:
        faults.append("gives no reason in field 39")
    codes = history.codes.get(form["number"]) if form is not None else None
    if codes and fields.get(38) not in codes:
        faults.append("lacks the authorisation code that was known")
    return faults


def _title(frame: Frame) -> str:
    return f"{frame.mti} with STAN {frame.fields.get(11, '(none)')}"
