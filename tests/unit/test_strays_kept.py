"""Late, foreign and unasked messages: what was found is not lost, and what is found again and again costs little."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.iso87 import ISO87
from pos_engine.errors import Trouble
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.outcomes import InDoubt
from pos_engine.flow.strays import recognise
from pos_engine.journal.memory import MemoryJournal
from pos_engine.journal.record import Record, State
from pos_engine.link import Link
from pos_engine.transport.base import Silence
from pos_engine.values import Amount
from pos_engine.wire.message import Message
from simulators.server import BackgroundServer
from tests.support.exchange import PROFILE, approve, sale, silence
from tests.support.shop import Shop
from tests.support.strays import FIRST, SALE, after, came, kept, of_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FEW = 200
"""Three times `limits.STRAY_LOOKUPS_MAX`."""


def test_a_proof_that_was_found_before_a_request_survives_an_interrupt_of_its_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was kept by the link until an exchange had ended; now it is in nobody's hands while the answer is awaited."""
    usual, script = Link.receive, ["sign-on", "late", "interrupt"]

    def receive(link: Link, deadline: float) -> bytes:
        what = script.pop(0) if script else "usual"
        if what == "interrupt":
            link.close()
            raise KeyboardInterrupt
        frame = usual(link, deadline)
        if what == "late":
            # As where the terminal was held up: read after the deadline, shelved, and the wait ends in silence.
            link._arrived.append(frame)  # noqa: SLF001 - what `Link._await_bytes` has done by then
            link.close()
            reason = "silence"
            raise Silence(reason, trouble=Trouble.TIMEOUT)
        return frame

    monkeypatch.setattr(Link, "receive", receive)
    with BackgroundServer() as host:
        shop = Shop(tmp_path, int(host.address.rpartition(":")[2]))
        with shop.open() as terminal:
            terminal.sign_on()
            assert isinstance(terminal.sale(Amount.cny("12.34")), InDoubt)
            with pytest.raises(KeyboardInterrupt):
                terminal.sale(Amount.cny("1.00"))
            terminal.sale(Amount.cny("1.00"))
        reversals = [each for each in shop.records() if each.kind is Kind.REVERSAL]
    assert [each.approval_proven for each in reversals] == [True]


def test_a_message_is_recognised_though_the_journal_has_records_of_another_dialect() -> None:
    """A download of the former dialect is among the newest requests, and has no number either."""
    script = after(approve())
    sold = kept(script, SALE)
    download = replace(
        sold,
        number=script.journal.next_number(),
        kind=Kind.PARAMETERS,
        state=State.APPROVED,
        stan=script.journal.next_stan(),
        request=Message("0800", {41: "T0000001", 42: "M00000000000001", 60: "00000001360"}),
        amount=None,
        card=None,
    )
    script.journal.save(replace(download, state=State.PENDING, answer=None))
    script.journal.save(download)
    stray = Answered(script.clock.now(), Message("0810", {39: "00", 41: "T0000001"}), MacState.ABSENT)
    seen = recognise(stray, sold, script.journal, replace(PROFILE, dialect=ISO87), batch=FIRST, before=False)
    assert seen.request == SALE


def test_in_a_flood_of_one_message_it_is_not_compared_with_other_requests_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes again and again is counted, and does not count as a flood."""
    looked = 0
    usual = MemoryJournal.recent_requests

    def recent_requests(journal: MemoryJournal, count: int) -> Sequence[Record]:
        nonlocal looked
        looked += 1
        return usual(journal, count)

    monkeypatch.setattr(MemoryJournal, "recent_requests", recent_requests)
    script = after(silence, approve())
    foreign = of_record(script, SALE, {11: "999999"})
    script.replies = [*(came(foreign) for _ in range(1000)), approve()]
    script.run(sale("1.00"))
    assert looked < FEW
