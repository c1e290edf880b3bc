"""Whatever is traded, backed up, lost, damaged and restored, in whatever order: no batch gives a STAN out twice."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, UsageError
from pos_engine.journal.record import State
from tests.support.backups import put_back
from tests.support.records import answered, new_record, open_journal

if TYPE_CHECKING:
    from pos_engine.journal.restore import Restored

BATCHES = st.sampled_from(("000000", "000001", "000002"))


class Numbers(RuleBasedStateMachine):
    """The test keeps every number that was ever given out; the journal forgets what was lost with it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.db"
        self.mark = self.folder / "other" / "mark"
        self.mark.parent.mkdir()
        self.given: set[tuple[str, str]] = set()
        self.shown = "000001"
        self.entries = 0
        self.backups: list[Path] = []
        self.batch = "000000"
        self.open()

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def open(self) -> None:
        self.journal = open_journal(self.path, mark_path=self.mark)

    def give(self, batch: str, stan: str) -> None:
        assert (batch, stan) not in self.given
        self.given.add((batch, stan))

    @initialize(stan=st.sampled_from(("000001", "000500", "999990", "999997")))
    def begin_anywhere(self, stan: str) -> None:
        record = replace(new_record(self.journal, Kind.SIGN_ON, batch=self.batch), stan=stan)
        self.journal.save(record)
        self.give(self.batch, stan)
        self.shown = stan

    @rule(batch=BATCHES)
    def sign_on(self, batch: str) -> None:
        record = new_record(self.journal, Kind.SIGN_ON, batch=self.batch)
        self.journal.save(record)
        self.give(self.batch, record.stan)
        self.journal.save(replace(answered(record, State.APPROVED), new_batch=batch))
        self.batch = batch

    @rule(count=st.integers(1, 4), is_doubtful=st.booleans())
    def sell(self, count: int, *, is_doubtful: bool) -> None:
        for _ in range(count):
            record = new_record(self.journal, batch=self.batch)
            self.journal.save(record)
            self.give(self.batch, record.stan)
            if is_doubtful:
                self.journal.save(replace(record, state=State.DOUBTFUL))
                self.journal.save(new_record(self.journal, Kind.REVERSAL, original=record))
            else:
                # Only this prints a receipt: a person knows of no other number.
                self.journal.save(answered(record, State.APPROVED))
                self.shown = record.stan

    @rule()
    def back_up(self) -> None:
        self.backups.append(self.folder / f"{len(self.backups)}.backup")
        self.journal.backup(self.backups[-1])

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.open()

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), is_rotten=st.booleans(), has_mark=st.booleans())
    def lose_and_restore(self, data: st.DataObject, *, is_rotten: bool, has_mark: bool) -> None:
        """Lose the journal, perhaps its mark too, and put any backup back, not only the newest."""
        backup = data.draw(st.sampled_from(self.backups))
        self.journal.close()
        if is_rotten:
            self.path.write_bytes(self.path.read_bytes()[:4096])
        else:
            self.path.unlink()
        if not has_mark:
            self.mark.unlink()
        with pytest.raises((JournalFault, AssertionError)):
            self.open_or_fail()
        self.after(self.put_back(backup))

    @rule(data=st.data())
    def lose_the_mark(self, data: st.DataObject) -> None:
        """Lose the mark alone: nothing that was traded is lost, whatever somebody tries to put back."""
        traded = self.traded()
        self.journal.close()
        self.mark.unlink()
        backup = data.draw(st.sampled_from([None, *self.backups]))
        try:
            done = put_back(backup, self.path, mark_path=self.mark, after_stan=self.shown)
        except UsageError:
            done = put_back(None, self.path, mark_path=self.mark)
        self.after(done)
        # A backup that holds more than the journal may be what was put back.
        assert set(traded) <= set(self.traded())

    def traded(self) -> list[tuple[str, str]]:
        records = self.journal.recent(10_000)
        return [(each.batch, each.stan) for each in records if each.kind is not Kind.RESTORE]

    def put_back(self, backup: Path) -> Restored:
        """Restore as a person does who names a number only where nothing else tells, and knows only what was shown."""
        for named in (None, self.shown):
            with contextlib.suppress(UsageError):
                return put_back(backup, self.path, mark_path=self.mark, after_stan=named)
        # What was restored has a later number than any that was shown, and the error says which.
        with pytest.raises(UsageError) as caught:
            put_back(backup, self.path, mark_path=self.mark, after_stan=self.shown)
        named = str(caught.value)[-6:]
        return put_back(backup, self.path, mark_path=self.mark, after_stan=named if named.isdecimal() else None)

    def open_or_fail(self) -> None:
        """See that nothing can be begun here; a journal that is lost with its mark looks like one never begun."""
        assert self.path.exists() or self.mark.exists()
        open_journal(self.path, mark_path=self.mark).close()

    def after(self, done: Restored) -> None:
        """Go on as a terminal does: what the host says the batch is comes with the next sign-on."""
        self.open()
        told = self.journal.recent(1)[0]
        assert (told.kind, told.stan) == (Kind.RESTORE, done.stan)
        self.give(told.batch, told.stan)
        self.shown = done.stan
        signed_on = self.journal.last_approved(Kind.SIGN_ON)
        self.batch = (signed_on.new_batch if signed_on else None) or told.batch

    @invariant()
    def the_next_number_is_new_in_every_batch_in_force(self) -> None:
        assert (self.batch, self.journal.next_stan()) not in self.given


TestNumbers = pytest.mark.timeout(600)(Numbers.TestCase)
TestNumbers.settings = settings(max_examples=12, stateful_step_count=15)
