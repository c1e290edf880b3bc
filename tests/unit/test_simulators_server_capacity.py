from __future__ import annotations

import resource

import pytest

from simulators.server.capacity import CONNECTIONS_MAX, FILES_RESERVED, ask_for_files, connections_max

ENDLESS = resource.RLIM_INFINITY
FEW = 1_024
MANY = CONNECTIONS_MAX + FILES_RESERVED


@pytest.fixture(name="limits")
def _limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the system grants; the last pair counts, and what is asked for becomes the last."""
    asked = [(FEW, ENDLESS)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: asked[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
    return asked


@pytest.mark.parametrize(
    ("soft", "room"),
    [(FEW, FEW - FILES_RESERVED), (10, 1), (ENDLESS, CONNECTIONS_MAX), (10 * MANY, CONNECTIONS_MAX)],
)
def test_a_host_takes_in_what_the_system_grants_less_its_own(
    limits: list[tuple[int, int]], soft: int, room: int
) -> None:
    limits.append((soft, ENDLESS))
    assert connections_max() == room


@pytest.mark.parametrize(
    ("pair", "after"),
    [
        ((FEW, 4 * FEW), (4 * FEW, 4 * FEW)),
        ((FEW, ENDLESS), (MANY, ENDLESS)),
        ((FEW, 10 * MANY), (MANY, 10 * MANY)),
        ((FEW, FEW), (FEW, FEW)),
        ((ENDLESS, ENDLESS), (ENDLESS, ENDLESS)),
        ((2 * MANY, 10 * MANY), (2 * MANY, 10 * MANY)),
    ],
)
def test_a_program_asks_for_as_much_as_it_may_and_needs(
    limits: list[tuple[int, int]], pair: tuple[int, int], after: tuple[int, int]
) -> None:
    limits.append(pair)
    ask_for_files()
    assert limits[-1] == after
