"""What an answer means. `classify` alone turns a message into a cue: matching, response code, MAC, completeness.

Matching comes first: an answer belongs to one request (MTI pair, STAN, terminal, every element both carry). What does
not match is a stranger, noted and passed over, never an outcome. Then: an approval needs a valid MAC and every element
it must have; a decline counts with a valid MAC or, where the profile accepts that, with none; a wrong MAC on a decline
makes it a stranger. A reversal ends with 00, 12 or 25 and nothing else, and once the host has proven that it approved
the original, with 00 alone.

The same comparison, carried on to the end, tells how near a message came to being an answer (`differences`, `nearest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.dialects.base import Kind, OnSilence, Verdict
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.states import Cue
from pos_engine.journal.record import ACCEPTED, StraySort
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pos_engine.clock import Instant
    from pos_engine.dialects.base import Dialect, KindRow
    from pos_engine.flow.profile import Profile
    from pos_engine.journal.record import Record, Stray
    from pos_engine.wire.message import Message

REVERSAL_ENDS: Final = frozenset({ACCEPTED, "12", "25"})
"""Accepted; never heard of it; no such original: after each of these nothing is left to reverse."""
PARTIAL_APPROVAL: Final = "10"
MTI: Final = "MTI"
BATCH: Final = "60.2"
NETWORK_CODE: Final = "60.3"
BATCH_DIFFERS: Final = f"field {BATCH} differs"
AMOUNT: Final = 4
NOTHING: Final = "000000000000"
ALWAYS_ECHOED: Final = (11, 41)
"""STAN and terminal: what a request has of them its answer has to repeat; other elements only where it has them."""

_MESSAGE_TYPE: Final = Text("Message type", "消息类型")
_WEIGHTS: Final = {MTI: 8, "41": 4, NETWORK_CODE: 4, "3": 3, "4": 3, "11": 3, "42": 3}
"""How far an element that differs takes a message from a request: another kind, another terminal, another number."""
_WEIGHT: Final = 2


@dataclass(frozen=True, slots=True)
class Compared:
    """One element that an answer has to repeat: where it stands (MTI, 11, 60.2), and whether it agrees."""

    where: str
    agrees: bool
    is_missing: bool = False

    def __str__(self) -> str:
        """Say that it differs; never with its value."""
        return f"{self.where if self.where == MTI else f'field {self.where}'} differs"


@dataclass(frozen=True, slots=True)
class Nearest:
    """The message that differed least from being the answer to a request, and in what."""

    stray: Stray
    differs: tuple[Compared, ...]
    after_s: float
    """Seconds after the moment that was asked about; negative: before it."""

    @property
    def distance(self) -> tuple[int, float]:
        """How far it was from being the answer, the nearer the smaller; of two that differ as much, the one in time."""
        belongs = self.stray.sort in {StraySort.LATE, StraySort.DUPLICATE} and bool(self.differs)
        return weight(each.where for each in self.differs) + belongs, abs(self.after_s)


def classify(record: Record, answer: Answered, profile: Profile) -> tuple[Cue, str]:
    """Say what a message that arrived means for the pending record, and why where it is not the plain answer."""
    dialect, message = profile.dialect, answer.message
    row, verdict = dialect.kinds[record.kind], verdict_of(message, dialect)
    difference = mismatch(record.request, message, row, dialect)
    if difference == BATCH_DIFFERS and verdict is Verdict.SIGN_ON:
        # That the batches differ is the very thing such an answer reports.
        return Cue.NOT_ACCEPTED_DEMAND, "a demand to sign on, under another batch"
    if difference:
        return Cue.STRANGER, f"passed over {message.mti}: {difference}"
    if row.on_silence is OnSilence.REPEAT:
        return _of_repeated(record, answer, row, profile)
    if verdict is Verdict.APPROVAL:
        return _of_approval(record, answer, row, dialect)
    return _of_decline(verdict, answer.mac, row, profile)


def verdict_of(message: Message, dialect: Dialect) -> Verdict | None:
    """Read the response code; `None` where there is none, or one that no host sends (blanks, lower case)."""
    code = message.get(39, "")
    return dialect.meaning(code).verdict if code.isascii() and code.isalnum() and code == code.upper() else None


def mismatch(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> str:
    """Name the first element in which an answer differs from its request; empty when it belongs to it."""
    return next(map(str, differences(request, answer, row, dialect)), "")


def differences(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> tuple[Compared, ...]:
    """Name every element in which a message differs from being the answer to a request; none when it belongs to it."""
    return tuple(each for each in compared(request, answer, row, dialect) if not each.agrees)


def compared(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> Iterator[Compared]:
    """Compare a message, element by element, with what the answer to a request has to repeat."""
    yield Compared(MTI, answer.mti == row.answer_mti)
    for number in ALWAYS_ECHOED:
        if number in request:
            yield Compared(str(number), answer.get(number) == request[number], is_missing=number not in answer)
    for number in dialect.echoes:
        if number in request and number in answer and number not in ALWAYS_ECHOED:
            agrees = answer[number] == request[number] or (number == AMOUNT and _is_partial(request, answer))
            yield Compared(str(number), agrees)
    yield from _compared_columns(request, answer, row, dialect)


def _is_partial(request: Message, answer: Message) -> bool:
    """Tell whether the amount may differ: a partial approval names a smaller one, and not nothing."""
    return answer.get(39) == PARTIAL_APPROVAL and NOTHING < answer[AMOUNT] < request[AMOUNT]


def _compared_columns(request: Message, answer: Message, row: KindRow, dialect: Dialect) -> Iterator[Compared]:
    layout, sent, received = dialect.layouts.get(60), request.get(60), answer.get(60)
    if layout is None or sent is None or received is None:
        return
    if row.processing_code is None:
        # Management messages share their types, and some have no STAN: this code tells their answers apart.
        yield Compared(NETWORK_CODE, layout.get(sent, NETWORK_CODE) == layout.get(received, NETWORK_CODE))
    if row.financial:
        yield Compared(BATCH, layout.get(sent, BATCH) == layout.get(received, BATCH))


def weight(wheres: Iterable[str]) -> int:
    """Say how far some elements that differ take a message from a request."""
    return sum(_WEIGHTS.get(where, _WEIGHT) for where in wheres)


def name_of(where: str, dialect: Dialect) -> Text:
    """Return the name of an element, or of a column of field 60, as the standard or the dialect has it."""
    number, _, column = where.partition(".")
    layout, listed = dialect.layouts.get(60), dialect.spec.fields.get(int(number) if number.isdigit() else 0)
    if column and layout is not None:
        return next(each.name for each in layout.columns if each.key == where)
    return listed.name if listed is not None else _MESSAGE_TYPE


def nearest(
    request: Message, row: KindRow, strays: Iterable[Stray], dialect: Dialect, moment: Instant
) -> Nearest | None:
    """Return the message that differs least from being the answer to a request; `None` where none came near in time.

    Only what came within `limits.NEAREST_S` of `moment`, before or after it, within one boot, is looked at. One that
    answers another request is as good a witness as one that answers none, but the latter goes first.
    """
    found = (
        Nearest(stray, differences(request, stray.message, row, dialect), after_s)
        for stray in strays
        if (after_s := apart_s(moment, stray.at)) is not None and abs(after_s) <= limits.NEAREST_S
    )
    return min(found, key=lambda each: each.distance, default=None)


def apart_s(moment: Instant, other: Instant) -> float | None:
    """Seconds from one moment to another, negative when that was before it; `None` across boots."""
    after_s, before_s = other.since(moment), moment.since(other)
    return after_s if after_s is not None else before_s and -before_s


def _of_repeated(record: Record, answer: Answered, row: KindRow, profile: Profile) -> tuple[Cue, str]:
    code = answer.message.get(39, "")
    if verdict_of(answer.message, profile.dialect) is Verdict.SIGN_ON:
        return Cue.NOT_ACCEPTED_DEMAND, f"not accepted: {code}"
    if code not in REVERSAL_ENDS:
        return Cue.NOT_ACCEPTED, "not accepted"
    objection = _objection(record, answer, row, profile)
    return (Cue.NOT_ACCEPTED, f"not accepted: {objection}") if objection else (Cue.APPROVAL, "")


def _objection(record: Record, answer: Answered, row: KindRow, profile: Profile) -> str:
    """Say why an answer with a code that ends reversals does not end this one; empty when it does."""
    code = answer.message.get(39, "")
    if row.mac and answer.mac is MacState.WRONG:
        return "the MAC is wrong"
    if row.mac and answer.mac is MacState.ABSENT and not profile.accepts_unsigned_reversals:
        return "without a MAC, which this profile demands"
    if record.approval_proven and code != ACCEPTED:
        return "the host does not know what it approved"
    lacking = row.answered_with - set(answer.message)
    return f"without fields {_listed(lacking)}" if code == ACCEPTED and lacking else ""


def _of_approval(record: Record, answer: Answered, row: KindRow, dialect: Dialect) -> tuple[Cue, str]:
    if row.mac and answer.mac is not MacState.VALID:
        return Cue.UNPROVEN, f"an approval whose MAC is {answer.mac.name.lower()}"
    lacking = row.answered_with - set(answer.message)
    if lacking:
        return Cue.UNWANTED, f"an approval without fields {_listed(lacking)}"
    if answer.message[39] == PARTIAL_APPROVAL and not allows_partial(record.request, dialect):
        return Cue.UNWANTED, "a partial approval that was not asked for"
    return (Cue.KEYS_OFFERED if record.kind is Kind.SIGN_ON else Cue.APPROVAL), ""


def allows_partial(request: Message, dialect: Dialect) -> bool:
    """Tell whether a request said that the terminal can do with less."""
    layout = dialect.layouts.get(60)
    return layout is not None and layout.get(request.get(60, ""), "60.6") == "1"


def _of_decline(verdict: Verdict | None, mac: MacState, row: KindRow, profile: Profile) -> tuple[Cue, str]:
    trusted = not row.mac or mac is not MacState.WRONG
    if verdict is Verdict.SIGN_ON:
        # These codes act as a hint even when their MAC is wrong, because differing keys are what they report.
        if trusted and not _lacks_signature(mac, row, profile):
            return Cue.DEMAND, ""
        return Cue.NOT_ACCEPTED_DEMAND, f"a demand to sign on whose MAC is {mac.name.lower()}"
    if verdict is None:
        return Cue.UNREADABLE, "an answer without a response code"
    if not trusted:
        return Cue.STRANGER, "passed over a decline whose MAC is wrong"
    if _lacks_signature(mac, row, profile):
        return Cue.UNSIGNED, "a decline without a MAC, which this profile does not accept"
    return Cue.DECLINE, ""


def _lacks_signature(mac: MacState, row: KindRow, profile: Profile) -> bool:
    return row.mac and mac is MacState.ABSENT and not profile.accepts_unsigned_declines


def _listed(numbers: frozenset[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
