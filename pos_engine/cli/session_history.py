"""`session history`: how signing on has gone, as a table, as JSON, or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.output import text_json
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.session.history import Gap, History, Span

DAYS: Final = 30
DAYS_MAX: Final = 3660
FORMATS: Final = (".png", ".svg")
MINUTE_S: Final = 60
HOUR_S: Final = 3600

_EMPTY: Final = Text("there is no journal yet", "尚无交易流水")
_PERIOD: Final = Text("period", "期间")
_SUCCEEDED: Final = Text("succeeded", "成功")
_FAILED: Final = Text("failed", "失败")
_TIMES: Final = Text("{}", "{}次")
_BY_HOUR: Final = Text("failed by hour", "失败时段")
_AT_HOUR: Final = Text("{:02d}h: {}", "{:02d}时: {}次")
_DOWN: Final = Text("without a session", "无签到时长")
_GAP: Final = Text("no session", "未签到")
_UNTIL_NOW: Final = Text("until now", "至今")
_ABOUT: Final = Text("about {}", "约{}")
_TREND: Final = Text("trend", "趋势")
_WEEKS: Final = Text("{}: 7 days {} failed of {}, the 7 before {} of {}", "{}: 近7天{}/{}次失败, 前7天{}/{}次失败")
_DRAWN: Final = Text("drawn", "已绘图")


@command(
    "history",
    configured=True,
    example="pos-engine session history\npos-engine session history --days 7 --json\n"
    "pos-engine session history --chart sign-ons.png",
)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=DAYS, show_default=True, help="Days to look back.")
@click.option(
    "--chart",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw a .png or .svg too; needs the extra `report`.",
)
def history(output: Output, settings: Settings, *, days: int, chart: Path | None) -> Exit:
    """Tell how signing on has gone: successes, failures by cause and hour, times without a session, the trend.

    Reads the journal without holding it. A time without a session begins with the sign-on that failed, with the end of
    the one before, or with the host's demand, and ends with the next that succeeded; one with a restart in it is known
    by the wall clock only, and marked "about".
    """
    if chart is not None:
        _check_format(chart)
    told = _read(settings.load(), days)
    if chart is not None and told is not None:
        from pos_engine.cli.chart import draw

        draw(told, chart)
    if told is None:
        if output.as_json:
            output.json({"attempts": 0})
        else:
            output.note(output.say(_EMPTY))
        return Exit.DONE
    if output.as_json:
        output.json(_history_json(told))
        return Exit.DONE
    output.table(["", ""], list(_rows(told, output)))
    if chart is not None:
        output.note(f"{output.say(_DRAWN)}: {chart}")
    return Exit.DONE


def _check_format(chart: Path) -> None:
    if chart.suffix.lower() not in FORMATS:
        reason = f"--chart: a file that ends in {' or '.join(FORMATS)}"
        raise UsageError(reason)


def _read(config: Config, days: int) -> History | None:
    """Read the history; `None` where no journal was ever begun."""
    from pos_engine.journal.store import was_begun
    from pos_engine.system import harden_process
    from pos_engine.terminal import Terminal

    harden_process()
    if not was_begun(config.journal, config.mark):
        return None
    with Terminal.open(config, read_only=True) as terminal:
        return terminal.sign_on_history(days=days)


def _rows(told: History, output: Output) -> Iterator[tuple[str, str]]:
    from pos_engine.session.diagnosis import ADVICE
    from pos_engine.session.history import TRENDS

    say, span = output.say, told.span
    yield say(_PERIOD), f"{told.since.isoformat()} - {told.until.isoformat()}"
    yield say(_SUCCEEDED), say(_TIMES).format(span.successes)
    yield say(_FAILED), say(_TIMES).format(span.failures)
    for cause, count in told.causes:
        yield f"  {cause.value}", f"{say(_TIMES).format(count)}  {say(ADVICE[cause].meaning)}"
    hours = [say(_AT_HOUR).format(hour, count) for hour, count in enumerate(told.hours) if count]
    if hours:
        yield say(_BY_HOUR), "  ".join(hours)
    yield say(_DOWN), _length(span.down_s)
    for gap in told.gaps:
        yield f"  {say(_GAP)}", _gap_line(gap, output)
    week, before = told.week, told.week_before
    counts = (week.failures, _all(week), before.failures, _all(before))
    yield say(_TREND), say(_WEEKS).format(say(TRENDS[told.trend]), *counts)


def _all(span: Span) -> int:
    return span.successes + span.failures


def _gap_line(gap: Gap, output: Output) -> str:
    from pos_engine.session.history import BEGAN

    say = output.say
    ended = gap.ended.isoformat(sep=" ", timespec="seconds") if gap.ended is not None else say(_UNTIL_NOW)
    length = say(_ABOUT).format(_length(gap.seconds)) if gap.about else _length(gap.seconds)
    cause = gap.cause.value if gap.cause is not None else ""
    began = gap.began.isoformat(sep=" ", timespec="seconds")
    return "  ".join(filter(None, (f"{began} - {ended}", length, say(BEGAN[gap.by]), cause)))


def _length(seconds: float) -> str:
    """Return a length of time as a person says it: the two largest units."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"


def _history_json(told: History) -> dict[str, object]:
    from pos_engine.session.diagnosis import ADVICE
    from pos_engine.session.history import TRENDS

    return {
        "since": told.since.isoformat(),
        "until": told.until.isoformat(),
        **_span_json(told.span),
        "causes": [
            {"cause": cause.value, "count": count, "meaning": text_json(ADVICE[cause].meaning)}
            for cause, count in told.causes
        ],
        "failures_by_hour": list(told.hours),
        "days": [
            {"day": day.isoformat(), "successes": successes, "failures": failures}
            for day, successes, failures in told.days
        ],
        "gaps": [_gap_json(gap) for gap in told.gaps],
        "trend": told.trend.name.lower(),
        "trend_text": text_json(TRENDS[told.trend]),
        "week": _span_json(told.week),
        "week_before": _span_json(told.week_before),
    }


def _span_json(span: Span) -> dict[str, object]:
    return {
        "attempts": _all(span),
        "successes": span.successes,
        "failures": span.failures,
        "down_s": round(span.down_s, 3),
    }


def _gap_json(gap: Gap) -> dict[str, object]:
    return {
        "began": gap.began.isoformat(),
        "ended": gap.ended.isoformat() if gap.ended is not None else None,
        "seconds": round(gap.seconds, 3),
        "about": gap.about,
        "by": gap.by.name.lower(),
        "cause": gap.cause.value if gap.cause is not None else None,
    }
