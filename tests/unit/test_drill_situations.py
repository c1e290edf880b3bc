"""Every situation, with every row of answers: the host's books confirm what the table says about each act."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pos_engine import NotSent, PosError, UsageError
from simulators.cards import CARDS
from simulators.drill import SITUATIONS, Answer, Asked, Played, play
from simulators.drill.acts import Moment, Move, graded
from simulators.drill.diary import UNSEEN, Entry, Who
from simulators.drill.play import ordered
from simulators.drill.scoring import Grade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulators.drill.acts import Choice

PAID_WITH_CARD = (6800,)


@dataclass
class Cashier:
    """A trainee who chooses by a rule, and takes the same time for each act."""

    rule: Callable[[Asked], int]
    seconds: float = 5.0
    seen: list[Entry] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    waited_s: float = 0.0

    def see(self, entry: Entry) -> None:
        self.seen.append(entry)

    def choose(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return Answer(self.rule(asked), self.seconds)

    def pass_time(self, seconds: float) -> None:
        assert seconds > 0
        self.waited_s += seconds


def by_grade(*grades: Grade) -> Callable[[Asked], int]:
    """Choose the first act of a grade, of the first of these that is offered."""

    def rule(asked: Asked) -> int:
        found = [each.grade for each in asked.choices]
        return found.index(next(grade for grade in grades if grade in found))

    return rule


def by_moves(*wanted: Move) -> Callable[[Asked], int]:
    """Choose the act with one of these moves, else the right one."""

    def rule(asked: Asked) -> int:
        places = (place for place, each in enumerate(asked.choices) if set(wanted) & set(each.moves))
        return next(places, by_grade(Grade.RIGHT)(asked))

    return rule


def by_places(places: tuple[int, ...]) -> Callable[[Asked], int]:
    left = iter(places)
    return lambda _asked: next(left)


def drilled(name: str, rule: Callable[[Asked], int]) -> Played:
    return play(SITUATIONS[name], Cashier(rule))


def grades(played: Played) -> list[Grade]:
    return [entry.mark.grade for entry in played.acts if entry.mark is not None]


def told(played: Played, who: Who) -> list[str]:
    return [entry.text.en for entry in played.timeline if entry.who is who]


def every_choice() -> Iterator[Choice]:
    return (
        choice for situation in SITUATIONS.values() for decision in situation.decisions for choice in decision.choices
    )


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_right_acts_bring_every_point_and_books_that_agree(name: str) -> None:
    played = drilled(name, by_grade(Grade.RIGHT))
    assert grades(played) == [Grade.RIGHT] * len(SITUATIONS[name].decisions)
    assert (played.score.percent, played.score.passed) == (100, True)
    assert played.books.findings == ()
    assert played.books.has_goods
    assert played.books.paid_minor == played.books.due_minor


@pytest.mark.parametrize("name", SITUATIONS)
def test_dangerous_acts_fail_whatever_else_was_done(name: str) -> None:
    played = drilled(name, by_grade(Grade.DANGEROUS))
    assert Grade.DANGEROUS in grades(played)
    assert not played.score.passed


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_books_and_the_table_agree_about_every_row_of_answers(name: str) -> None:
    situation = SITUATIONS[name]
    seen = set()
    for places in itertools.product(range(4), repeat=len(situation.decisions)):
        cashier = Cashier(by_places(places))
        played = play(situation, cashier)
        used = places[: len(cashier.asked)]
        if used in seen:
            continue
        seen.add(used)
        # Nothing that the table calls right, harmless or costly may charge twice, or give goods away.
        assert not played.books.findings or Grade.DANGEROUS in grades(played), used
        assert played.books.differences == (), used
        assert played.score.passed is (played.score.percent >= 80 and Grade.DANGEROUS not in grades(played))
    assert len(seen) >= 4


@pytest.mark.parametrize(
    ("name", "move", "finding"),
    [
        ("expired", Move.OTHER_TILL, "the customer was charged twice: 136.00 CNY by card"),
        ("demanded", Move.OTHER_TILL, "the customer was charged twice: 136.00 CNY by card"),
        ("line-gap", Move.CASH, "the customer paid twice: 68.00 CNY by card, and cash"),
        ("line-dead", Move.NOTE_CARD, "the goods left the shop, and 0.00 CNY of 68.00 CNY was paid"),
        ("demanded", Move.GOODS, "the goods left the shop, and 0.00 CNY of 68.00 CNY was paid"),
        (
            "no-answer",
            Move.OTHER_TILL,
            "for a while the customer was charged twice: 136.00 CNY by card, until it was taken back",
        ),
        ("no-answer", Move.GOODS, "the goods left the shop, and 0.00 CNY of 68.00 CNY was paid"),
        ("balance", Move.GOODS, "the goods left the shop, and 0.00 CNY of 68.00 CNY was paid"),
    ],
)
def test_what_is_dangerous_is_found_in_the_books(name: str, move: Move, finding: str) -> None:
    assert [each.en for each in drilled(name, by_moves(move)).books.findings] == [finding]


def test_an_expired_sign_on_is_renewed_by_the_terminal_alone() -> None:
    played = drilled("expired", by_grade(Grade.RIGHT))
    assert "the sign-on is older than the profile allows" in told(played, Who.DISPLAY)
    assert told(played, Who.TERMINAL)[:2] == ["sign-on: on record, and sent", "sign-on: approved"]
    assert played.books.effects == PAID_WITH_CARD
    (act,) = played.acts
    assert act.at_s == pytest.approx(5)
    assert played.timeline[-1].at_s == pytest.approx(11)


def test_a_busy_terminal_refuses_a_second_order() -> None:
    played = drilled("expired", by_grade(Grade.HARMLESS))
    assert "NOT NOW: the terminal is in the middle of something" in told(played, Who.DISPLAY)
    assert played.books.effects == PAID_WITH_CARD


def test_a_terminal_that_was_switched_off_begins_its_sign_on_again() -> None:
    played = drilled("expired", by_grade(Grade.COSTLY))
    assert "a sign-on was cut short" in told(played, Who.DISPLAY)
    assert played.books.effects == PAID_WITH_CARD


def test_a_line_that_comes_back_after_twenty_seconds_lets_the_sale_go_on() -> None:
    played = drilled("line-gap", by_grade(Grade.RIGHT))
    assert [entry.at_s for entry in played.timeline if entry.who is Who.LINE] == [0, 20]
    did = told(played, Who.TERMINAL)
    assert "goods and amount were confirmed again: the sale goes on" in did
    assert did[0] == "sign-on: not sent, there is no way to the host's network"
    assert "the plan is at its end: the sale was refused" not in did


def test_after_a_sale_at_the_next_till_only_no_is_right() -> None:
    answers = by_moves(Move.OTHER_TILL, Move.LEAVE)
    played = play(SITUATIONS["line-gap"], Cashier(lambda asked: answers(asked) if asked.decision.paid else 3))
    assert grades(played) == [Grade.DANGEROUS, Grade.RIGHT]
    assert played.books.findings == ()
    twice = play(SITUATIONS["line-gap"], Cashier(by_places((3, 2))))
    assert grades(twice) == [Grade.DANGEROUS, Grade.DANGEROUS]
    assert twice.acts[-1].why is not None
    assert "a second charge" in twice.acts[-1].why.en


def test_a_dead_line_ends_the_sale_and_nothing_is_sent() -> None:
    played = drilled("line-dead", by_grade(Grade.RIGHT))
    assert told(played, Who.TERMINAL)[-2:] == [
        "hold 20 s: tried in vain",
        "the plan is at its end: the sale was refused",
    ]
    assert [entry.text.zh for entry in played.timeline if entry.text.en == "hold 20 s: tried in vain"] == [
        "请顾客等候20秒: 未成功"
    ]
    assert (played.books.effects, played.books.cash_minor) == ((), 6800)


def test_a_repeat_after_77_takes_the_card_again_and_charges_once() -> None:
    played = drilled("demanded", by_grade(Grade.RIGHT))
    assert told(played, Who.SHOP).count("the terminal takes card and PIN") == 2
    sales = [text for text in told(played, Who.TERMINAL) if text.startswith("sale")]
    assert [text.split(": ", 1)[1].split(",")[0] for text in sales] == ["declined", "approved"]
    assert played.books.effects == PAID_WITH_CARD


def test_silence_is_reversed_before_the_next_sale() -> None:
    played = drilled("no-answer", by_grade(Grade.RIGHT))
    assert played.books.effects == (6800, -6800, 6800)
    assert any(text.startswith("OUTCOME UNKNOWN 68.00 CNY") for text in told(played, Who.DISPLAY))
    assert any(text.endswith("68.00 CNY: reversed") for text in told(played, Who.DISPLAY))


def test_signing_on_again_brings_no_money_to_a_card() -> None:
    played = drilled("balance", by_grade(Grade.COSTLY))
    declined = [text for text in told(played, Who.DISPLAY) if text.startswith("DECLINED 68.00 CNY 51")]
    assert len(declined) == 2
    assert (played.books.effects, played.books.has_goods) == ((), False)


def test_wrong_keys_are_refused_however_often_somebody_signs_on() -> None:
    played = drilled("keys", by_grade(Grade.COSTLY))
    refused = "NO SIGN-ON: the new keys fail their check value"
    assert told(played, Who.DISPLAY).count(refused) == 3
    assert all("a received key does not agree" in text for text in told(played, Who.TERMINAL) if "sign-on:" in text)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_same_drill_is_the_same_again(name: str) -> None:
    assert drilled(name, by_grade(Grade.RIGHT)) == drilled(name, by_grade(Grade.RIGHT))


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_is_seen_has_no_journal_and_no_marks(name: str) -> None:
    cashier = Cashier(by_grade(Grade.RIGHT))
    played = play(SITUATIONS[name], cashier)
    assert cashier.seen
    assert all(entry.who not in UNSEEN and entry.mark is None for entry in cashier.seen)
    assert set(cashier.seen) < set(played.timeline)
    times = [entry.at_s for entry in played.timeline]
    assert times == sorted(times)


def test_whoever_watches_live_waits_as_long_as_the_shop_does() -> None:
    cashier = Cashier(by_grade(Grade.RIGHT), seconds=7.0)
    played = play(SITUATIONS["no-answer"], cashier)
    assert cashier.waited_s + 7.0 * len(cashier.asked) == pytest.approx(played.timeline[-1].at_s)


def test_whoever_thinks_for_an_hour_does_not_think_the_terminal_to_death() -> None:
    played = play(SITUATIONS["expired"], Cashier(by_grade(Grade.RIGHT), seconds=3600.0))
    assert played.books.effects == PAID_WITH_CARD
    assert (played.score.percent, played.timeline[-1].at_s) == (50, 26)


def test_a_seed_shuffles_the_choices_and_changes_nothing_else() -> None:
    orders = set()
    for seed in range(20):
        cashier, again = Cashier(by_grade(Grade.RIGHT)), Cashier(by_grade(Grade.RIGHT))
        assert play(SITUATIONS["line-gap"], cashier, seed=seed) == drilled("line-gap", by_grade(Grade.RIGHT))
        play(SITUATIONS["line-gap"], again, seed=seed)
        assert cashier.asked == again.asked
        orders.add(tuple(asked.choices for asked in cashier.asked))
    assert len(orders) > 10
    decision = SITUATIONS["expired"].decisions[0]
    assert ordered(decision, SITUATIONS["expired"], None) == decision.choices


def test_every_decision_has_one_right_act_and_a_dangerous_one_where_it_stands() -> None:
    for situation in SITUATIONS.values():
        assert situation.title.zh
        for decision in situation.decisions:
            found = [choice.grade for choice in decision.choices]
            assert found.count(Grade.RIGHT) == 1
            assert len(found) == 4
    for situation in SITUATIONS.values():
        offered = {choice.grade for decision in situation.decisions for choice in decision.choices}
        assert {Grade.RIGHT, Grade.DANGEROUS} <= offered
    # The right act is not always the same number.
    places = {
        [choice.grade for choice in decision.choices].index(Grade.RIGHT)
        for situation in SITUATIONS.values()
        for decision in situation.decisions
    }
    assert places == {0, 1, 2, 3}


def test_every_text_is_in_both_languages() -> None:
    for choice in every_choice():
        for text in (choice.text, choice.why):
            assert text.en.isascii()
            assert any("\u4e00" <= character <= "\u9fff" for character in text.zh)


def test_only_a_question_of_the_till_is_graded_by_what_was_paid() -> None:
    confirm = SITUATIONS["line-gap"].decisions[1]
    for choice in confirm.choices:
        assert graded(choice, Moment.CONFIRMING, paid=False) == (choice.grade, choice.why)
        assert graded(choice, Moment.ENDED, paid=True) == (choice.grade, choice.why)
        expected = Grade.RIGHT if choice.moves == (Move.LEAVE,) else Grade.DANGEROUS
        assert graded(choice, Moment.CONFIRMING, paid=True)[0] is expected


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("error", [UsageError, NotSent])
def test_whoever_fails_to_answer_has_not_stopped_the_till(name: str, error: type[PosError]) -> None:
    def rule(asked: Asked) -> int:
        del asked
        reason = "no answer"
        raise error(reason)

    with pytest.raises(error, match="no answer"):
        drilled(name, rule)


@pytest.mark.parametrize("name", SITUATIONS)
def test_no_timeline_shows_a_card_number(name: str) -> None:
    for grade in Grade:
        played = drilled(name, by_grade(grade, Grade.RIGHT))
        text = "".join(entry.text.en + entry.text.zh for entry in played.timeline)
        assert not any(card.pan.reveal() in text for card in CARDS.values())
