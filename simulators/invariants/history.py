"""What has been seen so far of one life: what the journal acknowledged, what crossed the line, what was shown.

Only acknowledged forms count as saved. A form whose saving was begun and never acknowledged may be found by a terminal
that comes up again, or not; from then on both are taken for possible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulators.invariants.forms import (
    APPROVED,
    PENDING,
    REVERSAL,
    REVERSIBLE,
    SIGN_ON,
    UNKNOWN,
    Form,
    auth_codes,
    ends,
    place_of,
    read_form,
    taken_over,
)
from simulators.invariants.frames import Frame, read
from simulators.invariants.observations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Arrival:
    """A frame that reached the terminal, read when somebody asks for it."""

    data: bytes
    authentic: bool
    decided: int | None = None
    """The number of the record it decided."""
    _frame: Frame | None = None
    _is_read: bool = False

    @property
    def frame(self) -> Frame | None:
        """The frame; `None` for bytes that are no message."""
        if not self._is_read:
            self._frame, self._is_read = read(self.data), True
        return self._frame


@dataclass(slots=True)
class History:
    """One life up to now."""

    found: list[Violation] = field(default_factory=list)
    forms: dict[int, Form] = field(default_factory=dict)
    """The newest acknowledged form of each record."""
    texts: dict[int, str] = field(default_factory=dict)
    """The same as the text it came as."""
    unsure: dict[int, list[Form]] = field(default_factory=dict)
    """Later forms that were never acknowledged and may be in the journal all the same."""
    originals: dict[tuple[str, str], int] = field(default_factory=dict)
    """Batch and STAN of every record that is no reversal."""
    reversals: dict[int, list[int]] = field(default_factory=dict)
    """The reversals of each original, oldest first."""
    owing: set[int] = field(default_factory=set)
    """Originals in doubt whose reversal has not been accepted, and which nobody has taken over."""
    codes: dict[int, set[str]] = field(default_factory=dict)
    """Authorisation codes that were known when a reversal was first saved."""
    sent: dict[int, Frame] = field(default_factory=dict)
    """The frame in which each record's request first left."""
    waits_from: dict[int, int] = field(default_factory=dict)
    """How many frames had arrived when each record's request first left."""
    arrivals: list[Arrival] = field(default_factory=list)
    shown: dict[int, tuple[str, int | None]] = field(default_factory=dict)
    """What was first shown of each record."""
    calls: int = 0
    """How many calls have ended."""
    saved_in: dict[int, int] = field(default_factory=dict)
    """In which call each record's newest form was saved."""
    sign_on: int | None = None
    """The number of the newest approved sign-on."""
    _pending: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _attempts: list[str] = field(default_factory=list)

    def blame(self, invariant: str, what: str) -> None:
        """Note that an invariant does not hold."""
        self.found.append(Violation(invariant, what))

    def attempted(self, text: str) -> None:
        """Note that a form is being saved."""
        self._attempts.append(text)

    def acknowledged(self, text: str, form: Form) -> None:
        """Note that a form is durable; the ones before it do not matter any more."""
        number, state = form["number"], form["state"]
        self.forms[number], self.texts[number], self.saved_in[number] = form, text, self.calls
        self._settle_attempts(text, number)
        self._index(form)
        line = _line(form)
        if state == PENDING:
            self._pending[line] = number
        elif self._pending.get(line) == number:
            del self._pending[line]
        if form["kind"] == SIGN_ON and state == APPROVED:
            self.sign_on = max(number, self.sign_on or 0)

    def _settle_attempts(self, text: str, number: int) -> None:
        if self._attempts and self._attempts[-1] == text:
            self._attempts.pop()
        if self._attempts:
            self._attempts = [each for each in self._attempts if (read_form(each) or {}).get("number") != number]
        self.unsure.pop(number, None)

    def _index(self, form: Form) -> None:
        number, original = form["number"], form["original"]
        if form["kind"] != REVERSAL:
            self.originals.setdefault(place_of(form), number)
            if form["kind"] in REVERSIBLE:
                self._weigh(number)
        elif original is not None:
            known = self.reversals.setdefault(original, [])
            if number not in known:
                self.codes[number] = self._known_codes(original)
                known.append(number)
            self._weigh(original)

    def _known_codes(self, original: int) -> set[str]:
        involved = (self.forms.get(number) for number in (original, *self.reversals.get(original, ())))
        return {code for form in involved if form is not None for code in auth_codes(form)}

    def _weigh(self, original: int) -> None:
        form = self.forms.get(original)
        reversals = [self.forms[number] for number in self.reversals.get(original, ())]
        if form is not None and is_owing(form, reversals):
            self.owing.add(original)
        else:
            self.owing.discard(original)

    def restarted(self) -> None:
        """Note that the terminal came up again: what was being saved before may be what it has found."""
        self.calls += 1
        for text in self._attempts:
            form = read_form(text)
            if form is not None:
                self.unsure.setdefault(form["number"], []).append(form)
        self._attempts.clear()

    def unacknowledged(self, number: int) -> Iterator[Form]:
        """Name every form of a record that the journal may have instead of the newest acknowledged one."""
        yield from self.unsure.get(number, ())
        for text in self._attempts:
            form = read_form(text)
            if form is not None and form["number"] == number:
                yield form

    def waiting(self, frame: Frame) -> Form | None:
        """Find the record whose request a frame is: the one that is saved as pending under its MTI, batch and STAN."""
        line = (frame.mti, frame.fields.get(60, "")[2:8], frame.fields.get(11, ""))
        number = self._pending.get(line)
        return None if number is None else self.forms[number]

    def surely_owing(self, besides: int | None) -> Iterator[Form]:
        """Name the originals that owe something whatever the journal has of what it did not acknowledge."""
        for number in sorted(self.owing):
            if number != besides and not (self.unsure and self._may_be_settled(number)):
                yield self.forms[number]

    def _may_be_settled(self, number: int) -> bool:
        mine = self.unsure.get(number, ())
        if any(form["state"] not in UNKNOWN or taken_over(form) for form in mine):
            return True
        others = (form for forms in self.unsure.values() for form in forms if form["original"] == number)
        return any(form["kind"] == REVERSAL and (ends(form) or taken_over(form)) for form in others)


def is_owing(original: Form, reversals: list[Form]) -> bool:
    """Tell whether a reversible original still owes a reversal that nobody has taken over."""
    if original["state"] not in UNKNOWN or taken_over(original):
        return False
    if any(ends(reversal) for reversal in reversals):
        return False
    carried_on = [reversal for reversal in reversals if reversal["state"] != APPROVED]
    return not carried_on or not all(taken_over(reversal) for reversal in carried_on)


def _line(form: Form) -> tuple[str, str, str]:
    mti, fields = form["request"]
    return mti, form["batch"], fields.get("11", "")
