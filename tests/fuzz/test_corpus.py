from __future__ import annotations

import pytest

from tests.fuzz.decoding import CORPUS, check


@pytest.mark.parametrize("data", CORPUS, ids=lambda data: f"{len(data)} bytes")
def test_every_input_of_the_corpus_is_read_alike_by_all_readers(data: bytes) -> None:
    check(data)


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) >= 20
    assert sum(map(len, CORPUS)) <= 64 * 1024
