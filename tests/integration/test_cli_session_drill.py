"""`session drill` as a trainee uses it: on a real terminal in both languages, and with answers given beforehand."""

from __future__ import annotations

import json
import os
import re

import pytest

from simulators.drill import SITUATIONS
from tests.support.commands import Shop, on_a_terminal

BEST = ["3", "1,3", "1,2", "2,4", "3,2", "1", "4"]
"""The right answers, situation by situation, where nothing is shuffled."""
DRILL = ("session", "drill")


@pytest.mark.parametrize(("name", "answers"), list(zip(SITUATIONS, BEST, strict=True)))
def test_the_right_answers_pass(empty: Shop, name: str, answers: str) -> None:
    done = empty.run(*DRILL, "--situation", name, "--answers", answers, "--lang", "en")
    assert (done.code, "score 100 of 100, passed\n" in done.out) == (0, True)
    assert "everything agrees" in done.out
    assert "nothing to practise" in done.out
    assert SITUATIONS[name].title.en in done.err
    assert list(empty.folder.iterdir()) == []


def test_a_whole_drill_as_one_object(empty: Shop) -> None:
    done = empty.run(*DRILL, "--answers", ",".join(BEST), "--json", "-q")
    content = done.json()
    assert (done.code, done.err) == (0, "")
    assert (content["score"], content["passed"], content["dangers"], content["practise"]) == (100, True, 0, [])
    assert [each["name"] for each in content["situations"]] == list(SITUATIONS)
    for each in content["situations"]:
        acts = [entry for entry in each["timeline"] if "grade" in entry]
        assert all((act["grade"], act["points"], act["seconds"]) == ("right", 10, 5.0) for act in acts)
        assert all(entry["text"]["en"] and entry["text"]["zh"] for entry in each["timeline"])
        assert {entry["who"] for entry in each["timeline"]} >= {"shop", "display", "cashier", "terminal"}
        assert each["books"]["findings"] == each["books"]["differences"] == []


def test_a_dangerous_act_is_told_in_chinese_with_what_the_books_found(empty: Shop) -> None:
    done = empty.run(*DRILL, "--situation", "line-gap", "--answers", "4,3", "--lang", "zh")
    assert done.code == 9
    assert "  !! 顾客被重复扣款: 银行卡共扣136.00 CNY\n" in done.out
    assert "=> 危险: 0分(满分10分), 用时5.0秒" in done.out
    assert "得分0 (满分100), 不合格: 有危险操作" in done.out
    assert f"  line-gap: {SITUATIONS['line-gap'].lesson.zh}\n" in done.out
    assert "终端连不上主机, 您怎么做?" in done.err


def test_seconds_count(empty: Shop) -> None:
    guessed = empty.run(*DRILL, "--situation", "expired", "--answers", "3@0.5", "--lang", "en")
    assert (guessed.code, "score 30 of 100, not passed: fewer than 80 points\n" in guessed.out) == (9, True)
    assert "guessed: that was too fast to have been read" in guessed.out
    slow = empty.run(*DRILL, "--situation", "expired", "--answers", "3@45", "--lang", "en")
    assert (slow.code, "score 80 of 100, passed\n" in slow.out) == (0, True)
    assert "slow: the customer was waiting" in slow.out


def test_answers_come_from_a_file_too(empty: Shop) -> None:
    (empty.folder / "answers.txt").write_text("1@8\n3\n")
    assert empty.run(*DRILL, "--situation", "line-gap", "--answers", "answers.txt").code == 0


def test_a_repeated_try_is_one_row(empty: Shop) -> None:
    done = empty.run(*DRILL, "--situation", "line-dead", "--answers", "1,2", "--lang", "en", "-q")
    assert re.search(
        r"^7 s +terminal +sign-on: not sent, there is no way to the host's network \(4 times\)$", done.out, re.MULTILINE
    )
    assert done.err == ""


def test_a_seed_shuffles_and_is_named(empty: Shop) -> None:
    outs = {empty.run(*DRILL, "--situation", "expired", "--answers", "1", "--seed", seed).err for seed in "1234"}
    assert len(outs) > 1
    done = empty.run(*DRILL, "--situation", "expired", "--answers", "1", "--seed", "4", "--lang", "en")
    assert done.err in outs
    assert "--seed 4 asks in this order again" in done.out


def test_a_kept_result_is_compared_with_the_next(empty: Shop) -> None:
    first = empty.run(*DRILL, "--situation", "expired", "--answers", "1", "--save", "a.json")
    assert first.code == 9
    kept = json.loads((empty.folder / "a.json").read_text())
    assert (kept["schema"], kept["drill"], kept["score"]) == (1, "session", 60)
    again = empty.run(*DRILL, "--situation", "expired", "--answers", "3", "--compare", "a.json", "--lang", "en")
    assert "compared with before:\n  whole drill: 60 -> 100\n  expired: 60 -> 100\n" in again.out
    every = empty.run(*DRILL, "--answers", ",".join(BEST), "--compare", "a.json", "--json", "-q").json()
    assert every["compared"] == [{"name": "expired", "before": 60, "now": 100}]


@pytest.mark.parametrize(
    "content",
    [
        *("", "no", "[]", "[1]", "{}", "\xff", "[" * 100_000, '{"schema": 1}'),
        '{"schema": 2, "drill": "session", "score": 1, "situations": []}',
        '{"schema": 1, "drill": "session", "score": "x", "situations": []}',
        '{"schema": 1, "drill": "session", "score": 1, "situations": [{"name": ["a"], "score": 1}]}',
    ],
)
def test_what_is_no_result_is_not_compared_with(empty: Shop, content: str) -> None:
    (empty.folder / "a.json").write_bytes(content.encode("latin-1"))
    done = empty.run(*DRILL, "--situation", "expired", "--answers", "3", "--compare", "a.json")
    assert (done.code, done.out) == (2, "")
    assert done.error().startswith("--compare: a.json: is no")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "nobody is there to decide: run it on a terminal, or give --answers 1,2,…"),
        (("--situation", "flood"), f"--situation: one of {', '.join(SITUATIONS)}, all"),
        (("--compare", "none.json"), "--compare: none.json: no such file or directory"),
        (("--answers", "none.txt"), "--answers: none.txt: no such file or directory"),
        (("--situation", "line-gap", "--answers", "1"), "--answers end before the questions do"),
        (("--situation", "expired", "--answers", "3,1"), "--answers: 1 more than there were questions"),
        (("--situation", "expired", "--answers", "9"), "--answers: there is no choice 9 of 4"),
        (("--situation", "expired", "--answers", "3", "--save", "no/a.json"), None),
    ],
)
def test_what_cannot_be_done_is_said(empty: Shop, arguments: tuple[str, ...], reason: str | None) -> None:
    done = empty.run(*DRILL, *arguments, "-q")
    assert done.code == 2
    if reason is not None:
        found = [line for line in done.err.splitlines() if line.startswith("pos-engine: ")]
        assert found == [f"pos-engine: {reason}"]
    else:
        assert done.err.endswith("pos-engine: --save: no/a.json: no such file or directory\n")


def test_a_file_of_something_else_is_no_list_of_answers(empty: Shop) -> None:
    (empty.folder / "answers.txt").write_text("one, two")
    done = empty.run(*DRILL, "--answers", "answers.txt")
    assert (done.code, done.error().startswith("--answers takes numbers")) == (2, True)


def test_a_pipe_is_not_waited_for(empty: Shop) -> None:
    os.mkfifo(empty.folder / "pipe")
    assert empty.run(*DRILL, "--compare", "pipe").code == 2


def test_live_lets_waits_pass(empty: Shop) -> None:
    # In this one nobody waits for anything.
    assert empty.run(*DRILL, "--situation", "balance", "--answers", "1", "--live").code == 0


@pytest.mark.parametrize(
    ("language", "again", "asks", "score"),
    [
        ("en", "a number from 1 to 4", "your act:", "score "),
        ("zh", "请输入1到4的数字", "您的选择:", "得分"),
    ],
)
def test_a_person_decides_on_a_terminal(empty: Shop, language: str, again: str, asks: str, score: str) -> None:
    typed = "9\nwhat\n1\n1\n"
    code, shown = on_a_terminal(
        empty, *DRILL, "--situation", "no-answer", "--lang", language, "--seed", "7", typed=typed
    )
    # Whoever answers as fast as a program has guessed, or was wrong.
    assert code in {0, 9}
    situation = SITUATIONS["no-answer"]
    for text in (situation.title, situation.scene, situation.decisions[0].prompt):
        assert text.say("zh" if language == "zh" else "en") in shown.replace("\r\n", "\n")
    assert shown.count(again) == 2
    assert shown.count(asks) >= 3
    assert score in shown
    assert "--seed 7" in shown


def test_without_a_seed_a_person_is_told_the_one_that_was_drawn(empty: Shop) -> None:
    _, shown = on_a_terminal(empty, *DRILL, "--situation", "expired", "--lang", "en", typed="1\n")
    assert re.search(r"--seed [0-9]+ asks in this order again", shown)


def test_whoever_leaves_in_the_middle_is_not_scored(empty: Shop) -> None:
    code, shown = on_a_terminal(empty, *DRILL, "--situation", "expired", "--lang", "en", typed="\x04\n")
    assert code == 130
    assert "interrupted" in shown
    assert "score" not in shown
