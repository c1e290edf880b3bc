"""The file against the model: whatever is saved, shredded, reopened or cut off, both journals tell the same history."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, State
from tests.support.records import KEYED, NOW, SPEC, STRIPE, answered, counting_entropy, new_record, open_journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.journal.view import JournalView

KEYS = ("order 1", "order 2")
WANTED = ("1", "4")
QUESTIONS: tuple[Callable[[JournalView], object], ...] = (
    lambda journal: journal.next_number(),
    lambda journal: journal.next_stan(),
    lambda journal: list(journal.recent(5)),
    lambda journal: list(journal.sealed_records()),
    lambda journal: list(journal.open_records((Kind.SALE, Kind.REVERSAL))),
    lambda journal: list(journal.open_records(tuple(Kind))),
    lambda journal: [journal.last_approved(kind) for kind in Kind],
    lambda journal: [list(journal.failures(kind)) for kind in Kind],
    lambda journal: [(journal.demanded_after(number), list(journal.acting_on(number))) for number in range(1, 9)],
    lambda journal: [journal.wanted_after(digit, number) for digit in WANTED for number in range(9)],
    lambda journal: [journal.find(number) for number in range(12)],
    lambda journal: list(journal.of_day(Kind.SALE, NOW.wall.date().isoformat())),
    lambda journal: [journal.find_key(key) for key in KEYS],
    lambda journal: list(journal.forms(1)),
    lambda journal: [journal.find_original(batch, "000001") for batch in ("000000", "000001", "000002")],
)
STATES = st.sampled_from([state for state in State if state is not State.DRAFT])
BATCHES = st.sampled_from(("000000", "000001", "000002"))
STANS = st.none() | st.sampled_from(("000001", "000002", "999998", "999999"))


class JournalModel(RuleBasedStateMachine):
    """The journal in memory is the model of the one in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "0" / "journal.db"
        self.path.parent.mkdir()
        self.entropy = counting_entropy()
        self.model = MemoryJournal(SPEC)
        self.journal = open_journal(self.path, entropy=self.entropy)
        self.lives = 0

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def save(self, record: Record) -> None:
        refusals = []
        for journal in (self.model, self.journal):
            refusals.append("")
            try:
                journal.save(record)
            except JournalFault as fault:
                refusals[-1] = str(fault)
        assert refusals[0] == refusals[1]

    @rule(
        kind=st.sampled_from((Kind.SIGN_ON, Kind.SALE)),
        state=STATES,
        batch=BATCHES,
        stan=STANS,
        is_keyed=st.booleans(),
        signed_on_by=st.none() | st.integers(1, 9),
        demands=st.booleans(),
        key=st.none() | st.sampled_from(KEYS),
        wanted=st.none() | st.sampled_from(WANTED),
    )
    def save_new(
        self,
        *,
        kind: Kind,
        state: State,
        batch: str,
        stan: str | None,
        is_keyed: bool,
        signed_on_by: int | None,
        demands: bool,
        key: str | None,
        wanted: str | None,
    ) -> None:
        record = new_record(self.model, kind, card=KEYED if is_keyed else STRIPE, batch=batch, state=state)
        record = replace(record, stan=stan or record.stan, signed_on_by=signed_on_by, demands_sign_on=demands)
        record = replace(record, key=key, wanted=wanted)
        self.save(answered(record, state) if state is State.APPROVED else record)

    @precondition(lambda self: self.model.recent(1))
    @rule(kind=st.sampled_from((Kind.REFUND, Kind.REVERSAL)), state=STATES, data=st.data())
    def save_acting_on_another(self, kind: Kind, state: State, data: st.DataObject) -> None:
        sales = [record for record in self.model.recent(99) if record.kind is Kind.SALE]
        if sales:
            self.save(new_record(self.model, kind, original=data.draw(st.sampled_from(sales)), state=state))

    @precondition(lambda self: self.model.recent(1))
    @rule(state=STATES, data=st.data(), note=st.text(max_size=3), batch=st.none() | BATCHES)
    def save_again(self, state: State, data: st.DataObject, note: str, batch: str | None) -> None:
        record = data.draw(st.sampled_from(self.model.recent(99)))
        wanted = data.draw(st.none() | st.sampled_from(WANTED))
        self.save(replace(record, state=state, notes=(note,), batch=batch or record.batch, wanted=wanted))

    @rule(numbers=st.lists(st.integers(0, 12), max_size=4))
    def shred(self, numbers: list[int]) -> None:
        self.model.shred(numbers)
        self.journal.shred(numbers)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = open_journal(self.path, entropy=self.entropy)

    @rule()
    def lose_power(self) -> None:
        """Go on with the files as they are at this moment, the write-ahead log included."""
        self.lives += 1
        left = self.folder / str(self.lives)
        left.mkdir()
        for ending in ("", "-wal", ".mark"):
            shutil.copy(f"{self.path}{ending}", left)
        self.journal.close()
        self.path = left / "journal.db"
        self.journal = open_journal(self.path, entropy=self.entropy)

    @invariant()
    def both_answer_alike(self) -> None:
        for question in QUESTIONS:
            assert question(self.journal) == question(self.model)

    @rule()
    def a_reader_sees_the_same(self) -> None:
        reader = open_journal(self.path, read_only=True)
        assert list(reader.recent(99)) == list(self.model.recent(99))
        reader.close()

    @invariant()
    def both_have_the_same_history(self) -> None:
        raw = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
        bodies = [body for (body,) in raw.execute("SELECT body FROM entries ORDER BY seq")]
        raw.close()
        assert bodies == self.model.history


TestJournalModel = JournalModel.TestCase
