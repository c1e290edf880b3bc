"""Random days of one terminal and its host: whatever is lost, late, doubled, wrong or cut off, both books agree."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from operator import methodcaller

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pos_engine import Amount
from pos_engine.dialects.base import Kind
from simulators.bench import MemoryLink
from simulators.scenario import Action, Do, Form
from tests.simulation.days import (
    Shop,
    Trouble,
    cable,
    clock_is_set,
    host_does,
    host_restarts,
    line_does,
    power_goes,
    time_passes,
)

# The nightly profile takes its time.
pytestmark = pytest.mark.timeout(3 * 3600)

AMOUNTS = st.integers(1, 30_000).map(Amount)
CARDS = st.sampled_from(("everyday", "everyday", "poor", "gift"))
CALLS = st.sampled_from(("tick", "tick", "balance", "echo", "sign_on", "sign_off"))
# Less than the answer timeout of a minute, just about it, and far more.
SECONDS = st.sampled_from((0.5, 59.5, 60.0, 60.5, 300.0))
FRAME_BYTES = st.integers(0, 220)
# What a host does wrong or on purpose. It never approves what it does not book: no terminal could find that out.
DEEDS = st.sampled_from(
    (
        (Action(do=Do.DECLINE, code="05"),),
        (Action(do=Do.DECLINE, code="96"),),
        (Action(do=Do.DEMAND_SIGN_ON, code="77"),),
        (Action(do=Do.DEMAND_SIGN_ON, code="A0"),),
        (Action(do=Do.DEMAND_SIGN_ON, by_header=True),),
        (Action(do=Do.WRONG_MAC),),
        (Action(do=Do.WRONG_STAN),),
        (Action(do=Do.WRONG_AMOUNT),),
        (Action(do=Do.MALFORMED, form=Form.TRUNCATED),),
        (Action(do=Do.MALFORMED, form=Form.GARBAGE),),
        (Action(do=Do.PARTIAL, percent=50),),
        (Action(do=Do.DUPLICATE, copies=3),),
        (Action(do=Do.DROP, book=False),),
        (Action(do=Do.DROP, book=True),),
        (Action(do=Do.CLOSE, book=False),),
        (Action(do=Do.CLOSE, book=True),),
        (Action(do=Do.DELAY, seconds=59.0),),
        (Action(do=Do.DELAY, seconds=61.0),),
        (Action(do=Do.LATE, seconds=61.0),),
        (Action(do=Do.LATE, seconds=200.0),),
    )
)


MISHAPS = st.one_of(
    st.sampled_from((MemoryLink.lose_request, MemoryLink.lose_answer, MemoryLink.duplicate)),
    st.builds(methodcaller, st.just("delay"), SECONDS),
    st.builds(methodcaller, st.just("cut_after"), FRAME_BYTES, of=st.sampled_from(("answer", "request"))),
)

WALLS = st.sampled_from(
    (
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2027, 12, 31, 15, 59, 59, tzinfo=UTC),
        datetime(2028, 2, 29, 12, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    )
)
PASSING_S = st.sampled_from((1.0, 5.0, 61.0, 3_600.0, 86_400.0))
BETWEEN = st.one_of(
    st.builds(partial, st.just(cable), is_in=st.booleans()),
    st.builds(partial, st.just(host_restarts), with_keys=st.booleans()),
    st.builds(partial, st.just(Shop.restart), orderly=st.booleans(), reboot=st.booleans()),
    st.builds(partial, st.just(time_passes), seconds=PASSING_S, wall_only=st.booleans()),
    st.builds(partial, st.just(clock_is_set), wall=WALLS),
)


def troubles(kind: Kind) -> st.SearchStrategy[Trouble | None]:
    """What may go wrong with an order of a kind, or with what it leads to."""
    kinds = st.sampled_from((kind, kind, kind, Kind.REVERSAL, Kind.SIGN_ON))
    return st.one_of(
        st.just(None),
        st.builds(partial, st.just(host_does), kind=kinds, deed=DEEDS, times=st.integers(1, 3)),
        st.builds(partial, st.just(line_does), mishap=MISHAPS, smoothly=st.integers(0, 2)),
        st.builds(partial, st.just(power_goes), moments=st.integers(0, 24)),
    )


class Days(RuleBasedStateMachine):
    """A terminal, a host, and everything that happens to them."""

    @initialize()
    def open_the_shop(self) -> None:
        self.shop = Shop()

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.end_the_day()
            event(f"outcomes in doubt: {min(self.shop.open_doubts(), 5)}")
            self.shop.bench.close()

    # What a cashier does, and what goes wrong just then.

    @rule(amount=AMOUNTS, card=CARDS, allow_partial=st.booleans(), trouble=troubles(Kind.SALE))
    def sell(self, amount: Amount, card: str, trouble: Trouble | None, *, allow_partial: bool) -> None:
        self.expect(trouble)
        self.shop.sell(amount, card, allow_partial=allow_partial)

    @precondition(lambda self: self.shop.sales)
    @rule(data=st.data(), trouble=troubles(Kind.VOID))
    def void(self, data: st.DataObject, trouble: Trouble | None) -> None:
        self.expect(trouble)
        self.shop.void(data.draw(st.sampled_from(self.shop.sales)))

    @precondition(lambda self: self.shop.sales)
    @rule(data=st.data(), in_full=st.booleans(), trouble=troubles(Kind.REFUND))
    def refund(self, data: st.DataObject, trouble: Trouble | None, *, in_full: bool) -> None:
        self.expect(trouble)
        paid = data.draw(st.sampled_from(self.shop.sales))
        self.shop.refund(paid, paid.amount if in_full else Amount(max(1, paid.amount.minor // 3)))

    @precondition(lambda self: self.shop.orders)
    @rule(data=st.data())
    def order_again_under_the_same_key(self, data: st.DataObject) -> None:
        self.shop.order_again(data.draw(st.sampled_from(sorted(self.shop.orders))))

    @rule(
        what=st.sampled_from(("tick", "tick", "balance", "echo", "sign_on", "sign_off")), trouble=troubles(Kind.BALANCE)
    )
    def ask(self, what: str, trouble: Trouble | None) -> None:
        self.expect(trouble)
        self.shop.ask(getattr(self.shop.terminal, what))

    def expect(self, trouble: Trouble | None) -> None:
        if trouble is not None:
            trouble(self.shop)

    # What happens between two orders.

    @rule(what=BETWEEN)
    def meanwhile(self, what: partial[None]) -> None:
        what(self.shop)

    # What must hold.

    @invariant()
    def what_was_shown_stays(self) -> None:
        assert self.shop.changed_outcomes() == []

    @invariant()
    def nothing_is_booked_twice_under_one_key(self) -> None:
        assert self.shop.doubled_keys() == []

    @rule()
    def end_the_day(self) -> None:
        """Work off what is owed; then both books agree to the fen."""
        self.shop.settle_down()
        assert self.shop.disagreements() == []


TestDays = Days.TestCase
TestDays.settings = settings(stateful_step_count=40)
