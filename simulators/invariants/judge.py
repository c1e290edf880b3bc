"""The judge's bench: each observation in turn, then what is left at the end."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from simulators.invariants.ending import ended
from simulators.invariants.forms import read_form
from simulators.invariants.history import Arrival, History
from simulators.invariants.observations import Arrived, Attempted, Ended, Left, Life, Restarted, Shown, Synced
from simulators.invariants.outcomes import saved, shown
from simulators.invariants.sending import left

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.invariants.observations import Violation

GRACE_S: Final = 1.0
"""What a call may take beyond its deadline."""

INVARIANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I1": "No byte of a request about money leaves before its intent is durable.",
        "I2": "No outcome is shown before it is durable.",
        "I3": "At rest the host's books and the journal agree, request by request.",
        "I4": "Under one idempotency key the host books at most once.",
        "I5": "Every doubt about a reversible request ends: reversed, at most once with effect, or with a person.",
        "I6": "An outcome never changes, and what was approved is never reversed by itself.",
        "I7": "A reversal names its original, says why, carries what was known, and no secret.",
        "I8": "Nothing new about money leaves while something older is in doubt and not reversed.",
        "I9": "No request shares its batch and STAN with another.",
        "I10": "What decides a record is an answer to that very request, and decides nothing else.",
        "I11": "No answer that is not authentic approves anything about money.",
        "I12": "Keys come in whole sets, and only the newest set is used.",
        "I15": "The journal reads back what it acknowledged, and nothing less or else.",
        "I17": "Every call ends within the time it may take.",
    }
)


def judge(life: Life) -> tuple[Violation, ...]:
    """Say which invariants do not hold in a life; none is what should come back.

    Judged is what can be seen from outside: I1 to I12, I15 and I17. That no secret rests or shows anywhere (I13, I14)
    is for whoever sees files and memory, that settlements agree (I16) waits for settlements, and that the same seed
    gives the same history (I18) is for whoever lives it twice. Of I12 only what a sign-on brought and which sign-on a
    request names is seen, not which key a MAC was made with. While a life is not at rest only safety is judged: what is
    still owed then is no fault. With `forgets`, what the host no longer has is not held against the terminal (I3).
    The texts name records, STANs, batches and amounts, and no card.
    """
    history = History()
    for seen in life.seen:
        match seen:
            case Synced(body):
                _saved(history, body)
            case Left(data):
                left(history, data)
            case Arrived(data, authentic):
                history.arrivals.append(Arrival(data, authentic))
            case Attempted(body):
                history.attempted(body)
            case Shown():
                shown(history, seen)
            case Ended():
                _ended(history, seen)
            case Restarted():
                history.restarted()
    ended(history, life)
    return tuple(history.found)


def _ended(history: History, seen: Ended) -> None:
    history.calls += 1
    if seen.seconds > seen.allowed_s + GRACE_S:
        history.blame("I17", f"a call ({seen.how}) took {seen.seconds:g} s and was allowed {seen.allowed_s:g} s")


def _saved(history: History, body: str) -> None:
    form = read_form(body)
    if form is None:
        history.blame("I15", "the journal acknowledged something that is no record")
        return
    saved(history, body, form)
