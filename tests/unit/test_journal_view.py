"""The rules that every journal keeps: the order of STANs."""

from __future__ import annotations

import pytest

from pos_engine.errors import JournalFault
from pos_engine.journal.view import following_stan


@pytest.mark.parametrize(
    ("last", "used", "following"),
    [
        (None, set(), "000001"),
        ("000001", set(), "000002"),
        ("999998", set(), "999999"),
        ("999999", set(), "000001"),
        ("999999", {"000001", "000002"}, "000003"),
        ("000007", {"000008"}, "000009"),
    ],
)
def test_the_next_stan_is_the_first_free_one(last: str | None, used: set[str], following: str) -> None:
    assert following_stan(last, used.__contains__) == following


def test_the_last_stan_that_is_left_is_found_and_then_none() -> None:
    assert following_stan("000005", lambda stan: stan != "000005") == "000005"
    with pytest.raises(JournalFault, match="every STAN of the batch is used"):
        following_stan("000005", lambda _stan: True)
