"""What an act is worth, what a drill comes to, and what to practise next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.drill.books import Books
from simulators.drill.scoring import POINTS_MAX, Grade, Mark, Score, score, to_practise, total

RIGHT = Mark(Grade.RIGHT, 5.0)
DUE = 6800


@pytest.mark.parametrize(
    ("grade", "seconds", "points"),
    [
        (Grade.RIGHT, 5.0, 10),
        (Grade.RIGHT, 1.0, 10),
        (Grade.RIGHT, 0.99, 3),
        (Grade.RIGHT, -1.0, 3),
        (Grade.RIGHT, 30.0, 10),
        (Grade.RIGHT, 30.1, 9),
        (Grade.RIGHT, 45.0, 8),
        (Grade.RIGHT, 1e9, 5),
        (Grade.HARMLESS, 5.0, 6),
        (Grade.HARMLESS, 0.2, 3),
        (Grade.HARMLESS, 1e9, 1),
        (Grade.COSTLY, 5.0, 2),
        (Grade.COSTLY, 0.2, 2),
        (Grade.COSTLY, 1e9, 0),
        (Grade.DANGEROUS, 5.0, 0),
        (Grade.DANGEROUS, 0.2, 0),
    ],
)
def test_an_act_counts_by_its_grade_and_its_time(grade: Grade, seconds: float, points: int) -> None:
    assert Mark(grade, seconds).points == points


@given(st.sampled_from(Grade), st.floats(1, 1e6), st.floats(0, 1e6))
def test_thinking_longer_never_brings_more(grade: Grade, seconds: float, longer: float) -> None:
    assert 0 <= Mark(grade, seconds + longer).points <= Mark(grade, seconds).points <= POINTS_MAX


def test_guessing_alone_does_not_pass() -> None:
    guessed = score([Mark(Grade.RIGHT, 0.1)] * 5)
    assert (guessed.percent, guessed.passed) == (30, False)


def test_four_fifths_pass_and_one_danger_fails() -> None:
    assert score([RIGHT, Mark(Grade.HARMLESS, 5.0)]) == Score(16, 20, 0)
    assert score([RIGHT, Mark(Grade.HARMLESS, 5.0)]).passed
    assert not score([RIGHT, Mark(Grade.HARMLESS, 40.0)]).passed
    assert not score([RIGHT] * 9 + [Mark(Grade.DANGEROUS, 5.0)]).passed
    assert not score([RIGHT], findings=1).passed


def test_a_danger_that_the_books_show_is_counted_once() -> None:
    assert score([Mark(Grade.DANGEROUS, 5.0)], findings=1).dangers == 1


def test_nothing_asked_is_nothing_passed() -> None:
    assert (score([]).percent, score([]).passed) == (0, False)


def test_scores_add_up() -> None:
    assert total([Score(10, 10, 0), Score(8, 20, 1)]) == Score(18, 30, 1)


def test_the_worst_is_practised_first_and_the_best_not_at_all() -> None:
    scores = {
        "good": Score(10, 10, 0),
        "nearly": Score(9, 10, 0),
        "poor": Score(2, 10, 0),
        "dangerous": Score(5, 10, 1),
        "found": Score(10, 10, 1),
    }
    assert to_practise(scores) == ("dangerous", "found", "poor", "nearly")


def books(*effects: int, believed: int = DUE, cash: int = 0, goods: bool = True) -> Books:
    return Books(DUE, effects, believed, cash, goods)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (books(DUE), []),
        (books(cash=DUE), []),
        (books(believed=0, goods=False), []),
        (books(DUE, -DUE, believed=0, goods=False), []),
        (books(DUE, -DUE, DUE), []),
        (books(DUE, DUE, believed=2 * DUE), ["charged twice: 136.00"]),
        (books(DUE, DUE, -DUE), ["for a while"]),
        (books(DUE, believed=2 * DUE, cash=DUE), ["paid twice"]),
        (books(believed=0), ["0.00 CNY of 68.00 CNY was paid"]),
        (books(DUE, goods=False), ["left without the goods"]),
        (books(), ["0.00 CNY of 68.00", "believes that 68.00 CNY was paid, and it was 0.00"]),
        (Books(DUE, (DUE,), DUE, 0, has_goods=True, differences=("STAN 000001",)), ["differ"]),
    ],
)
def test_books_tell_what_went_wrong(found: Books, words: list[str]) -> None:
    assert len(found.findings) == len(words)
    for finding, expected in zip(found.findings, words, strict=True):
        assert expected in finding.en
        assert finding.zh


def test_what_was_charged_at_most_is_remembered() -> None:
    seen = books(DUE, DUE, -DUE)
    assert (seen.peak_minor, seen.charged_minor, seen.paid_minor) == (2 * DUE, DUE, DUE)
