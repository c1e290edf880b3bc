"""A host for the commands to talk to, and folders to run them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Shop, new_shop, running_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_host(tmp_path_factory.mktemp("host")) as (_, first):
        yield int(first["port"])


@pytest.fixture
def shop(tmp_path: Path, port: int) -> Shop:
    made = new_shop(tmp_path, port)
    made.initialise()
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Shop:
    return Shop(tmp_path, "T9999999")
