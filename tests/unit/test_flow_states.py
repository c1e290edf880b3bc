from __future__ import annotations

import itertools

import pytest

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind
from pos_engine.errors import LocalProtocolError
from pos_engine.flow.states import REVERSAL_REASONS, TRANSITIONS, Action, Cue
from pos_engine.flow.step import Evidence, step
from pos_engine.journal.record import Record, State
from pos_engine.wire.message import Message

NOW = ManualClock().now()
FINAL = {State.APPROVED, State.DECLINED, State.UNSENT}


def record(state: State) -> Record:
    return Record(
        number=1,
        kind=Kind.SALE,
        state=state,
        stan="000001",
        batch="000001",
        request=Message("0200", {11: "000001"}),
        opened=NOW,
        changed=NOW,
    )


@pytest.mark.parametrize(("state", "cue"), list(itertools.product(State, Cue)))
def test_every_pair_of_state_and_cue_is_in_the_table_or_an_error(state: State, cue: Cue) -> None:
    if (state, cue) in TRANSITIONS:
        moved, effects = step(record(state), cue, NOW, Evidence())
        assert moved.state is TRANSITIONS[state, cue][0]
        assert effects
    else:
        with pytest.raises(LocalProtocolError, match=f"in state {state.name} cannot meet {cue.name}"):
            step(record(state), cue, NOW, Evidence())


def test_every_state_can_be_reached_and_left_unless_it_is_final() -> None:
    reached = {state for state, _ in TRANSITIONS.values()} | {State.DRAFT}
    left = {state for state, _ in TRANSITIONS}
    assert reached == set(State)
    assert left == set(State) - FINAL


def test_a_pending_exchange_has_a_way_out_on_silence_and_on_restart() -> None:
    for cue in (Cue.SILENCE, Cue.RESTART):
        assert TRANSITIONS[State.PENDING, cue] == (State.DOUBTFUL, Action.DOUBT)


def test_what_was_shown_never_changes() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]


def test_nothing_is_sent_before_it_is_saved_and_nothing_is_shown_before_it_is_saved() -> None:
    for state, cue in TRANSITIONS:
        _, effects = step(record(state), cue, NOW, Evidence())
        names = [type(effect).__name__ for effect in effects]
        for later in ("Send", "Emit"):
            if later in names:
                assert names.index("Save") < names.index(later)


def test_every_doubt_of_a_request_has_a_reason_for_its_reversal() -> None:
    doubts = {cue for (_, cue), (state, _) in TRANSITIONS.items() if state is State.DOUBTFUL}
    assert doubts - set(REVERSAL_REASONS) == {Cue.NOT_ACCEPTED, Cue.NOT_SENT_AGAIN}
    assert set(REVERSAL_REASONS.values()) <= {"98", "A0", "06", "96"}
