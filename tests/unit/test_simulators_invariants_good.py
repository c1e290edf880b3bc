"""The judge finds nothing in lives in which nothing is wrong, however unlucky they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from simulators.invariants import judge
from simulators.invariants.observations import Arrived, Attempted, Ended, Restarted, Shown
from tests.support.lives import (
    BATCH,
    Story,
    answer,
    as_kept,
    form,
    frame,
    of_money,
    request,
    reversal,
    signed_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def story() -> Story:
    return signed_on()


# Lives in which nothing is wrong.


def long_and_good(story: Story) -> None:
    sale = story.sell(2, key="one")
    refund = story.begin(of_money("refund", 3, 100))
    story.book(refund, -100)
    story.end(refund, "APPROVED")
    doubtful = story.doubt("sale", 4)
    story.book(doubtful, 1234, 0, 1)
    repeated = story.begin(reversal(doubtful, 5))
    again = story.begin(story.conclude(repeated, "DOUBTFUL") | {"state": "PENDING", "attempts": 2})
    story.end(again, "APPROVED")
    void = story.begin(of_money("void", 6))
    story.book(void, -1234)
    story.end(void, "APPROVED")
    story.end(story.begin(of_money("sale", 7)), "DECLINED", "51")
    story.conclude(story.begin(of_money("sale", 8)), "UNSENT")
    story.show(sale)
    story.seen.append(Ended("value", 60.5, 60.0))


def partly_approved(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 500)
    given = {4: f"{500:012d}"}
    story.end(body, "APPROVED", "10", answered=given, saved={"amount": [500, "156", "CNY", 2]})


def crashed_while_saving_the_outcome(story: Story) -> None:
    """The outcome is in the journal although nobody heard so: it is what a repeated call tells."""
    body = story.begin(of_money("sale", 2, key="one"))
    story.book(body, 1234)
    mti, fields = answer(body, "00")
    story.seen.append(Arrived(frame(mti, fields)))
    ended = body | {"state": "APPROVED", "answer": [mti, as_kept(fields)]}
    story.final[2] = json.dumps(ended)
    story.seen += [Attempted(story.final[2]), Ended("power cut"), Restarted(), Shown(2, "approved", 1234)]
    story.sell(3)


def crashed_while_saving_an_intent(story: Story) -> None:
    """The intent did not make it into the journal, and its number and STAN are used by the next request."""
    story.seen += [Attempted(json.dumps(of_money("sale", 2, 99))), Ended("power cut"), Restarted()]
    story.sell(2)


def crashed_while_a_reversal_was_accepted(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.book(sale, 1234, 0, 1)
    body = story.begin(reversal(sale, 3))
    mti, fields = answer(body, "00")
    ended = body | {"state": "APPROVED", "answer": [mti, as_kept(fields)]}
    story.final[3] = json.dumps(ended)
    story.seen += [Arrived(frame(mti, fields)), Attempted(story.final[3]), Restarted()]
    story.sell(4)


def told_in_doubt_after_a_restart(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.seen += [Ended("power cut"), Restarted(), Shown(2, "in doubt", 1234)]
    doubtful = story.conclude(body, "DOUBTFUL", reason="98")
    story.reverse(doubtful, 3)


def taken_over(story: Story) -> None:
    """A person took an unaccepted reversal over, so that business goes on; the host booked the sale."""
    sale = story.doubt("sale", 2)
    story.book(sale, 1234)
    body = story.begin(reversal(sale, 3))
    doubtful = story.conclude(body, "DOUBTFUL", attempts=3)
    story.save(doubtful | {"resolution": ["the bank knows", "a supervisor", [], None]})
    story.sell(4)
    story.more["resolved"] = frozenset({3})


def unresolved(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.conclude(story.begin(reversal(sale, 3)), "DOUBTFUL", attempts=3)


def refund_in_doubt(story: Story) -> None:
    """What became of a refund in doubt only a person can find out; it stops nothing."""
    refund = story.doubt("refund", 2)
    story.book(refund, -1234)
    story.sell(3)


def reopened_by_a_late_approval(story: Story) -> None:
    sale = story.doubt("sale", 2)
    story.book(sale, 1234, 0, 1)
    first = story.begin(reversal(sale, 3))
    closed = story.end(first, "APPROVED", "25")
    late = answer(sale, "00", {38: "123456"})
    story.seen.append(Arrived(frame(*late)))
    story.save(closed | {"late": [late[0], as_kept(late[1])]})
    story.reverse(sale, 4, changed={38: "123456"})
    story.sell(5)


def inquiry_in_between(story: Story) -> None:
    """Asking for a balance moves nothing, so it need not wait."""
    sale = story.doubt("sale", 2)
    fields = request(of_money("sale", 3)) | {3: "310000", 60: f"01{BATCH}00050"}
    del fields[4]
    body = story.begin(form(3, "balance", "0200", fields))
    story.end(body, "APPROVED")
    story.reverse(sale, 4)


def forgotten_by_the_host(story: Story) -> None:
    story.end(story.begin(of_money("sale", 2)), "APPROVED")
    sale = story.doubt("sale", 3)
    story.book(sale, 1234)
    story.end(story.begin(reversal(sale, 4)), "APPROVED", "25")
    story.more["forgets"] = True


def doubled_and_strange_answers(story: Story) -> None:
    body = story.begin(of_money("sale", 2))
    story.book(body, 1234)
    other = answer(of_money("sale", 9), "00")
    story.seen += [Arrived(b"noise"), Arrived(frame(*other)), Arrived(frame(*answer(body, "00")))]
    story.end(body, "APPROVED")


def two_sign_ons(story: Story) -> None:
    story.sell(2)
    story.sign_on(3)
    story.sell(4, signed_on_by=3)


def refused_until_a_sign_on_and_repeated(story: Story) -> None:
    body = story.begin(of_money("sale", 2, key="one"))
    story.end(body, "DECLINED", "77")
    told = of_money("sale", 3) | {"kind": "note", "state": "APPROVED", "request": ["", {}], "amount": None}
    story.save(told | {"attempts": 0, "signed_on_by": None, "notes": ["tried: retry 5 s"]})
    story.sign_on(4)
    story.sell(5, signed_on_by=4, key=f"repeat of {BATCH} 000002")
    # What names a refusal that nobody knows is a wish of its own.
    story.sell(6, signed_on_by=4, key="repeat of 000009 000123")


GOOD: Final[dict[str, Callable[[Story], None]]] = {
    each.__name__: each
    for each in (
        long_and_good,
        partly_approved,
        crashed_while_saving_the_outcome,
        crashed_while_saving_an_intent,
        crashed_while_a_reversal_was_accepted,
        told_in_doubt_after_a_restart,
        taken_over,
        unresolved,
        refund_in_doubt,
        reopened_by_a_late_approval,
        inquiry_in_between,
        forgotten_by_the_host,
        doubled_and_strange_answers,
        two_sign_ons,
        refused_until_a_sign_on_and_repeated,
    )
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_life_is_clean(story: Story, name: str) -> None:
    GOOD[name](story)
    assert [violation.what for violation in judge(story.life())] == []


def test_what_is_still_owed_is_no_fault_before_the_end(story: Story) -> None:
    story.book(story.doubt("sale", 2), 1234)
    assert judge(replace(story.life(), at_rest=False)) == ()
    assert set(story.found()) == {"I3", "I5"}
