"""What the till did by itself, as a record of the journal."""

from __future__ import annotations

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.flow.note import put_on_record
from pos_engine.journal.record import State
from pos_engine.session.contingency import Act, Deed, Step
from tests.support.exchange import PROFILE, Script, approve, sale, signed_on


@pytest.mark.parametrize(
    ("deed", "act", "words"),
    [
        (Deed.BEGAN, None, "the terminal cannot sign on"),
        (Deed.TRIED, Step(Act.RETRY, 15), "tried: retry 15 s"),
        (Deed.TRIED, Step(Act.ROUTE, address="tcp://backup.example:9000"), "tried: route tcp://backup.example:9000"),
    ],
)
def test_a_deed_is_a_record_of_which_nothing_was_sent(deed: Deed, act: Step | None, words: str) -> None:
    script = Script(signed_on("000007"), approve())
    script.run(sale())
    finished = script.play(put_on_record(deed, act, script.journal, PROFILE, script.clock.now()))
    record = finished.record
    assert record is not None
    assert script.journal.find(record.number) == record
    assert (record.kind, record.state, record.notes) == (Kind.NOTE, State.APPROVED, (words,))
    assert (record.number, record.stan, record.batch) == (3, "000003", "000007")
    assert (record.request.mti, len(record.request)) == ("", 0)
    assert len(script.sent) == 2
