"""What is left at the end of a life: I3 (money agrees), I4 (no double charge), I5 (doubt ends), I15 (nothing lost)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from simulators.invariants.forms import (
    APPROVED,
    PENDING,
    REPEAT,
    REVERSAL,
    REVERSAL_ENDS,
    REVERSIBLE,
    SIGNS,
    UNKNOWN,
    UNRESOLVED_ATTEMPTS,
    Form,
    elements,
    ends,
    label,
    read_form,
    taken_over,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.invariants.history import History
    from simulators.invariants.observations import Life

Place = tuple[str, str, str]
"""Terminal, batch, STAN."""


def ended(history: History, life: Life) -> None:
    """Judge the journal and the books at the end."""
    forms = _read_back(history, life)
    originals = {_place(form): form for form in forms.values() if form["kind"] != REVERSAL}
    _books_are_explained(history, life, originals)
    _one_effect_for_each_key(history, life, originals)
    if life.at_rest:
        reversals = _by_original(forms)
        _money_agrees(history, life, originals, reversals)
        for form in originals.values():
            if form["kind"] in REVERSIBLE and form["state"] in UNKNOWN:
                _doubt_has_ended(history, life, form, reversals.get(form["number"], []))


def _read_back(history: History, life: Life) -> dict[int, Form]:
    """Compare what the journal reads back as with what it acknowledged, and return its forms (I15)."""
    known = {text: number for number, text in history.texts.items()}
    forms = {}
    for text in life.final:
        number = known.get(text)
        form = history.forms[number] if number is not None else read_form(text)
        if form is None:
            history.blame("I15", "the journal reads back something that is no record")
            continue
        if form["number"] in forms:
            history.blame("I15", f"the journal reads back {label(form)} twice")
        forms[form["number"]] = form
        if number is None and not _may_be_there(history, form):
            history.blame("I15", f"{label(form)} reads back as something that was never acknowledged")
    for number in history.forms.keys() - forms.keys():
        history.blame("I15", f"{label(history.forms[number])} is missing from the journal")
    return dict(sorted({**history.forms, **forms}.items()))


def _may_be_there(history: History, form: Form) -> bool:
    number = form["number"]
    return form == history.forms.get(number) or form in history.unacknowledged(number)


def _place(form: Form) -> Place:
    return elements(form["request"]).get("41", ""), form["batch"], form["stan"]


def _by_original(forms: Mapping[int, Form]) -> dict[int, list[Form]]:
    found: dict[int, list[Form]] = {}
    for form in forms.values():
        if form["kind"] == REVERSAL and form["original"] is not None:
            found.setdefault(form["original"], []).append(form)
    return found


def _books_are_explained(history: History, life: Life, originals: Mapping[Place, Form]) -> None:
    for effect in life.books:
        place = effect.terminal, effect.batch, effect.stan
        if (effect.moved_minor or effect.net_minor) and place not in originals:
            history.blame("I3", f"the host booked STAN {effect.stan} of batch {effect.batch}, which no record knows")
        if effect.reversals > 1:
            history.blame("I5", f"STAN {effect.stan} of batch {effect.batch} was reversed with effect more than once")


def _one_effect_for_each_key(history: History, life: Life, originals: Mapping[Place, Form]) -> None:
    moving = {(effect.terminal, effect.batch, effect.stan) for effect in life.books if effect.net_minor}
    booked: dict[str, list[int]] = {}
    for form in (originals[place] for place in moving & originals.keys()):
        booked.setdefault(_wish(form, originals), []).append(form["number"])
    for numbers in booked.values():
        if len(numbers) > 1:
            history.blame("I4", f"records {sorted(numbers)} have one idempotency key, and the host booked each of them")


def _wish(form: Form, originals: Mapping[Place, Form]) -> str:
    """Name what somebody wanted done: a request and its repeats are one wish, known by the first one's key if any."""
    key: str | None = form["key"]
    while key is not None and key.startswith(REPEAT):
        batch, _, stan = key.removeprefix(REPEAT).partition(" ")
        first = originals.get((_place(form)[0], batch, stan))
        if first is None:
            return key
        form, key = first, first["key"]
    return key if key is not None else f"{REPEAT}{form['batch']} {form['stan']}"


def _money_agrees(
    history: History, life: Life, originals: Mapping[Place, Form], reversals: Mapping[int, list[Form]]
) -> None:
    booked: Counter[Place] = Counter()
    for effect in life.books:
        booked[effect.terminal, effect.batch, effect.stan] += effect.net_minor
    for place, form in originals.items():
        net, sign = booked[place], SIGNS.get(form["kind"], 0)
        expected = sign * form["amount"][0] if sign and form["state"] == APPROVED and form["amount"] is not None else 0
        if net == expected or _only_a_person_knows(life, form, reversals.get(form["number"], []), net):
            continue
        if life.forgets and _was_forgotten(form, reversals.get(form["number"], []), net):
            continue
        history.blame("I3", f"{label(form)} is {form['state']} and comes to {expected} fen; the host booked {net}")


def _only_a_person_knows(life: Life, form: Form, reversals: list[Form], net: int) -> bool:
    """Tell whether a doubt is a person's business, and what the host booked is nothing or what was asked for."""
    if form["kind"] not in SIGNS or form["state"] not in UNKNOWN:
        return False
    if form["kind"] in REVERSIBLE and not _is_resolved(life, form, reversals):
        return False
    asked = int(elements(form["request"]).get("4", "0"))
    return 0 <= SIGNS[form["kind"]] * net <= asked


def _is_resolved(life: Life, form: Form, reversals: list[Form]) -> bool:
    return any(each["number"] in life.resolved for each in (form, *reversals))


def _was_forgotten(form: Form, reversals: list[Form], net: int) -> bool:
    """Tell whether a host that lost its books has lost this: the approval, or the reversal that it did not know."""
    if form["state"] == APPROVED:
        return net == 0
    unknown = REVERSAL_ENDS - {"00"}
    return any(ends(each) and elements(each["answer"]).get("39") in unknown for each in reversals)


def _doubt_has_ended(history: History, life: Life, form: Form, reversals: list[Form]) -> None:
    if _is_resolved(life, form, reversals) or any(taken_over(each) for each in (form, *reversals)):
        return
    if form["state"] == PENDING:
        history.blame("I5", f"{label(form)} was never taken up again")
        return
    if not any(ends(each) or _is_unresolved(each) for each in reversals):
        history.blame("I5", f"{label(form)} is in doubt, and no reversal of it was accepted or is unresolved")
    elif form["number"] in history.waits_from and not any(each["number"] in history.waits_from for each in reversals):
        history.blame("I5", f"{label(form)} left and is in doubt, and no reversal of it ever left")


def _is_unresolved(reversal: Form) -> bool:
    return bool(reversal["state"] in UNKNOWN and reversal["attempts"] >= UNRESOLVED_ATTEMPTS)
