from __future__ import annotations

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from simulators.scenario import TRIGGERS, Fault, Trigger, triggered


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=map(str, TRIGGERS))
def test_every_trigger_has_three_digits_both_texts_and_a_code_the_dialect_lists(trigger: Trigger) -> None:
    assert 0 <= trigger.digits <= 999
    assert trigger.title.en
    assert trigger.title.zh
    assert (trigger.code in UNIONPAY.codes) == (trigger.fault is Fault.DECLINE)
    assert Kind.REVERSAL not in trigger.kinds


def test_every_fault_can_be_triggered() -> None:
    assert {trigger.fault for trigger in TRIGGERS.values()} == set(Fault)


@pytest.mark.parametrize(
    ("amount", "digits"), [(951, 951), (1_951, 951), (123_951, 951), (1_950, None), (95_100, None)]
)
def test_the_last_three_digits_of_the_amount_decide(amount: int, digits: int | None) -> None:
    found = triggered(TRIGGERS, Kind.SALE, amount)
    assert (found.digits if found else None) == digits


def test_a_reversal_never_meets_its_originals_trigger() -> None:
    assert triggered(TRIGGERS, Kind.REVERSAL, 996) is None
