"""What a drill came to: as one object, as a page to read, and beside one that was kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pos_engine.cli.output import SCHEMA, amount_json, text_json
from pos_engine.errors import UsageError
from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pos_engine.cli.output import Output
    from simulators.drill import Played
    from simulators.drill.books import Books
    from simulators.drill.diary import Entry
    from simulators.drill.scoring import Score

FILE_BYTES_MAX: Final = 1_048_576
"""A result is some pages; a larger file is another file."""

_WHO: Final = {
    "shop": Text("shop", "店内"),
    "display": Text("display", "屏幕"),
    "cashier": Text("YOU", "您"),
    "terminal": Text("terminal", "终端"),
    "next-till": Text("next till", "旁边收银台"),
    "line": Text("line", "线路"),
}
_GRADES: Final = {
    "right": Text("right", "正确"),
    "harmless": Text("harmless", "无害"),
    "costly": Text("costly", "有损失"),
    "dangerous": Text("DANGEROUS", "危险"),
}
_POINTS: Final = Text("{}: {} of 10 points, {:.1f} s", "{}: {}分(满分10分), 用时{:.1f}秒")
_GUESSED: Final = Text("guessed: that was too fast to have been read", "未看清就作答, 按猜答计分")
_SLOW: Final = Text("slow: the customer was waiting", "犹豫过久, 顾客在等")
_TIMES: Final = Text("{} ({} times)", "{} (共{}次)")
_BOOKS: Final = Text(
    "books: the host charged {}; cash {}; the cashier believes {} was paid; {}",
    "对账: 主机扣款{}; 现金{}; 收银员认为已收{}; {}",
)
_GONE: Final = {True: Text("the goods are sold", "商品已交付"), False: Text("the goods are still here", "商品未交付")}
_AGREE: Final = Text("everything agrees", "账实相符")
_SCORE: Final = Text("score {} of 100", "得分{} (满分100)")
_PASSED: Final = Text("passed", "合格")
_FAILED: Final = Text("not passed: {}", "不合格: {}")
_TOO_FEW: Final = Text("fewer than 80 points", "不足80分")
_DANGER: Final = Text("something dangerous was done", "有危险操作")
_PRACTISE: Final = Text("practise next:", "下一步练习:")
_NOTHING: Final = Text("nothing to practise: do it again in a month", "全部正确, 一个月后请再练一次")
_BEFORE: Final = Text("compared with before:", "与上次相比:")
_WHOLE: Final = Text("whole drill", "总分")
_SEED: Final = Text("--seed {} asks in this order again", "用 --seed {} 可按同样的选项顺序重练")


def result(played: Sequence[Played], seed: int | None) -> dict[str, Any]:
    """Return the whole drill as JSON carries it, without the number of the schema."""
    from simulators.drill.scoring import to_practise, total

    scores = {each.situation.name: each.score for each in played}
    whole = total(scores.values())
    by_name = {each.situation.name: each.situation for each in played}
    return {
        "drill": "session",
        "seed": seed,
        "score": whole.percent,
        "passed": whole.passed,
        "dangers": whole.dangers,
        "situations": [
            {
                "name": each.situation.name,
                "title": text_json(each.situation.title),
                "timeline": [_entry_json(entry) for entry in each.timeline],
                "books": _books_json(each.books),
                **_score_json(each.score),
            }
            for each in played
        ],
        "practise": [{"name": name, "lesson": text_json(by_name[name].lesson)} for name in to_practise(scores)],
    }


def _score_json(score: Score) -> dict[str, object]:
    return {"score": score.percent, "points": score.points, "points_max": score.most, "dangers": score.dangers}


def _entry_json(entry: Entry) -> dict[str, object]:
    told: dict[str, object] = {"at_s": entry.at_s, "who": entry.who.value, "text": text_json(entry.text)}
    if entry.mark is None or entry.why is None:
        return told
    mark = entry.mark
    act = {"grade": mark.grade.value, "seconds": round(mark.seconds, 1), "points": mark.points}
    return {**told, **act, "guessed": mark.is_guess, "slow": mark.is_slow, "why": text_json(entry.why)}


def _books_json(books: Books) -> dict[str, object]:
    return {
        "due": amount_json(Amount(books.due_minor)),
        "charged": amount_json(Amount(books.charged_minor)),
        "charged_at_most": amount_json(Amount(books.peak_minor)),
        "cash": amount_json(Amount(books.cash_minor)),
        "believed": amount_json(Amount(books.believed_minor)),
        "goods_left": books.has_goods,
        "differences": list(books.differences),
        "findings": [text_json(finding) for finding in books.findings],
    }


def in_text(output: Output, played: Sequence[Played], content: Mapping[str, Any]) -> None:
    """Print the timelines, the books, and the score."""
    for each in played:
        output.line(f"{output.say(each.situation.title)}  {each.score.percent}/100")
        output.table(["", "", ""], list(_rows(output, each.timeline)))
        for line in _books_lines(output, each.books):
            output.line(line)
        output.line("")
    for line in _ending(output, content):
        output.line(line)


def _rows(output: Output, timeline: Sequence[Entry]) -> Iterator[tuple[str, str, str]]:
    """Yield the timeline; what the terminal did again and again is one row."""
    place = 0
    while place < len(timeline):
        entry, count = timeline[place], 1
        while place + count < len(timeline) and _says(timeline[place + count]) == _says(entry):
            count += 1
        place += count
        text = output.say(entry.text)
        yield f"{entry.at_s:.0f} s", output.say(_WHO[entry.who.value]), _times(output, text, count)
        yield from (("", "", line) for line in _marks(output, entry))


def _says(entry: Entry) -> tuple[object, ...]:
    return entry.who, entry.text, entry.mark


def _times(output: Output, text: str, count: int) -> str:
    return text if count == 1 else output.say(_TIMES).format(text, count)


def _marks(output: Output, entry: Entry) -> Iterator[str]:
    mark = entry.mark
    if mark is None or entry.why is None:
        return
    grade = output.say(_GRADES[mark.grade.value])
    yield f"=> {output.say(_POINTS).format(grade, mark.points, mark.seconds)}"
    yield f"   {output.say(entry.why)}"
    if mark.is_guess or mark.is_slow:
        yield f"   {output.say(_GUESSED if mark.is_guess else _SLOW)}"


def _books_lines(output: Output, books: Books) -> Iterator[str]:
    sums = (Amount(each) for each in (books.charged_minor, books.cash_minor, books.believed_minor))
    yield output.say(_BOOKS).format(*sums, output.say(_GONE[books.has_goods]))
    yield from (f"  !! {output.say(finding)}" for finding in books.findings)
    if not books.findings:
        yield f"  {output.say(_AGREE)}"


def _ending(output: Output, content: Mapping[str, Any]) -> Iterator[str]:
    say = output.say
    why = _DANGER if content["dangers"] else _TOO_FEW
    verdict = say(_PASSED) if content["passed"] else say(_FAILED).format(say(why))
    yield f"{say(_SCORE).format(content['score'])}, {verdict}"
    lessons = [f"  {each['name']}: {each['lesson'][output.language]}" for each in content["practise"]]
    yield from (say(_PRACTISE), *lessons) if lessons else (say(_NOTHING),)
    rows = content.get("compared")
    if rows is not None:
        yield say(_BEFORE)
        yield from (f"  {row['name'] or say(_WHOLE)}: {row['before']} -> {row['now']}" for row in rows)
    if content["seed"] is not None:
        yield say(_SEED).format(content["seed"])


# Results that were kept.


def saved(name: str, content: Mapping[str, object]) -> None:
    """Keep a result; raises `UsageError` where it cannot be written."""
    reason = ""
    try:
        Path(name).write_text(json.dumps({"schema": SCHEMA, **content}) + "\n", encoding="ascii")
    except OSError as error:
        reason = f"--save: {name}: {(error.strerror or 'not a file').lower()}"
    if reason:
        raise UsageError(reason)


def kept(name: str) -> dict[str, int]:
    """Read the scores of a result that was kept, that of the whole under ""; raises `UsageError` for what is none."""
    text = read("--compare", name)
    try:
        content = json.loads(text)
        is_ours = (content["schema"], content["drill"]) == (SCHEMA, "session")
        rows = {"": content["score"], **{each["name"]: each["score"] for each in content["situations"]}}
    except (ValueError, TypeError, KeyError, RecursionError):
        is_ours, rows = False, {}
    if not is_ours or not all(isinstance(key, str) and type(score) is int for key, score in rows.items()):
        reason = f"--compare: {name}: is no result of a drill"
        raise UsageError(reason)
    return rows


def compared(content: Mapping[str, Any], before: Mapping[str, int]) -> list[dict[str, object]]:
    """Set the scores beside those of before, for what both have; the whole only where both had the same parts."""
    now = {each["name"]: each["score"] for each in content["situations"]}
    if now.keys() == before.keys() - {""}:
        now = {"": content["score"], **now}
    return [{"name": name, "before": before[name], "now": now[name]} for name in now if name in before]


def read(option: str, name: str) -> str:
    """Read a small text file that an option names; raises `UsageError`."""
    text = reason = ""
    try:
        # Opened without waiting, because a plain open would wait for ever on a named pipe.
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            data = file.read(FILE_BYTES_MAX + 1)
        text = data.decode() if len(data) <= FILE_BYTES_MAX else ""
    except OSError as error:
        reason = f"{option}: {name}: {(error.strerror or 'not a file').lower()}"
    except ValueError:
        reason = f"{option}: {name}: is not text"
    if reason:
        raise UsageError(reason)
    return text
