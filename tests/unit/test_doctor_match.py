"""Every element that decides whether a message is the answer: compared, named, and put in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.iso87 import ISO87
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.doctor.match import Examined, examine, match, verdict
from pos_engine.errors import UsageError
from pos_engine.flow.effects import Answered, MacState
from pos_engine.wire.message import Message
from tests.support.exchange import Script, approve, sale, signed_on, silence

if TYPE_CHECKING:
    from pos_engine.journal.record import Record

SALE = 2


def asked() -> Message:
    script = Script(signed_on(), silence)
    script.run(sale())
    return script.sent[-1]


def answered(request: Message, changes: dict[int, str] | None = None, *, without: int = 0) -> Message:
    happened = approve(changes)(request, Script().clock.now())
    assert isinstance(happened, Answered)
    return happened.message.only(happened.message.keys() - {without})


def kept(script: Script, number: int) -> Record:
    record = script.journal.find(number)
    assert record is not None
    return record


@pytest.mark.parametrize("dialect", [UNIONPAY, ISO87])
def test_an_answer_agrees_in_every_element_that_decides(dialect: object) -> None:
    request = asked()
    (found,) = match(request, [answered(request)], UNIONPAY if dialect is UNIONPAY else ISO87)
    assert found.matches
    assert found.distance == 0
    assert [each.where for each in found.elements] == ["MTI", "11", "41", "3", "4", "42", "49", "60.2"]
    assert {verdict(each).en for each in found.elements} == {"agrees"}
    assert found.row.kind is Kind.SALE


def test_every_difference_is_named_and_not_only_the_first() -> None:
    request = asked()
    other = answered(request, {4: "000000000001", 42: "M00000000000002"}, without=11)
    (found,) = match(request, [Message("0410", dict(other.items()))], UNIONPAY)
    verdicts = {each.where: verdict(each).en for each in found.elements}
    assert verdicts == {
        "MTI": "differs",
        "11": "missing",
        "41": "agrees",
        "3": "agrees",
        "4": "differs",
        "42": "differs",
        "49": "agrees",
        "60.2": "agrees",
    }
    assert [each.where for each in found.differs] == ["MTI", "11", "4", "42"]


def test_the_nearest_comes_first_and_keeps_its_place() -> None:
    request = asked()
    far, near, good = (
        answered(request, {11: "000099", 4: "000000000001"}),
        answered(request, {11: "9"}),
        answered(request),
    )
    assert [each.place for each in match(request, [far, near, good], UNIONPAY)] == [3, 2, 1]


def test_a_management_message_is_told_by_its_network_code() -> None:
    script = Script(signed_on(), silence)
    script.run(sale())
    request = script.sent[0]
    (found,) = match(request, [answered(request, {60: "00000001999"})], UNIONPAY)
    assert [each.where for each in found.differs] == ["60.3"]


def test_a_message_that_is_no_request_of_a_terminal_is_refused() -> None:
    request = asked()
    with pytest.raises(UsageError, match="none that a terminal of this dialect sends"):
        match(answered(request), [request], UNIONPAY)


def examined(script: Script, number: int) -> Examined:
    return examine(kept(script, number), script.journal, UNIONPAY)


def test_a_request_that_was_answered_matches_by_that_alone() -> None:
    script = Script(signed_on(), approve())
    script.run(sale())
    assert (examined(script, SALE).answered, examined(script, SALE).matched) == (True, True)
    assert examined(script, SALE).candidates == ()


def test_a_request_that_was_not_is_matched_by_what_came_late() -> None:
    script = Script(signed_on(), silence, approve())
    script.run(sale())
    script.run(None)
    assert not examined(script, SALE).matched
    late = answered(kept(script, SALE).request)
    script.replies = [lambda _request, now: Answered(now, late, MacState.VALID), approve()]
    script.run(sale("1.00"))
    assert (examined(script, SALE).answered, examined(script, SALE).matched) == (False, True)


def test_what_differs_is_a_candidate_and_matches_nothing() -> None:
    foreign = lambda request, now: replace(approve({11: "000099"})(request, now))  # noqa: E731 - one reply
    script = Script(signed_on(), foreign, silence)
    script.run(sale())
    (candidate,) = examined(script, SALE).candidates
    assert not examined(script, SALE).matched
    assert [each.where for each in candidate.differs] == ["11"]
